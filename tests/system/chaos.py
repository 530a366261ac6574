"""A whole fleet in processes: servers on one Postgres, workers with Redis and without, and whatever may befall them.

The rule: what ends is started again, as a supervisor would; nobody is told of a fault, and which comes next follows from
the seed.
"""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from tests.postgres import Postgres, execute, migrated, own_postgres
from tests.redis_service import RedisService, redis_service
from tests.system.cutting import CommitCutter
from tests.system.effects import Effects

__all__ = ["ChaosFleet", "chaos_fleet"]

PROGRAM: Final = Path(__file__).with_name("steps.py")
SERVER: Final = "import aiki_command; aiki_command.main()"
SUPERVISED_S: Final = 0.1
CUTS: Final = 3  # commits in a row, as many as a server tries


class _Post:
    """A process that is started again whenever it ends."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None
        self.is_told = False  # it was killed, or told to stop


class ChaosFleet:
    """Servers, workers, Postgres and Redis; `faults` are what may be done to them."""

    def __init__(
        self, folder: Path, *, postgres: Postgres, redis: RedisService, cutter: CommitCutter, chance: random.Random
    ) -> None:
        self.database = f"{postgres.url}/aiki"
        self.effects = Effects(folder, self.database)
        self.postgres = postgres
        self.redis = redis
        self.cutter = cutter
        self.done: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()  # what ended by itself
        self.finished: list[float] = []  # when runs were seen to have ended, monotonic
        self.urls: list[str] = []
        self.environment: dict[str, str] = {}
        self._chance = chance
        self._errors = folder / "errors.txt"
        self._posts: list[_Post] = []
        self.faults: dict[str, Callable[[], Awaitable[None]]] = {
            "kill a server": self._kill_server,
            "kill a worker": self._kill_worker,
            "stop a worker": self._stop_worker,
            "restart postgres": self._restart_postgres,
            "flush redis": self._flush_redis,
            "restart redis": self._restart_redis,
            "cut before commit": self._cut_before,
            "cut after commit": self._cut_after,
        }

    def open(self, *, servers: int, workers: int) -> None:
        """Start so many servers, the first behind the proxy, and workers for them in turn: every other one with Redis."""
        for number in range(servers):
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            self.urls.append(f"http://127.0.0.1:{port}")
            database = self.database if number else f"postgresql://postgres@127.0.0.1:{self.cutter.port}/aiki"
            options = ["--host", "127.0.0.1", "--port", str(port), "--database", database, "--redis", self.redis.url]
            self._posts.append(_Post("server", ["-c", SERVER, "server", *options]))
        for number in range(workers):
            redis = [self.redis.url] if number % 2 else []
            command = [str(PROGRAM), "worker", self.urls[number % servers], *redis]
            self._posts.append(_Post("worker", command))

    async def supervise(self) -> None:
        """Start what does not run, until cancelled."""
        while True:
            for post in self._posts:
                if post.process is None or post.process.poll() is not None:
                    if post.process is not None and not post.is_told:
                        self.ended[post.name] += 1
                        print(f"{post.name} {post.process.pid} ended by itself: {post.process.returncode}", flush=True)
                    post.is_told = False
                    post.process = self._start(post.command)
                    print(
                        f"{time.monotonic():.1f} {post.name} {post.process.pid} started {post.command[2:]}", flush=True
                    )
            await asyncio.sleep(SUPERVISED_S)

    async def fault(self, name: str) -> None:
        """Let something happen."""
        began = time.monotonic()
        await self.faults[name]()
        self.done[name] += 1
        print(f"{began:.1f} {name}: {time.monotonic() - began:.1f} s; {len(self.finished)} have ended", flush=True)

    def stop(self) -> None:
        """End all processes."""
        for post in self._posts:
            if post.process is not None:
                post.process.kill()
                post.process.wait(10)

    def errors(self) -> str:
        """Return the end of what they wrote to stderr."""
        return self._errors.read_text()[-40_000:] if self._errors.exists() else ""

    # --------------------------------------------------------------------------------------------------------- faults

    async def _kill_server(self) -> None:
        self._tell(signal.SIGKILL, "server")

    async def _kill_worker(self) -> None:
        self._tell(signal.SIGKILL, "worker")

    async def _stop_worker(self) -> None:
        self._tell(signal.SIGTERM, "worker")

    async def _restart_postgres(self) -> None:
        await self.stop_postgres()
        await self.start_postgres()

    async def stop_postgres(self) -> None:
        await asyncio.to_thread(self.postgres.stop, "immediate")

    async def start_postgres(self) -> None:
        await asyncio.to_thread(self.postgres.start)

    async def _flush_redis(self) -> None:
        await asyncio.to_thread(self.redis.flush)

    async def _restart_redis(self) -> None:
        await asyncio.to_thread(self.redis.kill)
        await asyncio.to_thread(self.redis.start)

    async def _cut_before(self) -> None:
        self.cutter.cut("before", times=self._chance.randint(1, CUTS))

    async def _cut_after(self) -> None:
        self.cutter.cut("after", times=self._chance.randint(1, CUTS))

    def _tell(self, number: signal.Signals, name: str) -> None:
        posts = [post for post in self._posts if post.name == name and post.process is not None]
        post = self._chance.choice(posts)
        assert post.process is not None
        post.is_told = True
        post.process.send_signal(number)

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **self.environment, "AIKI_EFFECTS": str(self.effects.path)}
        with self._errors.open("ab") as errors:
            return subprocess.Popen(
                [sys.executable, *command], stdout=subprocess.DEVNULL, stderr=errors, env=environment
            )


@asynccontextmanager
async def chaos_fleet(
    folder: Path, *, chance: random.Random, servers: int, workers: int, **settings: int
) -> AsyncIterator[ChaosFleet]:
    """A fleet for the body, under supervision."""
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(own_postgres())
        await execute(f"{postgres.url}/postgres", "CREATE DATABASE aiki")
        await migrated(f"{postgres.url}/aiki")
        redis = stack.enter_context(redis_service(folder))
        cutter = await stack.enter_async_context(CommitCutter(postgres.port).listening())
        fleet = ChaosFleet(folder, postgres=postgres, redis=redis, cutter=cutter, chance=chance)
        fleet.environment = {f"AIKI_{name.upper()}": str(value) for name, value in settings.items()}
        fleet.open(servers=servers, workers=workers)
        stack.callback(fleet.stop)
        supervisor = asyncio.create_task(fleet.supervise())
        stack.callback(supervisor.cancel)
        try:
            yield fleet
        except BaseException:
            print(fleet.errors())
            raise
