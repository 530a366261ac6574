"""Events, cancel, terminate, wake, requeue: idempotent, and delivered by the owner, not by the engine."""

import pytest
from msgspec import Raw

from aiki.engine.commands import Ask, Send
from aiki.model.journal import EntryKind, MailKind
from aiki.model.lifecycle import Status
from aiki.model.retry import Retry
from aiki.model.wire import Control, Outcome, RunOptions, SendEvent, Standing
from tests.engine.world import World, entry, event_wait, sleep

# ------------------------------------------------------------------------------------------------------------ events


def test_an_event_that_a_suspended_run_waits_for_makes_it_ready(world: World) -> None:
    run_id = world.running()
    world.suspend(run_id, event_wait("go"))

    assert world.send(run_id, "go").status is Status.QUEUED
    assert world.moves(run_id)[-1] == "queued (message)"


def test_an_event_that_nobody_waits_for_lies_there_in_order(world: World) -> None:
    run_id = world.running()
    world.suspend(run_id, event_wait("go"))

    world.send(run_id, "first")
    world.send(run_id, "second")

    assert world.status(run_id) is Status.AWAITING_EVENT
    assert [(mail.number, mail.name) for mail in world.unread(run_id)] == [(1, "first"), (2, "second")]


def test_an_event_to_an_owned_run_is_told_to_its_owner(world: World) -> None:
    run_id = world.running()

    world.send(run_id)

    assert world.ws.mailed == {run_id}
    assert world.status(run_id) is Status.RUNNING


def test_a_repeated_event_is_one_message(world: World) -> None:
    run_id = world.start()

    first = world.send(run_id, message_id="m")
    second = world.send(run_id, message_id="m")

    assert (first.status, first.changed, first.repeated) == (second.status, second.changed, False)
    assert second.repeated
    assert len(world.unread(run_id)) == 1


def test_two_copies_of_an_event_in_one_batch_are_one_message(world: World) -> None:
    run_id = world.start()
    event = Send(SendEvent("default", run_id, "m", "go", Raw(b"1")))

    world.do(event, event)

    assert len(world.unread(run_id)) == 1


def test_a_repeat_of_an_event_that_was_taken_is_ignored(world: World) -> None:
    run_id = world.running()
    world.send(run_id, message_id="m")
    world.commit(run_id, entries=(entry(1, EntryKind.EVENT, "go", mail=1),))

    world.send(run_id, message_id="m")

    assert world.unread(run_id) == []


def test_an_event_to_a_run_that_has_ended_is_refused(world: World) -> None:
    run_id = world.start()
    world.ask(run_id, "terminate")

    problem = world.send(run_id).problem

    assert problem is not None
    assert (problem.code, problem.facts) == ("run_ended", {"run_id": run_id, "status": "cancelled"})


def test_a_run_of_another_namespace_is_not_found(world: World) -> None:
    run_id = world.start()
    commands = (
        Send(SendEvent("theirs", run_id, "m", "go", Raw(b"1"))),
        Ask(Control("theirs", run_id, "n", "terminate")),
        Ask(Control("default", "nobody", "n", "cancel")),
    )

    answers = world.do(*commands)

    problems = [answer.problem for answer in answers if isinstance(answer, Standing)]
    assert [problem.code for problem in problems if problem is not None] == ["run_not_found"] * 3
    assert world.status(run_id) is Status.QUEUED


# ------------------------------------------------------------------------------------------------------------ cancel


def test_a_run_that_has_not_begun_is_cancelled_at_once(world: World) -> None:
    for options in (RunOptions(), RunOptions(delay_ms=100)):
        run_id = world.start(options)

        assert world.ask(run_id, "cancel", reason="mistake").status is Status.CANCELLED
        error = world.ends[run_id].error
        assert error is not None
        assert (error.code, error.message) == ("run_cancelled", "mistake")


def test_a_suspended_run_is_made_ready_to_be_cancelled_by_its_code(world: World) -> None:
    run_id = world.sleeping()

    assert world.ask(run_id, "cancel", reason="mistake").status is Status.QUEUED
    assert [(mail.kind, mail.reason) for mail in world.unread(run_id)] == [(MailKind.CANCEL, "mistake")]


def test_a_queued_run_that_has_begun_is_cancelled_by_its_code(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)
    world.lose(session_id)

    assert world.ask(run_id, "cancel").status is Status.QUEUED
    assert len(world.unread(run_id)) == 1


def test_a_run_that_waits_for_its_next_attempt_is_cancelled_at_once(world: World) -> None:
    run_id = world.running(RunOptions(retry=Retry.fixed(2, 60)))
    world.commit(run_id, Outcome.FAILED)

    assert world.ask(run_id, "cancel").status is Status.CANCELLED


def test_a_run_whose_next_attempt_nobody_has_claimed_has_not_begun(world: World) -> None:
    run_id = world.running(RunOptions(retry=Retry.fixed(2, 0)))
    world.commit(run_id, Outcome.FAILED)
    world.ring(run_id)
    assert world.status(run_id) is Status.QUEUED

    assert world.ask(run_id, "cancel").status is Status.CANCELLED


def test_a_stalled_run_is_cancelled_at_once(world: World) -> None:
    run_id = world.running()
    world.commit(run_id, Outcome.STALLED, stall_reason="waits_for_nothing", why="no")

    assert world.ask(run_id, "cancel").status is Status.CANCELLED


def test_a_second_request_to_cancel_changes_nothing(world: World) -> None:
    run_id = world.running()

    first = world.ask(run_id, "cancel", reason="first")
    second = world.ask(run_id, "cancel", reason="second")

    assert (first.changed, second.changed) == (True, False)
    assert len(world.unread(run_id)) == 1
    assert world.row(run_id).cancel_reason == "first"


