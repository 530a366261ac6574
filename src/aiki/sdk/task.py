"""Tasks: the author's functions that have effects, executed at least once, their result recorded once.

The rule: a task is data about a function. It never executes anything itself but the plain call outside a workflow;
`start` says what is to be run, and the host runs it.
"""

from __future__ import annotations

import copy
import functools
import inspect
import linecache
import re
import sys
from collections.abc import Callable, Coroutine, Iterable
from types import EllipsisType, FrameType
from typing import Any, Final, Generic, ParamSpec, Protocol, Self, TypeVar, cast, overload

import msgspec

from aiki.errors import DirectTaskCall
from aiki.model import payload
from aiki.model.retry import Retry
from aiki.sdk.convert import Seconds, limit_ms, names_in_sight, place_of_call, place_of_definition
from aiki.sdk.here import is_workflow_code
from aiki.sdk.host import TaskCall
from aiki.sdk.run import Run
from aiki.sdk.signature import CallShape

__all__ = ["AsyncTask", "SyncTask", "Task", "TaskDecorator", "label_of", "task"]

P = ParamSpec("P")
R = TypeVar("R")

ErrorTypes = Iterable[type[BaseException]] | type[BaseException]

LABEL_CHARS_MAX: Final = 120
LABEL_VALUE_CHARS_MAX: Final = 40

_raw_arguments: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Task(Generic[P, R]):
    """A function that runs durably. Made by `@task`.

    Attributes:
        name: under which its results are recorded.
        function: the author's.
        where: file and line of its definition.
        retry: when a failed attempt is tried again.
        timeout_ms: how long an attempt may take; None for ever.
        retry_on: if not empty, only these errors are retried.
        dont_retry_on: these are not.
        is_async: whether the function is `async def`. Others run in a thread.
    """

    name: str
    function: Callable[..., Any]
    shape: CallShape
    where: str
    retry: Retry
    timeout_ms: int | None
    retry_on: tuple[type[BaseException], ...]
    dont_retry_on: tuple[type[BaseException], ...]
    is_async: bool

    def __init__(
        self,
        function: Callable[..., Any],
        shape: CallShape,
        *,
        name: str | None,
        retry: Retry,
        timeout: Seconds | None,
        retry_on: ErrorTypes,
        dont_retry_on: ErrorTypes,
    ) -> None:
        functools.update_wrapper(cast("Callable[..., Any]", self), function)
        self.function = function
        self.shape = shape
        self.where = place_of_definition(function)
        self.name = getattr(function, "__name__", "").replace("_", "-") if name is None else name
        payload.check_name(self.name, "a task's name")
        self.retry = _checked_retry(retry)
        self.timeout_ms = limit_ms(timeout, f"the timeout of task {self.name}")
        self.retry_on = _error_types(retry_on, "retry_on")
        self.dont_retry_on = _error_types(dont_retry_on, "dont_retry_on")
        self.is_async = isinstance(self, AsyncTask)

    def start(self, run: Run, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Run the task durably and return its result, recorded: `await charge_card.start(run, order_id)`.

        Args:
            run: the run of the workflow that calls.
            args: the task's arguments.
            kwargs: those by name.

        Returns:
            The result as it comes back from its record, the first time as on replay.

        Raises:
            TaskFailed: no attempts are left.
            NotSerializable: an argument cannot be stored.
        """
        if not isinstance(run, Run):
            raise TypeError(f"{self.name}.start takes the run first: await {self._spoken}.start(run, ...), not {run!r}")
        encoded = self.shape.encode_args(args, kwargs, what=f"the arguments of task {self.name}")
        call = TaskCall(
            task=self,
            payload=encoded.payload,
            address=f"{self.name} {encoded.address_hash}",
            label=label_of(self.name, encoded.payload),
            where=place_of_call(sys._getframe(1)),
        )
        return run.host.call_task(call)

    def options(self, *, retry: Retry | None = None, timeout: Seconds | EllipsisType | None = ...) -> Self:
        """Return a copy with other options; the original is unchanged.

        Args:
            retry: when a failed attempt is tried again; None leaves it as it is.
            timeout: how long an attempt may take, seconds or timedelta; None lifts it.
        """
        changed = copy.copy(self)
        if retry is not None:
            changed.retry = _checked_retry(retry)
        if not isinstance(timeout, EllipsisType):
            changed.timeout_ms = limit_ms(timeout, f"the timeout of task {self.name}")
        return changed

    def __repr__(self) -> str:
        return f"<task {self.name} of {self.where}>"

    @property
    def _spoken(self) -> str:
        return str(getattr(self.function, "__name__", self.name))

    def _refuse_in_workflow(self, frame: FrameType) -> None:
        if is_workflow_code():
            raise DirectTaskCall(
                f"task {self.name} is called as a plain function in workflow code ({place_of_call(frame)}), so nothing "
                f"would be recorded. Write: {_line_to_write(self._spoken, frame)}",
                task=self.name,
                where=place_of_call(frame),
            )


class AsyncTask(Task[P, R]):
    """A task of an `async def` function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call the plain function, for unit tests and from other tasks. In workflow code: `DirectTaskCall`."""
        self._refuse_in_workflow(sys._getframe(1))
        return cast("Coroutine[Any, Any, R]", self.function(*args, **kwargs))


class SyncTask(Task[P, R]):
    """A task of a `def` function. It runs in a thread of the worker."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the plain function, for unit tests and from other tasks. In workflow code: `DirectTaskCall`."""
        self._refuse_in_workflow(sys._getframe(1))
        return cast(R, self.function(*args, **kwargs))


class TaskDecorator(Protocol):
    """What `@task(...)` with options gives."""

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]  # an async function is a function too, and the first fits it
    @overload
    def __call__(self, fn: Callable[P, R], /) -> SyncTask[P, R]: ...


