"""Pause and resume where they meet something else, and a failed run that is tried again."""

from collections.abc import Callable, Sequence

import pytest

from aiki.engine.commands import Command, CommitTurn, RingAlarm
from aiki.model.journal import Entry, EntryKind, Failure, MailKind
from aiki.model.lifecycle import Status
from aiki.model.retry import Retry
from aiki.model.run import ParentClose
from aiki.model.wire import Outcome, RunOptions, Verdict
from tests.engine.world import DAY_MS, World, child_wait, entry, event_wait, sleep

ERROR = Failure("builtins.ValueError", "no")
RETRY = Retry.fixed(2, DAY_MS / 1_000)
FOLLOWS = ParentClose.CANCEL


def unread(world: World, run_id: str) -> list[str]:
    return [mail.name or str(mail.kind) for mail in world.unread(run_id)]


def last_move(world: World, run_id: str) -> tuple[Status, str | None]:
    *_, move = (move for move in world.history if move.run_id == run_id)
    return move.new, move.note


# ------------------------------------------------------------------------------------------------------ while it is owned


def test_an_owner_is_told_of_a_pause_and_of_its_end(world: World) -> None:
    run_id = world.running()

    world.ask(run_id, "pause")
    assert (world.ws.mailed, unread(world, run_id)) == ({run_id}, ["pause"])

    world.ask(run_id, "resume")
    assert (world.ws.mailed, unread(world, run_id)) == ({run_id}, ["resume"])


def test_a_commit_that_suspends_meets_a_pause_it_has_not_heard_of(world: World) -> None:
    """The race of pause and suspension: whichever comes first, the run is paused, and nothing wakes it."""
    run_id = world.running()
    turn = world.turn(run_id, Outcome.SUSPENDED, opened=(event_wait(),), waits=1, waits_for=EntryKind.EVENT)
    world.ask(run_id, "pause")

    answer = world.apply_turn(turn)

    assert (answer.verdict, answer.status) == (Verdict.APPLIED, Status.PAUSED)
    assert unread(world, run_id) == [], "the request is answered"
    world.send(run_id)
    assert world.status(run_id) is Status.PAUSED
    world.ask(run_id, "resume")
    assert world.status(run_id) is Status.QUEUED


def test_a_commit_that_pauses_meets_a_resume_it_has_not_heard_of(world: World) -> None:
    run_id = world.running()
    world.ask(run_id, "pause")
    turn = world.turn(run_id, Outcome.PAUSED)
    world.ask(run_id, "resume")

    answer = world.apply_turn(turn)

    assert (answer.status, [mail.name for mail in answer.mail]) == (Status.RUNNING, ["resume"])


def test_a_commit_that_pauses_meets_a_cancellation(world: World) -> None:
    run_id = world.running()
    world.ask(run_id, "pause")
    turn = world.turn(run_id, Outcome.PAUSED)
    world.ask(run_id, "cancel")

    answer = world.apply_turn(turn)

    assert (answer.status, [mail.kind for mail in answer.mail]) == (Status.RUNNING, [MailKind.CANCEL])


def test_a_run_that_ends_has_answered_its_pause(world: World) -> None:
    run_id = world.running()
    world.ask(run_id, "pause")

    world.commit(run_id, Outcome.COMPLETED)

    assert (world.status(run_id), unread(world, run_id)) == (Status.COMPLETED, [])


def test_a_run_that_stalls_has_answered_its_pause_and_is_queued_when_it_is_requeued(world: World) -> None:
    run_id = world.running()
    world.ask(run_id, "pause")
    world.commit(run_id, Outcome.STALLED)

    world.ask(run_id, "requeue")

    assert world.status(run_id) is Status.QUEUED


def test_a_run_between_two_attempts_pauses_where_it_would_have_waited(world: World) -> None:
    run_id = world.running(RunOptions(retry=RETRY))
    world.ask(run_id, "pause")
    world.commit(run_id, Outcome.FAILED, error=ERROR)
    assert world.status(run_id) is Status.PAUSED

    world.advance(DAY_MS)
    assert world.due() == []
    world.ask(run_id, "resume")

    assert (world.status(run_id), world.row(run_id).attempt) == (Status.QUEUED, 2)


