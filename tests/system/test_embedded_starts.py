"""How runs begin: once for each reference id, at their time, in their order, by whoever serves them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import aiki
from aiki import ReferenceConflict, Run, Worker, task, testing, workflow

echo = workflow("echo")


@echo.version("1")
async def echo_v1(run: Run, word: str, times: int = 1) -> str:
    await run.sleep("a while", minutes=10)
    return word * times


@echo.version("2")
async def echo_v2(run: Run, word: str, times: int = 1) -> str:
    return f"v2: {word * times}"


@pytest.fixture
async def env() -> AsyncIterator[testing.Environment]:
    """Return the platform, serving both versions of `echo`."""
    async with testing.local(workflows=[echo_v1, echo_v2]) as env:
        yield env


# ---------------------------------------------------------------------------------------------------- reference ids


async def test_a_start_with_the_same_reference_id_and_input_is_the_same_run(env: testing.Environment) -> None:
    first = await echo_v1.options(reference_id="order-1").start(env, "a")
    await first.result()
    again = await echo_v1.options(reference_id="order-1").start(env, word="a")

    assert again.id == first.id
    assert await again.result() == "a"
    assert (await env.runs.list(reference_id="order-1")).runs[0].id == first.id
    assert (await echo_v1.handle_by_reference(env, "order-1")).id == first.id


async def test_a_start_repeated_after_a_deploy_is_the_same_run_on_the_version_that_it_began_on(
    env: testing.Environment,
) -> None:
    first = await echo_v1.options(reference_id="order-1").start(env, "a")
    again = await echo_v2.options(reference_id="order-1").start(env, "a")

    assert (again.id, again.version) == (first.id, "1")
    assert await again.result() == "a"


async def test_a_reference_id_with_other_input_is_refused_or_taken_as_it_is(env: testing.Environment) -> None:
    first = await echo_v1.options(reference_id="order-1").start(env, "a")

    with pytest.raises(ReferenceConflict) as conflict:
        await echo_v1.options(reference_id="order-1").start(env, "b")
    taken = await echo_v1.options(reference_id="order-1", conflict="return_existing").start(env, "b")

    assert (conflict.value.reference_id, conflict.value.run_id) == ("order-1", first.id)
    assert taken.id == first.id


async def test_two_workflows_and_two_namespaces_do_not_share_reference_ids(tmp_path: Path) -> None:
    @workflow("other").version("1")
    async def other_v1(run: Run, word: str) -> str:
        return word

    async with testing.local(workflows=[echo_v1, other_v1]) as env:
        first = await echo_v1.options(reference_id="x").start(env, "a")
        second = await other_v1.options(reference_id="x").start(env, "b")
        assert first.id != second.id


async def test_a_hundred_starts_at_once_with_one_reference_id_are_one_run(env: testing.Environment) -> None:
    starts = [echo_v1.options(reference_id="x").start(env, "a") for _ in range(100)]
    handles = await asyncio.gather(*starts)

    assert len({handle.id for handle in handles}) == 1
    assert len((await env.runs.list()).runs) == 1


async def test_a_child_with_a_reference_id_in_use_is_that_run_or_refused_in_the_code() -> None:
    @workflow("child").version("1")
    async def child_v1(run: Run, word: str) -> str:
        return word

    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> list[Any]:
        child = child_v1.options(reference_id="shared")
        first = await child.start_as_child(run, "a")
        second = await child.start_as_child(run, "a")
        try:
            await child.start_as_child(run, "b")
        except ReferenceConflict as error:
            return [first.id == second.id, error.run_id == first.id, await first.result(), await second.result()]
        return []

    async with testing.local(workflows=[parent_v1, child_v1], max_parked_runs=0) as env:
        handle = await parent_v1.start(env)
        assert await handle.result() == [True, True, "a", "a"]


# --------------------------------------------------------------------------------------------------------------- when


async def test_a_delayed_run_begins_at_its_time_and_not_before(env: testing.Environment) -> None:
    handle = await echo_v2.options(delay=timedelta(hours=2)).start(env, "a")
    await env.advance(hours=1, minutes=59, seconds=59)
    assert (await handle.info()).status == "scheduled"

    await env.advance(seconds=1)

    info = await handle.info()
    assert info.status == "completed"
    assert info.started_at == info.created_at + timedelta(hours=2)


async def test_a_run_begins_at_the_moment_that_it_is_given(env: testing.Environment) -> None:
    begins_at = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)
    handle = await echo_v2.options(start_at=begins_at).start(env, "a")

    assert (await handle.info()).next_at == begins_at
    await handle.result()
    assert (await handle.info()).started_at == begins_at


async def test_a_moment_that_has_passed_is_now(env: testing.Environment) -> None:
    handle = await echo_v2.options(start_at=datetime(2001, 1, 1, tzinfo=UTC)).start(env, "a")
    await env.settle()
    assert (await handle.info()).status == "completed"


async def test_a_delayed_start_survives_a_restart(tmp_path: Path) -> None:
    async with testing.local(workflows=[echo_v2], database=tmp_path / "a.db") as env:
        handle = await echo_v2.options(delay=600).start(env, "a")
        await env.advance(minutes=5)
    async with testing.local(workflows=[echo_v2], database=tmp_path / "a.db") as env:
        await env.advance(minutes=4)
        assert (await env.runs.get(handle.id)).status == "scheduled"
        assert await echo_v2.handle(env, handle.id).result() == "v2: a"


async def test_runs_begin_by_priority_then_by_age() -> None:
    order: list[str] = []

    @task
    async def work(name: str) -> None:
        order.append(name)

    @workflow("queued").version("1")
    async def queued_v1(run: Run, name: str) -> None:
        await work.start(run, name)

    async with testing.local() as env:
        for name, priority in (("late", -5), ("first", 0), ("second", 0), ("urgent", 10)):
            await queued_v1.options(priority=priority).start(env, name)
            await env.advance(seconds=1)
        async with Worker(env, workflows=[queued_v1], max_concurrent_runs=1):
            await env.settle()

    assert order == ["urgent", "first", "second", "late"]


# ---------------------------------------------------------------------------------------------------------- by whom


async def test_a_run_that_no_worker_serves_yet_is_accepted_with_a_warning_and_runs_once_one_does() -> None:
    async with testing.local() as env:
        handle = await echo_v2.start(env, "a")
        (warning,) = handle.warnings
        assert "no worker" in warning
        assert (await handle.info()).warnings
        await env.advance(hours=1)
        assert (await handle.info()).status == "queued"

        async with Worker(env, workflows=[echo_v2]):
            assert await handle.result() == "v2: a"
            served = await echo_v2.start(env, "b")
            assert served.warnings == ()


async def test_a_run_of_a_pool_is_taken_by_a_worker_of_that_pool_only() -> None:
    @workflow("pooled").version("1")
    async def pooled_v1(run: Run) -> None: ...

    async with testing.local(workflows=[pooled_v1]) as env:
        handle = await pooled_v1.options(pool="gpu").start(env)
        await env.settle()
        assert (await handle.info()).status == "queued"
        async with Worker(env, workflows=[pooled_v1], pools=["gpu"]):
            await handle.result()


async def test_two_workers_share_the_runs_of_one_workflow() -> None:
    served: dict[str, int] = {}
    both_busy = asyncio.Event()

    @task
    async def work() -> None:
        name = aiki.current_task().context
        served[name] = served.get(name, 0) + 1
        if len(served) == 2:
            both_busy.set()
        await both_busy.wait()

    @workflow("shared").version("1")
    async def shared_v1(run: Run) -> None:
        await work.start(run)

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        async def __aenter__(self) -> str:
            return self.name

        async def __aexit__(self, *_: object) -> None: ...

    async with (
        testing.local() as env,
        Worker(env, workflows=[shared_v1], context=lambda: Named("a"), max_concurrent_runs=5),
        Worker(env, workflows=[shared_v1], context=lambda: Named("b"), max_concurrent_runs=5),
    ):
        handles = [await shared_v1.start(env) for _ in range(10)]
        await asyncio.gather(*(handle.result() for handle in handles))

    assert sum(served.values()) == 10
    assert set(served) == {"a", "b"}


async def test_a_worker_refuses_two_of_one_name_and_copies_that_mean_one_run() -> None:
    @workflow("echo").version("1")
    async def another_v1(run: Run) -> None: ...

    async with testing.local() as env:
        with pytest.raises(aiki.NameTaken, match="echo 1"):
            Worker(env, workflows=[echo_v1, another_v1])
        with pytest.raises(ValueError, match="one single run"):
            Worker(env, workflows=[echo_v1.options(reference_id="x")])


# --------------------------------------------------------------------------------------------------- tags and lists


async def test_runs_are_found_by_tags_status_workflow_version_and_page(env: testing.Environment) -> None:
    for number in range(5):
        await echo_v1.options(tags={"team": "sales", "n": str(number)}).start(env, "a")
    done = await echo_v2.options(tags={"team": "ops"}).start(env, "a")
    await env.settle()

    async def ids(**wanted: Any) -> set[str]:
        return {run.id for run in (await env.runs.list(**wanted)).runs}

    assert len(await ids(tags={"team": "sales"})) == 5
    assert len(await ids(tags={"team": "sales", "n": "3"})) == 1
    assert await ids(status="completed") == {done.id} == await ids(version="2") == await ids(tags={"team": "ops"})
    assert len(await ids(status=["completed", "sleeping"], workflow="echo")) == 6
    assert await ids(workflow="other") == set()

    first = await env.runs.list(limit=4)
    rest = await env.runs.list(limit=4, cursor=first.next_cursor)
    assert len(first.runs) == 4
    assert len(rest.runs) == 2
    assert rest.next_cursor is None


async def test_a_run_knows_what_it_is() -> None:
    @workflow("child").version("7")
    async def child_v7(run: Run) -> dict[str, Any]:
        return {"parent": run.parent_id, "reference": run.reference_id, "tags": run.tags, "attempt": run.attempt}

    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> dict[str, Any]:
        child = await child_v7.options(reference_id="kid", tags={"a": "b"}).start_as_child(run)
        about = await child.result()
        return {**about, "me": run.id, "which": f"{run.workflow} {run.version}", "child": child.id}

    async with testing.local(workflows=[parent_v1, child_v7]) as env:
        handle = await parent_v1.options(tags={"x": "y"}).start(env)
        about = await handle.result()
        child = await env.runs.get(about["child"])

    assert about == {
        "parent": handle.id,
        "reference": "kid",
        "tags": {"a": "b"},
        "attempt": 1,
        "me": handle.id,
        "which": "parent 1",
        "child": child.id,
    }
    assert (child.root_id, child.parent_id, child.tags) == (handle.id, handle.id, {"a": "b"})


async def test_input_that_does_not_fit_is_refused_at_the_door(env: testing.Environment) -> None:
    unfit: Any = 5
    with pytest.raises(aiki.InvalidInput, match="word"):
        await echo_v1.start(env, unfit)
    with pytest.raises(TypeError):
        await echo_v1.start(env)  # type: ignore[call-overload]  # that is the test
    assert (await env.runs.list()).runs == ()


@pytest.mark.parametrize(
    ("given", "path", "reason"),
    [
        ({"wrod": "a"}, "$.wrod", "it is unknown: what may stand there is 'word', 'times'"),
        ({}, "$.word", "it is missing"),
        ({"word": 5}, "$.word", "it is an integer, and must be a string"),
    ],
)
async def test_input_by_name_that_no_worker_could_take_is_refused_at_once(
    env: testing.Environment, given: dict[str, Any], path: str, reason: str
) -> None:
    with pytest.raises(aiki.InvalidInput) as refused:
        await env.runs.start("echo", "2", given)

    assert (refused.value.path, reason in str(refused.value)) == (path, True)
    assert (await env.runs.list()).runs == ()


async def test_input_from_before_any_worker_that_the_code_cannot_take_fails_its_run_and_says_why() -> None:
    async with testing.local() as env:
        handle = await env.runs.start("echo", "2", {"wrod": "a"})
        async with Worker(env, [echo_v2]):
            with pytest.raises(aiki.RunFailed, match="wrod"):
                await handle.result()
