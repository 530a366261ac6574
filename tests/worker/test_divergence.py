"""New code that would act inside its recorded past is found out before it acts, and told to people in plain words."""

import asyncio
import inspect
import re
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from aiki.model.journal import Wait
from aiki.model.wire import Commit, Outcome
from aiki.sdk.run import Run
from aiki.sdk.task import task
from aiki.sdk.workflow import Version, workflow
from tests.worker.shop import Signals, alpha, beta, delta, gamma
from tests.worker.stage import Stage

Code = Callable[[Run[Signals]], Coroutine[Any, Any, Any]]


def version(code: Code) -> Version[[], Any, Signals]:
    return workflow("changing").version("1.0.0", events=Signals)(code)


def line_of(code: Code, call: str) -> str:
    """Return file and line of a call in a function, as messages name it."""
    lines, first = inspect.getsourcelines(code)
    offset = next(number for number, line in enumerate(lines) if call in line)
    return f"test_divergence.py:{first + offset}"


async def recorded(run: Run[Signals]) -> list[str]:
    found = [await alpha.start(run, "1")]
    found.append(await beta.start(run, "2"))
    return [*found, (await run.events.go.wait()).data]


async def inserted(run: Run[Signals]) -> list[str]:
    found = [await alpha.start(run, "1")]
    found.append(await delta.start(run, "new"))
    found.append(await beta.start(run, "2"))
    return [*found, (await run.events.go.wait()).data]


async def inserted_first(run: Run[Signals]) -> list[str]:
    found = [await delta.start(run, "new")]
    found.append(await alpha.start(run, "1"))
    found.append(await beta.start(run, "2"))
    return [*found, (await run.events.go.wait()).data]


async def with_other_input(run: Run[Signals]) -> list[str]:
    found = [await alpha.start(run, "1")]
    found.append(await beta.start(run, "two"))
    return [*found, (await run.events.go.wait()).data]


async def renamed(run: Run[Signals]) -> list[str]:
    found = [await alpha.start(run, "1")]
    found.append(await gamma.start(run, "2"))
    return [*found, (await run.events.go.wait()).data]


async def two_branches(run: Run[Signals]) -> list[str]:
    found = await asyncio.gather(
        alpha.start(run, "1"),
        beta.start(run, "2"),
    )
    return [*found, (await run.events.go.wait()).data]


async def with_one_branch_renamed(run: Run[Signals]) -> list[str]:
    found = await asyncio.gather(
        alpha.start(run, "1"),
        gamma.start(run, "2"),
    )
    return [*found, (await run.events.go.wait()).data]


CHANGES = [
    (recorded, inserted, 'delta(value="new")', 'beta(value="2")'),
    (recorded, inserted_first, 'delta(value="new")', 'alpha(value="1")'),
    (recorded, with_other_input, 'beta(value="two")', 'beta(value="2")'),
    (recorded, renamed, 'gamma(value="2")', 'beta(value="2")'),
    (two_branches, with_one_branch_renamed, 'gamma(value="2")', 'beta(value="2")'),
]


def call_in_code(label: str) -> str:
    name, value = label.removesuffix('")').split('(value="')
    return f'{name}.start(run, "{value}")'


@pytest.mark.parametrize(("old", "new", "asked", "held"), CHANGES, ids=[change[1].__name__ for change in CHANGES])
def test_new_code_that_acts_in_its_past_stalls_and_the_old_code_finishes(
    old: Code, new: Code, asked: str, held: str
) -> None:
    stage = Stage(version(old))
    stage.play()
    journal, waits, executed = list(stage.journal), dict(stage.waits), list(stage.executed)
    stage.send("go", "now")

    commit = stage.play(version(new))

    assert (commit.outcome, commit.stall_reason) == (Outcome.STALLED, "diverged")
    assert commit.why is not None
    assert asked in commit.why
    assert held in commit.why
    assert line_of(new, call_in_code(asked)) in commit.why
    assert line_of(old, call_in_code(held)) in commit.why
    assert (stage.journal, stage.waits, stage.executed) == (journal, waits, executed)
    assert len(stage.mail) == 1

    commit = stage.play(version(old))

    assert commit.outcome is Outcome.COMPLETED, commit.why
    assert bytes(commit.output).decode() == '["alpha 1","beta 2","now"]'
    assert stage.executed == executed


