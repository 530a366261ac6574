"""A server as a whole: how it opens, what it warns of, how it ends."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from aiki.clock import ManualClock
from aiki.errors import DatabaseInUse, InvalidInput, Unavailable
from aiki.model.lifecycle import Status
from aiki.model.views import RunFilter
from aiki.sdk.transport import Transport
from aiki.server.inprocess import InProcessTransport
from aiki.server.server import Server
from tests.house.sources import ROOT
from tests.server.world import ServerWorld

# Serves a file, holds runs with a worker that never executes any, and waits to be killed.
HOLD: Final = """
import asyncio, sys
from aiki.clock import ManualClock, SystemClock
from aiki.server.server import Server
from tests.server.world import ServerWorld

async def hold():
    async with Server(sys.argv[1]) as server:
        world = ServerWorld(server, ManualClock(now_ms=SystemClock().now_ms()))
        world.do = lambda asked: asked
        for _ in range(3):
            await world.run()
        worker = await world.worker(capacity=2)
        answer = await worker.poll()
        assert len(answer.assignments) == 2
        await worker.poll()
        print("held", flush=True)
        await asyncio.Event().wait()

asyncio.run(hold())
"""


async def test_a_killed_embedded_server_leaves_its_runs_to_the_next_at_once(tmp_path: Path) -> None:
    path = tmp_path / "aiki.db"
    places = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": places},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(DatabaseInUse) as refused:
            async with Server(path):
                pass
        assert refused.value.pid == process.pid
        process.kill()

    async with Server(path, is_embedded=True) as server:
        assert await server.store.count(RunFilter()) == {Status.QUEUED: 3}
        assert await server.store.live_sessions(limit=10) == []
        crashes = sorted(run.crashes for run in (await server.store.list_runs(RunFilter())).runs)
        assert crashes == [0, 1, 1]


@pytest.mark.parametrize("form", ["{path}", "sqlite:///{path}"])
async def test_a_file_is_named_by_path_or_url(tmp_path: Path, form: str) -> None:
    path = tmp_path / "aiki.db"
    async with Server(form.format(path=path)):
        assert path.exists()


async def test_a_database_that_this_version_does_not_serve_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"mysql://.*postgresql://user@host/name"):
        Server("mysql://localhost/aiki")


async def test_a_start_that_no_worker_serves_yet_is_taken_with_a_warning(world: ServerWorld) -> None:
    started = await world.start()
    assert started.warnings == ("no worker serves order 1.0.0 yet; the run waits until one does",)
    assert (await world.info(started.run_id)).warnings == started.warnings

    worker = await world.worker()
    assert (await world.start()).warnings == ()
    assert (await world.start(pool="gpu")).warnings == (
        "no worker serves order 1.0.0 in pool gpu yet; the run waits until one does",
    )

    await worker.goodbye()
    assert len((await world.start()).warnings) == 1


async def test_a_worker_that_falls_silent_serves_nothing(world: ServerWorld) -> None:
    await world.worker()
    world.clock.advance(seconds=11)
    await world.step()

    assert len((await world.start()).warnings) == 1


async def test_the_road_within_the_process_is_a_transport(world: ServerWorld) -> None:
    road: Transport = world.server.transport()  # mypy compares the two; neither wing knows the other
    assert isinstance(road, InProcessTransport)

    await road.close()  # holds nothing open, so whoever has left may enter again

    assert (await road.list(RunFilter())).runs == ()


async def test_journal_and_values_are_read_by_namespace(world: ServerWorld) -> None:
    run_id = await world.run()

    assert (await world.do(world.calls.journal("default", run_id, 0))).problem is None
    elsewhere = await world.do(world.calls.journal("other", run_id, 0))

    assert elsewhere.problem is not None
    assert elsewhere.problem.code == "run_not_found"
    assert await world.do(world.calls.value("default", run_id, "eta")) is None


async def test_only_the_owner_of_a_run_fetches_its_journal(world: ServerWorld) -> None:
    run_id = await world.run(payload=b'{"a":1}')
    worker = await world.worker()
    claim = await worker.claim()

    page = await world.do(world.calls.fetch(worker.session_id, run_id, claim.epoch, 0))
    other = await world.do(world.calls.fetch(world.new_id(), run_id, claim.epoch, 0))

    assert (page.problem, bytes(page.input)) == (None, b'{"a":1}')
    assert other.problem is not None


async def test_a_loop_that_fails_takes_the_server_down_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: Any) -> None:
        raise LookupError("a bug in a loop")

    async def serve() -> None:
        async with Server(tmp_path / "aiki.db") as server:
            server.pipeline._on_durable = fail
            world = ServerWorld(server, ManualClock())
            with pytest.raises(Unavailable):
                await server.transport().start([world.start_request()])
            await asyncio.Event().wait()

    with pytest.raises(LookupError, match="a bug in a loop"):
        await serve()

    assert "a bug in a loop" in caplog.text
    async with Server(tmp_path / "aiki.db") as again:  # the file is free
        assert await again.store.count(RunFilter()) == {Status.QUEUED: 1}


async def test_a_closed_server_is_unavailable(clock: ManualClock) -> None:
    async with Server(":memory:", clock=clock) as server:
        road = server.transport()
        world = ServerWorld(server, clock)

    with pytest.raises(Unavailable):
        await road.start([world.start_request()])


async def test_what_was_asked_before_the_end_is_done(tmp_path: Path, clock: ManualClock) -> None:
    async with Server(tmp_path / "aiki.db", clock=clock) as server:
        world = ServerWorld(server, clock)
        asked = asyncio.create_task(server.transport().start([world.start_request()]))
        await asyncio.sleep(0)

    assert (await asked)[0].problem is None
