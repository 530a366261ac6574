"""Start runs by the clock: a schedule has a name, a timing, and what it starts.

Each tick starts one run, also across restarts; activating the same again changes nothing, so a deploy may do it each time.

    $ python examples/scheduled_notify.py
    every second: good morning, ops / good morning, ops
    paused; by hand: good morning, ops
    weekdays at 9 in Oslo, next on a Monday: True
"""

import asyncio
from datetime import timedelta
from itertools import islice
from typing import Final

import aiki
from aiki import Run, task, workflow

MONDAY: Final = 0

sent: list[str] = []


@task
async def notify(whom: str) -> str:
    """Send a message."""
    sent.append(f"good morning, {whom}")
    return sent[-1]


digest = workflow("digest")


@digest.version("1.0.0")
async def digest_v1(run: Run, whom: str) -> str:
    """Send one digest."""
    return await notify.start(run, whom)


often = aiki.schedule("often", every=timedelta(seconds=1))
mornings = aiki.schedule("mornings", cron="0 9 * * 1-5", timezone="Europe/Oslo", overlap="skip", catch_up="none")


async def main() -> None:
    """Let one schedule tick twice, pause it, and trigger it by hand; look at another."""
    async with aiki.local(":memory:", workflows=[digest_v1]) as client:
        handle = await often.activate(client, digest_v1, "ops")
        await often.activate(client, digest_v1, "ops")  # nothing changes
        while len(sent) < 2:
            await asyncio.sleep(0.05)
        print("every second:", " / ".join(islice(sent, 2)))

        await handle.pause()
        run = await handle.trigger()
        assert run is not None, "it is None only where overlap is skip, and another run is open"
        print((await handle.info()).status + "; by hand:", await run.result())

        weekdays = await mornings.activate(client, digest_v1, "ops")
        ticks = (await weekdays.info()).next
        print("weekdays at 9 in Oslo, next on a Monday:", MONDAY in {tick.weekday() for tick in ticks})

        for each in (handle, weekdays):
            await each.deactivate()


if __name__ == "__main__":
    asyncio.run(main())
