"""A run that a person holds, and lets go: whatever it was at, nothing is lost and nothing is done twice."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import aiki
from aiki import Event, Events, Retry, Run, task, testing, workflow


class News(Events):
    """What the runs of these tests wait for."""

    come: Event[str]


@workflow("sleepy").version("1")
async def sleepy_v1(run: Run) -> float:
    before = run.now()
    await run.sleep("night", hours=8)
    return (run.now() - before).total_seconds() / 3_600


@workflow("reader").version("1", events=News)
async def reader_v1(run: Run[News]) -> list[str | None]:
    read = []
    for _ in range(2):
        news = await run.events.come.wait(timeout=timedelta(hours=8))
        read.append(None if news.timed_out else news.data)
    return read


async def status_of(handle: aiki.Handle[Any, Any]) -> str:
    return (await handle.info()).status


# ------------------------------------------------------------------------------------------------------ not running


@pytest.mark.parametrize("parked", [0, 1_000])
async def test_a_paused_sleep_sleeps_on_and_is_over_when_its_time_has_passed(parked: int) -> None:
    async with testing.local(workflows=[sleepy_v1], max_parked_runs=parked) as env:
        short, long = await sleepy_v1.start(env), await sleepy_v1.start(env)
        await env.advance(hours=1)
        for handle in (short, long):
            assert await handle.pause()
            assert not await handle.pause()
            assert await status_of(handle) == "paused"

        await env.advance(hours=2)
        assert await short.resume()
        assert not await short.resume()
        assert await status_of(short) == "sleeping"
        assert await short.result() == 8
        await env.advance(hours=4)
        assert await status_of(long) == "paused"
        await long.resume()
        assert await long.result() == 12


async def test_a_delayed_start_that_was_paused_is_as_late_as_it_was_to_be_or_later() -> None:
    async with testing.local(workflows=[sleepy_v1]) as env:
        early, late = [await sleepy_v1.options(delay=3_600).start(env) for _ in range(2)]
        assert [await early.pause(), await late.pause()] == [True, True]
        await early.resume()
        assert await status_of(early) == "scheduled"
        await env.advance(hours=2)
        assert [await status_of(early), await status_of(late)] == ["sleeping", "paused"]
        await late.resume()
        await env.settle()
        assert await status_of(late) == "sleeping"


@pytest.mark.parametrize("parked", [0, 1_000])
async def test_events_that_came_while_a_run_was_paused_are_taken_in_order(parked: int) -> None:
    async with testing.local(workflows=[reader_v1], max_parked_runs=parked) as env:
        handle = await reader_v1.start(env)
        await env.settle()
        await handle.pause()
        await handle.events.come.send("first")
        await handle.events.come.send("second")
        await env.settle()
        assert await status_of(handle) == "paused"
        await handle.resume()
        assert await handle.result() == ["first", "second"]


async def test_a_deadline_that_passed_while_a_run_was_paused_counts_before_an_event_that_came_after_it() -> None:
    async with testing.local(workflows=[reader_v1]) as env:
        handle = await reader_v1.start(env)
        await env.settle()
        await handle.pause()
        await env.advance(hours=9)
        await handle.events.come.send("late")
        await handle.resume()
        assert await handle.result() == [None, "late"]


async def test_a_child_that_ends_while_its_parent_is_paused_is_heard_of_when_that_goes_on() -> None:
    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> float:
        return await (await sleepy_v1.start_as_child(run)).result()

    async with testing.local(workflows=[sleepy_v1, parent_v1]) as env:
        handle = await parent_v1.start(env)
        await env.settle()
        assert await handle.pause()
        await env.advance(days=1)
        assert await status_of(handle) == "paused"
        await handle.resume()
        assert await handle.result() == 8


async def test_a_run_that_waits_for_its_next_attempt_is_paused_and_goes_on_waiting() -> None:
    attempts: list[int] = []

    @workflow("tries").version("1", retry=Retry.fixed(2, timedelta(hours=1)))
    async def tries_v1(run: Run) -> str:
        attempts.append(run.attempt)
        if run.attempt == 1:
            raise RuntimeError("once")
        return "done"

    async with testing.local(workflows=[tries_v1]) as env:
        handle, late = await tries_v1.start(env), await tries_v1.start(env)
        await env.settle()
        assert [await handle.pause(), await late.pause()] == [True, True]
        await handle.resume()
        assert await status_of(handle) == "awaiting_retry"
        assert await handle.result() == "done"
        await env.advance(hours=2)
        assert attempts == [1, 1, 2]
        await late.resume()
        assert await late.result() == "done"


async def test_what_is_paused_stays_so_over_a_restart(tmp_path: Path) -> None:
    database = tmp_path / "aiki.db"
    async with testing.local(workflows=[reader_v1], database=database) as env:
        handle = await reader_v1.start(env)
        await env.settle()
        await handle.pause()
        await handle.events.come.send("kept")
    async with testing.local(workflows=[reader_v1], database=database) as env:
        handle = reader_v1.handle(env, handle.id)
        await env.advance(hours=1)
        assert await status_of(handle) == "paused"
        await handle.resume()
        await handle.events.come.send("new")
        assert await handle.result() == ["kept", "new"]


# ---------------------------------------------------------------------------------------------------------- running


class Steps:
    """A workflow of two tasks, of which the first waits until it is let go, and a child in between."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.gate = asyncio.Event()

        @task
        async def first() -> str:
            self.done.append("first begins")
            await self.gate.wait()
            self.done.append("first")
            return "first"

        @task
        async def second(after: str) -> str:
            self.done.append("second")
            return f"second after {after}"

        @workflow("child").version("1")
        async def child_v1(run: Run) -> str:
            self.done.append("child")
            return "child"

        @workflow("steps").version("1")
        async def steps_v1(run: Run) -> str:
            came = await first.start(run)
            run.set("came", came)
            return await second.start(run, came)

        @workflow("family").version("1")
        async def family_v1(run: Run) -> str:
            came = await first.start(run)
            return came + " " + await (await child_v1.start_as_child(run)).result()

        @workflow("crowd").version("1")
        async def crowd_v1(run: Run) -> list[str]:
            async def line(name: str) -> str:
                await run.sleep(name, seconds=10)
                return await second.start(run, name)

            return list(await asyncio.gather(first.start(run), line("a"), line("b")))

        self.workflows: list[aiki.Version[..., Any, Any]] = [child_v1, steps_v1, family_v1, crowd_v1]
        self.steps, self.family, self.crowd = steps_v1, family_v1, crowd_v1


