"""Told, and told again: what a worker makes of news that it has had, that is old, or that contradicts what it did."""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from aiki.model.wire import Assignment, Commit, HandBack, Lost, PollAnswer
from aiki.sdk.events import Event, Events
from aiki.sdk.run import Run
from aiki.sdk.task import task
from aiki.sdk.workflow import workflow
from tests.worker.road import Road, fleet, in_virtual_time, settle

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
    return name


class Signals(Events):
    go: Event[str]


@workflow("errand").version("1")
async def errand_v1(run: Run, seconds: float = 0) -> str:
    return await work.start(run, "errand", seconds)


@workflow("patient").version("1", events=Signals)
async def patient_v1(run: Run[Signals]) -> str:
    await work.start(run, "first")
    return await work.start(run, (await run.events.go.wait()).data, 10)


def tell(road: Road, *assignments: Assignment, lost: Sequence[Lost] = ()) -> None:
    """Have the next answer to a poll bring this, too."""

    def alter(answer: PollAnswer) -> PollAnswer:
        road.alter = lambda answer: answer
        return replace(answer, assignments=(*answer.assignments, *assignments), lost=(*answer.lost, *lost))

    road.alter = alter


def assignments(road: Road) -> list[Assignment]:
    return [assignment for answer in road.heard for assignment in answer.assignments]


@in_virtual_time
async def test_an_assignment_of_an_older_epoch_is_passed_over() -> None:
    async with fleet() as world, world.worker(patient_v1) as (worker, road):
        handle = await patient_v1.start(world.client)
        await settle()
        await handle.events.go.send("second")
        await settle()
        first, second = assignments(road)
        assert (first.epoch, second.epoch) == (1, 2)

        tell(road, first)
        await asyncio.sleep(3)
        assert [held.epoch for held in worker._claims.held()] == [2]
        assert await handle.result() == "second"
        assert executed == ["first", "second"]
        assert road.told("hand_back") == []


@in_virtual_time
async def test_being_told_again_of_what_is_held_changes_nothing() -> None:
    async with fleet() as world, world.worker(errand_v1) as (_, road):
        handle = await errand_v1.start(world.client, 10)
        await settle()
        tell(road, *assignments(road))

        assert await handle.result() == "errand"
        assert executed == ["errand"]
        assert road.told("hand_back") == []


@in_virtual_time
async def test_being_told_again_of_what_its_own_commit_ended_changes_nothing() -> None:
    async with fleet() as world, world.worker(errand_v1) as (_, road):
        handle = await errand_v1.start(world.client)
        assert await handle.result() == "errand"
        tell(road, *assignments(road))
        await asyncio.sleep(5)

        assert executed == ["errand"]
        assert road.told("hand_back") == []


@in_virtual_time
async def test_what_was_held_and_dropped_under_an_epoch_goes_back_and_comes_under_another() -> None:
    async with fleet() as world, world.worker(errand_v1) as (_, road):
        handle = await errand_v1.start(world.client, 5)
        await settle()
        tell(road, lost=[Lost(handle.id, 1)])  # which the server, that believes it to be ours, will never say

        assert await handle.result() == "errand"
        assert [(run.run_id, run.epoch) for request in road.told("hand_back") for run in request.runs] == [
            (handle.id, 1)
        ]
        assert [assignment.epoch for assignment in assignments(road)] == [1, 1, 3]
        assert executed == ["errand", "errand cancelled", "errand"]
        assert (await world.info(handle.id)).crashes == 0


@pytest.mark.parametrize("fault", ["refused", "broken", "lost", "doubled"])
def test_a_hand_back_that_did_not_get_through_is_repeated(fault: str) -> None:
    @in_virtual_time
    async def test() -> None:
        async with fleet() as world, world.worker(errand_v1) as (_, road):
            handle = await errand_v1.start(world.client, 5)
            await settle()
            tell(road, lost=[Lost(handle.id, 1)])
            road.faults["hand_back"] = [fault]  # type: ignore[list-item]

            assert await handle.result() == "errand"
            assert world.now_s < 2 + 5 + 3
            assert executed == ["errand", "errand cancelled", "errand"]

    test()


