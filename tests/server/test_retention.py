"""What ended long ago is deleted beside the load: rows reach a steady state, and nobody waits for the tidying up."""

import os
import sqlite3
from typing import Final

import pytest
from msgspec import Raw

from aiki.clock import ManualClock
from aiki.config import RETENTION_MS_LEAST, Config
from aiki.engine import retention
from aiki.engine.commands import DeleteRun
from aiki.model.journal import Entry
from aiki.model.lifecycle import Status
from aiki.model.many import StartJob
from aiki.model.views import RunFilter
from aiki.model.wire import Outcome, SendEvent, Standing, StartRun, WaitRequest
from aiki.model.working_set import WorkingSet
from aiki.server.retention import BATCH_ROWS, BATCH_RUNS, FORGOTTEN_AT_ONCE
from aiki.server.server import Server
from aiki.store.lane import InlineLane
from aiki.store.sqlite import SqliteStore
from tests.server.world import PlayedWorker, ServerWorld, event, turn

HOUR_MS: Final = 3_600_000
KEPT: Final = Config(retention_ms=HOUR_MS)
STEADY_RUNS: Final = 50_000 if os.environ.get("AIKI_FULL") else 4_000
BURST: Final = 500


def serving(clock: ManualClock, config: Config = KEPT) -> Server:
    return Server(":memory:", clock=clock, config=config, is_stepped=True)


async def finish(world: ServerWorld, worker: PlayedWorker, starts: list[StartRun]) -> None:
    """Start runs and have them all completed."""
    await world.do(world.calls.start(starts))
    assignments = (await worker.poll()).assignments
    assert len(assignments) == len(starts)
    await worker.commit(*(turn(assignment, Outcome.COMPLETED) for assignment in assignments))


async def pass_time(world: ServerWorld, *, minutes: int) -> None:
    for _ in range(minutes):
        world.clock.advance(minutes=1)
        await world.step()


async def count(world: ServerWorld) -> int:
    return sum((await world.server.store.count(RunFilter())).values())


def connection_of(server: Server) -> sqlite3.Connection:
    assert isinstance(server.store, SqliteStore)
    lane = server.store._writer
    assert isinstance(lane, InlineLane)
    return lane._connection


def rows_by_table(server: Server) -> dict[str, int]:
    connection = connection_of(server)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}


async def test_a_run_is_deleted_once_its_time_is_over_and_others_hear_that_there_is_none(clock: ManualClock) -> None:
    async with serving(clock) as server:
        world = ServerWorld(server, clock)
        worker = await world.worker()
        start = world.start_request(reference_id="r")
        await finish(world, worker, [start])

        await pass_time(world, minutes=58)
        assert (await world.info(start.run_id)).status is Status.COMPLETED
        await pass_time(world, minutes=3)

        assert await world.server.store.info("default", start.run_id) is None
        waited = await world.do(world.calls.wait(WaitRequest("default", "me", 1, add=(start.run_id,))))
        (finished,) = waited.finished
        assert finished.problem is not None
        assert finished.problem.code == "run_not_found"
        assert not (await world.start(reference_id="r")).existed


async def test_with_a_retention_of_0_runs_are_kept_for_ever(clock: ManualClock) -> None:
    async with serving(clock, Config(retention_ms=0)) as server:
        world = ServerWorld(server, clock)
        await finish(world, await world.worker(), [world.start_request()])

        for _ in range(20):
            clock.advance(days=365)
            await world.step()

        assert await count(world) == 1


def test_a_retention_that_a_repeated_start_could_outlive_is_refused() -> None:
    with pytest.raises(ValueError, match="must be 0, for ever, or at least 60,000"):
        Config(retention_ms=RETENTION_MS_LEAST - 1)


