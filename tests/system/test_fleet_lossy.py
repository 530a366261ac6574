"""Answers that never come: of starts, events, waits, polls and commits, over a real connection that is cut."""

import asyncio
import time
from pathlib import Path

import pytest

import aiki
from tests.system.lossy import lossy
from tests.system.steps import travel
from tests.system.test_kill_fleet import RUNS, fleet_in

SPREAD_S = 4.0
LEASE_S = 10.0  # what is set right by it comes too late; tests/worker/test_session.py holds it to 3 s of virtual time


@pytest.mark.timeout(120)
async def test_lost_answers_are_set_right_and_nothing_is_done_twice(tmp_path: Path, database: str) -> None:
    with fleet_in(tmp_path, database) as fleet:
        await fleet.hire(workers=0)
        async with lossy(fleet.port, every=4) as proxy:
            fleet.url = proxy.url
            fleet.hire_one()
            fleet.hire_one()
            async with aiki.Client(proxy.url, timeout=30) as client:
                began = time.monotonic()
                await asyncio.gather(
                    *(travel(client, number, delay_s=number * SPREAD_S / RUNS) for number in range(RUNS))
                )
                assert time.monotonic() - began < SPREAD_S + LEASE_S
        for path in ("/v1/worker/poll", "/v1/worker/commit", "/v1/runs/wait"):
            assert proxy.lost[path], f"no answer of {path} was lost"
        done = fleet.effects.lines()
        assert fleet.effects.check_all(RUNS)
        assert len(done) == len(set(done)), "a task was executed twice though no process has died"


@pytest.mark.timeout(60)
async def test_a_start_whose_answer_was_lost_is_one_run(tmp_path: Path, database: str) -> None:
    with fleet_in(tmp_path, database) as fleet:
        await fleet.hire(workers=0)
        async with lossy(fleet.port, every=2) as proxy, aiki.Client(proxy.url, timeout=30) as client:
            handles = [await client.runs.start("nobodys", "1", {"number": number}) for number in range(6)]
            assert proxy.lost["/v1/runs"]
        async with aiki.Client(fleet.url, timeout=30) as client:
            page = await client.runs.list(workflow="nobodys")
        assert sorted(run.id for run in page.runs) == sorted(handle.id for handle in handles)
