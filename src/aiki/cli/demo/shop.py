"""The workflows of the demo's fleet: a shop with orders, couriers, refunds, reports and what goes wrong with them.

The rule: everything here is written as users write theirs, and what has to fail fails in this code.
"""

import asyncio
from datetime import timedelta
from typing import Final

from msgspec import Struct

from aiki import Event, Events, NonRetryable, Retry, Run, current_task, task, workflow

CALL_S: Final = 0.08
ROWS_S: Final = 0.4


class Order(Struct):
    """What somebody wants to eat."""

    order_id: str
    customer_id: str
    amount_cents: int
    items: list[str] = []


class Acceptance(Struct):
    """The restaurant's word."""

    estimated_minutes: int


class Refund(Struct):
    """Money that somebody wants back."""

    order_id: str
    reason: str


class OrderEvents(Events):
    """What an order is sent."""

    restaurant_accepted: Event[Acceptance]


@task
async def notify_restaurant(order_id: str) -> str:
    """Tell the kitchen."""
    await asyncio.sleep(CALL_S)
    return f"ticket of {order_id}"


@task
async def check_address(order_id: str) -> str:
    """Look up where it goes."""
    await asyncio.sleep(2 * CALL_S)
    return f"north-{len(order_id)}"


@task(retry=Retry.fixed(max_attempts=4, delay=0.4))
async def charge_card(customer_id: str, amount_cents: int) -> str:
    """Take the money; the bank is slow to answer."""
    await asyncio.sleep(CALL_S)
    if current_task().attempt < 1 + amount_cents % 3:
        raise TimeoutError("the bank did not answer within 5 s")
    return f"charge-{customer_id}"


@task
async def decline_card(order_id: str) -> None:
    """Find that there is no money."""
    raise NonRetryable(f"the card of {order_id} was declined: insufficient funds", details={"bank_code": 51})


@task(retry=Retry.fixed(max_attempts=6, delay=900))
async def reserve_courier(order_id: str) -> str:
    """Ask for a courier where nobody answers."""
    raise ConnectionError(f"dispatch.example.com:443 refused the connection ({order_id})")


@task
async def notify_customer(customer_id: str, message: str) -> str:
    """Write to the customer."""
    await asyncio.sleep(CALL_S)
    return f"to {customer_id}: {message}"


@task
async def render_page(number: int) -> int:
    """Draw a page of a report."""
    await asyncio.sleep(CALL_S * (1 + number % 5))
    return 20_000 + number * 31


@task
async def write_rows(rows: int) -> int:
    """Write a large file, and say how far it is."""
    for done in range(rows):
        current_task().heartbeat({"done": done, "of": rows})
        await asyncio.sleep(ROWS_S)
    return rows


delivery_workflow = workflow("courier-delivery")
order_workflow = workflow("restaurant-order")
refund_workflow = workflow("refund")
dispatch_workflow = workflow("dispatch-courier")
report_workflow = workflow("nightly-report")
export_workflow = workflow("customer-export")
stock_workflow = workflow("stock-count")


@delivery_workflow.version("1.0.0")
async def delivery(run: Run, order: Order) -> str:
    """Ride to the customer."""
    run.set("position", {"lat": 52.52, "lon": 13.405})
    await run.sleep("ride", seconds=5 + order.amount_cents % 40)
    return f"{order.order_id} delivered"


@order_workflow.version("1.8.0", events=OrderEvents)
async def order_v1(run: Run[OrderEvents], order: Order) -> str:
    """See an order through, as it was done last year."""
    await notify_restaurant.start(run, order.order_id)
    response = await run.events.restaurant_accepted.wait(timeout=timedelta(hours=4))
    return "too late" if response.timed_out else await charge_card.start(run, order.customer_id, order.amount_cents)


@order_workflow.version("2.1.0", events=OrderEvents)
async def order_v2(run: Run[OrderEvents], order: Order) -> dict[str, str]:
    """See an order through."""
    await asyncio.gather(check_address.start(run, order.order_id), notify_restaurant.start(run, order.order_id))
    run.set("progress", "waiting for the restaurant")
    response = await run.events.restaurant_accepted.wait(timeout=timedelta(hours=4))
    if response.timed_out:
        return {"status": "cancelled"}
    charge = await charge_card.start(run, order.customer_id, order.amount_cents)
    run.set("progress", f"{charge}, {response.data.estimated_minutes} minutes")
    ride = await delivery.start_as_child(run, order)
    await ride.wait_for_status("completed")
    await notify_customer.start(run, order.customer_id, "Enjoy your meal.")
    return {"status": "completed"}


@refund_workflow.version("1.3.0")
async def refund(run: Run, request: Refund) -> dict[str, str]:
    """Give money back."""
    await check_address.start(run, request.order_id)
    if "declined" in request.reason:
        await decline_card.start(run, request.order_id)
    await notify_customer.start(run, request.order_id, "You will have your money back in two days.")
    return {"refunded": request.order_id}


@dispatch_workflow.version("0.9.2")
async def dispatch(run: Run, order_id: str) -> str:
    """Find a courier."""
    return await reserve_courier.start(run, order_id)


@report_workflow.version("3.0.0")
async def report(run: Run, pages: int) -> int:
    """Draw a report, all pages at once."""
    return sum(await asyncio.gather(*(render_page.start(run, number) for number in range(pages))))


@export_workflow.version("1.0.0")
async def export(run: Run, rows: int) -> int:
    """Write all customers into a file."""
    return await write_rows.start(run, rows)


@stock_workflow.version("1.0.0")
async def stock_count(run: Run, shelf: str) -> None:
    """Wait for what never comes: a mistake that stalls the run."""
    run.set("shelf", shelf)
    await asyncio.get_running_loop().create_future()


KITCHEN: Final = (order_v1, order_v2, delivery)
OFFICE: Final = (refund, dispatch, report, export, stock_count)
