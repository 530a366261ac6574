"""Two servers that find a name free at the same moment: one is faster, and the other decides again and finds it taken."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from aiki.clock import Chance, ManualClock
from aiki.engine.bulk import start_job
from aiki.engine.commands import Activate, BeginJob, Command
from aiki.engine.keys import keys_of
from aiki.engine.schedules import activate
from aiki.model.many import BulkJob, StartJob
from aiki.model.schedule import ActivateSchedule, Definition, ScheduleStanding
from aiki.model.timing import Timing
from aiki.model.working_set import Keys, WorkingSet
from aiki.store.postgres.store import PostgresStore

Decide = Callable[[WorkingSet], None]


@pytest.fixture
async def store(postgres_database: str) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.open(postgres_database, clock=ManualClock())
    yield store
    await store.close()


def keys(command: Command) -> Keys:
    named = Keys()
    keys_of(command, named)
    return named


async def overtaken(store: PostgresStore, command: Command, decide: Decide, *, by: Decide) -> None:
    """Do a transaction during which another server does one that names the same."""

    async def elsewhere() -> None:
        other = await PostgresStore.open(store.address, clock=ManualClock())
        await other.transaction(keys(command), by)
        await other.close()

    def in_a_thread(asked: Coroutine[Any, Any, None]) -> None:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, asked).result()

    decisions = 0

    def decide_late(ws: WorkingSet) -> None:
        nonlocal decisions
        decisions += 1
        if decisions == 1:
            in_a_thread(elsewhere())
        decide(ws)

    await store.transaction(keys(command), decide_late)
    assert decisions == 2


async def test_a_schedule_that_two_servers_activate_at_once_is_that_of_the_faster_one(store: PostgresStore) -> None:
    def asked(minutes: int) -> ActivateSchedule:
        definition = Definition(Timing(every_ms=minutes * 60_000), "order", version="1.0.0", input_hash="h")
        return ActivateSchedule("default", "often", definition, on_change="error")

    answers: list[ScheduleStanding] = []

    await overtaken(
        store,
        Activate(asked(1)),
        lambda ws: answers.append(activate(ws, asked(1))),
        by=lambda ws: answers.append(activate(ws, asked(2))),
    )

    assert [answer.problem is None for answer in answers] == [True, True, False]
    found = await store.schedule("default", "often", limit=1)
    assert found is not None
    assert found[0].definition == asked(2).definition


async def test_a_bulk_job_that_two_servers_begin_at_once_is_one(store: PostgresStore) -> None:
    ids = Chance(seed=1)
    run_id, job_id = ids.uuid7(now_ms=1), ids.uuid7(now_ms=1)
    request = StartJob(id=job_id, namespace="default", verb="cancel", run_ids=(run_id,))
    jobs: list[BulkJob] = []

    await overtaken(
        store,
        BeginJob(request),
        lambda ws: jobs.append(start_job(ws, request)),
        by=lambda ws: jobs.append(start_job(ws, request)),
    )

    assert await store.job("default", job_id) == jobs[-1]