@pytest.mark.parametrize("verb", ["pause", "resume", "requeue", "retry"])
def test_a_copy_of_a_request_that_comes_late_is_the_same_request(world: World, verb: str) -> None:
    """Its answer was lost, and the run has gone on since: it is not paused, let go or tried again a second time."""
    makers: dict[str, Callable[[], str]] = {
        "pause": world.sleeping,
        "resume": lambda: _paused(world),
        "requeue": lambda: _committed(world, Outcome.STALLED),
        "retry": lambda: _committed(world, Outcome.FAILED),
    }
    run_id = makers[verb]()
    message_id = world.new_id()
    world.ask(run_id, verb, message_id=message_id)
    _back_to(world, run_id, verb)
    before = world.snapshot()

    assert world.ask(run_id, verb, message_id=message_id).changed
    assert world.snapshot() == before


def _paused(world: World) -> str:
    run_id = world.sleeping()
    world.ask(run_id, "pause")
    return run_id


def _committed(world: World, outcome: Outcome) -> str:
    run_id = world.running()
    world.commit(run_id, outcome)
    return run_id


def _back_to(world: World, run_id: str, verb: str) -> None:
    """Bring a run to where the request would do something again."""
    match verb:
        case "pause":
            world.ask(run_id, "resume")
        case "resume":
            world.ask(run_id, "pause")
        case _:
            world.claim(run_id, world.session())
            world.commit(run_id, Outcome.STALLED if verb == "requeue" else Outcome.FAILED)


# ----------------------------------------------------------------------------------------------- what comes meanwhile


@pytest.mark.parametrize("first", ["wake", "alarm"])
def test_a_wake_and_an_alarm_of_one_moment_make_a_run_ready_once(world: World, first: str) -> None:
    """The race of wake and alarm: the sleep is over either way, and a wake that came too late wakes no other sleep."""
    run_id = world.sleeping(100)
    world.advance(100)
    commands: list[Command] = [world.asking(run_id, "wake"), RingAlarm(run_id)]

    world.do(*commands if first == "wake" else reversed(commands))

    assert world.moves(run_id)[3:] == [f"queued ({'woken' if first == 'wake' else 'due'})"]


def test_a_wake_of_a_sleep_that_is_over_does_not_end_the_next_one(world: World) -> None:
    run_id = world.sleeping(100)
    world.advance(100)
    world.ring(run_id)
    world.ask(run_id, "wake")
    world.claim(run_id, world.session())
    key = sleep(0).key

    world.suspend(
        run_id,
        sleep(world.now_ms + DAY_MS, ordinal=1),
        entries=(entry(1, EntryKind.SLEEP, "nap", at_ms=world.now_ms),),
        closed=(key,),
        read=(1,),
    )

    assert (world.status(run_id), unread(world, run_id)) == (Status.SLEEPING, [])


@pytest.mark.parametrize("order", [1, -1])
def test_a_cancel_and_a_completion_in_one_batch_leave_one_end(world: World, order: int) -> None:
    """The race of cancel and completion: the owner's end stands, whichever comes first, and is never undone."""
    run_id = world.running()
    commands: Sequence[Command] = [world.asking(run_id, "cancel"), CommitTurn(world.turn(run_id, Outcome.COMPLETED))]

    world.do(*commands[::order])

    assert world.moves(run_id)[-1] == "completed (returned)"
    assert (world.row(run_id).cancel is None, unread(world, run_id)) == (
        (True, []) if order == -1 else (False, ["cancel"])
    )


@pytest.mark.parametrize("order", [1, -1])
def test_a_child_that_ends_as_its_parent_is_paused_is_heard_of_after_the_pause(world: World, order: int) -> None:
    session_id = world.session()
    parent_id = world.running(session_id=session_id)
    child_id = world.with_child(parent_id)
    world.claim(child_id, session_id)
    world.suspend(parent_id, child_wait(child_id))
    commands: Sequence[Command] = [
        world.asking(parent_id, "pause"),
        CommitTurn(world.turn(child_id, Outcome.COMPLETED)),
    ]

    world.do(*commands[::order])
    assert (world.status(parent_id), unread(world, parent_id)) == (Status.PAUSED, [child_id])

    world.ask(parent_id, "resume")
    assert world.status(parent_id) is Status.QUEUED


