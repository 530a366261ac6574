"""What is asked of a run from outside, or by its parent or the clock: cancel, terminate, wake, time out."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import aiki
from aiki import Event, Events, Run, task, testing, workflow


class Log:
    """What the code of a test did, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def task(self) -> Any:
        """Return a task that leaves a line."""

        @task
        async def leave(line: str) -> None:
            self.lines.append(line)

        return leave


# ---------------------------------------------------------------------------------------------------------- cancel


@pytest.mark.parametrize("parked", [0, 1000])
async def test_a_cancelled_run_cleans_up_with_tasks_and_sleeps_and_ends_cancelled(parked: int) -> None:
    log = Log()
    leave = log.task()

    @workflow("careful").version("1")
    async def careful_v1(run: Run) -> None:
        try:
            await leave.start(run, "begun")
            await run.sleep("long", days=30)
        finally:
            await leave.start(run, "cleaning")
            await run.sleep("dust settles", seconds=10)
            await leave.start(run, "clean")

    async with testing.local(workflows=[careful_v1], max_parked_runs=parked) as env:
        handle = await careful_v1.start(env)
        await env.advance(days=1)
        assert await handle.cancel("changed my mind")
        assert not await handle.cancel("again")
        ended = await handle.wait_for_status("cancelled")

    assert ended.reached
    assert isinstance(ended.error, aiki.RunCancelled)
    assert log.lines == ["begun", "cleaning", "clean"]


async def test_the_reason_of_a_cancellation_reaches_code_and_waiter() -> None:
    reasons: list[Any] = []

    @workflow("asked").version("1")
    async def asked_v1(run: Run) -> None:
        try:
            await run.sleep("long", days=30)
        except asyncio.CancelledError as error:
            reasons.append(error.args)
            raise

    async with testing.local(workflows=[asked_v1]) as env:
        handle = await asked_v1.start(env)
        await env.settle()
        await handle.cancel("out of stock")
        with pytest.raises(aiki.RunCancelled, match="out of stock") as cancelled:
            await handle.result()

    assert cancelled.value.reason == "out of stock"
    assert reasons == [("out of stock",)]


async def test_a_run_that_answers_a_cancellation_with_a_value_is_completed() -> None:
    @workflow("partial").version("1")
    async def partial_v1(run: Run) -> str:
        try:
            await run.sleep("long", days=30)
        except asyncio.CancelledError:
            return "half of it"
        return "all of it"

    async with testing.local(workflows=[partial_v1]) as env:
        handle = await partial_v1.start(env)
        await env.settle()
        await handle.cancel()
        assert await handle.result() == "half of it"


async def test_a_run_that_raises_another_error_while_it_is_cancelled_has_failed_for_good() -> None:
    attempts: list[int] = []

    @workflow("clumsy").version("1", retry=aiki.Retry.fixed(3, delay=1))
    async def clumsy_v1(run: Run) -> None:
        attempts.append(run.attempt)
        try:
            await run.sleep("long", days=30)
        finally:
            raise RuntimeError("dropped it")

    async with testing.local(workflows=[clumsy_v1]) as env:
        handle = await clumsy_v1.start(env)
        await env.settle()
        await handle.cancel()
        with pytest.raises(aiki.RunFailed, match="dropped it"):
            await handle.result()

    assert attempts == [1]


async def test_a_running_async_task_is_cancelled_with_its_run() -> None:
    told: list[str] = []

    @task
    async def hang() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    @workflow("hanging").version("1")
    async def hanging_v1(run: Run) -> None:
        await hang.start(run)

    async with testing.local(workflows=[hanging_v1]) as env:
        handle = await hanging_v1.start(env)
        await env.advance(seconds=5)
        assert (await handle.info()).status == "running"
        await handle.cancel()
        assert await handle.wait_for_status("cancelled")

    assert told == ["cancelled"]


async def test_a_run_that_has_not_begun_is_cancelled_at_once_and_its_code_never_runs() -> None:
    begun: list[str] = []

    @workflow("later").version("1")
    async def later_v1(run: Run) -> None:
        begun.append(run.id)

    async with testing.local(workflows=[later_v1]) as env:
        handle = await later_v1.options(delay=60).start(env)
        await handle.cancel()
        assert (await handle.info()).status == "cancelled"
        await env.advance(minutes=2)

    assert begun == []


async def test_clean_up_that_takes_longer_than_the_grace_is_cut_off() -> None:
    @task
    async def never_ends() -> None:
        await asyncio.sleep(3600)

    @workflow("stubborn").version("1")
    async def stubborn_v1(run: Run) -> None:
        try:
            await run.sleep("long", days=1)
        finally:
            await never_ends.start(run)

    async with testing.local(workflows=[stubborn_v1]) as env:
        handle = await stubborn_v1.start(env)
        await env.settle()
        await handle.cancel()
        await env.advance(seconds=29)
        assert (await handle.info()).status == "running"
        await env.advance(seconds=2)
        assert (await handle.info()).status == "cancelled"


