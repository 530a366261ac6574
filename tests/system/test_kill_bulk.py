"""A server is killed with `kill -9` in the middle of a bulk job: the next one goes on, and each run is asked once."""

import asyncio
from pathlib import Path

import aiki
from tests.system.test_kill_fleet import fleet_in

RUNS = 1_500
LIMIT_S = 100


async def test_a_job_goes_on_after_its_server_was_killed_in_the_middle_of_it(tmp_path: Path, database: str) -> None:
    with fleet_in(tmp_path, database) as fleet:
        async with asyncio.timeout(LIMIT_S), aiki.Client(fleet.url, timeout=30) as client:
            await asyncio.gather(*(client.runs.start("nobody-serves", "1", {"number": n}) for n in range(RUNS)))
            job = await client.runs.cancel_many(workflow="nobody-serves", reason="enough")
            kills = 0
            while not (found := await job.info()).is_done:
                if found.seen > 100 * kills * 4:
                    fleet.kill_server()
                    kills += 1
                await asyncio.sleep(0)
            done = await job.wait()
            counted = await client.runs.count(workflow="nobody-serves")

    assert kills >= 1, "the job was done before anybody was killed"
    assert (done.seen, done.changed, done.unchanged, done.refused) == (RUNS, RUNS, 0, 0)
    assert counted.by_status == {"cancelled": RUNS}
