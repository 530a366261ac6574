"""Each invariant is violated on purpose, once for each way: a check that never speaks proves nothing."""

from collections.abc import Callable

import pytest
from msgspec import Raw
from msgspec.structs import replace

from aiki.engine.invariants import CHECKS, Snapshot, check
from aiki.model.journal import EntryKind, Mail, MailKind
from aiki.model.lifecycle import Status
from aiki.model.run import Cascade, RunEnd, RunRow, Waiter
from aiki.model.wire import Outcome
from tests.engine.world import World, child_wait, entry, event_wait, sleep, task_wait

Plant = Callable[[World], Snapshot]


def _with(world: World, run_id: str, **parts: object) -> Snapshot:
    """Return the rows of the world with one run's row changed."""
    snapshot = world.snapshot()
    return replace(snapshot, runs={**snapshot.runs, run_id: replace(world.row(run_id), **parts)})


def _queued_since_never(world: World) -> Snapshot:
    return _with(world, world.start(), due_at_ms=None)


def _scheduled_for_never(world: World) -> Snapshot:
    return _with(world, world.start(), status=Status.SCHEDULED)


def _owned_by_nobody(world: World) -> Snapshot:
    return _with(world, world.running(), session_id="gone")


def _suspended_for_nothing(world: World) -> Snapshot:
    run_id = world.sleeping()
    return replace(_with(world, run_id, waits=0, alarm_at_ms=None, deadline_ms=None), waits={})


def _waits_for_an_attempt_that_never_comes(world: World) -> Snapshot:
    run_id = world.sleeping()
    parts = {"status": Status.AWAITING_RETRY, "waits": 0, "alarm_at_ms": None, "deadline_ms": None}
    return replace(_with(world, run_id, **parts), waits={})


def _owned_while_it_sleeps(world: World) -> Snapshot:
    session_id = world.session()
    return _with(world, world.sleeping(session_id=session_id), session_id=session_id)


def _parked_while_it_runs(world: World) -> Snapshot:
    return _with(world, world.running(), parked_on="s")


def _waits_after_its_end(world: World) -> Snapshot:
    run_id = world.start()
    world.ask(run_id, "terminate")
    return replace(world.snapshot(), waits={run_id: (event_wait(),)})


def _alarm_after_its_end(world: World) -> Snapshot:
    run_id = world.start()
    world.ask(run_id, "terminate")
    return _with(world, run_id, alarm_at_ms=5)


def _cascade_that_nobody_drives(world: World) -> Snapshot:
    run_id = world.start()
    world.ask(run_id, "terminate")
    return _with(world, run_id, cascade=Cascade.ALL)


def _alarm_of_a_stalled_run(world: World) -> Snapshot:
    run_id = world.running()
    world.commit(run_id, Outcome.STALLED, why="no")
    return _with(world, run_id, alarm_at_ms=5)


def _wait_that_is_not_there(world: World) -> Snapshot:
    return _with(world, world.sleeping(), waits=2)


def _deadline_of_another_wait(world: World) -> Snapshot:
    return _with(world, world.sleeping(100), deadline_ms=world.now_ms + 50, alarm_at_ms=world.now_ms + 50)


def _alarm_too_late(world: World) -> Snapshot:
    return _with(world, world.sleeping(100), alarm_at_ms=world.now_ms + 200)


def _mail(kind: MailKind, name: str = "") -> Mail:
    return Mail(1, "m", kind, 0, name)


def _event_that_woke_nobody(world: World) -> Snapshot:
    run_id = world.running()
    world.suspend(run_id, event_wait("go"))
    return replace(world.snapshot(), unread={run_id: (_mail(MailKind.EVENT, "go"),)})


def _wake_that_woke_nobody(world: World) -> Snapshot:
    return replace(world.snapshot(), unread={world.sleeping(): (_mail(MailKind.WAKE),)}, **_rows(world))


def _cancel_that_woke_nobody(world: World) -> Snapshot:
    return replace(world.snapshot(), unread={world.sleeping(): (_mail(MailKind.CANCEL),)}, **_rows(world))


def _rows(world: World) -> dict[str, object]:
    snapshot = world.snapshot()
    return {"runs": snapshot.runs, "waits": snapshot.waits, "sessions": snapshot.sessions}


def _gap_in_the_journal(world: World) -> Snapshot:
    run_id = world.running()
    world.commit(run_id, entries=(entry(1), entry(2)))
    return replace(world.snapshot(), entries={(run_id, 1, 1): (entry(1), entry(3, asked=1))})


def _call_answered_twice(world: World) -> Snapshot:
    run_id = world.running()
    world.commit(run_id, entries=(entry(1), entry(2)))
    twice = (entry(1, address="pay"), entry(2, address="pay"))
    return replace(world.snapshot(), entries={(run_id, 1, 1): twice})


def _shorter_than_it_says(world: World) -> Snapshot:
    return _with(world, world.running(), seq=1)


