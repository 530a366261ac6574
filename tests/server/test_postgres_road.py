"""The road over Postgres: whatever becomes of its connection, it is made anew, and the server goes on."""

import asyncio

import asyncpg
import pytest

from aiki.server.hints import News
from aiki.server.postgres_road import PostgresRoad
from aiki.store.postgres.address import Address


@pytest.mark.parametrize("error", [OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError])
async def test_a_road_that_breaks_is_taken_again(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    again = asyncio.Event()
    tries = 0

    async def failing(*_: object) -> None:
        nonlocal tries
        tries += 1
        if tries > 1:
            again.set()
        raise error("it went away")

    def heard(_: News) -> None:
        raise AssertionError("nothing can be heard")

    monkeypatch.setattr("aiki.server.postgres_road.connect", failing)
    listening = asyncio.create_task(PostgresRoad(Address.of("postgresql://localhost/aiki")).listen(heard))
    waiting = asyncio.create_task(again.wait())
    await asyncio.wait([listening, waiting], return_when=asyncio.FIRST_COMPLETED)

    assert again.is_set()
    waiting.cancel()
    listening.cancel()
    await asyncio.gather(listening, waiting, return_exceptions=True)
