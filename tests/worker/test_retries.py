"""What a claim makes of its attempts: tried again in place or later, cancelled, given up, and never by chance."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from aiki.errors import NonRetryable, RetryAfter, TaskFailed
from aiki.model.journal import Failure
from aiki.model.retry import Retry
from aiki.model.wire import Outcome
from aiki.sdk.current import current_task
from aiki.sdk.run import Run
from aiki.sdk.task import task
from tests.virtual import virtual_loop, virtually
from tests.worker.claim import Claim, log, outcomes, work
from tests.worker.shop import Signals


@pytest.fixture(autouse=True)
def empty_log() -> None:
    log.clear()


def failing(times: int, error: Callable[[], BaseException], **options: Any) -> Any:
    """Return a task that raises at its first attempts, and logs each with the seconds since the first."""

    @task(**options)
    async def fails() -> str:
        log.append(f"attempt {current_task().attempt} at {asyncio.get_running_loop().time():g}")
        if current_task().attempt <= times:
            raise error()
        return "done"

    return fails


@virtually
async def test_a_short_retry_delay_is_waited_for_in_place() -> None:
    fails = failing(2, lambda: ValueError("not yet"), retry=Retry.fixed(5, 1.0))

    async def code(run: Run[Signals]) -> str:
        return await fails.start(run)  # type: ignore[no-any-return]

    claim = Claim(code)
    commit = await claim.play()

    assert log == ["attempt 1 at 0", "attempt 2 at 1", "attempt 3 at 2"]
    assert "suspended" not in outcomes(claim)
    assert commit.outcome is Outcome.COMPLETED
    assert commit.entries[-1].attempts == 3
    assert [(tried.attempt, tried.error) for tried in commit.entries[-1].tries] == [
        (1, "ValueError: not yet"),
        (2, "ValueError: not yet"),
        (3, ""),
    ]
    recorded = claim.commits[0].opened[0]
    assert (recorded.attempt, recorded.error and recorded.error.message) == (1, "not yet")


@virtually
@pytest.mark.parametrize("parked", [True, False])
async def test_a_longer_retry_delay_becomes_a_wait_and_the_run_suspends(*, parked: bool) -> None:
    fails = failing(1, lambda: ValueError("not yet"), retry=Retry.fixed(5, 60.0))

    async def code(run: Run[Signals]) -> str:
        return await fails.start(run)  # type: ignore[no-any-return]

    claim = Claim(code)
    commit = await claim.play()
    assert (commit.outcome, commit.waits_for) == (Outcome.SUSPENDED, "task")
    assert commit.deadline_ms == claim.journal_start_ms() + 60_000
    (wait,) = claim.waits.values()
    assert isinstance(wait.error, Failure)
    assert (wait.attempt, wait.error.type) == (1, "builtins.ValueError")

    await asyncio.sleep(60)
    claim.claimed_again(parked=parked)
    if not parked:
        claim.execution.begin()
    commit = await claim.end()

    assert log[0] == "attempt 1 at 0"
    assert log[1].startswith("attempt 2 at 60")
    assert commit.outcome is Outcome.COMPLETED
    (entry,) = commit.entries
    first, second = entry.tries
    assert (entry.attempts, first.attempt, second.attempt) == (2, 1, 2)
    assert (first.error, second.error) == ("ValueError: not yet", "")
    assert entry.started_at_ms == first.started_at_ms == claim.journal_start_ms()
    assert entry.finished_at_ms == second.finished_at_ms


@virtually
async def test_of_many_attempts_the_first_and_the_last_ones_are_told() -> None:
    fails = failing(40, lambda: ValueError("x" * 1_000), retry=Retry.fixed(50, 1.0))

    async def code(run: Run[Signals]) -> str:
        return await fails.start(run)  # type: ignore[no-any-return]

    (entry,) = (await Claim(code).play()).entries

    assert entry.attempts == 41
    assert [tried.attempt for tried in entry.tries] == [1, *range(23, 42)]
    assert max(len(tried.error) for tried in entry.tries) == 300


@virtually
async def test_a_task_that_took_one_attempt_says_nothing_of_it_twice() -> None:
    fails = failing(0, ValueError)

    async def code(run: Run[Signals]) -> str:
        return await fails.start(run)  # type: ignore[no-any-return]

    (entry,) = (await Claim(code).play()).entries

    assert (entry.attempts, entry.tries) == (1, ())


@virtually
async def test_an_attempt_that_falls_due_while_a_suspension_is_under_way_does_not_begin() -> None:
    fails = failing(1, lambda: ValueError("not yet"), retry=Retry.fixed(5, 60.0))

    async def code(run: Run[Signals]) -> str:
        await asyncio.gather(fails.start(run), run.sleep("nap", 600))
        return "done"

    claim = Claim(code, answers_in_s=None)
    claim.execution.begin()
    await claim.next_change()
    await asyncio.sleep(100)
    claim.post("go", "for another")  # wakes whoever would look at the time
    await asyncio.sleep(1)
    assert log == ["attempt 1 at 0"]

    claim.answer()
    assert claim.is_parked
    await asyncio.sleep(100)
    assert log == ["attempt 1 at 0"]


@virtually
async def test_a_worker_that_dies_in_an_attempt_uses_none_up() -> None:
    fails = failing(1, lambda: ValueError("not yet"), retry=Retry.fixed(2, 60.0))

    async def code(run: Run[Signals]) -> str:
        return await fails.start(run)  # type: ignore[no-any-return]

    claim = Claim(code)
    await claim.play()
    await asyncio.sleep(60)
    for _ in range(3):
        claim.claimed_again(parked=False)
        claim.execution.begin()
        claim.execution.release()
    claim.claimed_again(parked=False)
    claim.execution.begin()
    commit = await claim.end()

    assert commit.outcome is Outcome.COMPLETED
    assert commit.entries[-1].attempts == 2


@virtually
@pytest.mark.parametrize(
    ("error", "options", "attempts"),
    [
        (ValueError, {}, 3),
        (lambda: NonRetryable("never", details={"why": 1}), {}, 1),
        (ValueError, {"retry_on": [KeyError]}, 1),
        (KeyError, {"retry_on": [LookupError]}, 3),
        (KeyError, {"dont_retry_on": [LookupError]}, 1),
        (ValueError, {"dont_retry_on": [LookupError]}, 3),
        (lambda: RetryAfter(0.5), {"retry_on": [KeyError]}, 3),
        (asyncio.CancelledError, {}, 3),
        (SystemExit, {}, 3),
        (lambda: BaseExceptionGroup("all", [GeneratorExit()]), {}, 3),
    ],
)
async def test_what_is_retried(error: Callable[[], BaseException], options: dict[str, Any], attempts: int) -> None:
    fails = failing(9, error, retry=Retry.fixed(3, 0.1), **options)
    seen: list[TaskFailed] = []

    async def code(run: Run[Signals]) -> None:
        try:
            await fails.start(run)
        except TaskFailed as failed:
            seen.append(failed)

    await Claim(code).play()

    assert len(log) == attempts
    assert [failed.attempts for failed in seen] == [attempts]
    if isinstance(raised := error(), NonRetryable):
        assert seen[0].details == raised.details


@virtually
async def test_retry_after_is_the_least_delay() -> None:
    fails = failing(2, lambda: RetryAfter(0.7), retry=Retry.exponential(5, base_delay=0.5))

    async def code(run: Run[Signals]) -> str:
        return await fails.start(run)  # type: ignore[no-any-return]

    await Claim(code).play()

    assert log == ["attempt 1 at 0", "attempt 2 at 0.7", "attempt 3 at 1.7"]


@virtually
async def test_a_cancelled_call_cancels_its_async_attempt() -> None:
    async def code(run: Run[Signals]) -> str:
        try:
            async with asyncio.timeout(10):
                await work.start(run, "slow", 3_600)
        except TimeoutError:
            return await work.start(run, "after")
        return "never"

    claim = Claim(code)
    commit = await claim.play()

    assert log == ["slow begins", "slow cancelled", "after begins", "after ends"]
    assert bytes(commit.output) == b'"after"'


@virtually
async def test_a_cancelled_call_lets_its_thread_run_on_and_drops_the_result() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    @task
    def in_a_thread() -> str:
        begun.set()
        assert go_on.wait(60)
        log.append("thread ends")
        done.set()
        return "too late"

    async def code(run: Run[Signals]) -> str:
        try:
            async with asyncio.timeout(10):
                return await in_a_thread.start(run)
        except TimeoutError:
            return "gave up"

    claim = Claim(code)
    claim.execution.begin()
    while not begun.is_set():
        await asyncio.sleep(0)
    virtual_loop().jump(10)  # time stands still while a thread is at work
    commit = await claim.end()
    go_on.set()
    assert done.wait(60)
    await asyncio.sleep(1)

    assert bytes(commit.output) == b'"gave up"'
    assert log == ["thread ends"]
    assert [entry.key.kind for entry in claim.journal] == ["timer"]


@virtually
async def test_an_attempt_that_cancels_itself_has_failed() -> None:
    @task
    async def leaves() -> None:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()
        await asyncio.sleep(1)

    async def code(run: Run[Signals]) -> str:
        try:
            await leaves.start(run)
        except TaskFailed as error:
            return error.error_type
        return "never"

    commit = await Claim(code).play()

    assert bytes(commit.output) == b'"asyncio.exceptions.CancelledError"'


@virtually
async def test_what_executes_is_told_with_its_progress() -> None:
    @task
    async def reports() -> None:
        current_task().heartbeat({"done": 1})
        await asyncio.sleep(100)

    async def code(run: Run[Signals]) -> None:
        await reports.start(run)

    claim = Claim(code)
    claim.execution.begin()
    await asyncio.sleep(10)
    (line,) = claim.execution.executing()

    assert (line.task, line.attempt, line.since_ms, bytes(line.progress)) == (
        "reports()",
        1,
        claim.journal_start_ms(),
        b'{"done":1}',
    )
    assert claim.execution.is_executing
    await claim.end()
    assert claim.execution.executing() == []


@virtually
async def test_a_long_journal_is_replayed_without_holding_up_the_loop() -> None:
    async def code(run: Run[Signals], count: int) -> str:
        for number in range(count):
            await work.start(run, str(number), 0)
        return (await run.events.go.wait()).data

    claim = Claim(code, 1_100)
    await claim.play()
    before = len(claim.commits)
    claim.claimed_again(parked=False)
    claim.execution.begin()
    turns = 0
    while len(claim.commits) == before:
        await asyncio.sleep(0)
        turns += 1

    assert turns == 2  # 500 deliveries at once, and again, and the rest
    assert len(log) == 2 * 1_100
