"""What failed is tried again, as its policy says: tasks and whole runs, on the whole platform."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import aiki
from aiki import NonRetryable, Retry, RetryAfter, Run, TaskFailed, TimedOut, current_task, task, testing, workflow


class Broken(LookupError):
    """What the tasks of these tests raise."""


class Times:
    """The moments, in virtual seconds, at which something was executed, and the idempotency keys that it saw."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.attempts: list[int] = []
        self.keys: list[str] = []

    def note(self) -> int:
        """Note an execution, and return how many there were."""
        here = current_task()
        self.at.append(round(asyncio.get_running_loop().time(), 3))
        self.attempts.append(here.attempt)
        self.keys.append(here.idempotency_key)
        return len(self.at)

    @property
    def delays(self) -> list[float]:
        """The seconds between one execution and the next."""
        return [round(later - earlier, 3) for earlier, later in zip(self.at, self.at[1:], strict=False)]


def failing(times: Times, *, retry: Retry, succeeds_at: int = 1_000) -> aiki.Version[[], str, Any]:
    """Return a workflow of one task that fails until its execution number `succeeds_at`."""

    @task(retry=retry)
    async def try_it() -> str:
        if times.note() < succeeds_at:
            raise Broken("not yet")
        return "done"

    @workflow("failing").version("1")
    async def failing_v1(run: Run) -> str:
        return await try_it.start(run)

    return failing_v1


# ------------------------------------------------------------------------------------------------------- policies


async def test_a_task_without_a_policy_is_tried_once() -> None:
    times = Times()
    failing_v1 = failing(times, retry=Retry.never())
    async with testing.local(workflows=[failing_v1]) as env:
        handle = await failing_v1.start(env)
        ended = await handle.wait_for_status("failed")

    assert ended
    assert len(times.at) == 1
    assert "failed after 1 attempt: Broken: not yet" in str(ended.error)


async def test_short_and_long_delays_are_waited_for_exactly() -> None:
    times = Times()
    failing_v1 = failing(times, retry=Retry.exponential(max_attempts=6, base_delay=0.25, factor=4, max_delay=30))
    async with testing.local(workflows=[failing_v1]) as env:
        handle = await failing_v1.start(env)
        await handle.wait_for_status("failed")

    assert times.delays == [0.25, 1.0, 4.0, 16.0, 30.0]
    assert times.attempts == [1, 2, 3, 4, 5, 6]
    assert len(set(times.keys)) == 1


async def test_a_fixed_delay_stays_the_same_until_an_attempt_succeeds() -> None:
    times = Times()
    failing_v1 = failing(times, retry=Retry.fixed(10, timedelta(minutes=1)), succeeds_at=4)
    async with testing.local(workflows=[failing_v1]) as env:
        handle = await failing_v1.start(env)
        assert await handle.result() == "done"

    assert times.delays == [60.0, 60.0, 60.0]


async def test_jittered_delays_differ_between_runs_and_stay_within_their_bounds() -> None:
    times = Times()
    retry = Retry.jittered(max_attempts=2, base_delay=100, jitter=0.5)
    failing_v1 = failing(times, retry=retry)
    async with testing.local(workflows=[failing_v1]) as env:
        handles = [await failing_v1.start(env) for _ in range(20)]
        for handle in handles:
            await handle.wait_for_status("failed")

    second = times.at[20:]
    assert all(50 <= at <= 100.1 for at in second)
    assert len(set(second)) > 10


async def test_a_run_between_two_attempts_of_a_task_says_so() -> None:
    times = Times()
    failing_v1 = failing(times, retry=Retry.fixed(5, delay=3600))
    async with testing.local(workflows=[failing_v1]) as env:
        handle = await failing_v1.start(env)
        await env.advance(hours=1, minutes=30)
        info = await handle.info()

    assert info.status == "awaiting_retry"
    (wait,) = info.waits
    assert (wait.kind, wait.attempt) == ("task", 2)
    assert wait.error is not None
    assert wait.error.message == "not yet"
    assert wait.deadline == info.created_at + timedelta(hours=2)


@pytest.mark.parametrize("parked", [0, 1000])
async def test_attempts_are_counted_on_across_a_restart(tmp_path: Path, parked: int) -> None:
    times = Times()
    failing_v1 = failing(times, retry=Retry.fixed(5, delay=600), succeeds_at=4)
    async with testing.local(workflows=[failing_v1], database=tmp_path / "a.db", max_parked_runs=parked) as env:
        handle = await failing_v1.start(env)
        await env.advance(minutes=5)
        assert times.attempts == [1]
    async with testing.local(workflows=[failing_v1], database=tmp_path / "a.db", max_parked_runs=parked) as env:
        await env.advance(minutes=5)
        assert times.attempts == [1, 2]
    async with testing.local(workflows=[failing_v1], database=tmp_path / "a.db", max_parked_runs=parked) as env:
        assert await failing_v1.handle(env, handle.id).result() == "done"

    assert times.attempts == [1, 2, 3, 4]
    assert times.at == [0.0, 600.0, 1200.0, 1800.0]
    assert len(set(times.keys)) == 1


