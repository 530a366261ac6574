"""What a workflow waits for stands in sets in the same order on every replay."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from aiki.errors import NotAllowedInWorkflow
from aiki.worker.ordered import BASES, COUNT_BITS, OrderingLoop, base_of
from tests.worker.loop_program import Call, trace
from tests.worker.loop_world import World, nap

PROGRAM = "import tests.worker.loop_program as program; print(program.trace())"


def run_with(seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "src:.", "PYTHONMALLOC": "malloc"}
    command = [sys.executable, "-W", "ignore::RuntimeWarning", "-c", PROGRAM]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60, env=environment
    ).stdout.removesuffix("\n")


def test_the_order_is_the_same_for_twenty_hash_seeds_and_memory_layouts() -> None:
    expected = trace()
    with ThreadPoolExecutor(max_workers=2) as pool:
        traces = list(pool.map(run_with, [str(seed * 7919) for seed in range(20)]))

    assert len(expected) > 5_000
    assert [text == expected for text in traces] == [True] * 20


def test_the_order_is_the_same_for_whatever_run() -> None:
    expected = trace()

    for number in (0, 1, 2, 3, 1000, BASES // 2, BASES - 1):
        assert trace(base=number << COUNT_BITS) == expected


class Thing:
    """Something of a given hash."""

    def __init__(self, order: int) -> None:
        self.order = order

    def __hash__(self) -> int:
        return self.order


def order_in_set(base: int, counts: list[int]) -> list[int]:
    things = set()
    for count in counts:
        things.add(Thing(base + count))
    return [thing.order - base for thing in things]


@pytest.mark.parametrize("size", [1, 2, 4, 5, 8, 18, 19, 40, 76, 77, 300])
def test_the_base_does_not_move_what_stands_in_a_set(size: int) -> None:
    chance = Random(size)
    for spread in (1, 2, 8, 64, 1000):
        for _ in range(10):
            counts = chance.sample(range(size * spread), size)
            expected = order_in_set(0, counts)
            for base in (1 << COUNT_BITS, BASES - 1 << COUNT_BITS, chance.randrange(BASES) << COUNT_BITS):
                assert order_in_set(base, counts) == expected


@pytest.mark.parametrize("size", [1, 2, 4, 5, 8, 18, 19, 40, 76, 77, 300])
def test_what_was_created_in_a_row_stands_in_that_order_however_it_was_put_in(size: int) -> None:
    chance, counts = Random(size), list(range(size))
    expected = order_in_set(base_of("01J9"), counts)
    for _ in range(10):
        chance.shuffle(counts)
        assert order_in_set(base_of("01J9"), counts) == expected


def test_bases_tell_runs_apart_and_leave_room_for_the_count() -> None:
    bases = {base_of(f"run-{number}") for number in range(1_000)}

    assert len(bases) > 950
    assert all(base % (1 << COUNT_BITS) == 0 and 0 <= base < 1 << 62 for base in bases)
    assert base_of("01J9") == 0x79D << COUNT_BITS, "the same in every process and version, or replays diverge"


def test_thousands_of_parked_runs_do_not_slow_down_the_interpreters_set_of_tasks() -> None:
    seen: weakref.WeakSet[Thing] = weakref.WeakSet()
    kept = [Thing(base_of(f"run-{run}") + count) for run in range(3_000) for count in range(3)]
    compared = 0

    class Counting(Thing):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return self is other

        __hash__ = Thing.__hash__

    for thing in kept:
        seen.add(thing)
    for run in range(100):
        seen.add(Counting(base_of(f"another-{run}")))

    assert compared < 100, "equal hashes are rare"


def test_names_of_tasks_are_the_runs_own() -> None:
    async def names() -> list[str]:
        tasks = [asyncio.create_task(nap(0)) for _ in range(2)]
        return [task.get_name() for task in tasks]

    assert World().finish(names()) == World().finish(names())


def test_bare_coroutines_in_as_completed_are_refused_with_advice() -> None:
    async def workflow(things: str) -> object:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, OrderingLoop)
        first, second = nap(2), nap(1)
        match things:
            case "coroutines":
                given: list[Any] = [first, second]
            case "tasks":
                given = [asyncio.create_task(first), asyncio.create_task(second)]
            case "futures":
                given = [asyncio.gather(first), asyncio.gather(second)]
            case _:
                given = [Call(loop, 2), Call(loop, 1)]
        try:
            return [await each for each in asyncio.as_completed(given)]
        finally:
            first.close()
            second.close()

    with pytest.raises(NotAllowedInWorkflow, match=r"as_completed .* tasks \(asyncio.create_task\).* asyncio.gather"):
        World().finish(workflow("coroutines"))
    assert World().finish(workflow("tasks")) == [1, 2]
    assert World().finish(workflow("futures")) == [[1], [2]]
    assert World().finish(workflow("calls")) == [1, 2]
