"""Try again until it works: by a policy of the task, by what the task itself says, and by a loop of the workflow.

A policy is for what fails for seconds. A loop with a durable sleep is for what takes days, with as much to decide
between two attempts as you like.

    $ python examples/retry_until_success.py
    charge, attempt 1: the bank does not answer
    charge, attempt 2: the bank is busy
    charge, attempt 3: done
    the parcel is packed
    the parcel is on its way
    the parcel is delivered
    20 charged; refund: card is closed
"""

import asyncio
from datetime import timedelta
from typing import Final

import aiki
from aiki import NonRetryable, Retry, RetryAfter, Run, TaskFailed, current_task, task, workflow

LOOK_EVERY: Final = timedelta(seconds=0.2)  # hours=6
LOOKS_MAX: Final = 1_000

STAGES: Final = iter(["packed", "on its way", "delivered"])  # the carrier's state, elsewhere in the world


@task(retry=Retry.exponential(max_attempts=5, base_delay=0.1))
async def charge(amount: int) -> int:
    """Charge a card, at a bank that has a bad day."""
    attempt = current_task().attempt
    match attempt:
        case 1:
            print("charge, attempt 1: the bank does not answer")
            raise ConnectionError("no answer")
        case 2:
            print("charge, attempt 2: the bank is busy")
            raise RetryAfter(0.3)  # as its answer asks, instead of the policy's delay
    print(f"charge, attempt {attempt}: done")
    return amount


@task(retry=Retry.exponential(max_attempts=5, base_delay=0.1))
async def refund(amount: int) -> None:
    """Meet a refusal that no attempt would change."""
    raise NonRetryable("card is closed")


@task
async def look_at_parcel() -> str:
    """Ask the carrier where it is."""
    stage = next(STAGES)
    print("the parcel is", stage)
    return stage


shipment = workflow("shipment")


@shipment.version("1.0.0")
async def shipment_v1(run: Run, amount: int) -> str:
    """Charge, wait until the parcel is there, and try to give the money back."""
    charged = await charge.start(run, amount)
    for _ in range(LOOKS_MAX):
        if await look_at_parcel.start(run) == "delivered":
            break
        await run.sleep("look again", LOOK_EVERY)
    try:
        await refund.start(run, amount)
    except TaskFailed as error:
        return f"{charged} charged; refund: {error.message}"
    return "refunded"


async def main() -> None:
    """Ship something."""
    async with aiki.local(":memory:", workflows=[shipment_v1]) as client:
        handle = await shipment_v1.start(client, 20)
        print(await handle.result())


if __name__ == "__main__":
    asyncio.run(main())
