"""A server and workers in their own processes: memory with ten thousand sleepers, and how soon a killed worker's run goes on.

python bench/fleet.py [--json]
"""

import asyncio
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiki

MIB = 1024 * 1024
SLEEPERS = 10_000
KILLS = 10
WAITERS = 2_000


@aiki.task
async def count(number: int) -> int:
    """A task that does nothing but answer."""
    return number + 1


@aiki.task
async def hold(seconds: float) -> int:
    """A task that takes a while and tells which process executes it."""
    await asyncio.sleep(seconds)
    return os.getpid()


sleeper = aiki.workflow("sleeper")


@sleeper.version("1")
async def sleeper_v1(run: aiki.Run, number: int) -> int:
    """Sleep for a day."""
    await run.sleep("day", days=1)
    return number


held = aiki.workflow("held")


@held.version("1")
async def held_v1(run: aiki.Run, seconds: float) -> int:
    """One task that takes a while."""
    return await hold.start(run, seconds)


quick = aiki.workflow("quick")


@quick.version("1")
async def quick_v1(run: aiki.Run, number: int) -> int:
    """One task."""
    return await count.start(run, number)


ALL = [sleeper_v1, held_v1, quick_v1]


class Fleet:
    """A server and its workers."""

    def __init__(self, folder: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = "import aiki_command; aiki_command.main()"
        options = ("--host", "127.0.0.1", "--port", str(port), "--database", f"{folder}/fleet.db")
        self.server = _start("-c", command, "server", *options)
        self.workers: dict[int, subprocess.Popen[bytes]] = {}

    def hire(self) -> int:
        """Start a worker and return its pid."""
        worker = _start(__file__, "worker", self.url)
        self.workers[worker.pid] = worker
        return worker.pid

    def kill(self, pid: int) -> None:
        """Kill a worker."""
        worker = self.workers.pop(pid)
        worker.send_signal(signal.SIGKILL)
        worker.wait()

    def stop(self) -> None:
        """End everything."""
        for pid in list(self.workers):
            self.kill(pid)
        self.server.terminate()
        self.server.wait()


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def resident_bytes(pid: int) -> int:
    """Return a process's resident memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def sleepers(fleet: Fleet, client: aiki.Client) -> dict[str, float]:
    """Return by how much server and worker grow with ten thousand runs suspended in a sleep."""
    pid = fleet.hire()
    assert await (await quick_v1.start(client, 1)).result() == 2
    before = resident_bytes(fleet.server.pid), resident_bytes(pid)
    for first in range(0, SLEEPERS, 1000):
        await asyncio.gather(*(sleeper_v1.start(client, number) for number in range(first, first + 1000)))
    while (await client.runs.list(status=["queued", "running"], limit=1)).runs:
        await asyncio.sleep(0.1)
    grown = resident_bytes(fleet.server.pid) - before[0], resident_bytes(pid) - before[1]
    fleet.kill(pid)
    return {"server_grown_mib": grown[0] / MIB, "worker_grown_mib": grown[1] / MIB}


async def recovery(fleet: Fleet, client: aiki.Client) -> dict[str, float]:
    """Return how long after a worker's death another one executes its task."""
    times = []
    for _ in range(KILLS):
        first = fleet.hire()
        handle = await held_v1.start(client, 1.0)
        while (await handle.info()).status != "running":
            await asyncio.sleep(0.02)
        second = fleet.hire()
        assert await (await quick_v1.start(client, 1)).result() == 2
        began = time.perf_counter()
        fleet.kill(first)
        await handle.result()
        times.append(time.perf_counter() - began - 1.0)
        fleet.kill(second)
    times.sort()
    return {"p50_s": times[len(times) // 2], "max_s": times[-1]}


async def throughput(fleet: Fleet, client: aiki.Client) -> dict[str, float]:
    """Return how many one-task runs a second one worker does, all started and waited for at once."""
    pid = fleet.hire()
    assert await (await quick_v1.start(client, 1)).result() == 2

    async def one(number: int) -> None:
        assert await (await quick_v1.start(client, number)).result() == number + 1

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(WAITERS)))
    seconds = time.perf_counter() - began
    fleet.kill(pid)
    return {"runs_per_second": WAITERS / seconds}


async def measure() -> dict[str, Any]:
    """Take all figures."""
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(folder)
        try:
            async with aiki.Client(fleet.url, timeout=30) as client:
                await client.runs.list(limit=1)
                return {
                    "python": platform.python_version(),
                    "cores": os.cpu_count(),
                    "one_task_runs": await throughput(fleet, client),
                    "recovery": await recovery(fleet, client),
                    "sleepers_10000": await sleepers(fleet, client),
                }
        finally:
            fleet.stop()


async def work(url: str) -> None:
    """Serve the workflows until told to stop."""
    async with aiki.Client(url) as client:
        await aiki.Worker(client, ALL).run()


def main() -> None:
    """Take all figures and print them, or be one of the workers."""
    if "worker" in sys.argv:
        asyncio.run(work(sys.argv[2]))
        return
    figures = asyncio.run(measure())
    if "--json" in sys.argv:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
