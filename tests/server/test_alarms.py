"""What time brings about: due runs, cascades, sessions that are over."""

import asyncio

import pytest
from msgspec import Raw

from aiki.clock import ManualClock, SystemClock
from aiki.config import Config
from aiki.errors import Unavailable
from aiki.model.ids import child_run_id
from aiki.model.journal import CallKey, Entry, EntryKind
from aiki.model.lifecycle import Status
from aiki.model.views import RunFilter
from aiki.model.wire import ChildStart, Outcome
from aiki.model.working_set import CASCADE_ROWS, EXPIRY_ROWS
from aiki.server.server import Server
from aiki.store.base import DueRun
from tests.server.world import QUEUE, ServerWorld, nap, settled, turn


async def test_a_delayed_run_is_queued_only_once_its_time_has_come(world: ServerWorld) -> None:
    run_id = await world.run(delay_ms=5_000)

    world.clock.advance(milliseconds=4_999)
    await world.step()
    assert (await world.info(run_id)).status is Status.SCHEDULED

    world.clock.advance(milliseconds=1)
    await world.step()
    assert (await world.info(run_id)).status is Status.QUEUED


async def test_the_loop_sleeps_until_the_nearest_alarm_and_at_most_a_sweep(world: ServerWorld) -> None:
    await world.step()
    assert await world.do(world.server.alarms.step()) == 1_000

    await world.run(delay_ms=5_000)
    assert await world.do(world.server.alarms.step()) == 1_000

    await world.run(delay_ms=300)
    assert await world.do(world.server.alarms.step()) == 300


async def test_an_alarm_that_nobody_was_told_of_is_found_by_the_sweep(world: ServerWorld) -> None:
    await world.step()
    run_id = await world.run(delay_ms=100)
    world.server.alarms._nearest_ms = None  # the hint is lost

    world.clock.advance(milliseconds=999)
    await world.step()
    assert (await world.info(run_id)).status is Status.SCHEDULED

    world.clock.advance(milliseconds=1)
    await world.step()
    assert (await world.info(run_id)).status is Status.QUEUED


@pytest.mark.parametrize("due", ["others", "the same"])
async def test_alarms_that_others_rang_first_are_no_fault_and_one_that_nothing_comes_of_is(
    world: ServerWorld, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, due: str
) -> None:
    queued = [await world.run() for _ in range(5)]  # whoever rings these finds them rung

    async def due_runs(*, now_ms: int, limit: int) -> list[DueRun]:
        return [DueRun(queued[0] if due == "the same" else queued.pop(), is_cascade=False)]

    monkeypatch.setattr(world.server.store, "due_runs", due_runs)
    for _ in range(4):
        world.server.alarms.note_nearest(0)
        await world.do(world.server.alarms.step())

    assert ("nothing comes of them" in caplog.text) is (due == "the same")


async def test_more_alarms_than_one_look_finds_are_all_rung(clock: ManualClock) -> None:
    async with Server(":memory:", clock=clock, config=Config(alarm_rows=3), is_stepped=True) as server:
        world = ServerWorld(server, clock)
        await world.do(world.calls.start([world.start_request(delay_ms=10) for _ in range(10)]))

        world.clock.advance(milliseconds=10)
        while await world.do(server.alarms.step()) == 0:
            pass

        assert await server.store.count(RunFilter()) == {Status.QUEUED: 10}


async def test_an_alarm_on_a_running_loop_rings_by_itself_and_not_early() -> None:
    async with Server(":memory:") as server:
        world = ServerWorld(server, ManualClock(now_ms=SystemClock().now_ms()))
        (started,) = await world.calls.start([world.start_request(delay_ms=30)])
        info = await world.calls.info("default", started.run_id)
        assert info is not None
        due_at_ms = info.alarm_at_ms
        assert due_at_ms is not None

        async def queued() -> None:
            while not await server.store.ready_queues([QUEUE]):
                await asyncio.sleep(0.001)

        await asyncio.wait_for(queued(), 10)

        (_, move) = await server.store.history(started.run_id)
        assert due_at_ms <= move.at_ms


