"""Virtual time for an event loop: when nothing is left to do, its clock jumps to the next timer.

The rule: time passes only while all is idle. Whatever can go on goes on first, calls in other threads are waited for, and
whatever else is `held`, sockets that are open get a moment, and only then does the clock move, by exactly as much as the nearest timer asks for.

Any loop of the standard library can be made virtual, also while it runs, and real again: its time then goes on from
where it is, so that no timer is early, late or lost. What it takes is asyncio's own: its selector, and `_run_once`
asking that and `time` anew each time; the tests of this file run on every Python that we support.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from math import ceil
from typing import Any, Final, TypeVar

__all__ = ["BEGINNING_MS", "VirtualClock", "VirtualLoop", "VirtualTime", "virtual_time"]

T = TypeVar("T")

MS_PER_S: Final = 1_000
US_PER_S: Final = 1_000_000
BEGINNING_MS: Final = 1_700_000_000_000
SOCKET_PATIENCE_S: Final = 0.05  # of real time: an answer that comes later than that after the last may be missed
OWN_SOCKETS: Final = 1  # the one by which other threads wake the loop


class VirtualTime:
    """The time of one loop, which is virtual while anybody wants it to be.

    Made by `VirtualTime.of`, once for each loop, and there for as long as the loop is.

    Attributes:
        began_ms: the loop's time when it first became virtual.
    """

    def __init__(self, loop: asyncio.BaseEventLoop) -> None:
        self.loop = loop
        self._real_time = loop.time
        self._run_in_executor = loop.run_in_executor
        self.began_ms: float | None = None
        self._ahead_s = 0.0  # of real time, while the loop lives in that
        self._now_us = 0  # whole, so that time goes on by something however much of it has passed
        self._wanted_by = 0
        self._holds = 0
        self._settling: list[asyncio.Future[None]] = []
        replaced = {
            "time": self.time,
            "run_in_executor": self.run_in_executor,
            "_selector": _JumpingSelector(getattr(loop, "_selector"), self),  # noqa: B009 - asyncio's own
            # What is due within it is due now. Its nanosecond is lost in the float of half a year.
            "_clock_resolution": 1 / US_PER_S,
        }
        for name, value in replaced.items():
            setattr(loop, name, value)

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> VirtualTime:
        """Return the time of a loop, which is made able to jump.

        Raises:
            RuntimeError: it is not one of the standard library.
        """
        found = getattr(loop.time, "__self__", None)
        if isinstance(found, VirtualTime):
            return found
        if not (isinstance(loop, asyncio.BaseEventLoop) and hasattr(loop, "_selector")):
            raise RuntimeError(
                f"the time of a {type(loop).__module__}.{type(loop).__qualname__} cannot be made virtual; that of asyncio's own"
                " loops can. Run the test on one: with asyncio.Runner(loop_factory=aiki.testing.VirtualLoop) as runner:"
                " runner.run(test())"
            )
        return cls(loop)

    @property
    def is_virtual(self) -> bool:
        """Whether it jumps now."""
        return self._wanted_by > 0

    def begin(self, *, at_s: float | None = None) -> None:
        """Make it virtual, from the moment on that it is, or from another."""
        if not self.is_virtual:
            self._now_us = ceil(round((self.time() if at_s is None else at_s) * US_PER_S, 3))
        if self.began_ms is None:
            self.began_ms = self._now_us * MS_PER_S / US_PER_S
        self._wanted_by += 1

    def end(self) -> None:
        """Make it real again, unless somebody else wants it to be virtual."""
        self._wanted_by -= 1
        self._ahead_s = self._now_us / US_PER_S - self._real_time()

    def time(self) -> float:
        """Return the loop's time in seconds."""
        return self._now_us / US_PER_S if self.is_virtual else self._real_time() + self._ahead_s

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Call a function in a thread; until it returns, no time passes."""
        running = self._run_in_executor(executor, func, *args)
        self._holds += 1
        running.add_done_callback(self._returned)
        return running

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no time pass while the block lasts: what it waits for comes from outside of this process."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1

    async def settle(self) -> None:
        """Wait until all that can happen without time passing has happened."""
        settled = self.loop.create_future()
        self._settling.append(settled)
        await settled

    def jump(self, seconds: float) -> None:
        """Let time pass in which the loop gets nothing done: how a process that is held up finds the world."""
        self._now_us += max(1, ceil(round(seconds * US_PER_S, 3)))  # never early, for all that floats are not exact

    def idle(self, wait_s: float | None) -> bool:
        """Nothing is left to do for `wait_s`; None: no timer is set. Return whether there is something to do now."""
        if self._holds:
            return False
        if self._settling:
            settling, self._settling = self._settling, []
            for settled in settling:
                if not settled.done():
                    settled.set_result(None)
            return True
        if wait_s is None:
            return False
        self.jump(wait_s)
        return True

    def _returned(self, _running: asyncio.Future[T]) -> None:
        self._holds -= 1


class _JumpingSelector:
    """Waits for sockets and other threads as the selector does that it stands before, and for the time not at all."""

    def __init__(self, selector: selectors.BaseSelector, time: VirtualTime) -> None:
        self._selector = selector
        self._time = time

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the selector has
        return getattr(self._selector, name)

    def select(self, timeout: float | None = None) -> list[Any]:
        if not self._time.is_virtual:
            return self._selector.select(timeout)
        ready = self._selector.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._has_sockets() and (ready := self._selector.select(SOCKET_PATIENCE_S)):
            return ready
        if self._time.idle(timeout):
            return []
        return self._selector.select(None)

    def _has_sockets(self) -> bool:
        registered = getattr(self._selector, "get_map", tuple)  # the one of Windows' own loop has none
        return len(registered()) > OWN_SOCKETS


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose timers take no time. It begins at 0.

    >>> async def nap() -> float:
    ...     await asyncio.sleep(86_400)
    ...     return asyncio.get_running_loop().time()
    >>> with asyncio.Runner(loop_factory=VirtualLoop) as runner:
    ...     runner.run(nap())
    86400.0
    """

    def __init__(self) -> None:
        super().__init__()
        self._virtual = VirtualTime(self)
        self._virtual.begin(at_s=0)

    async def settle(self) -> None:
        """Wait until all that can happen without time passing has happened."""
        await self._virtual.settle()

    def jump(self, seconds: float) -> None:
        """Let time pass in which this loop gets nothing done: how a process that is held up finds the world."""
        self._virtual.jump(seconds)


@contextmanager
def virtual_time() -> Iterator[VirtualTime]:
    """Let the running loop live in virtual time, for as long as the block lasts.

    Raises:
        RuntimeError: no loop runs, or it is not one of the standard library.

    >>> async def nap() -> str:
    ...     with virtual_time():
    ...         await asyncio.sleep(86_400)
    ...     return "rested"
    >>> asyncio.run(nap())
    'rested'
    """
    time = VirtualTime.of(asyncio.get_running_loop())
    time.begin()
    try:
        yield time
    finally:
        time.end()


class VirtualClock:
    """The clock of a loop in virtual time, as all parts of the platform are handed one.

    Args:
        loop: whose time it tells.
        at_zero_ms: wall time when the loop's own is 0, in milliseconds since 1970-01-01 UTC; by default some moment in 2023.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, at_zero_ms: int = BEGINNING_MS) -> None:
        self._loop = loop
        self._at_zero_ms = at_zero_ms

    def now_ms(self) -> int:
        """Return milliseconds since 1970-01-01 UTC."""
        return self._at_zero_ms + int(self.monotonic_ms())

    def monotonic_ms(self) -> float:
        """Return the loop's time in milliseconds, to the microsecond."""
        return round(self._loop.time() * MS_PER_S, 3)
