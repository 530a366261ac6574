"""What live views are told: each run once, as it stands, and never less without a word."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest

from aiki.clock import Chance, ManualClock
from aiki.config import Config
from aiki.errors import Unavailable
from aiki.model.changes import Changes
from aiki.server.live import LOGGED_RUNS_MAX, TOLD_RUNS_MAX, Reader
from aiki.server.server import Server
from tests.server.world import ServerWorld

QUICK = Config(live_gap_ms=10, live_beat_ms=100, live_readers_max=2)


@pytest.fixture
async def world(clock: ManualClock) -> AsyncIterator[ServerWorld]:
    async with Server(":memory:", clock=clock, chance=Chance(seed=1), config=QUICK, is_stepped=True) as server:
        yield ServerWorld(server, clock)


async def _told(world: ServerWorld, reader: Reader) -> Changes:
    world.clock.advance(seconds=1)
    return await reader.next()


def _statuses(changes: Changes) -> dict[str, str]:
    return {run.id: run.status for run in changes.runs}


async def test_a_reader_is_told_first_that_it_has_missed_what_was_before(world: ServerWorld) -> None:
    with closing(world.server.live.open("default")) as reader:
        first = await _told(world, reader)

    assert (first.missed, first.runs) == (True, ())


async def test_a_run_that_changed_twice_is_told_once_as_it_stands_now(world: ServerWorld) -> None:
    with closing(world.server.live.open("default")) as reader:
        await _told(world, reader)
        run_id = await world.run(reference_id="order-1")
        await world.control(run_id, "cancel")

        told = await _told(world, reader)

    (change,) = told.runs
    assert (change.id, change.status, change.reference_id, told.missed) == (run_id, "cancelled", "order-1", False)


async def test_a_reader_that_waits_is_told_as_it_happens(world: ServerWorld) -> None:
    with closing(world.server.live.open("default")) as reader:
        await _told(world, reader)
        world.clock.advance(seconds=1)
        waiting = asyncio.create_task(reader.next())
        await asyncio.sleep(0)
        assert not waiting.done()

        run_id = await world.run()

        assert _statuses(await waiting) == {run_id: "queued"}


@pytest.mark.parametrize("is_before", [True, False])
async def test_a_change_is_never_slept_through(clock: ManualClock, *, is_before: bool) -> None:
    patient = Config(live_gap_ms=10, live_beat_ms=600_000)
    async with Server(":memory:", clock=clock, chance=Chance(seed=1), config=patient, is_stepped=True) as server:
        world = ServerWorld(server, clock)
        with closing(server.live.open("default")) as reader:
            await _told(world, reader)
            clock.advance(seconds=1)
            waiting = None if is_before else asyncio.create_task(reader.next())
            await asyncio.sleep(0)
            await world.run()

            async with asyncio.timeout(5):
                assert len((await (waiting or reader.next())).runs) == 1


async def test_where_nothing_happens_an_empty_answer_says_so(world: ServerWorld) -> None:
    with closing(world.server.live.open("default")) as reader:
        first = await _told(world, reader)

        assert await _told(world, reader) == Changes(first.mark)


async def test_a_reader_that_comes_back_goes_on_after_its_mark(world: ServerWorld) -> None:
    with closing(world.server.live.open("default")) as reader:
        mark = (await _told(world, reader)).mark
    run_id = await world.run()

    with closing(world.server.live.open("default", after=mark)) as reader:
        assert _statuses(await _told(world, reader)) == {run_id: "queued"}


@pytest.mark.parametrize("mark", ["0190a000-0000-7000-8000-00000000dead.1", "nonsense", ".", "9.9.9"])
async def test_a_mark_of_another_life_is_not_known(world: ServerWorld, mark: str) -> None:
    with closing(world.server.live.open("default", after=mark)) as reader:
        assert (await _told(world, reader)).missed


async def test_a_mark_of_a_log_that_was_forgotten_is_not_known(world: ServerWorld) -> None:
    with closing(world.server.live.open("default")) as reader:
        mark = (await _told(world, reader)).mark
        await world.run()
        await _told(world, reader)
    world.clock.advance(minutes=1)
    world.server.live.sweep()
    await world.run()

    with closing(world.server.live.open("default", after=mark)) as reader:
        assert (await _told(world, reader)).missed


async def test_a_log_that_somebody_reads_is_not_forgotten(world: ServerWorld) -> None:
    with closing(world.server.live.open("default")) as reader:
        await _told(world, reader)
        world.clock.advance(minutes=1)
        world.server.live.sweep()
        run_id = await world.run()

        assert _statuses(await _told(world, reader)) == {run_id: "queued"}


async def test_more_than_a_page_can_use_is_told_as_missed(world: ServerWorld) -> None:
    with closing(world.server.live.open("default")) as reader:
        await _told(world, reader)
        await _start_many(world, TOLD_RUNS_MAX + 1)

        assert (await _told(world, reader)).missed


async def test_a_log_has_a_bound_and_who_fell_behind_it_is_told(world: ServerWorld) -> None:
    with closing(world.server.live.open("default")) as reader:
        mark = (await _told(world, reader)).mark
        await _start_many(world, LOGGED_RUNS_MAX + 1)
        await _told(world, reader)
        run_id = await world.run()
        assert _statuses(await _told(world, reader)) == {run_id: "queued"}

    with closing(world.server.live.open("default", after=mark)) as reader:
        assert (await _told(world, reader)).missed


async def test_namespaces_hear_nothing_of_one_another(world: ServerWorld) -> None:
    with closing(world.server.live.open("other")) as reader:
        first = await _told(world, reader)
        await world.run()

        assert await _told(world, reader) == Changes(first.mark)


async def test_what_may_have_been_missed_is_told_as_missed(world: ServerWorld) -> None:
    with closing(world.server.live.open("default")) as reader:
        await _told(world, reader)
        await world.run()
        world.server.live.note_uncertainty()

        assert (await _told(world, reader)).missed


async def test_there_is_a_bound_to_readers_and_a_place_is_free_again(world: ServerWorld) -> None:
    live = world.server.live
    readers = [live.open("default"), live.open("default")]
    with pytest.raises(Unavailable):
        live.open("default")
    readers[0].close()

    with closing(live.open("default")) as reader:
        assert (await _told(world, reader)).missed


async def test_a_namespace_that_nobody_reads_costs_nothing(world: ServerWorld) -> None:
    await world.run()

    assert not vars(world.server.live)["_logs"]


async def _start_many(world: ServerWorld, number: int) -> Any:
    requests = [world.start_request() for _ in range(number)]
    for first in range(0, number, 500):
        await world.do(world.calls.start(requests[first : first + 500]))
