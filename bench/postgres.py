"""One-task runs a second on Postgres: with no finished runs in its tables, and with a million; and on SQLite beside it.

    python -m bench.postgres [FINISHED]

Server, worker and client are one process, so that what differs is the database. Postgres writes as safely as it does by
default (fsync, synchronous commit), SQLite as Aiki has it (synchronous=FULL). What counts is the ratio: machines differ.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from typing import Any

import aiki
from tests.postgres import execute, migrated, own_postgres

FINISHED = 1_000_000
AT_ONCE = 100_000
RUNS = 2_000
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


async def runs_per_second(database: str) -> float:
    """Return the median of a few rounds, each of which starts all its runs and waits for them at once."""
    rates = []
    async with aiki.Server(database) as server, server.client() as client, aiki.Worker(client, [quick_v1]):

        async def one(number: int) -> None:
            assert await (await quick_v1.start(client, number)).result() == number + 1

        for _ in range(ROUNDS + 1):
            began = time.perf_counter()
            await asyncio.gather(*(one(number) for number in range(RUNS)))
            rates.append(RUNS / (time.perf_counter() - began))
    return statistics.median(rates[1:])


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
        print(f"SQLite                      {await runs_per_second(f'{folder}/bench.db'):8,.0f} runs/s", flush=True)
    with own_postgres("fsync=on", "full_page_writes=on") as postgres:
        await execute(f"{postgres.url}/postgres", "CREATE DATABASE aiki")
        url = f"{postgres.url}/aiki"
        await migrated(url)
        before = await runs_per_second(url)
        print(f"Postgres                    {before:8,.0f} runs/s", flush=True)
        began = time.perf_counter()
        await fill(url, finished)
        print(f"(inserted in {time.perf_counter() - began:.0f} s)", flush=True)
        after = await runs_per_second(url)
        print(f"Postgres, {finished:,} ended {after:8,.0f} runs/s: {after / before:.2f} of that with none")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else FINISHED))
