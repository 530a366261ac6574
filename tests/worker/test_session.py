"""Sessions between a real server and real workers, over roads that lose, break, refuse and double what is said."""

import asyncio
import itertools

import pytest

from aiki.engine.commands import ExpireSession
from aiki.model.lifecycle import Reason, Status
from aiki.model.wire import Outcome
from aiki.sdk.current import current_task
from aiki.sdk.events import Event, Events
from aiki.sdk.run import Run
from aiki.sdk.task import task
from aiki.sdk.workflow import workflow
from tests.worker.road import Call, Fault, Road, fleet, in_virtual_time, settle

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
    first = (await run.events.go.wait()).data
    return await work.start(run, first) + (await run.events.go.wait()).data


# ---------------------------------------------------------------------------------------------------------- polling


@in_virtual_time
async def test_an_idle_worker_polls_every_two_seconds_with_rising_numbers() -> None:
    async with fleet() as world, world.worker(errand_v1) as (_, road):
        await asyncio.sleep(9)

        polls = [(at_ms, poll) for at_ms, said, poll in road.said if said == "poll"]
        assert [poll.number for _, poll in polls] == [1, 2, 3, 4, 5]
        assert [round(later - earlier) for (earlier, _), (later, _) in itertools.pairwise(polls)] == [2_000] * 4
        assert {poll.wait_ms for _, poll in polls} == {2_000}


@in_virtual_time
async def test_what_a_task_reports_is_told_within_a_second_and_at_most_once_in_one() -> None:
    @task
    async def reports() -> None:
        for step in range(40):
            current_task().heartbeat(step)
            await asyncio.sleep(0.1)

    @workflow("reporting").version("1")
    async def reporting_v1(run: Run) -> None:
        await asyncio.gather(reports.start(run), work.start(run, "beside", 10))

    async with fleet() as world, world.worker(reporting_v1) as (_, road):
        await reporting_v1.start(world.client)
        await asyncio.sleep(7)

        polls = [(at_ms, poll) for at_ms, said, poll in road.said if said == "poll"]
        told = [(at_ms, bytes(line.progress)) for at_ms, poll in polls for line in poll.executing if line.progress]
        steps = [int(progress) for _, progress in told]
        assert len(steps) == 4
        assert all(step in (n - 1, n) for step, n in zip(steps, (10, 20, 30, 40), strict=True)), steps
        assert all(later - earlier >= 999 for (earlier, _), (later, _) in itertools.pairwise(told))
        assert [line.task for line in polls[-1][1].executing] == ['work(name="beside", seconds=10)']


@in_virtual_time
async def test_a_poll_that_is_not_answered_is_given_up_half_a_second_later() -> None:
    async with fleet() as world, world.worker(errand_v1) as (_, road):
        await settle()
        road.faults["poll"] = ["lost"]
        await asyncio.sleep(7)

        polls = [(at_ms, poll.number) for at_ms, said, poll in road.said if said == "poll"]
        assert [number for _, number in polls] == [1, 2, 3, 4]
        assert [round(later - earlier) for (earlier, _), (later, _) in itertools.pairwise(polls)] == [
            2_000,
            2_500,
            2_000,
        ]


@in_virtual_time
async def test_a_worker_that_was_full_asks_for_work_the_moment_that_it_has_room() -> None:
    async with fleet() as world, world.worker(errand_v1, max_concurrent_runs=1) as (_, road):
        first = await errand_v1.start(world.client, 1.3)
        second = await errand_v1.start(world.client)
        await second.result()

        assert world.now_s < 1.4
        await first.result()
        assert [poll.capacity for poll in road.told("poll")][:3] == [1, 0, 1]


@in_virtual_time
async def test_at_most_two_polls_are_open_and_the_first_of_them_asked_for_no_work() -> None:
    async with fleet() as world, world.worker(errand_v1, max_concurrent_runs=2) as (worker, _):
        seen: list[tuple[int, ...]] = []
        handles = [await errand_v1.start(world.client, 0.1 * number) for number in range(20)]
        for handle in handles:
            await handle.result()
            seen.append(tuple(poll.request.capacity for poll in worker._session._open))

        assert max(map(len, seen)) <= 2
        assert {polls[0] for polls in seen if len(polls) == 2} <= {0}


