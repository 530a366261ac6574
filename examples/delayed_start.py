"""Start it later: after a delay, at a moment, or sooner after all.

A run that starts later is on disk at once, `scheduled`, and may be cancelled or woken until its time has come.

    $ python examples/delayed_start.py
    in a while:  scheduled
    at a moment: scheduled
    in a year:   scheduled, woken: True
    to Ada: your trial ends soon
    to Bo: your invoice
    to Cy: happy new year
"""

import asyncio
from datetime import timedelta
from typing import Final

import aiki
from aiki import Run, task, workflow

A_WHILE: Final = timedelta(seconds=1)  # days=14


@task
async def write(name: str, message: str) -> str:
    """Write to a customer."""
    return f"to {name}: {message}"


letter = workflow("letter")


@letter.version("1.0.0")
async def letter_v1(run: Run, name: str, message: str) -> str:
    """Write one letter."""
    return await write.start(run, name, message)


async def main() -> None:
    """Start three letters, none of them now."""
    async with aiki.local(":memory:", workflows=[letter_v1]) as client:
        trial = await letter_v1.options(delay=A_WHILE).start(client, "Ada", "your trial ends soon")
        print("in a while: ", (await trial.info()).status)

        at = (await trial.info()).created_at + A_WHILE
        invoice = await letter_v1.options(start_at=at).start(client, "Bo", "your invoice")
        print("at a moment:", (await invoice.info()).status)

        wish = await letter_v1.options(delay=timedelta(days=365)).start(client, "Cy", "happy new year")
        print("in a year:  ", (await wish.info()).status + ", woken:", await wish.wake())

        for handle in (trial, invoice, wish):
            print(await handle.result())


if __name__ == "__main__":
    asyncio.run(main())
