"""What 1-api.md says of workflows and versions, as far as no other test holds it (`rows.py` names those)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import aiki
from aiki import InvalidInput, Retry, Run, RunNotFound, task, testing, workflow

greeting = workflow("greeting")


@greeting.version("1.0.0")
async def greeting_v1(run: Run, name: str) -> str:
    """The old one."""
    await run.sleep("a-while", hours=1)
    return f"hello {name}"


@greeting.version("2.0.0")
async def greeting_v2(run: Run, name: str, polite: bool) -> str:  # noqa: FBT001
    """The new one, with a parameter more."""
    await run.sleep("a-while", hours=1)
    return f"{'good day' if polite else 'hi'} {name}"


async def test_versions_run_side_by_side_on_one_worker_and_each_run_stays_on_its_own() -> None:
    async with testing.local(workflows=[greeting_v1, greeting_v2], max_parked_runs=0) as env:
        old, new = await greeting_v1.start(env, "ada"), await greeting_v2.start(env, "ada", polite=True)
        assert [await old.result(), await new.result()] == ["hello ada", "good day ada"]
        assert [(await handle.info()).version for handle in (old, new)] == ["1.0.0", "2.0.0"]


async def test_versions_run_on_different_workers_and_a_run_waits_for_one_that_serves_its_own() -> None:
    async with testing.local(workflows=[greeting_v2]) as env:
        old, new = await greeting_v1.start(env, "ada"), await greeting_v2.start(env, "ada", polite=False)
        assert old.warnings != ()
        assert new.warnings == ()
        assert await new.result() == "hi ada"
        assert (await old.info()).status == "queued"
        async with aiki.Worker(env, workflows=[greeting_v1]):
            assert await old.result() == "hello ada"


async def test_a_run_under_way_stays_on_its_version_when_a_newer_one_is_deployed_beside_it(tmp_path: Path) -> None:
    async with testing.local(workflows=[greeting_v1], database=tmp_path / "a.db") as env:
        run_id = (await greeting_v1.start(env, "ada")).id
        await env.advance(minutes=1)
    async with testing.local(workflows=[greeting_v2], database=tmp_path / "a.db") as env:
        await env.advance(hours=2)
        assert (await env.runs.get(run_id)).status == "queued"
    async with testing.local(workflows=[greeting_v1, greeting_v2], database=tmp_path / "a.db") as env:
        assert await greeting_v1.handle(env, run_id).result() == "hello ada"


async def test_each_version_has_the_schema_that_its_worker_announced_and_input_of_another_is_refused() -> None:
    async with testing.local(workflows=[greeting_v1]) as env, aiki.Worker(env, workflows=[greeting_v2]):
        with pytest.raises(InvalidInput, match="polite"):
            await env.runs.start("greeting", "2.0.0", {"name": "ada"})
        handle = await env.runs.start("greeting", "1.0.0", {"name": "ada"})
        assert await handle.result() == "hello ada"


async def test_a_reference_id_finds_the_run_on_whatever_version_it_runs() -> None:
    async with testing.local(workflows=[greeting_v1, greeting_v2]) as env:
        started = await greeting_v1.options(reference_id="a").start(env, "ada")
        found = await greeting_v2.handle_by_reference(env, "a")
        assert (found.id, found.version) == (started.id, "1.0.0")
        bare = greeting_v2.handle(env, started.id)
        assert (bare.version, (await bare.info()).version, bare.version) == (None, "1.0.0", "1.0.0")
        with pytest.raises(RunNotFound):
            await greeting_v1.handle_by_reference(env, "b")


async def test_a_versions_defaults_hold_for_its_runs_until_options_say_otherwise() -> None:
    @workflow("defaults").version("1", retry=Retry.fixed(2, 1.0), timeout=600, pool="own", priority=7)
    async def defaults_v1(run: Run) -> int:
        if run.attempt == 1:
            raise ValueError("once")
        return run.attempt

    async with testing.local(workflows=[defaults_v1], pools=("own", "")) as env:
        own = await defaults_v1.start(env)
        other = await defaults_v1.options(retry=Retry.never(), pool="", priority=0).start(env)
        assert await own.result() == 2
        assert (await other.wait_for_status("completed")).status == "failed"
        infos = [await own.info(), await other.info()]
        assert [(info.pool, info.priority, info.attempt) for info in infos] == [("own", 7, 2), ("", 0, 1)]


async def test_options_give_a_copy_and_the_original_starts_as_before() -> None:
    async with testing.local(workflows=[greeting_v1]) as env:
        named = greeting_v1.options(reference_id="a", tags={"k": "v"})
        first, again, other = [await one.start(env, "ada") for one in (named, named, greeting_v1)]
        assert first.id == again.id
        assert other.id != first.id
        assert (await other.info()).tags == {}


async def test_definitions_are_plain_objects_and_two_of_one_name_live_beside_one_another() -> None:
    def made(word: str) -> Any:
        @workflow("twin").version("1")
        async def twin_v1(_: Run) -> str:
            return word

        return twin_v1

    one, two = made("one"), made("two")
    async with testing.local(workflows=[one]) as env:
        assert await (await one.start(env)).result() == "one"
    async with testing.local(workflows=[two]) as env:
        assert await (await two.start(env)).result() == "two"


async def test_asyncio_works_in_workflow_code_and_sleeping_there_is_durable() -> None:
    @task
    async def echo(value: int) -> int:
        return value

    @workflow("loops").version("1")
    async def loops_v1(run: Run) -> list[Any]:
        begun, lock, queue = run.now(), asyncio.Lock(), asyncio.Queue[int]()

        async def fill() -> None:
            async with lock:
                await asyncio.sleep(86_400)
                await queue.put(await echo.start(run, 1))

        async with asyncio.TaskGroup() as group:
            group.create_task(fill())
            waiting = group.create_task(queue.get())
        try:
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        except TimeoutError:
            pass
        return [waiting.result(), (run.now() - begun).total_seconds()]

    async with testing.local(workflows=[loops_v1], max_parked_runs=0) as env:
        assert await (await loops_v1.start(env)).result() == [1, 86_460.0]