async def test_a_cascade_reaches_every_child_in_bounded_transactions(world: ServerWorld) -> None:
    worker = await world.worker(capacity=1)
    parent_id = await world.run()
    parent = await worker.claim()
    number = CASCADE_ROWS + 5
    children = tuple(_child(parent_id, ordinal) for ordinal in range(number))
    await worker.commit(turn(parent, Outcome.SUSPENDED, children=children, **_napping(world)))
    await world.control(parent_id, "terminate")

    await world.step()

    assert await world.server.store.count(RunFilter(parent_id=parent_id)) == {Status.CANCELLED: number}
    assert (await world.info(parent_id)).alarm_at_ms is None


async def test_a_session_that_nobody_renews_gives_its_runs_back(world: ServerWorld) -> None:
    if world.server.is_shared:
        pytest.skip("a server with others asks anew with each sweep for the polls that stand: they stand two seconds")
    worker = await world.worker(capacity=EXPIRY_ROWS + 10)
    starts = [world.start_request() for _ in range(EXPIRY_ROWS + 5)]
    await world.do(world.calls.start(starts))
    await worker.poll()
    stopped = await worker.wait(capacity=0)  # its connection stands, and it does nothing any more
    await world.step()

    for _ in range(9):
        world.clock.advance(seconds=1)
        await world.step()
    assert (await world.server.store.count(RunFilter())) == {Status.RUNNING: len(starts)}

    world.clock.advance(seconds=1)
    await world.step()
    assert (await world.server.store.count(RunFilter())) == {Status.QUEUED: len(starts)}
    assert (await worker.poll(wait_ms=2_000)).session_over
    await settled(stopped)


async def test_a_session_that_polls_is_kept(world: ServerWorld) -> None:
    worker = await world.worker()
    run_id = await world.run()
    await worker.claim()

    for _ in range(30):
        world.clock.advance(seconds=1)
        await worker.poll()
        await world.step()

    assert (await world.info(run_id)).status is Status.RUNNING


async def test_nobody_is_expired_before_the_server_has_worked_for_a_lease(world: ServerWorld) -> None:
    worker = await world.worker()
    run_id = await world.run()
    await worker.claim()
    await world.step()

    world.clock.advance(seconds=60)  # the whole process stood still, and heard of no renewal
    await world.step()
    assert (await world.info(run_id)).status is Status.RUNNING

    stopped = await worker.wait(capacity=0)
    for _ in range(9):
        world.clock.advance(seconds=1)
        await world.step()
    assert (await world.info(run_id)).status is Status.RUNNING
    await worker.poll()
    await settled(stopped)


async def test_whoever_died_is_found_though_the_database_goes_away_again_and_again(world: ServerWorld) -> None:
    worker = await world.worker()
    run_id = await world.run()
    await worker.claim()

    for second in range(30):
        if second % 3 == 0:
            world.server.pipeline.able_since_ms = None
        world.clock.advance(seconds=1)
        await world.step()
        if second < 18:  # its lease of ten seconds, and as much time in which it could have been heard
            assert (await world.info(run_id)).status is Status.RUNNING

    assert (await world.info(run_id)).status is Status.QUEUED


