"""Three servers and six workers on one Postgres, and every two seconds something that should not have happened.

Smaller by default; `make chaos` (AIKI_CHAOS=1) takes it to full size: five thousand runs, with faults until nearly all of
them have ended, and an outage of twenty seconds.
"""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TypeVar

import asyncpg
import pytest

import aiki
from aiki.engine.invariants import check
from tests.system.chaos import ChaosFleet, chaos_fleet
from tests.system.snapshots import doubled_entries, moves, snapshot_of
from tests.system.steps import expected_of_trip, trip_v1

FULL = os.environ.get("AIKI_CHAOS") == "1"
SEED = int(os.environ.get("AIKI_SEED", "20261127"))
RUNS = int(os.environ.get("AIKI_RUNS", "5000" if FULL else "150"))
ROUNDS = int(os.environ.get("AIKI_ROUNDS", "12" if FULL else "1"))  # of all faults, at least
ROUNDS_MAX = 100
LEFT = RUNS // 20 if FULL else RUNS  # when no more than so many runs go on, nothing happens to them any more
TASKS = 5
EVERY_S = 2.0
STUCK_S = 30.0 if FULL else 60.0  # a smaller one shares its machine with other tests
PATIENCE_S = 60.0
AWAY_S = 5.0

T = TypeVar("T")


async def _trip(clients: list[aiki.Client], number: int, *, after_s: float) -> None:
    """Start a run at one server, send its event by another, and wait for its end at a third."""
    await asyncio.sleep(after_s)
    given = f"trip-{number}"
    run_id = (await _somewhere(clients, number, lambda at: trip_v1.options(reference_id=given).start(at, given))).id
    with suppress(aiki.RunEnded):  # the answer to the first of two was lost
        await _somewhere(
            clients, number + 1, lambda at: trip_v1.handle(at, run_id).events.go.send("onwards", reference_id="go")
        )
    output = await _somewhere(clients, number + 2, lambda at: trip_v1.handle(at, run_id).result())
    assert output == expected_of_trip(given)


async def _somewhere(clients: list[aiki.Client], place: int, ask: Callable[[aiki.Client], Awaitable[T]]) -> T:
    """Ask one server, and the next where that one is away, as a load balancer would."""
    until_s = 0.0
    while True:
        began_s = time.monotonic()
        try:
            return await ask(clients[place % len(clients)])
        except aiki.Unavailable:
            if time.monotonic() - began_s > 2 * AWAY_S or not until_s:  # it was there for a while
                until_s = time.monotonic() + PATIENCE_S
            elif time.monotonic() > until_s:
                raise
        place += 1


async def _trips(fleet: ChaosFleet, *, runs: int, spread_s: float, first: int = 0) -> None:
    async def trip(number: int) -> None:
        await _trip(clients, number, after_s=(number - first) * spread_s / runs)
        fleet.finished.append(time.monotonic())

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(aiki.Client(url, timeout=AWAY_S)) for url in fleet.urls]
        async with asyncio.TaskGroup() as group:
            for number in range(first, first + runs):
                group.create_task(trip(number))


def _faults(fleet: ChaosFleet, chance: random.Random) -> Iterator[str]:
    """Name all faults in any order, again and again, until nearly all runs have ended."""
    for number in range(ROUNDS_MAX):
        for fault in chance.sample(sorted(fleet.faults), len(fleet.faults)):
            if number >= ROUNDS and len(fleet.finished) >= RUNS - LEFT:
                return
            yield fault


async def _watch(fleet: ChaosFleet, trips: asyncio.Task[None]) -> None:
    """Look for what runs again although it was recorded, for as long as runs go on."""
    while not trips.done():
        await asyncio.wait([trips], timeout=EVERY_S)
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):  # Postgres is away
            await asyncio.to_thread(fleet.effects.check)


async def _is_whole(fleet: ChaosFleet, *, runs: int) -> None:
    """Assert that everything is done, and nothing twice that was recorded."""
    await asyncio.to_thread(fleet.effects.check)
    print(fleet.effects.check_all(runs, tasks_each=TASKS), dict(fleet.done), dict(fleet.cutter.done))
    assert await doubled_entries(fleet.database) == []
    snapshot = await snapshot_of(fleet.database)
    assert len(snapshot.runs) == 2 * runs
    assert {run.status for run in snapshot.runs.values()} == {"completed"}
    assert check(snapshot) == []


@pytest.mark.timeout(1_800)
async def test_whatever_happens_to_a_fleet_every_run_completes_and_nothing_is_done_twice(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    async with chaos_fleet(tmp_path, chance=chance, servers=3, workers=6) as fleet:
        await _trips(fleet, runs=len(fleet.urls), spread_s=0, first=RUNS)  # by then all servers are up
        trips = asyncio.create_task(_trips(fleet, runs=RUNS, spread_s=EVERY_S * ROUNDS * len(fleet.faults)))
        watch = asyncio.create_task(_watch(fleet, trips))
        try:
            for fault in _faults(fleet, chance):
                await asyncio.wait([trips], timeout=EVERY_S)
                if watch.done() and (watch.exception() or trips.exception()):
                    break
                await fleet.fault(fault)
            began = time.monotonic()
            async with asyncio.timeout(STUCK_S):
                await trips
            await watch
            late = [round(at - began, 1) for at in fleet.finished if at > began]
            print(
                f"all done {time.monotonic() - began:.1f} s after the last fault, {len(late)} since: ... {late[-20:]}"
            )
        finally:
            trips.cancel()
        await _is_whole(fleet, runs=RUNS + len(fleet.urls))
        assert len(late) < RUNS, "no run ended while something happened"
        assert not fleet.ended["worker"], "a worker ended by itself"
        assert set(fleet.done) == set(fleet.faults)
        assert set(fleet.cutter.done) == {"before", "after"}


@pytest.mark.timeout(600)
async def test_an_outage_of_the_database_longer_than_the_lease_expires_nobody(tmp_path: Path) -> None:
    outage_s = 20.0 if FULL else 4.5
    settings = {} if FULL else {"lease_ms": 3_000, "poll_wait_ms": 1_000}
    runs = 400 if FULL else 60
    async with chaos_fleet(tmp_path, chance=random.Random(SEED), servers=2, workers=2, **settings) as fleet:
        trips = asyncio.create_task(_trips(fleet, runs=runs, spread_s=outage_s + 4))
        try:
            while not len(fleet.effects.lines()) > 20:
                await asyncio.wait([trips], timeout=0.1)
            await fleet.stop_postgres()
            await asyncio.wait([trips], timeout=outage_s)
            await fleet.start_postgres()
            async with asyncio.timeout(STUCK_S):
                await trips
        finally:
            trips.cancel()
        await _is_whole(fleet, runs=runs)
        assert not fleet.ended, "a process ended by itself"
        found = await moves(fleet.database)
        assert not {"worker_lost", "crashed"} & set(found), found
        assert not [line for line, times in _times(fleet).items() if times > 1], "a task was executed twice"


def _times(fleet: ChaosFleet) -> dict[str, int]:
    times: dict[str, int] = {}
    for line in fleet.effects.lines():
        times[line.key] = times.get(line.key, 0) + 1
    return times
