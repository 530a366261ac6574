"""What is Postgres' own: connections that are lost, migrations, the database's clock, and a fixed number of round trips."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

import asyncpg
import pytest
from msgspec import Raw
from msgspec.structs import replace

from aiki.clock import ManualClock
from aiki.errors import InvalidInput, Unavailable
from aiki.model.run import NewRun, RunRow
from aiki.model.views import RunFilter
from aiki.model.working_set import Keys, WorkingSet
from aiki.store.postgres import loading, saving, schema
from aiki.store.postgres.address import Address
from aiki.store.postgres.connecting import WRITING, connect
from aiki.store.postgres.store import READ, PostgresStore
from aiki.store.postgres.time import DatabaseClock
from aiki.store.sql import numbered
from tests.postgres import Postgres, complete, execute
from tests.store.interleaving import Side
from tests.store.world import INPUT, StoreWorld, keys

FINISHED: Final = 1_000_000 if os.environ.get("AIKI_FULL") else 20_000


@pytest.fixture
async def world(postgres_database: str) -> AsyncIterator[StoreWorld[PostgresStore]]:
    clock = ManualClock()
    store = await PostgresStore.open(postgres_database, clock=clock)
    yield StoreWorld(store, clock)
    await store.close()


@pytest.fixture
def fresh_database(postgres: Postgres, own_database: str) -> str:
    """A database without any tables."""
    name = f"{own_database.rpartition('/')[2]}_fresh"
    admin = f"{postgres.url}/postgres"
    complete(execute(admin, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}"))
    return f"{postgres.url}/{name}"


# ---------------------------------------------------------------------------------------------------------- migrations


async def test_a_database_with_pending_migrations_is_refused_with_the_command_that_applies_them(
    fresh_database: str,
) -> None:
    with pytest.raises(InvalidInput, match=r"lacks \d+ of Aiki's migrations \(0001_runs.*aiki migrate apply"):
        await PostgresStore.open(fresh_database)


async def test_of_two_who_migrate_at_once_one_applies_and_the_other_finds_nothing_to_do(fresh_database: str) -> None:
    address = Address.of(fresh_database)
    known = [name for name, _ in schema.migrations()]

    assert await schema.on(address, schema.pending) == known
    both = await asyncio.gather(schema.on(address, schema.apply), schema.on(address, schema.apply))

    assert sorted(name for applied in both for name in applied) == known
    assert await schema.on(address, schema.pending) == []
    await (await PostgresStore.open(fresh_database)).close()


async def test_a_schema_of_ones_own_holds_the_tables(fresh_database: str) -> None:
    url = f"{fresh_database}?schema=shop"
    await schema.on(Address.of(url), schema.apply)
    world = StoreWorld(await PostgresStore.open(url, clock=ManualClock()), ManualClock())
    run = await world.run()

    assert await world.row_of(run.id) == run
    with pytest.raises(InvalidInput, match="lacks"):
        await PostgresStore.open(fresh_database)
    await world.store.close()


async def test_an_old_server_goes_on_with_a_newer_schema(fresh_database: str) -> None:
    await schema.on(Address.of(fresh_database), schema.apply)
    await execute(fresh_database, "INSERT INTO aiki.migrations (number, name) VALUES (9999, 'from the future')")

    await (await PostgresStore.open(fresh_database)).close()


# --------------------------------------------------------------------------------------------------------- connections


async def test_a_server_that_is_away_is_named_without_a_password() -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1/shop") as refused:
        await PostgresStore.open("postgresql://me:secret@127.0.0.1:1/shop")

    assert "secret" not in str(refused.value)


async def test_a_lost_connection_is_unavailable_once_at_most_and_then_made_anew(
    world: StoreWorld[PostgresStore],
) -> None:
    run = await world.run()
    await _cut(world, world.store._writer)

    with suppress(Unavailable):  # unless the loss has been noticed before
        await world.change(run.id, turn=1)
    changed = await world.change(run.id, turn=2)

    assert await world.row_of(run.id) == changed


async def test_reads_do_not_notice_that_their_connections_were_lost(
    world: StoreWorld[PostgresStore], postgres_database: str
) -> None:
    run = await world.run()
    assert await world.store.info("default", run.id) is not None
    await execute(
        postgres_database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()",
    )

    assert await world.store.info("default", run.id) is not None


async def test_a_commit_of_which_the_answer_is_lost_is_unavailable_and_may_be_decided_again(
    world: StoreWorld[PostgresStore],
) -> None:
    row = world.row()
    assert world.store._writer is not None
    world.store._writer = _LosesTheAnswer(world.store._writer)  # type: ignore[assignment]

    def start(ws: WorkingSet) -> None:
        if row.id not in ws.runs:
            ws.insert_run(NewRun(row, INPUT))

    with pytest.raises(Unavailable):
        await world.do(start, keys=keys(runs=[row.id]))
    again = await world.do(start, keys=keys(runs=[row.id]))

    assert again.ws.new_runs == {}
    assert await world.row_of(row.id) == row


async def test_a_caller_that_goes_away_leaves_its_transaction_to_be_done(world: StoreWorld[PostgresStore]) -> None:
    row = world.row()
    task = asyncio.create_task(world.insert(row))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await world.row_of(row.id) == row


async def test_a_closed_store_says_so(postgres_database: str) -> None:
    store = await PostgresStore.open(postgres_database)
    await store.close()
    await store.close()

    with pytest.raises(Unavailable, match="closed"):
        await store.transaction(Keys(), lambda ws: None)
    with pytest.raises(Unavailable, match="closed"):
        await store.next_alarm_ms()


async def test_behind_a_pooler_nothing_is_expected_of_a_connection(postgres_database: str) -> None:
    store = await PostgresStore.open(f"{postgres_database}?statement_cache_size=0&pool_size=1", clock=ManualClock())
    world = StoreWorld(store, ManualClock())
    for _ in range(3):  # as if each transaction came to another connection
        run = await world.run()
        assert await world.row_of(run.id) == run
        assert await store.info("default", run.id) is not None
        assert store._writer is not None
        await store._writer.execute("DISCARD ALL")
        async with store._pool.acquire() as reader:
            assert await reader.fetchval("SHOW search_path") == '"$user", public'
            await reader.execute("DISCARD ALL")
    await store.close()


async def test_a_search_that_takes_too_long_is_ended_where_it_runs(
    world: StoreWorld[PostgresStore], postgres_database: str
) -> None:
    world.store._begin_search = world.store._begin_search.replace("5000", "50")
    search = RunFilter(workflow="order")
    assert (await world.store.list_runs(search)).runs == ()
    holder = await asyncpg.connect(postgres_database)
    async with holder.transaction():
        await holder.execute("LOCK TABLE aiki.runs IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(InvalidInput, match="too many runs"):
            await world.store.list_runs(search)
    await holder.close()

    assert (await world.store.list_runs(search)).runs == ()


async def test_however_many_search_the_server_finds_a_connection_for_its_alarms(
    world: StoreWorld[PostgresStore],
) -> None:
    slow = "SELECT pg_sleep(0.7)"
    searches = [asyncio.create_task(world.store._fetch(slow, (), is_search=True)) for _ in range(6)]
    await asyncio.sleep(0.1)
    await world.store.next_alarm_ms()

    assert not any(search.done() for search in searches)
    await asyncio.gather(*searches)


async def _cut(world: StoreWorld[PostgresStore], connection: Any) -> None:
    await execute(world.store.address.url, f"SELECT pg_terminate_backend({connection.get_server_pid()}, 5000)")


class _LosesTheAnswer:
    """A connection that is cut once it has committed."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, text: str, *values: Any) -> Any:
        answer = await self._connection.execute(text, *values)
        if text == "COMMIT":
            self._connection.terminate()
            raise ConnectionResetError("cut")
        return answer


