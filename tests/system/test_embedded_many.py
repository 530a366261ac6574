"""Many runs at once: the same results however many are kept in memory, and a handful of transactions for all of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aiki import Client, Event, Events, Run, Version, Worker, task, testing, workflow
from aiki.clock import Chance
from aiki.model.wire import WaitAnswer, WaitRequest
from aiki.server.server import Server
from aiki.testing import VirtualClock, VirtualLoop

RUNS = 1_000


class Go(Events):
    go: Event[int]


executed: list[tuple[str, int]] = []


@pytest.fixture(autouse=True)
def nothing_executed() -> None:
    """Forget what other tests have executed."""
    executed.clear()


@task
async def add(name: str, number: int) -> int:
    executed.append((name, number))
    return number + 1


@task
def double(number: int) -> int:
    executed.append(("double", number))
    return number * 2


leaf = workflow("leaf")


@leaf.version("1")
async def leaf_v1(run: Run, number: int) -> int:
    await run.sleep("growing", minutes=number % 7)
    return await add.start(run, "leaf", number)


tree = workflow("tree")


@tree.version("1", events=Go)
async def tree_v1(run: Run[Go], number: int) -> list[int]:
    found = [await add.start(run, "first", number)]
    await run.sleep("night", hours=number % 5)
    found.append((await run.events.go.wait()).data)
    children = [await leaf_v1.start_as_child(run, number + place) for place in range(2)]
    found += await asyncio.gather(*(child.result() for child in children))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(add.start(run, name, number)) for name in "xyz"]
    found += [done.result() for done in tasks]
    found.append(await double.start(run, number))
    return found


@workflow("one-task").version("1")
async def one_task_v1(run: Run, number: int) -> int:
    return await add.start(run, "only", number)


@pytest.mark.parametrize("parked", [0, 1, 7, 1000])
async def test_results_do_not_depend_on_how_many_runs_are_kept_in_memory(parked: int) -> None:
    async with testing.local(workflows=[tree_v1, leaf_v1], max_parked_runs=parked) as env:
        handles = [await tree_v1.start(env, number) for number in range(30)]
        for number, handle in enumerate(handles):
            await handle.events.go.send(number * 100)
        results = await asyncio.gather(*(handle.result() for handle in handles))

    for number, found in enumerate(results):
        once = number + 1
        assert found == [once, number * 100, once, once + 1, once, once, once, number * 2]
    assert len(executed) == 30 * 7


class CountingTransport:
    """A road to a server that counts the calls made on it."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.items: dict[str, list[int]] = {"start": [], "send": [], "commit": []}
        self.waits = 0

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._transport, name)
        counted = self.items.get(name)
        if counted is None:
            return call

        async def count(items: Sequence[Any]) -> Any:
            counted.append(len(items))
            return await call(items)

        return count

    async def wait(self, request: WaitRequest) -> WaitAnswer:
        self.waits += 1
        answer: WaitAnswer = await self._transport.wait(request)
        return answer


@asynccontextmanager
async def platform(*workflows: Version[..., Any, Any]) -> AsyncIterator[tuple[Server, CountingTransport, Client]]:
    """Return the parts of the platform, put together by hand."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock, chance = VirtualClock(loop), Chance(seed=1)
    async with Server(":memory:", clock=clock, chance=chance) as server:
        transport = CountingTransport(server.transport())
        async with Client(transport=transport, clock=clock, chance=chance) as client:
            if not workflows:
                yield server, transport, client
                return
            async with Worker(client, workflows):
                yield server, transport, client


async def test_a_thousand_starts_at_once_cost_a_handful_of_transactions() -> None:
    async with platform() as (server, transport, client):
        before = server.pipeline.transactions
        await asyncio.gather(*(one_task_v1.start(client, number) for number in range(RUNS)))
        transactions = server.pipeline.transactions - before

    assert sum(transport.items["start"]) == RUNS
    assert len(transport.items["start"]) <= 2
    assert transactions <= 3


async def test_a_thousand_runs_of_one_task_cost_fewer_than_a_transaction_for_ten() -> None:
    async with platform(one_task_v1) as (server, transport, client):
        before = server.pipeline.transactions
        handles = await asyncio.gather(*(one_task_v1.start(client, number) for number in range(RUNS)))
        results = await asyncio.gather(*(handle.result() for handle in handles))
        transactions = server.pipeline.transactions - before

    assert results == [number + 1 for number in range(RUNS)]
    assert sum(transport.items["commit"]) == RUNS  # one task, one commit, which ends the run too
    assert transactions <= RUNS / 10
    assert len(executed) == RUNS


async def test_a_thousand_who_wait_share_a_few_requests() -> None:
    async with platform(one_task_v1) as (_, transport, client):
        handles = await asyncio.gather(*(one_task_v1.options(delay=60).start(client, number) for number in range(RUNS)))
        await asyncio.gather(*(handle.result() for handle in handles))

    assert transport.waits <= 60


async def test_a_thousand_events_at_once_share_a_few_requests() -> None:
    async with platform(tree_v1, leaf_v1) as (_, transport, client):
        handle = await tree_v1.start(client, 0)
        await asyncio.gather(*(handle.events.go.send(number) for number in range(RUNS)))
        assert (await handle.result())[1] == 0

    assert sum(transport.items["send"]) == RUNS
    assert len(transport.items["send"]) <= 2
