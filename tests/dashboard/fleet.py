"""A believable shop: workflows of several kinds, with runs in every status, for tests of pages and for pictures of them.

The rule: everything here is started and executed as users do it, and what has to fail fails in the author's code.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

from msgspec import Struct

from aiki import Client, Event, Events, NonRetryable, Retry, Run, Worker, current_task, task, workflow

ORDERS: Final = 24


class Order(Struct):
    order_id: str
    customer_id: str
    amount_cents: int = 2_450
    items: list[str] = []


class Acceptance(Struct):
    estimated_minutes: int
    note: str | None = None


class Refund(Struct):
    order_id: str
    reason: str


class OrderEvents(Events):
    restaurant_accepted: Event[Acceptance]
    customer_called: Event[str]


class CardDeclined(Exception):
    pass


@task
async def check_address(order_id: str) -> dict[str, Any]:
    await asyncio.sleep(0.02)
    return {"order_id": order_id, "is_known": True, "zone": "north-3"}


@task
async def notify_restaurant(order_id: str) -> None:
    await asyncio.sleep(0.01)


@task(retry=Retry.fixed(max_attempts=4, delay=0.05))
async def charge_card(customer_id: str, amount_cents: int) -> str:
    await asyncio.sleep(0.015)
    if current_task().attempt < 3:
        raise TimeoutError("the bank did not answer within 5 s")
    return f"charge-{customer_id}"


@task(retry=Retry.fixed(max_attempts=5, delay=3_600))
async def reserve_courier(order_id: str) -> str:
    raise ConnectionError("dispatch.example.com:443 refused the connection")


@task
async def notify_customer(customer_id: str, message: str) -> None:
    await asyncio.sleep(0.01)


@task
async def decline_card(customer_id: str) -> None:
    raise NonRetryable(
        f"card of {customer_id} was declined: insufficient funds", details={"bank_code": 51, "is_final": True}
    )


@task
async def render_page(number: int) -> dict[str, int]:
    await asyncio.sleep(0.01 + (number % 5) / 100)
    return {"page": number, "bytes": 20_000 + number * 31}


@task
async def long_export(rows: int) -> int:
    for done in range(rows):
        current_task().heartbeat({"done": done, "of": rows})
        await asyncio.sleep(0.2)
    return rows


courier_delivery = workflow("courier-delivery")


@courier_delivery.version("1.0.0")
async def courier_delivery_v1(run: Run, order: Order) -> str:
    run.set("position", {"lat": 52.52, "lon": 13.405})
    await run.sleep("ride", minutes=20)
    return f"{order.order_id} delivered"


restaurant_order = workflow("restaurant-order")


@restaurant_order.version("2.1.0", events=OrderEvents)
async def restaurant_order_v2(run: Run[OrderEvents], order: Order) -> dict[str, str]:
    await asyncio.gather(check_address.start(run, order.order_id), notify_restaurant.start(run, order.order_id))
    run.set("progress", "waiting for the restaurant")
    response = await run.events.restaurant_accepted.wait(timeout=timedelta(hours=4))
    if response.timed_out:
        return {"status": "cancelled"}
    charge = await charge_card.start(run, order.customer_id, order.amount_cents)
    run.set("progress", f"{charge}, {response.data.estimated_minutes} minutes")
    delivery = await courier_delivery_v1.start_as_child(run, order)
    await delivery.wait_for_status("completed")
    await notify_customer.start(run, order.customer_id, "Enjoy your meal.")
    return {"status": "completed"}


refund = workflow("refund")


@refund.version("1.3.0")
async def refund_v1(run: Run, request: Refund) -> dict[str, str]:
    await check_address.start(run, request.order_id)
    if "declined" in request.reason:
        await decline_card.start(run, request.order_id)
    await notify_customer.start(run, request.order_id, "You will have your money back in two days.")
    return {"refunded": request.order_id}


dispatch_courier = workflow("dispatch-courier")


@dispatch_courier.version("0.9.2")
async def dispatch_v1(run: Run, order_id: str) -> str:
    return await reserve_courier.start(run, order_id)


nightly_report = workflow("nightly-report")


@nightly_report.version("3.0.0")
async def nightly_report_v3(run: Run, pages: int) -> dict[str, int]:
    rendered = await asyncio.gather(*(render_page.start(run, number) for number in range(pages)))
    await run.sleep("let-caches-settle", 0.05)
    return {"pages": len(rendered), "bytes": sum(page["bytes"] for page in rendered)}


export = workflow("customer-export")


@export.version("1.0.0")
async def export_v1(run: Run, rows: int) -> int:
    return await long_export.start(run, rows)


ledger = workflow("ledger")


@ledger.version("1.0.0")
async def ledger_v1(run: Run, entries: int) -> int:
    for number in range(entries):
        await run.sleep(f"entry-{number}", 0)
    return entries


stuck = workflow("stock-count")


@stuck.version("1.0.0")
async def stuck_v1(run: Run, shelf: str) -> None:
    await asyncio.get_running_loop().create_future()


WORKFLOWS: Final = (
    courier_delivery_v1,
    restaurant_order_v2,
    refund_v1,
    dispatch_v1,
    nightly_report_v3,
    export_v1,
    ledger_v1,
    stuck_v1,
)
CUSTOMERS: Final = ("ada", "grace", "edsger", "barbara", "donald", "frances", "ken", "radia")


@asynccontextmanager
async def working(client: Client) -> AsyncIterator[None]:
    """Have all of it executed."""
    async with Worker(client, workflows=list(WORKFLOWS), name="shop-worker-1"):
        yield


async def populate(client: Client, *, orders: int = ORDERS) -> dict[str, str]:
    """Start runs that end up in every status; return ids of some by what they are."""
    named: dict[str, str] = {}
    for number in range(orders):
        customer = CUSTOMERS[number % len(CUSTOMERS)]
        order = Order(f"order-{4700 + number}", customer, 1_000 + 173 * number, ["ramen", "gyoza"][: 1 + number % 2])
        version = restaurant_order_v2.options(
            reference_id=order.order_id, tags={"city": ("berlin", "porto")[number % 2]}
        )
        handle = await version.start(client, order)
        if number % 3 == 0:
            await handle.events.restaurant_accepted.send(Acceptance(estimated_minutes=20 + number))
            named["delivering"] = handle.id
        else:
            named["awaiting"] = handle.id
        if number % 7 == 5:
            await handle.cancel("the customer called: wrong address")
            named["cancelled"] = handle.id
        if number == 11:
            await handle.events.customer_called.send("where is my food?")
            named["order"] = handle.id
    for number in range(6):
        request = Refund(f"order-{4600 + number}", "card declined" if number % 2 else "cold food")
        run = await refund_v1.options(reference_id=f"refund-{4600 + number}").start(client, request)
        named["failed" if number % 2 else "completed"] = run.id
    named["retrying"] = (await dispatch_v1.start(client, "order-4699")).id
    named["report"] = (await nightly_report_v3.options(tags={"kind": "report"}).start(client, 24)).id
    named["exporting"] = (await export_v1.options(reference_id="export-customers").start(client, 10_000)).id
    named["stalled"] = (await stuck_v1.start(client, "B-12")).id
    named["scheduled"] = (await nightly_report_v3.options(delay=timedelta(hours=9)).start(client, 40)).id
    named["queued"] = (await client.runs.start("invoice-archive", "1.0.0", {"month": "2026-10"})).id
    return named
