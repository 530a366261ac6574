"""A server for each test, stepped by hand on a clock that is moved by hand: in memory, and on Postgres."""

from collections.abc import AsyncIterator

import pytest

from aiki.clock import Chance, ManualClock
from aiki.server.server import Server
from tests.server.world import ServerWorld


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return ":memory:"
    url: str = request.getfixturevalue("postgres_database")
    return url


@pytest.fixture
async def world(database: str, clock: ManualClock) -> AsyncIterator[ServerWorld]:
    async with Server(database, clock=clock, chance=Chance(seed=1), is_stepped=True) as server:
        yield ServerWorld(server, clock)
