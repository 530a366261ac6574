"""One writer: the epoch fences, exactly the next turn is applied, and a commit is applied whole."""

import pytest
from msgspec import Raw
from msgspec.structs import replace

from aiki.engine.commands import CommitTurn, Poll, RefuseTurn, Send
from aiki.model.journal import EntryKind, Wait
from aiki.model.lifecycle import Status
from aiki.model.wire import (
    ChildStart,
    CommitAnswer,
    Effect,
    Held,
    Outcome,
    PollRequest,
    Problem,
    RunOptions,
    SendEvent,
    Verdict,
)
from aiki.model.working_set import CANCEL_GRACE_MS
from tests.engine.world import LEASE_MS, World, child_of, child_wait, entry, event_wait, sleep, task_wait

# ------------------------------------------------------------------------------------------------------- the fence


def test_a_commit_of_an_older_epoch_is_fenced_and_changes_nothing(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)
    late = world.turn(run_id, entries=(entry(1),))
    world.lose(session_id)
    world.claim(run_id, world.session())

    answer = world.apply_turn(late)

    assert answer.verdict is Verdict.FENCED
    assert world.journal(run_id) == []


def test_a_commit_of_an_epoch_that_nobody_gave_is_fenced(world: World) -> None:
    run_id = world.running()

    assert world.apply_turn(replace(world.turn(run_id), epoch=7)).verdict is Verdict.FENCED


def test_a_commit_after_the_claim_was_given_up_is_fenced(world: World) -> None:
    run_id = world.sleeping()

    assert world.commit(run_id).verdict is Verdict.FENCED


def test_a_commit_of_a_run_that_is_not_there_is_fenced(world: World) -> None:
    run_id = world.running()

    assert world.apply_turn(replace(world.turn(run_id), run_id="gone")).verdict is Verdict.FENCED


@pytest.mark.parametrize("turn", [0, 1, 4, 5])
def test_only_the_next_turn_is_applied(world: World, turn: int) -> None:
    run_id = world.running()
    world.commit(run_id)
    world.commit(run_id)

    answer = world.apply_turn(replace(world.turn(run_id, entries=(entry(1),)), turn=turn))

    assert answer.verdict is Verdict.FENCED
    assert world.row(run_id).turn == 2


def test_a_repeated_turn_is_applied_once_and_answered_twice(world: World) -> None:
    run_id = world.running()
    turn = world.turn(run_id, entries=(entry(1),))

    answers = [world.apply_turn(turn), world.apply_turn(turn)]

    assert [answer.verdict for answer in answers] == [Verdict.APPLIED, Verdict.APPLIED]
    assert len(world.journal(run_id)) == 1


def test_a_repeat_in_the_same_batch_is_applied_once(world: World) -> None:
    run_id = world.running()
    turn = CommitTurn(world.turn(run_id, entries=(entry(1),)))

    world.do(turn, turn)

    assert len(world.journal(run_id)) == 1


def test_a_repeat_of_the_turn_that_ended_the_claim_answers_with_the_standing(world: World) -> None:
    run_id = world.running()
    turn = world.turn(run_id, Outcome.COMPLETED, output=Raw(b"1"))
    world.apply_turn(turn)

    again = world.apply_turn(turn)

    assert (again.verdict, again.status) == (Verdict.APPLIED, Status.COMPLETED)


def test_a_repeat_is_answered_afresh_with_mail_that_came_since(world: World) -> None:
    run_id = world.running()
    turn = world.turn(run_id)
    assert world.apply_turn(turn).mail == ()
    world.send(run_id)

    again = world.apply_turn(turn)

    assert [mail.name for mail in again.mail] == ["go"]
    assert again.last_mail == 1


# ----------------------------------------------------------------------------------------------------- what it records


def test_deliveries_are_recorded_in_order_under_chapter_and_attempt(world: World) -> None:
    run_id = world.running()
    world.commit(run_id, entries=(entry(1), entry(2)))
    world.commit(run_id, entries=(entry(3),))

    assert [e.seq for e in world.entries[run_id, 1, 1]] == [1, 2, 3]
    assert world.row(run_id).seq == 3


