"""Two versions of a workflow, side by side: each run stays on the one that it began on.

A change that runs under way cannot take becomes a new version. Both are served until the last run of the old one has
ended; reference ids reach across, so that a start repeated after the deploy finds the run that is there.

    $ python examples/versioning.py
    before the deploy: o-1 on 1.0.0
    again, after it:   o-1 on 1.0.0
    a new one:         o-2 on 2.0.0
    o-1: billed at 20
    o-2: billed at 20, gift wrapped
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import aiki
from aiki import Event, Events, Run, task, workflow


class OrderEvents(Events):
    """What may happen to an order."""

    paid: Event[int]


@task
async def bill(order_id: str, amount: int) -> str:
    """Send the bill."""
    return f"{order_id}: billed at {amount}"


@task
async def wrap(order_id: str) -> str:
    """Wrap it as a gift."""
    return "gift wrapped"


order = workflow("order")


@order.version("1.0.0", events=OrderEvents)
async def order_v1(run: Run[OrderEvents], order_id: str) -> str:
    """As it was at first."""
    paid = await run.events.paid.wait()
    return await bill.start(run, order_id, paid.data)


@order.version("2.0.0", events=OrderEvents)
async def order_v2(run: Run[OrderEvents], order_id: str) -> str:
    """As it is now: it wraps before anybody has paid."""
    wrapped = await wrap.start(run, order_id)
    paid = await run.events.paid.wait()
    return f"{await bill.start(run, order_id, paid.data)}, {wrapped}"


async def main() -> None:
    """Deploy the second version while a run of the first one waits."""
    with TemporaryDirectory() as folder:
        async with aiki.local(Path(folder) / "orders.db", workflows=[order_v1]) as client:
            handle = await order_v1.options(reference_id="o-1").start(client, "o-1")
            print("before the deploy: o-1 on", handle.version)

        async with aiki.local(Path(folder) / "orders.db", workflows=[order_v1, order_v2]) as client:
            first = await order_v2.options(reference_id="o-1").start(client, "o-1")
            print("again, after it:   o-1 on", first.version)
            second = await order_v2.options(reference_id="o-2").start(client, "o-2")
            print("a new one:         o-2 on", second.version)

            for handle in (first, second):
                await handle.events.paid.send(20)
                print(await handle.result())


if __name__ == "__main__":
    asyncio.run(main())
