"""What people and the server's loops read from a store, on every store."""

import pytest
from msgspec import Raw
from msgspec.structs import replace

from aiki.errors import InvalidInput
from aiki.model.journal import EntryKind, Failure
from aiki.model.lifecycle import Status
from aiki.model.run import Queue, RunEnd
from aiki.model.views import RunFilter
from aiki.model.wire import Finished
from aiki.model.working_set import WorkingSet
from aiki.store.base import DueRun
from tests.store.world import INPUT, StoreWorld, entry, keys, session, uid, wait


async def test_a_run_is_shown_with_payloads_waits_and_worker(world: StoreWorld) -> None:
    run = world.row(status=Status.RUNNING, session_id=uid("s"), reference_id="r", why="why", waits=1)
    await world.insert(run, tags={"team": "a"})
    await world.do(
        lambda ws: ws.put_session(session("s")), lambda ws: ws.open_wait(run.id, wait(1, kind=EntryKind.SLEEP))
    )

    shown = await world.store.info("default", run.id)

    assert shown is not None
    assert (shown.id, shown.status, shown.worker, shown.input, shown.tags) == (
        run.id,
        Status.RUNNING,
        "w",
        INPUT,
        {"team": "a"},
    )
    assert [(opened.kind, opened.name, opened.deadline_ms) for opened in shown.waits] == [("sleep", "paid", 99)]
    assert await world.store.by_reference("default", "order", "r") == shown
    assert await world.store.by_reference("default", "order", "none") is None
    assert await world.store.info("other", run.id) is None


async def test_an_ended_run_is_shown_with_its_output_or_error(world: StoreWorld) -> None:
    done, failed = await world.run(), await world.run()
    error = Failure("E", "no")
    await _end(world, done.id, RunEnd(Status.COMPLETED, Raw(b"null")))
    await _end(world, failed.id, RunEnd(Status.FAILED, error=error))

    shown = await world.store.info("default", done.id)
    broken = await world.store.info("default", failed.id)

    assert shown is not None
    assert (shown.status, shown.output, shown.error) == (Status.COMPLETED, Raw(b"null"), None)
    assert broken is not None
    assert (broken.status, broken.error) == (Status.FAILED, error)


async def test_ends_tell_the_finished_from_the_open_and_leave_out_the_unknown(world: StoreWorld) -> None:
    done, still_open, hidden = await world.run(), await world.run(), await world.run(namespace="other")
    await _end(world, done.id, RunEnd(Status.COMPLETED, Raw(b"5")))

    ends = await world.store.ends("default", [done.id, still_open.id, hidden.id, "unknown", uid("unknown")])

    assert ends == {done.id: Finished(done.id, Status.COMPLETED, Raw(b"5")), still_open.id: None}


async def test_a_list_has_the_newest_first_and_goes_on_where_the_page_ended(world: StoreWorld) -> None:
    made = []
    for number in range(5):
        if number % 2:
            world.clock.advance(milliseconds=1)  # some are made in the same millisecond
        made.append(await world.run())
    await world.run(namespace="other")

    first = await world.store.list_runs(RunFilter(limit=2))
    second = await world.store.list_runs(RunFilter(limit=2, cursor=first.next_cursor))
    third = await world.store.list_runs(RunFilter(limit=2, cursor=second.next_cursor))

    newest_first = sorted(made, key=lambda run: (run.created_at_ms, run.id), reverse=True)
    assert [run.id for page in (first, second, third) for run in page.runs] == [run.id for run in newest_first]
    assert third.next_cursor is None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (RunFilter(), {"a", "b", "c"}),
        (RunFilter(workflow="order"), {"a", "b"}),
        (RunFilter(version="2.0.0"), {"b"}),
        (RunFilter(status=(Status.SLEEPING, Status.FAILED)), {"b"}),
        (RunFilter(reference_id="r"), {"a"}),
        (RunFilter(parent_id=uid("a")), {"c"}),
        (RunFilter(tags={"team": "x"}), {"a", "b"}),
        (RunFilter(tags={"team": "x", "day": "1"}), {"a"}),
        (RunFilter(tags={"team": "y"}), set()),
        (RunFilter(started_after_ms=10), {"b", "c"}),
        (RunFilter(started_after_ms=10, started_before_ms=20), {"b"}),
        (RunFilter(namespace="none"), set()),
    ],
)
async def test_a_filter_narrows_a_list_and_a_count_alike(world: StoreWorld, wanted: RunFilter, found: set[str]) -> None:
    await world.insert(world.row(id=uid("a"), reference_id="r", started_at_ms=5), tags={"team": "x", "day": "1"})
    await world.insert(
        world.row(id=uid("b"), version="2.0.0", status=Status.SLEEPING, started_at_ms=10), tags={"team": "x"}
    )
    await world.insert(world.row(id=uid("c"), workflow="other", parent_id=uid("a"), started_at_ms=20))

    page = await world.store.list_runs(wanted)

    assert {run.id for run in page.runs} == {uid(name) for name in found}
    assert sum((await world.store.count(wanted)).values()) == len(found)


