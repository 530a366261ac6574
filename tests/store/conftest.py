"""The stores that the conformance suite runs on, each opened for one test.

A store that joins (Postgres) adds a driver here, and no test.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aiki.clock import ManualClock
from aiki.store.sqlite import SqliteStore
from tests.store.world import StoreWorld


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "file-inline", "file-thread"])
async def world(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[StoreWorld]:
    path = None if request.param == "memory" else tmp_path / "aiki.db"
    store = await SqliteStore.open(path, clock=clock, inline=request.param == "file-inline")
    yield StoreWorld(store, clock)
    await store.close()
