"""What a claim commits, and when: no effect before its cause is recorded, and as few turns as that allows."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from aiki.errors import NonRetryable, RetryAfter, TaskFailed
from aiki.model.journal import EntryKind, Failure
from aiki.model.lifecycle import Status
from aiki.model.retry import Retry
from aiki.model.wire import Outcome, Verdict
from aiki.sdk.current import current_task
from aiki.sdk.run import Run
from aiki.sdk.task import task
from aiki.sdk.workflow import workflow
from tests.virtual import virtually
from tests.worker.claim import Claim, tasks_in
from tests.worker.shop import Signals

log: list[str] = []


@pytest.fixture(autouse=True)
def empty_log() -> None:
    log.clear()


@task
async def work(name: str, seconds: float = 1.0) -> str:
    log.append(f"{name} begins")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        log.append(f"{name} cancelled")
        raise
    log.append(f"{name} ends")
    return name


def outcomes(claim: Claim) -> list[str]:
    return [commit.outcome.value for commit in claim.commits]


# -------------------------------------------------------------------------------------------------- output commit


@virtually
async def test_a_task_and_the_end_of_its_run_travel_in_one_turn() -> None:
    async def code(run: Run[Signals]) -> str:
        return await work.start(run, "one")

    claim = Claim(code)
    commit = await claim.play()

    assert outcomes(claim) == ["completed"]
    assert tasks_in(commit) == ['work(name="one")']
    assert bytes(commit.output) == b'"one"'
    assert claim.is_over


@virtually
async def test_ten_gathered_tasks_that_end_together_travel_in_one_turn() -> None:
    async def code(run: Run[Signals]) -> list[str]:
        return list(await asyncio.gather(*(work.start(run, f"{number}") for number in range(10))))

    claim = Claim(code)
    commit = await claim.play()

    assert outcomes(claim) == ["completed"]
    assert sorted(tasks_in(commit)) == [f'work(name="{number}")' for number in range(10)]


@virtually
async def test_a_task_does_not_begin_before_what_led_to_it_is_recorded() -> None:
    async def code(run: Run[Signals]) -> str:
        return await work.start(run, await work.start(run, "one") + " and two")

    claim = Claim(code, answers_in_s=None)
    claim.execution.begin()
    await claim.next_change()
    assert log == ["one begins", "one ends"]
    assert (claim.commits[0].outcome, tasks_in(claim.commits[0])) == (Outcome.RUNNING, ['work(name="one")'])
    await asyncio.sleep(3_600)
    assert log == ["one begins", "one ends"]

    claim.answer()
    await claim.next_change()
    assert log[2:] == ["one and two begins", "one and two ends"]
    assert len(claim.commits) == 2


@virtually
async def test_a_task_whose_cause_is_recorded_begins_while_a_later_turn_is_under_way() -> None:
    async def code(run: Run[Signals]) -> list[str]:
        async def two_steps(name: str, seconds: float) -> str:
            await work.start(run, name, seconds)
            return await work.start(run, f"{name} again")

        return list(await asyncio.gather(two_steps("early", 1), two_steps("late", 1.5)))

    claim = Claim(code, answers_in_s=2)
    await claim.play()

    # Early's end is sent at 1 s and answered at 3; late's, at 1.5 s, waits for that answer, and is recorded at 5.
    assert log == [
        "early begins",
        "late begins",
        "early ends",
        "late ends",
        "early again begins",
        "early again ends",
        "late again begins",
        "late again ends",
    ]
    assert [tasks_in(commit) for commit in claim.commits][:2] == [
        ['work(name="early", seconds=1)'],
        ['work(name="late", seconds=1.5)'],
    ]


@virtually
async def test_a_child_and_a_published_value_travel_with_their_cause() -> None:
    async def helping(run: Run[Signals]) -> None: ...

    helper = workflow("helper").version("1.0.0", events=Signals)(helping)

    async def code(run: Run[Signals]) -> str:
        await work.start(run, "first")
        run.set("progress", 1)
        child = await helper.start_as_child(run)
        return child.id

    claim = Claim(code)
    commit = await claim.play()

    first = claim.commits[0]
    assert (first.outcome, tasks_in(first), len(first.children), len(first.effects)) == (
        Outcome.RUNNING,
        ['work(name="first")'],
        1,
        1,
    )
    assert [entry.key.kind for entry in commit.entries] == [EntryKind.CHILD]
    assert bytes(commit.output).decode() == f'"{first.children[0].run_id}"'


@virtually
async def test_what_nobody_waits_for_is_gathered_for_a_moment_and_then_committed() -> None:
    async def code(run: Run[Signals]) -> None:
        await asyncio.gather(work.start(run, "quick", 1), work.start(run, "slow", 100), run.sleep("nap", 50))

    claim = Claim(code)
    claim.execution.begin()
    await claim.next_change()
    assert 0 < claim.clock.now_ms() - 1_700_000_000_000 <= 1_000  # an open wait is committed within a second
    assert [wait.key.kind for wait in claim.commits[0].opened] == [EntryKind.SLEEP]
    commit = await claim.end()

    assert outcomes(claim) == ["running", "running", "running", "completed"]
    assert tasks_in(commit) == ['work(name="slow", seconds=100)']


@virtually
async def test_a_turn_is_frozen_when_it_is_sent() -> None:
    async def code(run: Run[Signals]) -> None:
        await asyncio.gather(work.start(run, "one", 1), work.start(run, "two", 1.5), run.sleep("nap", 1.2))

    claim = Claim(code, answers_in_s=None)
    claim.execution.begin()
    await claim.next_change()
    first = claim.commits[0]
    frozen = repr(first)
    await asyncio.sleep(10)
    assert repr(first) == frozen
    assert len(claim.commits) == 1

    claim.answer()
    await claim.next_change()
    assert [entry.key.kind for entry in claim.commits[1].entries] == ["task", "sleep", "task"]


# ---------------------------------------------------------------------------------------------- suspended, parked


async def waiting(run: Run[Signals]) -> list[str]:
    first = await run.events.go.wait()
    log.append(f"heard {first.data}")
    second = await run.events.go.wait()
    return [first.data, second.data]


@virtually
async def test_while_a_suspension_is_under_way_nothing_is_delivered() -> None:
    claim = Claim(waiting, answers_in_s=None)
    claim.execution.begin()
    await asyncio.sleep(0)
    assert claim.commits[-1].outcome is Outcome.SUSPENDED
    claim.post("go", "early")
    await asyncio.sleep(60)
    assert len(claim.commits) == 1
    assert log == []

    claim.answer(status=Status.RUNNING)  # the server has seen the event: the claim goes on
    await asyncio.sleep(0.01)
    assert [bytes(entry.result) for entry in claim.commits[1].entries] == [b'"early"']
    assert claim.commits[1].epoch == 1
    assert claim.commits[1].turn == 2


@virtually
async def test_a_parked_run_goes_on_where_it_stood_with_turns_counted_anew() -> None:
    claim = Claim(waiting)
    await claim.play()
    assert claim.is_parked
    for word in ("first", "second"):
        claim.post("go", word)
        claim.claimed_again(parked=True)
        await claim.end()

    assert [(commit.epoch, commit.turn, commit.outcome.value) for commit in claim.commits] == [
        (1, 1, "suspended"),
        (2, 1, "suspended"),
        (3, 1, "completed"),
    ]
    assert claim.is_over
    assert bytes(claim.commits[-1].output) == b'["first","second"]'


@virtually
async def test_an_attempt_that_outlives_its_withdrawal_says_nothing_to_the_next_claim() -> None:
    @task
    async def stubborn() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3_600)
        await asyncio.sleep(100)
        return "too late"

    async def code(run: Run[Signals]) -> str:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await stubborn.start(run)
        return (await run.events.go.wait()).data

    claim = Claim(code)
    await claim.play()
    assert claim.is_parked
    claim.claimed_again(parked=True)
    await asyncio.sleep(1_000)
    assert claim.is_parked
    claim.post("go", "on")
    claim.claimed_again(parked=True)
    commit = await claim.end()

    assert bytes(commit.output) == b'"on"'
    assert [entry.key.kind for entry in claim.journal] == ["timer", "event"]


@virtually
async def test_a_suspension_that_its_alarm_overtook_goes_on_under_the_same_claim() -> None:
    async def code(run: Run[Signals]) -> None:
        await run.sleep("nap", 10)

    claim = Claim(code, answers_in_s=None)
    claim.execution.begin()
    await asyncio.sleep(11)
    claim.answer(status=Status.RUNNING)
    await asyncio.sleep(0.01)

    assert outcomes(claim) == ["suspended", "completed"]


@virtually
async def test_timers_ring_under_the_claim_but_never_early() -> None:
    async def code(run: Run[Signals]) -> None:
        await asyncio.gather(work.start(run, "slow", 100), run.sleep("nap", 50))

    claim = Claim(code)
    await claim.play()

    (nap,) = [entry for entry in claim.journal if entry.key.kind is EntryKind.SLEEP]
    assert nap.deadline_ms is not None
    assert 0 <= nap.at_ms - nap.deadline_ms <= 2


@virtually
async def test_a_fenced_turn_ends_the_claim_and_cancels_its_attempts() -> None:
    async def code(run: Run[Signals]) -> None:
        await asyncio.gather(work.start(run, "quick"), work.start(run, "slow", 3_600))

    claim = Claim(code, answers_in_s=None)
    claim.execution.begin()
    await claim.next_change()
    claim.answer(Verdict.FENCED, status=None)
    await asyncio.sleep(0)

    assert claim.is_over
    assert log == ["quick begins", "slow begins", "quick ends", "slow cancelled"]
    await asyncio.sleep(10_000)
    assert len(claim.commits) == 1


@virtually
async def test_a_release_while_a_turn_is_under_way_is_final() -> None:
    async def code(run: Run[Signals]) -> None:
        await work.start(run, "quick")
        await work.start(run, "never")

    claim = Claim(code, answers_in_s=None)
    claim.execution.begin()
    await claim.next_change()
    claim.execution.release()
    claim.answer()
    await asyncio.sleep(1_000)

    assert log == ["quick begins", "quick ends"]
    assert len(claim.commits) == 1


@virtually
async def test_an_end_with_tasks_under_way_cancels_them_first() -> None:
    async def code(run: Run[Signals]) -> str:
        background = asyncio.create_task(work.start(run, "background", 3_600))
        await work.start(run, "quick")
        return f"{background.done()}"

    claim = Claim(code, answers_in_s=5)
    commit = await claim.play()

    assert commit.outcome is Outcome.COMPLETED
    assert log == ["quick begins", "background begins", "quick ends", "background cancelled"]
    assert tasks_in(commit) == ['work(name="quick")']


@virtually
async def test_the_next_chapter_begins_under_the_same_claim_with_the_mail_that_is_unread() -> None:
    async def code(run: Run[Signals], chapter: int) -> list[str]:
        if chapter < 3:
            await work.start(run, "same")
            await run.continue_as_new(chapter + 1)
        return [(await run.events.go.wait()).data, str(run.random.random())]

    claim = Claim(code, 1)
    claim.execution.begin()
    claim.post("go", "kept")
    commit = await claim.end()

    assert outcomes(claim) == ["continued", "continued", "completed"]
    assert [commit.turn for commit in claim.commits] == [1, 2, 3]
    assert [entry.seq for commit in claim.commits for entry in commit.entries] == [1, 1, 1]
    assert bytes(commit.output).startswith(b'["kept",')
    assert log.count("same begins") == 2


# -------------------------------------------------------------------------------------------------------- attempts


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
    assert commit.entries[-1].attempts == 2


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
    go_on, done = threading.Event(), threading.Event()

    @task
    def in_a_thread() -> str:
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
    commit = await claim.play()
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
