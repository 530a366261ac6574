"""A long pipeline with an approval: it works, asks a person, reminds, and goes on or gives up.

While it waits, for minutes or for months, it holds no thread and no memory that counts; the process may be gone. What is
published with `run.set` tells how far it has got.

    $ python examples/approval_pipeline.py
    reminder 1 to ops
    reminder 2 to ops
    approved by Ada, published 3 rows of 3
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import aiki
from aiki import Event, Events, Handle, Run, task, workflow

REMIND_EVERY: Final = timedelta(seconds=0.5)  # days=1
REMINDERS_MAX: Final = 5
RIPENS_FOR: Final = timedelta(seconds=0.2)  # hours=6


@dataclass
class Approval:
    """What a person says."""

    by: str
    is_granted: bool = True


class ReportEvents(Events):
    """What may come from outside while a report is made."""

    reviewed: Event[Approval]


@task
async def extract(source: str) -> list[str]:
    """Fetch what the report is made of."""
    return [f"{source}-{number}" for number in range(3)]


@task
async def transform(rows: list[str]) -> list[str]:
    """Make it presentable."""
    return [row.upper() for row in rows]


@task
async def remind(whom: str, number: int) -> None:
    """Send a reminder."""
    print("reminder", number, "to", whom)


@task
async def publish(rows: list[str]) -> int:
    """Put it where others see it."""
    return len(rows)


report = workflow("report")


@report.version("1.0.0", events=ReportEvents)
async def report_v1(run: Run[ReportEvents], source: str) -> str:
    """Extract, let it ripen, transform, have it approved, publish."""
    rows = await extract.start(run, source)
    await run.sleep("ripen", RIPENS_FOR)
    rows = await transform.start(run, rows)

    run.set("rows", len(rows))  # for whoever asks how far it is
    for number in range(1, REMINDERS_MAX + 1):
        review = await run.events.reviewed.wait(timeout=REMIND_EVERY)
        if review:
            break
        await remind.start(run, "ops", number)
        run.set("reminders", number)
    else:
        return "nobody looked at it"
    if not review.data.is_granted:
        return f"refused by {review.data.by}"
    return f"approved by {review.data.by}, published {await publish.start(run, rows)} rows"


async def review_late(handle: Handle[str, ReportEvents]) -> None:
    """Be a person who answers the second reminder."""
    while await handle.get("reminders") != 2:
        await asyncio.sleep(0.05)
    await handle.events.reviewed.send(Approval(by="Ada"))


async def main() -> None:
    """Make a report."""
    async with aiki.local(":memory:", workflows=[report_v1]) as client:
        handle = await report_v1.start(client, "sales")
        await review_late(handle)
        print(await handle.result(), "of", await handle.get("rows"))


if __name__ == "__main__":
    asyncio.run(main())
