"""What a road to Redis does by its own clock, and how it ends."""

import asyncio
from typing import Any

import pytest

from aiki.clock import ManualClock
from aiki.model import ready
from aiki.model.working_set import WorkingSet
from aiki.server.redis_road import RedisRoad
from tests.store.world import StoreWorld
from tests.virtual import virtually


@virtually
async def test_it_ends_though_the_driver_swallows_its_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    road = RedisRoad("redis://127.0.0.1:1/0", kept_s=0.1)
    started = asyncio.Event()

    async def swallowing(*_: Any) -> None:
        started.set()
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            return

    monkeypatch.setattr(road, "_write_pending", swallowing)
    listening = asyncio.create_task(road.listen(lambda _: None))
    await started.wait()
    listening.cancel()

    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(60):
            await listening
    await road.close()


@virtually
async def test_a_run_is_shown_to_all_once_its_keeper_has_had_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    road = RedisRoad("redis://127.0.0.1:1/0", kept_s=0.1)
    loop = asyncio.get_running_loop()
    world = StoreWorld[Any](None, ManualClock())
    shown: dict[tuple[str, str], float] = {}

    async def written() -> None:
        shown.update({(key, run_id): loop.time() for key, scores in road._shown.items() for run_id in scores})
        road._shown, road._gone = {}, {}
        road._has_pending.clear()

    monkeypatch.setattr(road, "_write_pending", written)
    writing = asyncio.create_task(road._write())
    expected = {}
    for pause_s in (0, 0.03, 0.02, 5):
        await asyncio.sleep(pause_s)
        row = world.row(parked_on="session")
        ws = WorkingSet(now_ms=0)
        ws.runs[row.id] = ws.changed_runs[row.id] = row
        road.show(ws)
        expected[ready.session_key("aiki", "session"), row.id] = loop.time()
        expected[ready.queue_key("aiki", row.queue), row.id] = loop.time() + 0.1
    await asyncio.sleep(1)
    writing.cancel()

    assert {place: round(at, 3) for place, at in shown.items()} == {
        place: round(at, 3) for place, at in expected.items()
    }
    await road.close()
