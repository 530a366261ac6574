"""Where tasks are executed: attempts, their time limits, and what a failed one means.

`async def` tasks run on the worker's own loop, `def` tasks in its threads. The rule: an attempt sees a decoded copy of
its arguments and leaves an encoded copy of its result; whatever it raises becomes data. Nothing here knows of replay:
it is told what to execute and answers how that went.
"""

import asyncio
import contextlib
import functools
import logging
import math
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import copy_context
from typing import Any, Final, ParamSpec, TypeVar

from msgspec import Raw, Struct

from aiki.clock import Chance
from aiki.errors import InvalidInput, NonRetryable, NotSerializable, PayloadTooLarge, RetryAfter, TimedOut
from aiki.model import retry
from aiki.model.ids import derived_id
from aiki.model.journal import EMPTY, Failure
from aiki.sdk.client import Client
from aiki.sdk.current import TaskContext, enter_task
from aiki.sdk.failures import failure_of
from aiki.sdk.host import RunFacts, TaskDefinition
from aiki.worker.calls import Call

__all__ = ["AroundTask", "Attempts", "Verdict"]

P = ParamSpec("P")
R = TypeVar("R")

AroundTask = Callable[[], AbstractAsyncContextManager[Any]]

THREADS_MAX: Final = 64  # `def` tasks at a time; further ones wait for a thread
MS_PER_S: Final = 1000

_log = logging.getLogger("aiki.task")
_FINAL: Final = (NonRetryable, NotSerializable, PayloadTooLarge, InvalidInput)  # another attempt would not help


class Verdict(Struct, frozen=True):
    """How an attempt went: a result; or an error, with the delay before the next attempt or None if it is the last."""

    result: Raw = EMPTY
    error: Failure | None = None
    delay_ms: int | None = None


class Attempts:
    """Executes attempts of tasks for all runs of a worker."""

    def __init__(
        self,
        *,
        client: Client,
        context: Any,  # noqa: ANN401 - whatever the worker's `context` gave
        around_task: AroundTask | None,
        chance: Chance,
    ) -> None:
        self._client = client
        self._context = context
        self._around_task = around_task
        self._chance = chance
        self._threads: ThreadPoolExecutor | None = None
        self._free_threads = asyncio.Semaphore(THREADS_MAX)
        self._under_way: set[asyncio.Task[Any]] = set()

    async def execute(self, facts: RunFacts, call: Call, attempt: int, *, report: Callable[[bytes], None]) -> Verdict:
        """Make one attempt of a task and return how it went. `report` takes its progress, from any thread.

        Raises:
            asyncio.CancelledError: the attempt was cancelled from outside. A thread that it has started runs on.
        """
        task_call = call.request.task
        assert task_call is not None
        task = task_call.task
        current = asyncio.current_task()
        assert current is not None
        self._under_way.add(current)
        current.add_done_callback(self._under_way.discard)
        try:
            args, kwargs = task.shape.decode_args(task_call.payload)
            enter_task(self._task_context(facts, call, attempt, report=report))
            around = nullcontext() if self._around_task is None else self._around_task()
            async with around:
                value = await self._value(task, functools.partial(task.function, *args, **kwargs))
            return Verdict(result=_encoded(task, value))
        except asyncio.CancelledError as error:
            if current.cancelling():
                raise
            return self._failed(task, error, attempt)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001  # whatever a task raises is data for its workflow, sys.exit too
            return self._failed(task, error, attempt)

    async def unwound(self) -> None:
        """Wait until no attempt is under way, those that were cancelled included: they may tidy up."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def close(self) -> None:
        """Let go of the threads; those that still run end with their task."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    def _task_context(
        self, facts: RunFacts, call: Call, attempt: int, *, report: Callable[[bytes], None]
    ) -> TaskContext:
        key = call.key
        assert call.request.task is not None
        name = call.request.task.task.name
        known = {"run_id": facts.id, "workflow": facts.workflow, "task": name, "attempt": attempt}

        return TaskContext(
            facts.id,
            name,
            attempt=attempt,
            idempotency_key=derived_id("task", facts.id, facts.chapter, facts.attempt, key.address, key.ordinal),
            logger=logging.LoggerAdapter(_log, known),
            client=self._client,
            context=self._context,
            report=report,
        )

    async def _value(self, task: TaskDefinition, function: Callable[[], Any]) -> object:
        """Return what the function returns. Its time counts from when it runs: not while it waits for a thread."""
        if task.is_async:
            return await _limited(task, function())
        await self._free_threads.acquire()
        loop = asyncio.get_running_loop()
        if self._threads is None:
            self._threads = _Threads(functools.partial(self._thread_freed, loop))
        context = copy_context()
        running = loop.run_in_executor(self._threads, lambda: context.run(_no_stop_iteration, function))
        return await _limited(task, running)

    def _thread_freed(self, loop: asyncio.AbstractEventLoop, _: object) -> None:
        """Called in the thread: it may have outlived its attempt, and the worker's loop too."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits for a thread
            loop.call_soon_threadsafe(self._free_threads.release)

    def _failed(self, task: TaskDefinition, error: BaseException, attempt: int) -> Verdict:
        return Verdict(error=failure_of(error), delay_ms=self._delay_ms(task, error, attempt))

    def _delay_ms(self, task: TaskDefinition, error: BaseException, attempt: int) -> int | None:
        if isinstance(error, (*_FINAL, *task.dont_retry_on)):
            return None
        if task.retry_on and not isinstance(error, (*task.retry_on, RetryAfter)):
            return None
        delay_ms = retry.delay_ms(task.retry, attempt, draw=self._chance.random.random())
        if delay_ms is not None and isinstance(error, RetryAfter):
            asked_ms = error.seconds * MS_PER_S
            if math.isnan(asked_ms):
                return delay_ms
            return max(delay_ms, math.ceil(min(asked_ms, retry.DELAY_MS_MAX)))
        return delay_ms


class _Threads(ThreadPoolExecutor):
    """Threads that tell when one is free again: an attempt that was given up leaves its thread at work."""

    def __init__(self, freed: Callable[[object], None]) -> None:
        super().__init__(THREADS_MAX, thread_name_prefix="aiki-task")
        self._freed = freed

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Call a function in a thread."""
        running = super().submit(fn, *args, **kwargs)
        running.add_done_callback(self._freed)
        return running


async def _limited(task: TaskDefinition, running: Awaitable[object]) -> object:
    """Return what `running` gives, unless that takes longer than an attempt of the task may."""
    if task.timeout_ms is None:
        return await running
    limit_s = task.timeout_ms / MS_PER_S
    limit = asyncio.timeout(limit_s)
    try:
        async with limit:
            return await running
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TimedOut(
            f"an attempt of task {task.name} took longer than its timeout of {limit_s:g} s", task=task.name
        ) from error


def _no_stop_iteration(function: Callable[[], object]) -> object:
    """Call `function`; a future cannot carry a StopIteration, which ends generators."""
    try:
        return function()
    except StopIteration as error:
        raise RuntimeError("the task raised StopIteration") from error


def _encoded(task: TaskDefinition, value: object) -> Raw:
    """Return a result as JSON that can be stored and that fits the task's own annotation."""
    return Raw(task.shape.returns.encode_fitting(value, what=f"the result of task {task.name}"))