@in_virtual_time
async def test_a_run_goes_back_only_once_its_outstanding_commit_is_answered() -> None:
    @workflow("two").version("1")
    async def two_v1(run: Run) -> str:
        await work.start(run, "one", 1.9)
        return await work.start(run, "two")

    async with fleet() as world, world.worker(two_v1) as (_, road):
        handle = await two_v1.start(world.client)
        await settle()
        road.faults["commit"] = ["lost"]
        tell(road, lost=[Lost(handle.id, 1)])  # at 2 s: the end of `one` is on its way, and is answered at 4
        assert await handle.result() == "two"

        first_hand_back = next(at_ms for at_ms, said, _ in road.said if said == "hand_back")
        turns = [(at_ms, batch[0]) for at_ms, said, batch in road.said if said == "commit"]
        assert [(commit.epoch, commit.turn) for _, commit in turns][:2] == [(1, 1), (1, 1)]
        assert turns[1][0] <= first_hand_back
        assert executed == ["one", "two"]


@in_virtual_time
async def test_a_turn_that_waits_for_its_request_is_not_sent_once_its_run_is_lost() -> None:
    async with fleet() as world, world.worker(errand_v1) as (_, road):
        slow, quick = await errand_v1.start(world.client, 1.8), await errand_v1.start(world.client, 1.9)
        await settle()
        road.faults["commit"] = ["lost"]  # slow's: quick's has to wait behind it
        tell(road, lost=[Lost(quick.id, 1)])
        assert [await slow.result(), await quick.result()] == ["errand", "errand"]

        sent: list[Commit] = [commit for batch in road.told("commit") for commit in batch]
        assert {commit.epoch for commit in sent if commit.run_id == quick.id} == {3}


@pytest.mark.parametrize("faults", [["refused"], ["broken"], ["lost"], ["doubled"], ["refused"] * 4])
def test_a_journal_that_does_not_come_is_asked_for_again(faults: list[str]) -> None:
    @in_virtual_time
    async def test() -> None:
        async with fleet() as world, world.worker(patient_v1, max_parked_runs=0) as (_, road):
            road.faults["fetch"] = list(faults)  # type: ignore[arg-type]
            handle = await patient_v1.start(world.client)
            await settle()
            await handle.events.go.send("second")

            assert await handle.result() == "second"
            assert executed == ["first", "second"]
            assert len(road.told("fetch")) >= len(faults)

    test()


@in_virtual_time
async def test_a_claim_that_is_lost_while_its_journal_is_fetched_is_let_go() -> None:
    async with fleet() as world, world.worker(patient_v1, max_parked_runs=0) as (worker, road):
        road.faults["fetch"] = ["lost"]
        handle = await patient_v1.start(world.client)
        await settle()
        await handle.events.go.send("second")
        await asyncio.sleep(0.5)
        assert [held.epoch for held in worker._claims.held()] == [2]
        await handle.terminate()
        await settle()

        assert worker._claims.held() == []
        await asyncio.sleep(10)
        assert executed == ["first"]


@in_virtual_time
async def test_a_run_of_a_version_that_is_not_served_goes_back() -> None:
    async with fleet() as world, world.worker(errand_v1) as (worker, road):
        worker._claims._versions = {}
        handle = await errand_v1.start(world.client)
        await asyncio.sleep(1.1)

        (first, *_) = road.told("hand_back")
        assert isinstance(first, HandBack)
        assert [(run.run_id, run.epoch) for run in first.runs] == [(handle.id, 1)]
        worker._claims._versions = {("errand", "1"): errand_v1}
        assert await handle.result() == "errand"


@in_virtual_time
async def test_a_run_that_is_assigned_before_its_suspension_is_answered_is_not_replayed() -> None:
    begun: list[str] = []

    @workflow("waiting").version("1", events=Signals)
    async def waiting_v1(run: Run[Signals]) -> str:
        begun.append(run.id)
        return (await run.events.go.wait()).data

    async with fleet() as world, world.worker(waiting_v1) as (_, road):
        road.faults["commit"] = ["slow"]
        handle = await waiting_v1.start(world.client)
        await asyncio.sleep(0.1)
        await handle.events.go.send("on")

        assert await handle.result() == "on"
        assert begun == [handle.id]
        assert [assignment.epoch for assignment in assignments(road)] == [1, 2]


@in_virtual_time
async def test_a_run_that_is_lost_on_its_way_back_does_not_keep_polls_busy() -> None:
    @workflow("two").version("1")
    async def two_v1(run: Run) -> str:
        await work.start(run, "one", 1.9)
        return await work.start(run, "two")

    async with fleet() as world, world.worker(two_v1) as (_, road):
        handle = await two_v1.start(world.client)
        await settle()
        road.faults["commit"] = ["lost"]
        tell(road, lost=[Lost(handle.id, 1)])  # it is to go back once its turn is answered
        await asyncio.sleep(2.5)
        before = len(road.told("poll"))
        await handle.terminate()
        await asyncio.sleep(5)

        assert len(road.told("poll")) - before < 8
        assert road.told("hand_back") == []
