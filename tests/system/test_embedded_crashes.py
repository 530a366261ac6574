"""The process dies after any of its transactions, and another one goes on from what the file holds.

Each program runs once to its end, and a copy of the database is kept after every transaction: that is what a file holds
if the process is killed just then. Each copy is opened and run to its end. Nothing that it holds as recorded may be
executed again; whatever else had been executed is executed again under the same idempotency key, although each result
is new: for nothing is executed before what led to it is recorded; and the run ends in the same way.
"""

import asyncio
import re
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

import aiki
from aiki import Event, Events, Retry, Run, Version, current_task, task, testing, workflow
from aiki.model.journal import Entry, EntryKind
from aiki.store.base import Transaction
from aiki.store.sqlite import SqliteStore

COPIES_MAX = 200
NUMBERS = re.compile(r" #\d+")


class Signals(Events):
    go: Event[str]


made: list[tuple[str, str]] = []
"""The tasks that were executed: their key, and the argument that came with it."""


@task
async def step(name: str) -> str:
    made.append((current_task().idempotency_key, name))
    result = f"<{name} #{len(made)}>"
    await asyncio.sleep(1)
    return result


@task(retry=Retry.fixed(3, delay=0.5))
async def flaky(name: str) -> str:
    here = current_task()
    made.append((here.idempotency_key, name))
    if here.attempt < 3:
        raise OSError("not yet")
    return f"<{name} at {here.attempt} #{len(made)}>"


@task(retry=Retry.fixed(3, delay=90))
async def slowly_flaky(name: str) -> str:
    here = current_task()
    made.append((here.idempotency_key, name))
    if here.attempt < 3:
        raise OSError("not yet")
    return f"<{name} at {here.attempt} #{len(made)}>"


leaf = workflow("leaf")


@leaf.version("1")
async def leaf_v1(run: Run, name: str) -> str:
    found = await step.start(run, f"{name}-1")
    await run.sleep("leaf", minutes=3)
    return found + await step.start(run, f"{name}-2")


async def steps_and_sleeps(run: Run[Signals]) -> str:
    found = await step.start(run, "a")
    found = await step.start(run, "a2" + found)
    await run.sleep("night", hours=8)
    found += await step.start(run, "b" + found)
    found += (await run.events.go.wait()).data
    return found + await step.start(run, "c" + found)


async def children(run: Run[Signals]) -> str:
    started = [await leaf_v1.start_as_child(run, name) for name in "xy"]
    found = "".join(await asyncio.gather(*(child.result() for child in started)))
    last = await leaf_v1.start_as_child(run, "z" + found)
    return found + str((await last.wait_for_status("completed")).output)


async def all_at_once(run: Run[Signals]) -> str:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(step.start(run, name)) for name in "abc"]
        event = group.create_task(run.events.go.wait())
        sleep = group.create_task(run.sleep("nap", minutes=1))
    found = "".join(done.result() for done in tasks) + event.result().data + str(sleep.result().woken)
    run.set("found", found)
    return await step.start(run, found)


async def retries(run: Run[Signals]) -> str:
    return await flaky.start(run, "short") + await slowly_flaky.start(run, "long") + await step.start(run, "after")


async def races(run: Run[Signals]) -> str:
    event, nap = asyncio.create_task(run.events.go.wait()), asyncio.create_task(asyncio.sleep(60))
    done, _ = await asyncio.wait([event, nap], return_when=asyncio.FIRST_COMPLETED)
    found = await step.start(run, "event" if event in done else "nap")
    try:
        async with asyncio.timeout(30):
            await leaf_v1.start_as_child(run, "raced")
            found += (await run.events.go.wait()).data
            found += (await run.events.go.wait()).data
    except TimeoutError:
        found += await step.start(run, "timed out" + found)
    return found + await step.start(run, "last")


async def tries_again_as_a_whole(run: Run[Signals]) -> str:
    found = await step.start(run, "kept")
    await run.sleep("moment", seconds=30)
    if run.attempt < 3:
        raise RuntimeError("no luck")
    return found + await step.start(run, "done")