@pytest.mark.parametrize(
    "entries",
    [
        (entry(2),),
        (entry(1), entry(3)),
        (entry(1, asked=1),),
        (entry(1, address="pay"), entry(2, address="pay")),
    ],
)
def test_a_commit_that_contradicts_the_journal_is_refused_whole_and_stalls_the_run(
    world: World, entries: tuple[object, ...]
) -> None:
    run_id = world.running()

    answer = world.commit(run_id, entries=entries, effects=(Effect(1, "set", "k", Raw(b"1")),))

    assert answer.verdict is Verdict.REFUSED
    assert answer.problem is not None
    assert world.status(run_id) is Status.STALLED
    assert (world.journal(run_id), world.values) == ([], {})


def test_a_child_whose_id_does_not_follow_from_its_parent_is_refused(world: World) -> None:
    run_id = world.running()
    child = replace(child_of(world.row(run_id)), run_id=world.new_id())
    assert isinstance(child, ChildStart)

    assert world.commit(run_id, children=(child,)).verdict is Verdict.REFUSED


def test_a_message_is_read_when_the_commit_that_took_it_is_applied(world: World) -> None:
    run_id = world.running()
    world.send(run_id)
    world.send(run_id)

    world.commit(run_id, entries=(entry(1, EntryKind.EVENT, "go", mail=1),))

    assert [mail.number for mail in world.unread(run_id)] == [2]


def test_mail_that_no_entry_names_is_read_by_its_number(world: World) -> None:
    run_id = world.running()
    world.ask(run_id, "wake")

    world.commit(run_id, read=(1,))

    assert world.unread(run_id) == []


def test_an_answer_brings_the_mail_after_the_number_that_the_commit_names(world: World) -> None:
    run_id = world.running()
    for _ in range(3):
        world.send(run_id)

    answer = world.commit(run_id, last_mail=1)

    assert [mail.number for mail in answer.mail] == [2, 3]
    assert answer.last_mail == 3


def test_an_answer_brings_much_mail_in_parts_and_never_skips_any(world: World) -> None:
    run_id = world.running()
    world.do(*(Send(SendEvent("default", run_id, world.new_id(), "go", Raw(b"1"))) for _ in range(1_200)))

    last_mail, seen = 0, 0
    for _ in range(3):
        answer = world.commit(run_id, last_mail=last_mail)
        seen += len(answer.mail)
        last_mail = answer.last_mail

    assert (seen, last_mail) == (1_200, 1_200)


def test_an_effect_is_done_once_for_each_number(world: World) -> None:
    run_id = world.running()
    world.commit(run_id, effects=(Effect(1, "set", "k", Raw(b"1")), Effect(2, "set", "k", Raw(b"2"))))
    world.commit(run_id, effects=(Effect(1, "set", "k", Raw(b"1")), Effect(3, "set", "other", Raw(b"3"))))

    assert world.values == {(run_id, "k"): Raw(b"2"), (run_id, "other"): Raw(b"3")}
    assert world.row(run_id).effects == 3


def test_a_run_cancels_its_child(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id)
    world.claim(child_id, world.session())

    world.commit(parent_id, effects=(Effect(1, "cancel", target=child_id, reason="no need"),))

    assert world.row(child_id).cancel_reason == "no need"
    assert world.status(child_id) is Status.RUNNING


def test_a_child_that_is_cancelled_before_it_began_answers_its_parent_in_the_same_transaction(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id)

    answer = world.commit(
        parent_id,
        Outcome.SUSPENDED,
        opened=(child_wait(child_id),),
        waits=1,
        waits_for="child_result",
        effects=(Effect(1, "cancel", target=child_id),),
    )

    assert world.status(child_id) is Status.CANCELLED
    assert answer.status is Status.RUNNING
    assert [mail.status for mail in answer.mail] == [Status.CANCELLED]


def test_a_run_sends_an_event_to_its_child_and_wakes_it(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id)
    world.claim(child_id, world.session())
    world.suspend(child_id, event_wait("news"))

    world.commit(parent_id, effects=(Effect(1, "send", "news", Raw(b"1"), target=child_id),))

    assert world.status(child_id) is Status.QUEUED
    assert [mail.name for mail in world.unread(child_id)] == ["news"]


def test_progress_clears_the_crashes(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)
    world.poll(session_id)
    world.runs[run_id] = replace(world.row(run_id), crashes=1)

    world.commit(run_id)
    assert world.row(run_id).crashes == 1

    world.commit(run_id, entries=(entry(1),))
    assert world.row(run_id).crashes == 0


def test_the_delivery_of_a_cancellation_starts_its_grace(world: World) -> None:
    run_id = world.running()
    world.ask(run_id, "cancel")
    assert world.row(run_id).alarm_at_ms is None

    world.advance(500)
    world.commit(run_id, entries=(entry(1, EntryKind.CANCEL, mail=1),))

    assert world.row(run_id).cancel_delivered
    assert world.row(run_id).alarm_at_ms == world.now_ms + CANCEL_GRACE_MS


