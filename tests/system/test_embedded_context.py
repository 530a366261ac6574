"""What code is given: the worker's context, a logger, time and chance that replay, and the run where it is not passed."""

import asyncio
import logging
import random
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import aiki
from aiki import Run, current_run, current_task, task, testing, workflow

# ---------------------------------------------------------------------------------------------- context, around_task


async def test_the_context_is_entered_once_and_seen_by_runs_and_tasks() -> None:
    entered: list[str] = []
    seen: list[object] = []

    @asynccontextmanager
    async def pool() -> AsyncIterator[str]:
        entered.append("entered")
        yield "the pool"
        entered.append("left")

    @task
    async def look() -> None:
        seen.append(current_task().context)

    @task
    def look_in_a_thread() -> None:
        seen.append(current_task().context)

    @workflow("looking").version("1")
    async def looking_v1(run: Run) -> None:
        seen.append(run.context)
        await look.start(run)
        await look_in_a_thread.start(run)

    async with testing.local(workflows=[looking_v1], context=pool) as env:
        for _ in range(3):
            await (await looking_v1.start(env)).result()
        assert entered == ["entered"]

    assert entered == ["entered", "left"]
    assert seen == ["the pool"] * 9


async def test_a_context_that_cannot_be_entered_is_told_to_who_started_the_worker() -> None:
    async def connect() -> str:
        raise ConnectionError("no database there")

    @asynccontextmanager
    async def pool() -> AsyncIterator[str]:
        yield await connect()

    @workflow("quiet").version("1")
    async def quiet_v1(run: Run) -> None: ...

    with pytest.raises(ConnectionError, match="no database there"):
        async with testing.local(workflows=[quiet_v1], context=pool):
            raise AssertionError("it was entered")


async def test_around_task_is_entered_around_each_attempt_and_sees_its_error() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def traced() -> AsyncIterator[None]:
        here = current_task()
        events.append(f"{here.name} {here.attempt}")
        try:
            yield
        except RuntimeError as error:
            events.append(f"raised {error}")
            raise
        else:
            events.append("returned")

    @task(retry=aiki.Retry.fixed(2, delay=60))
    async def flaky() -> None:
        if current_task().attempt < 2:
            raise RuntimeError("once")

    @task
    def steady() -> None: ...

    @workflow("traced").version("1")
    async def traced_v1(run: Run) -> None:
        await flaky.start(run)
        await steady.start(run)

    async with testing.local(workflows=[traced_v1], around_task=traced) as env:
        await (await traced_v1.start(env)).result()

    assert events == ["flaky 1", "raised once", "flaky 2", "returned", "steady 1", "returned"]


# ------------------------------------------------------------------------------------------------------- the same again


async def test_time_chance_and_ids_are_the_same_on_replay_and_others_in_another_run() -> None:
    seen: dict[str, list[list[Any]]] = {}

    @task
    async def pause() -> None: ...

    @workflow("chancy").version("1")
    async def chancy_v1(run: Run) -> list[Any]:
        found: list[Any] = []
        seen.setdefault(run.id, []).append(found)
        for number in range(3):
            found += [run.now(), run.uuid4(), run.random.random(), run.random.sample(range(100), 5)]
            await pause.start(run)
            await run.sleep(f"night {number}", days=1)
        found.append(run.now())
        return [str(value) for value in found]

    async with testing.local(workflows=[chancy_v1], max_parked_runs=0) as env:
        first, second = await chancy_v1.start(env), await chancy_v1.start(env)
        results = [await first.result(), await second.result()]

    for plays in seen.values():
        assert len(plays) == 4
        assert all(play == plays[-1][: len(play)] for play in plays)
        nows = plays[-1][0::4]
        assert all(now.tzinfo is UTC for now in nows)
        assert nows[3] - nows[0] == timedelta(days=3)
    assert [first.id, second.id] == list(seen)
    assert results[0][1] != results[1][1]


