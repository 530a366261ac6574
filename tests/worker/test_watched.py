"""What people see of a worker while it works: what it executes, how far that is, and who it is to a new server."""

import asyncio

import pytest

from aiki.errors import PayloadTooLarge, TaskFailed
from aiki.sdk.current import current_task
from aiki.sdk.run import Run
from aiki.sdk.task import task
from aiki.sdk.workflow import workflow
from tests.worker.road import fleet, in_virtual_time


@task
async def copy(files: int) -> None:
    for number in range(files):
        current_task().heartbeat({"copied": number})
        await asyncio.sleep(10)


@task
async def boast() -> None:
    current_task().heartbeat("x" * 20_000)


@workflow("copying").version("1")
async def copying_v1(run: Run, files: int) -> None:
    await copy.start(run, files)


@workflow("boasting").version("1")
async def boasting_v1(run: Run) -> None:
    await boast.start(run)


@in_virtual_time
async def test_the_progress_of_a_task_is_seen_while_it_runs_and_gone_after_it() -> None:
    async with fleet() as world, world.worker(copying_v1, name="copier"):
        handle = await copying_v1.start(world.client, 3)
        await asyncio.sleep(14)

        (line,) = (await handle.info()).executing
        assert (line.task, line.attempt, line.progress) == ("copy(files=3)", 1, {"copied": 1})
        (seen,) = (await world.server.service.overview.workers("default")).workers
        assert (seen.name, [executing.run_id for executing in seen.executing]) == ("copier", [handle.id])

        await handle.result()
        assert (await handle.info()).executing == ()


@in_virtual_time
async def test_progress_that_is_too_long_is_refused_where_it_is_reported() -> None:
    async with fleet() as world, world.worker(boasting_v1):
        with pytest.raises(Exception, match=r"progress") as refused:
            await (await boasting_v1.start(world.client)).result()

    assert PayloadTooLarge.__name__ in str(refused.value) or TaskFailed.__name__ in str(refused.value)


@in_virtual_time
async def test_a_worker_introduces_itself_to_a_server_that_was_started_anew() -> None:
    async with fleet() as world, world.worker(copying_v1, name="copier") as (worker, _):
        world.server.roster.remove(worker._session.id)
        (seen,) = (await world.server.service.overview.workers("default")).workers
        assert (seen.name, seen.is_elsewhere) == ("copier", True)  # as the database knows it

        await asyncio.sleep(5)

        (seen,) = (await world.server.service.overview.workers("default")).workers
        assert (seen.name, seen.session_id, seen.is_elsewhere) == ("copier", worker._session.id, False)
        assert (await copying_v1.start(world.client, 0)).warnings == ()