@pytest.mark.parametrize("parked", [0, 1_000])
async def test_a_running_run_stops_after_its_current_task_and_goes_on_where_it_was(parked: int) -> None:
    told = Steps()
    async with testing.local(workflows=told.workflows, max_parked_runs=parked) as env:
        handle = await told.steps.start(env)
        await env.settle()
        assert await handle.pause()
        assert not await handle.pause()
        await env.settle()
        info = await handle.info()
        assert (info.status, info.pause_requested) == ("running", True)

        told.gate.set()
        await env.settle()
        info = await handle.info()
        assert (info.status, info.pause_requested) == ("paused", False)
        assert await handle.get("came") == "first"
        await env.advance(days=1)
        assert told.done == ["first begins", "first"]

        assert await handle.resume()
        assert await handle.result() == "second after first"
        assert told.done == ["first begins", "first", "second"]


@pytest.mark.parametrize("parked", [0, 1_000])
async def test_a_run_that_is_to_pause_starts_no_child(parked: int) -> None:
    told = Steps()
    async with testing.local(workflows=told.workflows, max_parked_runs=parked) as env:
        handle = await told.family.start(env)
        await env.settle()
        await handle.pause()
        told.gate.set()
        await env.advance(days=1)
        assert await status_of(handle) == "paused"
        assert "child" not in told.done
        assert (await env.runs.list(parent_id=handle.id)).runs == ()
        await handle.resume()
        assert await handle.result() == "first child"
        assert told.done.count("child") == 1


async def test_while_a_task_runs_on_what_is_to_pause_starts_no_other() -> None:
    told = Steps()
    async with testing.local(workflows=told.workflows) as env:
        handle = await told.crowd.start(env)
        await env.settle()
        await handle.pause()
        await env.advance(minutes=1)
        assert await status_of(handle) == "running"
        assert told.done == ["first begins"]
        told.gate.set()
        await env.settle()
        assert await status_of(handle) == "paused"
        await handle.resume()
        assert await handle.result() == ["first", "second after a", "second after b"]
        assert told.done.count("first") == 1


async def test_a_pause_that_is_lifted_before_it_was_answered_leaves_no_trace() -> None:
    told = Steps()
    async with testing.local(workflows=told.workflows) as env:
        handle = await told.crowd.start(env)
        await env.settle()
        await handle.pause()
        await env.advance(minutes=1)
        assert await handle.resume()
        assert not await handle.resume()
        await env.settle()
        assert told.done == ["first begins", "second", "second"], "what waited for the pause to end goes on at once"
        told.gate.set()
        assert await handle.result() == ["first", "second after a", "second after b"]


