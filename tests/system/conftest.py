"""The tests of the embedded platform run in virtual time; whatever else stands here, in real time. All on both stores."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from aiki.testing import VirtualLoop
from tests.system.in_no_time import InNoTime

STORES: Final = ("sqlite", "postgres")
OF_FILES: Final = {
    "test_embedded_crashes.py",
    "test_embedded_saga.py",
    "test_embedded_end.py",
}  # look at the file itself


def _is_embedded(path: Path) -> bool:
    return path.name.startswith("test_embedded_")


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the one loop that a test runs on."""
    return {"virtual": VirtualLoop} if _is_embedded(item.path) else {"real": asyncio.new_event_loop}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let each test of the embedded platform run on both stores."""
    path = Path(metafunc.module.__file__ or "")
    if _is_embedded(path) and path.name not in OF_FILES:
        metafunc.parametrize("embedded_store", STORES, indirect=True)


@pytest.fixture(autouse=True)
def embedded_store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `aiki.testing.local` keeps its runs."""
    if getattr(request, "param", STORES[0]) == "postgres":
        monkeypatch.setattr(InNoTime, "url", request.getfixturevalue("postgres_database"))
        monkeypatch.setattr("aiki.server.server.SqliteStore.open", InNoTime.instead)
        monkeypatch.setattr("aiki.testing.virtual.SOCKET_PATIENCE_S", 0)


@pytest.fixture(params=STORES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What `--database` is to be: a file, then a Postgres."""
    if request.param == "sqlite":
        return str(tmp_path / "steps.db")
    url: str = request.getfixturevalue("postgres_database")
    return url
