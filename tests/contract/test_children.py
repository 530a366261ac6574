"""Children: started, waited for, spoken to and let go. Each test is played with the code kept and with it replayed."""

import asyncio
from typing import Any, Literal

import pytest

import aiki
from aiki import (
    ChildHandle,
    Event,
    Events,
    ReferenceConflict,
    Run,
    RunCancelled,
    RunFailed,
    TimedOut,
    testing,
    workflow,
)

PARKED = pytest.mark.parametrize("parked", [0, 1000], ids=["replayed", "kept"])


class LineEvents(Events):
    item: Event[str]
    stop: Event[None]


line = workflow("line")


@line.version("1", events=LineEvents)
async def line_v1(run: Run[LineEvents], name: str) -> list[str]:
    """Collect items for an hour."""
    items: list[str] = []
    while item := await run.events.item.wait(timeout=3600):
        items.append(item.data)
    return [name, *items]


@line.version("2", events=LineEvents)
async def line_v2(run: Run[LineEvents], name: str) -> list[str]:
    """The next version."""
    await run.sleep("long", hours=1)
    return [name, "of version 2"]


@workflow("squared").version("1")
async def squared_v1(run: Run, number: int) -> int:
    """Take a minute for it."""
    await run.sleep("thinking", minutes=1)
    return number * number


@workflow("broken").version("1")
async def broken_v1(run: Run) -> str:
    """Fail after a minute."""
    await run.sleep("a-while", minutes=1)
    raise ValueError("it broke")


# ---------------------------------------------------------------------------------------------------------- waiting


@PARKED
async def test_a_parent_that_waits_for_completed_on_a_child_that_fails_is_woken_and_told_so(parked: int) -> None:
    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> list[Any]:
        child = await broken_v1.start_as_child(run)
        ended = await child.wait_for_status("completed")
        return [bool(ended), ended.status, ended.timed_out, str(ended.error)]

    async with testing.local(workflows=[parent_v1, broken_v1], max_parked_runs=parked) as env:
        reached, status, timed_out, error = await (await parent_v1.start(env)).result(timeout=120)
        assert (reached, status, timed_out) == (False, "failed", False)
        assert "it broke" in error


@PARKED
@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
async def test_any_end_of_a_child_wakes_whoever_waits_for_whatever_status(
    parked: int, status: Literal["completed", "failed", "cancelled"]
) -> None:
    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> list[str | None]:
        children: list[ChildHandle[Any, Any]] = [
            await squared_v1.start_as_child(run, 2),
            await broken_v1.start_as_child(run),
            await line_v1.start_as_child(run, "c"),
        ]
        await children[2].cancel("not needed")
        ends = await asyncio.gather(*(child.wait_for_status(status) for child in children))
        return [end.status for end in sorted(ends, key=bool, reverse=True)]

    async with testing.local(workflows=[parent_v1, squared_v1, broken_v1, line_v1], max_parked_runs=parked) as env:
        first, *others = await (await parent_v1.start(env)).result(timeout=300)
        assert first == status
        assert {first, *others} == {"completed", "failed", "cancelled"}


@PARKED
async def test_a_wait_for_a_child_has_a_timeout_and_the_child_goes_on(parked: int) -> None:
    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> list[Any]:
        child = await squared_v1.start_as_child(run, 7)
        early = await child.wait_for_status("completed", timeout=10)
        try:
            await child.result(timeout=10)
        except TimedOut:
            return [early.timed_out, early.status, await child.result(timeout=60)]
        raise AssertionError("it cannot have ended")

    async with testing.local(workflows=[parent_v1, squared_v1], max_parked_runs=parked) as env:
        assert await (await parent_v1.start(env)).result() == [True, None, 49]


async def test_the_result_of_a_child_that_ended_long_ago_is_there_at_once() -> None:
    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> list[Any]:
        child = await squared_v1.start_as_child(run, 3)
        await run.sleep("year", days=365)
        before = run.now()
        return [
            await child.result(),
            bool(await child.wait_for_status("completed")),
            (run.now() - before).total_seconds(),
        ]

    async with testing.local(workflows=[parent_v1, squared_v1], max_parked_runs=0) as env:
        assert await (await parent_v1.start(env)).result() == [9, True, 0.0]