@overload
def task(fn: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]  # as above
@overload
def task(fn: Callable[P, R], /) -> SyncTask[P, R]: ...
@overload
def task(
    *,
    name: str | None = None,
    retry: Retry = ...,
    timeout: Seconds | None = None,
    retry_on: ErrorTypes = ...,
    dont_retry_on: ErrorTypes = ...,
) -> TaskDecorator: ...
def task(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    retry: Retry = Retry(),  # noqa: B008 - frozen
    timeout: Seconds | None = None,
    retry_on: ErrorTypes = (),
    dont_retry_on: ErrorTypes = (),
) -> Any:
    """Make a function a task: a unit of work that a run starts, executed at least once, its result recorded once.

    Args:
        fn: the function, where `@task` stands without parentheses.
        name: under which results are recorded; by default the function's, with `-` for `_`.
        retry: when a failed attempt is tried again; by default never.
        timeout: how long one attempt may take, seconds or timedelta.
        retry_on: only these errors are retried; by default all.
        dont_retry_on: these errors are not.

    Raises:
        TypeError: it is no function, or is a generator.
        ValueError: an option's value is out of bounds.

    >>> @task(retry=Retry.exponential(max_attempts=5, base_delay=1.0), timeout=30)
    ... async def notify_customer(customer_id: str, message: str) -> None: ...
    >>> notify_customer.name
    'notify-customer'
    """
    sight = names_in_sight(sys._getframe(1))

    def decorate(function: Callable[..., Any]) -> Task[Any, Any]:
        kind = _kind_of(function)
        return kind(
            function,
            CallShape(function, localns=sight),
            name=name,
            retry=retry,
            timeout=timeout,
            retry_on=retry_on,
            dont_retry_on=dont_retry_on,
        )

    return decorate if fn is None else decorate(fn)


def label_of(name: str, arguments: bytes) -> str:
    """Return a call as people would write it, cut short.

    >>> label_of("charge-card", b'{"amount":12}')
    'charge-card(amount=12)'
    """
    parts: list[str] = []
    chars = len(name)
    for key, raw in _raw_arguments(arguments).items():
        text = bytes(memoryview(raw)[: LABEL_VALUE_CHARS_MAX * 4]).decode("utf-8", "replace")
        parts.append(f"{key}={text if len(text) <= LABEL_VALUE_CHARS_MAX else text[:LABEL_VALUE_CHARS_MAX] + '…'}")
        chars += len(parts[-1])
        if chars > LABEL_CHARS_MAX:
            parts.append("…")
            break
    return f"{name}({', '.join(parts)})"


def _kind_of(function: object) -> type[Task[Any, Any]]:
    if isinstance(function, Task):
        raise TypeError(f"{function!r} is a task already: use .options() for a copy with other options")
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"@task makes a function a task, not {function!r}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{function!r} is a generator, and a task returns one result: return a list, or yield no more")
    return AsyncTask if inspect.iscoroutinefunction(function) else SyncTask


def _checked_retry(retry: object) -> Retry:
    if not isinstance(retry, Retry):
        raise TypeError(f"retry is {retry!r}: give Retry.never(), .fixed(), .exponential() or .jittered()")
    return retry


def _error_types(given: ErrorTypes, what: str) -> tuple[type[BaseException], ...]:
    kinds = (given,) if isinstance(given, type) else tuple(given)
    for kind in kinds:
        if not _is_error_type(kind):
            raise TypeError(f"{what} holds {kind!r}: give classes of exceptions")
    return kinds


def _is_error_type(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)


def _line_to_write(spoken: str, frame: FrameType) -> str:
    """Return the caller's own line with `.start(run, ...)` in it, or the general form where the line is not at hand."""
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
    call = re.compile(rf"(?P<awaits>\bawait\s+)?(?P<named>(?:\b\w+\.)*\b{re.escape(spoken)})\((?P<empty>\s*\))?")
    found = call.search(line)
    if found is None:
        return f"await {spoken}.start(run, ...)"
    written = f"await {found['named']}.start(run" + (")" if found["empty"] else ", ")
    return line[: found.start()] + written + line[found.end() :]
