"""How a suspended run is taken out of memory: its code is unwound, and nobody hears of it.

`Evicted` is thrown into each unfinished task, newest first, so that each one's end is met by nobody. The rule: an
eviction has no effect that anyone could see. The loop is closed before, so nothing is announced, scheduled or
reported; and what Python would print of frames that are dropped half way, it does not print.

Code that will not end (`while True: try: ... except: pass`) is thrown at `THROWS_MAX` times and then dropped where it
stands. Were it left to the garbage collector, it would be woken once more at any moment, in any thread and upon
another run's loop; so it is dropped here, while its own closed loop is the running one.

Synchronous statements in `finally` do run: Python cannot discard a frame without them.
"""

from __future__ import annotations

import asyncio
import re
import sys
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from aiki.worker import guard
from aiki.worker.loop import WorkflowLoop
from aiki.worker.ordered import OrderedTask

__all__ = ["THROWS_MAX", "Evicted", "evict"]

THROWS_MAX: Final = 100
"""How often `Evicted` is thrown into code that goes on waiting."""

_ROUNDS_MAX: Final = 10
"""How often asynchronous generators are closed that others began while they were closed."""

_NEVER_AWAITED: Final = ("ignore", re.compile("coroutine .*was never awaited", re.DOTALL), RuntimeWarning, None, 0)
_IGNORED_EXIT: Final = re.compile("(coroutine|generator) ignored GeneratorExit")

_undroppable: Final[list[object]] = []
"""Code that would not end and that the author's own variables hold: held here too, for nobody may wake it."""


class Evicted(BaseException):
    """Unwinds the code of a run that leaves memory. No author's `except Exception` catches it."""


@guard.boundary
def evict(loop: WorkflowLoop) -> None:
    """Unwind every task and asynchronous generator of this loop quietly, and close it for good.

    A second call does nothing.

    Raises:
        RuntimeError: the loop runs.
        KeyboardInterrupt: the user asked for it meanwhile; the loop is evicted all the same.
    """
    if loop.is_evicting:
        return
    interrupts: list[KeyboardInterrupt] = []
    before = loop.take_over()
    try:
        with _silence():
            unfinished = loop.abandon()
            while unfinished:
                _unwind_task(unfinished.pop(0), loop, interrupts)
            for _ in range(_ROUNDS_MAX):
                opened = loop.open_asyncgens()
                if not opened:
                    break
                while opened:
                    _unwind(opened.pop(0).aclose().throw, interrupts)
    finally:
        loop.give_back(before)
    if interrupts:
        raise interrupts[0]


def _unwind_task(task: OrderedTask[Any], loop: WorkflowLoop, interrupts: list[KeyboardInterrupt]) -> None:
    task._log_destroy_pending = False
    coro = task.get_coro()
    assert coro is not None, "only an eager task that has ended names no code"
    asyncio.tasks._enter_task(loop, task)
    try:
        has_ended = task.own_context.run(_unwind, coro.throw, interrupts)
    finally:
        asyncio.tasks._leave_task(loop, task)
    if has_ended:
        return
    held = weakref.ref(coro)
    del coro
    _let_go_of_code(task, loop)
    if (still := held()) is not None:
        _undroppable.append(still)


def _unwind(throw: Callable[[BaseException], object], interrupts: list[KeyboardInterrupt]) -> bool:
    """Throw `Evicted` until the code has ended; return whether it has."""
    try:
        for _ in range(THROWS_MAX):
            throw(Evicted())
    except Evicted as evicted:
        # A frame that holds the error would hold itself, and so what its variables name.
        traceback.clear_frames(evicted.__traceback__)
        return True
    except KeyboardInterrupt as interrupt:
        interrupts.append(interrupt)
        return True
    except BaseException:  # noqa: BLE001  # nobody is there to hear what the code has to say
        return True
    finally:
        del throw  # the traceback of an error that the code has kept leads to this frame, and so would back to the code
    return False


def _let_go_of_code(task: OrderedTask[Any], loop: WorkflowLoop) -> None:
    """Have the task name other code as its own, so that the code it had is dropped here and now."""
    ended = _nothing()
    ended.close()
    asyncio.Task.__init__(task, ended, loop=loop)
    task._log_destroy_pending = False


async def _nothing() -> None:
    """The code of a task that has lost its own."""


@contextmanager
def _silence() -> Iterator[None]:
    """Print nothing of coroutines that are dropped unawaited or half way. All else is told as ever."""
    told = sys.unraisablehook

    def tell(unraisable: sys.UnraisableHookArgs) -> None:
        error = unraisable.exc_value
        if not (isinstance(error, Evicted) or (isinstance(error, RuntimeError) and _IGNORED_EXIT.search(str(error)))):
            told(unraisable)

    # Put in and taken out by hand: the functions of `warnings` would make every warning of the process, printed once
    # and then known, be printed again.
    filters = cast("list[Any]", warnings.filters)
    filters.insert(0, _NEVER_AWAITED)
    sys.unraisablehook = tell
    try:
        yield
    finally:
        sys.unraisablehook = told
        filters.remove(_NEVER_AWAITED)
