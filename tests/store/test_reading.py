"""What people and the server's loops read from a store, on every store."""

from functools import partial

import pytest
from msgspec import Raw
from msgspec.structs import replace

from aiki.errors import InvalidInput
from aiki.model.journal import EntryKind, Failure
from aiki.model.lifecycle import Reason, Status
from aiki.model.run import Queue, RunEnd, RunRow
from aiki.model.views import Bucket, QueueDepth, RunFilter, Served
from aiki.model.wire import Announce, Finished, VersionInfo
from aiki.model.working_set import History, RunValue, WorkingSet
from aiki.store.base import DueRun
from tests.store.world import INPUT, StoreWorld, entry, keys, mail, session, uid, wait


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
        (RunFilter(), {"a", "b", "c", "d"}),
        (RunFilter(workflow="order"), {"a", "b", "d"}),
        (RunFilter(version="2.0.0"), {"b"}),
        (RunFilter(status=(Status.SLEEPING, Status.FAILED)), {"b"}),
        (RunFilter(reference_id="order-1"), {"a"}),
        (RunFilter(parent_id=uid("a")), {"c"}),
        (RunFilter(tags={"team": "x"}), {"a", "b"}),
        (RunFilter(tags={"team": "x", "day": "1"}), {"a"}),
        (RunFilter(tags={"team": "y"}), set()),
        (RunFilter(started_after_ms=10), {"b", "c"}),
        (RunFilter(started_after_ms=10, started_before_ms=20), {"b"}),
        (RunFilter(created_after_ms=5), {"a", "b", "c", "d"}),
        (RunFilter(created_before_ms=7), {"a"}),
        (RunFilter(created_after_ms=7, created_before_ms=8), {"b"}),
        (RunFilter(finished_after_ms=30), {"d"}),
        (RunFilter(finished_before_ms=30), set()),
        (RunFilter(search="order-"), {"a", "d"}),
        (RunFilter(search="order-1"), {"a"}),
        (RunFilter(search="%"), set()),
        (RunFilter(search="order-", workflow="other"), set()),
        (RunFilter(status=(Status.COMPLETED, Status.SLEEPING)), {"b", "d"}),
        (RunFilter(namespace="none"), set()),
    ],
)
async def test_a_filter_narrows_a_list_and_a_count_alike(world: StoreWorld, wanted: RunFilter, found: set[str]) -> None:
    rows: tuple[tuple[RunRow, dict[str, str]], ...] = (
        (world.row(id=uid("a"), reference_id="order-1", started_at_ms=5, created_at_ms=5), {"team": "x", "day": "1"}),
        (
            world.row(id=uid("b"), version="2.0.0", status=Status.SLEEPING, started_at_ms=10, created_at_ms=7),
            {"team": "x"},
        ),
        (world.row(id=uid("c"), workflow="other", parent_id=uid("a"), started_at_ms=20, created_at_ms=9), {}),
        (
            world.row(
                id=uid("d"),
                reference_id="order-2",
                status=Status.COMPLETED,
                finished_at_ms=30,
                version="3",
                created_at_ms=9,
            ),
            {},
        ),
    )
    for row, tags in rows:
        await world.insert(row, tags=tags)

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


async def test_a_line_of_a_list_says_one_thing_that_it_waits_for_and_how_many_there_are(world: StoreWorld) -> None:
    waiting = {
        Status.SLEEPING: EntryKind.TIMER,
        Status.AWAITING_EVENT: EntryKind.EVENT,
        Status.AWAITING_CHILD: EntryKind.CHILD_RESULT,
        Status.AWAITING_RETRY: EntryKind.TASK,
    }
    for status, kind in waiting.items():
        run = await world.run(status=status, waits=3, due_at_ms=None)
        other = EntryKind.SLEEP if kind is EntryKind.EVENT else EntryKind.EVENT
        opened = [wait(2, kind=kind, address="b"), wait(1, kind=kind, address="a"), wait(0, kind=other)]
        for one in opened:
            await world.do(partial(WorkingSet.open_wait, run_id=run.id, wait=one))
    await world.run(status=Status.QUEUED)

    page = await world.store.list_runs(RunFilter())

    shown = {run.status: ([(one.kind, one.name) for one in run.waits], run.waits_count) for run in page.runs}
    assert shown == {
        **{status: ([(kind.value, "a")], 3) for status, kind in waiting.items()},
        Status.QUEUED: ([], 0),
    }