# ------------------------------------------------------------------------------------------ what a task says itself


async def test_retry_after_is_no_sooner_than_asked_nor_than_the_policy() -> None:
    times = Times()
    asked: Iterator[float | timedelta] = iter([120, timedelta(seconds=1)])

    @task(retry=Retry.fixed(3, delay=10))
    async def busy() -> str:
        if times.note() < 3:
            raise RetryAfter(next(asked))
        return "done"

    @workflow("busy").version("1")
    async def busy_v1(run: Run) -> str:
        return await busy.start(run)

    async with testing.local(workflows=[busy_v1]) as env:
        assert await (await busy_v1.start(env)).result() == "done"

    assert times.delays == [120.0, 10.0]


async def test_a_task_that_is_not_to_be_retried_brings_its_details_to_the_workflow() -> None:
    times = Times()

    @task(retry=Retry.fixed(5, delay=1))
    async def refuse() -> None:
        times.note()
        raise NonRetryable("the card is stolen", details={"card": [4, 2]})

    @workflow("refusing").version("1")
    async def refusing_v1(run: Run) -> dict[str, Any]:
        try:
            await refuse.start(run)
        except TaskFailed as error:
            return {"message": error.message, "details": error.details, "attempts": error.attempts}
        return {}

    async with testing.local(workflows=[refusing_v1]) as env:
        result = await (await refusing_v1.start(env)).result()

    assert result == {"message": "the card is stolen", "details": {"card": [4, 2]}, "attempts": 1}
    assert len(times.at) == 1


@pytest.mark.parametrize(
    ("options", "executions"),
    [
        ({}, 3),
        ({"retry_on": LookupError}, 3),
        ({"retry_on": (OSError, Broken)}, 3),
        ({"retry_on": OSError}, 1),
        ({"dont_retry_on": LookupError}, 1),
        ({"dont_retry_on": OSError}, 3),
        ({"retry_on": LookupError, "dont_retry_on": Broken}, 1),
    ],
)
async def test_errors_are_retried_by_their_class(options: dict[str, Any], executions: int) -> None:
    times = Times()

    @task(retry=Retry.fixed(3, delay=0.01), **options)
    async def break_down() -> None:
        times.note()
        raise Broken

    @workflow("by-class").version("1")
    async def by_class_v1(run: Run) -> None:
        await break_down.start(run)

    async with testing.local(workflows=[by_class_v1]) as env:
        assert await (await by_class_v1.start(env)).wait_for_status("failed")

    assert len(times.at) == executions


async def test_an_attempt_of_an_async_task_is_cancelled_at_its_timeout_and_retried() -> None:
    times = Times()
    cancelled: list[int] = []

    @task(retry=Retry.fixed(2, delay=0), timeout=timedelta(seconds=30))
    async def hang() -> None:
        number = times.note()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    @workflow("hanging").version("1")
    async def hanging_v1(run: Run) -> str:
        try:
            await hang.start(run)
        except TaskFailed as error:
            return error.message if error.is_type(TimedOut) and error.is_type(TimeoutError) else ""
        return ""

    async with testing.local(workflows=[hanging_v1]) as env:
        said = await (await hanging_v1.start(env)).result()

    assert said == "an attempt of task hang took longer than its timeout of 30 s"
    assert times.delays == [30.0]
    assert cancelled == [1, 2]


def test_an_attempt_of_a_sync_task_is_given_up_at_its_timeout() -> None:
    given_up = threading.Event()
    ended = threading.Event()

    @task(timeout=0.05)
    def block() -> str:
        given_up.wait(60)
        ended.set()
        return "too late"

    @workflow("blocking").version("1")
    async def blocking_v1(run: Run) -> str:
        try:
            return await block.start(run)
        except TaskFailed as error:
            return f"{error.error_type} after {error.attempts}"

    async def main() -> str:
        async with aiki.local(":memory:", workflows=[blocking_v1]) as client:
            result = await (await blocking_v1.start(client)).result()
            assert not ended.is_set()
            given_up.set()
            return result

    assert asyncio.run(main()) == "aiki.errors.TimedOut after 1"
    assert ended.wait(60)


async def test_a_failed_task_tells_the_same_on_replay_as_the_first_time() -> None:
    seen: list[tuple[Any, ...]] = []

    class Deep(Broken):
        pass

    @task(retry=Retry.fixed(2, delay=0.01))
    async def explode(number: int) -> None:
        raise Deep(f"number {number}") from OSError("the cause")

    @workflow("exploding").version("1")
    async def exploding_v1(run: Run) -> None:
        try:
            await explode.start(run, 7)
        except TaskFailed as error:
            bases = (error.is_type(Deep), error.is_type(Broken), error.is_type(LookupError), error.is_type(OSError))
            seen.append(
                (
                    str(error),
                    error.message,
                    error.task,
                    error.error_type,
                    error.details,
                    error.attempts,
                    error.traceback,
                    bases,
                )
            )
        await run.sleep("a while", 60)

    async with testing.local(workflows=[exploding_v1], max_parked_runs=0) as env:
        await (await exploding_v1.start(env)).result()

    first, replayed = seen
    assert first == replayed
    assert first[0] == "task explode failed after 2 attempts: Deep: number 7"
    assert first[1:3] == ("number 7", "explode")
    assert first[5] == 2
    assert "raise Deep(" in first[6]
    assert first[7] == (True, True, True, False)


