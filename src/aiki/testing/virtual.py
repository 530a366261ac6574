"""An event loop that lives in virtual time: when nothing is left to do, its clock jumps to the next timer.

The rule: time passes only while all is idle. Whatever can go on goes on first, calls in other threads are waited for,
and only then does the clock move, by exactly as much as the nearest timer asks for. What waits for a socket is not seen.
"""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from math import ceil
from typing import Final, TypeVar, TypeVarTuple

__all__ = ["VirtualClock", "VirtualLoop"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MS_PER_S: Final = 1_000
US_PER_S: Final = 1_000_000
BEGINNING_MS: Final = 1_700_000_000_000


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose timers take no time.

    >>> async def nap() -> float:
    ...     await asyncio.sleep(86_400)
    ...     return asyncio.get_running_loop().time()
    >>> with asyncio.Runner(loop_factory=VirtualLoop) as runner:
    ...     runner.run(nap())
    86400.0
    """

    def __init__(self) -> None:
        self._now_us = 0  # whole, so that time goes on by something however much of it has passed
        self._in_threads = 0
        self._settling: list[asyncio.Future[None]] = []
        super().__init__(_JumpingSelector(self))
        # asyncio's own: what is due within it is due now. Its nanosecond is lost in the float of half a year.
        self._clock_resolution = 1 / US_PER_S

    def time(self) -> float:
        """Return the virtual time in seconds since the loop was made."""
        return self._now_us / US_PER_S

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Call a function in a thread; until it returns, no time passes."""
        running = super().run_in_executor(executor, func, *args)
        self._in_threads += 1
        running.add_done_callback(self._returned)
        return running

    async def settle(self) -> None:
        """Wait until all that can happen without time passing has happened."""
        settled = self.create_future()
        self._settling.append(settled)
        await settled

    def jump(self, seconds: float) -> None:
        """Let time pass in which this loop gets nothing done: how a process that is held up finds the world."""
        self._now_us += max(1, ceil(round(seconds * US_PER_S, 3)))  # never early, for all that floats are not exact

    def idle(self, wait_s: float | None) -> bool:
        """Nothing is left to do for `wait_s`; None: no timer is set. Return whether there is something to do now."""
        if self._in_threads:
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
        self._in_threads -= 1


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for other threads as any selector does, and for the time not at all."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0) or self._loop.idle(timeout):
            return ready
        return super().select(None)


class VirtualClock:
    """The clock of a virtual loop, as all parts of the platform are handed one."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now_ms(self) -> int:
        """Return milliseconds since 1970-01-01 UTC, counted from some moment in 2023."""
        return BEGINNING_MS + int(self.monotonic_ms())

    def monotonic_ms(self) -> float:
        """Return the loop's time in milliseconds, to the microsecond."""
        return round(self._loop.time() * MS_PER_S, 3)
