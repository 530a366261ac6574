"""A database that is there and of no use: dropped, being restored, read-only, a right withdrawn. The server outlives it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import asyncpg
import pytest
from msgspec import Raw

from aiki import Client, Run, Worker, task, workflow
from aiki.clock import ManualClock
from aiki.config import Config
from aiki.errors import InvalidInput, Unavailable
from aiki.model.wire import SendEvent
from aiki.model.working_set import Keys
from aiki.server.server import Server
from aiki.store.postgres.store import PostgresStore
from tests.postgres import Postgres, complete, execute, migrated
from tests.server.world import ServerWorld

LEASE_MS = 1_000
AWAY_S = 1.5  # longer than a lease


@task
async def double(n: int) -> int:
    return 2 * n


@workflow("napping").version("1")
async def napping_v1(run: Run, n: int) -> int:
    await run.sleep("nap", milliseconds=700)
    return await double.start(run, n)


class Mischief(NamedTuple):
    """What is done to a database, and how it is undone. `{name}` is the database, `{role}` that of the server."""

    done: tuple[str, ...]
    undone: tuple[str, ...]
    cuts: bool = True  # the connections of the server


CUT = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
)
MISCHIEF = {
    "another has its name": Mischief(
        ("ALTER DATABASE {name} ALLOW_CONNECTIONS false", CUT, "ALTER DATABASE {name} RENAME TO {name}_kept"),
        ("ALTER DATABASE {name}_kept RENAME TO {name}", "ALTER DATABASE {name} ALLOW_CONNECTIONS true"),
    ),
    "nobody may connect": Mischief(
        ("ALTER ROLE {role} NOLOGIN", CUT),
        ("ALTER ROLE {role} LOGIN",),
    ),
    "it is read-only": Mischief(
        ("ALTER DATABASE {name} SET default_transaction_read_only = on", CUT),
        ("ALTER DATABASE {name} RESET default_transaction_read_only",),
    ),
    "a right is withdrawn": Mischief(
        ("REVOKE ALL ON ALL TABLES IN SCHEMA aiki FROM {role}",),
        ("GRANT ALL ON ALL TABLES IN SCHEMA aiki TO {role}",),
        cuts=False,
    ),
    "its tables are away": Mischief(
        ("ALTER SCHEMA aiki RENAME TO elsewhere",),
        ("ALTER SCHEMA elsewhere RENAME TO aiki",),
        cuts=False,
    ),
}


class Place(NamedTuple):
    """A database of a test's own, and the role that serves from it."""

    admin: str
    own: str
    name: str
    role: str

    @property
    def url(self) -> str:
        return self.own.replace("postgres@", f"{self.role}@")

    async def do(self, mischief: Mischief, statements: tuple[str, ...]) -> None:
        told = [statement.format(name=self.name, role=self.role) for statement in statements]
        await execute(self.admin if mischief.cuts else self.own, *told)


@pytest.fixture
def place(postgres: Postgres, own_database: str) -> Iterator[Place]:
    name = f"{own_database.rpartition('/')[2]}_gone"
    place = Place(f"{postgres.url}/postgres", f"{postgres.url}/{name}", name, f"{name}_role")
    gone = (
        *(f"DROP DATABASE IF EXISTS {left} WITH (FORCE)" for left in (name, f"{name}_kept")),
        f"DROP ROLE IF EXISTS {place.role}",
    )
    complete(execute(place.admin, *gone, f"CREATE DATABASE {name}", f"CREATE ROLE {place.role} LOGIN"))
    complete(migrated(place.own))
    grants = (
        f"GRANT USAGE ON SCHEMA aiki TO {place.role}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA aiki TO {place.role}",
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA aiki TO {place.role}",
    )
    complete(execute(place.own, *grants))
    yield place
    complete(execute(place.admin, *gone))


@pytest.fixture
async def served(place: Place) -> AsyncIterator[Server]:
    config = Config(lease_ms=LEASE_MS, poll_wait_ms=300, sweep_ms=100)
    async with Server(place.url, config=config) as server:
        yield server


@pytest.mark.parametrize("kind", MISCHIEF)
async def test_a_server_whose_database_is_of_no_use_says_so_and_goes_on_when_it_is_back(
    place: Place, served: Server, kind: str
) -> None:
    mischief = MISCHIEF[kind]
    async with Client(transport=served.transport()) as client, Worker(client, [napping_v1]):
        handles = [await napping_v1.start(client, n) for n in range(10)]
        await place.do(mischief, mischief.done)
        await _all_is_refused(served, for_s=AWAY_S)
        await place.do(mischief, mischief.undone)

        assert [await handle.result(timeout=20) for handle in handles] == [2 * n for n in range(10)]
        assert await (await napping_v1.start(client, 21)).result(timeout=20) == 42
    assert not await _reasons(place) & {"worker_lost", "crashed"}


async def test_a_database_that_was_dropped_and_made_anew_is_served_without_what_it_held(
    place: Place, served: Server
) -> None:
    async with Client(transport=served.transport()) as client, Worker(client, [napping_v1]):
        assert await (await napping_v1.start(client, 1)).result(timeout=20) == 2
        await execute(place.own, "DROP SCHEMA aiki CASCADE")
        await _all_is_refused(served, for_s=0.5)
        await migrated(place.own)
        await execute(
            place.own,
            f"GRANT USAGE ON SCHEMA aiki TO {place.role}",
            f"GRANT ALL ON ALL TABLES IN SCHEMA aiki TO {place.role}",
            f"GRANT ALL ON ALL SEQUENCES IN SCHEMA aiki TO {place.role}",
        )

        assert await (await napping_v1.start(client, 21)).result(timeout=20) == 42


async def test_a_database_of_no_use_is_refused_at_once_when_it_is_opened(place: Place) -> None:
    with pytest.raises(
        InvalidInput, match=r'127\.0\.0\.1:\d+/nowhere cannot be used: database "nowhere" does not exist'
    ):
        await PostgresStore.open(place.own.replace(place.name, "nowhere"))
    await execute(place.own, f"REVOKE ALL ON ALL TABLES IN SCHEMA aiki FROM {place.role}")
    with pytest.raises(InvalidInput, match="cannot be used: permission denied for table migrations"):
        await PostgresStore.open(place.url)


async def test_of_a_read_only_database_even_what_writes_nothing_is_told(place: Place) -> None:
    store = await PostgresStore.open(place.url)
    await place.do(MISCHIEF["it is read-only"], MISCHIEF["it is read-only"].done)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await store.transaction(Keys(), lambda ws: None)
    await place.do(MISCHIEF["it is read-only"], MISCHIEF["it is read-only"].undone)

    await store.transaction(Keys(), lambda ws: None)
    await store.close()


async def _all_is_refused(server: Server, *, for_s: float) -> None:
    """Assert that whoever asks for a change is told to ask again, from when it is first noticed on."""
    loop = asyncio.get_running_loop()
    until = loop.time() + for_s
    world = ServerWorld(server, ManualClock())
    refused = 0
    while loop.time() < until or not refused:
        event = SendEvent("default", world.new_id(), world.new_id(), "go", Raw(b"1"))
        try:
            await world.calls.send([event])
        except Unavailable:
            refused += 1
        else:
            assert not refused, "it was answered while nothing can have been durable"
        await asyncio.sleep(0.02)


async def _reasons(place: Place) -> set[str]:
    connection = await asyncpg.connect(place.own)
    try:
        return {row["reason"] for row in await connection.fetch("SELECT DISTINCT reason FROM aiki.history")}
    finally:
        await connection.close()
