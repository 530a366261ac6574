"""The event loop that workflow code runs on: one per run, driven by hand.

`run_until_idle` executes what is ready, first in, first out, until nothing is, and returns. There are no sockets, no
threads and no wall clock on it: time is the run's logical time, and a timer is announced to the host, which makes it
durable and rings it. Hence everything of asyncio that only waits works here, and the same on every replay.

The rule: whatever happens on this loop follows from what the host delivers, and in what order. So every method of
`AbstractEventLoop` is either written out below or refused by name, those of Python versions to come included.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import sys
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from types import AsyncGeneratorType
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from aiki.errors import NotAllowedInWorkflow
from aiki.worker import guard
from aiki.worker.ordered import OrderedFuture, OrderedTask, OrderingLoop
from aiki.worker.refusals import DRIVEN, MOVE, is_unordered_in_as_completed, refuse_the_rest, refused

__all__ = ["LoopHost", "WorkflowLoop", "WorkflowTimer"]

T = TypeVar("T")


class LoopHost(Protocol):
    """Who drives the loop: keeps its time, makes its timers durable, hears of its failures."""

    def now_s(self) -> float:
        """Return the run's logical time in seconds."""
        ...

    def timer_opened(self, timer: WorkflowTimer) -> None:
        """A timer waits for its time; hand it to `WorkflowLoop.ring` when that has come."""
        ...

    def timer_closed(self, timer: WorkflowTimer) -> None:
        """A timer was cancelled before it rang."""
        ...

    def callback_failed(self, context: dict[str, Any]) -> None:
        """An error that nobody waits for, as asyncio describes it ("message", "exception", "future", ...).

        The garbage collector may call this too, at any moment and in any thread: only write it down.
        """
        ...


class WorkflowTimer(asyncio.TimerHandle):
    """A durable timer. Timers are told apart by identity, and sorted by their time, then by their creation."""

    __slots__ = ("order",)

    _callback: Callable[..., Any]
    _context: Context

    def __init__(
        self, when_s: float, callback: Callable[..., Any], args: tuple[Any, ...], loop: WorkflowLoop, context: Context
    ) -> None:
        self.order = loop.next_order()
        super().__init__(when_s, callback, args, loop, context)
        self._scheduled = False

    @property
    def is_open(self) -> bool:
        """Whether the host has been told of it, and it has neither rung nor been cancelled."""
        return self._scheduled

    def __hash__(self) -> int:
        return self.order

    def __eq__(self, other: object) -> bool:
        return self is other

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, WorkflowTimer):
            return NotImplemented
        return (self.when(), self.order) < (other.when(), other.order)


class _Ready(asyncio.Handle):
    """A handle made without the questions that asyncio's own asks (is this debug mode? where was it created?)."""

    __slots__ = ()

    _callback: Callable[..., Any]
    _context: Context

    def __init__(
        self, callback: Callable[..., Any], args: tuple[Any, ...], loop: WorkflowLoop, context: Context
    ) -> None:
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = context
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


if sys.version_info >= (3, 14):
    from asyncio.tasks import _swap_current_task as swap_current_task
else:

    def swap_current_task(
        _loop: asyncio.AbstractEventLoop, _task: asyncio.Task[Any] | None
    ) -> asyncio.Task[Any] | None:
        """Below 3.14 each loop has a current task of its own; from then on, each thread."""
        return None


_Before: TypeAlias = tuple[asyncio.AbstractEventLoop | None, asyncio.Task[Any] | None, tuple[Any, ...], bool]
"""What a thread had before a workflow's loop took it over: its loop, that loop's task, its hooks, whether judged."""


