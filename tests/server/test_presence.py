"""Who falls silent is judged soon, and only on what this server could have heard."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from aiki.clock import Chance, ManualClock
from aiki.config import Config
from aiki.engine.commands import ExpireSession, Poll
from aiki.errors import Unavailable
from aiki.model.lifecycle import Status
from aiki.model.wire import PollAnswer
from aiki.server.presence import Presence, Silence
from aiki.server.server import Server
from tests.server.world import PlayedWorker, ServerWorld


async def _break_off(poll: asyncio.Task[PollAnswer]) -> None:
    poll.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await poll


async def _pass(world: ServerWorld, milliseconds: int) -> None:
    """Let time pass, as a loop that is not held up sees it."""
    for _ in range(milliseconds // 100):
        world.clock.advance(milliseconds=100)
        await world.step()
    world.clock.advance(milliseconds=milliseconds % 100)
    await world.step()


async def _owner(world: ServerWorld) -> tuple[PlayedWorker, str]:
    worker = await world.worker()
    run_id = await world.run()
    await worker.claim()
    await world.step()
    return worker, run_id


async def test_a_worker_whose_connection_breaks_is_given_a_second_and_a_half(world: ServerWorld) -> None:
    worker, run_id = await _owner(world)
    await _break_off(await worker.wait(capacity=0))

    await _pass(world, 1_499)
    assert (await world.info(run_id)).status is Status.RUNNING

    await _pass(world, 1)
    assert (await world.info(run_id)).status is Status.QUEUED


async def test_a_worker_that_polls_over_a_new_connection_is_not_judged(world: ServerWorld) -> None:
    worker, run_id = await _owner(world)
    await _break_off(await worker.wait(capacity=0))
    await _pass(world, 1_400)

    again = await worker.wait(capacity=0)
    await _pass(world, 4_000)

    assert (await world.info(run_id)).status is Status.RUNNING
    await _break_off(again)


async def test_a_poll_that_a_newer_one_overtook_may_break(world: ServerWorld) -> None:
    worker, run_id = await _owner(world)
    older = await worker.wait(capacity=0)
    newer = await worker.wait(capacity=0)

    await _break_off(older)
    await _pass(world, 3_000)

    assert (await world.info(run_id)).status is Status.RUNNING
    await _break_off(newer)


async def test_a_worker_that_was_killed_between_two_polls_is_lost_in_four_seconds(world: ServerWorld) -> None:
    _, run_id = await _owner(world)

    await _pass(world, 3_999)
    assert (await world.info(run_id)).status is Status.RUNNING

    await _pass(world, 1)
    assert (await world.info(run_id)).status is Status.QUEUED


async def test_a_worker_that_polls_another_server_is_not_judged(world: ServerWorld) -> None:
    worker, run_id = await _owner(world)
    await _pass(world, 3_000)

    lease_ms = world.server.config.lease_ms
    await world.do(
        world.server.pipeline.ask(Poll(worker.request(), lease_ms))
    )  # it is not this one's dispatch that hears
    await _pass(world, 2_000)

    assert (await world.info(run_id)).status is Status.RUNNING


async def test_a_server_that_stood_still_forgives_what_it_could_not_hear(world: ServerWorld) -> None:
    _, run_id = await _owner(world)

    world.clock.advance(seconds=8)
    await world.step()
    assert (await world.info(run_id)).status is Status.RUNNING

    await _pass(world, 3_999)
    assert (await world.info(run_id)).status is Status.RUNNING
    await _pass(world, 1)
    assert (await world.info(run_id)).status is Status.QUEUED


async def test_silence_counts_anew_after_the_database_was_away(world: ServerWorld) -> None:
    _, run_id = await _owner(world)
    await _pass(world, 3_900)
    world.server.pipeline.able_since_ms = None

    await _pass(world, 4_000)
    assert (await world.info(run_id)).status is Status.RUNNING

    await _pass(world, 100)
    assert (await world.info(run_id)).status is Status.QUEUED


async def test_a_renewal_that_a_busy_server_refuses_is_held_against_nobody(clock: ManualClock) -> None:
    async with Server(":memory:", clock=clock, config=Config(queued_commands_max=10), is_stepped=True) as server:
        world = ServerWorld(server, clock)
        worker, run_id = await _owner(world)
        clock.advance(seconds=1)
        waiting = [server.pipeline.submit(ExpireSession("nobody")) for _ in range(10)]
        with pytest.raises(Unavailable):
            await world.calls.poll(worker.request())
        await world.until_quiet()
        assert all(answer.done() for answer in waiting)

        assert server.pipeline.able_since_ms == clock.monotonic_ms()
        assert (await world.info(run_id)).status is Status.RUNNING


async def test_sessions_outlive_a_server_whose_workers_live_elsewhere(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "aiki.db"
    async with Server(path, clock=clock, chance=Chance(seed=1), inline=True, is_stepped=True) as server:
        worker, run_id = await _owner(ServerWorld(server, clock))

    clock.advance(seconds=60)
    async with Server(path, clock=clock, chance=Chance(seed=2), inline=True, is_stepped=True) as server:
        world = ServerWorld(server, clock)
        await _pass(world, 9_999)
        assert (await world.info(run_id)).status is Status.RUNNING

        worker.world = world
        assert not (await worker.poll()).session_over


async def test_sessions_that_nobody_renews_after_a_restart_end_after_a_lease(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "aiki.db"
    async with Server(path, clock=clock, chance=Chance(seed=1), inline=True, is_stepped=True) as server:
        _, run_id = await _owner(ServerWorld(server, clock))

    async with Server(path, clock=clock, chance=Chance(seed=2), inline=True, is_stepped=True) as server:
        world = ServerWorld(server, clock)
        await _pass(world, 11_000)
        assert (await world.info(run_id)).status is Status.QUEUED


async def test_a_return_that_was_interrupted_is_finished(world: ServerWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = await world.worker(capacity=1_000)
    await world.do(world.calls.start([world.start_request() for _ in range(900)]))
    await worker.poll()
    await world.do(world.server.pipeline.ask(ExpireSession(worker.session_id, at_opening=True)))  # the first batch only
    owned = await world.server.store.unreturned_sessions(limit=10)
    assert owned == [worker.session_id]
    world.server.presence.heard(worker.session_id)  # else its silence would bring it up again

    await _pass(world, 12_000)

    assert await world.server.store.unreturned_sessions(limit=10) == []


def test_each_who_is_silent_is_named_once() -> None:
    clock = ManualClock()
    presence = Presence(clock=clock, config=Config())
    presence.answered("a", 3)
    presence.broken("b", 7)
    assert presence.next_ms() == clock.monotonic_ms() + 1_500

    clock.advance(milliseconds=1_500)
    assert presence.take_silent() == [Silence("b", 7)]
    clock.advance(milliseconds=2_500)
    assert presence.take_silent() == [Silence("a", 3)]
    assert (presence.take_silent(), presence.next_ms()) == ([], None)