@PARKED
async def test_the_result_of_a_child_that_did_not_complete_raises_how_it_ended(parked: int) -> None:
    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> list[str]:
        broken, stopped = await broken_v1.start_as_child(run), await line_v1.start_as_child(run, "x")
        await stopped.cancel("enough")
        told: list[str] = []
        for child in (broken, stopped):
            try:
                await child.result()
            except (RunFailed, RunCancelled) as error:
                told.append(
                    f"{type(error).__name__} {error.reason if isinstance(error, RunCancelled) else error.error_type}"
                )
        return told

    async with testing.local(workflows=[parent_v1, broken_v1, line_v1], max_parked_runs=parked) as env:
        assert await (await parent_v1.start(env)).result() == ["RunFailed builtins.ValueError", "RunCancelled enough"]


@PARKED
async def test_the_first_of_several_children_is_waited_for_and_the_others_go_on(parked: int) -> None:
    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> list[int]:
        slow = asyncio.create_task((await squared_v1.options(delay=3600).start_as_child(run, 5)).result())
        fast = asyncio.create_task((await squared_v1.start_as_child(run, 4)).result())
        done, _ = await asyncio.wait([slow, fast], return_when=asyncio.FIRST_COMPLETED)
        return [*(one.result() for one in done), await slow]

    async with testing.local(workflows=[parent_v1, squared_v1], max_parked_runs=parked) as env:
        assert await (await parent_v1.start(env)).result() == [16, 25]


async def test_a_child_that_nobody_waits_for_outlives_its_parent() -> None:
    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> str:
        return (await squared_v1.start_as_child(run, 6)).id

    async with testing.local(workflows=[parent_v1, squared_v1]) as env:
        handle = await parent_v1.start(env)
        child = squared_v1.handle(env, await handle.result())
        assert (await child.info()).status == "sleeping"
        assert await child.result() == 36
        assert (await child.info()).parent_id == handle.id


async def test_a_hundred_children_are_gathered_in_order() -> None:
    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> list[int]:
        children = await asyncio.gather(*(squared_v1.start_as_child(run, number) for number in range(100)))
        return await asyncio.gather(*(child.result() for child in children))

    async with testing.local(workflows=[parent_v1, squared_v1], max_parked_runs=0) as env:
        assert await (await parent_v1.start(env)).result() == [number * number for number in range(100)]


# --------------------------------------------------------------------------------------------------------- speaking


@PARKED
async def test_an_event_that_is_sent_to_a_child_twice_under_one_reference_id_is_taken_once(parked: int) -> None:
    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> list[str]:
        child = await line_v1.start_as_child(run, "a")
        await child.events.item.send("one", reference_id="first")
        await child.events.item.send("one again", reference_id="first")
        await run.sleep("meanwhile", minutes=1)
        await child.events.item.send("and again", reference_id="first")
        await child.events.item.send("two", reference_id="second")
        await child.events.item.send("three")
        return await child.result()

    async with testing.local(workflows=[parent_v1, line_v1], max_parked_runs=parked) as env:
        assert await (await parent_v1.start(env)).result() == ["a", "one", "two", "three"]


async def test_a_reference_id_of_an_event_is_one_whether_a_parent_or_a_client_sends() -> None:
    @workflow("parent").version("1", events=LineEvents)
    async def parent_v1(run: Run[LineEvents]) -> list[str]:
        child = await line_v1.start_as_child(run, "a")
        run.set("child", child.id)
        await run.events.stop.wait()
        await child.events.item.send("from the parent", reference_id="it")
        return await child.result()

    async with testing.local(workflows=[parent_v1, line_v1]) as env:
        handle = await parent_v1.start(env)
        await env.settle()
        child = line_v1.handle(env, str(await handle.get("child")))
        await child.events.item.send("from outside", reference_id="it")
        await handle.events.stop.send(None)
        assert await handle.result() == ["a", "from outside"]


# --------------------------------------------------------------------------------------------- references and options


@PARKED
async def test_a_child_found_by_its_reference_id_tells_the_version_that_it_runs_on(parked: int) -> None:
    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> list[str | None]:
        child = await line_v1.options(reference_id="the-line").start_as_child(run, "a")
        await run.sleep("meanwhile", minutes=1)
        return [child.id, child.version, *(await child.result())]

    async with testing.local(workflows=[parent_v1, line_v1, line_v2], max_parked_runs=parked) as env:
        existing = await line_v2.options(reference_id="the-line").start(env, "a")
        assert await (await parent_v1.start(env)).result() == [existing.id, "2", "a", "of version 2"]