def _order_not_kept(world: World) -> Snapshot:
    run_id = world.running()
    world.commit(run_id, entries=(entry(1, EntryKind.EVENT, "go", mail=1), entry(2, EntryKind.EVENT, "no", mail=2)))
    key = replace(entry(2, EntryKind.EVENT, "go").key, ordinal=1)
    taken = (entry(1, EntryKind.EVENT, "go", mail=2), entry(2, mail=1, key=key))
    return replace(world.snapshot(), entries={(run_id, 1, 1): taken})


def _taken_and_unread(world: World) -> Snapshot:
    run_id = world.running()
    world.commit(run_id, entries=(entry(1, EntryKind.EVENT, "go", mail=1),))
    return replace(world.snapshot(), unread={run_id: (_mail(MailKind.EVENT, "go"),)})


def _ended_without_an_end(world: World) -> Snapshot:
    run_id = world.start()
    world.ask(run_id, "terminate")
    return replace(world.snapshot(), ends={})


def _waiting_parent(world: World) -> tuple[str, str]:
    parent_id = world.running()
    child_id = world.with_child(parent_id)
    world.suspend(parent_id, child_wait(child_id))
    return parent_id, child_id


def _waiter_that_was_forgotten(world: World) -> Snapshot:
    _waiting_parent(world)
    return replace(world.snapshot(), waiters=())


def _waiter_on_what_has_ended(world: World) -> Snapshot:
    parent_id, child_id = _waiting_parent(world)
    world.ask(child_id, "terminate")
    return replace(world.snapshot(), waiters=(Waiter(child_id, parent_id, 0),))


def _result_that_was_lost(world: World) -> Snapshot:
    _, child_id = _waiting_parent(world)
    world.ask(child_id, "terminate")
    return replace(world.snapshot(), unread={})


def _result_of_another_end(world: World) -> Snapshot:
    _, child_id = _waiting_parent(world)
    world.ask(child_id, "terminate")
    return replace(world.snapshot(), ends={child_id: RunEnd(Status.CANCELLED, output=Raw(b"1"))})


def _result_for_no_wait(world: World) -> Snapshot:
    run_id = world.running()
    return replace(world.snapshot(), unread={run_id: (_mail(MailKind.CHILD_RESULT, "c"),)})


def _result_twice(world: World) -> Snapshot:
    parent_id, child_id = _waiting_parent(world)
    world.ask(child_id, "terminate")
    (mail,) = world.unread(parent_id)
    return replace(world.snapshot(), unread={parent_id: (mail, replace(mail, number=2))})


def _waiter_without_a_wait(world: World) -> Snapshot:
    parent_id = world.running()
    child_id = world.with_child(parent_id)
    return replace(world.snapshot(), waiters=(Waiter(child_id, parent_id, 0),))


def _sleep_that_was_too_short(world: World) -> Snapshot:
    run_id = world.running()
    world.commit(run_id, entries=(entry(1),))
    short = entry(1, EntryKind.SLEEP, "nap", deadline_ms=world.now_ms + 1, at_ms=world.now_ms)
    return replace(world.snapshot(), entries={(run_id, 1, 1): (short,)})


def _wait_that_gave_up_too_soon(world: World) -> Snapshot:
    run_id = world.running()
    world.commit(run_id, entries=(entry(1),))
    soon = entry(1, EntryKind.EVENT, "go", timed_out=True, deadline_ms=world.now_ms + 1, at_ms=world.now_ms + 1)
    return replace(world.snapshot(), entries={(run_id, 1, 1): (soon,)})


def _task_that_would_run_again(world: World) -> Snapshot:
    run_id = world.running()
    world.commit(run_id, entries=(entry(1, address="pay"),))
    return replace(world.snapshot(), waits={run_id: (task_wait(5, name="pay"),)})


def _call_before_its_cause(world: World) -> Snapshot:
    run_id = world.running()
    world.commit(run_id, entries=(entry(1),))
    return replace(world.snapshot(), entries={(run_id, 1, 1): (entry(1, asked=1),)})


def _wait_before_its_cause(world: World) -> Snapshot:
    return replace(world.snapshot(), waits={world.sleeping(): (replace(sleep(5), asked=3),)}, **_runs(world))


def _runs(world: World) -> dict[str, object]:
    return {"runs": dict(world.runs)}


def _owner_of_another_namespace(world: World) -> Snapshot:
    return _with(world, world.running(session_id=world.session()), namespace="theirs")


def _parent_of_another_namespace(world: World) -> Snapshot:
    parent_id = world.running()
    return _with(world, world.with_child(parent_id), namespace="theirs")


def _waiter_of_another_namespace(world: World) -> Snapshot:
    _, child_id = _waiting_parent(world)
    return _with(world, child_id, namespace="theirs", parent_id=None)


