"""The end of a road whose driver swallows a cancellation: it ends all the same."""

import asyncio
from typing import Any

import pytest

from aiki.server.redis_road import RedisRoad
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