async def test_clean_up_goes_on_after_a_restart(tmp_path: Path) -> None:
    log = Log()
    leave = log.task()

    @workflow("careful").version("1")
    async def careful_v1(run: Run) -> None:
        try:
            await run.sleep("long", days=30)
        finally:
            await leave.start(run, "first")
            await run.sleep("pause", minutes=10)
            await leave.start(run, "second")

    async with testing.local(workflows=[careful_v1], database=tmp_path / "a.db") as env:
        handle = await careful_v1.start(env)
        await env.settle()
        await handle.cancel()
        await env.advance(minutes=1)
    async with testing.local(workflows=[careful_v1], database=tmp_path / "a.db") as env:
        assert await careful_v1.handle(env, handle.id).wait_for_status("cancelled")

    assert log.lines == ["first", "second"]


async def test_a_cancelled_parent_cancels_its_children_and_theirs_who_clean_up() -> None:
    log = Log()
    leave = log.task()

    @workflow("leaf").version("1")
    async def leaf_v1(run: Run) -> None:
        try:
            await run.sleep("long", days=30)
        finally:
            await leave.start(run, "leaf")

    @workflow("branch").version("1")
    async def branch_v1(run: Run) -> None:
        child = await leaf_v1.start_as_child(run)
        try:
            await child.result()
        finally:
            await leave.start(run, "branch")

    @workflow("root").version("1")
    async def root_v1(run: Run) -> None:
        children = [await branch_v1.start_as_child(run) for _ in range(3)]
        await children[0].result()

    async with testing.local(workflows=[root_v1, branch_v1, leaf_v1]) as env:
        handle = await root_v1.start(env)
        await env.settle()
        await handle.cancel()
        await env.settle()
        statuses = [run.status for run in (await env.runs.list()).runs]

    assert statuses == ["cancelled"] * 7
    assert sorted(log.lines) == ["branch"] * 3 + ["leaf"] * 3


@pytest.mark.parametrize(("parent_close", "status"), [("abandon", "sleeping"), ("cancel", "cancelled")])
async def test_a_child_follows_its_completed_parent_only_where_it_is_told_to(parent_close: Any, status: str) -> None:
    @workflow("child").version("1")
    async def child_v1(run: Run) -> None:
        await run.sleep("long", days=30)

    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> str:
        return (await child_v1.options(parent_close=parent_close).start_as_child(run)).id

    async with testing.local(workflows=[parent_v1, child_v1]) as env:
        child_id = await (await parent_v1.start(env)).result()
        await env.settle()
        assert (await env.runs.get(child_id)).status == status


async def test_a_run_cancels_its_child_and_sees_how_that_ended() -> None:
    @workflow("child").version("1")
    async def child_v1(run: Run) -> None:
        await run.sleep("long", days=30)

    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> str:
        child = await child_v1.start_as_child(run)
        await run.sleep("thinking", minutes=1)
        await child.cancel("no longer needed")
        ended = await child.wait_for_status("completed")
        return f"{ended.status}: {ended.error}"

    async with testing.local(workflows=[parent_v1, child_v1]) as env:
        result = await (await parent_v1.start(env)).result()

    assert result.startswith("cancelled: run ")
    assert "no longer needed" in result


# ------------------------------------------------------------------------------------------- terminate, timeout, wake


async def test_a_terminated_run_ends_at_once_without_clean_up() -> None:
    log = Log()
    leave = log.task()

    @workflow("careful").version("1")
    async def careful_v1(run: Run) -> None:
        try:
            await run.sleep("long", days=30)
        finally:
            await leave.start(run, "cleaning")

    async with testing.local(workflows=[careful_v1]) as env:
        handle = await careful_v1.start(env)
        await env.settle()
        assert await handle.terminate("enough")
        with pytest.raises(aiki.RunCancelled, match="enough"):
            await handle.result()
        assert not await handle.terminate("again")
        assert not await handle.cancel()

    assert log.lines == []


async def test_a_task_under_way_is_cancelled_when_its_run_is_terminated() -> None:
    told: list[str] = []

    @task
    async def hang() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    @workflow("hanging").version("1")
    async def hanging_v1(run: Run) -> None:
        await hang.start(run)

    async with testing.local(workflows=[hanging_v1]) as env:
        handle = await hanging_v1.start(env)
        await env.advance(seconds=5)
        await handle.terminate()
        await env.settle()
        assert (await handle.info()).status == "cancelled"
        assert told == ["cancelled"]


