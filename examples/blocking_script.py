"""A plain script that does not await: it starts runs, speaks to them and waits for them, with `BlockingClient`.

So that one command is enough, `main` serves the workflow in this process. Elsewhere a server and a worker of their own do
(`aiki dev examples/blocking_script.py`), and `script()` is the whole program.

    $ python examples/blocking_script.py
    the same run: True
    o-1 in 35 minutes
    completed: ['o-1']
"""

import asyncio

import aiki
from aiki import BlockingClient, Event, Events, Run, workflow


class OrderEvents(Events):
    """What may happen to an order."""

    accepted: Event[int]


order = workflow("order")


@order.version("1.0.0", events=OrderEvents)
async def order_v1(run: Run[OrderEvents], order_id: str) -> str:
    """Wait until somebody accepts it."""
    minutes = await run.events.accepted.wait()
    return f"{order_id} in {minutes.data} minutes"


def script(url: str | None = None) -> None:
    """Do all of it without a single `await`. Without a URL: AIKI_URL, or http://localhost:9850."""
    with BlockingClient(url) as client:
        handle = order_v1.options(reference_id="o-1").start(client, "o-1")
        again = order_v1.options(reference_id="o-1").start(client, "o-1")
        print("the same run:", again.id == handle.id)

        handle.send(OrderEvents.accepted, 35)
        print(handle.result(timeout=10))

        done = client.runs.list(workflow="order", status="completed").runs
        print("completed:", [run.reference_id for run in done])


async def main() -> None:
    """Serve the workflow, with HTTP on any port that is free, and let the script run beside it."""
    async with aiki.local(":memory:", workflows=[order_v1], port=0) as client:
        await asyncio.to_thread(script, client.url)


if __name__ == "__main__":
    asyncio.run(main())
