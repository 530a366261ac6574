"""The embedded platform in virtual time: what `aiki.local` is made of, on a clock that jumps.

The rule: server, store, worker and sdk are the real ones. What differs is handed in: the clock, the loop, and a store
that needs no thread. It lives on whatever loop of asyncio's the test runs on, and leaves that as real as it was.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from os import PathLike
from typing import Any, Final, Unpack

from aiki.clock import Chance
from aiki.config import Config
from aiki.local import NAME, WorkerOptions
from aiki.sdk.client import Client
from aiki.sdk.convert import instant_ms
from aiki.sdk.workflow import Version
from aiki.server.server import Server
from aiki.testing.virtual import BEGINNING_MS, VirtualClock, VirtualTime, virtual_time
from aiki.worker.worker import Worker

__all__ = ["Environment", "local"]

WAIT_MS: Final = 12 * 3_600_000
CALM: Final = Config(
    lease_ms=2 * WAIT_MS, poll_wait_ms=WAIT_MS, result_wait_ms=WAIT_MS, sweep_ms=WAIT_MS, retention_ms=0
)
"""Days pass in a test, and nothing gets lost on the way: what only guards against that is done seldom. Nothing is deleted."""


class Environment(Client):
    """A client that moves the time, too. Made by `aiki.testing.local`."""

    async def settle(self) -> None:
        """Wait until all is idle: what happens next happens because time passes, or somebody asks for it."""
        await VirtualTime.of(asyncio.get_running_loop()).settle()

    async def advance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0, milliseconds: float = 0
    ) -> None:
        """Let the sum of what is given pass, with all that happens meanwhile, and settle."""
        passing = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds)
        await asyncio.sleep(passing.total_seconds())
        await self.settle()


@asynccontextmanager
async def local(
    workflows: Sequence[Version[..., Any, Any]] = (),
    *,
    database: str | PathLike[str] = ":memory:",
    now: datetime | None = None,
    seed: int | str | None = None,
    namespace: str = "default",
    **options: Unpack[WorkerOptions],
) -> AsyncIterator[Environment]:
    """Run the whole platform in virtual time, and give a client that can move the time.

    While the block lasts, time jumps to the next timer when all is idle, for everything that runs on this event loop; a
    timeout around the block counts virtual seconds, too.

    Args:
        workflows: the versions that are served. With none, runs are accepted and wait.
        database: a file, where a test opens one again; otherwise memory.
        now: the aware moment at which it begins; by default one in 2023, and after that where the loop's time has got to.
        seed: makes ids and jitter the same each time; None for others each time.
        namespace: the namespace of client and worker.
        options: those of the worker, as of `aiki.local`.

    Raises:
        RuntimeError: the running loop is not one of asyncio's own, and its time cannot be made virtual.
        ValueError: `now` is naive.

    >>> from aiki import Run, workflow
    >>> @workflow("nap").version("1")
    ... async def nap_v1(run: Run) -> str:
    ...     await run.sleep("nap", days=3)
    ...     return "rested"
    >>> async def test_a_nap() -> str:
    ...     async with local(workflows=[nap_v1]) as env:
    ...         handle = await nap_v1.start(env)
    ...         await env.advance(days=2)
    ...         assert (await handle.info()).status == "sleeping"
    ...         return await handle.result()
    >>> asyncio.run(test_a_nap())
    'rested'
    """
    async with AsyncExitStack() as stack:
        clock, chance = _clock(stack.enter_context(virtual_time()), now), Chance(seed=seed)
        server = await stack.enter_async_context(
            Server(database, clock=clock, chance=chance, config=CALM, inline=True, is_embedded=True)
        )
        env = await stack.enter_async_context(
            Environment(namespace=namespace, transport=server.transport(), clock=clock, chance=chance, wait_ms=WAIT_MS)
        )
        if workflows or options.get("schedules"):
            options.setdefault("name", NAME)
            await stack.enter_async_context(Worker(env, workflows, **options))
        yield env


def _clock(time: VirtualTime, now: datetime | None) -> VirtualClock:
    elapsed_ms = VirtualClock(time.loop, at_zero_ms=0).now_ms()
    began_ms = int(time.began_ms or 0)
    at_zero_ms = BEGINNING_MS - began_ms if now is None else instant_ms(now, "now") - elapsed_ms
    return VirtualClock(time.loop, at_zero_ms=at_zero_ms)
