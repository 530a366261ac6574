"""A server and three workers in their own processes, killed with `kill -9` while a client's calls succeed.

Smaller by default; `make test-full` (AIKI_FULL=1) takes it to full size: fifty kills of workers, twenty of the server,
two hundred runs.
"""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import aiki
from tests.system.effects import Effects
from tests.system.steps import travel

PROGRAM = Path(__file__).with_name("steps.py")
FULL = os.environ.get("AIKI_FULL") == "1"
RUNS = 200 if FULL else 40
WORKER_KILLS = 50 if FULL else 8
SERVER_KILLS = 20 if FULL else 4
WORKERS = 3
BETWEEN_S = 0.7  # at most, drawn anew for each kill
LIMIT_S = 240.0

SERVER = "import aiki_command; aiki_command.main()"


class Fleet:
    """The processes; those that are killed are started anew."""

    def __init__(self, folder: Path, database: str | None = None) -> None:
        self.effects = Effects(folder, database)
        self._errors = folder / "errors.txt"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = self._start_server()
        self.workers: list[subprocess.Popen[bytes]] = []

    async def hire(self, *, workers: int = WORKERS) -> None:
        """Start the workers, once the server is up."""
        async with aiki.Client(self.url, timeout=30) as client:
            await client.runs.list(limit=1)
        for _ in range(workers):
            self.hire_one()

    def hire_one(self) -> None:
        """Start one more worker."""
        self.workers.append(self._start_worker())

    def kill_server(self) -> None:
        """Kill the server and start another on the same file and port."""
        _kill(self._server)
        self._server = self._start_server()

    def kill_worker(self, place: int, *, replace: bool = True) -> None:
        """Kill a worker; start another in its place, unless told not to."""
        _kill(self.workers[place])
        if replace:
            self.workers[place] = self._start_worker()

    def stop(self) -> None:
        """End all processes."""
        for process in [*self.workers, self._server]:
            _kill(process)

    def errors(self) -> str:
        """Return the end of what they wrote to stderr."""
        return self._errors.read_text()[-4000:]

    def _start_server(self) -> subprocess.Popen[bytes]:
        return self._start(
            "-c",
            SERVER,
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--database",
            self.effects.database,
        )

    def _start_worker(self) -> subprocess.Popen[bytes]:
        return self._start(str(PROGRAM), "worker", self.url)

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "AIKI_EFFECTS": str(self.effects.path)}
        with self._errors.open("ab") as errors:
            return subprocess.Popen(
                [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=errors, env=environment
            )


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(10)


@contextmanager
def fleet_in(folder: Path, database: str | None = None) -> Iterator[Fleet]:
    """A fleet for the body."""
    with ExitStack() as exits:
        fleet = Fleet(folder, database)
        exits.callback(fleet.stop)
        yield fleet


async def _journeys(fleet: Fleet, spread_s: float) -> None:
    async with aiki.Client(fleet.url, timeout=60) as client:
        await asyncio.gather(*(travel(client, number, delay_s=number * spread_s / RUNS) for number in range(RUNS)))


async def _kills(fleet: Fleet, chance: random.Random, *, workers: int, servers: int) -> None:
    kills = [*range(workers), *([None] * servers)]
    chance.shuffle(kills)
    for kill in kills:
        await asyncio.sleep(chance.random() * BETWEEN_S)
        if kill is None:
            await asyncio.to_thread(fleet.kill_server)
        else:
            await asyncio.to_thread(fleet.kill_worker, chance.randrange(WORKERS))
        await asyncio.to_thread(fleet.effects.check)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("database", "workers", "servers"),
    [
        ("sqlite", WORKER_KILLS, 0),
        ("sqlite", 0, SERVER_KILLS),
        ("sqlite", WORKER_KILLS // 2, SERVER_KILLS // 2),
        ("postgres", WORKER_KILLS // 2, SERVER_KILLS // 2),
    ],
    indirect=["database"],
)
async def test_every_run_completes_and_clients_notice_nothing(
    tmp_path: Path, database: str, workers: int, servers: int
) -> None:
    chance = random.Random(20261122)
    with fleet_in(tmp_path, database) as fleet:
        try:
            await fleet.hire()
            async with asyncio.timeout(LIMIT_S):
                journeys = asyncio.create_task(_journeys(fleet, spread_s=(workers + servers) * BETWEEN_S))
                await _kills(fleet, chance, workers=workers, servers=servers)
                await journeys
        except BaseException:
            print(fleet.errors())
            raise
        await asyncio.to_thread(fleet.effects.check)
        print(f"{workers} workers and {servers} servers killed, {fleet.effects.check_all(RUNS)}")
