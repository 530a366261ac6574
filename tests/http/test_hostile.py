"""What no client of ours would send: each is answered with a 4xx that says what and where, and the server goes on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from aiki.config import Config
from aiki.server.api import protocol
from tests.http.world import MESSAGE, UNKNOWN_RUN, World, served_world

START: Final = '{"workflow":"order","version":"1.0.0","input":%s}'
DEEP: Final = "[" * 10_000 + "]" * 10_000
MIB: Final = 1024 * 1024
NEVER: Final = "x" * 201


def start_of(text: str) -> bytes:
    return (START % text).encode("utf-8", "surrogatepass")


# What is sent to /v1/runs: the body, and what the problem's path or text names.
BODIES: Final[dict[str, tuple[bytes, str]]] = {
    "nothing": (b"", "$.workflow"),
    "no JSON": (b"workflow=order", "byte 0"),
    "half of it": (b'{"workflow":"order","vers', "truncated"),
    "more than one": (b'{"workflow":"order","version":"1"} {}', "trailing"),
    "no UTF-8": (b'{"workflow":"\xff\xfe","version":"1"}', "UTF-8"),
    "a number": (b"7", "$"),
    "a wrong type": (b'{"workflow":"order","version":7}', "$.version"),
    "a wrong type inside": (start_of('{},"options":{"delay_ms":"soon"}'), "$.options.delay_ms"),
    "a word that is none of the allowed": (start_of('{},"options":{"conflict":"maybe"}'), "$.options.conflict"),
    "NaN": (start_of('{"price":[1,NaN]}'), "$.input.price[1]"),
    "an infinity": (start_of('{"price":-Infinity}'), "$.input.price"),
    "a NUL": (start_of('{"name":"a\\u0000b"}'), "$.name"),
    "half of a surrogate pair": (start_of('{"name":"\\ud800"}'), "$.input.name"),
    "a surrogate in UTF-8": (start_of('{"name":"\ud800"}'), "UTF-8"),
    "an integer beyond 64 bits": (start_of('{"n":9223372036854775808}'), "$.n"),
    "a key twice": (start_of('{"n":1,"n":2}'), 'the key "n" twice'),
    "64 levels and one": (start_of("[" * 65 + "]" * 65), "64 levels"),
    "10,000 levels": (start_of(DEEP), ""),
    "10,000 levels without an end": (b"[" * 10_000, "$"),
    "10,000 levels of objects": (b'{"a":' * 10_000, ""),
    "an empty name": (b'{"workflow":"","version":"1"}', "a workflow's name is empty"),
    "a name of 201 characters": (f'{{"workflow":"{NEVER}","version":"1"}}'.encode(), "201 characters"),
    "a name with a NUL": (b'{"workflow":"a\\u0000","version":"1"}', "control character"),
    "a name with a line break": (b'{"workflow":"a","version":"1\\n"}', "control character"),
    "a namespace that is none": (start_of('{},"namespace":""'), "namespace"),
    "an id that is none": (start_of('{},"run_id":"1"'), "run_id"),
    "an id in capitals": (start_of(f'{{}},"run_id":"{UNKNOWN_RUN.upper()}"'), "run_id"),
    "a negative delay": (start_of('{},"options":{"delay_ms":-1}'), "delay"),
    "a payload that is too large": (start_of('"%s"' % ("x" * (2 * MIB))), "2,097,152"),
}

ADDRESSES: Final[dict[str, tuple[str, str, int, str]]] = {
    "an id that is none": ("GET", "/v1/runs/7", 400, "run_id"),
    "an id with a NUL": ("GET", "/v1/runs/%00", 400, "run_id"),
    "an id that is no UTF-8": ("GET", "/v1/runs/%ff", 400, "run_id"),
    "an unknown run": ("GET", f"/v1/runs/{UNKNOWN_RUN}", 404, UNKNOWN_RUN),
    "an unknown run's journal": ("GET", f"/v1/runs/{UNKNOWN_RUN}/journal", 404, UNKNOWN_RUN),
    "an unknown run's result": ("GET", f"/v1/runs/{UNKNOWN_RUN}/result?wait=30", 404, UNKNOWN_RUN),
    "an unknown run's value": ("GET", f"/v1/runs/{UNKNOWN_RUN}/values/x", 404, UNKNOWN_RUN),
    "an unknown run to cancel": ("POST", f"/v1/runs/{UNKNOWN_RUN}/cancel", 404, UNKNOWN_RUN),
    "an unknown run's event": ("POST", f"/v1/runs/{UNKNOWN_RUN}/events/go", 404, UNKNOWN_RUN),
    "an event without a name": ("POST", f"/v1/runs/{UNKNOWN_RUN}/events/", 400, "an event's name is empty"),
    "an event's name of 201 characters": ("POST", f"/v1/runs/{UNKNOWN_RUN}/events/{NEVER}", 400, "201 characters"),
    "an event's name with a NUL": ("POST", f"/v1/runs/{UNKNOWN_RUN}/events/a%00", 400, "control character"),
    "a namespace of 201 characters": ("GET", f"/v1/runs?namespace={NEVER}", 400, "the namespace"),
    "a namespace that is no UTF-8": ("GET", "/v1/runs?namespace=%ed%a0%80%00", 400, "the namespace"),
    "a slip in the query": ("GET", "/v1/runs?workfow=order", 400, "workfow"),
    "a status that is none": ("GET", "/v1/runs?status=done", 400, "status"),
    "a page of 501": ("GET", "/v1/runs?limit=501", 400, "limit"),
    "a page of none": ("GET", "/v1/runs?limit=0", 400, "limit"),
    "a cursor that is none": ("GET", "/v1/runs?cursor=next", 400, "cursor"),
    "a tag without a colon": ("GET", "/v1/runs?tag=shop", 400, "$.tag"),
    "a wait that is no number": ("GET", f"/v1/runs/{UNKNOWN_RUN}/result?wait=soon", 400, "wait"),
    "a wait of a day": ("GET", f"/v1/runs/{UNKNOWN_RUN}/result?wait=86400", 400, "wait"),
    "a wait that is not one": ("GET", f"/v1/runs/{UNKNOWN_RUN}/result?wait=nan", 400, "wait"),
    "an epoch beyond 64 bits": (
        "GET", f"/v1/worker/journal?session_id={MESSAGE}&run_id={UNKNOWN_RUN}&epoch=99999999999999999999", 400, "epoch",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "named"), BODIES.values(), ids=BODIES)
async def test_a_body_that_cannot_be_taken_is_refused_with_what_is_wrong(world: World, body: bytes, named: str) -> None:
    refused = await world.post("/v1/runs", body)

    assert refused.status in (400, 413), refused.body
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert named in f"{refused.json.get('path')}: {refused.json['detail']}"
    assert (await world.get("/v1/runs")).json["runs"] == []
    assert await world.is_well()


@pytest.mark.parametrize(("method", "path", "status", "named"), ADDRESSES.values(), ids=ADDRESSES)
async def test_an_address_that_means_nothing_is_refused_with_what_is_wrong(
    world: World, method: str, path: str, *, status: int, named: str
) -> None:
    refused = await world.ask(method, path)

    assert refused.status == status, refused.body
    assert named in f"{refused.json.get('path')}: {refused.json['detail']}"
    assert await world.is_well()


@pytest.mark.parametrize(
    ("path", "item"),
    [
        ("/v1/runs", {"workflow": "order", "version": "1"}),
        ("/v1/events", {"namespace": "default", "run_id": MESSAGE, "message_id": MESSAGE, "name": "a", "payload": 1}),
        ("/v1/controls", {"namespace": "default", "run_id": MESSAGE, "message_id": MESSAGE, "verb": "wake"}),
    ],
)
async def test_more_than_a_thousand_in_one_request_are_refused(world: World, path: str, item: dict[str, Any]) -> None:
    refused = await world.post(path, [item] * 1_001)

    assert (refused.status, refused.json["code"]) == (400, "invalid_input")
    assert "1,001" in refused.json["detail"]


async def test_a_body_of_33_mib_is_refused_with_its_limit(world: World) -> None:
    refused = await world.post("/v1/runs", start_of('"%s"' % ("x" * (33 * MIB))))

    assert (refused.status, refused.json["code"], refused.json["facts"]) == (
        413, "body_too_large", {"limit_bytes": 32 * MIB},
    )  # fmt: skip
    assert await world.is_well()


async def test_a_body_of_33_mib_that_does_not_say_its_length_is_refused_too(world: World) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(33):
            yield b"x" * MIB

    refused = await world.stream("/v1/runs", parts())

    assert (refused.status, refused.json["code"]) == (413, "body_too_large")
    assert await world.is_well()


async def test_a_body_that_claims_to_be_enormous_is_refused_before_it_comes(world: World) -> None:
    answer = await world.raw(b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n{")

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"body_too_large" in answer


async def test_a_body_that_stops_coming_is_refused_and_its_connection_closed() -> None:
    async with served_world(config=Config(body_wait_ms=50)) as world:
        answer = await world.raw(
            b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n" + b'{"workflow"'
        )

        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in answer
        assert b"11 bytes of it did" in answer
        assert await world.is_well()


async def test_bodies_that_are_held_at_once_have_a_bound() -> None:
    async with served_world(config=Config(bodies_bytes_max=64 * 1024)) as world:
        held = b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60001\r\n\r\n" + b"x" * 60_000
        _, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(held)
        while world.api.held_bytes < 60_000:
            await asyncio.sleep(0)

        busy = await world.post("/v1/runs", b"y" * 10_000)
        writer.close()
        await writer.wait_closed()

        assert (busy.status, busy.json["code"]) == (503, "unavailable")
        while world.api.held_bytes:
            await asyncio.sleep(0)
        assert (await world.post("/v1/runs", b"y" * 10_000)).status == 400


async def test_a_start_that_cannot_be_taken_spoils_none_of_its_neighbours(world: World) -> None:
    starts = [f'{{"workflow":"order","version":"{number}"}}' for number in range(50)]
    starts[7] = '{"workflow":"order","version":"7","input":{"name":"\\u0000"}}'

    answers = (await world.post("/v1/runs", f"[{','.join(starts)}]".encode())).json

    assert [number for number, answer in enumerate(answers) if "problem" in answer] == [7]
    assert answers[7]["problem"]["facts"]["path"] == "$.name"
    assert len((await world.get("/v1/runs?limit=100")).json["runs"]) == 49


async def test_a_route_that_fails_says_so_and_spoils_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(world.server.service, "info", broken)

    failed = await world.get(f"/v1/runs/{UNKNOWN_RUN}")

    assert (failed.status, failed.json["code"]) == (500, "internal")
    assert b"secret" not in failed.body
    assert "GET /v1/runs/{run_id} failed" in caplog.text
    assert await world.is_well()


@pytest.mark.parametrize("head", [b"GET /" + b"x" * 70_000, b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000])
async def test_a_head_without_an_end_is_refused(world: World, head: bytes) -> None:
    answer = await world.raw(head)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"more than 65536 bytes" in answer
    assert await world.is_well()


async def test_a_head_that_stops_coming_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_WAIT_S", 0.05)
    async with served_world() as world:
        answer = await world.raw(b"POST /v1/runs HTTP/1.1\r\nHost: loc")

        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"did not arrive within 0.05 s" in answer


async def test_a_body_has_its_own_time_and_not_that_of_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_WAIT_S", 0.05)
    async with served_world() as world:
        run_id = await world.start()

        answer = await world.get(f"/v1/runs/{run_id}/result?wait=0.2")

        assert answer.status == 202


@pytest.mark.parametrize(
    "request_text",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST /v1/runs HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_by_the_server_below(world: World, request_text: bytes) -> None:
    assert (await world.raw(request_text)).startswith(b"HTTP/1.1 400 ")
    assert await world.is_well()
