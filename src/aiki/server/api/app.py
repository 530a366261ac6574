"""The API as an ASGI application: from a request to its route, from what happens there to an answer.

The rule: whatever comes in, an answer goes out: a message, or a problem that says what was wrong; and no request, however
odd, ends the server.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Raw
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as PathRoute
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from aiki.clock import Chance, Clock
from aiki.config import Config
from aiki.dashboard.site import site
from aiki.errors import AikiError
from aiki.model.wire import Problem
from aiki.server.api.access import Access
from aiki.server.api.bodies import Bodies, decoded, fitted
from aiki.server.api.call import Call, Desk, Reply, Route, Streamed
from aiki.server.api.openapi import JSON, PROBLEM_JSON, document
from aiki.server.api.polls import LongPolls, Waiters
from aiki.server.api.problems import FORBIDDEN, INTERNAL, METHOD_NOT_ALLOWED, NOT_FOUND, Refused, details_of
from aiki.server.api.routes import ROUTES
from aiki.server.api.streams import EventStream
from aiki.server.door import problem_of
from aiki.server.principals import ANYBODY
from aiki.server.service import Service

__all__ = ["Api"]

RETRY_AFTER_S: Final = "1"
DOCUMENTS_MAX: Final = 8  # one for each path at which the API is mounted
GOING_AWAY: Final = 1001  # a web socket's close code
HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

_log = logging.getLogger("aiki.http")


class Api:
    """The HTTP API of one server: an ASGI application, to be served or mounted.

    Args:
        service: gives the service, and raises `Unavailable` while there is none; asked anew for each request.
        access: who may ask what.
        config: the limits.
        clock, chance: make ids for requests that come without.
        version: of Aiki, told in the OpenAPI document.
    """

    def __init__(
        self,
        service: Callable[[], Service],
        *,
        access: Access,
        config: Config,
        clock: Clock,
        chance: Chance,
        version: str = "",
    ) -> None:
        self._access = access
        self._bodies = Bodies(config)
        self._polls = LongPolls()
        self._desk = Desk(
            service=service,
            polls=self._polls,
            waiters=Waiters(clock=clock, chance=chance),
            clock=clock,
            chance=chance,
            document=lru_cache(DOCUMENTS_MAX)(lambda root_path: document(ROUTES, version=version, root_path=root_path)),
        )
        self._router = Router(
            [PathRoute(path, _Path(path, routes, self)) for path, routes in _by_path(ROUTES).items()],
            redirect_slashes=False,
            default=self._elsewhere,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": GOING_AWAY, "reason": ""})
        else:
            await self._router(scope, receive, send)

    @property
    def open_requests(self) -> int:
        """How many requests are kept open now."""
        return self._polls.count

    @property
    def held_bytes(self) -> int:
        """How many bytes of requests are held now."""
        return self._bodies.held_bytes

    def shut_down(self) -> None:
        """Answer all requests that are kept open, at once, and keep none open from now on."""
        self._polls.shut_down()

    async def serve(self, path: str, routes: "Mapping[str, _Served]", request: Request) -> ASGIApp | None:
        """Return the answer to a request for one of the routes of `path`, None if nobody is there to read it."""
        try:
            reply = await self._reply(routes, request)
            if isinstance(reply, Streamed):
                return EventStream(reply, request, self._polls)
            return self._response(reply)
        except ClientDisconnect:
            return None
        except Refused as refused:
            return self._problem(refused.problem, refused.headers)
        except AikiError as error:
            return self._problem(problem_of(error))
        except Exception as error:  # noqa: BLE001 - a request that fails takes no other along
            _log.exception("%s %s failed", request.method, path)
            return self._problem(
                Problem(INTERNAL, f"the server failed at this, and has written down why: {type(error).__name__}")
            )

    async def _reply(self, routes: "Mapping[str, _Served]", request: Request) -> Reply | Streamed:
        served = routes.get("GET" if request.method == "HEAD" else request.method)
        if served is None:
            takes = ", ".join(routes)
            raise Refused(
                Problem(METHOD_NOT_ALLOWED, f"this address takes {takes}, not {request.method[:20]}"),
                headers={"allow": takes},
            )
        route = served.route
        if not route.is_for_probes:
            self._access.check_source(request)
        principal = ANYBODY
        if route.role is not None:
            principal = await self._access.principal(request)
            if not principal.may(route.role):
                raise Refused.of(
                    FORBIDDEN,
                    f"{principal.name} has the role {principal.role}, and this needs {route.role}",
                    role=route.role.value,
                )
        asked = fitted(served.asked_of(request), route.asked)
        async with self._bodies.received(request) as body:
            said = None if served.decoder is None else decoded(served.decoder, body or served.nothing)
            return await route.handler(Call(request, principal, self._desk), asked, said)

    def _response(self, reply: Reply) -> Response:
        content = b"" if reply.value is None else msgspec.json.encode(reply.value)
        return Response(content, reply.status, headers=self._headers(), media_type=JSON)

    def _problem(self, problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
        details = details_of(problem)
        more = {**self._headers(), **(headers or {})}
        if details.status == 401:
            more["www-authenticate"] = "Bearer"
        if details.status == 503:
            more["retry-after"] = RETRY_AFTER_S
        return Response(msgspec.json.encode(details), details.status, headers=more, media_type=PROBLEM_JSON)

    def _headers(self) -> dict[str, str]:
        return {**HEADERS, "connection": "close"} if self._polls.is_closing else HEADERS

    async def _elsewhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what no route does: the dashboard, or that there is nothing."""
        if scope["type"] == "http":
            await self._page(Request(scope, receive))(scope, receive, send)

    def _page(self, request: Request) -> Response:
        path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        if request.method in ("GET", "HEAD"):
            try:
                self._access.check_source(request)
            except Refused as refused:
                return self._problem(refused.problem, refused.headers)
            if path == "":  # mounted, and asked for without the slash that what the page names is relative to
                return Response(status_code=307, headers={"location": f"{request.scope['path'].rpartition('/')[2]}/"})
            answer = site().answer(path, request.headers)
            if answer is not None:
                return Response(answer.body, answer.status, headers=answer.headers)
        shown = ascii(request.scope["path"][:200])
        return self._problem(Problem(NOT_FOUND, f"there is nothing at {shown}. What there is stands in /openapi.json."))


class _Served:
    """A route, with what is made of it once."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.decoder: msgspec.json.Decoder[Any] | None = (
            None if route.body is None else msgspec.json.Decoder(route.body)
        )
        self.nothing = b"null" if route.body is Raw else b"{}"
        self._several = frozenset(
            field.name for field in msgspec.structs.fields(route.asked) if isinstance(field.default, tuple)
        )

    def asked_of(self, request: Request) -> dict[str, object]:
        """Return what the address says, as it stands there."""
        query = request.query_params
        asked: dict[str, object] = {
            name: query.getlist(name) if name in self._several else query[name] for name in query
        }
        asked.update(request.path_params)
        return asked


class _Path:
    """The routes of one path, by method."""

    def __init__(self, path: str, routes: Iterable[Route], api: Api) -> None:
        self._path = path
        self._routes = {route.method: _Served(route) for route in routes}
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._api.serve(self._path, self._routes, request)
        if response is not None:
            await response(scope, receive, send)


def _by_path(routes: Iterable[Route]) -> dict[str, list[Route]]:
    found: dict[str, list[Route]] = {}
    for route in routes:
        found.setdefault(route.path, []).append(route)
    return found
