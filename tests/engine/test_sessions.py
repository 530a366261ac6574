"""Workers are leased, runs are not; what an answer lost is told again."""

from collections.abc import Sequence

from msgspec.structs import replace

from aiki.engine.commands import Announced, ExpireSession, HandBackRuns, Poll, PollOutcome, Returned, SayGoodbye
from aiki.engine.dispatch import Offer
from aiki.engine.sessions import CRASHES_MAX, SUSPECT_CRASHES
from aiki.model.lifecycle import Status
from aiki.model.wire import Announce, Goodbye, HandBack, Held, Lost, PollRequest, RunOptions, Verdict
from aiki.model.working_set import EXPIRY_ROWS
from tests.engine.world import LEASE_MS, QUEUE, World, entry, held_of


def _crash(world: World, run_id: str) -> None:
    """Let a worker claim a run, hear of it, and die on it."""
    session_id = world.session()
    world.claim(run_id, session_id)
    world.poll(session_id, held_of(world.row(run_id)))
    world.lose(session_id)


def _give_back(world: World, session_id: str, runs: Sequence[Held]) -> tuple[str, ...]:
    (answer,) = world.do(HandBackRuns(HandBack(session_id, tuple(runs))))
    assert isinstance(answer, Returned)
    return answer.runs


# ---------------------------------------------------------------------------------------------------- announce, poll


def test_a_session_is_leased_from_its_announcement_on(world: World) -> None:
    session_id = world.session()

    assert world.sessions[session_id].expires_at_ms == world.now_ms + LEASE_MS


def test_a_repeated_announcement_is_the_same_session_until_that_has_ended(world: World) -> None:
    session_id = world.session()
    again = Announced(Announce(session_id, "default", "w", (), (), 10), LEASE_MS)

    assert world.do(again) == [PollOutcome(session_id)]
    world.lose(session_id)
    assert world.do(again) == [PollOutcome(session_id, over=True)]


def test_a_poll_renews_the_lease(world: World) -> None:
    session_id = world.session()
    world.advance(4_000)

    world.poll(session_id)

    assert world.sessions[session_id].expires_at_ms == world.now_ms + LEASE_MS


def test_a_poll_that_nobody_announced_is_told_that_its_session_is_over(world: World) -> None:
    assert world.poll("nobody").over


def test_a_session_that_has_ended_never_comes_back(world: World) -> None:
    session_id = world.session()
    world.start()
    world.lose(session_id)

    assert world.poll(session_id, capacity=1).over
    assert world.claims() == []


def test_a_copy_of_a_poll_that_a_later_one_overtook_renews_nothing(world: World) -> None:
    session_id = world.session()
    world.poll(session_id, number=5)
    lease = world.sessions[session_id].expires_at_ms
    world.advance(1_000)

    assert world.poll(session_id, number=4).stale
    assert world.sessions[session_id].expires_at_ms == lease


def test_a_poll_brings_the_mail_that_the_worker_lacks(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)
    for _ in range(3):
        world.send(run_id)

    (mail,) = world.poll(session_id, Held(run_id, 1, 1)).mail

    assert ([m.number for m in mail.mail], mail.last_mail, mail.epoch) == ([2, 3], 3, 1)


def test_a_poll_tells_of_claims_that_have_ended(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)
    held = held_of(world.row(run_id))
    world.ask(run_id, "terminate")

    assert world.poll(session_id, held, Held("gone", 3, 0)).lost == (Lost(run_id, 1), Lost("gone", 3))


def test_a_claim_that_the_workers_own_commit_ended_is_not_told_as_lost(world: World) -> None:
    session_id = world.session()
    run_id = world.sleeping(session_id=session_id)

    assert world.poll(session_id, Held(run_id, 1, 0)).lost == ()


def test_a_session_gets_no_mail_of_a_run_that_another_holds(world: World) -> None:
    run_id = world.running()
    world.send(run_id)

    outcome = world.poll(world.session(), Held(run_id, 1, 0))

    assert (outcome.mail, outcome.lost) == ((), (Lost(run_id, 1),))


