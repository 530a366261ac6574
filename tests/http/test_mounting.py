"""The API inside another application, at a prefix and under that one's rules."""

from collections.abc import MutableMapping
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.routing import Mount

from aiki.errors import Unavailable
from aiki.server.api.access import Access
from aiki.server.api.app import Api
from aiki.server.server import Server


async def test_it_is_mounted_at_a_prefix_and_refuses_foreign_hosts_there_too() -> None:
    async with Server(":memory:") as server:
        app = Starlette(routes=[Mount("/aiki", app=_api(server))])

        started = await _ask(app, "POST", "/aiki/v1/runs", b'{"workflow":"order","version":"1"}')
        run_id = started[1]["run_id"]

        assert started[0] == 201
        assert (await _ask(app, "GET", f"/aiki/v1/runs/{run_id}"))[1]["status"] == "queued"
        assert (await _ask(app, "GET", "/aiki/nowhere"))[1]["code"] == "not_found"
        assert (await _ask(app, "PUT", "/aiki/v1/runs"))[1]["code"] == "method_not_allowed"
        assert (await _ask(app, "GET", "/aiki/v1/runs", host=b"shop.example"))[1]["path"] == "Host"


async def test_a_mounted_server_that_was_not_started_says_so() -> None:
    server = Server(":memory:")

    def service() -> Any:
        raise Unavailable("the server does not run: enter `async with server`, or use server.lifespan")

    app = Starlette(routes=[Mount("/aiki", app=_api(server, service))])

    assert await _ask(app, "GET", "/aiki/healthz") == (200, {"status": "ok"})
    status, problem = await _ask(app, "GET", "/aiki/readyz")
    assert (status, problem["code"]) == (503, "unavailable")
    assert "server.lifespan" in problem["detail"]


async def test_a_web_socket_is_closed() -> None:
    async with Server(":memory:") as server:
        sent: list[MutableMapping[str, Any]] = []

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await _api(server)({"type": "websocket", "path": "/v1/runs"}, _nothing, send)

    assert [message["type"] for message in sent] == ["websocket.close"]


def _api(server: Server, service: Any = None) -> Api:
    return Api(
        service or (lambda: server.service),
        access=Access(),
        config=server.config,
        clock=server.clock,
        chance=server.chance,
    )


async def _ask(app: Any, method: str, path: str, body: bytes = b"", *, host: bytes = b"localhost") -> tuple[int, Any]:
    """Ask an application as a server would, without one."""
    sent: list[MutableMapping[str, Any]] = []
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", host)],
        "client": None,
        "server": None,
    }

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], msgspec.json.decode(b"".join(message.get("body", b"") for message in sent[1:]))


async def _nothing() -> MutableMapping[str, Any]:
    raise AssertionError("nothing is to be received")
