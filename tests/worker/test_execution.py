"""What a claim commits, and when: no effect before its cause is recorded, and as few turns as that allows."""

import asyncio
import contextlib

import pytest

from aiki.model.journal import EntryKind
from aiki.model.lifecycle import Status
from aiki.model.wire import Outcome, Verdict
from aiki.sdk.run import Run
from aiki.sdk.task import task
from aiki.sdk.workflow import workflow
from tests.virtual import virtually
from tests.worker.claim import Claim, log, outcomes, tasks_in, work
from tests.worker.shop import Signals


@pytest.fixture(autouse=True)
def empty_log() -> None:
    log.clear()


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


@virtually
async def test_code_that_never_waits_for_the_outside_is_committed_all_the_same() -> None:
    async def code(run: Run[Signals]) -> int:
        for _ in range(2_000):
            await run.sleep("no time", 0)
        return 2_000

    claim = Claim(code, answers_in_s=0)
    commit = await claim.play()

    assert commit.outcome is Outcome.COMPLETED
    assert len(claim.commits) >= 3
    assert len(claim.journal) == 2_000


# ------------------------------------------------------------------------------------------------ too much for one turn


@task
async def long_text(number: int) -> str:
    return f"{number}" + "x" * 1_000_000


@virtually
async def test_what_is_too_much_for_one_turn_is_committed_in_several_and_the_last_one_ends_the_claim() -> None:
    async def code(run: Run[Signals]) -> int:
        texts = await asyncio.gather(*(long_text.start(run, number) for number in range(10)))
        for number, text in enumerate(texts[:3]):
            run.set(f"text {number}", text)
        return len(texts)

    claim = Claim(code)
    commit = await claim.play()

    assert outcomes(claim) == ["running", "running", "running", "completed"]
    assert [len(turn.entries) for turn in claim.commits] == [4, 4, 2, 0]
    assert [len(turn.effects) for turn in claim.commits] == [0, 0, 2, 1]
    assert [entry.seq for entry in claim.journal] == list(range(1, 11))
    assert bytes(commit.output) == b"10"


@virtually
async def test_a_suspension_that_is_too_much_for_one_turn_follows_its_deliveries() -> None:
    async def code(run: Run[Signals]) -> str:
        await asyncio.gather(*(long_text.start(run, number) for number in range(6)))
        return (await run.events.go.wait()).data

    claim = Claim(code)
    await claim.play()

    assert outcomes(claim) == ["running", "suspended"]
    assert [(turn.waits, len(turn.opened), turn.parks) for turn in claim.commits] == [(0, 0, False), (1, 1, True)]
    assert claim.is_parked


@virtually
async def test_ten_thousand_children_are_started_in_several_turns() -> None:
    async def helping(run: Run[Signals], number: int) -> None: ...

    helper = workflow("helper").version("1.0.0", events=Signals)(helping)

    async def code(run: Run[Signals]) -> int:
        children = await asyncio.gather(*(helper.start_as_child(run, number) for number in range(10_000)))
        return len({child.id for child in children})

    claim = Claim(code)
    commit = await claim.play()

    assert bytes(commit.output) == b"10000"
    assert sum(len(turn.children) for turn in claim.commits) == 10_000
    assert max(len(turn.children) + len(turn.entries) for turn in claim.commits) <= 8_192
