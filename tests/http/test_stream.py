"""The stream of changes over HTTP: as browsers read it, and at its end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from aiki.config import Config
from aiki.server.api.access import Access
from tests.http.world import World, served_world

QUICK = Config(live_gap_ms=10, live_beat_ms=100)


@asynccontextmanager
async def _stream(world: World, query: str = "", **headers: str) -> AsyncIterator[aiohttp.StreamReader]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{world.url}/v1/stream{query}", headers=headers) as answer,
    ):
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/event-stream"
        yield answer.content


async def _event(stream: aiohttp.StreamReader) -> dict[str, Any]:
    """Return the next event's fields, beats left out."""
    while True:
        text = (await stream.readuntil(b"\n\n")).decode()
        fields = dict(line.split(": ", 1) for line in text.splitlines() if line and not line.startswith(":"))
        if fields:
            return {**fields, "data": json.loads(fields["data"])}


async def test_a_change_arrives_as_an_event_with_its_mark() -> None:
    async with served_world(config=QUICK) as world, _stream(world) as stream:
        first = await _event(stream)
        assert first["data"]["missed"] is True

        run_id = await world.start()

        told = await _event(stream)
        assert (told["event"], told["id"]) == ("runs", told["data"]["mark"])
        assert [(run["id"], run["status"]) for run in told["data"]["runs"]] == [(run_id, "queued")]


async def test_a_stream_that_broke_goes_on_after_the_last_event() -> None:
    async with served_world(config=QUICK) as world:
        async with _stream(world) as stream:
            mark = (await _event(stream))["id"]
        run_id = await world.start()

        async with _stream(world, **{"Last-Event-ID": mark}) as stream:
            assert [run["id"] for run in (await _event(stream))["data"]["runs"]] == [run_id]
        async with _stream(world, f"?after={mark}") as stream:
            assert [run["id"] for run in (await _event(stream))["data"]["runs"]] == [run_id]


async def test_where_nothing_happens_a_comment_keeps_the_connection() -> None:
    async with served_world(config=QUICK) as world, _stream(world) as stream:
        await _event(stream)

        assert await stream.readuntil(b"\n\n") == b": nothing new\n\n"


async def test_a_server_that_closes_ends_its_streams() -> None:
    async with served_world(config=QUICK) as world, _stream(world) as stream:
        await _event(stream)

        world.api.shut_down()

        assert (await stream.read()).replace(b": nothing new\n\n", b"") == b""
        assert (await world.get("/v1/stream")).status == 503


async def test_a_reader_who_goes_gives_its_place_back() -> None:
    async with served_world(config=Config(live_gap_ms=10, live_beat_ms=100, live_readers_max=1)) as world:
        async with _stream(world) as stream:
            await _event(stream)
            assert (await world.get("/v1/stream")).status == 503
        await world.until_open(0)

        async with _stream(world) as stream:
            assert (await _event(stream))["data"]["missed"] is True


async def test_a_head_has_no_body_and_ends() -> None:
    async with served_world(config=QUICK) as world:
        async with asyncio.timeout(5):
            answer = await world.ask("HEAD", "/v1/stream")

        assert (answer.status, answer.body) == (200, b"")
        assert (await world.get("/readyz")).status == 200


async def test_only_who_may_read_is_told() -> None:
    async with served_world(access=Access(api_keys=["aiki_" + "ab" * 32])) as world:
        assert (await world.get("/v1/stream")).status == 401
