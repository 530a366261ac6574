"""An alarm is a reason to look, never a fact."""

from aiki.model.journal import EntryKind, MailKind
from aiki.model.lifecycle import Status
from aiki.model.retry import Retry
from aiki.model.wire import Outcome, RunOptions, Verdict
from aiki.model.working_set import CANCEL_GRACE_MS
from tests.engine.world import World, entry, event_wait, sleep


def test_a_sleeping_run_is_queued_only_once_its_time_has_come(world: World) -> None:
    run_id = world.sleeping(1_000)

    world.advance(999)
    assert world.due() == []
    assert not world.ring(run_id).changed

    world.advance(1)
    assert world.due() == [run_id]
    assert world.ring(run_id).status is Status.QUEUED
    assert world.moves(run_id)[-1] == "queued (due)"


def test_an_alarm_that_was_overtaken_by_a_message_does_nothing(world: World) -> None:
    run_id = world.running()
    world.suspend(run_id, event_wait(deadline_ms=world.now_ms + 100))
    world.advance(100)
    world.send(run_id)

    assert not world.ring(run_id).changed


def test_an_alarm_that_rings_twice_queues_once(world: World) -> None:
    run_id = world.sleeping(100)
    world.advance(100)

    assert world.ring(run_id).changed
    assert not world.ring(run_id).changed


def test_an_alarm_of_a_run_that_is_gone_does_nothing(world: World) -> None:
    assert world.ring("gone").status is None


def test_the_next_attempt_of_a_run_is_queued_when_it_is_due(world: World) -> None:
    run_id = world.running(RunOptions(retry=Retry.fixed(2, 60)))
    world.commit(run_id, Outcome.FAILED)

    world.advance(60_000)
    assert world.due() == [run_id]

    world.ring(run_id)
    assert world.status(run_id) is Status.QUEUED
    assert world.row(run_id).deadline_ms is None


# ----------------------------------------------------------------------------------------------------------- timeout


def test_a_run_that_has_not_begun_fails_at_its_timeout(world: World) -> None:
    run_id = world.start(RunOptions(timeout_ms=100))

    world.advance(100)
    world.ring(run_id)

    assert world.status(run_id) is Status.FAILED
    error = world.ends[run_id].error
    assert error is not None
    assert error.code == "timed_out"
    assert "builtins.TimeoutError" in error.lineage


def test_a_scheduled_run_whose_time_is_over_before_a_server_looked_fails(world: World) -> None:
    run_id = world.start(RunOptions(delay_ms=50, timeout_ms=100))

    world.advance(150)
    world.ring(run_id)

    assert world.status(run_id) is Status.FAILED


def test_a_run_that_waits_for_its_next_attempt_fails_at_its_timeout(world: World) -> None:
    run_id = world.running(RunOptions(retry=Retry.fixed(2, 60), timeout_ms=100))
    world.commit(run_id, Outcome.FAILED)

    world.advance(100)
    world.ring(run_id)

    assert world.status(run_id) is Status.FAILED


def test_the_timeout_of_an_owned_run_is_a_cancellation_that_ends_as_failed(world: World) -> None:
    run_id = world.running(RunOptions(timeout_ms=100))

    world.advance(100)
    world.ring(run_id)
    (mail,) = world.unread(run_id)
    assert (mail.kind, mail.timed_out, world.ws.mailed) == (MailKind.CANCEL, True, {run_id})

    world.commit(run_id, Outcome.CANCELLED, entries=(entry(1, EntryKind.CANCEL, mail=1),))
    assert world.status(run_id) is Status.FAILED
    assert world.moves(run_id)[-1] == "failed (timed_out)"


def test_the_timeout_of_a_suspended_run_makes_it_ready_to_hear_of_it(world: World) -> None:
    run_id = world.sleeping(options=RunOptions(timeout_ms=100))

    world.advance(100)
    assert world.ring(run_id).status is Status.QUEUED
    assert world.unread(run_id)[0].timed_out


def test_the_timeout_of_a_queued_run_that_has_begun_waits_for_its_code(world: World) -> None:
    session_id = world.session()
    run_id = world.running(RunOptions(timeout_ms=100), session_id=session_id)
    world.lose(session_id)

    assert world.ring(run_id).status is Status.QUEUED
    assert world.unread(run_id)[0].timed_out
    assert world.row(run_id).alarm_at_ms is None


def test_a_timeout_after_a_request_to_cancel_changes_nothing(world: World) -> None:
    run_id = world.running(RunOptions(timeout_ms=100))
    world.ask(run_id, "cancel")

    world.advance(100)

    assert world.due() == []


# ------------------------------------------------------------------------------------------------------------- grace


def test_a_run_that_does_not_end_within_the_grace_is_cancelled_for_good(world: World) -> None:
    run_id = world.running()
    world.ask(run_id, "cancel")
    world.commit(run_id, entries=(entry(1, EntryKind.CANCEL, mail=1),))
    turn = world.turn(run_id)

    world.advance(CANCEL_GRACE_MS - 1)
    assert world.due() == []

    world.advance(1)
    world.ring(run_id)
    assert world.moves(run_id)[-1] == "cancelled (grace_over)"
    assert world.apply_turn(turn).verdict is Verdict.FENCED
    assert world.ws.runs[run_id].epoch == 2


def test_the_grace_stands_still_while_nobody_owns_the_run(world: World) -> None:
    run_id = world.running()
    world.ask(run_id, "cancel")
    world.commit(run_id, entries=(entry(1, EntryKind.CANCEL, mail=1),))
    world.suspend(run_id, sleep(world.now_ms + 10 * CANCEL_GRACE_MS))

    world.advance(2 * CANCEL_GRACE_MS)

    assert world.due() == []


def test_the_grace_starts_anew_with_each_claim(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)
    world.ask(run_id, "cancel")
    world.commit(run_id, entries=(entry(1, EntryKind.CANCEL, mail=1),))
    world.lose(session_id)
    world.advance(5)

    world.claim(run_id, world.session())

    assert world.row(run_id).alarm_at_ms == world.now_ms + CANCEL_GRACE_MS


def test_a_timed_out_run_that_does_not_end_within_the_grace_has_failed(world: World) -> None:
    run_id = world.running(RunOptions(timeout_ms=100))
    world.advance(100)
    world.ring(run_id)
    world.commit(run_id, entries=(entry(1, EntryKind.CANCEL, mail=1),))

    world.advance(CANCEL_GRACE_MS)
    world.ring(run_id)

    assert world.status(run_id) is Status.FAILED
