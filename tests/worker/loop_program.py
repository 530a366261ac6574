"""A program full of what asyncio and authors keep in sets, and the trace of the order that it finds them in."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

from aiki.worker.ordered import OrderedCoroutine, OrderingLoop
from tests.worker.loop_world import World, nap


class Call(OrderedCoroutine[float]):
    """A durable call as the worker has them: a coroutine of our own class."""

    __slots__ = ("_loop", "seconds")

    def __init__(self, loop: OrderingLoop, seconds: float) -> None:
        super().__init__(loop)
        self._loop = loop
        self.seconds = seconds

    def steps(self) -> Generator[Any, Any, float]:
        future = self._loop.create_future()
        timer = self._loop.call_later(self.seconds, future.set_result, self.seconds)
        try:
            yield from future
        finally:
            timer.cancel()
        return self.seconds


async def race(log: list[str], size: int) -> None:
    tasks = {asyncio.create_task(nap(1 + number % 3), name=f"t{number}") for number in range(size)}
    for policy in (asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED):
        done, tasks = await asyncio.wait(tasks, return_when=policy, timeout=1)
        log.append(" ".join(task.get_name() for task in done) + " | " + " ".join(task.get_name() for task in tasks))
        if not tasks:
            break


async def cancelled_group(log: list[str], size: int) -> None:
    async def child(number: int) -> None:
        try:
            await nap(100 if number != size // 2 else 1)
            raise ValueError(number)
        finally:
            log.append(f"c{number}")

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(size):
                _ = group.create_task(child(number))
    except* ValueError as errors:
        log.append(str(errors.exceptions))


async def program(log: list[str]) -> None:
    """Whatever asyncio and authors keep in sets."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, OrderingLoop)
    ballast = []
    for size in (1, 3, 5, 9, 20, 50):
        await race(log, size)
        await cancelled_group(log, size)
        ballast.append([object() for _ in range(size * 7)])  # moves what comes after to other addresses
        calls = {Call(loop, seconds % 4) for seconds in range(size)}
        log.append(" ".join(str(call.seconds) for call in calls))
        log.append(str(await asyncio.gather(*calls)))
        gathered = {asyncio.gather(nap(number), nap(1)) for number in range(size)}
        log.append(str([(await future)[0] for future in gathered]))
        log.append(
            str([await first for first in asyncio.as_completed({Call(loop, number % 3) for number in range(size)})])
        )
        futures = {loop.create_future() for _ in range(size)}
        for number, future in enumerate(futures):
            future.add_done_callback(lambda done: log.append(f"f{done.result()}"))
            future.set_result(number)
        mixed: set[object] = {asyncio.create_task(nap(0)), Call(loop, 0), loop.create_future(), loop.call_later(1, int)}
        log.append(" ".join(type(thing).__name__ for thing in mixed))
        log.append(" ".join(task.get_name() for task in asyncio.all_tasks()))
        await nap(2)


def trace(run_id: str = "01J9", *, base: int | None = None) -> str:
    world, log = World(run_id, base=base), list[str]()
    world.finish(program(log))
    return "\n".join([*log, str(world.log)])
