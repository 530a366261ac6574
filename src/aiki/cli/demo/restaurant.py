"""An order at a restaurant, in a program that may be killed at any moment: what `aiki demo` runs.

Run it, kill it with `kill -9`, run it again: the order goes on where it was. Or give it a server and workers of its own:
`aiki server`, `aiki worker restaurant.py:kitchen`, `aiki worker restaurant.py:courier`, and kill any of them. It leaves
`restaurant.db` (the runs), and what the outside world has seen: `requests.jsonl` (every request) and `couriers/` (the
courier company's bookings).

The rule: it is written with what `aiki` exports and nothing else, as a program of yours would be.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import aiki
from aiki import Client, Event, Events, Run, Worker, task, workflow

DATABASE: Final = "restaurant.db"
REQUESTS: Final = Path("requests.jsonl")
COURIERS: Final = Path("couriers")


@dataclass
class Order:
    """What a customer ordered."""

    order_id: str
    customer_id: str


@dataclass
class Acceptance:
    """The restaurant's yes."""

    estimated_minutes: int


# ---- tasks: what has effects. Executed at least once, their result recorded once -------------------------------------


@task
async def notify_restaurant(order_id: str) -> None:
    """Show the order on the restaurant's tablet."""
    request(f"new order {order_id}")
    await asyncio.sleep(0.4)


@task
async def notify_customer(customer_id: str, message: str) -> None:
    """Send the customer a message."""
    request(f"to {customer_id}: {message}")
    await asyncio.sleep(0.4)


@task
async def send_courier(order_id: str) -> str:
    """Book a courier, and see him off."""
    request(f"a courier for {order_id}")
    # The company keeps one booking for each key, however often it is asked.
    COURIERS.mkdir(exist_ok=True)
    (COURIERS / aiki.current_task().idempotency_key).touch()
    await asyncio.sleep(2.5)
    return "Kim"


@task
async def send_receipt(order: Order) -> None:
    """Send the bill, while the courier is under way."""
    request(f"to {order.customer_id}: your receipt")
    await asyncio.sleep(0.6)


@task
def send_feedback_email(order: Order) -> None:
    """Ask how it was."""
    request(f"to {order.customer_id}: how was it?")


def request(message: str) -> None:
    """Stand for a request to another system: it is noted where no journal of ours could take it back."""
    here = aiki.current_task()
    line = {"run": here.run_id, "task": here.name, "key": here.idempotency_key, "pid": os.getpid(), "message": message}
    with REQUESTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


# ---- workflows: plain Python that is replayed ------------------------------------------------------------------------

courier_delivery = workflow("courier-delivery")


@courier_delivery.version("1.0.0")
async def courier_delivery_v1(run: Run, order: Order) -> str:
    """Deliver an order."""
    courier, _ = await asyncio.gather(
        send_courier.start(run, order.order_id),
        run.sleep("ride", seconds=6),
    )
    return f"{courier} delivered {order.order_id}"


class RestaurantOrderEvents(Events):
    """What can be sent to an order."""

    restaurant_accepted: Event[Acceptance]


restaurant_order = workflow("restaurant-order")


@restaurant_order.version("1.0.0", events=RestaurantOrderEvents)
async def restaurant_order_v1(run: Run[RestaurantOrderEvents], order: Order) -> dict[str, str]:
    """See an order through, from the kitchen to the customer's opinion."""
    await notify_restaurant.start(run, order.order_id)

    response = await run.events.restaurant_accepted.wait(timeout=timedelta(minutes=5))
    if response.timed_out:
        await notify_customer.start(run, order.customer_id, "The restaurant did not respond. Order cancelled.")
        return {"status": "cancelled"}
    await notify_customer.start(run, order.customer_id, f"Confirmed: {response.data.estimated_minutes} minutes")

    delivery = await courier_delivery_v1.start_as_child(run, order)
    await send_receipt.start(run, order)
    if not await delivery.wait_for_status("completed"):
        await notify_customer.start(run, order.customer_id, "The courier could not deliver. You will be refunded.")
        return {"status": "undelivered"}

    await run.sleep("feedback-delay", seconds=1.5)
    await send_feedback_email.start(run, order)
    return {"status": "completed"}


# ---- workers for a server; nothing happens to them where the program runs embedded -------------------------------------

WORKFLOWS: Final = (restaurant_order_v1, courier_delivery_v1)

kitchen = Worker(Client(), workflows=WORKFLOWS, name="kitchen", max_concurrent_runs=1)
courier = Worker(Client(), workflows=[courier_delivery_v1], name="courier")


# ---- the program. Each start of it does the same: the reference ids make a repetition the same order -------------------


async def take_order(client: Client) -> dict[str, str]:
    """Place order-123, accept it as the restaurant would, and wait for how it ends."""
    order = Order(order_id="order-123", customer_id="customer-456")
    handle = await restaurant_order_v1.options(reference_id=order.order_id).start(client, order)

    await asyncio.sleep(0.8)
    with suppress(aiki.RunEnded):
        await handle.events.restaurant_accepted.send(Acceptance(estimated_minutes=35), reference_id="tablet-7")
    return await handle.result()


async def main() -> None:
    """Take the order, embedded: server, worker and client in this process, on one file."""
    async with aiki.local(DATABASE, workflows=WORKFLOWS) as client:
        print(await take_order(client))


if __name__ == "__main__":
    asyncio.run(main())