# -------------------------------------------------------------------------------------------------- how it leaves the run


@pytest.mark.parametrize(
    ("waits", "status"),
    [
        ((sleep(10**9),), Status.SLEEPING),
        ((Wait(replace(sleep(0).key, kind=EntryKind.TIMER), 0, 1, deadline_ms=10**9),), Status.SLEEPING),
        ((event_wait(),), Status.AWAITING_EVENT),
        ((task_wait(10**9),), Status.AWAITING_RETRY),
        ((event_wait(), sleep(10**9, order=2)), Status.AWAITING_EVENT),
    ],
)
def test_a_suspended_run_is_named_after_its_oldest_wait(world: World, waits: tuple[Wait, ...], status: Status) -> None:
    run_id = world.running()

    answer = world.suspend(run_id, *waits)

    assert (answer.status, world.status(run_id)) == (status, status)
    assert world.row(run_id).session_id is None


def test_a_run_waits_for_its_child(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id)

    assert world.suspend(parent_id, child_wait(child_id)).status is Status.AWAITING_CHILD
    assert [waiter.target_id for waiter in world.waiters] == [child_id]


def test_a_suspended_run_is_looked_at_by_its_earliest_deadline(world: World) -> None:
    run_id = world.running()

    world.suspend(run_id, sleep(world.now_ms + 900), event_wait(deadline_ms=world.now_ms + 100, order=2))

    assert world.row(run_id).alarm_at_ms == world.now_ms + 100


def test_a_run_with_news_at_hand_stays_with_its_owner(world: World) -> None:
    run_id = world.running()
    world.send(run_id)

    answer = world.suspend(run_id, event_wait(), last_mail=0)

    assert answer.status is Status.RUNNING
    assert [mail.name for mail in answer.mail] == ["go"]
    assert (world.row(run_id).turn, len(world.waits[run_id])) == (1, 1)


def test_a_run_with_old_mail_that_nobody_waits_for_suspends(world: World) -> None:
    run_id = world.running()
    world.send(run_id, "other")

    assert world.suspend(run_id, event_wait()).status is Status.AWAITING_EVENT
    assert len(world.unread(run_id)) == 1


def test_a_run_whose_deadline_has_passed_stays_with_its_owner(world: World) -> None:
    run_id = world.running()

    assert world.suspend(run_id, sleep(world.now_ms + 1)).status is Status.SLEEPING

    other_id = world.running()
    answer = world.suspend(other_id, sleep(world.now_ms))
    assert (answer.status, answer.now_ms) == (Status.RUNNING, world.now_ms)


def test_a_wake_that_nothing_slept_for_is_discarded_by_the_suspension(world: World) -> None:
    run_id = world.running()
    world.ask(run_id, "wake")

    world.suspend(run_id, sleep(world.now_ms + 100), read=(1,))

    assert world.unread(run_id) == []


def test_a_wake_that_is_at_hand_is_discarded_even_if_the_worker_forgets_to_say_so(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)
    world.ask(run_id, "wake")
    poll = Poll(PollRequest(session_id, 9, (), 0, (Held(run_id, 1, 0),)), LEASE_MS)
    wait = sleep(world.now_ms + 100)
    turn = world.turn(
        run_id, Outcome.SUSPENDED, opened=(wait,), waits=1, waits_for="sleep", deadline_ms=wait.deadline_ms
    )

    world.do(poll, CommitTurn(turn))

    assert (world.status(run_id), world.unread(run_id)) == (Status.SLEEPING, [])


def test_a_suspension_without_a_wait_is_refused(world: World) -> None:
    run_id = world.running()

    assert world.commit(run_id, Outcome.SUSPENDED).verdict is Verdict.REFUSED


def test_a_run_that_continues_as_new_begins_a_chapter_under_the_same_claim(world: World) -> None:
    run_id = world.running()
    world.send(run_id, "later")
    world.commit(run_id, entries=(entry(1),), opened=(event_wait(),), waits=1)
    epoch = world.row(run_id).epoch

    answer = world.commit(run_id, Outcome.CONTINUED, input=Raw(b'{"n":2}'))

    row = world.row(run_id)
    assert answer.status is Status.RUNNING
    assert (row.epoch, row.chapter, row.seq, row.waits, row.clock_ms) == (epoch, 2, 0, 0, world.now_ms)
    assert world.inputs[run_id] == Raw(b'{"n":2}')
    assert run_id not in world.waits
    assert [mail.name for mail in world.unread(run_id)] == ["later"]
    assert len(world.entries[run_id, 1, 1]) == 1


