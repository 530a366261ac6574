"""A program to be killed: many runs of a workflow of ten steps, with sleeps, events and children, on one file.

    python steps.py local DATABASE RUNS RELEASED    server, worker and client in one process
    python steps.py worker URL [REDIS]              a worker for a server elsewhere, which may find its work in Redis

Only the first RELEASED runs are sent what they wait for, so that whoever
kills the program decides how far it gets. Every execution of a task leaves a line in the file that AIKI_EFFECTS names: idempotency key, run, step and argument. Started again on
the same files it goes on; it prints "done" and ends once every run has completed with the output that can be computed.
"""

import asyncio
import contextlib
import hashlib
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiki

EFFECTS = Path(os.environ.get("AIKI_EFFECTS", os.devnull))


def digest(*parts: object) -> str:
    """Return what a step makes of its argument."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


@aiki.task
async def step(name: str, given: str) -> str:
    """Leave a line, take a moment, and return what follows from the arguments."""
    here = aiki.current_task()
    _leave(f"{here.idempotency_key} {here.run_id} {name} {given}")
    await asyncio.sleep(0.002)
    return digest(name, given)


@aiki.task
async def hold(seconds: float) -> int:
    """Leave a line, take a while, and tell which process this is."""
    here = aiki.current_task()
    _leave(f"{here.idempotency_key} {here.run_id} hold {seconds}")
    await asyncio.sleep(seconds)
    return os.getpid()


def _leave(line: str) -> None:
    descriptor = os.open(EFFECTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


class Go(aiki.Events):
    """What the runs wait for."""

    go: aiki.Event[str]


leg = aiki.workflow("leg")


@leg.version("1")
async def leg_v1(run: aiki.Run, given: str) -> str:
    """A child: two steps and a sleep."""
    first = await step.start(run, "leg-1", given)
    await run.sleep("pause", milliseconds=15)
    return await step.start(run, "leg-2", first)


journey = aiki.workflow("journey")


@journey.version("1", events=Go)
async def journey_v1(run: aiki.Run[Go], given: str) -> str:
    """Ten steps, of which three at once, with two sleeps, an event and a child between them."""
    value = await step.start(run, "1", given)
    await run.sleep("first", milliseconds=20)
    value = await step.start(run, "2", value)
    word = await run.events.go.wait(timeout=timedelta(minutes=10))
    value = await step.start(run, "3", value + word.data)
    child = await leg_v1.start_as_child(run, value)
    beside = asyncio.create_task(step.start(run, "4", value))
    value = await child.result()
    value += await beside
    three = await asyncio.gather(*(step.start(run, f"5-{part}", value) for part in "abc"))
    await asyncio.sleep(0.01)
    value = await step.start(run, "6", "".join(three))
    return await step.start(run, "7", value)


hop = aiki.workflow("hop")


@hop.version("1")
async def hop_v1(run: aiki.Run, given: str) -> str:
    """A child: a sleep and a step."""
    await run.sleep("pause", milliseconds=15)
    return await step.start(run, "hop", given)


trip = aiki.workflow("trip")


@trip.version("1", events=Go)
async def trip_v1(run: aiki.Run[Go], given: str) -> str:
    """Five steps with that of its child, a sleep and an event between them."""
    value = await step.start(run, "1", given)
    await run.sleep("first", milliseconds=300)
    word = await run.events.go.wait(timeout=timedelta(minutes=10))
    value = await step.start(run, "2", value + word.data)
    child = await hop_v1.start_as_child(run, value)
    beside = asyncio.create_task(step.start(run, "3", value))
    value = await child.result()
    value += await beside
    return await step.start(run, "4", value)


patience = aiki.workflow("patience")


@patience.version("1")
async def patience_v1(run: aiki.Run, seconds: float) -> int:
    """One task that takes a while."""
    return await hold.start(run, seconds)


def expected(given: str) -> str:
    """Return the output of a journey, computed."""
    value = digest("2", digest("1", given))
    value = digest("3", value + "onwards")
    value = digest("leg-2", digest("leg-1", value)) + digest("4", value)
    three = [digest(f"5-{part}", value) for part in "abc"]
    return digest("7", digest("6", "".join(three)))


def expected_of_trip(given: str) -> str:
    """Return the output of a trip, computed."""
    value = digest("2", digest("1", given) + "onwards")
    return digest("4", digest("hop", value) + digest("3", value))


async def travel(client: aiki.Client, number: int, *, delay_s: float = 0.0, is_released: bool = True) -> None:
    """Start a journey if it is not started, send its event if it is not sent, and wait for its end."""
    given = f"journey-{number}"
    handle = await journey_v1.options(reference_id=given, delay=delay_s).start(client, given)
    if is_released:
        with contextlib.suppress(aiki.RunEnded):  # it was sent in an earlier life, and the run has ended since
            await handle.events.go.send("onwards", reference_id="go")
    output = await handle.result()
    assert output == expected(given), f"{given} gave {output}"


async def serve_and_travel(database: str, runs: int, *, released: int) -> None:
    """Do everything in one process."""
    async with aiki.local(database, workflows=[journey_v1, leg_v1]) as client:
        print("up", flush=True)
        await asyncio.gather(*(travel(client, number, is_released=number < released) for number in range(runs)))
    print("done", flush=True)


async def work(url: str, redis: str | None = None) -> None:
    """Serve the workflows for a server elsewhere, until told to stop."""
    workflows: list[Any] = [journey_v1, leg_v1, trip_v1, hop_v1, patience_v1]
    subscriber = None if redis is None else aiki.RedisSubscriber(redis)
    async with aiki.Client(url, timeout=60) as client:
        await aiki.Worker(client, workflows=workflows, shutdown_grace=2.0, subscriber=subscriber).run()


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        asyncio.run(work(*sys.argv[2:]))
    else:
        asyncio.run(serve_and_travel(sys.argv[2], int(sys.argv[3]), released=int(sys.argv[4])))