async def test_a_logger_is_silent_on_replay_and_knows_its_run(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    @task
    async def work() -> None:
        current_task().logger.info("working")

    @workflow("telling").version("1")
    async def telling_v1(run: Run) -> None:
        run.logger.info("begun")
        await work.start(run)
        run.logger.info("worked")
        await run.sleep("night", days=1)
        run.logger.info("slept %s", "well")
        await run.sleep("another night", days=1)

    async with testing.local(workflows=[telling_v1], max_parked_runs=0) as env:
        handle = await telling_v1.start(env)
        await handle.result()

    told = [record for record in caplog.records if record.name in ("aiki.run", "aiki.task")]
    assert [record.getMessage() for record in told] == ["begun", "working", "worked", "slept well"]
    assert {vars(record)["run_id"] for record in told} == {handle.id}


# --------------------------------------------------------------------------------------------------- the run, anywhere


async def test_the_current_run_is_found_in_helpers_and_in_asyncio_tasks_of_a_run() -> None:
    def ask() -> str:
        return current_run().id

    async def ask_deeper() -> str:
        await current_run().sleep("a moment", 1)
        return ask()

    @workflow("nested").version("1")
    async def nested_v1(run: Run) -> list[str]:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ask_deeper()) for _ in range(2)]
        return [ask(), await ask_deeper(), *[done.result() for done in asked]]

    async with testing.local(workflows=[nested_v1]) as env:
        handle = await nested_v1.start(env)
        other = await nested_v1.start(env)
        assert await handle.result() == [handle.id] * 4
        assert await other.result() == [other.id] * 4
        with pytest.raises(RuntimeError, match="no workflow code is running here"):
            current_run()
        with pytest.raises(RuntimeError, match="no task is running here"):
            current_task()


async def test_a_task_is_no_run_and_a_run_no_task() -> None:
    said: list[str] = []

    @task
    async def inside() -> None:
        with pytest.raises(RuntimeError) as refused:
            current_run()
        said.append(str(refused.value))

    @workflow("both").version("1")
    async def both_v1(run: Run) -> None:
        with pytest.raises(RuntimeError) as refused:
            current_task()
        said.append(str(refused.value))
        await inside.start(run)

    async with testing.local(workflows=[both_v1]) as env:
        await (await both_v1.start(env)).result()

    assert "aiki.current_run()" in said[0]
    assert "aiki.current_task()" in said[1]


# ------------------------------------------------------------------------------------------------------------ threads


async def test_sync_tasks_run_at_the_same_time_and_know_which_they_are() -> None:
    together = threading.Barrier(8, timeout=60)
    variable: ContextVar[str] = ContextVar("variable", default="unset")

    @task
    def meet(number: int) -> list[Any]:
        together.wait()
        variable.set(str(number))
        here = current_task()
        here.heartbeat({"number": number})
        return [number, here.name, here.run_id, here.attempt, variable.get()]

    @workflow("meeting").version("1")
    async def meeting_v1(run: Run) -> list[Any]:
        return list(await asyncio.gather(*(meet.start(run, number) for number in range(8))))

    async with testing.local(workflows=[meeting_v1]) as env:
        handle = await meeting_v1.start(env)
        assert await handle.result() == [[number, "meet", handle.id, 1, str(number)] for number in range(8)]


async def test_a_sync_task_that_blocks_holds_up_no_other_run() -> None:
    others_done = threading.Event()

    @task
    def block() -> bool:
        return others_done.wait(60)

    @task
    async def quick(number: int) -> int:
        return number

    @workflow("blocked").version("1")
    async def blocked_v1(run: Run) -> bool:
        return await block.start(run)

    @workflow("quick").version("1")
    async def quick_v1(run: Run, number: int) -> int:
        return await quick.start(run, number)

    async with testing.local(workflows=[blocked_v1, quick_v1]) as env:
        blocked = await blocked_v1.start(env)
        handles = [await quick_v1.start(env, number) for number in range(50)]
        assert [await handle.result() for handle in handles] == list(range(50))
        assert (await blocked.info()).status == "running"
        others_done.set()
        assert await blocked.result() is True


async def test_a_sync_task_that_raises_anything_fails_only_itself() -> None:
    @task
    def leave(how: str) -> None:
        raise {"exit": SystemExit(3), "stop": StopIteration(1), "interrupt": ValueError("x")}[how]

    @workflow("leaving").version("1")
    async def leaving_v1(run: Run) -> list[str]:
        said: list[str] = []
        for how in ("exit", "stop", "interrupt"):
            try:
                await leave.start(run, how)
            except aiki.TaskFailed as error:
                said.append(error.error_type)
        return said

    async with testing.local(workflows=[leaving_v1]) as env:
        result = await (await leaving_v1.start(env)).result()

    assert result == ["builtins.SystemExit", "builtins.RuntimeError", "builtins.ValueError"]


