"""An attempt sees decoded copies and leaves an encoded one; whatever goes wrong is data that names type and path."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from aiki.errors import TaskFailed
from aiki.model.retry import Retry
from aiki.model.wire import Outcome
from aiki.sdk.current import current_task
from aiki.sdk.run import Run
from aiki.sdk.task import task
from aiki.worker.attempts import THREADS_MAX
from tests.virtual import virtual_loop, virtually
from tests.worker.claim import Claim
from tests.worker.shop import Signals

THREE_TIMES = Retry.fixed(3, 0.1)


def nested(depth: int) -> Any:
    found: Any = 0
    for _ in range(depth):
        found = [found]
    return found


class Unserializable:
    """What no JSON can say."""


@virtually
@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"name": "nul\0"}, ["nul", "$.name"]),
        ({"rate": float("nan")}, ["nan", "$.rate"]),
        ({"rates": [1.0, float("inf")]}, ["inf", "$.rates[1]"]),
        ({"name": "half \ud83d"}, ["surrogate", "$.name"]),
        (nested(10_000), ["levels"]),
        ({"text": "x" * (3 * 1024 * 1024)}, ["3,145,", "limit"]),
        ({"found": [Unserializable()]}, ["Unserializable", "$.found[0]"]),
    ],
    ids=["NUL", "NaN", "infinity", "lone surrogate", "depth 10,000", "3 MiB", "an object"],
)
async def test_a_result_that_cannot_be_stored_fails_its_task_without_retry(value: Any, says: list[str]) -> None:
    attempts: list[int] = []

    @task(retry=THREE_TIMES)
    async def makes() -> Any:
        attempts.append(current_task().attempt)
        return value

    seen: list[TaskFailed] = []

    async def code(run: Run[Signals]) -> str:
        try:
            await makes.start(run)
        except TaskFailed as error:
            seen.append(error)
        return "all else goes on"

    commit = await Claim(code).play()

    assert attempts == [1]
    assert commit.outcome is Outcome.COMPLETED
    message = str(seen[0])
    assert all(word.lower() in message.lower() for word in says), message
    assert "task makes" in message


@virtually
@pytest.mark.parametrize("value", [{"name": "nul\0"}, float("nan"), "half \ud83d", nested(10_000), Unserializable()])
async def test_an_argument_that_cannot_be_stored_fails_at_the_call(value: Any) -> None:
    @task
    async def takes(argument: Any) -> None: ...

    async def code(run: Run[Signals]) -> None:
        await takes.start(run, value)

    commit = await Claim(code).play()

    assert commit.outcome is Outcome.FAILED
    assert commit.error is not None
    assert commit.error.message.startswith("$.argument")


@virtually
async def test_a_result_that_does_not_fit_its_annotation_fails_without_retry() -> None:
    @dataclass
    class Answer:
        number: int

    attempts: list[int] = []

    @task(retry=THREE_TIMES)
    async def lies() -> Answer:
        attempts.append(1)
        return Answer(number="many")  # type: ignore[arg-type]  # as untyped code may

    async def code(run: Run[Signals]) -> str:
        try:
            await lies.start(run)
        except TaskFailed as error:
            return error.error_type
        return "never"

    commit = await Claim(code).play()

    assert attempts == [1]
    assert bytes(commit.output) in (b'"aiki.errors.InvalidInput"', b'"aiki.errors.NotSerializable"')


@virtually
async def test_a_timeout_cancels_an_async_attempt_and_the_next_one_begins() -> None:
    seen: list[str] = []

    @task(timeout=30, retry=THREE_TIMES)
    async def slow() -> str:
        attempt = current_task().attempt
        try:
            await asyncio.sleep(100 if attempt == 1 else 1)
        except asyncio.CancelledError:
            seen.append(f"attempt {attempt} cancelled")
            raise
        return f"attempt {attempt}"

    async def code(run: Run[Signals]) -> str:
        return await slow.start(run)

    claim = Claim(code)
    commit = await claim.play()

    assert seen == ["attempt 1 cancelled"]
    assert bytes(commit.output) == b'"attempt 2"'
    error = claim.commits[0].opened[0].error
    assert error is not None
    assert (error.code, error.message) == (
        "timed_out",
        "an attempt of task slow took longer than its timeout of 30 s",
    )


@virtually
async def test_a_timeout_of_the_tasks_own_is_its_own_error() -> None:
    @task(timeout=30)
    async def slow() -> None:
        async with asyncio.timeout(1):
            await asyncio.sleep(100)

    async def code(run: Run[Signals]) -> str:
        try:
            await slow.start(run)
        except TaskFailed as error:
            return error.error_type
        return "never"

    assert bytes((await Claim(code).play()).output) == b'"builtins.TimeoutError"'


@virtually
async def test_a_def_task_runs_in_a_thread_with_its_own_context() -> None:
    threads: list[str] = []

    @task
    def in_a_thread(value: str) -> str:
        threads.append(threading.current_thread().name)
        return f"{value} in attempt {current_task().attempt} with {current_task().context}"

    async def code(run: Run[Signals]) -> str:
        return await in_a_thread.start(run, "done")

    commit = await Claim(code).play()

    assert bytes(commit.output) == b'"done in attempt 1 with the context"'
    assert threads[0].startswith("aiki-task")


@virtually
@pytest.mark.parametrize("error", [SystemExit(3), StopIteration("no"), KeyError("no"), asyncio.CancelledError()])
async def test_whatever_a_def_task_raises_is_data(error: BaseException) -> None:
    @task
    def fails() -> None:
        raise error

    async def code(run: Run[Signals]) -> str:
        try:
            await fails.start(run)
        except TaskFailed as failed:
            return failed.error_type
        return "never"

    commit = await Claim(code).play()

    expected = "builtins.RuntimeError" if isinstance(error, StopIteration) else None
    kind = type(error)
    assert bytes(commit.output).decode() == f'"{expected or f"{kind.__module__}.{kind.__qualname__}"}"'


@virtually
async def test_the_time_of_a_def_attempt_counts_from_when_it_has_a_thread() -> None:
    go_on = threading.Event()
    begun: list[int] = []

    @task
    def holds(number: int) -> None:
        begun.append(number)
        assert go_on.wait(60)

    @task(timeout=5)
    def quick() -> str:
        return "in time"

    async def code(run: Run[Signals]) -> str:
        holders = [asyncio.create_task(holds.start(run, number)) for number in range(THREADS_MAX)]
        result = await quick.start(run)
        await asyncio.gather(*holders)
        return result

    claim = Claim(code)
    claim.execution.begin()
    while len(begun) < THREADS_MAX:
        await asyncio.sleep(0)
    virtual_loop().jump(100)
    await asyncio.sleep(0)
    go_on.set()
    commit = await claim.end()

    assert len(begun) == THREADS_MAX
    assert bytes(commit.output) == b'"in time"'


@virtually
async def test_what_stands_around_a_task_is_entered_for_each_attempt() -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def around() -> AsyncIterator[None]:
        seen.append(f"enters attempt {current_task().attempt}")
        try:
            yield
        finally:
            seen.append("leaves")

    @task(retry=THREE_TIMES)
    async def fails_once() -> None:
        seen.append("runs")
        if current_task().attempt == 1:
            raise ValueError("not yet")

    async def code(run: Run[Signals]) -> None:
        await fails_once.start(run)

    commit = await Claim(code, around_task=around).play()

    assert commit.outcome is Outcome.COMPLETED
    assert seen == ["enters attempt 1", "runs", "leaves", "enters attempt 2", "runs", "leaves"]


@virtually
async def test_the_idempotency_key_is_that_of_the_call_across_attempts_and_workers() -> None:
    keys: list[str] = []

    @task(retry=Retry.fixed(3, 60))
    async def pays(order: str) -> None:
        keys.append(current_task().idempotency_key)
        if len(keys) < 3:
            raise ValueError("not yet")

    async def code(run: Run[Signals]) -> None:
        await pays.start(run, "one")
        await pays.start(run, "one")
        await pays.start(run, "two")

    claim = Claim(code)
    await claim.play()
    while not claim.is_over:
        await asyncio.sleep(60)
        claim.claimed_again(parked=False)
        claim.execution.begin()
        await claim.end()

    assert len(keys) == 5
    assert len(set(keys[:3])) == 1
    assert len(set(keys)) == 3
