"""What is deleted is gone from every table, and what is left is as it was."""

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from aiki.model.journal import EntryKind, MailKind
from aiki.model.lifecycle import Reason, Status
from aiki.model.run import NewRun, RunEnd, RunRow, Waiter
from aiki.model.wire import Announce, VersionInfo
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


async def test_a_chapter_or_an_attempt_is_dropped_and_no_other_is(world: StoreWorld) -> None:
    run = await world.run(chapter=3, attempt=2)
    places = [(1, 1), (2, 1), (3, 1), (3, 2)]

    def fill_all(ws: WorkingSet) -> None:
        for chapter, attempt in places:
            ws.new_entries.append((run.id, chapter, attempt, entry(1)))
            moved = History(run.id, chapter, Status.RUNNING, Status.QUEUED, Reason.HANDED_BACK, str(attempt))
            ws.history.append(replace(moved, chapter=chapter, attempt=attempt))

    def drop(ws: WorkingSet) -> None:
        ws.dropped_chapters.append((run.id, 1))
        ws.dropped_attempts.append((run.id, 3, 1))

    await world.do(fill_all)
    await world.do(drop)

    kept = [
        (chapter, attempt)
        for chapter, attempt in places
        if (page := await world.store.journal("default", run.id, after_seq=0, chapter=chapter, attempt=attempt))
        and page.entries
    ]
    assert kept == [(2, 1), (3, 2)]
    assert [(move.at_ms, move.note) for move in await world.store.history(run.id)] == [(2, "1"), (3, "2")]


async def test_of_a_trimmed_inbox_what_is_unread_stays_and_of_the_rest_the_ids(world: StoreWorld) -> None:
    run = await world.run(mail=4)
    result = mail(2, kind=MailKind.CHILD_RESULT, name=uid("child"))

    def receive(ws: WorkingSet) -> None:
        for received in (mail(1), result, mail(3), mail(4)):
            ws.add_mail(run.id, received)
        ws.read(run.id, [1, 2])

    async def known() -> set[str]:
        asked = {(run.id, mail(number).id) for number in (1, 2, 3, 4)}
        return {message_id for _, message_id in (await world.load(keys(messages=asked))).messages}

    def trim(ws: WorkingSet) -> None:
        ws.trimmed_inboxes.append(run.id)
        ws.read(run.id, [3])  # by the turn that ends the chapter: its turn comes with the next

    await world.do(receive)
    await world.do(trim)

    page = await world.store.inbox("default", run.id, after=0, limit=10, unread=False)
    assert page is not None
    assert [(shown.number, shown.is_read) for shown in page.messages] == [(3, True), (4, False)]
    assert await known() == {mail(number).id for number in (1, 3, 4)}
    wanted = keys(runs=[run.id])
    wanted.mail(run.id, after=0)
    assert (await world.load(wanted)).unread[run.id] == [mail(4)]

    await world.do(trim)
    page = await world.store.inbox("default", run.id, after=0, limit=10, unread=False)
    assert page is not None
    assert [shown.number for shown in page.messages] == [4]


async def test_versions_without_runs_and_workers_are_found_and_deleted_unless_announced_anew(world: StoreWorld) -> None:
    def announced(worker: str, *versions: str) -> Callable[[WorkingSet], None]:
        served = tuple(VersionInfo("order", version) for version in versions)
        announce = Announce(uid(worker), "default", worker, served, (), 1)
        return lambda ws: ws.new_announcements.append(announce)

    await world.do(announced("gone", "1.0.0", "0.9.0", "0.8.0"), announced("live", "2.0.0"))
    await world.do(lambda ws: ws.put_session(session("s", worker="live")))
    await world.run(version="1.0.0")
    at_ms = world.clock.now_ms()
    assert await world.store.unused_versions(until_ms=at_ms - 1, limit=10) == []
    found = await world.store.unused_versions(until_ms=at_ms, limit=10)
    assert sorted(found) == [("default", "order", "0.8.0", at_ms), ("default", "order", "0.9.0", at_ms)]

    world.clock.advance(seconds=1)
    await world.do(announced("new", "0.9.0"))
    await world.do(lambda ws: ws.removed_versions.extend(found))

    left = [version.version for _, version in await world.store.announcements(limit=10)]
    assert sorted(left) == ["0.9.0", "1.0.0", "2.0.0"]
