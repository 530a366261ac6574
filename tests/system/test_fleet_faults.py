"""Workers that freeze past their lease, and workers that are told to stop under load."""

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

import aiki
from tests.system.steps import patience_v1, travel
from tests.system.test_kill_fleet import Fleet, fleet_in

LEASE_S = 10.0  # by default
GRACE_S = 2.0  # of the workers of steps.py
RUNS = 100


async def _until_executing(fleet: Fleet, step: str) -> None:
    while not any(line.step == step for line in fleet.effects.lines()):
        await asyncio.sleep(0.02)


@pytest.mark.timeout(120)
async def test_a_frozen_workers_late_writes_are_refused_and_it_serves_on(tmp_path: Path, database: str) -> None:
    with fleet_in(tmp_path, database) as fleet:
        await fleet.hire(workers=1)
        async with aiki.Client(fleet.url, timeout=30) as client:
            handle = await patience_v1.start(client, 1.0)
            await _until_executing(fleet, "hold")
            frozen = fleet.workers[0]
            frozen.send_signal(signal.SIGSTOP)
            fleet.hire_one()
            began = time.monotonic()
            first = await handle.result(timeout=60)
            assert time.monotonic() - began < LEASE_S + 8
            info = await handle.info()

            frozen.send_signal(signal.SIGCONT)
            fleet.kill_worker(1, replace=False)
            # The one that was frozen opens a new session, and what it still believed to own is not disturbed.
            again = await patience_v1.start(client, 0.0)
            assert await again.result(timeout=60) == frozen.pid
            assert first != frozen.pid
            assert (await handle.info()).finished_at == info.finished_at
            assert await handle.result() == first
        assert Counter(line.run_id for line in fleet.effects.lines()) == {handle.id: 2, again.id: 1}


@pytest.mark.timeout(120)
async def test_a_worker_told_to_stop_under_load_gives_everything_back_at_once(tmp_path: Path, database: str) -> None:
    with fleet_in(tmp_path, database) as fleet:
        await fleet.hire(workers=1)
        async with aiki.Client(fleet.url, timeout=30) as client:
            journeys = [asyncio.create_task(travel(client, number, delay_s=0.0)) for number in range(RUNS)]
            slow = [await patience_v1.start(client, 30.0) for _ in range(3)]
            await _until_executing(fleet, "hold")
            fleet.hire_one()
            stopping = fleet.workers[0]
            began = time.monotonic()
            stopping.send_signal(signal.SIGTERM)
            await asyncio.to_thread(stopping.wait, 30)
            assert time.monotonic() - began < GRACE_S + 3
            await asyncio.gather(*journeys)
            assert time.monotonic() - began < LEASE_S, "a run has waited for a lease to end"
            for handle in slow:
                assert (await handle.info()).status in ("queued", "running")
                await handle.terminate("enough")
