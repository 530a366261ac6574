"""How runs, mail and news reach workers."""

from aiki.model.lifecycle import Status
from aiki.model.run import Queue
from aiki.model.wire import Lost, Outcome
from tests.server.world import QUEUE, ServerWorld, event, nap, settled, turn


async def test_a_poll_brings_a_run_that_was_ready_before(world: ServerWorld) -> None:
    run_id = await world.run(payload=b'{"a":1}', tags={"team": "x"}, reference_id="r")
    worker = await world.worker()

    assignment = await worker.claim()

    assert (assignment.run_id, assignment.epoch, bytes(assignment.input)) == (run_id, 1, b'{"a":1}')
    assert (assignment.tags, assignment.reference_id) == ({"team": "x"}, "r")
    assert (await world.info(run_id)).status is Status.RUNNING


async def test_a_run_is_handed_to_a_waiting_worker_in_the_transaction_that_starts_it(world: ServerWorld) -> None:
    worker = await world.worker()
    waiting = await worker.wait()
    before = world.server.pipeline.transactions

    run_id = await world.run()

    assert world.server.pipeline.transactions == before + 1
    assert [a.run_id for a in (await settled(waiting)).assignments] == [run_id]
    moves = await world.server.store.history(run_id)
    assert [(move.old, move.new) for move in moves] == [(None, Status.RUNNING)]


async def test_a_run_that_an_event_wakes_is_handed_over_in_the_same_transaction(world: ServerWorld) -> None:
    worker = await world.worker()
    run_id = await world.run()
    await worker.suspend(await worker.claim(), event("paid"), parks=True)
    waiting = await worker.wait()
    before = world.server.pipeline.transactions

    await world.send(run_id, "paid", b"12")

    assert world.server.pipeline.transactions == before + 1
    (assignment,) = (await settled(waiting)).assignments
    assert (assignment.parked, assignment.parked_epoch, assignment.epoch) == (True, 1, 2)
    assert [bytes(mail.payload) for mail in assignment.mail] == [b"12"]
    assert (assignment.entries, assignment.waits) == ((), ())


async def test_a_poll_that_waits_in_vain_is_answered_when_its_time_is_over(world: ServerWorld) -> None:
    worker = await world.worker()

    answer = await worker.poll(wait_ms=1)

    assert (answer.assignments, answer.session_over) == ((), False)


async def test_a_newer_poll_of_a_session_has_the_older_one_answered_at_once(world: ServerWorld) -> None:
    worker = await world.worker()
    older = await worker.wait()
    newer = await worker.wait()

    assert (await settled(older)).assignments == ()
    run_id = await world.run()
    assert [a.run_id for a in (await settled(newer)).assignments] == [run_id]


async def test_a_poll_that_comes_after_a_newer_one_is_answered_with_nothing(world: ServerWorld) -> None:
    worker = await world.worker()
    late = worker.request(wait_ms=2_000)
    newer = await worker.wait()

    assert (await world.do(world.calls.poll(late))).assignments == ()
    await world.run()
    assert len((await settled(newer)).assignments) == 1


async def test_mail_for_an_owned_run_answers_the_open_poll_of_its_owner(world: ServerWorld) -> None:
    worker = await world.worker()
    run_id = await world.run()
    await worker.claim()
    waiting = await worker.wait(capacity=0)

    await world.send(run_id, "paid")

    (mail,) = (await settled(waiting)).mail
    assert (mail.run_id, mail.epoch, [m.number for m in mail.mail], mail.last_mail) == (run_id, 1, [1], 1)


async def test_an_owner_that_missed_mail_gets_all_of_it(world: ServerWorld) -> None:
    worker = await world.worker()
    run_id = await world.run()
    await worker.claim()
    first = await worker.wait(capacity=0)
    await world.send(run_id, "paid")
    await settled(first)  # lost on its way: the worker still states that it knows of none
    again = await worker.wait(capacity=0)

    (mail,) = (await settled(again)).mail
    assert [m.number for m in mail.mail] == [1]


async def test_an_owner_whose_statement_is_old_gets_all_mail_since_then(world: ServerWorld) -> None:
    worker = await world.worker()
    run_id = await world.run()
    assignment = await worker.claim()
    waiting = await worker.wait(capacity=0)
    # The second of these comes after the commit's answer has brought the first.
    await world.do(world.calls.commit([turn(assignment, Outcome.RUNNING)]))
    await world.send(run_id, "paid")
    second = await worker.wait(capacity=0)
    await world.send(run_id, "paid")

    assert [m.number for m in (await settled(waiting)).mail[0].mail] == [1]
    assert [m.number for m in (await settled(second)).mail[0].mail] == [1]


async def test_a_terminated_run_is_told_to_its_owner_as_lost(world: ServerWorld) -> None:
    worker = await world.worker()
    run_id = await world.run()
    await worker.claim()
    waiting = await worker.wait()

    await world.control(run_id, "terminate")

    assert (await settled(waiting)).lost == (Lost(run_id, 1),)


async def test_an_assignment_that_was_lost_on_its_way_is_told_again_under_its_epoch(world: ServerWorld) -> None:
    worker = await world.worker()
    run_id = await world.run(payload=b'{"a":1}')
    await worker.poll()
    worker.held.clear()

    (again,) = (await worker.poll()).assignments

    assert (again.run_id, again.epoch, bytes(again.input)) == (run_id, 1, b'{"a":1}')