# ---------------------------------------------------------------------------------------------------------------- time


async def test_the_databases_clock_judges_whatever_the_machine_says(postgres_database: str) -> None:
    behind, ahead = ManualClock(now_ms=1_000), ManualClock(now_ms=10**15)
    stores = [await PostgresStore.open(postgres_database, machine=machine) for machine in (behind, ahead)]
    connection = await asyncpg.connect(postgres_database)

    for store in stores:
        before = await connection.fetchval("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        now_ms = (await store.transaction(Keys(), lambda ws: None)).ws.now_ms
        after = await connection.fetchval("SELECT ceil(extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        assert before <= now_ms <= after
        assert before <= store.clock.now_ms() <= after
        await store.close()
    await connection.close()


def test_a_database_whose_clock_was_set_back_is_believed() -> None:
    machine = ManualClock()
    clock = DatabaseClock(machine)
    clock.note(3_600_000, asked_ms=machine.monotonic_ms())
    machine.advance(seconds=1)
    clock.note(1_000, asked_ms=machine.monotonic_ms() - 500)

    assert clock.now_ms() == 1_000


def test_a_machine_whose_clock_runs_fast_is_ahead_of_the_database_by_no_more_than_an_answer_takes() -> None:
    machine = ManualClock()
    clock = DatabaseClock(machine)
    for second in range(20_000):
        asked_ms = machine.monotonic_ms()
        machine.advance(milliseconds=3)
        clock.note(second * 1_000 + 1, asked_ms=asked_ms)
        assert clock.now_ms() - second * 1_000 <= 8
        machine.advance(milliseconds=998)  # a thousandth too fast


# --------------------------------------------------------------------------------------------------------- round trips


async def test_a_batch_takes_as_many_round_trips_as_a_single_command(world: StoreWorld[PostgresStore]) -> None:
    side = Side(world.store)

    async def trips(number: int) -> int:
        made = [world.row(reference_id=f"{number}-{n}") for n in range(number)]
        await world.insert(*made)
        before = side.statements
        wanted = keys(
            runs=[row.id for row in made],
            references=[("default", "order", row.reference_id or "") for row in made],
            finishing=[row.id for row in made],
            sessions=[row.id for row in made],
            ready={row.queue: 5 for row in made},
        )

        def change(ws: WorkingSet) -> None:
            for row in made:
                ws.put_run(replace(ws.runs[row.id], turn=1))
                ws.clear_waits(row.id)

        await world.do(change, keys=wanted)
        return side.statements - before

    assert await trips(1) == await trips(500) <= 10


# --------------------------------------------------------------------------------------------------------------- plans

COST_MAX: Final = 2_000  # in pages, about: what finds ten rows of each part by their keys costs less than half of it
RANGES: Final = {"due_runs", "undelivered"}  # a planner that knows no values takes a third of a range for wanted
PLANS: Final = {
    "runs": numbered(loading._LOAD["runs"]).text,
    "sessions": loading.SESSIONS,
    "schedules": loading.SCHEDULES,
    "naming": loading.NAMING.text,
    "ready": loading.READY.text,
    "gathering": loading.GATHERING.text,
    "claiming": loading.CLAIMING.text,
    "removing": saving.REMOVING.text,
    "writing": saving.WRITING.text,
} | {
    name: numbered(READ[name]).text
    for name in ("info", "id_by_reference", "ends", "journal_page", "due_runs", "next_alarm", "undelivered")
}


@pytest.fixture
def crowded(postgres_database: str) -> str:
    """A database with many finished runs, and what its planner knows of them."""
    id_ = "('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid"
    row = dict.fromkeys(RunRow.__struct_fields__, "0") | {
        "id": id_, "root_id": id_, "namespace": "'default'", "workflow": "'order'", "version": "'1.0.0'", "pool": "''",
        "reference_id": "'ref-' || n", "input_hash": "'h'", "parent_id": "NULL", "parent_close": "'abandon'",
        "status": "'completed'", "attempt": "1", "chapter": "1", "deadline_ms": "NULL", "alarm_at_ms": "NULL",
        "due_at_ms": "NULL", "session_id": "NULL", "parked_on": "NULL", "cancel": "NULL", "cancel_reason": "NULL",
        "timeout_ms": "NULL", "timeout_at_ms": "NULL", "retry": "'{}'", "clock_ms": "NULL", "why": "NULL",
        "cascade": "'none'", "created_at_ms": "n", "started_at_ms": "n", "finished_at_ms": "n", "pause_mail": "NULL",
        "failed_seq": "NULL", "schedule": "NULL",
    }  # fmt: skip
    many = f"generate_series(1, {FINISHED}) AS n"
    complete(
        execute(
            postgres_database,
            f"INSERT INTO aiki.runs ({', '.join(row)}) SELECT {', '.join(row.values())} FROM {many}",
            f"INSERT INTO aiki.inputs SELECT {id_}, '{{}}', '{{}}' FROM {many}",
            f"INSERT INTO aiki.ends SELECT {id_}, 'completed', '1', NULL FROM {many}",
            f"INSERT INTO aiki.journal SELECT {id_}, 1, 1, 1, '{{}}' FROM {many}",
            f"INSERT INTO aiki.inbox SELECT {id_}, 1, 'm', 'event', 'go', 0, 1, '{{}}' FROM {many}",
            "ANALYZE",
        )
    )
    return postgres_database


@pytest.mark.timeout(600)
async def test_nothing_that_is_asked_often_reads_all_finished_runs(crowded: str) -> None:
    connection = await connect(Address.of(crowded), WRITING)
    costly: dict[str, str] = {}
    for name, text in PLANS.items():
        nothing = ", ".join(["NULL"] * max(map(int, re.findall(r"\$(\d+)", text)), default=0))
        await connection.execute(f"PREPARE plan_of_{name} AS {text}")
        asked = f"EXPLAIN EXECUTE plan_of_{name}" + (f"({nothing})" if nothing else "")
        plan = "\n".join(line for (line,) in await connection.fetch(asked))
        cost = float(re.findall(r"\.\.([\d.]+) rows", plan)[0])
        if (cost > COST_MAX and name not in RANGES) or re.search(
            r"Seq Scan on (?:runs|inputs|ends|journal|inbox|tags|history)\b", plan
        ):
            costly[name] = plan
    await connection.close()

    assert costly == {}


async def test_the_commit_of_a_running_run_touches_no_index(
    world: StoreWorld[PostgresStore], postgres_database: str
) -> None:
    run = await world.run()
    looker = await asyncpg.connect(postgres_database)

    async def updates() -> tuple[int, int]:
        await looker.execute("SELECT pg_stat_clear_snapshot()")
        row = await looker.fetchrow(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_all_tables WHERE schemaname = 'aiki' AND relname = 'runs'"
        )
        assert row is not None
        return row[0], row[1]

    before, hot_before = await updates()
    for turn in range(10):
        await world.change(run.id, turn=turn + 1, seq=turn)
    await world.store.close()  # its counts are told at the end of the connection
    async with asyncio.timeout(20):
        while (await updates())[0] < before + 10:
            await asyncio.sleep(0.05)
    all_of_them, hot = await updates()
    await looker.close()

    assert hot - hot_before >= all_of_them - before - 1


def test_a_payload_is_kept_as_it_was_written() -> None:
    assert not re.search(r"\bjsonb?\b *(?:NOT NULL|,|COLLATE)", "".join(text for _, text in schema.migrations()))


async def test_a_payload_of_any_size_and_letters_comes_back(world: StoreWorld[PostgresStore]) -> None:
    payload = Raw(('"' + "ü€𝄞\\u0001" * 50_000 + '"').encode())
    row = world.row()
    await world.do(lambda ws: ws.insert_run(NewRun(row, payload)))

    shown = await world.store.info("default", row.id)

    assert shown is not None
    assert shown.input == payload
