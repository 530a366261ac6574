"""An order in which nothing is waited for longer than is good: an event, a task, a child and the whole run have their time.

What was waited for may still come. So what is no longer wanted is called off: here, the courier.

    $ python examples/order_with_timeouts.py
    silent kitchen: the restaurant did not answer
    slow courier:   the courier is too late, refunded
    slow bank:      the bank did not answer in time
    all is well:    delivered in 35 minutes
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import aiki
from aiki import Event, Events, Run, TaskFailed, TimedOut, task, workflow

KITCHEN_WITHIN: Final = timedelta(seconds=1)  # minutes=5
COURIER_WITHIN: Final = timedelta(seconds=1)  # minutes=45
BANK_WITHIN: Final = timedelta(seconds=0.5)  # seconds=30


@dataclass
class Order:
    """What a customer asks for, and who is slow today."""

    order_id: str
    is_bank_slow: bool = False
    is_courier_slow: bool = False


class OrderEvents(Events):
    """What the restaurant says."""

    accepted: Event[int]


@task(timeout=BANK_WITHIN)
async def charge(order: Order) -> None:
    """Charge the customer; each attempt is cut off when its time is over."""
    await asyncio.sleep(60 if order.is_bank_slow else 0)


@task
async def refund(order: Order) -> None:
    """Give the money back."""


courier = workflow("courier")
dinner = workflow("dinner")


@courier.version("1.0.0")
async def courier_v1(run: Run, order: Order) -> str:
    """Ride."""
    await run.sleep("ride", seconds=60 if order.is_courier_slow else 0.1)
    return "delivered"


@dinner.version("1.0.0", events=OrderEvents, timeout=timedelta(hours=12))
async def dinner_v1(run: Run[OrderEvents], order: Order) -> str:
    """Wait for the restaurant, the bank and the courier, each for as long as it is worth."""
    accepted = await run.events.accepted.wait(timeout=KITCHEN_WITHIN)
    if accepted.timed_out:
        return "the restaurant did not answer"
    try:
        await charge.start(run, order)
    except TaskFailed as error:
        return "the bank did not answer in time" if error.is_type(TimeoutError) else error.message

    ride = await courier_v1.start_as_child(run, order)
    try:
        return f"{await ride.result(timeout=COURIER_WITHIN)} in {accepted.data} minutes"
    except TimedOut:
        await ride.cancel("too late")
        await refund.start(run, order)
        return "the courier is too late, refunded"


async def main() -> None:
    """Order four dinners."""
    async with aiki.local(":memory:", workflows=[dinner_v1, courier_v1]) as client:
        silent = await dinner_v1.start(client, Order("o-1"))
        print("silent kitchen:", await silent.result())

        for words, order in {
            "slow courier:  ": Order("o-2", is_courier_slow=True),
            "slow bank:     ": Order("o-3", is_bank_slow=True),
            "all is well:   ": Order("o-4"),
        }.items():
            handle = await dinner_v1.start(client, order)
            await handle.events.accepted.send(35)
            print(words, await handle.result())


if __name__ == "__main__":
    asyncio.run(main())
