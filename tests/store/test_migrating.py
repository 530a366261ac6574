"""A migration that comes while servers of before are at work: they go on, and so does it."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator

import asyncpg
import pytest

import aiki
from aiki import Client, Run, Worker, current_task, task, workflow
from aiki.clock import SystemClock
from aiki.server.server import Server
from aiki.store.postgres import schema
from aiki.store.postgres.address import Address
from aiki.store.postgres.connecting import Connection, connect
from aiki.store.postgres.store import PostgresStore
from tests.postgres import Postgres, complete, execute, migrated

RUNS = 30  # at once
WAVES = 4
LATER = (
    "9999_later",
    """
    ALTER TABLE runs ADD COLUMN colour text;
    ALTER TABLE journal ADD COLUMN weight bigint NOT NULL DEFAULT 0;
    ALTER TABLE waits ADD COLUMN weight bigint NOT NULL DEFAULT 0;
    CREATE INDEX runs_colour ON runs (colour) WHERE colour IS NOT NULL;
    CREATE TABLE colours (name text PRIMARY KEY);
    """,
)

executed: Counter[str] = Counter()


@task
async def double(n: int) -> int:
    executed[current_task().idempotency_key] += 1
    return 2 * n


@workflow("napping").version("1")
async def napping_v1(run: Run, n: int) -> int:
    n = await double.start(run, n)
    await run.sleep("nap", milliseconds=50)
    return await double.start(run, n)


@pytest.fixture
def database(postgres: Postgres, own_database: str) -> Iterator[str]:
    """A database of this version, which a test may change."""
    name = f"{own_database.rpartition('/')[2]}_later"
    admin, drop = f"{postgres.url}/postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"
    complete(execute(admin, drop, f"CREATE DATABASE {name}"))
    complete(migrated(f"{postgres.url}/{name}"))
    yield f"{postgres.url}/{name}"
    complete(execute(admin, drop))


def of_a_later_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever migrates from here on know one migration more."""
    known = [*schema.migrations(), LATER]
    monkeypatch.setattr(schema, "migrations", lambda: known)


async def test_servers_of_before_go_on_while_two_apply_a_migration_at_once(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = Address.of(database)
    is_under_load = asyncio.Event()

    async def load(client: Client) -> None:
        for _ in range(WAVES):
            handles = await asyncio.gather(*(napping_v1.start(client, n) for n in range(RUNS)))
            assert [await handle.result(timeout=60) for handle in handles] == [4 * n for n in range(RUNS)]
            is_under_load.set()

    async with (
        Server(database) as first,
        Server(database) as second,
        Client(transport=first.transport()) as one,
        Client(transport=second.transport()) as other,
        Worker(one, [napping_v1], name="one"),
        Worker(other, [napping_v1], name="other"),
    ):
        loads = [asyncio.create_task(load(client)) for client in (one, other)]
        await is_under_load.wait()
        of_a_later_version(monkeypatch)
        both = await asyncio.gather(schema.on(address, schema.apply), schema.on(address, schema.apply))
        assert not all(task.done() for task in loads), "it came after the load"
        await asyncio.gather(*loads)

    assert sorted(both) == [[], [LATER[0]]]
    assert len(executed) == 2 * WAVES * RUNS * 2
    assert set(executed.values()) == {1}


async def test_who_waited_for_another_to_make_the_tables_goes_on_from_there(database: str) -> None:
    await execute(database, "DROP SCHEMA aiki CASCADE")
    address = Address.of(database)
    name, text = schema.migrations()[0]
    other = await connect(address, {})

    async def look_and_apply(connection: Connection, address: Address) -> list[str]:
        assert len(await schema.pending(connection, address)) == len(
            schema.migrations()
        )  # and remember that none is there
        return await schema.apply(connection, address)

    async with other.transaction():
        await other.execute(f"SELECT pg_advisory_xact_lock({schema.LOCK})")
        applying = asyncio.create_task(schema.on(address, look_and_apply))
        async with asyncio.timeout(20):
            while not await other.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
                await asyncio.sleep(0.01)
        await other.execute(
            "CREATE SCHEMA aiki; CREATE TABLE aiki.migrations (number bigint PRIMARY KEY, name text, applied_at timestamptz)"
        )
        await other.execute(text)
        await other.execute("INSERT INTO aiki.migrations (number, name) VALUES (1, $1)", name)

    assert await applying == [name for name, _ in schema.migrations()[1:]]
    await other.close()


async def test_a_migration_that_has_to_wait_for_a_table_lets_servers_pass(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, clock = Address.of(database), SystemClock()
    async with Server(database) as server, Client(transport=server.transport()) as client, Worker(client, [napping_v1]):
        of_a_later_version(monkeypatch)
        monkeypatch.setattr(schema, "LOCK_MS", 100)
        monkeypatch.setattr(schema, "PAUSE_S", 0.1)
        monkeypatch.setattr(schema, "ATTEMPTS_MAX", 1_000)
        reader = await asyncpg.connect(database)
        reading = reader.transaction()
        await reading.start()
        await reader.fetch("SELECT count(*) FROM aiki.runs")  # as a backup does, for hours
        migrating = asyncio.create_task(schema.on(address, schema.apply))
        began_ms = clock.monotonic_ms()
        for n in range(5):
            assert await (await napping_v1.start(client, n)).result(timeout=60) == 4 * n
        took_ms = clock.monotonic_ms() - began_ms
        assert not migrating.done()
        await reading.rollback()

        assert await migrating == [LATER[0]]
        assert took_ms < 20_000
        await reader.close()


async def test_who_cannot_get_a_table_at_all_hears_who_is_to_be_looked_for(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_a_later_version(monkeypatch)
    for name, value in {"LOCK_MS": 10, "PAUSE_S": 0, "ATTEMPTS_MAX": 3}.items():
        monkeypatch.setattr(schema, name, value)
    reader = await asyncpg.connect(database)
    async with reader.transaction():
        await reader.fetch("SELECT count(*) FROM aiki.runs")
        with pytest.raises(aiki.Unavailable, match=r"3 times\. See pg_stat_activity"):
            await schema.on(Address.of(database), schema.apply)
    await reader.close()


async def test_a_server_of_before_says_that_the_database_is_newer_and_goes_on(
    database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as later:
        of_a_later_version(later)
        await schema.on(Address.of(database), schema.apply)
    known = len(schema.migrations())

    with caplog.at_level(logging.WARNING):
        await (await PostgresStore.open(database)).close()

    assert f"is at migration {known + 1}, and this version of Aiki knows {known}" in caplog.text
    assert "Upgrade it before the next migration" in caplog.text