# ------------------------------------------------------------------------------------------------ told, and told again


@pytest.mark.parametrize("fault", ["lost", "broken", "refused", "doubled"])
@pytest.mark.parametrize("kind", ["poll", "commit"])
def test_whatever_happens_to_an_answer_is_set_right_within_three_seconds(kind: Call, fault: Fault) -> None:
    @in_virtual_time
    async def test() -> None:
        async with fleet() as world, world.worker(errand_v1) as (_, road):
            road.faults[kind] = [fault]
            await settle()
            begun_s = world.now_s
            handle = await errand_v1.start(world.client)
            assert await handle.result() == "errand"

            assert world.now_s - begun_s < 3
            assert executed == ["errand"]
            assert (await world.info(handle.id)).crashes == 0

    test()


@in_virtual_time
async def test_a_turn_whose_answer_was_lost_is_repeated_unchanged_and_its_run_goes_on_under_the_same_claim() -> None:
    async with fleet() as world, world.worker(patient_v1) as (_, road):
        handle = await patient_v1.start(world.client)
        await handle.events.go.send("first")
        road.faults["commit"] = ["broken"]
        await asyncio.sleep(2)
        await handle.events.go.send("second")

        assert await handle.result(timeout=60) == "firstsecond"
        turns = [turn for turns in road.told("commit") for turn in turns]
        assert turns[0] == turns[1]
        assert executed == ["first"]
        assert road.told("hand_back") == []
        assert {turn.epoch for turn in turns if turn.outcome is Outcome.RUNNING} == {1}


@in_virtual_time
async def test_everything_may_be_doubled() -> None:
    async with fleet() as world, world.worker(patient_v1) as (_, road):
        for kind in ("announce", "poll", "commit", "fetch", "hand_back"):
            road.faults[kind] = ["doubled"] * 1_000
        handle = await patient_v1.start(world.client)
        await asyncio.sleep(1)
        for word in ("a", "b"):
            await handle.events.go.send(word)

        assert await handle.result() == "ab"
        assert executed == ["a"]


@in_virtual_time
async def test_an_event_whose_telling_was_lost_is_told_again() -> None:
    @workflow("busy").version("1", events=Signals)
    async def busy_v1(run: Run[Signals]) -> str:
        slow = asyncio.create_task(work.start(run, "slow", 60))
        said = (await run.events.go.wait()).data
        slow.cancel()
        return said

    async with fleet() as world, world.worker(busy_v1) as (_, road):
        handle = await busy_v1.start(world.client)
        await asyncio.sleep(1)
        road.faults["poll"] = ["lost"]
        await asyncio.sleep(2)
        sent_s = world.now_s
        await handle.events.go.send("now")

        assert await handle.result() == "now"
        assert world.now_s - sent_s < 3


# --------------------------------------------------------------------------------------------- one session after another


@in_virtual_time
async def test_a_session_that_the_server_ended_is_followed_by_one_with_another_id() -> None:
    async with fleet() as world, world.worker(errand_v1) as (worker, road):
        handle = await errand_v1.start(world.client, 30)
        await settle()
        ended = worker._session.id
        await world.server.pipeline.ask(ExpireSession(ended, at_opening=True))

        assert await handle.result() == "errand"
        assert executed == ["errand", "errand cancelled", "errand"]
        ids = [announce.session_id for announce in road.told("announce")]
        assert ids[0] == ended
        assert len(set(ids)) == len(ids) == 2


@in_virtual_time
async def test_each_try_to_announce_has_an_id_of_its_own() -> None:
    async with fleet() as world, world.worker(errand_v1) as (worker, road):
        road.faults["announce"] = ["refused", "broken", "refused"]
        await world.server.pipeline.ask(ExpireSession(worker._session.id, at_opening=True))
        handle = await errand_v1.start(world.client)

        assert await handle.result() == "errand"
        ids = [announce.session_id for announce in road.told("announce")]
        assert len(set(ids)) == len(ids) == 5