async def test_a_run_that_would_suspend_is_paused_instead() -> None:
    gate = asyncio.Event()

    @task
    async def work() -> None:
        await gate.wait()

    @workflow("then-sleeps").version("1")
    async def then_sleeps_v1(run: Run) -> str:
        await work.start(run)
        await run.sleep("after", hours=1)
        return "rested"

    async with testing.local(workflows=[then_sleeps_v1]) as env:
        handle = await then_sleeps_v1.start(env)
        await env.settle()
        await handle.pause()
        gate.set()
        await env.settle()
        info = await handle.info()
        assert (info.status, [wait.name for wait in info.waits]) == ("paused", ["after"])
        await handle.resume()
        assert await status_of(handle) == "sleeping"
        assert await handle.result() == "rested"


async def test_a_run_between_two_near_attempts_of_a_task_pauses_without_waiting_for_the_next() -> None:
    tries: list[int] = []

    @task(retry=Retry.fixed(5, 0.9))
    async def shaky() -> str:
        tries.append(aiki.current_task().attempt)
        if len(tries) < 3:
            raise RuntimeError("not yet")
        return "done"

    @workflow("shaky").version("1")
    async def shaky_v1(run: Run) -> str:
        return await shaky.start(run)

    async with testing.local(workflows=[shaky_v1]) as env:
        handle = await shaky_v1.start(env)
        await env.advance(seconds=1)
        await handle.pause()
        await env.settle()
        assert await status_of(handle) == "paused"
        await env.advance(hours=1)
        assert tries == [1, 2]
        await handle.resume()
        assert await handle.result() == "done"
        assert tries == [1, 2, 3]


async def test_a_worker_that_dies_while_its_run_is_to_pause_leaves_it_paused(tmp_path: Path) -> None:
    database = tmp_path / "aiki.db"
    told = Steps()
    async with testing.local(workflows=told.workflows, database=database, shutdown_grace=0) as env:
        handle = await told.steps.start(env)
        await env.settle()
        await handle.pause()
    told.gate.set()
    async with testing.local(workflows=told.workflows, database=database) as env:
        handle = told.steps.handle(env, handle.id)
        await env.advance(hours=1)
        assert await status_of(handle) == "paused"
        await handle.resume()
        assert await handle.result() == "second after first"
    assert told.done == ["first begins", "first begins", "first", "second"]


async def test_a_next_chapter_does_not_forget_that_the_run_is_to_pause() -> None:
    chapters: list[int] = []
    gate = asyncio.Event()

    @task
    async def work(chapter: int) -> None:
        chapters.append(chapter)
        await gate.wait()

    @workflow("chapters").version("1")
    async def chapters_v1(run: Run, chapter: int) -> int:
        await work.start(run, chapter)
        if chapter < 3:
            await run.continue_as_new(chapter + 1)
        return chapter

    async with testing.local(workflows=[chapters_v1]) as env:
        handle = await chapters_v1.start(env, 1)
        await env.settle()
        await handle.pause()
        gate.set()
        await env.settle()
        assert (await status_of(handle), chapters) == ("paused", [1])
        await handle.resume()
        assert await handle.result() == 3


# ----------------------------------------------------------------------------------------- pause, cancel and timeout


async def test_a_cancellation_lifts_a_pause_and_the_code_cleans_up() -> None:
    cleaned: list[str] = []

    @task
    async def clean() -> None:
        cleaned.append("clean")

    @workflow("careful").version("1")
    async def careful_v1(run: Run) -> None:
        try:
            await run.sleep("long", days=1)
        finally:
            await clean.start(run)

    async with testing.local(workflows=[careful_v1]) as env:
        handle = await careful_v1.start(env)
        await env.settle()
        await handle.pause()
        await env.advance(minutes=1)
        assert (await status_of(handle), cleaned) == ("paused", [])
        assert await handle.cancel("enough")
        assert not await handle.pause(), "what is to be cancelled is not paused any more"
        ended = await handle.wait_for_status("cancelled")
    assert ended.reached
    assert cleaned == ["clean"]


async def test_a_cancellation_reaches_a_run_that_is_still_to_pause() -> None:
    told = Steps()
    async with testing.local(workflows=told.workflows) as env:
        handle = await told.steps.start(env)
        await env.settle()
        await handle.pause()
        await env.settle()
        await handle.cancel()
        ended = await handle.wait_for_status("cancelled")
    assert ended.reached
    assert told.done == ["first begins"]


async def test_the_timeout_of_a_paused_run_strikes_when_it_is_resumed() -> None:
    async with testing.local(workflows=[sleepy_v1]) as env:
        handle = await sleepy_v1.options(timeout=timedelta(hours=1)).start(env)
        await env.settle()
        await handle.pause()
        await env.advance(hours=2)
        assert await status_of(handle) == "paused"
        await handle.resume()
        ended = await handle.wait_for_status("failed")
    assert ended.reached
    assert isinstance(ended.error, aiki.RunFailed | aiki.TimedOut)
