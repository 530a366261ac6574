"""What a fan-out costs: children started, ended and gathered by one parent, a thousand and ten thousand of them.

    python bench/children.py [MANY ...]

Embedded, on a file, each number in a fresh one. Ten times the children should take about ten times as long.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import aiki


@aiki.workflow("doubled").version("1")
async def doubled_v1(_: aiki.Run, number: int) -> int:
    """Answer at once."""
    return 2 * number


@aiki.workflow("fan-out").version("1")
async def fan_out_v1(run: aiki.Run, many: int) -> int:
    """Start so many children, and gather what they give."""
    children = await asyncio.gather(*(doubled_v1.start_as_child(run, number) for number in range(many)))
    return sum(await asyncio.gather(*(child.result() for child in children)))


async def seconds_for(many: int, folder: Path) -> float:
    """Return how long it takes from the start of the parent to its end."""
    async with aiki.local(folder / f"{many}.db", workflows=[fan_out_v1, doubled_v1], max_parked_runs=100) as client:
        began = time.perf_counter()
        total = await (await fan_out_v1.start(client, many)).result()
        assert total == many * (many - 1), total
        return time.perf_counter() - began


def main() -> None:
    """Measure, and print seconds and what each child costs."""
    with tempfile.TemporaryDirectory() as folder:
        for many in [int(given) for given in sys.argv[1:]] or [1_000, 10_000]:
            seconds = asyncio.run(seconds_for(many, Path(folder)))
            print(f"{many:7,} children: {seconds:6.2f} s, {1000 * seconds / many:5.2f} ms each", flush=True)


if __name__ == "__main__":
    main()