@in_virtual_time
async def test_a_worker_that_could_not_renew_within_its_lease_stops_and_drops_its_runs() -> None:
    async with fleet() as world, world.worker(errand_v1, patient_v1) as (worker, road):
        await (await errand_v1.start(world.client, 100)).info()
        parked = await patient_v1.start(world.client)
        await asyncio.sleep(3)
        renewed_s = next(at_ms for at_ms, said, _ in reversed(road.said) if said == "poll") / 1000
        road.is_silent = True
        # The poll that was open is not answered any more: the last that was answered went out two seconds before.
        lease_ends_s = renewed_s - 2 + 10

        await asyncio.sleep(lease_ends_s - world.now_s - 0.01)
        assert (executed, worker._claims.capacity()) == (["errand"], 99)
        await asyncio.sleep(0.02)
        assert (executed, worker._claims.capacity()) == (["errand", "errand cancelled"], 100)
        assert not worker._claims._parked
        assert (await parked.info()).status == Status.AWAITING_EVENT


@in_virtual_time
async def test_what_was_done_before_the_fence_and_not_sent_is_never_sent() -> None:
    async with fleet() as world, world.worker(errand_v1) as (worker, road):
        handles = [await errand_v1.start(world.client, seconds) for seconds in (9, 9.5)]
        await asyncio.sleep(3)
        first = worker._session.id
        road.is_silent = True
        await asyncio.sleep(9)  # their tasks have ended meanwhile: one turn is on its way, the other waits behind it
        road.is_silent = False
        assert [await handle.result() for handle in handles] == ["errand"] * 2

        assert executed == ["errand"] * 4
        commits = [commit for batch in road.told("commit") for commit in batch if commit.outcome is Outcome.COMPLETED]
        assert [commit.epoch for commit in commits] == [1, 3, 3]
        late_s = [at_ms / 1000 for at_ms, said, batch in road.said if said == "commit" and batch[0].epoch == 1]
        assert max(late_s) < 10
        assert worker._session.id != first


@in_virtual_time
async def test_whoever_wakes_up_past_its_lease_sends_nothing_though_nobody_has_told_it_yet() -> None:
    async with fleet() as world, world.worker(errand_v1) as (worker, road):
        handle = await errand_v1.start(world.client, 1.5)
        await asyncio.sleep(1)
        first = worker._session.id
        worker._session._lease._until_ms = 0  # as if the process had been stopped for long
        assert await handle.result() == "errand"

        commits = [commit for batch in road.told("commit") for commit in batch]
        assert [commit.epoch for commit in commits] == [3]
        assert worker._session.id != first


@in_virtual_time
async def test_a_session_that_was_given_up_says_goodbye_as_soon_as_the_server_is_back() -> None:
    async with fleet() as world, world.worker(errand_v1) as (worker, road):
        handle = await errand_v1.start(world.client, 20)
        await asyncio.sleep(1)
        first = worker._session.id
        polls = len(road.told("poll"))
        road.faults["poll"] = ["lost"] * 3  # its polls arrive, so that the server believes it to be well
        await asyncio.sleep(12)

        assert len(road.told("poll")) > polls
        assert [goodbye.session_id for goodbye in road.told("goodbye")] == [first]
        assert await handle.result() == "errand"
        assert (await world.info(handle.id)).crashes == 0
        assert world.now_s < 31


@in_virtual_time
async def test_a_server_that_shares_the_loop_judges_no_lease_here() -> None:
    class Near(Road):
        def renewer(self) -> None:  # type: ignore[override]
            return

    async with fleet() as world:
        near = Near(world.server)
        async with world.worker(errand_v1, road=near) as (worker, road):
            await errand_v1.start(world.client, 30)
            await asyncio.sleep(1)
            road.is_silent = True
            await asyncio.sleep(20)
            assert executed == ["errand"]
            assert worker._session.holds()


# -------------------------------------------------------------------------------------------------------------- crashes


