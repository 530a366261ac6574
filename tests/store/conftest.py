"""The stores that the conformance suite runs on, each opened for one test.

A store that joins adds a driver here, and no test.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from aiki.clock import ManualClock
from aiki.store.base import Store
from aiki.store.postgres.store import PostgresStore
from aiki.store.sqlite import SqliteStore
from tests.store.world import StoreWorld


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


DATABASES: Final = {"postgres": "postgres_database", "pgbouncer": "pooled_database"}


@pytest.fixture(params=["memory", "file-inline", "file-thread", *DATABASES])
def driver(request: pytest.FixtureRequest) -> tuple[str, str]:
    name: str = request.param
    return name, request.getfixturevalue(DATABASES[name]) if name in DATABASES else ""


@pytest.fixture
async def world(driver: tuple[str, str], tmp_path: Path, clock: ManualClock) -> AsyncIterator[StoreWorld]:
    name, url = driver
    if name in DATABASES:
        store: Store = await PostgresStore.open(url, clock=clock)
    else:
        path = None if name == "memory" else tmp_path / "aiki.db"
        store = await SqliteStore.open(path, clock=clock, inline=name == "file-inline")
    yield StoreWorld(store, clock)
    await store.close()
