"""An event loop whose time jumps to its next timer as soon as nothing is ready: days pass in no time, in order."""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, Final, ParamSpec, TypeVar

from aiki.clock import ManualClock

P = ParamSpec("P")
T = TypeVar("T")

START_MS: Final = 1_700_000_000_000


THREAD_S: Final = 0.5  # how long threads may take for real before time goes on without them


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that does not wait for a timer but moves the clock to it."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self.in_threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; wait for real only for threads, and where no timer is set."""
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(THREAD_S if self.in_threads else 0)
        if not ready:
            self._clock.advance(seconds=timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop on a clock that jumps.

    Attributes:
        clock: the time that it keeps, for whoever is handed a clock.
    """

    def __init__(self) -> None:
        self.clock = ManualClock(now_ms=START_MS)
        self._jumping = _JumpingSelector(self.clock)
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the seconds since its beginning."""
        return (self.clock.monotonic_ms() - START_MS) / 1000

    def run_in_executor(  # type: ignore[override]  # typeshed types it by the function's arguments
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Call a function in a thread, and let time stand still for a moment while it works."""
        running = super().run_in_executor(executor, func, *args)
        self._jumping.in_threads += 1
        running.add_done_callback(self._left_thread)
        return running

    def _left_thread(self, _: object) -> None:
        self._jumping.in_threads -= 1


def virtual_clock() -> ManualClock:
    """Return the clock of the running virtual loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.clock


def virtually(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Make an async test one that runs on a loop of its own whose time jumps, and fails if a callback does."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        failures: list[dict[str, Any]] = []
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: failures.append(context))
            result = runner.run(test(*args, **kwargs))
        assert failures == []
        return result

    return run
