"""Tests in virtual time: the platform's own virtual loop, a fresh one for each test."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec, TypeVar

from aiki.testing import VirtualClock, VirtualLoop

P = ParamSpec("P")
T = TypeVar("T")

START_MS: Final = 1_700_000_000_000


def virtual_loop() -> VirtualLoop:
    """Return the running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def virtual_clock() -> VirtualClock:
    """Return a clock on the running loop's time; it begins at `START_MS`."""
    return VirtualClock(virtual_loop())


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