async def test_a_caller_that_has_gone_is_offered_nothing(world: ServerWorld) -> None:
    worker = await world.worker()
    gone = await worker.wait()
    gone.cancel()
    await world.until_quiet()

    run_id = await world.run()

    assert (await world.info(run_id)).status is Status.QUEUED


async def test_a_worker_gets_no_more_than_it_has_room_for(world: ServerWorld) -> None:
    for _ in range(5):
        await world.run()
    worker = await world.worker(capacity=2)

    assert len((await worker.poll()).assignments) == 2
    assert len((await worker.poll(capacity=1)).assignments) == 1


async def test_a_busy_workflow_does_not_starve_a_quiet_one(world: ServerWorld) -> None:
    for _ in range(20):
        await world.run(workflow="busy")
    quiet = await world.run(workflow="quiet")
    worker = await world.worker(capacity=4, workflows=("busy", "quiet"))

    answer = await worker.poll()

    assert quiet in {assignment.run_id for assignment in answer.assignments}


async def test_urgent_runs_come_first_then_what_has_been_due_for_longest(world: ServerWorld) -> None:
    first = await world.run()
    world.clock.advance(seconds=1)
    second = await world.run()
    urgent = await world.run(priority=5)
    worker = await world.worker(capacity=1)

    order = [(await worker.claim()).run_id for _ in range(3)]

    assert order == [urgent, first, second]


async def test_a_lost_hint_is_repaired_by_the_sweep(world: ServerWorld) -> None:
    run_id = await world.run()
    world.server.dispatch._empty.add(QUEUE)  # what a lost hint leaves behind: the queue is thought to be empty
    worker = await world.worker()
    waiting = await worker.wait()
    assert not waiting.done()

    world.clock.advance(seconds=1)
    await world.step()

    assert [a.run_id for a in (await settled(waiting)).assignments] == [run_id]


async def test_a_queue_that_is_known_to_be_empty_is_not_looked_at_again(world: ServerWorld) -> None:
    worker = await world.worker()
    await worker.poll()

    waiting = await worker.wait()
    offering = world.server.dispatch.offering([])

    assert [poll.request.session_id for poll in offering.polls] == [worker.session_id]
    assert offering.looked_up == {}
    assert Queue("default", "order", "1.0.0") in world.server.dispatch.served_queues()
    waiting.cancel()


async def test_runs_that_a_worker_hands_back_go_to_another_at_once(world: ServerWorld) -> None:
    leaving, staying = await world.worker(), await world.worker()
    run_id = await world.run()
    await leaving.claim()
    waiting = await staying.wait()

    await leaving.hand_back()

    (assignment,) = (await settled(waiting)).assignments
    assert (assignment.run_id, assignment.epoch, assignment.crashes) == (run_id, 3, 0)


async def test_a_session_that_nobody_knows_is_over(world: ServerWorld) -> None:
    worker = await world.worker()
    worker.session_id = world.new_id()

    assert (await worker.poll(wait_ms=2_000)).session_over


async def test_a_goodbye_returns_what_is_held_and_ends_the_session(world: ServerWorld) -> None:
    worker = await world.worker()
    run_id = await world.run()
    await worker.claim()

    await worker.goodbye()

    info = await world.info(run_id)
    assert (info.status, info.crashes) == (Status.QUEUED, 0)
    assert (await worker.poll(wait_ms=2_000)).session_over


async def test_a_due_run_wakes_a_waiting_worker(world: ServerWorld) -> None:
    worker = await world.worker()
    await world.run()
    await worker.suspend(await worker.claim(), nap(world.clock.now_ms() + 5_000))
    waiting = await worker.wait()

    world.clock.advance(milliseconds=4_999)
    await world.step()
    assert not waiting.done()
    world.clock.advance(milliseconds=1)
    await world.step()

    assert len((await settled(waiting)).assignments) == 1


async def test_a_parked_run_waits_a_moment_for_the_worker_that_kept_it(world: ServerWorld) -> None:
    keeper, other = await world.worker(), await world.worker()
    run_id = await world.run()
    await keeper.suspend(await keeper.claim(), event("paid"), parks=True)
    full, waiting = await keeper.wait(capacity=0), await other.wait()

    await world.send(run_id, "paid")
    assert not waiting.done()
    (assignment,) = (await keeper.poll(capacity=1)).assignments

    assert (assignment.run_id, assignment.parked) == (run_id, True)
    assert (await settled(full)).assignments == ()
    waiting.cancel()


async def test_a_parked_run_waits_no_longer_than_that_moment(world: ServerWorld) -> None:
    keeper, other = await world.worker(), await world.worker()
    run_id = await world.run()
    await keeper.suspend(await keeper.claim(), event("paid"), parks=True)
    full, waiting = await keeper.wait(capacity=0), await other.wait()
    await world.send(run_id, "paid")

    world.clock.advance(milliseconds=100)
    world.server.dispatch._release_kept([QUEUE])  # what the timer does
    await world.until_quiet()

    (assignment,) = (await settled(waiting)).assignments
    assert (assignment.run_id, assignment.parked) == (run_id, False)
    full.cancel()


async def test_a_parked_run_does_not_wait_for_a_worker_that_left_long_ago(world: ServerWorld) -> None:
    keeper, other = await world.worker(), await world.worker()
    run_id = await world.run()
    await keeper.suspend(await keeper.claim(), event("paid"), parks=True)
    world.clock.advance(milliseconds=101)
    waiting = await other.wait()

    await world.send(run_id, "paid")

    assert [a.run_id for a in (await settled(waiting)).assignments] == [run_id]