class WorkflowLoop(OrderingLoop):
    """The loop of one run.

    Args:
        host: who drives it.
        base: where the hashes of what is created on it begin, from `ordered.base_of(run_id)`.

    Attributes:
        is_evicting: whether its tasks are being unwound, or have been. A durable call made meanwhile records
            nothing and waits for a future that never comes (`await loop.create_future()`), where the eviction meets
            it. Were it to raise at once, an author's `while True: try ... except: pass` would spin for ever.
        steps: how many callbacks it has begun to execute.
    """

    __slots__ = (
        "_asyncgens",
        "_host",
        "_is_running",
        "_pruned_at_steps",
        "_ready",
        "_tasks",
        "is_evicting",
        "next_order",
        "steps",
    )

    def __init__(self, host: LoopHost, *, base: int) -> None:
        self._host = host
        self._ready: list[_Ready | WorkflowTimer] = []
        self._tasks: list[OrderedTask[Any]] = []
        self._asyncgens: list[weakref.ref[AsyncGeneratorType[Any, Any]]] | None = None
        self._pruned_at_steps = 0
        self._is_running = False
        self.is_evicting = False
        self.next_order = itertools.count(base).__next__
        self.steps = 0

    def __repr__(self) -> str:
        state = "evicted" if self.is_evicting else "running" if self._is_running else "idle"
        return f"<{type(self).__name__} {state} steps={self.steps} ready={len(self._ready)}>"

    # Driving it

    @guard.boundary
    def run_until_idle(self) -> None:
        """Execute what is ready, first in, first out, and what that makes ready, until nothing is.

        Call it from a plain callback or a thread without a loop. An `Exception` that a callback raises goes to the
        host, as in asyncio. `SystemExit` is the error of the task that raised it, and ends no worker; a
        `KeyboardInterrupt` comes out here, and the rest of what is ready stays so.

        Raises:
            RuntimeError: it runs already, or has been evicted.
        """
        if self.is_evicting:
            raise RuntimeError(f"{self!r} does not run again")
        before = self.take_over()
        try:
            handle: _Ready | WorkflowTimer | None = None
            while self._ready:
                batch = iter(self._ready)
                self._ready = []
                try:
                    for handle in batch:
                        if handle._cancelled:
                            continue
                        self.steps += 1
                        try:
                            handle._context.run(handle._callback, *handle._args)
                        except SystemExit:
                            pass  # the task has it, and whoever awaits the task
                        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # the host hears of it
                            self._report(handle, error)
                except BaseException:
                    self._ready = [*batch, *self._ready]
                    raise
                handle = None  # the traceback of an error in a task leads to this frame, and so would back to the task
                if self.steps - self._pruned_at_steps > 2 * len(self._tasks):
                    self._forget_finished()
        finally:
            self.give_back(before)

    def ring(self, timer: WorkflowTimer) -> None:
        """The time of this timer has come: its callback runs with the next `run_until_idle`."""
        if timer._scheduled:
            timer._scheduled = False
            self._ready.append(timer)

    def take_over(self) -> _Before:
        """Become this thread's running loop, and have its workflow code judged; return what `give_back` takes.

        Raises:
            RuntimeError: it runs already.
        """
        if self._is_running:
            raise RuntimeError(f"{self!r} is driven from within itself")
        self._is_running = True
        outer = asyncio._get_running_loop()
        outer_task = swap_current_task(outer, None) if outer is not None else None
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=self._asyncgen_begun, finalizer=self._asyncgen_dropped)
        asyncio._set_running_loop(self)
        return outer, outer_task, hooks, guard.enter()

    def give_back(self, before: _Before) -> None:
        """Let the thread have its own loop again."""
        outer, outer_task, hooks, judged = before
        guard.leave(judged=judged)
        asyncio._set_running_loop(outer)
        if outer is not None and outer_task is not None:
            swap_current_task(outer, outer_task)
        sys.set_asyncgen_hooks(*hooks)
        self._is_running = False

    def unfinished(self) -> list[OrderedTask[Any]]:
        """Return the tasks that have not ended, the oldest first."""
        return [task for task in self._tasks if not task.done()]

    def abandon(self) -> list[OrderedTask[Any]]:
        """Close the loop for good, and return its unfinished tasks, the newest first; see `eviction`."""
        self.is_evicting = True
        self._ready.clear()
        unfinished = [task for task in reversed(self._tasks) if not task.done()]
        self._tasks = []
        return unfinished

    def open_asyncgens(self) -> list[AsyncGeneratorType[Any, Any]]:
        """Return the asynchronous generators that have begun and not ended, the newest first; forget them."""
        known, self._asyncgens = self._asyncgens or [], None
        found = [agen for reference in reversed(known) if (agen := reference()) is not None]
        return [agen for agen in found if agen.ag_frame is not None]

    def _forget_finished(self) -> None:
        # Unfinished tasks are held, so that when one ends never depends on the collector. Finished ones are let go
        # once in as many steps as there are tasks: cheap on average, and a failure that nobody saw is told soon.
        self._tasks = [task for task in self._tasks if not task.done()]
        self._pruned_at_steps = self.steps

    def _report(self, handle: asyncio.Handle, error: BaseException) -> None:
        message = f"Exception in callback {getattr(handle, '_callback', None)!r}"
        self.call_exception_handler({"message": message, "exception": error, "handle": handle})

    # What asyncio asks for

    def time(self) -> float:
        """Return the run's logical time in seconds."""
        return self._host.now_s()

    def call_soon(  # type: ignore[override]  # typeshed types it by the callback's arguments
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Execute a callback after those that are ready. Nothing ever does on a loop that is evicted."""
        handle = _Ready(callback, args, self, copy_context() if context is None else context)
        if not self.is_evicting:
            self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]  # typeshed types it by the callback's arguments
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Execute a callback in `delay` seconds of logical time: a durable timer."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # typeshed types it by the callback's arguments
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> WorkflowTimer:
        """Execute a callback at a logical time in seconds: a durable timer, or at once where that has passed."""
        if math.isnan(when):
            raise ValueError("a timer needs a time, not NaN")
        timer = WorkflowTimer(when, callback, args, self, copy_context() if context is None else context)
        if self.is_evicting or when == math.inf:
            return timer
        if when <= self.time():
            self._ready.append(timer)
        else:
            timer._scheduled = True
            self._host.timer_opened(timer)
        return timer

    def _timer_handle_cancelled(self, timer: asyncio.TimerHandle) -> None:
        if isinstance(timer, WorkflowTimer) and timer._scheduled:
            timer._scheduled = False
            if not self.is_evicting:
                self._host.timer_closed(timer)

    def create_future(self) -> OrderedFuture[Any]:
        """Return a future of this loop."""
        return OrderedFuture(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
        **more: Any,
    ) -> OrderedTask[T]:
        """Return a task that executes `coro`. It is held until it ends.

        Raises:
            NotAllowedInWorkflow: `asyncio.as_completed` asks for it, and `coro` has no place in its set.
        """
        if self.is_evicting:
            return self._stillborn(coro)
        if is_unordered_in_as_completed(coro):
            coro.close()
            raise NotAllowedInWorkflow(
                "asyncio.as_completed puts what it is given into a set, and the order of coroutines there is not the"
                " same on replay. Give it tasks (asyncio.create_task) or durable calls, or use asyncio.gather."
            )
        task = OrderedTask(coro, loop=self, name=name, context=context, **more)
        self._tasks.append(task)
        return task

    def _stillborn(self, coro: Generator[Any, None, T] | Coroutine[Any, Any, T]) -> OrderedTask[T]:
        coro.close()
        task = OrderedTask(coro, loop=self)
        task._log_destroy_pending = False
        return task

    def is_running(self) -> bool:
        """Return whether it executes callbacks right now."""
        return self._is_running

    def is_closed(self) -> bool:
        """Return whether it has ended for good."""
        return self.is_evicting

    def close(self) -> None:
        """End it for good. What is unfinished stays where it stands: `eviction.evict` unwinds first."""
        if self._is_running:
            raise RuntimeError(f"{self!r} cannot be closed while it runs")
        self.abandon()

    def get_debug(self) -> bool:
        """Return False: there is no debug mode of its own."""
        return False

    def set_debug(self, enabled: object) -> None:
        """Take False, which it is."""
        if enabled:
            raise NotAllowedInWorkflow("a workflow's loop has no debug mode", method="set_debug")

    def get_task_factory(self) -> None:
        """Return None: the loop makes its tasks itself."""

    def set_task_factory(self, factory: object) -> None:
        """Take None, which it is."""
        if factory is not None:
            message = "loop.set_task_factory(): a workflow's loop makes its tasks itself, so that they are in order"
            raise NotAllowedInWorkflow(message, method="set_task_factory")

    def get_exception_handler(self) -> None:
        """Return None: the host hears of errors that nobody waits for."""

    def set_exception_handler(self, handler: object) -> None:
        """Take None, which it is."""
        if handler is not None:
            message = (
                "loop.set_exception_handler(): the handler would be called by the garbage collector, at moments that"
                " no replay repeats. The worker logs such errors; await your tasks to handle them yourself."
            )
            raise NotAllowedInWorkflow(message, method="set_exception_handler")

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Tell the host of an error that nobody waits for."""
        self.call_exception_handler(context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Tell the host of an error that nobody waits for; on a loop that is evicted, nobody."""
        if not self.is_evicting:
            self._host.callback_failed(context)

    async def shutdown_asyncgens(self) -> None:
        """Close the asynchronous generators that are open, the newest first."""
        for agen in self.open_asyncgens():
            await agen.aclose()

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Return: there is no executor."""

    def _asyncgen_begun(self, agen: AsyncGenerator[Any, Any]) -> None:
        known = self._asyncgens
        if known is None:
            known = self._asyncgens = []
        elif len(known) & len(known) - 1 == 0:  # whenever their number is a power of two
            known[:] = [seen for seen in known if (old := seen()) is not None and old.ag_frame is not None]
        known.append(weakref.ref(cast("AsyncGeneratorType[Any, Any]", agen)))

    def _asyncgen_dropped(self, agen: AsyncGenerator[Any, Any]) -> None:
        # What is dropped by the code follows from the code. What the collector finds, it finds at a moment that no
        # replay repeats, and the generator goes as it is.
        if asyncio._get_running_loop() is self and not (self.is_evicting or guard.collects()):
            _ = self.create_task(agen.aclose())

    # What nobody can replay

    run_forever = run_until_complete = stop = refused(DRIVEN)
    call_soon_threadsafe = refused("Other threads reach a run by its events: handle.events.<name>.send(...)")  # type: ignore[assignment]  # it refuses any arguments
    run_in_executor = set_default_executor = refused(MOVE)  # type: ignore[assignment]  # it refuses any arguments
    add_signal_handler = remove_signal_handler = refused("Signals belong to the worker, or your own program")  # type: ignore[assignment]  # it refuses any arguments
    add_reader = remove_reader = add_writer = remove_writer = refused(MOVE)  # type: ignore[assignment]  # it refuses any arguments
    getaddrinfo = getnameinfo = create_connection = create_server = create_unix_connection = refused(MOVE)
    create_unix_server = create_datagram_endpoint = connect_accepted_socket = start_tls = refused(MOVE)
    sendfile = connect_read_pipe = connect_write_pipe = subprocess_shell = subprocess_exec = refused(MOVE)
    sock_recv = sock_recv_into = sock_recvfrom = sock_recvfrom_into = sock_sendall = refused(MOVE)
    sock_sendto = sock_connect = sock_accept = sock_sendfile = refused(MOVE)


refuse_the_rest(WorkflowLoop)
