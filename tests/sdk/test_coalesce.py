"""Coalesced calls: what rides together, and that each gets its own answer."""

import asyncio
from collections.abc import Sequence

import pytest

from aiki.errors import Unavailable
from aiki.sdk.coalesce import Coalescer


class Road:
    """Sends batches of numbers, each when it is let through, and answers them doubled."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gates: list[asyncio.Future[None]] = []
        self.fails: Exception | None = None

    async def send(self, batch: Sequence[int]) -> list[int]:
        self.batches.append(list(batch))
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        await gate
        if self.fails is not None:
            raise self.fails
        return [number * 2 for number in batch]

    async def let_through(self) -> None:
        await settle()
        self.gates[-1].set_result(None)
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def called(coalescer: Coalescer[int, int], *numbers: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(coalescer.call(number)) for number in numbers]
    await settle()
    return tasks


async def test_what_is_asked_while_a_request_is_under_way_rides_in_the_next() -> None:
    road = Road()
    coalescer = Coalescer(road.send)
    first = await called(coalescer, 1)
    later = await called(coalescer, 2, 3)
    await road.let_through()
    await road.let_through()

    assert road.batches == [[1], [2, 3]]
    assert await asyncio.gather(*first, *later) == [2, 4, 6]


async def test_calls_made_together_ride_together() -> None:
    road = Road()
    await called(Coalescer(road.send), 1, 2, 3)
    await road.let_through()

    assert road.batches == [[1, 2, 3]]


async def test_a_batch_is_cut_by_number_and_by_bytes() -> None:
    by_number, by_bytes = Road(), Road()
    await called(Coalescer(by_number.send, items_max=2), 1, 2, 3)
    await called(Coalescer(by_bytes.send, size_bytes=lambda number: number, bytes_max=10), 4, 6, 1, 50, 2)
    for _ in range(4):
        for road in (by_number, by_bytes):
            if not road.gates[-1].done():
                await road.let_through()

    assert by_number.batches == [[1, 2], [3]]
    assert by_bytes.batches == [[4, 6], [1], [50], [2]]


async def test_a_caller_who_gives_up_takes_no_one_along() -> None:
    road = Road()
    coalescer = Coalescer(road.send)
    under_way = await called(coalescer, 1, 2)
    pending = await called(coalescer, 3, 4)
    under_way[0].cancel()
    pending[0].cancel()
    await settle()
    await road.let_through()
    await road.let_through()

    assert await under_way[1] == 4
    assert await pending[1] == 8
    assert road.batches == [[1, 2], [4]], "what was given up before it was sent is not sent"


async def test_an_error_is_that_of_its_batch_alone() -> None:
    road = Road()
    coalescer = Coalescer(road.send)
    first = await called(coalescer, 1)
    second = await called(coalescer, 2)
    road.fails = ValueError("no")
    await road.let_through()
    road.fails = None
    await road.let_through()

    with pytest.raises(ValueError, match="no"):
        await first[0]
    assert await second[0] == 4


async def test_at_the_end_whoever_waits_is_told() -> None:
    road = Road()
    coalescer = Coalescer(road.send)
    under_way = await called(coalescer, 1)
    pending = await called(coalescer, 2)
    await coalescer.close()

    for task in (*under_way, *pending):
        with pytest.raises(Unavailable, match="closed"):
            await task
    with pytest.raises(Unavailable, match="closed"):
        await coalescer.call(3)


async def test_it_goes_on_after_it_was_idle() -> None:
    road = Road()
    coalescer = Coalescer(road.send)
    for number in (1, 2):
        tasks = await called(coalescer, number)
        await road.let_through()
        assert await tasks[0] == number * 2


async def test_an_answer_that_is_missing_is_an_error_and_no_hang() -> None:
    async def short(_batch: Sequence[int]) -> list[int]:
        return []

    with pytest.raises(AssertionError, match="1 items were sent and 0 answers came"):
        await Coalescer(short).call(1)