def test_a_divergence_that_shows_only_later_takes_nothing_from_the_old_code() -> None:
    async def inserted_after_a_new_sleep(run: Run[Signals]) -> list[str]:
        found = [await alpha.start(run, "1")]
        await run.sleep("new", 60)
        await delta.start(run, "new")
        found.append(await beta.start(run, "2"))
        return [*found, (await run.events.go.wait()).data]

    stage = Stage(version(recorded))
    stage.play()
    assert stage.play(version(inserted_after_a_new_sleep)).outcome is Outcome.SUSPENDED
    stage.advance(60)
    stage.send("go", "now")
    commit = stage.parked()

    assert commit.stall_reason == "diverged"
    assert commit.entries == ()
    commit = stage.play(version(recorded))
    assert bytes(commit.output).decode() == '["alpha 1","beta 2","now"]'


def test_a_result_that_came_just_before_a_divergence_is_recorded_and_its_task_does_not_run_again() -> None:
    async def two_at_once(run: Run[Signals]) -> list[str]:
        return [*await asyncio.gather(alpha.start(run, "1"), beta.start(run, "2"))]

    async def without_the_first(run: Run[Signals]) -> list[str]:
        return [await beta.start(run, "2"), await delta.start(run, "new")]

    stage = Stage(version(two_at_once))
    stage.hold = lambda call: call.label.startswith("beta")
    stage.play()
    key = next(call.key for call in stage.machine.starts) if stage.machine is not None else None
    assert key is not None
    stage.waits[key] = Wait(key, asked=0, order=2, deadline_ms=stage.now_ms, attempt=1)  # its next attempt is due
    stage.hold = None

    commit = stage.play(version(without_the_first))

    assert commit.stall_reason == "diverged"
    assert [(entry.seq, entry.key) for entry in commit.entries] == [(2, key)]
    assert stage.waits == {}
    assert stage.play(version(two_at_once)).outcome is Outcome.COMPLETED
    assert stage.executed == ['alpha(value="1")', 'beta(value="2")']


def test_of_code_that_went_astray_nothing_but_results_is_recorded() -> None:
    async def two_at_once(run: Run[Signals]) -> list[str]:
        await asyncio.gather(alpha.start(run, "1"), beta.start(run, "2"))
        return [(await run.events.go.wait()).data]

    async def without_the_first(run: Run[Signals]) -> list[str]:
        taken = asyncio.create_task(run.events.go.wait())
        run.set("astray", value=True)
        await beta.start(run, "2")
        return [(await taken).data, await delta.start(run, "new")]

    stage = Stage(version(two_at_once))
    stage.hold = lambda call: call.label.startswith("beta")
    stage.play()
    key = next(call.key for call in stage.machine.starts) if stage.machine is not None else None
    assert key is not None
    stage.waits[key] = Wait(key, asked=0, order=2, deadline_ms=stage.now_ms, attempt=1)
    stage.hold = None
    stage.send("go", "now")

    commit = stage.play(version(without_the_first))

    assert commit.stall_reason == "diverged"
    assert [entry.key for entry in commit.entries] == [key]
    assert commit.effects == ()
    commit = stage.play(version(two_at_once))
    assert bytes(commit.output).decode() == '["now"]'
    assert stage.executed == ['alpha(value="1")', 'beta(value="2")']


@pytest.mark.parametrize("held", ["alpha", "beta", "gamma"])
@pytest.mark.parametrize("second", ["alpha", "beta", "gamma", ""])
def test_a_gather_of_which_only_some_tasks_are_recorded_is_no_divergence(held: str, second: str) -> None:
    async def gathered(run: Run[Signals]) -> list[str]:
        async def two_steps(value: str) -> str:
            return await alpha.start(run, value) + await beta.start(run, value)

        calls = [alpha.start(run), beta.start(run), gamma.start(run), two_steps("x"), two_steps("y")]
        return await asyncio.gather(*calls)

    stage = Stage(version(gathered))
    stage.hold = lambda call: call.key.address.split()[0] in (held, second)
    stage.play()
    stage.hold = lambda call: call.key.address.split()[0] == second
    stage.play()
    stage.hold = None
    commit = stage.play()

    assert commit.outcome is Outcome.COMPLETED, commit.why
    assert len(stage.executed) == len(set(stage.executed)) == 7


