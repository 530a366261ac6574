"""Fan out and gather: a parent starts a child for each piece of work, and puts their results together.

Children run on whichever worker is free, and each is a run of its own: it can be seen, retried and cancelled alone. One
that fails does not take its parent with it, unless the parent says so.

    $ python examples/fan_out.py
    12 of 13 documents, 1,326 words
    failed: draft-7
"""

import asyncio
from dataclasses import dataclass

import aiki
from aiki import Run, task, workflow


@dataclass
class Total:
    """What became of a library."""

    words: int
    counted: list[str]
    failed: list[str]


@task
def count_words(name: str) -> int:
    """Count the words of a document. A plain function runs in a thread."""
    number = int(name.rpartition("-")[2])
    if number == 7:
        raise ValueError(f"{name} cannot be read")
    return 103 + number * 13 % 17


count = workflow("count")
library = workflow("library")


@count.version("1.0.0")
async def count_v1(run: Run, name: str) -> int:
    """Count one document."""
    return await count_words.start(run, name)


@library.version("1.0.0")
async def library_v1(run: Run, names: list[str]) -> Total:
    """Count all of them, each in a child."""
    children = await asyncio.gather(*(count_v1.start_as_child(run, name) for name in names))
    ends = await asyncio.gather(*(child.wait_for_status("completed") for child in children))
    counted = {name: end.output for name, end in zip(names, ends, strict=True) if end.output is not None}
    return Total(sum(counted.values()), list(counted), [name for name in names if name not in counted])


async def main() -> None:
    """Count a library of 13 documents, of which one cannot be read."""
    async with aiki.local(":memory:", workflows=[library_v1, count_v1]) as client:
        handle = await library_v1.start(client, [f"draft-{number}" for number in range(13)])
        total = await handle.result()
        print(f"{len(total.counted)} of 13 documents, {total.words:,} words")
        print("failed:", *total.failed)


if __name__ == "__main__":
    asyncio.run(main())
