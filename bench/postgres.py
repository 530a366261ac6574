"""One-task runs a second on Postgres: with no finished runs in its tables, and with a million; and on SQLite beside it.

    python -m bench.postgres [FINISHED]

Server, worker and client are one process, so that what differs is the database. Postgres writes as safely as it does by
default (fsync, synchronous commit), SQLite as Aiki has it (synchronous=FULL). What counts is the ratio: machines differ. On
one that does much else, the processor's time for each run, that of Postgres included, says more than the clock.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from typing import Any, NamedTuple

import psutil

import aiki
from tests.postgres import Postgres, execute, migrated, own_postgres

FINISHED = 1_000_000
AT_ONCE = 100_000
RUNS = 1_000
ROUNDS = 5

# A run that has ended, with all that it leaves: its input, its end, a journal of one task, four moves.
FILL = [
    """INSERT INTO aiki.runs (id, namespace, workflow, version, pool, input_hash, parent_close, root_id, status,
           version_no, epoch, turn, attempt, chapter, seq, mail, effects, waits, priority, claimed_poll, crashes,
           cancel_delivered, retry, has_children, cascade, created_at_ms, started_at_ms, finished_at_ms)
       SELECT id, 'default', 'quick', '1', '', 'hash', 'abandon', id, 'completed', 4, 1, 2, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0,
           'null', 0, 'none', at_ms, at_ms, at_ms + 20
         FROM (SELECT {id} AS id, {at_ms} AS at_ms FROM generate_series({first}, {last}) AS n) AS made""",
    "INSERT INTO aiki.inputs (run_id, input, tags) SELECT {id}, '[1]', '{{}}' FROM generate_series({first}, {last}) AS n",
    "INSERT INTO aiki.ends (run_id, status, output) SELECT {id}, 'completed', '2' FROM generate_series({first}, {last}) AS n",
    """INSERT INTO aiki.journal (run_id, chapter, attempt, seq, entry)
       SELECT {id}, 1, 1, 1, '{{"result":2}}' FROM generate_series({first}, {last}) AS n""",
    """INSERT INTO aiki.history (run_id, at_ms, old_status, new_status, reason)
       SELECT {id}, {at_ms} + 5 * place, old, new, reason FROM generate_series({first}, {last}) AS n,
           (VALUES (0, NULL, 'queued', 'started'), (1, 'queued', 'running', 'claimed'),
                   (2, 'running', 'completed', 'returned')) AS moves (place, old, new, reason)""",
]
BEGAN_MS = 1_700_000_000_000
ID = "lpad(to_hex({began} + n), 12, '0')::text || '7000800000' || lpad(to_hex(n), 10, '0')"


@aiki.task
async def count(number: int) -> int:
    """A task that does nothing but answer."""
    return number + 1


quick = aiki.workflow("quick")


@quick.version("1")
async def quick_v1(run: aiki.Run, number: int) -> int:
    """One task."""
    return await count.start(run, number)


class Figures(NamedTuple):
    """What was measured in one place."""

    per_second: float
    cpu_ms: float

    def __str__(self) -> str:
        return f"{self.per_second:8,.0f} runs/s {self.cpu_ms:6.2f} ms of processor a run"


def cpu_s(postgres: Postgres | None) -> float:
    """Return the processor's time that this process and Postgres have taken."""
    taken = time.process_time()
    if postgres is not None:
        first = psutil.Process(int((postgres.data / "postmaster.pid").read_text().split()[0]))
        taken += sum(first.cpu_times()[:4]) + sum(sum(child.cpu_times()[:2]) for child in first.children())
    return taken


async def measured(database: str, postgres: Postgres | None = None) -> Figures:
    """Return the median of a few rounds, each of which starts all its runs and waits for them at once."""
    rates, cpus = [], []
    async with aiki.Server(database) as server, server.client() as client, aiki.Worker(client, [quick_v1]):

        async def one(number: int) -> None:
            assert await (await quick_v1.start(client, number)).result() == number + 1

        for _ in range(ROUNDS + 1):
            began, taken = time.perf_counter(), cpu_s(postgres)
            await asyncio.gather(*(one(number) for number in range(RUNS)))
            rates.append(RUNS / (time.perf_counter() - began))
            cpus.append((cpu_s(postgres) - taken) / RUNS * 1_000)
    return Figures(statistics.median(rates[1:]), statistics.median(cpus[1:]))


async def fill(url: str, finished: int) -> None:
    """Insert runs that have ended."""
    for first in range(0, finished, AT_ONCE):
        given: dict[str, Any] = {
            "id": f"({ID.format(began=BEGAN_MS)})::uuid",
            "at_ms": f"({BEGAN_MS} + n)",
            "first": first,
            "last": min(first + AT_ONCE, finished) - 1,
        }
        await execute(url, *(statement.format(**given) for statement in FILL))
    await execute(url, "VACUUM ANALYZE", "CHECKPOINT")


async def main(finished: int) -> None:
    """Take all figures and print them."""
    with tempfile.TemporaryDirectory() as folder:
        print(f"SQLite              {await measured(f'{folder}/bench.db')}", flush=True)
    with own_postgres("fsync=on", "full_page_writes=on") as postgres:
        await execute(f"{postgres.url}/postgres", "CREATE DATABASE aiki")
        url = f"{postgres.url}/aiki"
        await migrated(url)
        before = await measured(url, postgres)
        print(f"Postgres            {before}", flush=True)
        began = time.perf_counter()
        await fill(url, finished)
        print(f"{finished:,} that have ended inserted in {time.perf_counter() - began:.0f} s", flush=True)
        after = await measured(url, postgres)
        print(f"Postgres with these {after}")
        print(
            f"of that with none: {after.per_second / before.per_second:.2f}, by processor {before.cpu_ms / after.cpu_ms:.2f}"
        )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else FINISHED))
