"""Commands that meet in one batch, and runs that were to be cancelled before something else happened to them."""

from aiki.engine.commands import CommitTurn, RingAlarm, StallUndelivered
from aiki.model.lifecycle import Status
from aiki.model.retry import Retry
from aiki.model.run import CancelKind, ParentClose
from aiki.model.wire import Outcome, RunOptions, Verdict
from tests.engine.world import DAY_MS, World, child_wait, entry, held_of

FOLLOWS = RunOptions(parent_close=ParentClose.CANCEL)


def test_an_alarm_in_the_batch_that_ends_its_run_leaves_the_cascade_to_the_next(world: World) -> None:
    parent = world.running(RunOptions(timeout_ms=1_000))
    child = world.with_child(parent, FOLLOWS)
    world.advance(1_000)

    world.do(CommitTurn(world.turn(parent, Outcome.COMPLETED)), RingAlarm(parent))
    for run_id in world.due():
        world.ring(run_id)

    assert world.status(child) is Status.CANCELLED


def test_a_termination_and_an_alarm_in_one_batch_leave_the_cascade_to_the_next(world: World) -> None:
    parent = world.running(RunOptions(timeout_ms=1_000))
    child = world.with_child(parent)
    world.advance(1_000)

    world.do(world.asking(parent, "terminate"), RingAlarm(parent))
    for run_id in world.due():
        world.ring(run_id)

    assert world.status(child) is Status.CANCELLED


def test_a_run_that_no_worker_takes_stalls_once_its_time_is_over_and_not_before(world: World) -> None:
    run_id = world.start()

    world.advance(DAY_MS - 1)
    world.do(StallUndelivered(run_id, DAY_MS))
    assert world.status(run_id) is Status.QUEUED

    world.advance(1)
    world.do(StallUndelivered(run_id, DAY_MS))
    assert world.moves(run_id)[-1] == "stalled (undelivered)"
    assert "within 24 hours" in (world.row(run_id).why or "")

    world.ask(run_id, "requeue")
    world.do(StallUndelivered(run_id, DAY_MS))
    assert world.status(run_id) is Status.QUEUED


def test_a_run_to_be_cancelled_that_no_worker_takes_ends(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)
    world.lose(session_id)
    world.ask(run_id, "cancel")
    world.advance(DAY_MS)

    world.do(StallUndelivered(run_id, DAY_MS))

    assert world.status(run_id) is Status.CANCELLED


def _lose_five_times(world: World, run_id: str, session_id: str) -> None:
    for _ in range(5):
        if world.row(run_id).session_id is None:
            session_id = world.session()
            world.claim(run_id, session_id)
        world.poll(session_id, held_of(world.row(run_id)))
        world.lose(session_id)


def test_a_run_to_be_cancelled_that_its_workers_die_on_ends_instead_of_standing_there(world: World) -> None:
    child_session = world.session()
    parent = world.running()
    child = world.with_child(parent)
    world.suspend(parent, child_wait(child))
    world.claim(child, child_session)
    world.ask(child, "cancel")

    _lose_five_times(world, child, child_session)

    assert world.status(child) is Status.CANCELLED
    assert world.status(parent) is Status.QUEUED
    assert [mail.status for mail in world.unread(parent)] == [Status.CANCELLED]


def test_a_run_that_timed_out_and_that_its_workers_die_on_has_failed(world: World) -> None:
    session_id = world.session()
    run_id = world.running(RunOptions(timeout_ms=1_000), session_id=session_id)
    world.advance(1_000)
    world.ring(run_id)

    _lose_five_times(world, run_id, session_id)

    assert world.status(run_id) is Status.FAILED


def test_a_run_to_be_cancelled_whose_commit_contradicts_it_is_still_to_be_cancelled_by_hand(world: World) -> None:
    run_id = world.running(RunOptions(timeout_ms=1_000))
    world.advance(1_000)
    world.ring(run_id)
    answer = world.commit(run_id, entries=(entry(7),))
    assert answer.verdict is Verdict.REFUSED

    world.ask(run_id, "cancel")

    assert world.status(run_id) is Status.CANCELLED


def test_a_wake_that_nothing_slept_for_does_not_wait_for_the_next_attempt(world: World) -> None:
    run_id = world.running(RunOptions(retry=Retry.fixed(2, 1.0)))
    turn = world.turn(run_id, Outcome.FAILED)
    world.ask(run_id, "wake")

    world.apply_turn(turn)

    assert [mail.kind for mail in world.unread(run_id)] == []


def test_a_copy_of_a_cancel_that_a_retry_has_voided_is_a_copy_all_the_same(world: World) -> None:
    run_id = world.running()
    world.ask(run_id, "cancel", message_id="c")
    world.commit(run_id, Outcome.FAILED)  # before its owner has seen it
    world.ask(run_id, "retry")

    assert world.ask(run_id, "cancel", message_id="c").changed

    assert (world.status(run_id), world.row(run_id).cancel) == (Status.QUEUED, None)
    assert world.ask(run_id, "cancel", message_id="another").changed
    assert world.status(run_id) is Status.CANCELLED


def test_a_child_that_was_told_to_follow_and_tried_again_is_told_again_when_its_parent_ends_again(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id, RunOptions(parent_close=ParentClose.CANCEL))
    session_id = world.session()
    world.claim(child_id, session_id)
    for _ in range(2):
        world.commit(parent_id, Outcome.FAILED)
        world.ring(parent_id)
        world.commit(child_id, Outcome.FAILED)
        for run_id in (parent_id, child_id):
            world.ask(run_id, "retry")
            world.claim(run_id, session_id)

    world.commit(parent_id, Outcome.FAILED)
    world.ring(parent_id)

    assert (world.status(child_id), world.row(child_id).cancel) == (Status.RUNNING, CancelKind.PARENT)