# ------------------------------------------------------------------------------------------ what workflow code may not


async def test_what_cannot_be_replayed_is_refused_in_workflow_code_with_advice(tmp_path: Path) -> None:
    said: list[str] = []

    @task
    async def work() -> None: ...

    @workflow("tempted").version("1")
    async def tempted_v1(run: Run) -> None:
        for forbidden in (
            work,
            lambda: open(tmp_path / "x", "w"),  # noqa: SIM115, PTH123
            lambda: asyncio.get_running_loop().run_in_executor(None, print),
        ):
            try:
                forbidden()
            except aiki.AikiError as error:
                said.append(f"{type(error).__name__}: {error}")

    async with testing.local(workflows=[tempted_v1]) as env:
        await (await tempted_v1.start(env)).result()

    assert said[0].startswith("DirectTaskCall: ")
    assert "Write: await work.start(run" in said[0]
    assert said[1].startswith("NotAllowedInWorkflow: ")
    assert "task" in said[1]
    assert said[2].startswith("NotAllowedInWorkflow: ")


async def test_workflow_code_that_computes_for_a_second_is_reported_with_its_stack(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reported = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "computes without an await" in record.getMessage():
                reported.set()

    loop = asyncio.get_running_loop()
    assert isinstance(loop, testing.VirtualLoop)

    def count_the_stars() -> bool:
        for _ in range(1_000):
            if reported.wait(0.05):
                return True
            loop.jump(0.5)
        return False

    @workflow("astronomer").version("1")
    async def astronomer_v1(run: Run) -> bool:
        await run.sleep("until dark", hours=8)
        return count_the_stars()

    listener = Listener()
    logging.getLogger("aiki.worker").addHandler(listener)
    try:
        async with testing.local(workflows=[astronomer_v1]) as env:
            handle = await astronomer_v1.start(env)
            assert await handle.result() is True
    finally:
        logging.getLogger("aiki.worker").removeHandler(listener)

    (told,) = [record for record in caplog.records if "computes without an await" in record.getMessage()]
    assert vars(told)["run_id"] == handle.id
    assert "in count_the_stars" in told.getMessage()
    assert "aiki/worker/execution.py" not in told.getMessage()
    assert [thread.name for thread in threading.enumerate() if thread.name == "aiki-watchdog"] == []


async def test_workflow_code_that_calls_exit_fails_its_run_and_no_other() -> None:
    async def leave() -> None:
        sys.exit("enough")

    @workflow("leaving").version("1")
    async def leaving_v1(run: Run, *, inside: bool) -> None:
        if inside:
            await asyncio.create_task(leave())
        await leave()

    @workflow("staying").version("1")
    async def staying_v1(run: Run) -> str:
        await run.sleep("a while", 60)
        return "still here"

    async with testing.local(workflows=[leaving_v1, staying_v1]) as env:
        staying = await staying_v1.start(env)
        for inside in (True, False):
            with pytest.raises(aiki.RunFailed, match="SystemExit: enough"):
                await (await leaving_v1.start(env, inside=inside)).result()
        assert await staying.result() == "still here"


async def test_a_divergence_by_time_or_chance_is_guessed() -> None:
    @task
    async def use(value: str) -> str:
        return value

    def clocked(make: Any) -> aiki.Version[[], str, Any]:
        @workflow("careless").version("1")
        async def careless_v1(run: Run) -> str:
            value = await use.start(run, make())
            await run.sleep("night", days=1)
            return value

        return careless_v1

    for make, advice in (
        (lambda: str(datetime.now(UTC)), "run.now()"),
        (lambda: str(random.random()), "run.random"),
    ):
        version = clocked(make)
        async with testing.local(workflows=[version], max_parked_runs=0) as env:
            handle = await version.start(env)
            await env.advance(days=2)
            info = await handle.info()
        assert info.status == "stalled"
        assert info.why is not None
        assert advice in info.why