@pytest.mark.parametrize("order", [1, -1])
def test_a_child_that_ends_as_its_parent_is_cancelled_leaves_both_messages_to_the_code(
    world: World, order: int
) -> None:
    session_id = world.session()
    parent_id = world.running(session_id=session_id)
    child_id = world.with_child(parent_id)
    world.claim(child_id, session_id)
    world.suspend(parent_id, child_wait(child_id))
    commands: Sequence[Command] = [
        world.asking(parent_id, "cancel"),
        CommitTurn(world.turn(child_id, Outcome.COMPLETED)),
    ]

    world.do(*commands[::order])

    assert (world.status(parent_id), unread(world, parent_id)) == (Status.QUEUED, ["cancel", child_id][::order])


@pytest.mark.parametrize("order", [1, -1])
def test_a_child_that_ends_as_its_parent_parks_is_heard_of(world: World, order: int) -> None:
    session_id = world.session()
    parent_id = world.running(session_id=session_id)
    child_id = world.with_child(parent_id)
    world.claim(child_id, session_id)
    wait = child_wait(child_id)
    suspending = world.turn(
        parent_id, Outcome.SUSPENDED, opened=(wait,), waits=1, waits_for=EntryKind.CHILD_RESULT, parks=True
    )
    commands: Sequence[Command] = [CommitTurn(suspending), CommitTurn(world.turn(child_id, Outcome.COMPLETED))]

    world.do(*commands[::order])

    assert world.status(parent_id) is (Status.QUEUED if order == 1 else Status.RUNNING)
    assert unread(world, parent_id) == [child_id]


def test_more_mail_than_is_loaded_is_a_reason_to_look_when_a_run_is_resumed(world: World) -> None:
    run_id = world.running()
    world.suspend(run_id, event_wait("last"))
    world.ask(run_id, "pause")
    world.do(*(world.sending(run_id, "other") for _ in range(600)))
    world.send(run_id, "last")

    world.ask(run_id, "resume")

    assert world.status(run_id) is Status.QUEUED


# ------------------------------------------------------------------------------------------------------- tried again


def failed(world: World, *entries: Entry, failed_seq: int | None, options: RunOptions | None = None) -> str:
    run_id = world.running(options or RunOptions())
    world.commit(run_id, Outcome.FAILED, entries=entries, failed_seq=failed_seq, error=ERROR)
    return run_id


def test_the_entry_that_failed_a_run_is_cut_long_after_the_commit(world: World) -> None:
    run_id = failed(world, entry(1), entry(2, error=ERROR), entry(3), failed_seq=2)

    world.advance(DAY_MS)
    world.ask(run_id, "retry")

    row = world.row(run_id)
    assert [kept.key.address for kept in world.journal(run_id)] == ["task-1"]
    assert (row.attempt, row.status, row.finished_at_ms, row.failed_seq) == (2, Status.QUEUED, None, None)


def test_a_cancellation_that_came_after_what_failed_goes_with_it(world: World) -> None:
    run_id = world.running()
    world.ask(run_id, "cancel")
    entries = (entry(1), entry(2, error=ERROR), entry(3, EntryKind.CANCEL, mail=1), entry(4, asked=3))
    world.commit(run_id, Outcome.FAILED, entries=entries, failed_seq=2, error=ERROR)

    world.ask(run_id, "retry")

    assert [kept.key.address for kept in world.journal(run_id)] == ["task-1"]
    assert (world.row(run_id).cancel, world.row(run_id).cancel_delivered) == (None, False)