@pytest.mark.parametrize("broken", [{"cursor": "nonsense"}, {"cursor": "-1.x"}, {"limit": 0}, {"limit": 501}])
async def test_a_page_that_cannot_be_is_refused(world: StoreWorld, broken: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        await world.store.list_runs(replace(RunFilter(), **broken))


async def test_people_read_the_journal_of_a_run_of_their_namespace(world: StoreWorld) -> None:
    run = await world.run(seq=2)
    await world.do(lambda ws: ws.new_entries.extend((run.id, 1, 1, entry(seq)) for seq in (1, 2)))

    page = await world.store.journal("default", run.id, after_seq=1)

    assert page is not None
    assert (page.entries, page.seq, page.has_more) == ((entry(2),), 2, False)
    assert await world.store.journal("other", run.id, after_seq=0) is None


async def test_the_nearest_alarm_and_the_due_are_found_at_their_time(world: StoreWorld) -> None:
    assert await world.store.next_alarm_ms() is None
    late = await world.run(status=Status.FAILED, finished_at_ms=1, alarm_at_ms=200)
    early = await world.run(status=Status.SLEEPING, alarm_at_ms=100)

    assert await world.store.next_alarm_ms() == 100
    assert await world.store.due_runs(now_ms=99, limit=10) == []
    assert await world.store.due_runs(now_ms=200, limit=10) == [DueRun(early.id, False), DueRun(late.id, True)]
    assert await world.store.due_runs(now_ms=200, limit=1) == [DueRun(early.id, False)]


async def test_sessions_are_found_live_expired_and_with_runs_still_to_return(world: StoreWorld) -> None:
    await world.do(lambda ws: ws.put_session(session("a", expires_at_ms=10)), lambda ws: ws.put_session(session("b")))
    await world.do(lambda ws: ws.put_session(session("over", is_over=True)))
    await world.run(status=Status.RUNNING, session_id=uid("over"))
    await world.run(status=Status.RUNNING, session_id=uid("b"))

    assert await world.store.expired_sessions(now_ms=9, limit=10) == []
    assert await world.store.expired_sessions(now_ms=10, limit=10) == [uid("a")]
    assert await world.store.live_sessions(limit=10) == [uid("a"), uid("b")]
    assert await world.store.unreturned_sessions(limit=10) == [uid("over")]


async def test_what_waits_is_read_queue_by_queue_in_the_order_of_its_queue(world: StoreWorld) -> None:
    rows = [
        world.row(status=Status.QUEUED, due_at_ms=30),
        world.row(status=Status.QUEUED, due_at_ms=20),
        world.row(status=Status.QUEUED, due_at_ms=25, priority=1),
        world.row(status=Status.QUEUED, due_at_ms=20, pool="gpu"),
        world.row(status=Status.QUEUED, due_at_ms=40, pool="gpu"),
        world.row(status=Status.SLEEPING, alarm_at_ms=9),
    ]
    for row in rows:
        await world.insert(row)

    found = await world.store.waiting_runs(due_before_ms=39, limit=2)

    assert [(run.id, run.queue.pool, run.priority, run.due_at_ms) for run in found] == [
        (rows[2].id, "", 1, 25),
        (rows[1].id, "", 0, 20),
        (rows[3].id, "gpu", 0, 20),
    ]


async def test_queues_with_ready_runs_are_found_and_what_lies_there_too_long(world: StoreWorld) -> None:
    old = await world.run(due_at_ms=10)
    await world.run(due_at_ms=20)
    await world.run(pool="gpu", due_at_ms=30)
    await world.run(version="2.0.0", status=Status.SLEEPING)

    plain, gpu = Queue("default", "order", "1.0.0"), Queue("default", "order", "1.0.0", "gpu")
    assert await world.store.ready_queues([plain, Queue("default", "order", "2.0.0"), gpu]) == [plain, gpu]
    assert await world.store.undelivered(due_before_ms=15, limit=10) == [old.id]


async def _end(world: StoreWorld, run_id: str, end: RunEnd) -> None:
    def finish(ws: WorkingSet) -> None:
        ws.put_run(replace(ws.runs[run_id], status=end.status, finished_at_ms=5))
        ws.end_run(run_id, end)

    await world.do(finish, keys=keys(runs=[run_id]))