def test_a_repeated_request_gets_the_first_answer(world: World) -> None:
    run_id = world.running()

    assert world.ask(run_id, "cancel", message_id="m") == world.ask(run_id, "cancel", message_id="m")


def test_code_that_returns_a_value_after_a_cancel_completes(world: World) -> None:
    run_id = world.running()
    world.ask(run_id, "cancel")
    world.commit(run_id, entries=(entry(1, EntryKind.CANCEL, mail=1),))

    assert world.commit(run_id, Outcome.COMPLETED).status is Status.COMPLETED


def test_another_error_after_a_cancel_fails_without_retry(world: World) -> None:
    run_id = world.running(RunOptions(retry=Retry.fixed(5, 1)))
    world.ask(run_id, "cancel")

    assert world.commit(run_id, Outcome.FAILED).status is Status.FAILED


def test_a_cancellation_outlives_the_worker_that_heard_of_it(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)
    world.ask(run_id, "cancel")
    world.lose(session_id)

    assert [mail.kind for mail in world.unread(run_id)] == [MailKind.CANCEL]


# --------------------------------------------------------------------------------------------------------- terminate


@pytest.mark.parametrize("suspended", [True, False])
def test_termination_ends_a_run_for_good(world: World, *, suspended: bool) -> None:
    run_id = world.sleeping() if suspended else world.running()

    assert world.ask(run_id, "terminate", reason="enough").status is Status.CANCELLED
    assert run_id not in world.waits
    assert world.moves(run_id)[-1] == "cancelled (terminated)"


def test_termination_fences_the_owner_off_and_tells_it(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)
    turn = world.turn(run_id)

    world.ask(run_id, "terminate")

    assert world.ws.released == [(session_id, run_id, 1)]
    assert world.row(run_id).epoch == 2
    assert world.apply_turn(turn).verdict == "fenced"


def test_a_second_termination_changes_nothing(world: World) -> None:
    run_id = world.start()

    assert world.ask(run_id, "terminate").changed
    assert not world.ask(run_id, "terminate").changed


# -------------------------------------------------------------------------------------------------------------- wake


def test_a_wake_makes_a_sleeping_run_ready(world: World) -> None:
    run_id = world.sleeping()

    answer = world.ask(run_id, "wake")

    assert (answer.status, answer.changed) == (Status.QUEUED, True)
    assert world.moves(run_id)[-1] == "queued (woken)"
    assert [mail.kind for mail in world.unread(run_id)] == [MailKind.WAKE]


def test_a_wake_finds_a_sleep_behind_an_older_wait(world: World) -> None:
    run_id = world.running()
    world.suspend(run_id, event_wait(), sleep(world.now_ms + 100, order=2))

    assert world.ask(run_id, "wake").changed


def test_a_wake_of_a_run_that_does_not_sleep_changes_nothing(world: World) -> None:
    run_id = world.running()
    world.suspend(run_id, event_wait())

    answer = world.ask(run_id, "wake")

    assert (answer.status, answer.changed) == (Status.AWAITING_EVENT, False)
    assert world.unread(run_id) == []


def test_a_wake_starts_a_scheduled_run_now(world: World) -> None:
    run_id = world.start(RunOptions(delay_ms=10_000))

    assert world.ask(run_id, "wake").status is Status.QUEUED
    assert world.moves(run_id) == ["scheduled (started)", "queued (woken)"]


def test_a_wake_of_an_owned_run_is_for_its_owner_to_judge(world: World) -> None:
    run_id = world.running()

    assert world.ask(run_id, "wake").changed
    assert world.ws.mailed == {run_id}


def test_a_repeated_wake_is_one_message(world: World) -> None:
    run_id = world.sleeping()

    assert world.ask(run_id, "wake", message_id="m") == world.ask(run_id, "wake", message_id="m")
    assert len(world.unread(run_id)) == 1


def test_a_copy_of_a_wake_that_started_a_run_does_not_end_its_first_sleep(world: World) -> None:
    run_id = world.start(RunOptions(delay_ms=10_000))
    world.ask(run_id, "wake", message_id="m")
    world.claim(run_id, world.session())

    assert world.ask(run_id, "wake", message_id="m").changed
    assert world.unread(run_id) == []


def test_a_copy_of_a_wake_that_began_the_next_attempt_does_not_end_its_first_sleep(world: World) -> None:
    run_id = world.running(RunOptions(retry=Retry.fixed(2, 60)))
    world.commit(run_id, Outcome.FAILED)
    world.ask(run_id, "wake", message_id="m")
    world.claim(run_id, world.session())

    assert world.ask(run_id, "wake", message_id="m").changed
    assert world.unread(run_id) == []


@pytest.mark.parametrize("verb", ["cancel", "terminate"])
def test_a_copy_of_what_ended_a_run_at_once_gets_the_first_answer(world: World, verb: str) -> None:
    run_id = world.start(RunOptions(delay_ms=10_000))

    assert world.ask(run_id, verb, message_id="m") == world.ask(run_id, verb, message_id="m")
    assert not world.ask(run_id, verb).changed


# ----------------------------------------------------------------------------------------------------------- requeue


def test_a_stalled_run_is_given_another_chance(world: World) -> None:
    run_id = world.running()
    world.commit(run_id, Outcome.STALLED, stall_reason="diverged", why="it asks for pay()")

    answer = world.ask(run_id, "requeue")

    assert (answer.status, answer.changed) == (Status.QUEUED, True)
    assert (world.row(run_id).crashes, world.row(run_id).why) == (0, None)


def test_a_requeue_of_a_run_that_is_not_stalled_changes_nothing(world: World) -> None:
    run_id = world.sleeping()

    answer = world.ask(run_id, "requeue")

    assert (answer.status, answer.changed) == (Status.SLEEPING, False)
