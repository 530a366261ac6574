"""What the applications beside this file serve: a workflow of one task, one event and one more task."""

from dataclasses import dataclass
from datetime import timedelta

from aiki import Event, Events, Run, task, workflow


@dataclass
class Order:
    """What a customer asks for."""

    order_id: str
    amount: int


class OrderEvents(Events):
    """What may happen to an order while it waits."""

    approved: Event[str]


@task
async def reserve(order: Order) -> str:
    """Reserve what was ordered."""
    return f"{order.order_id} reserved"


@task
def bill(order: Order) -> str:
    """Send the bill. A plain function runs in a thread."""
    return f"{order.order_id} billed at {order.amount}"


order = workflow("order")


@order.version("1.0.0", events=OrderEvents)
async def order_v1(run: Run[OrderEvents], order: Order) -> list[str]:
    """Reserve, wait for somebody's approval, bill."""
    reserved = await reserve.start(run, order)
    approval = await run.events.approved.wait(timeout=timedelta(days=1))
    if not approval:
        return [reserved, "nobody approved it"]
    return [reserved, f"approved by {approval.data}", await bill.start(run, order)]
