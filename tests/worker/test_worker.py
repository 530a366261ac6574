"""How a worker begins and ends: what it waits for, what it gives back, what it tells."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from aiki.clock import Chance
from aiki.errors import InvalidInput, Unavailable
from aiki.model.lifecycle import Status
from aiki.model.wire import PollAnswer, PollRequest
from aiki.sdk.client import Client
from aiki.sdk.events import Event, Events
from aiki.sdk.run import Run
from aiki.sdk.task import task
from aiki.sdk.workflow import workflow
from aiki.server.server import Server
from aiki.worker.worker import Worker
from tests.worker.road import Fleet, Road, fleet, in_virtual_time, settle

executed: list[str] = []


@pytest.fixture(autouse=True)
def nothing_executed() -> None:
    executed.clear()


@task
async def work(name: str, seconds: float = 0) -> str:
    executed.append(name)
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        executed.append(f"{name} cancelled")
        raise
    executed.append(f"{name} done")
    return name


class Signals(Events):
    go: Event[str]


@workflow("steps").version("1")
async def steps_v1(run: Run, number: int, seconds: float) -> str:
    for step in range(number):
        await work.start(run, str(step), seconds)
    return "walked"


@workflow("patient").version("1", events=Signals)
async def patient_v1(run: Run[Signals]) -> str:
    return (await run.events.go.wait()).data


# ------------------------------------------------------------------------------------------------------------ the end


@in_virtual_time
async def test_a_worker_without_a_task_under_way_ends_at_once() -> None:
    async with fleet() as world:
        async with world.worker(patient_v1, shutdown_grace=60):
            await patient_v1.start(world.client)
            await asyncio.sleep(1)

        assert world.now_s == 1


@in_virtual_time
async def test_running_tasks_finish_and_no_further_one_begins() -> None:
    async with fleet() as world:
        async with world.worker(steps_v1, shutdown_grace=60) as (_, road):
            handle = await steps_v1.start(world.client, 3, 5)
            await asyncio.sleep(7)
        assert executed == ["0", "0 done", "1", "1 done"]
        assert 10 <= world.now_s < 10.2
        assert (await world.moves(handle.id))[-1] == "queued (handed_back)"
        assert len(road.told("goodbye")) == 1

        async with world.worker(steps_v1):
            assert await handle.result() == "walked"
        assert executed == ["0", "0 done", "1", "1 done", "2", "2 done"]
        assert world.now_s < 16
        assert (await world.info(handle.id)).crashes == 0


@in_virtual_time
async def test_what_is_not_done_at_the_end_of_the_grace_is_cancelled_and_goes_back() -> None:
    async with fleet() as world:
        async with world.worker(steps_v1, shutdown_grace=3) as (worker, _):
            handle = await steps_v1.start(world.client, 1, 60)
            await asyncio.sleep(1)
        assert worker.has_given_up
        assert world.now_s == pytest.approx(4, abs=0.1)
        assert executed == ["0", "0 cancelled"]
        assert (await world.moves(handle.id))[-1] == "queued (handed_back)"


@in_virtual_time
async def test_a_hundred_runs_under_load_go_back_in_one_call_and_none_waits_for_a_lease() -> None:
    async with fleet() as world:
        async with world.worker(steps_v1, shutdown_grace=1) as (_, road):
            handles = [await steps_v1.start(world.client, 2, 0.3 + number / 50) for number in range(100)]
            await asyncio.sleep(1)
        left_s = world.now_s
        assert left_s < 2.2
        assert (len(road.told("goodbye")), road.told("hand_back")) == (1, [])
        assert {(await world.info(handle.id)).status for handle in handles} <= {Status.QUEUED, Status.COMPLETED}

        async with world.worker(steps_v1):
            assert [await handle.result() for handle in handles] == ["walked"] * 100
        assert world.now_s - left_s < 8
        assert max([(await world.info(handle.id)).crashes for handle in handles]) == 0


@in_virtual_time
async def test_a_run_that_is_assigned_while_the_worker_leaves_is_not_begun() -> None:
    async with fleet() as world:
        async with world.worker(steps_v1, shutdown_grace=60) as (worker, _):
            await steps_v1.start(world.client, 1, 5)
            await settle()
            leaving = asyncio.create_task(worker._wind_down())
            late = await steps_v1.start(world.client, 1, 0)
            await asyncio.sleep(1)
            assert executed == ["0"]
            await leaving
        assert (await late.info()).status == Status.QUEUED


@in_virtual_time
async def test_a_lease_holds_through_a_grace_that_is_longer() -> None:
    async with fleet() as world:
        async with world.worker(steps_v1, shutdown_grace=60):
            handle = await steps_v1.start(world.client, 1, 40)
            await asyncio.sleep(1)
        assert executed == ["0", "0 done"]
        assert (await handle.info()).status == Status.COMPLETED


@in_virtual_time
async def test_tasks_that_tidy_up_are_waited_for_before_their_context_goes() -> None:
    @task
    async def tidy() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.5)
            executed.append("tidied up")

    @workflow("tidy").version("1")
    async def tidy_v1(run: Run) -> None:
        await tidy.start(run)

    @asynccontextmanager
    async def context() -> AsyncIterator[str]:
        yield "open"
        executed.append("context closed")

    async with fleet() as world, world.worker(tidy_v1, context=context):
        await tidy_v1.start(world.client)
        await settle()

    assert executed == ["tidied up", "context closed"]


@pytest.mark.parametrize("how", ["is_cut", "is_silent"])
def test_a_worker_whose_server_is_away_does_not_wait_for_it_for_ever(how: str) -> None:
    @in_virtual_time
    async def test() -> None:
        async with fleet() as world:
            async with world.worker(steps_v1, shutdown_grace=3) as (_, road):
                await steps_v1.start(world.client, 5, 0.5)
                await asyncio.sleep(1.2)
                setattr(road, how, True)
            assert world.now_s < 1.2 + 3 + 2 * 2 + 0.1

    test()


# ------------------------------------------------------------------------------------------------------------- signals


async def _send(number: int) -> None:
    os.kill(os.getpid(), number)
    await asyncio.sleep(0.001)


async def _serving(world: Fleet, grace: float = 60) -> Worker:
    client = Client(transport=Road(world.server), clock=world.server.clock, chance=Chance(seed=3))
    return Worker(client, [steps_v1], shutdown_grace=grace)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_tasks_finish(number: int, caplog: pytest.LogCaptureFixture) -> None:
    @in_virtual_time
    async def test() -> None:
        async with fleet() as world:
            worker = await _serving(world)
            serving = asyncio.create_task(worker.run())
            handle = await steps_v1.start(world.client, 2, 5)
            await asyncio.sleep(1)
            await _send(number)
            await serving

            assert executed == ["0", "0 done"]
            assert (await world.moves(handle.id))[-1] == "queued (handed_back)"
            assert "finishing 1 task, Ctrl-C again to stop now" in caplog.text

    test()


@in_virtual_time
async def test_a_second_signal_stops_now() -> None:
    told: list[int] = []
    async with fleet() as world:
        worker = await _serving(world)
        serving = asyncio.create_task(worker.run(on_stopping=told.append))
        handle = await steps_v1.start(world.client, 2, 50)
        await asyncio.sleep(1)
        await _send(signal.SIGINT)
        await asyncio.sleep(1)
        assert (told, serving.done()) == ([1], False)
        await _send(signal.SIGINT)
        await serving

        assert world.now_s < 2.1
        assert executed == ["0", "0 cancelled"]
        assert (await world.moves(handle.id))[-1] == "queued (handed_back)"


def test_where_no_signal_can_be_caught_a_worker_runs_until_it_is_cancelled() -> None:
    ended: list[str] = []

    @in_virtual_time
    async def run() -> None:
        async with fleet() as world:
            worker = await _serving(world)
            serving = asyncio.create_task(worker.run())
            await asyncio.sleep(1)
            serving.cancel()
            await asyncio.wait({serving})
            ended.append("cancelled" if serving.cancelled() else "not")

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)

    assert ended == ["cancelled"]


# -------------------------------------------------------------------------------------------------------- fatal errors


class Broken(Road):
    """A road on which a poll brings something that is no answer."""

    async def poll(self, request: PollRequest) -> PollAnswer:
        if self.is_silent:
            raise InvalidInput("what is this", path="$")
        return await super().poll(request)


@in_virtual_time
async def test_a_fatal_error_cancels_the_body_once_and_is_raised_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    async with fleet() as world:
        road = Broken(world.server)
        with pytest.raises(InvalidInput, match="what is this"):  # noqa: PT012 - what the body sees is the claim
            async with world.worker(steps_v1, road=road):
                road.is_silent = True
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    seen.append("cancelled")
                    await asyncio.sleep(1)  # not cancelled again
                    seen.append("tidied up")
                    raise

        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        assert seen == ["cancelled", "tidied up"]
        assert world.now_s < 4
        assert "stops" in caplog.text


@in_virtual_time
async def test_a_fatal_error_is_raised_though_the_body_has_swallowed_its_cancellation() -> None:
    async with fleet() as world:
        road = Broken(world.server)
        with pytest.raises(InvalidInput):  # noqa: PT012 - what the body does is the claim
            async with world.worker(steps_v1, road=road):
                road.is_silent = True
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(60)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0


@in_virtual_time
async def test_a_worker_that_finds_no_server_says_so() -> None:
    async with fleet() as world:
        road = Road(world.server)
        road.is_cut = True
        client = Client(transport=road, clock=world.server.clock, chance=Chance(seed=3), timeout=5)
        begun_s = world.now_s
        with pytest.raises(Unavailable):
            async with Worker(client, [steps_v1]):
                pass
        assert world.now_s - begun_s == pytest.approx(5, abs=1)


@in_virtual_time
async def test_the_loops_last_words_are_not_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """An ordinary life of a worker logs no warning, and its tasks leave nothing behind that asyncio complains of."""
    async with fleet() as world:
        async with world.worker(steps_v1, shutdown_grace=10):
            handle = await steps_v1.start(world.client, 3, 0.1)
            assert await handle.result() == "walked"
        await settle()

    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_worker_lives_in_real_time_too(tmp_path: Any) -> None:
    async with (
        Server(tmp_path / "aiki.db") as server,
        Client(transport=server.transport()) as client,
        Worker(client, [steps_v1]),
    ):
        assert await (await steps_v1.start(client, 2, 0.01)).result() == "walked"
