"""A server inside another application, at a prefix and under that one's rules."""

import asyncio
from collections.abc import MutableMapping
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from aiki import ApiKey, InvalidInput, Principal, Role, Server, Unavailable

KEY = "aiki_" + "0123456789abcdef" * 4
ORDER = b'{"workflow":"order","version":"1"}'


async def test_it_is_mounted_at_a_prefix_and_refuses_foreign_hosts_there_too() -> None:
    async with Server(":memory:") as server:
        app = Starlette(routes=[Mount("/aiki", app=server.asgi)])

        started = await _ask(app, "POST", "/aiki/v1/runs", ORDER)
        run_id = started[1]["run_id"]

        assert started[0] == 201
        assert (await _ask(app, "GET", f"/aiki/v1/runs/{run_id}"))[1]["status"] == "queued"
        assert (await _ask(app, "GET", "/aiki/nowhere"))[1]["code"] == "not_found"
        assert (await _ask(app, "PUT", "/aiki/v1/runs"))[1]["code"] == "method_not_allowed"
        assert (await _ask(app, "GET", "/aiki/v1/runs", host=b"shop.example"))[1]["path"] == "Host"


@pytest.mark.parametrize(
    "rules", [{"insecure": True}, {"authorize": lambda _: Principal("me")}, {"api_keys": [ApiKey.of(KEY)]}]
)
async def test_a_server_that_was_given_rules_is_reached_under_any_name(rules: dict[str, Any]) -> None:
    async with Server(":memory:", **rules) as server:
        assert (await _ask(server.asgi, "GET", "/v1/runs", host=b"shop.example", key=KEY))[0] == 200


async def test_a_key_opens_what_its_role_may() -> None:
    viewer = ApiKey.of(KEY, Principal("the screen", Role.VIEWER))
    async with Server(":memory:", api_keys=[viewer]) as server:
        assert (await _ask(server.asgi, "GET", "/v1/runs", key=KEY))[0] == 200
        assert (await _ask(server.asgi, "POST", "/v1/runs", ORDER, key=KEY))[0] == 403
        assert (await _ask(server.asgi, "GET", "/v1/runs"))[0] == 401


def test_a_key_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(InvalidInput, match="an API key begins with aiki_"):
        Server(":memory:", api_keys=["secret"])


async def test_a_mounted_server_that_was_not_started_says_so() -> None:
    app = Starlette(routes=[Mount("/aiki", app=Server(":memory:").asgi)])

    assert await _ask(app, "GET", "/aiki/healthz") == (200, {"status": "ok"})
    for path in ("/aiki/readyz", "/aiki/v1/runs"):
        status, problem = await _ask(app, "GET", path)
        assert (status, problem["code"]) == (503, "unavailable")
        assert "lifespan=server.lifespan" in problem["detail"]


async def test_a_server_may_be_entered_again() -> None:
    server = Server(":memory:")
    client = server.client()
    for _ in range(2):
        async with server.lifespan(), client:
            assert (await client.runs.list()).runs == ()
            waits = _ask(server.asgi, "POST", "/v1/runs/wait", _WAIT)
            assert (await asyncio.gather(waits, _ask(server.asgi, "GET", "/readyz")))[1][0] == 200
        assert (await _ask(server.asgi, "GET", "/readyz"))[0] == 503


async def test_who_waits_is_answered_when_the_server_ends() -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(":memory:"))
        run_id = (await _ask(server.asgi, "POST", "/v1/runs", ORDER))[1]["run_id"]
        waits = asyncio.create_task(_ask(server.asgi, "GET", f"/v1/runs/{run_id}/result", query=b"wait=60"))
        assert (await _ask(server.asgi, "GET", "/readyz"))[0] == 200

        await stack.aclose()

        assert (await waits)[0] == 503


async def test_a_client_speaks_with_its_server_without_a_network() -> None:
    server = Server(":memory:")
    async with server.client("shop") as client:
        with pytest.raises(Unavailable, match="does not run"):
            await client.transport.info("shop", "0190a000-0000-7000-8000-00000000dead")
        async with server:
            handle = await client.runs.start("order", "1", {})

            assert (await handle.info()).status == "queued"
            assert (await client.runs.get(handle.id)).namespace == "shop"


@pytest.mark.parametrize(
    ("path", "root_path", "raw_path", "mounted_at"),
    [
        ("/openapi.json", "", b"/openapi.json", "/"),
        ("/aiki/openapi.json", "/aiki", b"/aiki/openapi.json", "/aiki"),
        ("/proxied/aiki/openapi.json", "/proxied/aiki", b"/proxied/aiki/openapi.json", "/proxied/aiki"),
        ("/openapi.json/", "", b"/aiki/openapi.json", "/aiki"),  # as Litestar does
        ("/openapi.json/", "/proxied", b"/proxied/aiki/openapi.json", "/proxied/aiki"),
        ("/openapi.json", "/aiki", None, "/aiki"),
    ],
)
async def test_the_document_names_the_path_at_which_the_api_is_mounted(
    path: str, root_path: str, raw_path: bytes | None, mounted_at: str
) -> None:
    scope = {"root_path": root_path} if raw_path is None else {"root_path": root_path, "raw_path": raw_path}

    status, document = await _ask(Server(":memory:").asgi, "GET", path, **scope)

    assert (status, document["servers"]) == (200, [{"url": mounted_at}])


async def test_served_by_itself_it_begins_and_ends_with_its_process() -> None:
    server = Server(":memory:")
    received: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
    sent: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
    lives = asyncio.create_task(server.asgi({"type": "lifespan", "state": {}}, received.get, sent.put))

    received.put_nowait({"type": "lifespan.startup"})
    assert (await sent.get())["type"] == "lifespan.startup.complete"
    assert (await _ask(server.asgi, "GET", "/readyz"))[0] == 200

    received.put_nowait({"type": "lifespan.shutdown"})
    assert (await sent.get())["type"] == "lifespan.shutdown.complete"
    await lives
    assert (await _ask(server.asgi, "GET", "/readyz"))[0] == 503


async def test_a_web_socket_is_closed() -> None:
    async with Server(":memory:") as server:
        sent: list[MutableMapping[str, Any]] = []

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await server.asgi({"type": "websocket", "path": "/v1/runs"}, _nothing, send)

    assert [message["type"] for message in sent] == ["websocket.close"]


_WAIT = msgspec.json.encode(
    {"namespace": "default", "subscription": "0190a000-0000-7000-8000-000000000001", "number": 1, "wait_ms": 0}
)


async def _ask(
    app: Any,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    host: bytes = b"localhost",
    key: str | None = None,
    query: bytes = b"",
    **more: Any,
) -> tuple[int, Any]:
    """Ask an application as a server would, without one."""
    sent: list[MutableMapping[str, Any]] = []
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "root_path": "",
        "query_string": query,
        "headers": [(b"host", host)] + ([] if key is None else [(b"authorization", f"Bearer {key}".encode())]),
        "client": None,
        "server": None,
        **more,
    }
    bodies = [body]

    async def receive() -> MutableMapping[str, Any]:
        if bodies:
            return {"type": "http.request", "body": bodies.pop(), "more_body": False}
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], msgspec.json.decode(b"".join(message.get("body", b"") for message in sent[1:]))


async def _nothing() -> MutableMapping[str, Any]:
    raise AssertionError("nothing is to be received")