def test_new_work_in_parallel_to_what_is_recorded_is_found_out() -> None:
    async def with_one_more_branch(run: Run[Signals]) -> list[str]:
        found = await asyncio.gather(alpha.start(run, "1"), gamma.start(run, "2"), delta.start(run, "3"))
        return [*found, (await run.events.go.wait()).data]

    stage = Stage(version(two_branches))
    stage.play()

    assert stage.play(version(with_one_more_branch)).stall_reason == "diverged"


def test_a_branch_added_to_a_gather_beside_all_that_was_recorded_is_no_divergence() -> None:
    async def with_one_more_branch(run: Run[Signals]) -> list[str]:
        found = await asyncio.gather(alpha.start(run, "1"), beta.start(run, "2"), delta.start(run, "3"))
        return [*found, (await run.events.go.wait()).data]

    stage = Stage(version(two_branches))
    stage.play()
    assert stage.play(version(with_one_more_branch)).outcome is Outcome.SUSPENDED
    assert stage.executed[2:] == ['delta(value="3")']


def test_an_open_wait_shows_that_the_code_is_past_a_task_that_was_removed() -> None:
    async def without_beta(run: Run[Signals]) -> list[str]:
        found = [await alpha.start(run, "1")]
        told = (await run.events.go.wait()).data
        return [*found, await delta.start(run, "new"), told]

    stage = Stage(version(recorded))
    stage.play()
    stage.send("go", "now")
    commit = stage.play(version(without_beta))

    assert bytes(commit.output).decode() == '["alpha 1","delta new","now"]'


def test_a_child_that_is_started_with_other_input_is_found_out_too() -> None:
    async def helping(run: Run[Signals], count: int) -> int:
        return count

    helper = workflow("helper").version("1.0.0", events=Signals)(helping)

    def starting(count: int) -> Code:
        async def code(run: Run[Signals]) -> None:
            child = await helper.start_as_child(run, count)
            await child.result()

        return code

    stage = Stage(version(starting(1)))
    stage.play()
    commit = stage.play(version(starting(2)))

    assert commit.why is not None
    assert "asks for child helper 1.0.0(count=2)" in commit.why
    assert "still holds child helper 1.0.0(count=1)" in commit.why
    assert len(stage.started) == 1


def diverging(first: object, second: object) -> Commit:
    """Play a task with one argument, then with another."""

    @task
    def pay(amount: object, order: str) -> None: ...

    argument = first

    async def code(run: Run[Signals]) -> None:
        await pay.start(run, argument, "order-123")
        await run.events.go.wait()

    stage = Stage(version(code))
    stage.play()
    argument = second
    return stage.play()


@pytest.mark.parametrize(
    ("first", "second", "guess"),
    [
        ("2026-11-22T19:09:15+00:00", "2026-11-22T19:10:01+00:00", "looks like a time"),
        ("2026-11-22", "2026-11-23", "looks like a time"),
        ("2026-11-22 19:09:15", "2026-11-22 19:10:01", "looks like a time"),
        (1_795_374_555, 1_795_374_601, "looks like a time"),
        (1_795_374_555.1234, 1_795_374_601.25, "looks like a time"),
        (1_795_374_555_123, 1_795_374_601_250, "looks like a time"),
        (str(uuid.UUID(int=7, version=4)), str(uuid.UUID(int=11, version=4)), "looks random"),
        (uuid.UUID(int=3**80, version=4).hex, uuid.UUID(int=5**55, version=4).hex, "looks random"),
        (0.8444218515250481, 0.7579544029403025, "looks random"),
        (12, 13, None),
        ("order-2026", "order-2027", None),
        ("Ada", "Bob", None),
        (10_000_000_000, 20_000_000_000, None),
    ],
)
def test_a_guess_is_made_where_an_argument_looks_like_time_or_chance(
    first: object, second: object, guess: str | None
) -> None:
    commit = diverging(first, second)

    assert commit.why is not None
    found = re.search("A guess: an argument (looks like a time|looks random)", commit.why)
    assert (found and found[1]) == guess, commit.why
