"""Schedules that tick at an interval: `every=`. Those with a cron expression, and what becomes of any, stand in
`tests/system/test_embedded_schedules.py`.
"""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

import aiki
from aiki import InvalidInput, Run, testing, workflow


@workflow("report").version("1")
async def report_v1(run: Run, kind: str = "a") -> str:
    return kind


@workflow("slow").version("1")
async def slow_v1(run: Run) -> None:
    await run.sleep("long", minutes=40)


quarterly = aiki.schedule("quarterly", every=timedelta(minutes=15))


async def begun(env: testing.Environment, name: str = "quarterly") -> list[datetime]:
    """Return when the schedule started runs, the oldest first."""
    return [run.created_at for run in reversed((await env.runs.list(schedule=name, limit=500)).runs)]


async def test_an_interval_counts_from_the_activation_and_does_not_drift() -> None:
    async with testing.local(workflows=[report_v1]) as env:
        await env.advance(minutes=7)
        activated = (await (await quarterly.activate(env, report_v1)).info()).created_at
        await env.advance(hours=3)

        assert [moment - activated for moment in await begun(env)] == [
            timedelta(minutes=15 * tick) for tick in range(1, 13)
        ]


@pytest.mark.parametrize("every", [900, 900.0, timedelta(minutes=15)])
async def test_an_interval_is_seconds_or_a_timedelta(every: float | timedelta) -> None:
    async with testing.local(workflows=[report_v1]) as env:
        info = await (await aiki.schedule("some", every=every).activate(env, report_v1, "b")).info()
        assert (info.every, info.cron, info.input) == (timedelta(minutes=15), None, {"kind": "b"})
        assert [later - info.created_at for later in info.next[:2]] == [timedelta(minutes=15), timedelta(minutes=30)]


async def test_the_same_interval_again_ticks_as_before_and_another_counts_from_now() -> None:
    async with testing.local(workflows=[report_v1]) as env:
        activated = (await (await quarterly.activate(env, report_v1)).info()).created_at
        await env.advance(minutes=10)
        await quarterly.activate(env, report_v1)
        await env.advance(minutes=10)
        await aiki.schedule("quarterly", every=3600).activate(env, report_v1)
        await env.advance(minutes=61)

        assert [moment - activated for moment in await begun(env)] == [timedelta(minutes=15), timedelta(minutes=80)]


async def test_an_interval_goes_on_counting_while_no_server_runs_and_makes_the_latest_tick_good(tmp_path: Path) -> None:
    database = tmp_path / "interval.db"
    async with testing.local(workflows=[report_v1], database=database) as env:
        activated = (await (await quarterly.activate(env, report_v1)).info()).created_at
        await env.advance(minutes=16)
    async with testing.local(workflows=[report_v1], database=database, now=activated + timedelta(minutes=68)) as env:
        await env.advance(minutes=8)
        first, made_good, on_time = await begun(env)

    assert first - activated == timedelta(minutes=15)
    assert timedelta(minutes=68) <= made_good - activated < timedelta(minutes=69)
    assert on_time - activated == timedelta(minutes=75)


async def test_a_tick_of_an_interval_is_passed_over_while_a_run_of_it_is_open() -> None:
    async with testing.local(workflows=[slow_v1]) as env:
        handle = await aiki.schedule("skipping", every=900, overlap="skip").activate(env, slow_v1)
        await env.advance(minutes=61)
        info = await handle.info()

    assert (info.fired, info.skipped) == (2, 2)


async def test_an_interval_is_tried_out_without_moving_its_ticks() -> None:
    async with testing.local(workflows=[report_v1]) as env:
        handle = await quarterly.activate(env, report_v1, "now")
        activated = (await handle.info()).created_at
        await env.advance(minutes=5)
        started = await handle.trigger()
        assert started is not None
        assert await started.result() == "now"
        await env.advance(minutes=11)

        assert [moment - activated for moment in await begun(env)] == [timedelta(minutes=5), timedelta(minutes=15)]


def test_a_schedule_has_an_interval_or_a_cron_expression_and_an_interval_has_a_least_length() -> None:
    with pytest.raises((ValueError, TypeError, InvalidInput), match="either a cron expression"):
        aiki.schedule("both", cron="0 9 * * *", every=60)
    with pytest.raises((ValueError, TypeError, InvalidInput), match="either a cron expression"):
        aiki.schedule("neither")
    with pytest.raises((ValueError, TypeError, InvalidInput), match="1 second"):
        aiki.schedule("often", every=0.5)