def test_a_run_that_diverged_keeps_its_waits_and_goes_on_when_requeued(world: World) -> None:
    run_id = world.sleeping(100)
    world.advance(100)
    world.ring(run_id)
    world.claim(run_id, world.session())

    world.commit(run_id, Outcome.STALLED, stall_reason="diverged", why="it asks for pay()", replace_waits=True)
    assert (world.status(run_id), world.row(run_id).why) == (Status.STALLED, "it asks for pay()")
    assert len(world.waits[run_id]) == 1

    world.ask(run_id, "requeue")
    assert world.status(run_id) is Status.QUEUED
    assert world.row(run_id).waits == 1


def test_a_commit_that_the_server_cannot_take_stalls_the_run(world: World) -> None:
    run_id = world.running()
    problem = Problem("payload_too_large", "3 MiB are over the limit of 2 MiB")

    (answer,) = world.do(RefuseTurn(run_id, world.row(run_id).epoch, 1, problem))

    assert isinstance(answer, CommitAnswer)
    assert (answer.verdict, answer.problem) == (Verdict.REFUSED, problem)
    assert (world.status(run_id), world.row(run_id).why) == (Status.STALLED, problem.message)


def test_a_run_that_stalls_when_it_is_to_be_cancelled_is_cancelled(world: World) -> None:
    stalls, refused = world.running(), world.running()
    for run_id in (stalls, refused):
        world.ask(run_id, "cancel")

    world.commit(stalls, Outcome.STALLED, stall_reason="diverged", why="it asks for pay()")
    world.do(RefuseTurn(refused, world.row(refused).epoch, 1, Problem("payload_too_large", "no")))

    assert [world.status(stalls), world.status(refused)] == [Status.CANCELLED, Status.CANCELLED]


# ------------------------------------------------------------------------------------------------------------- waits


def test_closing_a_wait_removes_waiter_and_unread_result(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id)
    wait = child_wait(child_id)
    world.commit(parent_id, opened=(wait,), waits=1)
    world.ask(child_id, "terminate")
    assert len(world.unread(parent_id)) == 1

    world.commit(parent_id, closed=(wait.key,))

    assert (world.unread(parent_id), world.waiters) == ([], {})


def test_a_wait_closed_in_the_batch_that_brought_its_result_leaves_nothing(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id)
    world.claim(child_id, world.session())
    wait = child_wait(child_id)
    world.commit(parent_id, opened=(wait,), waits=1)

    world.do(
        CommitTurn(world.turn(child_id, Outcome.COMPLETED)),
        CommitTurn(world.turn(parent_id, closed=(wait.key,))),
    )

    assert (world.unread(parent_id), world.waiters) == ([], {})


def test_the_first_commit_after_a_replay_replaces_the_stored_waits(world: World) -> None:
    session_id = world.session()
    parent_id = world.running(session_id=session_id)
    kept, dropped = world.with_child(parent_id), world.with_child(parent_id, ordinal=1)
    world.commit(parent_id, opened=(child_wait(kept), child_wait(dropped, order=2), event_wait(order=3)), waits=3)
    world.lose(session_id)
    world.claim(parent_id, world.session())

    world.commit(parent_id, opened=(child_wait(kept),), waits=1, replace_waits=True)

    assert [key.address for key in world.waits[parent_id]] == [kept]
    assert [waiter.target_id for waiter in world.waiters] == [kept]


def test_a_wait_that_is_opened_again_after_a_replay_gets_its_result_once(world: World) -> None:
    session_id = world.session()
    parent_id = world.running(session_id=session_id)
    child_id = world.with_child(parent_id)
    world.commit(parent_id, opened=(child_wait(child_id),), waits=1)
    world.lose(session_id)
    world.ask(child_id, "terminate")
    world.claim(parent_id, world.session())

    world.commit(parent_id, opened=(child_wait(child_id),), waits=1, replace_waits=True)

    assert len(world.unread(parent_id)) == 1


def test_a_commit_that_leaves_its_run_running_leaves_its_alarm(world: World) -> None:
    run_id = world.running(RunOptions(timeout_ms=50))

    world.commit(run_id, entries=(entry(1),))

    assert world.row(run_id).alarm_at_ms == world.now_ms + 50
