"""Failures: whatever was raised can be stored, and comes back as the same error."""

import asyncio

import msgspec
import pytest
from msgspec import Raw

from aiki.errors import (
    AikiError,
    NonRetryable,
    ReferenceConflict,
    RunCancelled,
    RunFailed,
    RunNotFound,
    TaskFailed,
)
from aiki.model import payload
from aiki.model.journal import Failure
from aiki.model.lifecycle import Status
from aiki.model.wire import Problem
from aiki.sdk.failures import (
    FAILURE_BYTES_MAX,
    entry_of,
    error_of_end,
    error_of_problem,
    failure_of,
    mark_entry,
    refusal_of,
    task_failed,
)


class Declined(ValueError):
    pass


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:  # noqa: BLE001 - to give it a traceback
        return caught


def test_an_error_becomes_data() -> None:
    failure = failure_of(raised(Declined("no funds"), KeyError("card")))

    assert failure.type == f"{__name__}.Declined"
    assert failure.message == "no funds"
    assert failure.lineage[:2] == (f"{__name__}.Declined", "builtins.ValueError")
    assert failure.traceback is not None
    assert "test_failures.py" in failure.traceback
    assert failure.cause is not None
    assert failure.cause.type == "builtins.KeyError"


def test_an_error_of_the_platform_keeps_its_code_and_details() -> None:
    failure = failure_of(NonRetryable("no", details={"limit": 5}))

    assert failure.code == "non_retryable"
    assert bytes(failure.details) == b'{"limit":5}'


@pytest.mark.parametrize(
    "error",
    [
        Declined("x" * 100_000),
        Declined("\0 and \ud800"),
        Mute(),
        NonRetryable("no", details=object()),
        NonRetryable("no", details="y" * 100_000),
        NonRetryable("\\" * 100_000, details="\\" * 3_000),
        RecursionError("deep"),
        ExceptionGroup("many", [ValueError("ü" * 5_000) for _ in range(100)]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_is_raised_can_be_stored_within_its_bounds(error: Exception) -> None:
    chained = raised(error)
    for _ in range(10):
        chained = raised(Declined("z" * 5_000), chained)
    for found in (error, chained):
        stored = msgspec.json.encode(failure_of(found))
        assert len(stored) <= FAILURE_BYTES_MAX
        payload.check(stored, limit_bytes=FAILURE_BYTES_MAX, what="a failure")


def test_a_deep_recursion_is_told_in_short() -> None:
    def deeper() -> None:
        deeper()

    with pytest.raises(RecursionError) as caught:
        deeper()
    failure = failure_of(caught.value)
    assert failure.traceback is not None
    assert len(failure.traceback) <= 4_000


def test_a_failed_task_tells_of_its_last_attempt() -> None:
    failure = failure_of(raised(NonRetryable("no funds", details={"limit": 5})))
    error = task_failed(failure, task="charge-card", attempts=3)

    assert str(error) == "task charge-card failed after 3 attempts: NonRetryable: no funds"
    assert (error.task, error.attempts, error.message) == ("charge-card", 3, "no funds")
    assert (error.error_type, error.details) == ("aiki.errors.NonRetryable", {"limit": 5})
    assert error.traceback == failure.traceback
    assert error.is_type(NonRetryable)
    assert error.is_type(AikiError)
    assert not error.is_type(ValueError)


def test_a_run_that_failed_of_a_task_tells_the_tasks_error_as_its_cause() -> None:
    of_task = failure_of(raised(Declined("no funds")))
    of_run = failure_of(raised(task_failed(of_task, task="charge-card", attempts=1)))

    assert of_run.type == "aiki.errors.TaskFailed"
    assert of_run.cause == of_task


def test_the_end_of_a_run_becomes_an_error() -> None:
    failure = Failure(type="shop.Declined", message="no funds", details=Raw(b"5"), traceback="...")
    failed = error_of_end("r-1", Status.FAILED, failure=failure)
    cancelled = error_of_end("r-1", Status.CANCELLED, failure=None, reason="too late")

    assert isinstance(failed, RunFailed)
    assert str(failed) == "run r-1 failed: Declined: no funds"
    assert (failed.run_id, failed.error_type, failed.details, failed.traceback) == ("r-1", "shop.Declined", 5, "...")
    assert isinstance(cancelled, RunCancelled)
    assert (str(cancelled), cancelled.reason) == ("run r-1 was cancelled: too late", "too late")


def test_a_refusal_is_raised_as_the_class_that_its_code_names() -> None:
    problem = error_of_problem(Problem("reference_conflict", "taken", {"reference_id": "a", "run_id": "r-1"}))
    refusal = refusal_of(Failure(type="", message="gone", code="run_not_found", details=Raw(b'{"run_id":"r-2"}')))
    unknown = error_of_problem(Problem("of_tomorrow", "new"))

    assert isinstance(problem, ReferenceConflict)
    assert (str(problem), problem.reference_id, problem.run_id) == ("taken", "a", "r-1")
    assert isinstance(refusal, RunNotFound)
    assert refusal.facts == {"run_id": "r-2"}
    assert type(unknown) is AikiError


def test_the_entry_of_an_escaped_error_is_found_along_the_chain() -> None:
    def failed(seq: int) -> TaskFailed:
        error = task_failed(Failure(type="a.B", message=""), task="t", attempts=1)
        mark_entry(error, seq)
        return error

    assert entry_of(failed(3)) == 3
    assert entry_of(raised(Declined("no"), failed(4))) == 4

    def decline() -> None:
        try:
            raise failed(5)
        except TaskFailed:
            raise Declined("no")  # noqa: B904 - the context alone is to be followed

    with pytest.raises(Declined) as caught:
        decline()
    assert entry_of(caught.value) == 5
    group = BaseExceptionGroup("g", [ValueError(), raised(Declined(), failed(6)), failed(7)])
    assert entry_of(group) == 6
    assert entry_of(ValueError()) is None


async def test_the_entry_is_found_through_a_task_group() -> None:
    async def fail() -> None:
        error = task_failed(Failure(type="a.B", message=""), task="t", attempts=1)
        mark_entry(error, 9)
        raise error

    with pytest.raises(ExceptionGroup) as raised_group:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
    assert entry_of(raised_group.value) == 9
