"""The program of the first page of the documentation, as a file that `aiki dev` and `aiki worker` serve."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from aiki import Client, Event, Events, Run, Worker, task, workflow


@dataclass
class Order:
    order_id: str
    customer_id: str


@dataclass
class Acceptance:
    estimated_minutes: int


@task
async def notify_restaurant(order_id: str) -> None: ...


@task
async def notify_customer(customer_id: str, message: str) -> None: ...


@task
def send_feedback_email(order: Order) -> None: ...


courier_delivery = workflow("courier-delivery")


@courier_delivery.version("1.0.0")
async def courier_delivery_v1(run: Run, order: Order) -> str:
    await run.sleep("ride", minutes=20)
    return f"{order.order_id} delivered"


class RestaurantOrderEvents(Events):
    restaurant_accepted: Event[Acceptance]


restaurant_order = workflow("restaurant-order")


@restaurant_order.version("1.0.0", events=RestaurantOrderEvents)
async def restaurant_order_v1(run: Run[RestaurantOrderEvents], order: Order, minutes: float = 5) -> dict[str, str]:
    await notify_restaurant.start(run, order.order_id)

    response = await run.events.restaurant_accepted.wait(timeout=timedelta(minutes=minutes))
    if response.timed_out:
        await notify_customer.start(run, order.customer_id, "The restaurant did not respond. Order cancelled.")
        return {"status": "cancelled"}
    await notify_customer.start(run, order.customer_id, f"Confirmed: {response.data.estimated_minutes} minutes")

    delivery = await courier_delivery_v1.start_as_child(run, order)
    if not await delivery.wait_for_status("completed"):
        await notify_customer.start(run, order.customer_id, "The courier could not deliver. You will be refunded.")
        return {"status": "undelivered"}

    await run.sleep("feedback-delay", days=1)
    await send_feedback_email.start(run, order)
    return {"status": "completed"}


worker = Worker(Client(), workflows=[restaurant_order_v1, courier_delivery_v1], name="order-worker")


async def main() -> None:
    async with Client() as client:
        handle = await restaurant_order_v1.start(client, Order(order_id="order-123", customer_id="customer-456"))
        print(handle.id, flush=True)
        await handle.events.restaurant_accepted.send(Acceptance(estimated_minutes=35))
        print(await handle.result())


if __name__ == "__main__":
    asyncio.run(main())