PLANTED: dict[Plant, str] = {
    _queued_since_never: "1 has a next step",
    _scheduled_for_never: "1 has a next step",
    _owned_by_nobody: "1 has a next step",
    _suspended_for_nothing: "1 has a next step",
    _waits_for_an_attempt_that_never_comes: "1 has a next step",
    _owned_while_it_sleeps: "1 has no stale step",
    _parked_while_it_runs: "1 has no stale step",
    _waits_after_its_end: "1 has no stale step",
    _alarm_after_its_end: "1 has no stale step",
    _cascade_that_nobody_drives: "1 has no stale step",
    _alarm_of_a_stalled_run: "1 has no stale step",
    _wait_that_is_not_there: "1 has the right alarm",
    _deadline_of_another_wait: "1 has the right alarm",
    _alarm_too_late: "1 has the right alarm",
    _event_that_woke_nobody: "1 leaves no mail waiting",
    _wake_that_woke_nobody: "1 leaves no mail waiting",
    _cancel_that_woke_nobody: "1 leaves no mail waiting",
    _gap_in_the_journal: "2 has a whole journal",
    _call_answered_twice: "2 has a whole journal",
    _shorter_than_it_says: "2 has a whole journal",
    _order_not_kept: "4 takes events in order",
    _taken_and_unread: "4 takes events in order",
    _ended_without_an_end: "5 keeps ends",
    _waiter_that_was_forgotten: "5 settles waits",
    _waiter_on_what_has_ended: "5 settles waits",
    _result_that_was_lost: "5 settles waits",
    _result_of_another_end: "5 settles waits",
    _result_for_no_wait: "5 settles waits",
    _result_twice: "5 settles waits",
    _waiter_without_a_wait: "5 settles waits",
    _sleep_that_was_too_short: "6 rings no timer early",
    _wait_that_gave_up_too_soon: "6 rings no timer early",
    _task_that_would_run_again: "7 executes nothing twice",
    _call_before_its_cause: "8 asks only for what follows",
    _wait_before_its_cause: "8 asks only for what follows",
    _owner_of_another_namespace: "9 keeps namespaces apart",
    _parent_of_another_namespace: "9 keeps namespaces apart",
    _waiter_of_another_namespace: "9 keeps namespaces apart",
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__.lstrip("_"))
def test_a_planted_violation_is_found(world: World, plant: Plant) -> None:
    assert PLANTED[plant] in {violation.name for violation in check(plant(world))}


# ---------------------------------------------------------------------------------------------- against what was before


def _changed(world: World, run_id: str, **parts: object) -> set[str]:
    before = world.snapshot()
    return {violation.name for violation in check(_with(world, run_id, **parts), before)}


def test_an_entry_that_changed_is_found(world: World) -> None:
    run_id = world.running()
    world.commit(run_id, entries=(entry(1),))
    before = world.snapshot()

    for entries in ((entry(1, result=Raw(b"2")),), ()):
        now = replace(before, entries={(run_id, 1, 1): entries})
        assert "2 keeps entries" in {violation.name for violation in check(now, before)}


def test_a_second_writer_is_found(world: World) -> None:
    run_id = world.running()
    world.commit(run_id)

    ended: dict[str, object] = {"status": Status.QUEUED, "session_id": None, "due_at_ms": 1}
    for parts in ({"epoch": 0}, {"turn": 0}, {"session_id": world.session()}, {"chapter": 2}, ended):
        assert "3 has one writer" in _changed(world, run_id, **parts)


def test_a_run_that_is_gone_is_found(world: World) -> None:
    world.start()
    before = world.snapshot()

    assert "4 loses nothing" in {violation.name for violation in check(replace(before, runs={}), before)}


def test_an_event_that_is_lost_is_found(world: World) -> None:
    run_id = world.running()
    world.send(run_id)
    before = world.snapshot()

    assert "4 loses nothing" in {violation.name for violation in check(replace(before, unread={}), before)}


def test_an_end_that_changed_is_found(world: World) -> None:
    run_id = world.running()
    world.commit(run_id, Outcome.COMPLETED)
    before = world.snapshot()
    other = replace(before, ends={run_id: RunEnd(Status.COMPLETED, output=Raw(b"2"))})

    assert "5 keeps ends" in {violation.name for violation in check(other, before)}
    assert "5 keeps ends" in _changed(world, run_id, status=Status.FAILED)


def test_a_failed_run_may_be_tried_again(world: World) -> None:
    run_id = world.running()
    world.commit(run_id, Outcome.FAILED)

    parts = {"status": Status.QUEUED, "attempt": 2, "due_at_ms": 1, "finished_at_ms": None, "turn": 2}
    assert _changed(world, run_id, **parts) == set()


def test_every_check_is_named_after_its_sentence() -> None:
    assert {name[0] for name in CHECKS} == set("123456789")
    assert all((found.__doc__ or "").startswith(name[0]) for name, found in CHECKS.items())


def test_every_check_that_looks_at_one_moment_has_a_planted_violation() -> None:
    about_history = {"2 keeps entries", "3 has one writer", "4 loses nothing"}

    assert set(CHECKS) - about_history == set(PLANTED.values())


def test_a_row_as_it_should_be_violates_nothing(world: World) -> None:
    world.sleeping()
    rows: list[RunRow] = list(world.runs.values())

    assert rows
    assert check(world.snapshot()) == []
