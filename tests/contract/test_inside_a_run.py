"""What 1-api.md says of the inside of a run, as far as no other test holds it (`rows.py` names those)."""

import asyncio
from datetime import UTC, timedelta
from typing import Any

import pytest

from aiki import Event, Events, Run, SleepResult, current_run, task, testing, workflow


class Numbers(Events):
    number: Event[int]
    stop: Event[None]


@pytest.mark.parametrize("given", [((90,), {}), ((timedelta(seconds=90),), {}), ((), {"minutes": 1, "seconds": 30})])
async def test_a_sleep_takes_seconds_a_timedelta_or_its_parts_and_lasts_that_long(given: Any) -> None:
    args, units = given

    @workflow("sleeps").version("1")
    async def sleeps_v1(run: Run) -> list[Any]:
        begun = run.now()
        slept = await run.sleep("rest", *args, **units)
        assert isinstance(slept, SleepResult)
        return [slept.woken, (run.now() - begun).total_seconds(), run.now().tzinfo is UTC]

    async with testing.local(workflows=[sleeps_v1], max_parked_runs=0) as env:
        assert await (await sleeps_v1.start(env)).result() == [False, 90.0, True]


async def test_a_next_chapter_keeps_parent_reference_waiters_and_unread_events_and_its_history_does_not_grow() -> None:
    @workflow("counting").version("1", events=Numbers)
    async def counting_v1(run: Run[Numbers], chapter: int, total: int) -> list[Any]:
        for _ in range(3):
            total += (await run.events.number.wait()).data
        if chapter < 5:
            await run.continue_as_new(chapter + 1, total)
        return [total, run.id, run.reference_id, run.parent_id]

    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> list[Any]:
        child = await counting_v1.options(reference_id="the-count").start_as_child(run, 1, 0)
        return [run.id, child.id, *await child.result()]

    async with testing.local(workflows=[parent_v1, counting_v1], max_parked_runs=0) as env:
        handle = await parent_v1.start(env)
        await env.settle()
        child = await counting_v1.handle_by_reference(env, "the-count")
        outside = asyncio.create_task(child.result())
        for number in range(15):
            await child.events.number.send(number)
        parent_id, child_id, total, *known = await handle.result()
        assert total == sum(range(15))
        assert [parent_id, child_id] == [handle.id, child.id]
        assert known == [child.id, "the-count", handle.id]
        assert (await outside)[0] == total
        info = await child.info()
        assert info.chapter == 5


async def test_a_published_value_replaces_the_one_before_and_is_read_while_the_run_lives_and_after() -> None:
    @workflow("tells").version("1", events=Numbers)
    async def tells_v1(run: Run[Numbers]) -> None:
        for step in range(3):
            run.set("progress", {"step": step})
            await run.events.number.wait()

    async with testing.local(workflows=[tells_v1], max_parked_runs=0) as env:
        handle = await tells_v1.start(env)
        seen: list[Any] = []
        for number in range(3):
            await env.settle()
            seen.append(await handle.get("progress"))
            await handle.events.number.send(number)
        await handle.result()
        assert seen == [{"step": 0}, {"step": 1}, {"step": 2}]
        assert await handle.get("progress") == {"step": 2}
        assert await handle.get("nothing") is None


async def test_the_run_is_found_where_it_cannot_be_passed_and_is_the_same_object() -> None:
    async def helper() -> str:
        await asyncio.sleep(5)
        return current_run().id

    @workflow("passed").version("1")
    async def passed_v1(run: Run) -> bool:
        assert current_run() is run
        return [*await asyncio.gather(helper(), helper())] == [run.id, run.id]

    async with testing.local(workflows=[passed_v1], max_parked_runs=0) as env:
        assert await (await passed_v1.start(env)).result() is True


async def test_a_cancellation_arrives_at_the_current_await_and_finally_may_run_tasks() -> None:
    cleaned: list[str] = []

    @task
    async def clean(what: str) -> None:
        cleaned.append(what)

    @workflow("tidy").version("1", events=Numbers)
    async def tidy_v1(run: Run[Numbers]) -> None:
        try:
            await run.events.number.wait()
        finally:
            await clean.start(run, "the table")

    async with testing.local(workflows=[tidy_v1], max_parked_runs=0) as env:
        handle = await tidy_v1.start(env)
        await env.settle()
        await handle.cancel("closing time")
        ended = await handle.wait_for_status("cancelled")
        assert ended.reached
    assert cleaned == ["the table"]