async def test_a_run_that_takes_longer_than_its_timeout_cleans_up_and_has_failed() -> None:
    log = Log()
    leave = log.task()

    @workflow("slow").version("1", timeout=timedelta(hours=1))
    async def slow_v1(run: Run) -> None:
        try:
            await run.sleep("long", days=30)
        finally:
            await leave.start(run, "cleaning")

    async with testing.local(workflows=[slow_v1]) as env:
        handle = await slow_v1.start(env)
        await env.advance(minutes=59)
        assert (await handle.info()).status == "sleeping"
        await env.advance(minutes=2)
        ended = await handle.wait_for_status("failed")

    assert ended
    assert "timeout" in str(ended.error)
    assert log.lines == ["cleaning"]


async def test_a_woken_sleep_tells_so_and_the_next_one_sleeps_on() -> None:
    @workflow("sleeper").version("1")
    async def sleeper_v1(run: Run) -> list[bool]:
        first = await run.sleep("first", days=30)
        second = await run.sleep("second", minutes=1)
        return [first.woken, second.woken]

    async with testing.local(workflows=[sleeper_v1]) as env:
        handle = await sleeper_v1.start(env)
        await env.advance(hours=1)
        assert await handle.wake()
        assert await handle.result() == [True, False]
        info = await handle.info()

    assert info.finished_at is not None
    assert info.finished_at - info.created_at < timedelta(hours=2)


async def test_waking_what_does_not_sleep_does_nothing() -> None:
    class Go(Events):
        go: Event[None]

    @workflow("waiting").version("1", events=Go)
    async def waiting_v1(run: Run[Go]) -> bool:
        await run.events.go.wait()
        return (await run.sleep("after", minutes=1)).woken

    async with testing.local(workflows=[waiting_v1]) as env:
        handle = await waiting_v1.start(env)
        await env.settle()
        assert not await handle.wake()
        await handle.events.go.send(None)
        assert await handle.result() is False


async def test_waking_starts_what_was_to_start_later() -> None:
    @workflow("later").version("1")
    async def later_v1(run: Run) -> str:
        return "now"

    async with testing.local(workflows=[later_v1]) as env:
        handle = await later_v1.options(delay=timedelta(days=365)).start(env)
        assert (await handle.info()).status == "scheduled"
        assert await handle.wake()
        await env.settle()
        assert (await handle.info()).status == "completed"


async def test_requeuing_what_is_not_stalled_does_nothing() -> None:
    @workflow("quiet").version("1")
    async def quiet_v1(run: Run) -> None:
        await run.sleep("long", days=1)

    async with testing.local(workflows=[quiet_v1]) as env:
        handle = await quiet_v1.start(env)
        await env.settle()
        assert not await handle.requeue()
        assert (await handle.info()).status == "sleeping"


async def test_code_that_waits_for_nothing_that_can_happen_is_stalled_and_says_so() -> None:
    @workflow("stuck").version("1")
    async def stuck_v1(run: Run) -> None:
        await asyncio.Event().wait()

    async with testing.local(workflows=[stuck_v1]) as env:
        handle = await stuck_v1.start(env)
        await env.settle()
        info = await handle.info()
        assert info.status == "stalled"
        assert info.why is not None
        assert "waits for something that cannot happen" in info.why
        await handle.cancel()
        assert (await handle.info()).status == "cancelled"


# ----------------------------------------------------------------------------------------------- asking of who is gone


async def test_who_asks_about_a_run_that_is_not_there_is_told() -> None:
    @workflow("quiet").version("1")
    async def quiet_v1(run: Run) -> None: ...

    async with testing.local(workflows=[quiet_v1]) as env:
        handle = quiet_v1.handle(env, "0190a000-0000-7000-8000-00000000dead")
        for asked in (handle.info, handle.result, handle.cancel, handle.wake, handle.requeue, handle.terminate):
            with pytest.raises(aiki.RunNotFound):
                await asked()
        with pytest.raises(aiki.RunNotFound):
            await quiet_v1.handle_by_reference(env, "nobody")


async def test_a_result_that_does_not_come_in_time_is_waited_for_again() -> None:
    @workflow("slow").version("1")
    async def slow_v1(run: Run) -> str:
        await run.sleep("long", hours=1)
        return "at last"

    async with testing.local(workflows=[slow_v1]) as env:
        handle = await slow_v1.start(env)
        with pytest.raises(aiki.TimedOut, match="has not ended within 60 s"):
            await handle.result(timeout=60)
        assert (await handle.wait_for_status("completed", timeout=1)).timed_out
        assert await handle.result(timeout=timedelta(hours=1)) == "at last"
