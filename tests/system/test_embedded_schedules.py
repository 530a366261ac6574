"""Schedules on the whole platform, in virtual time: workers activate them, ticks start runs, months pass at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal

import pytest

import aiki
from aiki import Run, ScheduleConflict, ScheduleNotFound, testing, workflow

report = workflow("report")


@report.version("1")
async def report_v1(run: Run, kind: str, times: int = 1) -> str:
    return kind * times


@report.version("2")
async def report_v2(run: Run, kind: str) -> str:
    return f"v2: {kind}"


@workflow("slow").version("1")
async def slow_v1(run: Run) -> None:
    await run.sleep("long", hours=10)


daily = aiki.schedule("daily", cron="0 9 * * *", timezone="America/New_York")
hourly = aiki.schedule("hourly", every=timedelta(hours=1))


@pytest.fixture
async def env() -> AsyncIterator[testing.Environment]:
    async with testing.local(workflows=[report_v1, report_v2, slow_v1]) as env:
        yield env


async def hours_of(env: testing.Environment, name: str) -> list[datetime]:
    """Return when a schedule started runs, oldest first."""
    page = await env.runs.list(schedule=name, limit=500)
    return [run.created_at for run in reversed(page.runs)]


async def test_a_daily_schedule_starts_a_run_each_day_at_its_hour_on_the_wall(env: testing.Environment) -> None:
    await daily.activate(env, report_v1, "sales")
    await asyncio.sleep(4 * 86_400)

    (run, *_) = (await env.runs.list(schedule="daily")).runs
    begun = await hours_of(env, "daily")
    assert (run.status, run.workflow, run.schedule) == ("completed", "report", "daily")
    assert (await env.runs.get(run.id)).input == {"kind": "sales"}
    assert len(begun) == 4
    assert {moment.minute for moment in begun} == {0}
    assert all(later - sooner == timedelta(days=1) for sooner, later in pairwise(begun))


async def test_activating_the_same_again_changes_nothing(env: testing.Environment) -> None:
    handle = await hourly.activate(env, report_v1, "a")
    before = await handle.info()
    await asyncio.sleep(1_800)
    await hourly.activate(env, report_v1, kind="a")
    assert await handle.info() == before

    await handle.pause()
    await hourly.activate(env, report_v1, "a")
    assert (await handle.info()).status == "paused"


async def test_another_definition_counts_from_the_next_tick(env: testing.Environment) -> None:
    handle = await hourly.activate(env, report_v1, "a")
    await asyncio.sleep(1_800)
    await hourly.activate(env, report_v2, "b")
    await asyncio.sleep(1_801)

    (run,) = (await env.runs.list(schedule="hourly")).runs
    info = await handle.info()
    assert (run.version, (await env.runs.get(run.id)).output) == ("2", "v2: b")
    assert (info.version, info.input, info.fired) == ("2", {"kind": "b"}, 1)


async def test_another_definition_is_refused_where_the_schedule_says_so(env: testing.Environment) -> None:
    strict = aiki.schedule("hourly", every=3_600, on_change="error")
    await strict.activate(env, report_v1, "a")
    await strict.activate(env, report_v1, "a")

    with pytest.raises(ScheduleConflict) as conflict:
        await strict.activate(env, report_v1, "b")

    assert "hourly" in str(conflict.value)
    assert (await env.schedules.get("hourly")).input == {"kind": "a"}


async def test_a_version_with_options_of_one_run_is_refused(env: testing.Environment) -> None:
    for options in ({"reference_id": "x"}, {"delay": 5.0}, {"start_at": datetime(2030, 1, 1, tzinfo=UTC)}):
        with pytest.raises(ValueError, match="one single run"):
            await hourly.activate(env, report_v1.options(**options), "a")


async def test_paused_it_rests_and_resumed_it_makes_the_latest_tick_good(env: testing.Environment) -> None:
    handle = await hourly.activate(env, report_v1, "a")
    assert await handle.pause()
    assert not await handle.pause()
    await asyncio.sleep(5 * 3_600)
    assert await hours_of(env, "hourly") == []

    assert await handle.resume()
    await asyncio.sleep(1)
    assert len(await hours_of(env, "hourly")) == 1
    await asyncio.sleep(3_600)
    assert len(await hours_of(env, "hourly")) == 2


@pytest.mark.parametrize(("catch_up", "made_good"), [("latest", 1), ("all", 5), ("none", 0)])
async def test_what_was_missed_while_paused_is_made_good_as_the_schedule_says(
    env: testing.Environment, catch_up: Literal["latest", "all", "none"], made_good: int
) -> None:
    schedule = aiki.schedule("hourly", every=3_600, catch_up=catch_up)
    handle = await schedule.activate(env, report_v1, "a")
    await handle.pause()
    await asyncio.sleep(5 * 3_600 + 1_800)
    await handle.resume()
    await asyncio.sleep(1)

    assert len(await hours_of(env, "hourly")) == made_good


async def test_all_that_is_made_good_is_a_hundred_ticks(env: testing.Environment) -> None:
    handle = await aiki.schedule("often", cron="* * * * *", catch_up="all").activate(env, report_v1, "a")
    await handle.pause()
    await asyncio.sleep(3 * 86_400 + 30)
    await handle.resume()
    await asyncio.sleep(5)

    assert len(await hours_of(env, "often")) == 100
    assert (await handle.info()).next[0] > datetime.fromtimestamp(env.clock.now_ms() / 1_000, UTC)


async def test_triggered_it_starts_a_run_now_and_ticks_as_before(env: testing.Environment) -> None:
    handle = await hourly.activate(env, report_v1, "a")
    before = (await handle.info()).next
    run = await handle.trigger()

    assert run is not None
    assert await run.result() == "a"
    assert (await handle.info()).next == before
    assert (await handle.info()).last[0].run_id == run.id


async def test_deactivated_it_is_gone_and_its_runs_stay(env: testing.Environment) -> None:
    handle = await hourly.activate(env, report_v1, "a")
    await handle.trigger()
    assert await handle.deactivate()
    assert not await handle.deactivate()
    await asyncio.sleep(7_200)

    assert len(await hours_of(env, "hourly")) == 1
    with pytest.raises(ScheduleNotFound, match="hourly"):
        await handle.pause()


@pytest.mark.parametrize(
    ("overlap", "open_runs", "cancelled"), [("allow", 5, 0), ("skip", 1, 0), ("cancel_previous", 1, 4)]
)
async def test_overlap_says_what_a_tick_does_while_a_run_is_open(
    env: testing.Environment, overlap: Literal["allow", "skip", "cancel_previous"], open_runs: int, cancelled: int
) -> None:
    schedule = aiki.schedule("slowly", every=3_600, overlap=overlap)
    handle = await schedule.activate(env, slow_v1)
    await asyncio.sleep(5 * 3_600 + 10)

    counted = await env.runs.list(schedule="slowly")
    assert sum(run.status == "sleeping" for run in counted.runs) == open_runs
    assert sum(run.status == "cancelled" for run in counted.runs) == cancelled
    info = await handle.info()
    assert info.fired + info.skipped == 5
    assert (await handle.trigger() is None) == (overlap == "skip")


async def test_a_worker_activates_its_schedules_at_start() -> None:
    async with testing.local(workflows=[report_v1], schedules=[hourly.of(report_v1, "a")]) as env:
        assert [found.name for found in (await env.schedules.list()).schedules] == ["hourly"]
        await asyncio.sleep(3_601)
        assert len(await hours_of(env, "hourly")) == 1


async def test_a_tick_comes_no_later_than_a_timer(env: testing.Environment) -> None:
    handle = await hourly.activate(env, report_v1, "a")
    due = (await handle.info()).next[0]
    await asyncio.sleep(3_700)

    assert (await hours_of(env, "hourly"))[0] - due < timedelta(milliseconds=20)