async def test_under_a_steady_load_the_rows_of_every_table_reach_a_steady_state(clock: ManualClock) -> None:
    async with serving(clock, Config(retention_ms=10 * RETENTION_MS_LEAST)) as server:
        world = ServerWorld(server, clock)
        highest: list[dict[str, int]] = []
        for burst in range(STEADY_RUNS // BURST):
            worker = await world.worker(capacity=BURST)
            starts = [world.start_request(reference_id=f"r-{burst}-{n}", tags={"n": "1"}) for n in range(BURST)]
            await finish(world, worker, starts)
            await worker.goodbye()
            clock.advance(minutes=5)
            await world.step()
            highest.append(rows_by_table(server))

        assert world.server.retention.deleted > STEADY_RUNS - 5 * BURST
        half = len(highest) // 2
        settled, later = highest[half], highest[-1]
        grown = {table: (settled[table], rows) for table, rows in later.items() if rows > settled[table] * 1.1 + 12}
        assert grown == {}
        assert later["runs"] <= 4 * BURST


async def test_jobs_and_versions_go_as_fast_as_they_come(clock: ManualClock) -> None:
    async with serving(clock) as server:
        world = ServerWorld(server, clock)
        many = 2 * FORGOTTEN_AT_ONCE + 1
        run_id = await world.run(workflow="another")
        for _ in range(many):
            await world.do(server.service.bulk.start(StartJob(world.new_id(), "default", "pause", run_ids=(run_id,))))
        worker = await world.worker(workflows=tuple(f"w-{number}" for number in range(many)))
        await worker.goodbye()
        await world.step()
        before = rows_by_table(server)
        assert (before["bulk_jobs"], before["workflows"]) == (many, many)

        clock.advance(days=8)
        await world.step()

        after = rows_by_table(server)
        assert (after["bulk_jobs"], after["workflows"]) == (0, 0)


async def test_so_few_are_deleted_at_once_that_commits_do_not_wait(clock: ManualClock) -> None:
    async with serving(clock) as server:
        world = ServerWorld(server, clock)
        worker = await world.worker(capacity=1_000)
        await finish(world, worker, [world.start_request() for _ in range(3 * BATCH_RUNS)])
        sizes: list[int] = []
        server.observers.append(lambda ws: sizes.append(len(ws.removed_runs)))

        await pass_time(world, minutes=62)

        assert [size for size in sizes if size] == [BATCH_RUNS] * 3


async def test_runs_with_many_rows_are_deleted_fewer_at_once(clock: ManualClock) -> None:
    async with serving(clock) as server:
        world = ServerWorld(server, clock)
        worker = await world.worker()
        await finish(world, worker, [world.start_request() for _ in range(4)])
        connection = connection_of(server)
        connection.execute("UPDATE runs SET mail = ?", (BATCH_ROWS // 2,))
        sizes: list[int] = []
        server.observers.append(lambda ws: sizes.append(len(ws.removed_runs)))

        await pass_time(world, minutes=62)

        assert [size for size in sizes if size] == [2, 2]


async def test_what_is_kept_for_an_open_parent_holds_up_nobody_behind_it(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiki.server.retention.LOOKED_AT_ROWS", 2)
    async with serving(clock) as server:
        world = ServerWorld(server, clock)
        worker = await world.worker()
        parent_id = await world.run(delay_ms=100 * HOUR_MS)
        await finish(world, worker, [world.start_request() for _ in range(5)])
        connection = connection_of(server)
        kept = [
            row[0] for row in connection.execute("SELECT id FROM runs WHERE status = 'completed' ORDER BY id LIMIT 3")
        ]
        connection.executemany("UPDATE runs SET parent_id = ? WHERE id = ?", [(parent_id, run_id) for run_id in kept])

        await pass_time(world, minutes=62)
        assert sorted(run.id for run in (await world.server.store.list_runs(RunFilter())).runs) == sorted(
            [parent_id, *kept]
        )

        await world.control(parent_id, "terminate")
        await pass_time(world, minutes=62)
        assert await count(world) == 0


async def test_a_run_that_the_engine_fails_on_stops_neither_the_loop_nor_the_others(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(clock) as server:
        world = ServerWorld(server, clock)
        starts = [world.start_request() for _ in range(3)]
        await finish(world, await world.worker(), starts)
        judge = retention.delete

        def fail(ws: WorkingSet, asked: DeleteRun) -> Standing:
            if asked.run_id == starts[1].run_id:
                raise LookupError("a bug")
            return judge(ws, asked)

        monkeypatch.setattr("aiki.engine.retention.delete", fail)
        await pass_time(world, minutes=62)

        assert [run.id for run in (await world.server.store.list_runs(RunFilter())).runs] == [starts[1].run_id]


async def test_a_run_that_goes_on_as_new_for_ever_keeps_no_more_than_its_last_chapters(clock: ManualClock) -> None:
    async with serving(clock) as server:
        world = ServerWorld(server, clock)
        worker = await world.worker()
        run_id = await world.run()
        highest: list[dict[str, int]] = []
        for chapter in range(1, 31):
            assignment = await worker.claim()
            waits = event("go")
            await worker.suspend(assignment, waits)
            await world.send(run_id, "go", b'"a day\'s orders"')
            assignment = await worker.claim()
            (mail,) = assignment.mail
            taken = Entry(1, waits.key, asked=0, at_ms=clock.now_ms(), mail=mail.number, result=mail.payload)
            await worker.commit(
                turn(assignment, Outcome.CONTINUED, entries=(taken,), replace_waits=True, input=Raw(b"%d" % chapter))
            )
            await worker.hand_back()
            highest.append(rows_by_table(server))

        assert (await world.info(run_id)).chapter == 31
        for table in ("journal", "history", "waits", "inputs", "runs"):
            assert highest[9][table] == highest[-1][table]
        mails = connection_of(server).execute("SELECT mail FROM inbox ORDER BY number").fetchall()
        assert [mail for (mail,) in mails[:-1]] == [""] * 29
        first = connection_of(server).execute("SELECT message_id FROM inbox WHERE number = 1").fetchone()[0]
        again = SendEvent("default", run_id, first, "go", Raw(b"1"))
        assert [standing.changed for standing in await world.do(world.calls.send([again]))] == [True]
        assert len(connection_of(server).execute("SELECT 1 FROM inbox").fetchall()) == 30
