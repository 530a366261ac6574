"""What a transaction of a store loads, saves and answers, on every store."""

from functools import partial

import pytest
from msgspec import Raw
from msgspec.structs import replace

from aiki.model.journal import EMPTY, EntryKind, Failure, Mail, MailKind
from aiki.model.lifecycle import Reason, Status
from aiki.model.retry import Retry
from aiki.model.run import CancelKind, Cascade, NewRun, ParentClose, Queue, RunEnd, Waiter
from aiki.model.wire import Announce, VersionInfo
from aiki.model.working_set import CASCADE_ROWS, EXPIRY_ROWS, Claim, History, Keys, RunValue, WorkingSet
from aiki.store.base import StoreRefused
from tests.store.world import INPUT, StoreWorld, entry, keys, mail, session, uid, wait

QUEUE = Queue("default", "order", "1.0.0")
RUN = uid("r")


async def test_a_run_comes_back_as_it_was_saved(world: StoreWorld) -> None:
    full = world.row(
        pool="gpu",
        reference_id="order-1",
        parent_id=uid("p"),
        parent_close=ParentClose.CANCEL,
        root_id=uid("r"),
        status=Status.RUNNING,
        session_id=uid("s"),
        epoch=3,
        turn=4,
        attempt=2,
        chapter=2,
        seq=9,
        mail=1,
        effects=2,
        waits=1,
        deadline_ms=1,
        alarm_at_ms=2,
        due_at_ms=None,
        priority=-3,
        parked_on=uid("s0"),
        claimed_poll=8,
        crashes=1,
        cancel=CancelKind.TIMEOUT,
        cancel_reason="late",
        cancel_delivered=True,
        timeout_ms=5,
        timeout_at_ms=6,
        retry=Retry.exponential(3, 1.5),
        clock_ms=7,
        why="why",
        has_children=True,
        cascade=Cascade.FOLLOWING,
        started_at_ms=8,
    )
    bare = world.row()

    await world.insert(full, bare)

    assert await world.row_of(full.id) == full
    assert await world.row_of(bare.id) == bare


async def test_a_changed_run_comes_back_as_it_was_changed(world: StoreWorld) -> None:
    run = await world.run()
    changed = {
        "status": Status.RUNNING,
        "session_id": uid("s"),
        "epoch": 1,
        "turn": 2,
        "seq": 3,
        "clock_ms": 4,
        "cancel": CancelKind.PERSON,
        "cancel_delivered": True,
        "input_hash": "other",
        "alarm_at_ms": 5,
    }

    await world.change(run.id, **changed)
    stayed = await world.change(run.id, turn=3, seq=4)

    assert await world.row_of(run.id) == replace(run, **changed | {"turn": 3, "seq": 4}, version_no=2) == stayed


async def test_what_decide_raises_leaves_nothing_behind(world: StoreWorld) -> None:
    run = await world.run()

    def decide(ws: WorkingSet) -> None:
        ws.put_run(replace(ws.runs[run.id], turn=7))
        raise LookupError("no")

    with pytest.raises(LookupError):
        await world.store.transaction(keys(runs=[run.id]), decide)

    assert await world.row_of(run.id) == run


@pytest.mark.parametrize(
    "broken",
    [
        {"status": Status.RUNNING},
        {"session_id": uid("s")},
        {"due_at_ms": None},
        {"status": Status.SCHEDULED},
        {"status": Status.STALLED, "alarm_at_ms": 5},
        {"status": Status.COMPLETED},
        {"finished_at_ms": 5},
        {"turn": -1},
        {"seq": 2**63},
        {"why": "\ud800"},
    ],
)
async def test_an_impossible_row_is_refused_and_nothing_of_its_transaction_stays(
    world: StoreWorld, broken: dict[str, object]
) -> None:
    run = await world.run()
    other = world.row()

    def decide(ws: WorkingSet) -> None:
        ws.insert_run(NewRun(other, INPUT))
        ws.put_run(replace(ws.runs[run.id], **broken))

    with pytest.raises(StoreRefused) as refused:
        await world.store.transaction(keys(runs=[run.id]), decide)

    assert {"move_runs", "advance_runs"} & set(refused.value.statement.split(" or "))
    assert (await world.load(keys(runs=[run.id, other.id]))).runs == {run.id: run}