@PARKED
async def test_a_reference_id_in_use_is_refused_in_the_parents_code_or_the_run_is_taken_as_it_is(parked: int) -> None:
    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> list[str]:
        told = "nothing"
        try:
            await line_v1.options(reference_id="the-line").start_as_child(run, "other")
        except ReferenceConflict as refused:
            told = refused.code
        wanted = line_v1.options(reference_id="the-line", conflict="return_existing")
        child = await wanted.start_as_child(run, "yet another")
        await run.sleep("meanwhile", minutes=1)
        return [told, child.id]

    async with testing.local(workflows=[parent_v1, line_v1], max_parked_runs=parked) as env:
        existing = await line_v1.options(reference_id="the-line").start(env, "a")
        assert await (await parent_v1.start(env)).result() == ["reference_conflict", existing.id]


async def test_a_childs_options_are_those_of_its_version_unless_the_start_says_otherwise() -> None:
    @workflow("optioned").version("1", priority=5, timeout=600, pool="special")
    async def optioned_v1(run: Run) -> None:
        await run.sleep("long", hours=1)

    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> list[str]:
        own = await optioned_v1.start_as_child(run)
        other = await optioned_v1.options(priority=-5, pool="", tags={"team": "b"}, delay=60).start_as_child(run)
        return [own.id, other.id]

    async with testing.local(workflows=[parent_v1, optioned_v1]) as env:
        options = parent_v1.options(priority=100, tags={"team": "a"})
        own, other = await (await options.start(env)).result()
        infos = [await env.runs.get(run_id) for run_id in (own, other)]
        assert [(info.priority, info.pool, info.tags) for info in infos] == [
            (5, "special", {}),
            (-5, "", {"team": "b"}),
        ]
        assert infos[1].status == "scheduled"


@pytest.mark.parametrize(("parent_close", "ends"), [("cancel", "cancelled"), ("abandon", "completed")])
async def test_a_child_is_cancelled_with_the_end_of_its_parent_only_where_parent_close_says_so(
    parent_close: Literal["cancel", "abandon"], ends: str
) -> None:
    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> str:
        return (await squared_v1.options(parent_close=parent_close).start_as_child(run, 1)).id

    async with testing.local(workflows=[parent_v1, squared_v1]) as env:
        child = squared_v1.handle(env, await (await parent_v1.start(env)).result())
        await env.advance(hours=1)
        assert (await child.info()).status == ends


async def test_a_cancelled_parent_cancels_even_children_that_it_would_abandon() -> None:
    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> None:
        child = await line_v1.options(parent_close="abandon").start_as_child(run, "a")
        run.set("child", child.id)
        await run.sleep("long", days=1)

    async with testing.local(workflows=[parent_v1, line_v1]) as env:
        handle = await parent_v1.start(env)
        await env.settle()
        await handle.cancel("enough")
        await env.advance(minutes=1)
        assert (await env.runs.get(str(await handle.get("child")))).status == "cancelled"


async def test_a_childs_output_whose_type_has_changed_stalls_the_parent_and_is_never_a_wrong_value() -> None:
    @workflow("told").version("1")
    async def says_text_v1(run: Run) -> str:
        return "text"

    @workflow("told").version("1")
    async def says_number_v1(run: Run) -> int:
        return 1

    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> int:
        child = await says_number_v1.start_as_child(run)
        return await child.result()

    async with testing.local(workflows=[parent_v1]) as env, aiki.Worker(env, workflows=[says_text_v1]):
        handle = await parent_v1.start(env)
        await env.advance(minutes=1)
        info = await handle.info()
        assert info.status == "stalled"
        assert "the output of run" in (info.why or "")
        assert "requeue" in (info.why or "")


async def test_a_childs_input_that_does_not_fit_is_refused_by_who_executes_it() -> None:
    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> str:
        child = await squared_v1.start_as_child(run, "seven")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        ended = await child.wait_for_status("completed")
        assert ended.error is not None
        return str(ended.error)

    async with testing.local(workflows=[parent_v1, squared_v1]) as env:
        assert "number" in await (await parent_v1.start(env)).result()
