"""Clean-up that is interrupted in every way still runs each compensation to its recorded end, once.

The run is asked to cancel, and from then on a copy of the database is kept after each transaction. Each copy is what a
file holds if the process is killed just then; it is served for a minute by nobody, is asked to cancel again, and is then
served to the end.
"""

import asyncio
import sqlite3
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

import aiki
from aiki import Retry, Run, current_task, task, testing, workflow
from aiki.model.journal import Entry, EntryKind
from aiki.store.sqlite import SqliteStore

executed: list[str] = []
"""The idempotency keys of all that was executed, in order."""


@task
async def book(what: str) -> str:
    executed.append(current_task().idempotency_key)
    await asyncio.sleep(1)
    return what


@task(retry=Retry.fixed(3, delay=20))
async def unbook(what: str) -> str:
    here = current_task()
    executed.append(here.idempotency_key)
    await asyncio.sleep(1)
    if what == "hotel" and here.attempt == 1:
        raise OSError("the line is busy")
    return what


@workflow("trip").version("1")
async def trip_v1(run: Run) -> None:
    booked: list[str] = []
    try:
        for what in ("flight", "hotel", "car"):
            await book.start(run, what)
            booked.append(what)
        await run.sleep("until it begins", days=90)
    finally:
        for what in reversed(booked):
            await unbook.start(run, what)
            await run.sleep("a breath", seconds=5)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return what the database held after each transaction, as it grows; where nothing changed, once."""
    taken: list[bytes] = []
    transact = SqliteStore.transaction

    async def transact_and_copy(store: SqliteStore, keys: Any, decide: Any) -> Any:
        done = await transact(store, keys, decide)
        content = await store._writer.do(lambda connection: connection.serialize())
        if not taken or taken[-1] != content:
            taken.append(content)
        return done

    monkeypatch.setattr(SqliteStore, "transaction", transact_and_copy)
    return taken


def _recorded(file: Path) -> dict[str, str]:
    """Return the tasks that a database holds as recorded: by key, how they are written."""
    connection = sqlite3.connect(file)
    try:
        rows = connection.execute("SELECT run_id, chapter, attempt, entry FROM journal").fetchall()
    finally:
        connection.close()
    found: dict[str, str] = {}
    for run_id, chapter, attempt, raw in rows:
        entry = msgspec.json.decode(raw, type=Entry)
        if entry.key.kind is EntryKind.TASK:
            key = aiki.model.ids.derived_id("task", run_id, chapter, attempt, entry.key.address, entry.key.ordinal)
            assert key not in found, "recorded twice"
            found[key] = entry.label
    return found


async def test_clean_up_that_crashes_waits_without_workers_and_is_cancelled_again_runs_to_its_end_once(
    tmp_path: Path, copies: list[bytes]
) -> None:
    executed.clear()
    async with testing.local(workflows=[trip_v1]) as env:
        handle = await trip_v1.start(env)
        await env.advance(days=1)
        copies.clear()
        await handle.cancel("it rains")
        assert await handle.wait_for_status("cancelled")
        interrupted = list(copies)
    assert len(interrupted) > 8

    for number, content in enumerate(interrupted):
        file = tmp_path / f"{number}.db"
        file.write_bytes(content)
        recorded, first = set(_recorded(file)), len(executed)
        async with testing.local(database=file) as env:
            handle = trip_v1.handle(env, handle.id)
            await env.advance(minutes=1)
            assert not await handle.cancel("and again"), "it was asked before, or has ended"
        async with testing.local(workflows=[trip_v1], database=file) as env:
            ended = await trip_v1.handle(env, handle.id).wait_for_status("cancelled", timeout=timedelta(days=1))
        assert (ended.reached, str(ended.error).count("it rains")) == (True, 1), f"copy {number}"
        assert [key for key in executed[first:] if key in recorded] == [], f"copy {number}: recorded, and done again"
        assert Counter(_recorded(file).values()) == {
            **dict.fromkeys((f'book(what="{what}")' for what in ("flight", "hotel", "car")), 1),
            **dict.fromkeys((f'unbook(what="{what}")' for what in ("flight", "hotel", "car")), 1),
        }


async def test_a_cascade_reaches_any_depth_and_each_level_cleans_up() -> None:
    cleaned: list[int] = []

    @task
    async def clean(level: int) -> None:
        cleaned.append(level)

    level = workflow("level")

    @level.version("1")
    async def level_v1(run: Run, depth: int) -> None:
        try:
            if depth == 7:
                await run.sleep("long", days=30)
            else:
                await (await level_v1.start_as_child(run, depth + 1)).result()
        finally:
            await clean.start(run, depth)

    async with testing.local(workflows=[level_v1]) as env:
        handle = await level_v1.start(env, 1)
        await env.settle()
        await handle.cancel()
        await env.settle()
        assert sorted(cleaned) == [1, 2, 3, 4, 5, 6, 7]
        assert {run.status for run in (await env.runs.list()).runs} == {"cancelled"}


async def test_a_cascade_reaches_more_children_than_one_transaction_tells() -> None:
    @workflow("leaf").version("1")
    async def leaf_v1(run: Run) -> None:
        await run.sleep("long", days=30)

    @workflow("root").version("1")
    async def root_v1(run: Run) -> None:
        for _ in range(620):
            await leaf_v1.start_as_child(run)
        await run.sleep("long", days=60)

    async with testing.local(workflows=[root_v1, leaf_v1]) as env:
        handle = await root_v1.start(env)
        await env.advance(hours=1)
        await handle.cancel()
        await env.advance(hours=1)
        left = (await env.runs.list(status=["running", "sleeping", "queued"])).runs
        assert left == ()
        assert len((await env.runs.list(workflow="leaf", status=["cancelled"], limit=500)).runs) == 500


async def test_a_crash_inside_a_task_without_a_policy_executes_it_again(tmp_path: Path, copies: list[bytes]) -> None:
    executed.clear()
    gate = asyncio.Event()

    @task
    async def once() -> int:
        executed.append(current_task().idempotency_key)
        await gate.wait()
        return current_task().attempt

    @workflow("plain").version("1")
    async def plain_v1(run: Run) -> int:
        return await once.start(run)

    async with testing.local(workflows=[plain_v1], shutdown_grace=0) as env:
        handle = await plain_v1.start(env)
        await env.settle()
        file = tmp_path / "killed.db"
        file.write_bytes(copies[-1])
    gate.set()
    async with testing.local(workflows=[plain_v1], database=file) as env:
        assert await plain_v1.handle(env, handle.id).result() == 1

    assert len(executed) == 2
    assert len(set(executed)) == 1, "under the same key"


@pytest.mark.parametrize("base_s", [0.001, 0.3, 1.0, 1.001, 60.0, 86_400.0])
@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
async def test_a_policy_with_jitter_works_for_every_delay(base_s: float, jitter: float) -> None:
    tries: list[float] = []

    @task(retry=Retry.jittered(4, base_s, jitter=jitter))
    async def shaky() -> int:
        tries.append(asyncio.get_running_loop().time())
        if len(tries) % 4:
            raise OSError("not yet")
        return len(tries)

    @workflow("shaky").version("1", retry=Retry.jittered(2, base_s, jitter=jitter))
    async def shaky_v1(run: Run) -> int:
        done = await shaky.start(run)
        if run.attempt == 1:
            raise RuntimeError("once more")
        return done

    async with testing.local(workflows=[shaky_v1], seed=7) as env:
        assert await (await shaky_v1.start(env)).result() == 4

    assert len(tries) == 4, "what the first attempt of the run completed is kept"
    longest = [base_s * 2**number for number in range(3)]
    for waited, most in zip([later - earlier for earlier, later in pairwise(tries)], longest, strict=True):
        assert (1 - jitter) * most - 0.002 <= waited <= most + 0.2