async def test_a_payload_that_is_no_text_is_refused(world: StoreWorld) -> None:
    row = world.row()

    with pytest.raises(StoreRefused, match="insert_inputs"):
        await world.do(lambda ws: ws.insert_run(NewRun(row, Raw(b'"\xff"'))))

    assert (await world.load(keys(runs=[row.id]))).runs == {}


async def test_a_reference_id_belongs_to_one_run_of_a_workflow_and_namespace(world: StoreWorld) -> None:
    first = await world.run(reference_id="r")
    await world.run(reference_id="r", workflow="other")
    await world.run(reference_id="r", namespace="other")

    with pytest.raises(StoreRefused, match="insert_runs"):
        await world.run(reference_id="r", version="2.0.0")

    loaded = await world.load(keys(references=[("default", "order", "r"), ("default", "order", "none")]))
    assert loaded.references == {("default", "order", "r"): first.id}
    assert loaded.runs == {first.id: first}


async def test_now_is_the_clocks_and_never_before_what_was_loaded(world: StoreWorld) -> None:
    run = await world.run(created_at_ms=world.clock.now_ms() + 500)

    assert (await world.load(keys(runs=[run.id]))).now_ms == run.created_at_ms
    assert (await world.load(Keys())).now_ms == world.clock.now_ms()


async def test_the_ready_come_by_priority_and_then_by_the_time_they_were_due(world: StoreWorld) -> None:
    late = await world.run(due_at_ms=30)
    early = await world.run(due_at_ms=10)
    urgent = await world.run(due_at_ms=50, priority=5)
    await world.run(version="2.0.0")
    await world.run(status=Status.SLEEPING)

    loaded = await world.load(keys(ready={QUEUE: 10}))
    cut = await world.load(keys(ready={QUEUE: 2}))

    assert loaded.ready == {QUEUE: [urgent.id, early.id, late.id]}
    assert loaded.runs == {run.id: run for run in (urgent, early, late)}
    assert cut.ready == {QUEUE: [urgent.id, early.id]}


async def test_the_runs_of_a_session_are_loaded_whole_or_as_many_as_one_transaction_returns(world: StoreWorld) -> None:
    mine = [world.row(status=Status.RUNNING, session_id=uid("s1")) for _ in range(EXPIRY_ROWS + 1)]
    await world.insert(*mine, world.row(status=Status.RUNNING, session_id=uid("s2")))

    owned = await world.load(keys(owned=[uid("s1"), uid("s3")]))
    expiring = await world.load(keys(expiring=[uid("s1")]))

    assert sorted(owned.owned[uid("s1")]) == sorted(run.id for run in mine) == sorted(owned.runs)
    assert owned.owned[uid("s3")] == []
    assert len(expiring.expiring[uid("s1")]) == EXPIRY_ROWS


async def test_a_lost_run_that_is_to_be_cancelled_is_loaded_with_its_waiters(world: StoreWorld) -> None:
    lost = await world.run(status=Status.RUNNING, session_id=uid("s1"), cancel=CancelKind.PERSON)
    other = await world.run(status=Status.RUNNING, session_id=uid("s1"))
    waiting = await world.run()
    waiters = [Waiter(lost.id, waiting.id, 0), Waiter(other.id, waiting.id, 0)]
    await world.do(*(partial(WorkingSet.add_waiter, waiter=waiter) for waiter in waiters))

    loaded = await world.load(keys(expiring=[uid("s1")]))

    assert loaded.waiters == {lost.id: [waiters[0]]}
    assert waiting.id in loaded.runs


async def test_children_are_picked_for_cancelling_as_the_cascade_says(world: StoreWorld) -> None:
    parent = await world.run(
        status=Status.COMPLETED, finished_at_ms=1, due_at_ms=None, has_children=True, cascade=Cascade.FOLLOWING
    )
    follows = await world.run(parent_id=parent.id, parent_close=ParentClose.CANCEL)
    stays = await world.run(parent_id=parent.id)
    await world.run(parent_id=parent.id, cancel=CancelKind.PERSON)
    await world.run(parent_id=parent.id, status=Status.FAILED, finished_at_ms=1)

    following = await world.load(keys(cascading=[parent.id]))
    await world.change(parent.id, cascade=Cascade.ALL)
    everyone = await world.load(keys(cascading=[parent.id]))
    await world.change(parent.id, cascade=Cascade.NONE)
    nobody = await world.load(keys(cascading=[parent.id]))

    assert following.cascading == {parent.id: [follows.id]}
    assert set(everyone.cascading[parent.id]) == {follows.id, stays.id} <= everyone.runs.keys()
    assert nobody.cascading == {}