def test_an_assignment_that_was_never_heard_of_is_told_again_under_its_epoch(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)

    outcome = world.poll(session_id)

    assert outcome.retold == (run_id,)
    assert [(claim.run_id, claim.parked_epoch) for claim in world.claims()] == [(run_id, None)]
    assert (world.row(run_id).epoch, world.row(run_id).claimed_poll) == (1, world.sessions[session_id].poll)


def test_an_assignment_that_the_worker_states_is_not_told_again(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)

    assert world.poll(session_id, held_of(world.row(run_id))).retold == ()


def test_a_repeat_of_the_poll_that_brought_a_claim_does_not_tell_it_again(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)

    assert world.poll(session_id, number=world.row(run_id).claimed_poll).retold == ()


# ------------------------------------------------------------------------------------------------- hand back, goodbye


def test_a_run_that_is_handed_back_is_queued_at_once_and_counts_no_crash(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)
    late = world.turn(run_id)
    world.poll(session_id, held_of(world.row(run_id)))

    assert _give_back(world, session_id, [held_of(world.row(run_id))]) == (run_id,)
    assert (world.status(run_id), world.row(run_id).crashes) == (Status.QUEUED, 0)
    assert world.apply_turn(late).verdict is Verdict.FENCED


def test_a_repeated_hand_back_changes_nothing(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)
    held = held_of(world.row(run_id))
    _give_back(world, session_id, [held])
    world.claim(run_id, session_id)

    assert _give_back(world, session_id, [held]) == ()
    assert world.status(run_id) is Status.RUNNING


def test_a_session_cannot_give_back_what_another_holds(world: World) -> None:
    run_id = world.running()

    assert _give_back(world, world.session(), [held_of(world.row(run_id))]) == ()


def test_a_goodbye_ends_the_session_and_counts_no_crash(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)

    world.do(SayGoodbye(Goodbye(session_id)))

    assert world.sessions[session_id].is_over
    assert world.moves(run_id)[-1] == "queued (handed_back)"
    assert world.row(run_id).crashes == 0


def test_a_goodbye_of_nobody_does_nothing(world: World) -> None:
    assert world.do(SayGoodbye(Goodbye("nobody"))) == [Returned("nobody")]


# ------------------------------------------------------------------------------------------------------------ expiry


def test_a_session_is_judged_again_under_the_lock(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)

    world.advance(LEASE_MS - 1)
    assert world.expire(session_id).runs == ()
    assert world.status(run_id) is Status.RUNNING

    world.advance(1)
    assert world.expire(session_id).runs == (run_id,)
    assert world.moves(run_id)[-1] == "queued (worker_lost)"


def test_sessions_of_a_dead_holder_of_the_file_end_at_once(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)

    world.expire(session_id, at_opening=True)

    assert world.status(run_id) is Status.QUEUED


def test_a_silent_session_ends_before_its_lease_unless_it_has_polled_since(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)
    poll = world.sessions[session_id].poll

    world.do(ExpireSession(session_id, silent_after=poll - 1))
    assert world.status(run_id) is Status.RUNNING

    world.do(ExpireSession(session_id, silent_after=poll))
    assert world.status(run_id) is Status.QUEUED


def test_the_runs_of_a_dead_session_return_in_bounded_batches(world: World) -> None:
    session_id = world.session()
    for _ in range(EXPIRY_ROWS + 1):
        world.start()
    world.poll(session_id, capacity=EXPIRY_ROWS + 1)
    world.advance(LEASE_MS)

    first, second = world.expire(session_id), world.expire(session_id)

    assert (len(first.runs), first.more) == (EXPIRY_ROWS, True)
    assert (len(second.runs), second.more) == (1, False)


def test_a_claim_that_was_never_heard_of_counts_as_no_crash(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)

    world.lose(session_id)

    assert world.row(run_id).crashes == 0


def test_a_claim_that_was_heard_of_counts_as_a_crash(world: World) -> None:
    run_id = world.start()

    _crash(world, run_id)

    assert world.row(run_id).crashes == 1


