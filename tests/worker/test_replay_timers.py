"""Timers of asyncio and timeouts of waits, when the code says another time than it said before: never early, never lost.

Timers have no names, so code that has lost one finds the entries of others.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from aiki.model.wire import Commit, Outcome
from aiki.sdk.run import Run
from aiki.sdk.workflow import Version, workflow
from tests.worker.shop import Signals, alpha
from tests.worker.stage import START_MS, Stage

Code = Callable[[Run[Signals]], Coroutine[Any, Any, Any]]


def version(code: Code) -> Version[[], Any, Signals]:
    return workflow("changing").version("1.0.0", events=Signals)(code)


def deadline_s(commit: Commit) -> float | None:
    """Return when the first wait is over, in seconds since the run began."""
    return None if commit.deadline_ms is None else (commit.deadline_ms - START_MS) / 1000


def output(commit: Commit) -> str:
    assert commit.outcome is Outcome.COMPLETED, (commit.outcome, commit.why)
    return bytes(commit.output).decode()


def napping(seconds: float) -> Code:
    async def code(run: Run[Signals]) -> str:
        await asyncio.sleep(seconds)
        done = await alpha.start(run, "rested")
        return f"{done} {(await run.events.go.wait()).data}"

    return code


def test_a_timer_that_rang_and_is_lengthened_waits_for_the_remainder_once() -> None:
    stage = Stage(version(napping(60)))
    assert deadline_s(stage.play()) == 60
    stage.advance(70)
    assert stage.play().waits_for == "event"

    assert deadline_s(stage.play(version(napping(120)))) == 120
    stage.advance(50)
    assert stage.play().waits_for == "event"
    assert deadline_s(stage.play(version(napping(180)))) == 180
    stage.advance(60)
    stage.send("go", "on")
    for _ in range(3):
        assert output(stage.play()) == '"alpha rested on"'
    assert stage.executed == ['alpha(value="rested")']


def test_a_timer_that_rang_late_is_not_waited_for_again_when_it_is_lengthened_by_less() -> None:
    stage = Stage(version(napping(60)))
    stage.play()
    stage.advance(90)
    stage.play()

    assert stage.play(version(napping(80))).waits_for == "event"
    assert len(stage.journal) == 2


@pytest.mark.parametrize(("seconds", "due"), [(120, 120), (40, 40), (60, 60)], ids=["longer", "shorter", "as-it-was"])
def test_an_open_timer_is_due_when_the_code_says_now(seconds: float, due: float) -> None:
    stage = Stage(version(napping(60)))
    stage.play()
    stage.advance(30)

    assert deadline_s(stage.play(version(napping(seconds)))) == due
    assert deadline_s(stage.play()) == due


def test_an_open_timer_that_is_shortened_to_what_has_passed_is_over() -> None:
    stage = Stage(version(napping(60)))
    stage.play()
    stage.advance(30)

    assert stage.play(version(napping(20))).waits_for == "event"


async def napping_then_limited(run: Run[Signals]) -> str:
    await asyncio.sleep(10)
    async with asyncio.timeout(3600):
        return (await run.events.go.wait()).data


async def limited(run: Run[Signals]) -> str:
    async with asyncio.timeout(3600):
        return (await run.events.go.wait()).data


def test_a_timeout_does_not_strike_because_a_timer_before_it_was_removed() -> None:
    stage = Stage(version(napping_then_limited))
    stage.play()
    stage.advance(10)
    assert deadline_s(stage.play()) == 3610

    assert deadline_s(stage.play(version(limited))) == 3600
    stage.send("go", "in time")
    assert output(stage.play()) == '"in time"'


def test_a_timeout_before_which_a_timer_was_removed_strikes_at_its_time() -> None:
    stage = Stage(version(napping_then_limited))
    stage.play()
    stage.advance(10)
    stage.play()
    stage.play(version(limited))
    stage.advance(3590)

    for _ in range(2):
        commit = stage.play()
        assert commit.outcome is Outcome.FAILED
        assert commit.error is not None
        assert commit.error.type == "builtins.TimeoutError"


async def gathering(run: Run[Signals], *seconds: float) -> str:
    async def nap(span: float) -> str:
        await asyncio.sleep(span)
        return f"{run.now().timestamp() - START_MS / 1000:.0f}"

    rested = await asyncio.gather(*(nap(span) for span in seconds))
    return " ".join([*rested, (await run.events.go.wait()).data])


def test_timers_that_are_changed_within_a_gather_each_ring_at_their_own_time() -> None:
    async def old(run: Run[Signals]) -> str:
        return await gathering(run, 10, 20, 30)

    async def new(run: Run[Signals]) -> str:
        return await gathering(run, 30, 50, 20)

    stage = Stage(version(old))
    stage.play()
    for _ in range(2):
        stage.advance(10)
        stage.play()
    stage.play(version(new))
    while (due := deadline_s(stage.play())) is not None:
        stage.advance(due - (stage.now_ms - START_MS) / 1000)
    stage.send("go", "on")

    assert output(stage.play()) == '"30 50 20 on"'


# ----------------------------------------------------------------------------------------------------------- timeouts


def waiting(timeout: float | None) -> Code:
    async def code(run: Run[Signals]) -> str:
        told = await run.events.go.wait(timeout)
        return told.data if told else "nobody came"

    return code


@pytest.mark.parametrize(
    ("before", "after", "due"),
    [(60, 90, 90), (60, 45, 45), (60, None, None), (None, 60, 60), (60, 60, 60)],
    ids=["longer", "shorter", "removed", "added", "as-it-was"],
)
def test_an_open_wait_has_the_timeout_that_the_code_says_now(
    before: float | None, after: float | None, due: float | None
) -> None:
    stage = Stage(version(waiting(before)))
    assert deadline_s(stage.play()) == before
    stage.advance(30)

    assert deadline_s(stage.play(version(waiting(after)))) == due
    assert deadline_s(stage.play()) == due


def test_an_open_wait_whose_timeout_is_shortened_to_what_has_passed_is_over() -> None:
    stage = Stage(version(waiting(60)))
    stage.play()
    stage.advance(30)

    assert output(stage.play(version(waiting(20)))) == '"nobody came"'


def test_a_wait_that_has_timed_out_has_however_its_timeout_is_lengthened() -> None:
    async def old(run: Run[Signals]) -> str:
        return f"{await waiting(60)(run)} {(await run.events.stop.wait()).data}"

    async def new(run: Run[Signals]) -> str:
        return f"{await waiting(600)(run)} {(await run.events.stop.wait()).data}"

    stage = Stage(version(old))
    stage.play()
    stage.advance(60)
    stage.play()
    stage.send("go", "too late")
    stage.send("stop", "stop")

    assert output(stage.play(version(new))) == '"nobody came stop"'