# ------------------------------------------------------------------------------------------------------ whole runs


async def test_a_run_is_tried_again_without_doing_again_what_succeeded() -> None:
    before, broken, after = Times(), Times(), Times()

    @task
    async def reserve() -> str:
        before.note()
        return "seat 7"

    @task
    async def charge(seat: str) -> str:
        if broken.note() < 3:
            raise Broken("the bank is away")
        return f"{seat} paid"

    @task
    async def print_ticket(paid: str) -> str:
        after.note()
        return f"ticket: {paid}"

    attempts: list[int] = []

    @workflow("ticket").version("1", retry=Retry.exponential(max_attempts=5, base_delay=60))
    async def ticket_v1(run: Run) -> str:
        attempts.append(run.attempt)
        seat = await reserve.start(run)
        return await print_ticket.start(run, await charge.start(run, seat))

    async with testing.local(workflows=[ticket_v1]) as env:
        handle = await ticket_v1.start(env)
        await env.advance(seconds=30)
        waiting = await handle.info()
        assert (waiting.status, waiting.attempt) == ("awaiting_retry", 2)
        assert waiting.why is not None
        assert "attempt 1 failed" in waiting.why
        assert await handle.result() == "ticket: seat 7 paid"
        assert (await handle.info()).attempt == 3

    assert attempts == [1, 2, 3]
    assert len(before.at) == 1
    assert broken.at == [0.0, 60.0, 180.0]
    assert broken.attempts == [1, 1, 1]
    assert len(set(broken.keys)) == 3
    assert len(after.at) == 1


async def test_a_run_without_attempts_left_fails_with_its_last_error() -> None:
    times = Times()

    @workflow("hopeless").version("1", retry=Retry.fixed(3, delay=10))
    async def hopeless_v1(run: Run) -> None:
        times.at.append(asyncio.get_running_loop().time())
        raise Broken(f"attempt {run.attempt}")

    async with testing.local(workflows=[hopeless_v1]) as env:
        handle = await hopeless_v1.start(env)
        with pytest.raises(aiki.RunFailed, match="attempt 3") as failed:
            await handle.result()

    assert failed.value.error_type == f"{__name__}.Broken"
    assert failed.value.run_id == handle.id


async def test_a_run_that_waits_for_its_next_attempt_goes_on_after_a_restart(tmp_path: Path) -> None:
    kept, broken = Times(), Times()

    @task
    async def once() -> None:
        kept.note()

    @task
    async def twice() -> None:
        if broken.note() < 2:
            raise Broken

    @workflow("restarted").version("1", retry=Retry.fixed(2, delay=600))
    async def restarted_v1(run: Run) -> int:
        await once.start(run)
        await twice.start(run)
        return run.attempt

    async with testing.local(workflows=[restarted_v1], database=tmp_path / "a.db") as env:
        handle = await restarted_v1.start(env)
        await env.advance(minutes=1)
    async with testing.local(workflows=[restarted_v1], database=tmp_path / "a.db") as env:
        assert await restarted_v1.handle(env, handle.id).result() == 2

    assert (len(kept.at), len(broken.at)) == (1, 2)


async def test_a_child_whose_failure_ended_its_parent_is_started_anew() -> None:
    started: list[str] = []

    @workflow("child").version("1")
    async def child_v1(run: Run) -> str:
        started.append(run.id)
        if len(started) < 2:
            raise Broken
        return "grown up"

    @workflow("parent").version("1", retry=Retry.fixed(2, delay=5))
    async def parent_v1(run: Run) -> str:
        return await (await child_v1.start_as_child(run)).result()

    async with testing.local(workflows=[parent_v1, child_v1]) as env:
        assert await (await parent_v1.start(env)).result() == "grown up"

    assert len(set(started)) == 2


async def test_an_event_that_a_failed_attempt_took_is_taken_again_by_the_next() -> None:
    class Go(aiki.Events):
        go: aiki.Event[int]

    tries: list[str] = []
    taken: list[int] = []

    @task
    async def attempt() -> None:
        tries.append("")
        if len(tries) < 2:
            raise Broken

    @workflow("eventful").version("1", events=Go, retry=Retry.fixed(2, delay=5))
    async def eventful_v1(run: Run[Go]) -> int:
        try:
            await attempt.start(run)
        finally:
            taken.append((await run.events.go.wait()).data)
        return taken[-1]

    async with testing.local(workflows=[eventful_v1]) as env:
        handle = await eventful_v1.start(env)
        await handle.events.go.send(42)
        assert await handle.result() == 42

    assert taken == [42, 42]
