"""How the embedded platform grows: time with ten times the steps, memory with ten thousand sleepers, throughput.

    python bench/embedded.py [--json]

Each figure is taken in a process of its own. Ratios say more than times: machines differ, and are noisy.
"""

import asyncio
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiki

MIB = 1024 * 1024


@aiki.task
async def count(number: int) -> int:
    """A task that does nothing but answer."""
    return number + 1


class Signals(aiki.Events):
    """What a run waits for."""

    go: aiki.Event[int]


sequence = aiki.workflow("sequence")


@sequence.version("1")
async def sequence_v1(run: aiki.Run, steps: int) -> int:
    """So many tasks, one after another."""
    value = 0
    for _ in range(steps):
        value = await count.start(run, value)
    return value


held = aiki.workflow("held")


@held.version("1", events=Signals)
async def held_v1(run: aiki.Run[Signals], steps: int) -> int:
    """So many tasks, and then a wait: what follows needs a replay if the code was not kept."""
    value = 0
    for _ in range(steps):
        value = await count.start(run, value)
    got = await run.events.go.wait()
    return value + got.data


sleeper = aiki.workflow("sleeper")


@sleeper.version("1")
async def sleeper_v1(run: aiki.Run, number: int) -> int:
    """Sleep for a day."""
    await run.sleep("day", days=1)
    return number


ALL = [sequence_v1, held_v1, sleeper_v1]


def resident_bytes() -> int:
    """Return this process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def sequential(steps: int, folder: str) -> dict[str, float]:
    """One run of so many tasks in sequence."""
    async with aiki.local(f"{folder}/s.db", workflows=ALL) as client:
        await (await sequence_v1.start(client, 1)).result()
        began = time.perf_counter()
        handle = await sequence_v1.start(client, steps)
        assert await handle.result() == steps
        return {"seconds": time.perf_counter() - began}


async def replay(steps: int, folder: str) -> dict[str, float]:
    """The replay from scratch of a run with so many recorded tasks."""
    async with aiki.local(f"{folder}/r.db", workflows=ALL, max_parked_runs=0) as client:
        handle = await held_v1.start(client, steps)
        while (await handle.info()).status != "awaiting_event":
            await asyncio.sleep(0.05)
        began = time.perf_counter()
        await handle.events.go.send(1)
        assert await handle.result() == steps + 1
        return {"seconds": time.perf_counter() - began}


async def sleepers(runs: int, folder: str) -> dict[str, float]:
    """So many runs, suspended in a sleep."""
    async with aiki.local(f"{folder}/m.db", workflows=ALL, max_parked_runs=1000) as client:
        for handle in [await sleeper_v1.start(client, number) for number in range(20)]:
            await handle.info()
        before = resident_bytes()
        began = time.perf_counter()
        for first in range(0, runs, 1000):
            await asyncio.gather(*(sleeper_v1.start(client, number) for number in range(first, first + 1000)))
        while True:
            page = await client.runs.list(status=["queued", "running"], limit=1)
            if not page.runs:
                break
            await asyncio.sleep(0.05)
        return {"grown_mib": (resident_bytes() - before) / MIB, "seconds": time.perf_counter() - began}


async def throughput(runs: int, folder: str) -> dict[str, float]:
    """Runs of one task each, all started at once."""
    async with aiki.local(f"{folder}/t.db", workflows=ALL) as client:
        await asyncio.gather(*(_one(client) for _ in range(100)))
        began = time.perf_counter()
        await asyncio.gather(*(_one(client) for _ in range(runs)))
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "runs_per_second": runs / seconds}


async def latency(runs: int, folder: str) -> dict[str, float]:
    """Runs of one task each, one after another: start to result on an idle system."""
    async with aiki.local(f"{folder}/l.db", workflows=ALL) as client:
        await _one(client)
        times = []
        for _ in range(runs):
            began = time.perf_counter()
            await _one(client)
            times.append((time.perf_counter() - began) * 1000)
        times.sort()
        return {"p50_ms": times[len(times) // 2], "p99_ms": times[int(len(times) * 0.99)]}


async def _one(client: aiki.Client) -> None:
    await (await sequence_v1.start(client, 1)).result()


def _child(measure: Callable[..., Coroutine[Any, Any, dict[str, float]]], size: int, pipe: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pipe.send(asyncio.run(measure(size, folder)))


def measured(measure: Callable[..., Coroutine[Any, Any, dict[str, float]]], size: int) -> dict[str, float]:
    """Take a figure in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_child, args=(measure, size, there))
    process.start()
    there.close()
    found: dict[str, float] = here.recv()
    process.join()
    return found


def main() -> None:
    """Take all figures and print them."""
    short, long = measured(sequential, 500), measured(sequential, 5000)
    figures = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "sequence_500_s": short["seconds"],
        "sequence_5000_s": long["seconds"],
        "sequence_ratio": long["seconds"] / short["seconds"],
        "replay_5000_s": measured(replay, 5000)["seconds"],
        "sleepers_10000": measured(sleepers, 10_000),
        "one_task_runs_2000": measured(throughput, 2000),
        "one_task_latency_200": measured(latency, 200),
    }
    if "--json" in sys.argv:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