def test_a_commit_shows_that_a_claim_was_heard_of(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)
    world.commit(run_id)

    world.lose(session_id)

    assert world.row(run_id).crashes == 1


def test_a_run_that_five_workers_died_on_stalls_and_says_why(world: World) -> None:
    run_id = world.start()

    for _ in range(CRASHES_MAX):
        assert world.status(run_id) is Status.QUEUED
        _crash(world, run_id)

    assert world.moves(run_id)[-1] == "stalled (crashed)"
    assert "5 workers died" in (world.row(run_id).why or "")
    assert world.row(run_id).alarm_at_ms is None


# ---------------------------------------------------------------------------------------------------------- suspects


def _two_suspects(world: World) -> tuple[str, str]:
    suspects = world.start(), world.start()
    for run_id in suspects:
        for _ in range(SUSPECT_CRASHES):
            _crash(world, run_id)
    return suspects


def test_a_session_holds_one_suspect_at_a_time(world: World) -> None:
    suspects = _two_suspects(world)
    innocent = world.start()
    session_id = world.session()

    world.poll(session_id, capacity=10)

    held = {claim.run_id for claim in world.claims()}
    assert innocent in held
    assert len(held & set(suspects)) == 1
    assert world.sessions[session_id].suspect_run_id in held


def test_a_poison_run_does_not_condemn_its_neighbours(world: World) -> None:
    """Whatever shares a session with a suspect is lost twice at most, and then no more by another's fault."""
    poison = world.start()
    neighbours = [world.start() for _ in range(5)]
    deaths = 0
    while world.status(poison) is not Status.STALLED:
        session_id = world.session()
        world.poll(session_id, capacity=10)
        mine = [row for row in world.runs.values() if row.session_id == session_id]
        world.poll(session_id, *(held_of(row) for row in mine))
        if poison not in {row.id for row in mine}:
            for row in mine:
                world.commit(row.id, entries=(entry(world.row(row.id).seq + 1),))
        world.lose(session_id)
        deaths += 1
        assert deaths < 50

    assert [world.status(run_id) for run_id in neighbours] == [Status.QUEUED] * 5


def test_progress_makes_a_suspect_one_of_many_again(world: World) -> None:
    first, second = _two_suspects(world)
    session_id = world.session()
    world.claim(first, session_id)
    world.commit(first, entries=(entry(1),))

    world.poll(session_id, held_of(world.row(first)))
    assert world.sessions[session_id].suspect_run_id is None

    world.claim(second, session_id)
    assert world.sessions[session_id].suspect_run_id == second


def test_a_suspect_that_is_handed_back_makes_room_for_another(world: World) -> None:
    first, second = _two_suspects(world)
    session_id = world.session()
    world.claim(first, session_id)

    _give_back(world, session_id, [held_of(world.row(first))])

    assert world.sessions[session_id].suspect_run_id is None
    world.claim(second, session_id)


def test_a_run_lost_beside_the_suspect_counts_no_further_loss_once_it_is_one_itself(world: World) -> None:
    first, second = _two_suspects(world)
    session_id = world.session()
    world.claim(first, session_id)
    world.runs[second] = replace(world.row(second), crashes=0)
    world.claim(second, session_id)
    world.runs[second] = replace(world.row(second), crashes=SUSPECT_CRASHES)
    world.poll(session_id, *(held_of(world.row(run_id)) for run_id in (first, second)))

    world.lose(session_id)

    assert (world.row(first).crashes, world.row(second).crashes) == (SUSPECT_CRASHES + 1, SUSPECT_CRASHES)


def test_a_poll_and_a_termination_in_one_batch_hand_out_nothing_that_has_ended(world: World) -> None:
    session_id = world.session()
    run_id = world.running(RunOptions(), session_id=session_id)
    poll = Poll(PollRequest(session_id, 9, (QUEUE,), 1), LEASE_MS)

    world.do(poll, world.asking(run_id, "terminate"), offers=[Offer(session_id, (QUEUE,), 1)])

    assert world.claims() == []
