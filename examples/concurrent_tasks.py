"""Tasks side by side: all of them with `gather`, the first of them with `wait`, as with any coroutines.

On replay they finish in the order that is on record, so the code comes to the same decisions.

    $ python examples/concurrent_tasks.py
    prices: {'bike': 9, 'car': 12, 'drone': 7}
    drone is cheapest
    car accepted first
"""

import asyncio
from typing import Final

import aiki
from aiki import Run, task, workflow

PRICES: Final = {"bike": 9, "car": 12, "drone": 7}
ANSWERS_AFTER_S: Final = {"bike": 0.4, "car": 0.1, "drone": 0.5}


@task
async def ask_price(carrier: str) -> int:
    """Ask a carrier what it takes."""
    return PRICES[carrier]


@task
async def offer(carrier: str) -> str:
    """Offer it to a carrier, and return once it has accepted."""
    await asyncio.sleep(ANSWERS_AFTER_S[carrier])
    return carrier


delivery = workflow("delivery")


@delivery.version("1.0.0")
async def delivery_v1(run: Run, carriers: list[str]) -> dict[str, str]:
    """Ask all for their price, and offer it to all; whoever accepts first has it."""
    prices = await asyncio.gather(*(ask_price.start(run, carrier) for carrier in carriers))
    run.set("prices", dict(zip(carriers, prices, strict=True)))

    offers = [asyncio.create_task(offer.start(run, carrier)) for carrier in carriers]
    done, pending = await asyncio.wait(offers, return_when=asyncio.FIRST_COMPLETED)
    for late in pending:
        late.cancel()  # withdrawn: they leave nothing on record
    return {"cheapest": carriers[prices.index(min(prices))], "first": done.pop().result()}


async def main() -> None:
    """Deliver something."""
    async with aiki.local(":memory:", workflows=[delivery_v1]) as client:
        handle = await delivery_v1.start(client, list(PRICES))
        found = await handle.result()
        print("prices:", await handle.get("prices"))
        print(found["cheapest"], "is cheapest")
        print(found["first"], "accepted first")


if __name__ == "__main__":
    asyncio.run(main())
