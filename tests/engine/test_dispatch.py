"""Ready runs reach waiting workers: by priority, by age, queue by queue, and in the transaction that made them ready."""

from msgspec.structs import replace

from aiki.engine.commands import Poll, Start
from aiki.engine.dispatch import Offer
from aiki.model.lifecycle import Status
from aiki.model.run import Queue
from aiki.model.wire import PollRequest, RunOptions
from tests.engine.world import LEASE_MS, QUEUE, World, event_wait, start_run

OTHER = Queue("default", "other", "1.0.0", "")


def _offer(session_id: str, *queues: Queue, capacity: int = 1) -> Offer:
    return Offer(session_id, queues or (QUEUE,), capacity)


def _claimed(world: World) -> list[str]:
    return [claim.run_id for claim in world.claims()]


def test_a_run_started_while_a_worker_waits_is_inserted_as_running(world: World) -> None:
    session_id = world.session()

    world.do(Start(start_run("a")), offers=[_offer(session_id)])

    row = world.row("a")
    assert (row.status, row.session_id, row.epoch, row.turn) == (Status.RUNNING, session_id, 1, 0)
    assert (row.started_at_ms, row.clock_ms, row.due_at_ms) == (world.now_ms, world.now_ms, None)
    assert world.moves("a") == ["running (started)"]
    assert world.history[-1].worker == world.sessions[row.session_id or ""].worker


def test_a_suspended_run_that_is_woken_while_a_worker_waits_goes_straight_to_running(world: World) -> None:
    run_id = world.running()
    world.suspend(run_id, event_wait())
    session_id = world.session()

    world.do(world.sending(run_id), offers=[_offer(session_id)])

    assert world.moves(run_id)[-2:] == ["awaiting_event (suspended)", "running (claimed)"]
    assert (world.history[-1].note, world.history[-1].worker) == ("message", world.sessions[session_id].worker)


def test_a_run_that_was_lost_and_handed_over_at_once_keeps_both_moves(world: World) -> None:
    first, second = world.session(), world.session()
    run_id = world.running(session_id=first)
    world.now_ms = world.sessions[first].expires_at_ms

    world.do(world.expiring(first), offers=[_offer(second)])

    assert world.moves(run_id)[-2:] == ["queued (worker_lost)", "running (claimed)"]
    assert [move.worker for move in world.history[-2:]] == [None, world.sessions[second].worker]


def test_the_higher_priority_goes_first_then_what_has_been_due_for_longest(world: World) -> None:
    late, urgent = world.start(), world.start(RunOptions(priority=5))
    world.advance(1)
    later = world.start()
    session_id = world.session()

    world.poll(session_id, capacity=2)
    assert _claimed(world) == [urgent, late]

    world.poll(world.session(), capacity=2)
    assert _claimed(world) == [later]


def test_no_more_is_handed_out_than_there_is_capacity(world: World) -> None:
    for _ in range(5):
        world.start()

    world.poll(world.session(), capacity=3)

    assert len(world.claims()) == 3


def test_a_busy_queue_does_not_starve_a_quiet_one(world: World) -> None:
    busy = [world.start() for _ in range(10)]
    quiet = world.new_id()
    world.do(Start(replace(start_run(quiet), workflow="other")))

    world.do(offers=[_offer(world.session(), QUEUE, OTHER, capacity=2)], ready=10)

    claimed = _claimed(world)
    assert quiet in claimed
    assert len(set(claimed) & set(busy)) == 1


def test_which_queue_comes_first_turns_with_the_polls(world: World) -> None:
    for _ in range(6):
        world.start()
        world.do(Start(replace(start_run(world.new_id()), workflow="other")))
    session_id = world.session()

    served: set[str] = set()
    for _ in range(4):
        held = [row for row in world.runs.values() if row.session_id == session_id]
        world.poll_for(session_id, held, QUEUE, OTHER)
        served.update(world.row(run_id).workflow for run_id in _claimed(world))

    assert served == {"order", "other"}


def test_a_run_goes_back_to_the_session_that_keeps_its_coroutine(world: World) -> None:
    first, second = world.session(), world.session()
    run_id = world.running(session_id=first)
    world.suspend(run_id, event_wait(), parks=True)

    world.do(world.sending(run_id), offers=[_offer(second, capacity=9), _offer(first)])

    (claim,) = world.claims()
    assert (claim.session_id, claim.parked_epoch) == (first, 1)
    assert (world.row(run_id).epoch, world.row(run_id).parked_on) == (2, None)


def test_a_parked_run_goes_to_another_session_where_its_own_does_not_wait(world: World) -> None:
    run_id = world.running()
    world.suspend(run_id, event_wait(), parks=True)
    second = world.session()

    world.do(world.sending(run_id), offers=[_offer(second)])

    (claim,) = world.claims()
    assert (claim.session_id, claim.parked_epoch) == (second, None)


def test_a_run_goes_to_the_session_with_the_most_room(world: World) -> None:
    small, large = world.session(), world.session()

    world.do(Start(start_run("a")), offers=[_offer(small, capacity=1), _offer(large, capacity=5)])

    assert world.row("a").session_id == large


def test_a_worker_is_handed_only_what_it_serves(world: World) -> None:
    world.start(RunOptions(pool="gpu"))

    world.do(offers=[_offer(world.session(), QUEUE, OTHER)], ready=1)

    assert world.claims() == []


def test_a_worker_is_handed_nothing_of_another_namespace(world: World) -> None:
    world.start()

    world.do(offers=[_offer(world.session("theirs"))], ready=1)

    assert world.claims() == []


def test_a_session_that_is_over_is_handed_nothing(world: World) -> None:
    session_id = world.session()
    world.lose(session_id)

    world.do(Start(start_run("a")), offers=[_offer(session_id)])

    assert world.status("a") is Status.QUEUED


def test_later_claims_keep_when_the_chapter_began(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)
    began_ms = world.now_ms
    world.lose(session_id)
    world.advance(50)

    world.claim(run_id, world.session())

    assert (world.row(run_id).clock_ms, world.row(run_id).started_at_ms) == (began_ms, began_ms)


def test_each_claim_adds_one_to_the_epoch_and_counts_turns_anew(world: World) -> None:
    session_id = world.session()
    run_id = world.running(session_id=session_id)
    world.commit(run_id)
    world.lose(session_id)
    epoch = world.row(run_id).epoch

    world.claim(run_id, world.session())

    assert (world.row(run_id).epoch, world.row(run_id).turn) == (epoch + 1, 0)


def test_a_worker_that_finds_its_work_itself_is_handed_only_what_it_found(world: World) -> None:
    other, found = world.start(), world.start()
    session_id = world.session()
    poll = PollRequest(session_id, 1, (QUEUE,), 5, found=(found,))

    world.do(Poll(poll, LEASE_MS), offers=[Offer(session_id, (QUEUE,), 5, only=frozenset({found}))], touched=[other])

    assert _claimed(world) == [found]
    assert world.row(other).status is Status.QUEUED


def test_what_was_found_and_is_taken_is_handed_to_nobody(world: World) -> None:
    found = world.running()
    session_id = world.session()
    poll = PollRequest(session_id, 1, (QUEUE,), 5, found=(found,))

    world.do(Poll(poll, LEASE_MS), offers=[Offer(session_id, (QUEUE,), 5, only=frozenset({found}))])

    assert _claimed(world) == []