async def test_whoever_died_is_found_by_a_server_whose_sweeps_take_long(
    world: ServerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await world.worker()
    run_id = await world.run()
    await worker.claim()
    world.server.presence.heard(
        worker.session_id
    )  # it died while another server was to notice, and that has gone as well

    async def slow() -> None:
        world.clock.advance(seconds=4)

    monkeypatch.setattr(world.server.alarms, "_sweep", slow)
    for _ in range(6):
        world.clock.advance(seconds=1)
        await world.do(world.server.alarms.step())

    assert (await world.info(run_id)).status is Status.QUEUED


async def test_an_outage_that_only_the_clock_has_met_expires_nobody(
    world: ServerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await world.worker()
    run_id = await world.run()
    await worker.claim()
    for _ in range(12):
        world.clock.advance(seconds=1)
        await worker.poll()
        await world.step()

    async def away(*_: object, **__: object) -> None:
        raise Unavailable("the database is away")

    world.server.presence.heard(
        worker.session_id
    )  # it polls another server, which answers it no more than this one could
    with monkeypatch.context() as outage:
        for read in ("expired_sessions", "next_alarm_ms", "due_runs"):
            outage.setattr(world.server.store, read, away)
        for _ in range(20):
            world.clock.advance(seconds=1)
            await world.do(world.server.alarms.step())
    world.clock.advance(seconds=1)
    await world.step()

    assert (await world.info(run_id)).status is Status.RUNNING


async def test_an_alarm_that_comes_to_nothing_does_not_keep_the_loop_busy(
    world: ServerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.run(delay_ms=10)
    world.clock.advance(milliseconds=10)

    def fail(*_: object) -> None:
        raise LookupError("a bug")

    monkeypatch.setattr("aiki.engine.alarms.ring", fail)

    waits = [await world.do(world.server.alarms.step()) for _ in range(4)]

    assert waits[-1] > 0


async def test_a_session_that_the_engine_fails_on_does_not_stop_the_loop(
    world: ServerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.worker()
    delayed = await world.run(delay_ms=60_000)

    def fail(*_: object, **__: object) -> None:
        raise LookupError("a bug")

    monkeypatch.setattr("aiki.engine.sessions._take_back", fail)
    for _ in range(61):
        world.clock.advance(seconds=1)
        await world.step()

    assert (await world.info(delayed)).status is Status.QUEUED


async def test_a_run_that_no_worker_takes_stalls_once_a_server_has_been_there_for_all_that_time(
    clock: ManualClock,
) -> None:
    config = Config(undelivered_ms=120_000)
    async with Server(":memory:", clock=clock, config=config, is_stepped=True) as server:
        world = ServerWorld(server, clock)
        run_id = await world.run()

        for _ in range(119):
            clock.advance(seconds=1)
            await world.step()
        assert (await world.info(run_id)).status is Status.QUEUED

        for _ in range(62):
            clock.advance(seconds=1)
            await world.step()
        assert (await world.info(run_id)).status is Status.STALLED


def _napping(world: ServerWorld) -> dict[str, object]:
    wait = nap(world.clock.now_ms() + 1_000_000)
    return {"waits": 1, "deadline_ms": wait.deadline_ms, "waits_for": "sleep", "opened": (wait,)}


def _child(parent_id: str, ordinal: int) -> ChildStart:
    key = CallKey(EntryKind.CHILD, "order#1.0.0#hash", ordinal)
    run_id = child_run_id(parent_id, 1, attempt=1, address=key.address, ordinal=ordinal)
    return ChildStart(key, run_id, "default", "order", "1.0.0", Raw(b"{}"), "hash")


async def test_how_long_clean_up_may_take_is_a_setting(clock: ManualClock) -> None:
    async with Server(":memory:", clock=clock, config=Config(cancel_grace_ms=5_000), is_stepped=True) as server:
        world = ServerWorld(server, clock)
        run_id = await world.run()
        worker = await world.worker()
        claim = await worker.claim()
        await world.control(run_id, "cancel")
        told = Entry(1, CallKey(EntryKind.CANCEL, ""), 0, clock.now_ms(), mail=1)
        await worker.commit(turn(claim, Outcome.RUNNING, entries=(told,)))

        clock.advance(milliseconds=4_999)
        await world.step()
        assert (await world.info(run_id)).status is Status.RUNNING
        clock.advance(milliseconds=1)
        await world.step()
        assert (await world.info(run_id)).status is Status.CANCELLED