def test_a_cancellation_that_came_before_what_failed_stays(world: World) -> None:
    run_id = world.running()
    world.ask(run_id, "cancel")
    entries = (entry(1), entry(2, EntryKind.CANCEL, mail=1), entry(3, asked=2, error=ERROR))
    world.commit(run_id, Outcome.FAILED, entries=entries, failed_seq=3, error=ERROR)

    world.ask(run_id, "retry")

    assert [kept.key.kind for kept in world.journal(run_id)] == [EntryKind.TASK, EntryKind.CANCEL]
    assert world.row(run_id).cancel_delivered


def test_what_asked_a_failed_attempt_to_cancel_or_wake_is_void_for_the_next(world: World) -> None:
    run_id = world.running()
    world.ask(run_id, "wake")
    world.ask(run_id, "cancel")
    world.send(run_id, "kept")
    world.commit(run_id, Outcome.FAILED, error=ERROR, last_mail=0)

    world.ask(run_id, "retry")

    assert unread(world, run_id) == ["kept"]


def test_the_timeout_of_a_retried_run_counts_from_the_retry(world: World) -> None:
    run_id = failed(world, failed_seq=None, options=RunOptions(timeout_ms=DAY_MS))

    world.advance(10 * DAY_MS)
    world.ask(run_id, "retry")

    assert world.row(run_id).alarm_at_ms == world.now_ms + DAY_MS


def test_a_retried_run_fences_off_who_held_it_and_has_no_crashes(world: World) -> None:
    run_id = world.running()
    late = world.turn(run_id)
    world.commit(run_id, Outcome.FAILED, error=ERROR)

    world.ask(run_id, "retry")

    assert world.apply_turn(late).verdict is Verdict.FENCED
    assert world.row(run_id).epoch == 2


def test_a_retry_ends_the_cascade_of_the_end_that_it_undoes(world: World) -> None:
    run_id = world.running()
    child_id = world.with_child(run_id, RunOptions(parent_close=FOLLOWS))
    world.commit(run_id, Outcome.FAILED, error=ERROR)

    world.ask(run_id, "retry")
    world.ring(run_id)

    assert world.status(child_id) is Status.QUEUED


# ------------------------------------------------------------------------------------------------------ what it is held for


def test_the_reason_of_a_pause_stands_in_the_history_and_goes_with_the_pause(world: World) -> None:
    run_id = world.sleeping()

    world.ask(run_id, "pause", reason="the bank is down")
    assert last_move(world, run_id) == (Status.PAUSED, "the bank is down")
    assert world.row(run_id).why == "the bank is down"

    world.ask(run_id, "resume")
    assert world.row(run_id).why is None


@pytest.mark.parametrize("hears", ["suspends", "pauses", "is lost", "fails"])
def test_the_reason_of_a_pause_is_kept_until_its_owner_stops(world: World, hears: str) -> None:
    run_id = world.running(RunOptions(retry=RETRY))
    session_id = world.row(run_id).session_id or ""
    world.ask(run_id, "pause", reason="the bank is down")
    match hears:
        case "suspends":
            world.suspend(run_id, sleep(world.now_ms + DAY_MS))
        case "pauses":
            world.commit(run_id, Outcome.PAUSED)
        case "is lost":
            world.lose(session_id)
        case _:
            world.commit(run_id, Outcome.FAILED, error=ERROR)

    assert last_move(world, run_id) == (Status.PAUSED, "the bank is down")


def test_a_lifted_pause_leaves_no_reason_behind(world: World) -> None:
    run_id = world.running()
    world.ask(run_id, "pause", reason="the bank is down")
    world.ask(run_id, "resume")
    assert world.row(run_id).why is None

    world.suspend(run_id, sleep(world.now_ms + DAY_MS))
    world.ask(run_id, "pause")
    assert last_move(world, run_id) == (Status.PAUSED, None)


def test_a_paused_run_says_on_why_its_last_attempt_failed(world: World) -> None:
    run_id = world.running(RunOptions(retry=RETRY))
    world.commit(run_id, Outcome.FAILED, error=ERROR)
    world.ask(run_id, "pause", reason="the bank is down")
    world.ask(run_id, "resume")

    assert world.row(run_id).why == "attempt 1 failed: builtins.ValueError: no"
