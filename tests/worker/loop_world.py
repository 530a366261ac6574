"""A small world for the workflow loop: a host whose time jumps from timer to timer, and keeps a log of all it hears."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiki.worker.loop import WorkflowLoop, WorkflowTimer
from aiki.worker.ordered import OrderedTask, base_of

T = TypeVar("T")

TURNS_MAX = 100_000


class World:
    """The host of one loop, and what is done with them."""

    def __init__(self, run_id: str = "01J9", *, base: int | None = None) -> None:
        self.time_s = 1_000.0
        self.timers: list[WorkflowTimer] = []
        self.log: list[tuple[str, float]] = []
        self.failures: list[dict[str, Any]] = []
        self.loop = WorkflowLoop(self, base=base_of(run_id) if base is None else base)

    def now_s(self) -> float:
        return self.time_s

    def timer_opened(self, timer: WorkflowTimer) -> None:
        heapq.heappush(self.timers, timer)
        self.log.append(("opened", timer.when() - 1_000))

    def timer_closed(self, timer: WorkflowTimer) -> None:
        self.timers.remove(timer)
        heapq.heapify(self.timers)
        self.log.append(("closed", timer.when() - 1_000))

    def callback_failed(self, context: dict[str, Any]) -> None:
        self.failures.append(context)

    def start(self, coro: Coroutine[Any, Any, T]) -> OrderedTask[T]:
        """Start a task and run until nothing is ready."""
        task = self.loop.create_task(coro)
        self.loop.run_until_idle()
        return task

    def suspend(self, coro: Coroutine[Any, Any, object]) -> None:
        """Start a task that does not end by itself."""
        assert not self.start(coro).done()

    def ring(self) -> None:
        """Let the time of the next timer come."""
        timer = heapq.heappop(self.timers)
        self.time_s = max(self.time_s, timer.when())
        self.loop.ring(timer)
        self.loop.run_until_idle()

    def finish(self, coro: Coroutine[Any, Any, T]) -> T:
        """Start a task, let time pass until it ends, and return its result."""
        task = self.start(coro)
        for _ in range(TURNS_MAX):
            if task.done():
                return task.result()
            self.ring()
        raise AssertionError(f"{task!r} does not end")


async def nap(seconds: float) -> float:
    """Sleep for so long, and tell how long it was."""
    await asyncio.sleep(seconds)
    return seconds
