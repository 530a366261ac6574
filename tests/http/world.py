"""A server as others see it: on a free port of this machine, with the means to ask it anything, well-formed or not."""

import asyncio
import io
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import msgspec
from starlette.types import Receive, Scope, Send
from yarl import URL

from aiki.config import Config
from aiki.sdk.client import Client
from aiki.sdk.http import HttpTransport
from aiki.server.api.access import Access
from aiki.server.api.app import Api
from aiki.server.api.serve import Place, served
from aiki.server.server import Server

UNKNOWN_RUN: Final = "0190a000-0000-7000-8000-00000000dead"
MESSAGE: Final = "0190a000-0000-7000-8000-000000000001"
STEPS_MAX: Final = 100_000


class Heard(msgspec.Struct):
    """An answer as it arrived."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class CountingApi(Api):
    """An API that counts the requests for each path."""

    requests: Counter[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests[scope.get("path", "")] += 1
        await super().__call__(scope, receive, send)


class World:
    """A server that is served, and a session with it.

    Attributes:
        url: where it is.
    """

    def __init__(self, server: Server, api: CountingApi, place: Place, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.api = api
        self.url = place.url
        self.port = place.port
        self._session = session

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Heard:
        """Ask with a body: bytes as they are, None for none, anything else as JSON."""
        data = None if body is None else io.BytesIO(body if isinstance(body, bytes) else msgspec.json.encode(body))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(f"{self.url}{path}", encoded=True)
        async with self._session.request(method, url, data=data, headers=named) as answer:
            return Heard(answer.status, dict(answer.headers), await answer.read())

    async def get(self, path: str, **headers: str) -> Heard:
        return await self.ask("GET", path, **headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> Heard:
        return await self.ask("POST", path, body, **headers)

    async def stream(self, path: str, parts: AsyncIterator[bytes]) -> Heard:
        """Send a body that does not say how long it is."""
        async with self._session.post(f"{self.url}{path}", data=parts) as answer:
            return Heard(answer.status, dict(answer.headers), await answer.read())

    async def start(self, workflow: str = "order", **fields: Any) -> str:
        """Start a run that nobody serves, and return its id."""
        started = await self.post("/v1/runs", {"workflow": workflow, "version": "1.0.0", **fields})
        assert started.status == 201, started.json
        return str(started.json["run_id"])

    async def raw(self, request: bytes) -> bytes:
        """Send bytes, and return all that comes back until the server closes or has said enough."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            return await reader.readuntil(b"\r\n\r\n") + await reader.read(64 * 1024)
        finally:
            writer.close()
            await writer.wait_closed()

    async def is_well(self) -> bool:
        return (await self.get("/readyz")).status == 200

    async def until_open(self, count: int) -> None:
        """Return once so many requests are kept open."""
        for _ in range(STEPS_MAX):
            if self.api.open_requests == count:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{self.api.open_requests} requests are open, not {count}")

    @asynccontextmanager
    async def open_transport(self, api_key: str | None = None) -> AsyncIterator[HttpTransport]:
        transport = HttpTransport(self.url, api_key, environment={})
        try:
            yield transport
        finally:
            await transport.close()

    def client(self, **options: Any) -> Client:
        return Client(transport=HttpTransport(self.url, environment={}), **options)


@asynccontextmanager
async def served_world(*, access: Access | None = None, config: Config | None = None) -> AsyncIterator[World]:
    """Serve a server in memory."""
    async with Server(":memory:", config=config) as server:
        api = CountingApi(
            lambda: server.service,
            access=access or Access(),
            config=server.config,
            clock=server.clock,
            chance=server.chance,
        )
        api.requests = Counter()
        connector = aiohttp.TCPConnector(limit=1_000)
        async with (
            aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
            served(api, host="127.0.0.1", port=0) as place,  # ends first: whoever waits reads how
        ):
            yield World(server, api, place, session)