async def test_at_most_so_many_children_are_cancelled_in_one_transaction(world: StoreWorld) -> None:
    parent = await world.run(cascade=Cascade.ALL, has_children=True)
    await world.insert(*(world.row(parent_id=parent.id) for _ in range(CASCADE_ROWS + 1)))

    loaded = await world.load(keys(cascading=[parent.id]))

    assert len(loaded.cascading[parent.id]) == CASCADE_ROWS


async def test_who_may_end_is_loaded_with_its_waiters_and_their_runs(world: StoreWorld) -> None:
    target, waiting, child = await world.run(), await world.run(), await world.run(parent_id=uid("p"))
    waiters = [Waiter(target.id, waiting.id, 0), Waiter(target.id, waiting.id, 1), Waiter(child.id, waiting.id, 0)]
    await world.do(*(partial(WorkingSet.add_waiter, waiter=waiter) for waiter in waiters))
    await world.do(lambda ws: ws.add_waiter(waiters[0]))  # again is once

    loaded = await world.load(keys(finishing=[target.id]))
    await world.do(lambda ws: ws.remove_waiter(waiters[0]))
    less = await world.load(keys(finishing=[target.id]))
    await world.do(lambda ws: ws.clear_waits(waiting.id))
    none = await world.load(keys(finishing=[target.id, child.id]))

    assert loaded.waiters == {target.id: waiters[:2]}
    assert loaded.runs.keys() == {target.id, waiting.id}
    assert less.waiters == {target.id: [waiters[1]]}
    assert none.waiters == {target.id: [], child.id: []}


async def test_an_end_is_read_as_it_was_written_and_forgotten_when_the_run_is_tried_again(world: StoreWorld) -> None:
    run = await world.run()
    end = RunEnd(Status.FAILED, error=Failure("shop.Broke", "no money", details=Raw(b'{"n":1}')))

    def finish(ws: WorkingSet) -> None:
        ws.put_run(replace(ws.runs[run.id], status=Status.FAILED, finished_at_ms=5))
        ws.end_run(run.id, end)

    await world.do(finish, keys=keys(runs=[run.id]))
    ended = await world.load(keys(ends=[run.id], runs=[run.id]))
    await world.change(run.id, status=Status.QUEUED, finished_at_ms=None)
    reopened = await world.load(keys(ends=[run.id], runs=[run.id]))

    assert ended.ends == {run.id: end}
    assert reopened.ends == {}


async def test_a_message_is_unread_until_it_is_read_and_again_when_its_delivery_is_cut(world: StoreWorld) -> None:
    run = await world.run()

    def send(ws: WorkingSet) -> None:
        for number in (1, 2, 3):
            ws.add_mail(run.id, mail(number))
        ws.put_run(replace(ws.runs[run.id], mail=3))

    await world.do(send, keys=keys(runs=[run.id]))
    all_of_it = await _unread(world, run.id, after=0)
    await world.do(lambda ws: ws.read(run.id, [1, 3]))
    rest = await _unread(world, run.id, after=0)
    await world.do(lambda ws: ws.unread_mail.append((run.id, 3)))
    again = await _unread(world, run.id, after=1)

    assert all_of_it == [mail(1), mail(2), mail(3)]
    assert rest == [mail(2)]
    assert again == [mail(2), mail(3)]


async def test_a_message_is_known_by_its_id_read_or_not(world: StoreWorld) -> None:
    run = await world.run()
    await world.do(lambda ws: ws.add_mail(run.id, mail(1)), lambda ws: ws.read(run.id, [1]))

    loaded = await world.load(keys(messages=[(run.id, "m1"), (run.id, "m2"), (uid("other"), "m1")]))

    assert loaded.messages == {(run.id, "m1")}


async def test_a_message_number_or_id_does_not_stand_twice(world: StoreWorld) -> None:
    await world.do(lambda ws: ws.add_mail(RUN, mail(1)))

    for twice in (mail(1, id="other"), mail(2, id="m1")):
        with pytest.raises(StoreRefused, match="insert_mail"):
            await world.do(partial(WorkingSet.add_mail, run_id=RUN, mail=twice))