@in_virtual_time
async def test_a_killed_workers_runs_are_anothers_within_five_seconds() -> None:
    async with fleet() as world, world.worker(errand_v1) as (_, doomed):
        handle = await errand_v1.start(world.client, 3)
        await asyncio.sleep(1)
        doomed.die()
        died_s = world.now_s
        async with world.worker(errand_v1):
            assert await handle.result() == "errand"

        assert world.now_s - died_s < 5 + 3
        (lost,) = [move for move in await world.server.store.history(handle.id) if move.reason is Reason.WORKER_LOST]
        assert lost.at_ms - 1_700_000_000_000 - died_s * 1000 < 5_000


@in_virtual_time
async def test_a_run_that_kills_its_process_at_once_stalls() -> None:
    roads: list[Road] = []

    @workflow("poison").version("1")
    async def poison_v1(run: Run) -> None:
        executed.append("poison")
        roads[-1].die()
        await run.sleep("never", 1)

    async with fleet() as world:
        handle = await poison_v1.start(world.client)
        for _ in range(10):
            roads.append(Road(world.server))
            async with world.worker(poison_v1, road=roads[-1]):
                await asyncio.sleep(5)
            if (await handle.info()).status == Status.STALLED:
                break

        info = await world.info(handle.id)
        assert (info.status, info.crashes) == (Status.STALLED, 5)
        assert len(executed) == 6  # the first time nobody could know


@in_virtual_time
async def test_an_event_that_kills_whoever_takes_it_stalls_its_run_too() -> None:
    roads: list[Road] = []

    @workflow("poisoned").version("1", events=Signals)
    async def poisoned_v1(run: Run[Signals]) -> None:
        await run.events.go.wait()
        executed.append("poison")
        roads[-1].die()
        await run.sleep("never", 1)

    async with fleet() as world:
        handle = await poisoned_v1.start(world.client)
        for life in range(10):
            roads.append(Road(world.server))
            async with world.worker(poisoned_v1, road=roads[-1]):
                await asyncio.sleep(1)
                if life == 0:
                    await handle.events.go.send("die")
                await asyncio.sleep(5)
            if (await handle.info()).status == Status.STALLED:
                break

        assert (await world.info(handle.id)).status == Status.STALLED
        assert len(executed) == 6


@in_virtual_time
async def test_a_first_claim_and_a_parked_run_wait_for_no_poll() -> None:
    async with fleet() as world, world.worker(patient_v1) as (_, road):
        handle = await patient_v1.start(world.client)
        await settle()
        await handle.events.go.send("a")
        await settle()

        assert executed == ["a"]
        assert {poll.wait_ms for poll in road.told("poll")} == {2_000}


@in_virtual_time
async def test_a_run_that_was_held_before_begins_with_the_answer_to_one_short_poll() -> None:
    async with fleet() as world:
        async with world.worker(patient_v1):
            handle = await patient_v1.start(world.client)
            await settle()
        async with world.worker(patient_v1) as (_, road):
            await handle.events.go.send("a")
            await asyncio.sleep(0.2)

            assert executed == ["a"]
            claimed, short, after = road.told("poll")[:3]
            assert [held.run_id for held in claimed.held] == []
            assert ([held.run_id for held in short.held], short.wait_ms) == ([handle.id], 0)
            assert after.wait_ms == 2_000


@in_virtual_time
async def test_mail_that_comes_before_the_code_begins_is_not_lost() -> None:
    async with fleet() as world:
        async with world.worker(patient_v1):
            handle = await patient_v1.start(world.client)
            await settle()
        async with world.worker(patient_v1) as (worker, road):
            await settle()
            road.faults["poll"] = ["lost"]  # the one that states it: it does not begin yet
            await handle.events.go.send("a")
            await asyncio.sleep(0.2)
            assert worker._claims.unheard()
            await handle.events.go.send("b")

            assert await handle.result() == "ab"


@in_virtual_time
async def test_runs_move_on_when_workers_come_and_go_at_random() -> None:
    async with fleet() as world:
        handles = [await errand_v1.start(world.client, 0.5 + number % 3) for number in range(30)]
        for _ in range(6):
            async with world.worker(errand_v1, max_concurrent_runs=10) as (_, road):
                await asyncio.sleep(1.7)
                road.die()
        async with world.worker(errand_v1):
            assert [await handle.result() for handle in handles] == ["errand"] * 30
