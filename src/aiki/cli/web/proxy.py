"""The dashboard's files from here, and all that its pages ask from a server elsewhere.

The rule: a request is sent on as it came, without what names this machine or the browser; an answer comes back piece by
piece, so that a stream of changes is one here, too; and nothing that is under way keeps the program from ending.
"""

from types import TracebackType
from typing import Final, Self

import aiohttp
import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from yarl import URL

from aiki.config import Config
from aiki.dashboard.site import site
from aiki.errors import AikiError, Unavailable
from aiki.model.wire import Problem
from aiki.sdk.http_address import Address
from aiki.server.api.access import Access
from aiki.server.api.bodies import Bodies
from aiki.server.api.openapi import PROBLEM_JSON
from aiki.server.api.polls import LongPolls
from aiki.server.api.problems import NOT_FOUND, Refused, details_of
from aiki.server.door import problem_of

__all__ = ["Proxy"]

PATHS: Final = ("/v1/", "/openapi.json", "/healthz", "/readyz", "/metrics")
SENT_ON: Final = ("accept", "authorization", "content-type", "last-event-id")
SENT_BACK: Final = (
    "allow",
    "cache-control",
    "content-type",
    "date",
    "retry-after",
    "www-authenticate",
    "x-accel-buffering",
    "x-content-type-options",
)
CONNECTIONS_MAX: Final = 1_000
CONNECT_S: Final = 10


class Proxy:
    """An ASGI application for one server. Use it with `async with`.

    Args:
        address: of the server.
        access: which Hosts and Origins may ask.
        api_key: lent to requests that bring none.
        config: bounds for what is sent on.
    """

    def __init__(self, address: Address, *, access: Access, api_key: str | None, config: Config) -> None:
        self._address = address
        self._access = access
        self._api_key = api_key
        self._bodies = Bodies(config)
        self._polls = LongPolls()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Make ready to connect."""
        socket = self._address.socket
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
            if socket is None
            else aiohttp.UnixConnector(socket, limit=CONNECTIONS_MAX),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        assert self._session is not None, "it was entered"
        await self._session.close()

    def shut_down(self) -> None:
        """End what is under way, at once, and take no more."""
        self._polls.shut_down()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        answer = _Answer(send)
        request = Request(scope, receive)
        try:
            self._access.check_source(request)
            if scope["path"].startswith(PATHS):
                async with self._bodies.received(request) as body:
                    await self._polls.answer(self._send_on(request, body, answer), request)
            else:
                await self._page(request)(scope, receive, send)
        except ClientDisconnect:
            return
        except Refused as refused:
            await answer.end(refused.problem, scope, receive)
        except AikiError as error:
            await answer.end(problem_of(error), scope, receive)

    def _page(self, request: Request) -> Response:
        found = site().answer(request.url.path, request.headers) if request.method in ("GET", "HEAD") else None
        if found is None:
            raise Refused.of(NOT_FOUND, f"there is nothing at {request.url.path[:200]!a}")
        return Response(found.body, found.status, headers=found.headers)

    async def _send_on(self, request: Request, body: bytes, answer: "_Answer") -> None:
        assert self._session is not None, "it was entered"
        headers = {name: request.headers[name] for name in SENT_ON if name in request.headers}
        if self._api_key is not None:
            headers.setdefault("authorization", f"Bearer {self._api_key}")
        query = request.scope["query_string"].decode("latin-1")
        path = request.scope.get("raw_path", request.url.path.encode()).decode("latin-1")
        url = URL(f"{self._address.base}{path}{query and '?'}{query}", encoded=True)
        try:
            async with self._session.request(
                request.method, url, data=body or None, headers=headers, allow_redirects=False
            ) as response:
                await answer.begin(response)
                async for piece in response.content.iter_any():
                    await answer.go_on(piece)
                await answer.go_on(b"", is_last=True)
        except (aiohttp.ClientError, OSError) as error:
            where = self._address.url
            raise Unavailable(f"no answer from the Aiki server at {where}: {error}", url=where) from error


class _Answer:
    """What has been sent of one answer."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._has_begun = False

    async def begin(self, response: aiohttp.ClientResponse) -> None:
        self._has_begun = True
        headers = [
            (name.encode(), response.headers[name].encode("latin-1")) for name in SENT_BACK if name in response.headers
        ]
        await self._send({"type": "http.response.start", "status": response.status, "headers": headers})

    async def go_on(self, piece: bytes, *, is_last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": piece, "more_body": not is_last})

    async def end(self, problem: Problem, scope: Scope, receive: Receive) -> None:
        """Say what went wrong, or, where an answer had begun, end it."""
        if self._has_begun:
            await self.go_on(b"", is_last=True)
            return
        details = details_of(problem)
        response = Response(msgspec.json.encode(details), details.status, media_type=PROBLEM_JSON)
        await response(scope, receive, self._send)