async def test_a_list_of_several_statuses_is_one_list_page_by_page(world: StoreWorld) -> None:
    made = []
    for status in (Status.SLEEPING, Status.COMPLETED, Status.QUEUED, Status.SLEEPING, Status.COMPLETED):
        world.clock.advance(milliseconds=1)
        made.append(await world.run(status=status, finished_at_ms=9 if status is Status.COMPLETED else None))
    wanted = RunFilter(status=(Status.SLEEPING, Status.COMPLETED), limit=3)

    first = await world.store.list_runs(wanted)
    rest = await world.store.list_runs(replace(wanted, cursor=first.next_cursor))

    shown = [run.id for page in (first, rest) for run in page.runs]
    assert shown == [run.id for run in reversed(made) if run.status is not Status.QUEUED]
    assert rest.next_cursor is None


async def test_a_tag_that_many_bear_finds_the_same_as_one_that_few_bear(
    world: StoreWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        world.clock.advance(milliseconds=1)
        await world.insert(world.row(id=uid(f"r{number}")), tags={"all": "1", "parity": str(number % 2)})
    wanted = RunFilter(tags={"all": "1", "parity": "1"}, limit=1)
    few = await world.store.list_runs(wanted)
    monkeypatch.setattr("aiki.store.reading.FEW_ROWS", -1)

    many = await world.store.list_runs(wanted)

    assert [run.id for run in few.runs] == [uid("r3")]
    assert (many, await world.store.count(wanted)) == (few, {Status.QUEUED: 2})


async def test_the_journal_of_an_earlier_attempt_and_chapter_is_read_by_its_name(world: StoreWorld) -> None:
    run = await world.run(seq=1, chapter=2, attempt=2)
    await world.do(
        lambda ws: ws.new_entries.extend(
            [(run.id, 1, 1, entry(1)), (run.id, 1, 1, entry(2)), (run.id, 2, 1, entry(1)), (run.id, 2, 2, entry(1))]
        )
    )

    first = await world.store.journal("default", run.id, after_seq=0, chapter=1, attempt=1)
    current = await world.store.journal("default", run.id, after_seq=0)
    none = await world.store.journal("default", run.id, after_seq=0, chapter=7)

    assert first is not None
    assert current is not None
    assert none is not None
    assert ([e.seq for e in first.entries], first.seq) == ([1, 2], 2)
    assert ([e.seq for e in current.entries], current.seq) == ([1], 1)
    assert (none.entries, none.seq) == ((), 0)


async def test_the_history_of_a_run_is_read_page_by_page(world: StoreWorld) -> None:
    run = await world.run()
    made = [
        History(run.id, at_ms, old, new, reason, note, worker=worker)
        for at_ms, old, new, reason, note, worker in (
            (1, None, Status.QUEUED, Reason.STARTED, None, None),
            (2, Status.QUEUED, Status.RUNNING, Reason.CLAIMED, "due", "w"),
            (3, Status.RUNNING, Status.COMPLETED, Reason.RETURNED, None, None),
        )
    ]
    await world.do(lambda ws: ws.history.extend(made))

    first = await world.store.moves("default", run.id, after=0, limit=2)
    assert first is not None
    assert first.next_after is not None
    rest = await world.store.moves("default", run.id, after=first.next_after, limit=2)

    assert rest is not None
    shown = [*first.moves, *rest.moves]
    assert [History(run.id, m.at_ms, m.old, m.new, m.reason, m.note, worker=m.worker) for m in shown] == made
    assert rest.next_after is None
    assert await world.store.moves("other", run.id, after=0, limit=2) is None


async def test_what_a_run_was_sent_is_read_whether_or_not_it_has_taken_it(world: StoreWorld) -> None:
    run = await world.run(mail=3)
    await world.do(
        *(lambda ws, number=number: ws.add_mail(run.id, mail(number)) for number in (1, 2, 3)),
        lambda ws: ws.read(run.id, [1]),
    )

    every = await world.store.inbox("default", run.id, after=0, limit=2, unread=False)
    unread = await world.store.inbox("default", run.id, after=0, limit=5, unread=True)

    assert every is not None
    assert unread is not None
    assert [(m.number, m.name, m.is_read, m.payload) for m in every.messages] == [
        (1, "paid", True, Raw(b'{"ok":true}')),
        (2, "paid", False, Raw(b'{"ok":true}')),
    ]
    assert every.next_after == 2
    assert ([m.number for m in unread.messages], unread.next_after) == ([2, 3], None)
    assert await world.store.inbox("other", run.id, after=0, limit=2, unread=False) is None


async def test_what_a_run_published_is_read_by_name_and_cut_by_its_size(world: StoreWorld) -> None:
    run = await world.run()
    long = Raw(b'"' + b"x" * 200_000 + b'"')
    await world.do(
        lambda ws: ws.new_values.extend([RunValue(run.id, "b", long), RunValue(run.id, "a", long)]),
        lambda ws: ws.new_values.append(RunValue(run.id, "c", Raw(b"1"))),
    )

    first = await world.store.published("default", run.id, after="", limit=5)
    rest = await world.store.published("default", run.id, after="a", limit=5)

    assert first is not None
    assert rest is not None
    assert ([v.name for v in first.values], first.next_after) == (["a"], "a")
    assert ([(v.name, len(v.value)) for v in rest.values], rest.next_after) == ([("b", len(long)), ("c", 1)], None)
    assert await world.store.published("other", run.id, after="", limit=5) is None


async def test_runs_are_counted_by_version_by_queue_and_by_when_they_began_and_ended(world: StoreWorld) -> None:
    await world.run(due_at_ms=40, created_at_ms=10)
    await world.run(due_at_ms=30, created_at_ms=29)
    await world.run(due_at_ms=50, pool="gpu", created_at_ms=30)
    await world.run(status=Status.FAILED, version="2", finished_at_ms=25, created_at_ms=5)
    await world.run(status=Status.COMPLETED, version="2", finished_at_ms=30, created_at_ms=5)
    await world.run(namespace="other")

    assert await world.store.versions_counted("default") == {
        ("order", "1.0.0"): {Status.QUEUED: 3},
        ("order", "2"): {Status.FAILED: 1, Status.COMPLETED: 1},
    }
    assert await world.store.queue_depths("default", limit=5) == [
        QueueDepth("order", "1.0.0", "", 2, 30),
        QueueDepth("order", "1.0.0", "gpu", 1, 50),
    ]
    assert await world.store.buckets("default", from_ms=10, bucket_ms=10, count=3) == [
        Bucket(10, started=1),
        Bucket(20, started=1, failed=1),
        Bucket(30, started=1, completed=1),
    ]


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


async def test_live_sessions_are_told_as_they_were_introduced_with_the_runs_that_they_have(world: StoreWorld) -> None:
    versions = (VersionInfo("order", "1.0.0", Raw(b"{}")),)
    said = Announce(uid("a"), "default", "kitchen", versions, ("", "gpu"), 10, "h", 7, "1.2")
    gone, over = session("b", expires_at_ms=5), session("c", is_over=True)
    await world.do(
        lambda ws: ws.put_session(session("a", worker="kitchen")),
        lambda ws: ws.put_session(session("d", worker="an older one")),
        *(partial(WorkingSet.put_session, row=row) for row in (gone, over)),
        lambda ws: ws.new_announcements.append(said),
    )
    await world.run(status=Status.RUNNING, session_id=uid("a"), epoch=1)

    older, kitchen = await world.store.present("default", now_ms=9, limit=5)

    assert (kitchen.session_id, kitchen.name, kitchen.held, kitchen.is_elsewhere) == (uid("a"), "kitchen", 1, True)
    assert (kitchen.host, kitchen.pid, kitchen.sdk, kitchen.pools, kitchen.capacity) == ("h", 7, "1.2", ("", "gpu"), 10)
    assert kitchen.versions == (Served("order", "1.0.0"),)
    assert (older.name, older.held, older.versions) == ("an older one", 0, ())
    assert await world.store.present("other", now_ms=9, limit=5) == []
    await world.do(lambda ws: ws.remove_session(uid("a")), keys=keys(sessions=[uid("a")]))
    assert [seen.name for seen in await world.store.present("default", now_ms=9, limit=5)] == ["an older one"]
