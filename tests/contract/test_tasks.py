"""What 1-api.md says of tasks, as far as no other test holds it (`rows.py` names those)."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest

import aiki
from aiki import NonRetryable, Retry, RetryAfter, Run, TaskFailed, current_task, task, testing, workflow

PARKED = pytest.mark.parametrize("parked", [0, 1000], ids=["replayed", "kept"])


async def test_a_task_takes_any_positional_and_keyword_arguments() -> None:
    @task
    async def described(first: int, /, second: int, *more: int, flag: bool = False, **named: int) -> list[Any]:
        return [first, second, list(more), flag, named]

    @workflow("calls").version("1")
    async def calls_v1(run: Run) -> list[Any]:
        return await described.start(run, 1, 2, 3, 4, flag=True, five=5)

    async with testing.local(workflows=[calls_v1]) as env:
        assert await (await calls_v1.start(env)).result() == [1, 2, [3, 4], True, {"five": 5}]


async def test_a_task_of_another_name_and_one_named_after_its_function() -> None:
    @task
    async def send_the_mail() -> None: ...

    @task(name="other")
    async def another() -> None: ...

    assert (send_the_mail.name, another.name) == ("send-the-mail", "other")


@pytest.mark.parametrize("delay", [90, timedelta(seconds=90)], ids=["seconds", "timedelta"])
async def test_retry_after_is_no_sooner_than_what_it_says_in_seconds_or_as_a_timedelta(delay: Any) -> None:
    begun: list[float] = []

    @task(retry=Retry.fixed(2, 1.0))
    async def limited() -> str:
        begun.append(asyncio.get_running_loop().time())
        if len(begun) == 1:
            raise RetryAfter(delay)
        return "done"

    @workflow("waits").version("1")
    async def waits_v1(run: Run) -> str:
        return await limited.start(run)

    async with testing.local(workflows=[waits_v1]) as env:
        assert await (await waits_v1.start(env)).result() == "done"
    assert begun[1] - begun[0] == pytest.approx(90, abs=0.5)


@PARKED
async def test_a_task_that_is_not_retryable_is_tried_once_and_its_details_reach_the_workflow(parked: int) -> None:
    tries: list[int] = []

    @task(retry=Retry.fixed(5, 1.0))
    async def declined() -> None:
        tries.append(current_task().attempt)
        raise NonRetryable("card declined", details={"code": 51})

    @workflow("pays").version("1")
    async def pays_v1(run: Run) -> list[Any]:
        told: list[Any] = []
        try:
            await declined.start(run)
        except TaskFailed as failed:
            told = [failed.task, failed.message, failed.details, failed.attempts, failed.is_type(NonRetryable)]
        await run.sleep("night", days=1)
        return told

    async with testing.local(workflows=[pays_v1], max_parked_runs=parked) as env:
        assert await (await pays_v1.start(env)).result() == ["declined", "card declined", {"code": 51}, 1, True]
    assert tries == [1]


@PARKED
async def test_a_failed_task_tells_all_of_its_last_attempt_the_same_on_replay(parked: int) -> None:
    @task(retry=Retry.fixed(3, 5.0))
    async def breaks(value: int) -> None:
        raise ValueError(f"{value} in attempt {current_task().attempt}")

    @workflow("breaking").version("1")
    async def breaking_v1(run: Run) -> list[Any]:
        try:
            await breaks.start(run, 7)
        except TaskFailed as failed:
            error = failed
        else:
            raise AssertionError
        await run.sleep("night", days=1)
        assert "raise ValueError" in str(error.traceback)
        return [
            error.task,
            error.error_type,
            error.message,
            error.attempts,
            error.is_type(ValueError),
            error.is_type(KeyError),
        ]

    async with testing.local(workflows=[breaking_v1], max_parked_runs=parked) as env:
        result = await (await breaking_v1.start(env)).result()
    assert result == ["breaks", "builtins.ValueError", "7 in attempt 3", 3, True, False]


@pytest.mark.parametrize(
    ("options", "error", "tries"),
    [
        ({"retry_on": (KeyError,)}, KeyError("k"), 3),
        ({"retry_on": (KeyError,)}, ValueError("v"), 1),
        ({"retry_on": LookupError}, KeyError("k"), 3),
        ({"dont_retry_on": (ValueError,)}, ValueError("v"), 1),
        ({"dont_retry_on": (ValueError,)}, KeyError("k"), 3),
        ({"retry_on": (Exception,), "dont_retry_on": (LookupError,)}, KeyError("k"), 1),
    ],
)
async def test_which_errors_are_retried_is_said_by_their_classes(options: Any, error: Exception, tries: int) -> None:
    made: list[int] = []

    @task(retry=Retry.fixed(3, 1.0), **options)
    async def fails() -> None:
        made.append(1)
        raise error

    @workflow("failing").version("1")
    async def failing_v1(run: Run) -> None:
        await fails.start(run)

    async with testing.local(workflows=[failing_v1]) as env:
        ended = await (await failing_v1.start(env)).wait_for_status("completed")
    assert (ended.status, len(made)) == ("failed", tries)


async def test_a_copy_with_other_options_is_retried_as_it_says_and_the_original_is_unchanged() -> None:
    made: list[int] = []

    @task
    async def fails() -> None:
        made.append(current_task().attempt)
        raise ValueError("no")

    @workflow("failing").version("1")
    async def failing_v1(run: Run) -> None:
        await asyncio.gather(
            fails.options(retry=Retry.fixed(3, 1.0), timeout=5).start(run), fails.start(run), return_exceptions=True
        )

    async with testing.local(workflows=[failing_v1]) as env:
        await (await failing_v1.start(env)).result()
    assert sorted(made) == [1, 1, 2, 3]


async def test_the_current_task_tells_what_it_is_and_its_key_is_stable_within_an_attempt_of_the_run() -> None:
    seen: list[aiki.TaskContext] = []

    @task(retry=Retry.fixed(2, 3.0))
    async def asked(name: str) -> None:
        here = current_task()
        seen.append(here)
        here.logger.info("attempt")
        if here.attempt == 1:
            raise ValueError("again")

    @workflow("asking").version("1", retry=Retry.fixed(2, 1.0))
    async def asking_v1(run: Run) -> None:
        await asked.start(run, "a")
        await asked.start(run, "b")
        if run.attempt == 1:
            await run.sleep("then", seconds=1)
            failing = asked.options(retry=Retry.never())
            await failing.start(run, "c")

    async with testing.local(workflows=[asking_v1], name="here") as env:
        handle = await asking_v1.start(env)
        await handle.result()
    first, second, third, fourth, failed = seen[:5]
    assert {here.run_id for here in seen} == {handle.id}
    assert {here.name for here in seen} == {"asked"}
    assert [here.attempt for here in seen[:5]] == [1, 2, 1, 2, 1]
    assert first.idempotency_key == second.idempotency_key
    assert len({first.idempotency_key, third.idempotency_key, failed.idempotency_key}) == 3
    assert third.idempotency_key == fourth.idempotency_key
    assert isinstance(first.client, aiki.Client)


async def test_the_key_of_a_task_is_new_in_each_attempt_of_the_run() -> None:
    keys: list[str] = []

    @task
    async def flaky() -> None:
        keys.append(current_task().idempotency_key)
        if len(keys) == 1:
            raise ValueError("once")

    @workflow("twice").version("1", retry=Retry.fixed(2, 1.0))
    async def twice_v1(run: Run) -> None:
        await flaky.start(run)

    async with testing.local(workflows=[twice_v1]) as env:
        await (await twice_v1.start(env)).result()
    assert len(set(keys)) == len(keys) == 2


async def test_a_terminated_run_cancels_its_async_task_and_lets_a_thread_end_unheard() -> None:
    told: list[str] = []

    @task
    async def patient() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    @workflow("ended").version("1")
    async def ended_v1(run: Run) -> None:
        await patient.start(run)

    async with testing.local(workflows=[ended_v1]) as env:
        handle = await ended_v1.start(env)
        await env.advance(minutes=1)
        await handle.terminate("enough")
        await env.advance(minutes=1)
        assert (await handle.info()).status == "cancelled"
    assert told == ["cancelled"]


async def test_progress_is_reported_from_async_tasks_and_from_threads_and_is_any_json() -> None:
    @task
    async def reports() -> None:
        current_task().heartbeat({"done": 1, "of": 2})
        current_task().heartbeat()

    @task
    def reports_in_a_thread() -> None:
        current_task().heartbeat([1, "of", None])

    @task
    async def reports_what_cannot_be() -> None:
        current_task().heartbeat(cast(Any, object()))

    @workflow("reporting").version("1")
    async def reporting_v1(run: Run) -> str:
        await reports.start(run)
        await reports_in_a_thread.start(run)
        try:
            await reports_what_cannot_be.start(run)
        except TaskFailed as failed:
            return str(failed.error_type)
        return "none"

    async with testing.local(workflows=[reporting_v1]) as env:
        assert await (await reporting_v1.start(env)).result() == "aiki.errors.NotSerializable"


@PARKED
async def test_what_a_task_does_to_its_arguments_and_a_caller_to_a_result_is_seen_by_nobody_else(parked: int) -> None:
    @task
    async def takes(items: list[int]) -> list[int]:
        items.append(99)
        return items

    @workflow("copies").version("1")
    async def copies_v1(run: Run) -> list[list[int]]:
        given = [1]
        first = await takes.start(run, given)
        first.append(7)
        second = await takes.start(run, given)
        await run.sleep("night", days=1)
        return [given, first, second]

    async with testing.local(workflows=[copies_v1], max_parked_runs=parked) as env:
        assert await (await copies_v1.start(env)).result() == [[1], [1, 99, 7], [1, 99]]


@pytest.mark.parametrize("base_delay", [0.0, 0.001, 1.0, 3600.0, timedelta(days=30)])
@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
async def test_a_policy_with_jitter_works_for_every_delay(base_delay: Any, jitter: float) -> None:
    tries: list[int] = []

    @task(retry=Retry.jittered(3, base_delay, jitter=jitter))
    async def fails() -> None:
        tries.append(1)
        raise ValueError("no")

    @workflow("jittered").version("1")
    async def jittered_v1(run: Run) -> None:
        await fails.start(run)

    async with testing.local(workflows=[jittered_v1], seed=7) as env:
        ended = await (await jittered_v1.start(env)).wait_for_status("completed")
    assert (ended.status, len(tries)) == ("failed", 3)


async def test_a_crash_inside_a_task_without_a_policy_executes_it_again(tmp_path: Any) -> None:
    begun: list[int] = []

    @task
    async def long() -> str:
        begun.append(current_task().attempt)
        await asyncio.sleep(60 if len(begun) == 1 else 0)
        return "done"

    @workflow("lost").version("1")
    async def lost_v1(run: Run) -> str:
        return await long.start(run)

    async with testing.local(workflows=[lost_v1], database=tmp_path / "a.db", shutdown_grace=0.1) as env:
        run_id = (await lost_v1.start(env)).id
        await env.advance(seconds=1)
    async with testing.local(workflows=[lost_v1], database=tmp_path / "a.db") as env:
        assert await lost_v1.handle(env, run_id).result() == "done"
    assert begun == [1, 1]
