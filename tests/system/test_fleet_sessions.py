"""Sessions over HTTP, between real processes: a killed worker is missed soon, a busy one is not taken for dead."""

import asyncio
import subprocess
from pathlib import Path

import pytest

import aiki
from tests.system.blocking import blocking_v1, holding_v1
from tests.system.test_kill_fleet import Fleet

PROGRAM = Path(__file__).with_name("blocking.py")
RECOVERY_S = 5.0


class BlockingFleet(Fleet):
    """A server, and workers of blocking.py."""

    def _start_worker(self) -> subprocess.Popen[bytes]:
        return self._start(str(PROGRAM), self.url)


@pytest.mark.timeout(120)
async def test_a_killed_workers_run_is_anothers_within_five_seconds(tmp_path: Path, database: str) -> None:
    fleet = BlockingFleet(tmp_path, database)
    try:
        await fleet.hire(workers=1)
        async with aiki.Client(fleet.url, timeout=30) as client:
            handle = await holding_v1.start(client, 0.5)
            async with asyncio.timeout(30):
                while (await handle.info()).status != "running":
                    await asyncio.sleep(0.02)
            fleet.hire_one()
            fleet.kill_worker(0, replace=False)
            # By default, with a lease of ten seconds: the connection that broke is the hint.
            assert await handle.result(timeout=RECOVERY_S + 0.5) == fleet.workers[1].pid
    finally:
        fleet.stop()


@pytest.mark.timeout(120)
async def test_a_worker_whose_loop_is_held_up_beyond_its_lease_keeps_its_runs(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIKI_LEASE_MS", "2000")
    monkeypatch.setenv("AIKI_POLL_WAIT_MS", "400")
    fleet = BlockingFleet(tmp_path, database)
    try:
        await fleet.hire(workers=1)
        async with aiki.Client(fleet.url, timeout=30) as client:
            handle = await blocking_v1.start(client, 5.0)
            async with asyncio.timeout(30):
                while (await handle.info()).status != "running":
                    await asyncio.sleep(0.02)
            fleet.hire_one()

            assert await handle.result(timeout=60) == fleet.workers[0].pid
            assert "held up" in fleet.errors()
    finally:
        fleet.stop()
