"""Several events at once, timeouts that race with arrivals, and waits that are withdrawn.

Each is played with the code kept in memory and with it replayed after each suspension: the outcome is the same.
"""

import asyncio
from typing import Any

import pytest

from aiki import Event, Events, Run, task, testing, workflow

PARKED = pytest.mark.parametrize("parked", [0, 1000], ids=["replayed", "kept"])


class Two(Events):
    left: Event[int]
    right: Event[int]


@task
async def slow(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "task"


@PARKED
async def test_gather_waits_for_several_events_in_whatever_order_they_come(parked: int) -> None:
    @workflow("both").version("1", events=Two)
    async def both_v1(run: Run[Two]) -> list[int]:
        results = await asyncio.gather(run.events.left.wait(), run.events.right.wait(), run.events.left.wait())
        return [result.data for result in results]

    async with testing.local(workflows=[both_v1], max_parked_runs=parked) as env:
        handle = await both_v1.start(env)
        await handle.events.right.send(2)
        await env.settle()
        await handle.events.left.send(1)
        await env.settle()
        await handle.events.left.send(3)
        assert await handle.result() == [1, 2, 3]


@PARKED
@pytest.mark.parametrize("first", ["left", "right"])
async def test_the_first_of_several_events_goes_on_and_the_wait_that_is_dropped_takes_none(
    parked: int, first: str
) -> None:
    @workflow("either").version("1", events=Two)
    async def either_v1(run: Run[Two]) -> list[Any]:
        waits = [asyncio.create_task(run.events.left.wait()), asyncio.create_task(run.events.right.wait())]
        done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        await run.sleep("meanwhile", hours=1)
        (one,) = done
        other = run.events.right if waits[0] in done else run.events.left
        return [one.result().data, (await other.wait(timeout=60)).data]

    async with testing.local(workflows=[either_v1], max_parked_runs=parked) as env:
        handle = await either_v1.start(env)
        await env.settle()
        other = "right" if first == "left" else "left"
        await getattr(handle.events, first).send(1)
        await env.settle()
        await getattr(handle.events, other).send(2)
        assert await handle.result() == [1, 2]


@PARKED
async def test_an_event_and_a_task_race_and_the_loser_leaves_no_trace(parked: int) -> None:
    @workflow("raced").version("1", events=Two)
    async def raced_v1(run: Run[Two]) -> list[Any]:
        event = asyncio.create_task(run.events.left.wait())
        work = asyncio.create_task(slow.start(run, 3600))
        done, _ = await asyncio.wait([event, work], return_when=asyncio.FIRST_COMPLETED)
        work.cancel()
        await run.sleep("meanwhile", hours=2)
        return [event in done, work.cancelled(), event.result().data]

    async with testing.local(workflows=[raced_v1], max_parked_runs=parked) as env:
        handle = await raced_v1.start(env)
        await env.advance(minutes=1)
        await handle.events.left.send(5)
        assert await handle.result() == [True, True, 5]


@PARKED
async def test_an_event_one_moment_before_its_deadline_is_taken_and_one_after_it_is_left(parked: int) -> None:
    @workflow("timed").version("1", events=Two)
    async def timed_v1(run: Run[Two]) -> list[Any]:
        first = await run.events.left.wait(timeout=60)
        second = await run.events.left.wait(timeout=60)
        third = await run.events.left.wait()
        return [first.data, second.timed_out, third.data]

    async with testing.local(workflows=[timed_v1], max_parked_runs=parked) as env:
        handle = await timed_v1.start(env)
        await env.settle()
        await asyncio.sleep(59.99)
        await handle.events.left.send(1)
        await env.settle()
        await asyncio.sleep(60.01)
        await handle.events.left.send(3)
        assert await handle.result() == [1, True, 3]


@PARKED
async def test_the_timeout_of_one_of_two_waits_takes_nothing_from_the_other(parked: int) -> None:
    @workflow("timed").version("1", events=Two)
    async def timed_v1(run: Run[Two]) -> list[Any]:
        early, late = await asyncio.gather(run.events.left.wait(timeout=60), run.events.left.wait(timeout=600))
        return [early.timed_out, late.data]

    async with testing.local(workflows=[timed_v1], max_parked_runs=parked) as env:
        handle = await timed_v1.start(env)
        await env.advance(minutes=2)
        await handle.events.left.send(1)
        assert await handle.result() == [True, 1]


@PARKED
async def test_a_timeout_of_asyncio_withdraws_the_wait_and_the_event_is_there_for_the_next(parked: int) -> None:
    @workflow("timed").version("1", events=Two)
    async def timed_v1(run: Run[Two]) -> list[Any]:
        try:
            async with asyncio.timeout(60):
                await run.events.left.wait()
        except TimeoutError:
            await run.sleep("meanwhile", minutes=5)
        return [(await run.events.left.wait(timeout=60)).data]

    async with testing.local(workflows=[timed_v1], max_parked_runs=parked) as env:
        handle = await timed_v1.start(env)
        await env.advance(minutes=2)
        await handle.events.left.send(1)
        assert await handle.result() == [1]


@PARKED
async def test_no_except_and_no_gather_swallows_a_suspension(parked: int) -> None:
    caught: list[str] = []

    @workflow("greedy").version("1", events=Two)
    async def greedy_v1(run: Run[Two]) -> list[Any]:
        try:
            await run.sleep("first", hours=1)
            event = await run.events.left.wait()
            found = await asyncio.gather(
                slow.start(run, 1), run.sleep("second", hours=1), run.events.right.wait(), return_exceptions=True
            )
        except Exception as error:  # noqa: BLE001  # an author's
            caught.append(repr(error))
            return ["caught"]
        finally:
            run.set("left", value=True)
        return [event.data, found[0], [type(one).__name__ for one in found]]

    async with testing.local(workflows=[greedy_v1], max_parked_runs=parked) as env:
        handle = await greedy_v1.start(env)
        await env.advance(hours=2)
        assert await handle.get("left") is None
        await handle.events.left.send(1)
        await env.advance(hours=3)
        assert (await handle.info()).status == "awaiting_event"
        await handle.events.right.send(2)
        assert await handle.result() == [1, "task", ["str", "SleepResult", "EventResult"]]
    assert caught == []