async def cleans_up(run: Run[Signals]) -> str:
    try:
        await step.start(run, "begun")
        child = await leaf_v1.start_as_child(run, "left alone")
        async with asyncio.timeout(60):
            await child.result()
    except TimeoutError:
        return await step.start(run, "gave up")
    finally:
        await step.start(run, "cleaning")
        await run.sleep("dust", seconds=10)
        await step.start(run, "clean")
    return ""


Code = Callable[[Run[Signals]], Awaitable[str]]
PROGRAMS: list[Code] = [steps_and_sleeps, children, all_at_once, retries, races, tries_again_as_a_whole, cleans_up]


def version_of(code: Code) -> Version[[], str, Signals]:
    """Return a version whose code is `code`."""

    @workflow("program").version("1", events=Signals, retry=Retry.fixed(3, delay=45))
    async def program_v1(run: Run[Signals]) -> str:
        return await code(run)

    return program_v1


class Copies:
    """The database as it was after each transaction, and how much had been executed when the next one began."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken: list[bytes] = []
        self.executed: list[int] = []
        self.is_taking = True
        transact = SqliteStore.transaction

        async def transact_and_copy(store: SqliteStore, keys: Any, decide: Any) -> Transaction:
            if self.taken and self.is_taking:
                self.executed[len(self.taken) - 1 :] = [len(made)]
            done = await transact(store, keys, decide)
            if self.is_taking:
                content = await store._writer.do(lambda connection: connection.serialize())
                if not self.taken or self.taken[-1] != content:
                    self.taken.append(content)
            return done

        monkeypatch.setattr(SqliteStore, "transaction", transact_and_copy)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Copies:
    """Return the copies of this test's database."""
    made.clear()
    return Copies(monkeypatch)


def recorded(file: Path) -> set[str]:
    """Return the idempotency keys of the tasks that a database holds as recorded, for as long as these stand."""
    connection = sqlite3.connect(file)
    try:
        rows = connection.execute("SELECT run_id, chapter, attempt, entry FROM journal").fetchall()
    finally:
        connection.close()
    found = set()
    for run_id, chapter, attempt, raw in rows:
        entry = msgspec.json.decode(raw, type=Entry)
        if entry.key.kind is EntryKind.TASK:
            key = aiki.model.ids.derived_id("task", run_id, chapter, attempt, entry.key.address, entry.key.ordinal)
            found.add(key)
    return found


async def finish(env: testing.Environment, version: Version[[], str, Signals]) -> str:
    """Start the one run if it is not started, send its two events, and return what it returns."""
    handle = await version.options(reference_id="one").start(env)
    for number in (1, 2):
        try:
            await handle.events.go.send(f"[{number}]", reference_id=str(number))
        except aiki.RunEnded:
            break
        await env.advance(seconds=20)
    return await handle.result(timeout=timedelta(days=30))


@pytest.mark.parametrize("code", PROGRAMS, ids=lambda code: str(code.__name__))
async def test_a_run_goes_on_from_any_transaction_and_repeats_nothing_that_is_recorded(
    tmp_path: Path, copies: Copies, code: Code
) -> None:
    version = version_of(code)
    async with testing.local(workflows=[version, leaf_v1]) as env:
        result = await finish(env, version)
    copies.is_taking = False
    assert 10 < len(copies.taken) <= COPIES_MAX

    for number, (content, before) in enumerate(zip(copies.taken, copies.executed, strict=False)):
        file = tmp_path / f"{number}.db"
        file.write_bytes(content)
        keys = recorded(file)
        first = len(made)
        async with testing.local(workflows=[version, leaf_v1], database=file) as env:
            again = await finish(env, version)

        place = f"after transaction {number}"
        assert [name for key, name in made[first:] if key in keys] == [], place
        if code is not races:  # a race may fall out otherwise, at another time
            keys.update(key for key, _ in made[first:])
            assert [name for key, name in made[:before] if key not in keys] == [], place
            assert NUMBERS.sub("", again) == NUMBERS.sub("", result), place
