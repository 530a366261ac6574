"""Handles on runs that are there: by id and by reference, across versions; and starts by name, without the code."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

import aiki
from aiki import Event, Events, Run, RunNotFound, Version, testing, workflow


@dataclass
class Order:
    order_id: str
    seats: int = 1


@dataclass
class Bill:
    order_id: str
    amount: int


class OrderEvents(Events):
    paid: Event[int]


class LaterEvents(Events):
    paid: Event[int]
    rated: Event[str]


order = workflow("order")
other = workflow("other")


@order.version("1.0.0", events=OrderEvents)
async def order_v1(run: Run[OrderEvents], order: Order) -> str:
    paid = await run.events.paid.wait()
    return f"{order.order_id} paid with {paid.data}"


@order.version("2.0.0", events=LaterEvents)
async def order_v2(run: Run[LaterEvents], order: Order) -> Bill:
    paid = await run.events.paid.wait()
    return Bill(order.order_id, paid.data)


@other.version("1.0.0")
async def other_v1(run: Run, order: Order) -> str:
    return order.order_id


VERSIONS: list[Version[..., Any, Any]] = [order_v1, order_v2, other_v1]


async def test_a_handle_made_of_an_id_speaks_to_the_run_and_learns_its_version() -> None:
    async with testing.local(VERSIONS) as env:
        started = await order_v2.start(env, Order("o-1"))
        handle = order_v2.handle(env, started.id)

        assert (handle.id, handle.version) == (started.id, None)
        await handle.info()
        assert handle.version == "2.0.0"
        await handle.events.paid.send(20)
        assert await handle.result() == Bill("o-1", 20)


async def test_a_handle_of_one_version_serves_for_a_run_of_another() -> None:
    async with testing.local(VERSIONS) as env:
        handle = order_v2.handle(env, (await order_v1.start(env, Order("o-1"))).id)

        assert (await handle.info()).version == "1.0.0"
        with pytest.raises(aiki.InvalidInput, match=r"knows no event 'rated'; it knows paid"):
            await handle.events.rated.send("well")
        await handle.events.paid.send(20)
        await env.settle()
        assert (await handle.info()).status == "completed"
        with pytest.raises(aiki.InvalidInput, match="Bill"):
            await handle.result()
        assert await order_v1.handle(env, handle.id).result() == "o-1 paid with 20"


async def test_an_id_of_nothing_is_told_when_it_is_asked_for() -> None:
    async with testing.local(VERSIONS) as env:
        handle = order_v1.handle(env, "0190a5e2-0000-7000-8000-000000000000")

        for ask in (handle.info, handle.result, handle.cancel):
            with pytest.raises(RunNotFound):
                await ask()


async def test_a_run_is_found_by_its_reference_from_any_version_of_its_workflow() -> None:
    async with testing.local(VERSIONS) as env:
        started = await order_v1.options(reference_id="o-1").start(env, Order("o-1"))
        found = await order_v2.handle_by_reference(env, "o-1")

        assert (found.id, found.version) == (started.id, "1.0.0")
        await found.events.paid.send(20)
        assert await started.result() == "o-1 paid with 20"
        assert (await order_v1.handle_by_reference(env, "o-1")).id == started.id, "after its end, too"


async def test_a_reference_is_of_one_workflow_in_one_namespace() -> None:
    async with testing.local(VERSIONS) as env:
        await order_v1.options(reference_id="o-1").start(env, Order("o-1"))
        async with aiki.Client(transport=env.transport, namespace="elsewhere") as elsewhere:
            for ask in (
                other_v1.handle_by_reference(env, "o-1"),
                order_v1.handle_by_reference(env, "o-2"),
                order_v1.handle_by_reference(elsewhere, "o-1"),
            ):
                with pytest.raises(RunNotFound):
                    await ask


async def test_a_start_by_name_is_the_same_start_as_by_code() -> None:
    async with testing.local(VERSIONS) as env:
        by_name = await env.runs.start("order", "1.0.0", {"order": {"order_id": "o-1"}}, reference_id="o-1")
        by_code = await order_v1.options(reference_id="o-1").start(env, Order("o-1"))

        assert by_code.id == by_name.id
        await by_code.events.paid.send(20)
        assert await by_name.result() == "o-1 paid with 20"


async def test_a_start_by_name_that_nobody_serves_is_accepted_and_runs_once_somebody_does() -> None:
    async with testing.local() as env:
        handle = await env.runs.start("other", "1.0.0", {"order": {"order_id": "o-1", "seats": 4}}, tags={"a": "b"})
        assert handle.warnings
        assert (await env.runs.get(handle.id)).warnings

        async with aiki.Worker(env, [other_v1]):
            assert await handle.result() == "o-1"
        assert (await env.runs.get(handle.id)).tags == {"a": "b"}


async def test_a_result_by_name_is_plain_json() -> None:
    async with testing.local(VERSIONS) as env:
        handle = await env.runs.start("order", "2.0.0", {"order": {"order_id": "o-1"}})
        await order_v2.handle(env, handle.id).events.paid.send(20)

        assert await handle.result() == {"order_id": "o-1", "amount": 20}


async def test_many_may_wait_on_handles_of_one_run() -> None:
    async with testing.local(VERSIONS) as env:
        started = await order_v1.start(env, Order("o-1"))
        waiting = [asyncio.create_task(order_v1.handle(env, started.id).result()) for _ in range(50)]
        await env.settle()
        await started.events.paid.send(20)

        assert set(await asyncio.gather(*waiting)) == {"o-1 paid with 20"}