async def test_a_wait_that_is_given_up_takes_its_unread_result_along(world: StoreWorld) -> None:
    run = await world.run(mail=3)
    result = mail(1, kind=MailKind.CHILD_RESULT, name=uid("child"), status=Status.COMPLETED)

    def send(ws: WorkingSet) -> None:
        for sent in (result, replace(result, number=2, id="m2", ordinal=1), mail(3)):
            ws.add_mail(run.id, sent)

    await world.do(send)
    await world.do(lambda ws: ws.remove_waiter(Waiter(uid("child"), run.id, 0)))
    one_less = await _unread(world, run.id, after=0)
    await world.do(lambda ws: ws.clear_waits(run.id))
    events_only = await _unread(world, run.id, after=0)

    assert [left.number for left in one_less] == [2, 3]
    assert events_only == [mail(3)]


async def test_open_waits_are_found_by_kind_and_address(world: StoreWorld) -> None:
    paid, again, shipped = wait(1), wait(2, ordinal=1), wait(3, address="shipped")
    nap = wait(4, kind=EntryKind.SLEEP, address="nap")
    await world.do(*(partial(WorkingSet.open_wait, run_id=RUN, wait=opened) for opened in (paid, again, shipped, nap)))
    names = [(RUN, EntryKind.EVENT, "paid"), (RUN, EntryKind.EVENT, ""), (RUN, EntryKind.TASK, "")]

    loaded = await world.load(keys(waits=names))

    assert loaded.waits[names[0]] == [paid, again]
    assert loaded.waits[names[1]] == [paid, again, shipped]
    assert loaded.waits[names[2]] == []


async def test_waits_are_closed_replaced_and_cleared(world: StoreWorld) -> None:
    everything = (RUN, EntryKind.EVENT, "")
    first, second = wait(1), wait(2, ordinal=1)

    await world.do(lambda ws: ws.open_wait(RUN, first), lambda ws: ws.open_wait(RUN, second))
    await world.do(lambda ws: ws.close_wait(RUN, first.key), lambda ws: ws.open_wait(RUN, replace(second, attempt=3)))
    changed = await world.load(keys(waits=[everything]))
    await world.do(lambda ws: ws.clear_waits(RUN), lambda ws: ws.open_wait(RUN, first))
    anew = await world.load(keys(waits=[everything]))

    assert changed.waits[everything] == [replace(second, attempt=3)]
    assert anew.waits[everything] == [first]


async def test_the_journal_of_the_current_attempt_is_loaded_in_order(world: StoreWorld) -> None:
    run = await world.run(attempt=2, chapter=1, seq=2)
    entries = [entry(1), entry(2, error=Failure("E", "no"), result=EMPTY, label="charge(1)")]

    def write(ws: WorkingSet) -> None:
        ws.new_entries += [(run.id, 1, 2, entries[1]), (run.id, 1, 2, entries[0]), (run.id, 1, 1, entry(1))]

    await world.do(write)

    assert (await world.load(keys(runs=[run.id], journals=[run.id]))).journals == {run.id: entries}


async def test_a_journal_entry_is_never_written_twice(world: StoreWorld) -> None:
    await world.do(lambda ws: ws.new_entries.append((RUN, 1, 1, entry(1))))

    with pytest.raises(StoreRefused, match="insert_entries"):
        await world.do(lambda ws: ws.new_entries.append((RUN, 1, 1, entry(1, at_ms=8))))


async def test_sessions_are_opened_and_renewed(world: StoreWorld) -> None:
    await world.do(lambda ws: ws.put_session(session("s1")), lambda ws: ws.put_session(session("s2")))
    renewed = session("s1", poll=2, expires_at_ms=20_000, suspect_run_id=RUN, is_over=True)
    await world.do(lambda ws: ws.put_session(renewed))

    loaded = await world.load(keys(sessions=[uid("s1"), uid("s2"), uid("s3")]))

    assert loaded.sessions == {uid("s1"): renewed, uid("s2"): session("s2")}


