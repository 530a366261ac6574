"""What may come together with a tick: another look, a person, an edit, a restart. Each tick starts one run all the same."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from aiki.clock import Chance, ManualClock
from aiki.engine.commands import Activate, AskSchedule, Command, Tick
from aiki.errors import InvalidInput
from aiki.model.ids import derived_id
from aiki.model.lifecycle import Status
from aiki.model.schedule import (
    ActivateSchedule,
    CatchUp,
    Definition,
    Overlap,
    ScheduleInfo,
    ScheduleRequest,
    ScheduleStatus,
    ScheduleVerb,
)
from aiki.model.timing import Timing
from aiki.model.views import RunFilter, RunInfo
from aiki.model.wire import RunOptions
from aiki.server.server import Server
from tests.server.world import ServerWorld

NAME = ("default", "often")
MINUTE_MS = 60_000


def often(every_ms: int = MINUTE_MS, **changed: Any) -> Activate:
    asked: dict[str, Any] = {"version": "1.0.0", "input_hash": "h"} | changed
    return Activate(ActivateSchedule(*NAME, Definition(Timing(every_ms=every_ms), "order", **asked)))


def ask(verb: ScheduleVerb, run_id: str = "") -> AskSchedule:
    return AskSchedule(ScheduleRequest(*NAME, verb, run_id))


async def together(world: ServerWorld, *commands: Command) -> None:
    """Have commands decided in this order, in one transaction."""
    before = world.server.pipeline.transactions
    answers = [world.server.pipeline.submit(command) for command in commands]
    await world.until_quiet()
    await asyncio.gather(*answers)
    assert world.server.pipeline.transactions == before + 1


async def runs(world: ServerWorld) -> tuple[RunInfo, ...]:
    return (await world.do(world.calls.list(RunFilter(schedule="often", limit=500)))).runs


async def info(world: ServerWorld) -> ScheduleInfo:
    found = await world.do(world.calls.schedule(*NAME))
    assert found is not None
    return found


async def test_two_looks_at_one_tick_start_one_run(world: ServerWorld, clock: ManualClock) -> None:
    await together(world, often())
    clock.advance(milliseconds=MINUTE_MS)

    await together(world, Tick(*NAME), Tick(*NAME))
    await together(world, Tick(*NAME))

    assert len(await runs(world)) == 1


async def test_a_tick_after_its_schedule_was_deactivated_starts_nothing(world: ServerWorld, clock: ManualClock) -> None:
    await together(world, often())
    clock.advance(milliseconds=MINUTE_MS)

    await together(world, ask("deactivate"), Tick(*NAME))
    await together(world, Tick(*NAME))

    assert await runs(world) == ()
    assert await world.do(world.calls.schedule(*NAME)) is None


async def test_a_tick_before_its_schedule_is_deactivated_starts_its_run(world: ServerWorld, clock: ManualClock) -> None:
    await together(world, often())
    clock.advance(milliseconds=MINUTE_MS)

    await together(world, Tick(*NAME), ask("deactivate"))

    assert len(await runs(world)) == 1
    assert await world.do(world.calls.schedule(*NAME)) is None


async def test_a_tick_of_a_schedule_that_was_paused_starts_nothing(world: ServerWorld, clock: ManualClock) -> None:
    await together(world, often())
    clock.advance(milliseconds=MINUTE_MS)

    await together(world, ask("pause"), Tick(*NAME))

    assert await runs(world) == ()


async def test_a_due_tick_is_neither_lost_nor_repeated_by_another_timing(
    world: ServerWorld, clock: ManualClock
) -> None:
    await together(world, often())
    clock.advance(milliseconds=MINUTE_MS)

    await together(world, often(every_ms=10 * MINUTE_MS), Tick(*NAME))
    await world.step()

    assert len(await runs(world)) == 1
    assert (await info(world)).next_ms[0] == clock.now_ms() + 10 * MINUTE_MS


async def test_a_due_tick_takes_the_new_definition_where_the_timing_stays(
    world: ServerWorld, clock: ManualClock
) -> None:
    await together(world, often())
    clock.advance(milliseconds=MINUTE_MS)

    await together(world, often(version="2.0.0"), Tick(*NAME), often(version="2.0.0"), Tick(*NAME))

    (run,) = await runs(world)
    assert run.version == "2.0.0"


async def test_cancel_previous_stores_the_request_with_the_run(world: ServerWorld, clock: ManualClock) -> None:
    await together(world, often(overlap=Overlap.CANCEL_PREVIOUS))
    worker = await world.worker()
    clock.advance(milliseconds=MINUTE_MS)
    await world.step()
    assignment = await worker.claim()

    clock.advance(milliseconds=MINUTE_MS)
    before = world.server.pipeline.transactions
    await together(world, Tick(*NAME))

    assert world.server.pipeline.transactions == before + 1
    assert (await world.info(assignment.run_id)).cancel_requested
    assert len(await runs(world)) == 2


async def test_runs_that_have_not_begun_are_cancelled_at_once_and_those_who_wait_are_told(
    world: ServerWorld, clock: ManualClock
) -> None:
    await together(world, often(overlap=Overlap.CANCEL_PREVIOUS))
    for _ in range(3):
        clock.advance(milliseconds=MINUTE_MS)
        await world.step()

    assert [run.status for run in await runs(world)] == [Status.QUEUED, Status.CANCELLED, Status.CANCELLED]


async def test_a_trigger_repeated_after_a_lost_answer_is_one_run(world: ServerWorld) -> None:
    await together(world, often())
    run_id = world.new_id()

    await together(world, ask("trigger", run_id), ask("trigger", run_id))
    await together(world, ask("trigger", run_id))

    assert [run.id for run in await runs(world)] == [run_id]


async def test_catching_up_takes_the_newest_hundred_each_in_its_own_transaction(
    world: ServerWorld, clock: ManualClock
) -> None:
    await together(world, often(catch_up=CatchUp.ALL))
    clock.advance(milliseconds=1_000 * MINUTE_MS + 1)
    before = world.server.pipeline.transactions
    await world.step()

    assert len(await runs(world)) == 100
    assert world.server.pipeline.transactions - before >= 100
    assert (await info(world)).next_ms[0] == clock.now_ms() - 1 + MINUTE_MS


async def test_a_restart_in_the_middle_of_catching_up_repeats_no_tick(tmp_path: Path, clock: ManualClock) -> None:
    def server() -> Server:
        return Server(tmp_path / "aiki.db", clock=clock, chance=Chance(seed=1), inline=True, is_stepped=True)

    async with server() as first:
        await together(ServerWorld(first, clock), often(catch_up=CatchUp.ALL))
    clock.advance(milliseconds=50 * MINUTE_MS)
    async with server() as second:
        for _ in range(20):
            await together(ServerWorld(second, clock), Tick(*NAME))
    async with server() as third:
        world = ServerWorld(third, clock)
        await world.step()
        assert len(await runs(world)) == 50
        assert (await info(world)).fired == 50


async def test_a_schedule_that_fails_is_disabled_with_its_error_alone(world: ServerWorld, clock: ManualClock) -> None:
    await together(world, often())
    other = Definition(Timing(every_ms=MINUTE_MS), "order", "2.0.0", input_hash="h")
    await together(world, Activate(ActivateSchedule("default", "other", other)))
    run_id = derived_run(clock.now_ms() + MINUTE_MS)
    await world.do(world.calls.start([replace_id(world, run_id)]))  # somebody has taken the id of its next run
    clock.advance(milliseconds=MINUTE_MS)
    await world.step()

    failed = await info(world)
    assert failed.status is ScheduleStatus.DISABLED
    assert "insert_" in (failed.error or "")  # Postgres writes several together, and names the first that it finds
    assert len((await world.do(world.calls.list(RunFilter(schedule="other")))).runs) == 1

    await together(world, ask("resume"))
    clock.advance(milliseconds=MINUTE_MS)
    await world.step()
    assert ((await info(world)).status, len(await runs(world))) == (ScheduleStatus.ACTIVE, 1)


def derived_run(tick_ms: int) -> str:
    return derived_id("schedule", *NAME, tick_ms)


def replace_id(world: ServerWorld, run_id: str) -> Any:
    return replace(world.start_request(), run_id=run_id)


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (Definition(Timing(cron="nonsense"), "order", "1"), "fields"),
        (Definition(Timing(every_ms=5_000), "order", "1", options=RunOptions(reference_id="x")), "one single run"),
        (Definition(Timing(every_ms=5_000), "order", "1", options=RunOptions(delay_ms=5)), "one single run"),
        (Definition(Timing(every_ms=5_000), "", "1"), "empty"),
        (Definition(Timing(every_ms=5_000), "order", "1", input=Raw(b'{"a":NaN}')), "no number nan"),
    ],
)
async def test_what_cannot_tick_is_refused_at_the_door(
    world: ServerWorld, definition: Definition, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        await world.do(world.calls.activate(ActivateSchedule(*NAME, definition)))
