"""A server for each test, stepped by hand on a clock that is moved by hand."""

from collections.abc import AsyncIterator

import pytest

from aiki.clock import Chance, ManualClock
from aiki.server.server import Server
from tests.server.world import ServerWorld


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def world(clock: ManualClock) -> AsyncIterator[ServerWorld]:
    async with Server(":memory:", clock=clock, chance=Chance(seed=1), is_stepped=True) as server:
        yield ServerWorld(server, clock)
