"""What a run costs grows with what it does: counted in calls of functions, which are the same on every machine."""

import asyncio
import sys
import tracemalloc
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

import pytest

from aiki.model.wire import Outcome
from aiki.sdk.run import Run
from aiki.sdk.workflow import workflow
from tests.worker.shop import Signals, alpha
from tests.worker.stage import Stage

Code = Callable[[Run[Signals], int], Coroutine[Any, Any, int]]

PARKED_BYTES_MAX = 25_000


async def one_by_one(run: Run[Signals], count: int) -> int:
    for number in range(count):
        await alpha.start(run, str(number))
    return count


async def at_once(run: Run[Signals], count: int) -> int:
    return len(await asyncio.gather(*(alpha.start(run, str(number)) for number in range(count))))


async def waits_at_once(run: Run[Signals], count: int) -> int:
    return len(await asyncio.gather(*(run.sleep(str(number), 1) for number in range(count))))


def calls_of(play: Callable[[], object]) -> int:
    """Return how many functions a play calls."""
    count = 0

    def counted(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        play()
    finally:
        sys.setprofile(None)
    return count


def costs(code: Code, count: int) -> tuple[int, int]:
    """Return what a run costs that is played to its end, and what its replay does."""
    stage = Stage(workflow("costly").version("1.0.0", events=Signals)(code), count)

    def play_to_the_end() -> None:
        while stage.play().outcome is Outcome.SUSPENDED:
            stage.advance(1)

    return calls_of(play_to_the_end), calls_of(stage.play)


@pytest.mark.parametrize("code", [one_by_one, at_once, waits_at_once])
def test_five_thousand_calls_cost_ten_times_what_five_hundred_do(code: Code) -> None:
    few, many = costs(code, 500), costs(code, 5_000)

    assert many[0] <= 11 * few[0]
    assert many[1] <= 11 * few[1]


def test_a_replay_costs_less_than_the_first_time() -> None:
    first, replayed = costs(one_by_one, 500)

    assert replayed < first


def test_a_parked_run_is_small() -> None:
    async def sleeping(run: Run[Signals]) -> None:
        await alpha.start(run, "x")
        await run.sleep("nap", 60)

    version = workflow("small").version("1.0.0", events=Signals)(sleeping)
    Stage(version).play()
    stages = [Stage(version) for _ in range(100)]
    tracemalloc.start()
    try:
        for stage in stages:
            stage.play()
            stage.commits.clear()
        size_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert size_bytes / len(stages) < PARKED_BYTES_MAX