async def test_announcements_values_and_history_are_kept(world: StoreWorld) -> None:
    run = await world.run()
    announce = Announce(uid("s"), "default", "w", (VersionInfo("order", "1.0.0", Raw(b"{}")),), ("",), 10)

    def change(ws: WorkingSet) -> None:
        ws.new_announcements += [announce, announce]
        ws.new_values += [RunValue(run.id, "eta", Raw(b"1")), RunValue(run.id, "eta", Raw(b"2"))]
        ws.history.append(History(run.id, 5, None, Status.SCHEDULED, Reason.STARTED))
        ws.history.append(History(run.id, 6, Status.SCHEDULED, Status.QUEUED, Reason.DUE, "in time"))

    await world.do(change)

    assert await world.store.value("default", run.id, "eta") == Raw(b"2")
    assert await world.store.value("other", run.id, "eta") is None
    assert [(move.old, move.new, move.note) for move in await world.store.history(run.id)] == [
        (None, Status.SCHEDULED, None),
        (Status.SCHEDULED, Status.QUEUED, "in time"),
    ]


async def test_a_claim_brings_what_its_assignment_needs(world: StoreWorld) -> None:
    run = world.row(seq=2, mail=2, waits=2)
    await world.insert(run, tags={"team": "a"})
    opened = [wait(2, ordinal=1), wait(1)]

    def past(ws: WorkingSet) -> None:
        ws.new_entries += [(run.id, 1, 1, entry(1)), (run.id, 1, 1, entry(2))]
        for each in opened:
            ws.open_wait(run.id, each)
        ws.add_mail(run.id, mail(1))
        ws.add_mail(run.id, mail(2))
        ws.read(run.id, [1])

    await world.do(past)
    claimed = (await world.do(lambda ws: _claim(ws, run.id), keys=keys(runs=[run.id]))).claimed[run.id]
    parked = (await world.do(lambda ws: _claim(ws, run.id, parked_epoch=1), keys=keys(runs=[run.id]))).claimed[run.id]

    assert (claimed.input, claimed.tags, claimed.has_more) == (INPUT, {"team": "a"}, False)
    assert claimed.entries == (entry(1), entry(2))
    assert claimed.waits == (opened[1], opened[0])
    assert claimed.mail == parked.mail == (mail(2),)
    assert (parked.input, parked.entries, parked.waits) == (EMPTY, (), ())


async def test_a_run_that_is_claimed_as_it_is_inserted_brings_its_input(world: StoreWorld) -> None:
    row = world.row(status=Status.RUNNING, session_id=uid("s"))

    def insert(ws: WorkingSet) -> None:
        ws.insert_run(NewRun(row, INPUT, {"team": "a"}))
        ws.claims[row.id] = Claim(row.id, uid("s"), None)

    assert (await world.do(insert)).claimed[row.id].input == INPUT


async def test_a_long_journal_comes_in_pages(world: StoreWorld) -> None:
    run = await world.run(seq=3)
    large = Raw(b'"' + b"x" * 200_000 + b'"')
    await world.do(lambda ws: ws.new_entries.extend((run.id, 1, 1, entry(seq, result=large)) for seq in (1, 2, 3)))

    claimed = (await world.do(lambda ws: _claim(ws, run.id), keys=keys(runs=[run.id]))).claimed[run.id]
    second = await world.store.fetch(run.id, session_id=uid("s"), epoch=1, after_seq=1)
    first = await world.store.fetch(run.id, session_id=uid("s"), epoch=1, after_seq=0)

    assert ([e.seq for e in claimed.entries], claimed.has_more) == ([1], True)
    assert second is not None
    assert ([e.seq for e in second.entries], second.has_more, second.input) == ([2], True, EMPTY)
    assert first is not None
    assert first.input == INPUT
    assert await world.store.fetch(run.id, session_id=uid("s"), epoch=0, after_seq=0) is None
    assert await world.store.fetch(run.id, session_id=uid("t"), epoch=1, after_seq=0) is None


def _claim(ws: WorkingSet, run_id: str, *, parked_epoch: int | None = None) -> None:
    ws.put_run(replace(ws.runs[run_id], status=Status.RUNNING, session_id=uid("s"), epoch=1))
    ws.claims[run_id] = Claim(run_id, uid("s"), parked_epoch)


async def _unread(world: StoreWorld, run_id: str, *, after: int) -> list[Mail]:
    wanted = keys(runs=[run_id])
    wanted.mail(run_id, after=after)
    return (await world.load(wanted)).unread[run_id]
