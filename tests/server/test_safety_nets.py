"""What catches a run that would hang, or harm others: each net says what it caught, and `requeue` lets the run go on."""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from msgspec import Raw

from aiki.clock import Chance, ManualClock
from aiki.config import Config
from aiki.model.ids import child_run_id
from aiki.model.journal import CallKey, Entry, EntryKind, Failure
from aiki.model.lifecycle import Status
from aiki.model.wire import ChildStart, Effect, Outcome, Verdict
from aiki.server.server import Server
from tests.server.world import ServerWorld, turn

LIMIT: Final = 2_000
TOO_LARGE: Final = Raw(b'"' + b"x" * LIMIT + b'"')
CONFIG: Final = Config(payload_bytes_max=LIMIT, undelivered_ms=120_000)


@pytest.fixture
async def small(clock: ManualClock) -> AsyncIterator[ServerWorld]:
    """A server that takes little, and has little patience."""
    async with Server(":memory:", clock=clock, chance=Chance(seed=1), config=CONFIG, is_stepped=True) as server:
        yield ServerWorld(server, clock)


async def pass_time(world: ServerWorld, *, seconds: int) -> None:
    for _ in range(seconds):
        world.clock.advance(seconds=1)
        await world.step()


async def test_a_run_that_nobody_took_stalls_and_goes_on_when_it_is_requeued_to_a_worker(small: ServerWorld) -> None:
    run_id = await small.run()
    await pass_time(small, seconds=200)
    info = await small.info(run_id)
    assert info.status is Status.STALLED
    assert (info.why or "").startswith(
        "no worker has taken it within 0.0333333 hours: start one that serves order 1.0.0"
    )

    worker = await small.worker()
    assert (await worker.poll()).assignments == ()
    assert (await small.control(run_id, "requeue")).changed
    await worker.complete(await worker.claim())

    assert (await small.info(run_id)).status is Status.COMPLETED


async def test_a_run_that_its_workers_die_on_stalls_and_goes_on_when_it_is_requeued(small: ServerWorld) -> None:
    run_id = await small.run()
    for _ in range(6):
        worker = await small.worker()
        await worker.poll()
        await worker.poll(capacity=0)  # it has heard of its claim
        await pass_time(small, seconds=25)
    info = await small.info(run_id)
    assert (info.status, info.crashes) == (Status.STALLED, 5)
    assert "5 workers died one after another while they held this run" in (info.why or "")

    assert (await small.control(run_id, "requeue")).changed
    worker = await small.worker()
    await worker.complete(await worker.claim())

    info = await small.info(run_id)
    assert (info.status, info.crashes) == (Status.COMPLETED, 0)


async def test_input_beyond_the_limit_starts_nothing(small: ServerWorld) -> None:
    started = await small.start(payload=bytes(TOO_LARGE))

    assert started.problem is not None
    assert started.problem.code == "payload_too_large"
    assert started.problem.message.startswith("the input of order has 2,002 bytes, and the limit is 2,000")
    assert (started.problem.facts["size_bytes"], started.problem.facts["limit_bytes"]) == (2_002, 2_000)
    assert await small.do(small.calls.info("default", started.run_id)) is None


async def test_an_event_beyond_the_limit_is_not_sent(small: ServerWorld) -> None:
    standing = await small.send(await small.run(), "go", bytes(TOO_LARGE))

    assert standing.problem is not None
    assert standing.problem.message.startswith("the event go has 2,002 bytes, and the limit is 2,000")


TASK: Final = CallKey(EntryKind.TASK, "charge#1")
CHILD: Final = CallKey(EntryKind.CHILD, "order#1")
FAILURE: Final = Failure("shop.Declined", "no", details=TOO_LARGE)
COMMITS: Final[dict[str, tuple[Outcome, dict[str, Any]]]] = {
    "the output": (Outcome.COMPLETED, {"output": TOO_LARGE}),
    "the result of charge#1": (Outcome.RUNNING, {"entries": (Entry(1, TASK, 0, 1, result=TOO_LARGE),)}),
    "the value progress": (Outcome.RUNNING, {"effects": (Effect(1, "set", "progress", TOO_LARGE),)}),
    "the input of the next chapter": (Outcome.CONTINUED, {"input": TOO_LARGE}),
    "the input of the child order": (Outcome.RUNNING, {"children": ()}),
    "the details of shop.Declined": (Outcome.FAILED, {"error": FAILURE}),
}


@pytest.mark.parametrize("what", COMMITS)
async def test_a_turn_beyond_the_limit_is_refused_and_its_run_stalls_with_what_is_too_large(
    small: ServerWorld, what: str
) -> None:
    run_id = await small.run()
    worker = await small.worker()
    claim = await worker.claim()
    outcome, parts = COMMITS[what]
    if "children" in parts:
        child_id = child_run_id(run_id, 1, attempt=1, address=CHILD.address, ordinal=0)
        parts = {"children": (ChildStart(CHILD, child_id, "default", "order", "1.0.0", TOO_LARGE, "h"),)}

    (answer,) = await worker.commit(turn(claim, outcome, **parts))

    assert answer.verdict is Verdict.REFUSED
    info = await small.info(run_id)
    assert info.status is Status.STALLED
    assert (info.why or "").startswith(f"{what} has 2,002 bytes, and the limit is 2,000")

    await small.control(run_id, "requeue")
    await worker.complete(await worker.claim())
    assert (await small.info(run_id)).status is Status.COMPLETED
