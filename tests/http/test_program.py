"""The same program, in one process without HTTP and over HTTP: it cannot tell."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import pytest

from aiki import Client, Event, Events, Run, RunCancelled, RunFailed, RunNotFound, Worker, task, workflow
from aiki.server.server import Server
from tests.http.world import UNKNOWN_RUN, served_world

WAITS = 2_000
REQUESTS_MAX = 12  # a handful, and not one for each

ride = workflow("ride")
order = workflow("order")
broken = workflow("broken")


@task
async def priced(items: list[str]) -> int:
    return 10 * len(items)


@ride.version("1.0.0")
async def ride_v1(run: Run, order_id: str) -> str:
    await run.sleep("road", milliseconds=20)
    return f"{order_id} delivered"


class OrderEvents(Events):
    accepted: Event[int]


@order.version("1.0.0", events=OrderEvents)
async def order_v1(run: Run[OrderEvents], order_id: str, items: list[str]) -> dict[str, object]:
    price = await priced.start(run, items)
    run.set("price/€", price)
    accepted = await run.events.accepted.wait(timeout=timedelta(minutes=1))
    child = await ride_v1.start_as_child(run, order_id)
    return {"price": price, "minutes": accepted.data, "delivery": await child.result()}


@broken.version("1.0.0")
async def broken_v1(run: Run) -> None:
    raise LookupError("no such dish")


@asynccontextmanager
async def _in_process() -> AsyncIterator[Client]:
    async with Server(":memory:") as server, Client(transport=server.transport()) as client:
        yield client


@asynccontextmanager
async def _over_http() -> AsyncIterator[Client]:
    async with served_world() as world, world.client() as client:
        yield client


@pytest.mark.parametrize("road", [_in_process, _over_http])
async def test_a_program_runs_the_same_over_either_road(
    road: Callable[[], AbstractAsyncContextManager[Client]],
) -> None:
    async with road() as client, Worker(client, workflows=[order_v1, ride_v1, broken_v1], name="w"):
        handle = await order_v1.options(reference_id="o/1", tags={"shop": "x"}).start(client, "o-1", ["soup", "rice"])
        await handle.events.accepted.send(35, reference_id="once")
        await handle.events.accepted.send(40, reference_id="once")
        result = await handle.result(timeout=20)
        failed = await broken_v1.start(client)
        with pytest.raises(RunFailed, match="no such dish"):
            await failed.result(timeout=20)
        cancelled = await order_v1.start(client, "o-2", [])
        await cancelled.cancel("enough")
        with pytest.raises(RunCancelled, match="enough"):
            await cancelled.result(timeout=20)
        again = await order_v1.handle_by_reference(client, "o/1")
        listed = await client.runs.list(workflow="order", tags={"shop": "x"})
        info = await handle.info()
        value = await handle.get("price/€")
        with pytest.raises(RunNotFound):
            await client.runs.get(UNKNOWN_RUN)

    assert result == {"price": 20, "minutes": 35, "delivery": "o-1 delivered"}
    assert (again.id, [run.id for run in listed.runs]) == (handle.id, [handle.id])
    assert (info.status, value) == ("completed", 20)


async def test_2000_clients_that_wait_cost_a_handful_of_requests() -> None:
    async with served_world() as world, world.client(timeout=30) as client:
        handles = await asyncio.gather(*(ride_v1.start(client, f"o-{number}") for number in range(WAITS)))
        waiting = [asyncio.create_task(handle.result()) for handle in handles]
        await world.until_open(1)

        await asyncio.gather(*(handle.terminate() for handle in handles))
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        requests = dict(world.api.requests)

    assert {type(end) for end in ended} == {RunCancelled}
    assert max(requests.values()) <= REQUESTS_MAX, requests
