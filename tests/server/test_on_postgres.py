"""What a server does where its database refuses one command of many, goes away, or is shared with another."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from aiki.clock import Chance, ManualClock
from aiki.engine.commands import Start
from aiki.errors import InvalidInput, Unavailable
from aiki.model.views import RunFilter
from aiki.model.wire import Started
from aiki.server.server import Server
from tests.postgres import execute
from tests.server.world import ServerWorld

KILL = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND datname = current_database() AND application_name = 'aiki'"
)


@pytest.fixture
async def world(postgres_database: str, clock: ManualClock) -> AsyncIterator[ServerWorld]:
    async with Server(postgres_database, clock=clock, chance=Chance(seed=1), is_stepped=True) as server:
        yield ServerWorld(server, clock)


@pytest.mark.parametrize(
    "broken",
    [
        {"payload": b'"a\0b"'},
        {"workflow": "or\0der"},
        {"reference_id": "r\0"},
        {"payload": b'"\xff"'},
        {"tags": {"a": "\0"}},
    ],
)
async def test_a_command_that_the_database_refuses_fails_alone(world: ServerWorld, broken: dict[str, object]) -> None:
    requests = [world.start_request() for _ in range(20)]
    requests[7] = world.start_request(**broken)  # type: ignore[arg-type]

    asked = [world.server.pipeline.submit(Start(request)) for request in requests]
    answers = await world.do(asyncio.gather(*asked, return_exceptions=True))

    refused = answers.pop(7)
    assert isinstance(refused, InvalidInput)
    assert all(isinstance(answer, Started) and answer.problem is None for answer in answers)
    assert sum((await world.server.store.count(RunFilter())).values()) == 19


async def test_what_waits_while_connections_are_cut_is_done_all_the_same(world: ServerWorld) -> None:
    async def cut() -> None:
        for _ in range(5):
            await execute(world.server.store.address.url, KILL)  # type: ignore[attr-defined]

    async def starts() -> list[str]:
        made = []
        for _ in range(30):
            request = world.start_request()
            for attempt in range(10):
                try:
                    (started,) = await world.calls.start([request])
                except Unavailable:
                    assert attempt < 9
                else:
                    made.append(started.run_id)
                    break
        return made

    made, _ = await world.do(asyncio.gather(starts(), cut()))

    assert len(set(made)) == 30
    assert sum((await world.server.store.count(RunFilter())).values()) == 30


async def test_two_servers_of_one_database_take_each_others_requests(postgres_database: str) -> None:
    async with Server(postgres_database) as one, Server(postgres_database) as other:
        worlds = [ServerWorld(server, ManualClock()) for server in (one, other)]
        request = worlds[0].start_request(reference_id="once")
        again = worlds[0].start_request(reference_id="once")

        both = await asyncio.gather(one.transport().start([request]), other.transport().start([again]))
        run_ids = {started.run_id for (started,) in both}

        assert len(run_ids) == 1
        info = await other.transport().info("default", run_ids.pop())
        assert info is not None
        assert one.is_shared
        assert other.is_shared
