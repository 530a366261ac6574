"""Several servers on one Postgres: any of them takes any request, and none has to be told what another has done."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

import aiki
from aiki import Client, Event, Events, Run, Worker, task, workflow
from aiki.clock import SystemClock
from aiki.config import Config
from aiki.server.hints import Heard, News


@task
async def double(n: int) -> int:
    return 2 * n


@workflow("doubling").version("1.0.0")
async def doubling_v1(run: Run, n: int) -> int:
    return await double.start(run, n)


class Approvals(Events):
    approved: Event[int]


@workflow("approving").version("1.0.0", events=Approvals)
async def approving_v1(run: Run[Approvals]) -> int:
    answer = await run.events.approved.wait(timeout=timedelta(minutes=5))
    return await double.start(run, answer.data)


@workflow("napping").version("1.0.0")
async def napping_v1(run: Run) -> float:
    before = run.now()
    await run.sleep("nap", milliseconds=700)
    return (run.now() - before).total_seconds()


class Shifted(SystemClock):
    """A machine whose clock is wrong by so many hours."""

    def __init__(self, hours: float) -> None:
        self._ahead_ms = int(hours * 3_600_000)

    def now_ms(self) -> int:
        return super().now_ms() + self._ahead_ms


@asynccontextmanager
async def servers(url: str, *hours: float, **settings: int) -> AsyncIterator[list[Client]]:
    """Give a client of each of as many servers as wrong clocks are named."""
    async with AsyncExitStack() as stack:
        clients = []
        for wrong in hours:
            server = aiki.Server(url, clock=Shifted(wrong), config=Config(**settings))
            clients.append(await stack.enter_async_context((await stack.enter_async_context(server)).client()))
        yield clients


async def test_what_is_started_at_one_server_is_done_by_a_worker_of_another_and_told_at_both(
    postgres_database: str,
) -> None:
    async with servers(postgres_database, 0, 0) as (first, second), Worker(second, [doubling_v1]):
        handles = [await doubling_v1.start(first, n) for n in range(20)]
        there = [doubling_v1.handle(second, handle.id) for handle in handles]

        async with asyncio.timeout(10):
            assert [await handle.result() for handle in handles] == [2 * n for n in range(20)]
            assert [await handle.result() for handle in there] == [2 * n for n in range(20)]


async def test_an_event_sent_to_one_server_reaches_a_run_that_is_parked_at_another(postgres_database: str) -> None:
    async with servers(postgres_database, 0, 0) as (first, second), Worker(second, [approving_v1]):
        handle = await approving_v1.start(first)
        async with asyncio.timeout(10):
            while (await handle.info()).status != "awaiting_event":
                await asyncio.sleep(0.02)
        await handle.events.approved.send(21)

        assert await handle.result(timeout=10) == 42


async def test_a_server_that_stops_leaves_its_runs_to_the_others(postgres_database: str) -> None:
    async with servers(postgres_database, 0) as (second,), Worker(second, [napping_v1]):
        async with servers(postgres_database, 0) as (first,):
            started = await napping_v1.start(first)
        slept = await napping_v1.handle(second, started.id).result(timeout=10)

        assert slept >= 0.7


@pytest.mark.parametrize("wrong", [(1.0, -1.0), (-1.0, 1.0)])
async def test_servers_whose_clocks_are_an_hour_wrong_ring_no_alarm_early_and_end_no_lease(
    postgres_database: str, wrong: tuple[float, float]
) -> None:
    async with (
        servers(postgres_database, *wrong, lease_ms=1_500, poll_wait_ms=500) as (first, second),
        Worker(first, [napping_v1], name="one"),
        Worker(second, [napping_v1], name="two"),
    ):
        handles = [await napping_v1.start(client) for client in (first, second) for _ in range(5)]
        slept = [await handle.result(timeout=20) for handle in handles]

        assert all(0.7 <= seconds < 5 for seconds in slept), slept
        assert not await _moves(postgres_database) & {"worker_lost", "crashed"}


async def test_a_server_hears_the_others_again_after_its_road_was_cut(postgres_database: str) -> None:
    async with servers(postgres_database, 0, 0) as (first, second), Worker(second, [doubling_v1]):
        await _cut_listeners(postgres_database)
        handles = [await doubling_v1.start(first, n) for n in range(20)]

        assert [await handle.result(timeout=10) for handle in handles] == [2 * n for n in range(20)]


async def _moves(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        return {row["reason"] for row in await connection.fetch("SELECT DISTINCT reason FROM aiki.history")}
    finally:
        await connection.close()


async def _cut_listeners(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database() AND query LIKE '%pg_notify%'"
        )
    finally:
        await connection.close()


class Deaf:
    """A road on which everything is lost."""

    def publish(self, news: News) -> None:
        pass

    async def listen(self, heard: Heard) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        pass


async def test_where_every_hint_is_lost_an_event_an_end_and_a_run_come_a_second_later(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiki.server.postgres_road.PostgresRoad", lambda _: Deaf())
    late_s = 1.5  # a sweep, and half of one for a machine that does much else
    async with (
        servers(postgres_database, 0, 0) as (first, second),
        Worker(second, [approving_v1, doubling_v1]),
    ):
        loop = asyncio.get_running_loop()
        for n in range(3):
            began = loop.time()
            handle = await doubling_v1.start(first, n)
            at_second = await doubling_v1.handle(second, handle.id).result(timeout=10)
            assert loop.time() - began < late_s, "a run that was ready"

            assert (at_second, await handle.result(timeout=10)) == (2 * n, 2 * n)
            assert loop.time() - began < 2 * late_s, "its end"

            parked = await approving_v1.start(first)
            async with asyncio.timeout(10):
                while (await parked.info()).status != "awaiting_event":
                    await asyncio.sleep(0.02)
            began = loop.time()
            await parked.events.approved.send(n)
            assert await approving_v1.handle(second, parked.id).result(timeout=10) == 2 * n
            assert loop.time() - began < late_s, "an event"
