"""What is deleted is gone from every table, and what is left is as it was."""

from functools import partial
from typing import Any

from msgspec import Raw

from aiki.model.journal import EntryKind
from aiki.model.lifecycle import Reason, Status
from aiki.model.run import NewRun, RunEnd, RunRow, Waiter
from aiki.model.working_set import History, RunValue, WorkingSet
from aiki.store.base import EndedRun
from aiki.store.opening import open_writer
from aiki.store.saving import DELETED_WITH_RUN
from aiki.store.sql import statements
from tests.store.world import StoreWorld, entry, keys, mail, session, uid, wait


def fill(ws: WorkingSet, run_id: str, *, target_id: str) -> None:
    ws.new_entries.append((run_id, 1, 1, entry(1)))
    ws.open_wait(run_id, wait(1))
    ws.open_wait(run_id, wait(2, kind=EntryKind.CHILD_RESULT, address=target_id))
    ws.add_waiter(Waiter(target_id, run_id, 0))
    ws.add_mail(run_id, mail(1))
    ws.add_mail(run_id, mail(2))
    ws.read(run_id, [1])
    ws.new_values.append(RunValue(run_id, "progress", Raw(b"1")))
    ws.end_run(run_id, RunEnd(Status.COMPLETED, output=Raw(b"7")))
    ws.history.append(History(run_id, 5, Status.RUNNING, Status.COMPLETED, Reason.RETURNED))


async def two_runs(world: StoreWorld) -> tuple[RunRow, RunRow]:
    gone, kept = (world.row(reference_id=name, seq=1, mail=2, waits=2) for name in ("a", "b"))
    await world.insert(gone, kept, tags={"city": "Oslo"})

    def fill_both(ws: WorkingSet) -> None:
        for row in (gone, kept):
            fill(ws, row.id, target_id=kept.id)

    await world.do(fill_both)
    return gone, kept


async def rows_of(world: StoreWorld, run_id: str) -> dict[str, Any]:
    """Whatever a store tells of a run, by whichever road."""
    store = world.store
    loaded = await world.load(keys(runs=[run_id], ends=[run_id], references=[("default", "order", "a")]))
    return {
        "row": loaded.runs.get(run_id),
        "end": loaded.ends.get(run_id),
        "reference": loaded.references,
        "info": await store.info("default", run_id),
        "journal": await store.journal("default", run_id, after_seq=0),
        "history": await store.history(run_id),
        "value": await store.value("default", run_id, "progress"),
    }


async def test_a_run_is_deleted_with_all_its_rows_and_no_other_is(world: StoreWorld) -> None:
    gone, kept = await two_runs(world)
    before = await rows_of(world, kept.id)

    await world.do(lambda ws: ws.remove_run(gone.id), keys=keys(runs=[gone.id]))

    assert [name for name, found in (await rows_of(world, gone.id)).items() if found] == []
    assert await rows_of(world, kept.id) == before | {"reference": {}}


async def test_a_run_may_be_started_anew_with_id_and_reference_of_one_that_is_deleted_with_it(
    world: StoreWorld,
) -> None:
    gone, _ = await two_runs(world)

    def replace_it(ws: WorkingSet) -> None:
        ws.remove_run(gone.id)
        ws.insert_run(NewRun(gone, Raw(b"1"), {"city": "Bergen"}))

    await world.do(replace_it, keys=keys(runs=[gone.id]))

    info = await world.store.info("default", gone.id)
    assert info is not None
    assert (info.tags, info.output, await world.store.history(gone.id)) == ({"city": "Bergen"}, Raw(b""), [])


def test_every_table_that_knows_runs_is_cleared_of_them_by_an_index() -> None:
    connection = open_writer(None, now_ms=0)
    save = statements("save", dialect="sqlite")
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    of_runs = {
        table
        for table in tables
        if table == "runs"
        or "run_id" in {column for _, column, *_ in connection.execute(f"PRAGMA table_info({table})")}
    }

    names = (*DELETED_WITH_RUN, "clear_waits", "clear_waiters")
    plans = {name: connection.execute(f"EXPLAIN QUERY PLAN {save[name]}", ("1",)).fetchone()[3] for name in names}

    assert {save[name].split()[2] for name in names} == of_runs
    assert [name for name, plan in plans.items() if not plan.startswith("SEARCH")] == []
    connection.close()


async def test_runs_are_found_in_the_order_of_their_ends_with_what_keeps_them(world: StoreWorld) -> None:
    def over(at_ms: int, **changed: Any) -> RunRow:
        return world.row(status=Status.COMPLETED, due_at_ms=None, finished_at_ms=at_ms, **changed)

    first, second = over(5, seq=2, mail=3), over(6)
    open_parent = world.row()
    of_open, of_ended, of_gone = (
        over(7, parent_id=open_parent.id),
        over(8, parent_id=first.id),
        over(9, parent_id=uid("x")),
    )
    telling, late = over(10, alarm_at_ms=3), over(11)
    await world.insert(late, telling, of_gone, of_ended, of_open, open_parent, second, first)

    found = await world.store.ended_runs(until_ms=10, after=(-1, ""), limit=10)

    assert found == [
        EndedRun(first.id, None, 5, 5, is_kept=False),
        EndedRun(second.id, None, 6, 0, is_kept=False),
        EndedRun(of_open.id, open_parent.id, 7, 0, is_kept=True),
        EndedRun(of_ended.id, first.id, 8, 0, is_kept=False),
        EndedRun(of_gone.id, uid("x"), 9, 0, is_kept=False),
        EndedRun(telling.id, None, 10, 0, is_kept=True),
    ]
    assert await world.store.ended_runs(until_ms=10, after=(6, second.id), limit=1) == found[2:3]
    assert await world.store.oldest_end_ms(after_ms=10) == 11
    assert await world.store.oldest_end_ms(after_ms=11) is None


async def test_sessions_that_are_over_are_found_and_deleted(world: StoreWorld) -> None:
    over, lately, live = (
        session("a", is_over=True, expires_at_ms=5),
        session("b", is_over=True, expires_at_ms=9),
        session("c"),
    )
    await world.do(*(partial(WorkingSet.put_session, row=row) for row in (over, lately, live)))
    assert await world.store.over_sessions(until_ms=8, limit=10) == [uid("a")]

    await world.do(lambda ws: ws.remove_session(uid("a")), keys=keys(sessions=[uid("a")]))

    assert (await world.load(keys(sessions=[uid(name) for name in "abc"]))).sessions == {
        uid("b"): lately,
        uid("c"): live,
    }
