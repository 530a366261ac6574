"""The tests of the embedded platform run in virtual time; whatever else stands here, in real time, on both stores."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from aiki.testing import VirtualLoop


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the one loop that a test runs on."""
    if item.path.name.startswith("test_embedded_"):
        return {"virtual": VirtualLoop}
    return {"real": asyncio.new_event_loop}


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What `--database` is to be: a file, then a Postgres."""
    if request.param == "sqlite":
        return str(tmp_path / "steps.db")
    url: str = request.getfixturevalue("postgres_database")
    return url
