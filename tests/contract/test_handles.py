"""What 1-api.md says of handles, as far as no other test holds it (`rows.py` names those)."""

import asyncio
from typing import Any, Literal

import pytest

from aiki import Run, RunCancelled, RunFailed, TimedOut, testing, workflow


@workflow("doing").version("1")
async def doing_v1(run: Run, ends: str) -> str:
    """End as told, after a minute."""
    await run.sleep("a-while", minutes=1)
    if ends == "failed":
        raise ValueError("it broke")
    if ends == "cancelled":
        await run.sleep("for-ever", days=1000)
    return ends


@pytest.mark.parametrize("wanted", ["completed", "failed", "cancelled"])
@pytest.mark.parametrize("ends", ["completed", "failed", "cancelled"])
async def test_waiting_for_a_status_tells_how_it_ended_and_never_raises(
    wanted: Literal["completed", "failed", "cancelled"], ends: str
) -> None:
    async with testing.local(workflows=[doing_v1]) as env:
        handle = await doing_v1.start(env, ends)
        early = await handle.wait_for_status(wanted, timeout=1)
        assert (bool(early), early.timed_out, early.status) == (False, True, None)
        await env.advance(minutes=2)
        if ends == "cancelled":
            await handle.cancel("enough")
        ended = await handle.wait_for_status(wanted)
        assert (bool(ended), ended.reached, ended.status) == (wanted == ends, wanted == ends, ends)
        assert ended.output == ("completed" if ends == "completed" else None)
        assert type(ended.error) is {"completed": type(None), "failed": RunFailed, "cancelled": RunCancelled}[ends]


@pytest.mark.parametrize(("ends", "error"), [("failed", RunFailed), ("cancelled", RunCancelled)])
async def test_a_result_is_the_output_or_raises_how_the_run_ended(ends: str, error: type[Exception]) -> None:
    async with testing.local(workflows=[doing_v1]) as env:
        assert await (await doing_v1.start(env, "completed")).result() == "completed"
        handle = await doing_v1.start(env, ends)
        with pytest.raises(TimedOut):
            await handle.result(timeout=5)
        await env.advance(minutes=2)
        await handle.cancel("enough")
        with pytest.raises(error):
            await handle.result()


async def test_the_result_of_a_run_that_ended_long_ago_is_there_at_once(tmp_path: Any) -> None:
    async with testing.local(workflows=[doing_v1], database=tmp_path / "a.db") as env:
        handle = await doing_v1.start(env, "completed")
        await env.advance(days=1)
        begun = asyncio.get_running_loop().time()
        assert [await handle.result(), await handle.result(timeout=1)] == ["completed"] * 2
        assert asyncio.get_running_loop().time() - begun < 0.01
        run_id = handle.id
    async with testing.local(database=tmp_path / "a.db") as env:
        begun = asyncio.get_running_loop().time()
        assert await doing_v1.handle(env, run_id).result() == "completed"
        assert asyncio.get_running_loop().time() - begun < 0.01
