"""One request on its way to the service: who asks, for what, and where the answer goes.

The rule: a handler is given a `Call` and what was decoded for it, and returns a `Reply`; of HTTP it knows no more than
a status.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from msgspec import Raw, Struct
from starlette.requests import Request

from aiki.clock import Chance, Clock
from aiki.model.payload import check_name
from aiki.server.api.polls import LongPolls, Waiters
from aiki.server.api.problems import FORBIDDEN, Refused
from aiki.server.api.shapes import Asked, Nothing
from aiki.server.live import Reader
from aiki.server.principals import Principal, Role
from aiki.server.service import Service

__all__ = ["Call", "Desk", "Handler", "Reply", "Route", "Streamed"]

NAMESPACE_DEFAULT: Final = "default"

T = TypeVar("T")


class Reply(Struct, frozen=True):
    """An answer: a message, or None for none."""

    value: object
    status: int = 200


class Streamed(Struct, frozen=True):
    """An answer that goes on: messages as server-sent events, until whoever asked has gone or the server closes.

    Attributes:
        reader: where messages come from; closed at the end.
    """

    reader: Reader


class Desk(Struct, frozen=True):
    """What all requests to one server share.

    Attributes:
        service: gives the service; raises `Unavailable` while there is none.
        document: gives the OpenAPI document for where the API is mounted.
    """

    service: Callable[[], Service]
    polls: LongPolls
    waiters: Waiters
    clock: Clock
    chance: Chance
    document: Callable[[str], Raw]


class Call(Struct, frozen=True):
    """A request of `principal`, and what handlers need to serve it."""

    request: Request
    principal: Principal
    desk: Desk

    @property
    def service(self) -> Service:
        """What serves it.

        Raises:
            Unavailable: the server does not run.
        """
        return self.desk.service()

    async def kept_open(self, asked: Coroutine[Any, Any, T]) -> T:
        """Return what `asked` returns, as `LongPolls.answer` does."""
        return await self.desk.polls.answer(asked, self.request)

    def new_id(self) -> str:
        """Return an id for what came without one."""
        return self.desk.chance.uuid7(now_ms=self.desk.clock.now_ms())

    def namespace(self, given: str | None) -> str:
        """Return the namespace that is meant.

        Raises:
            Refused: it is not the one that the principal sees.
            InvalidInput: it cannot name one.
        """
        own = self.principal.namespace
        if given is None:
            return own or NAMESPACE_DEFAULT
        check_name(given, "the namespace")
        if own is not None and given != own:
            raise Refused.of(
                FORBIDDEN,
                f"{self.principal.name} sees the namespace {own} only, and this is about {given!r}. Name {own}.",
                path="namespace",
                namespace=own,
            )
        return given


Handler = Callable[[Call, Any, Any], Awaitable[Reply | Streamed]]
"""Serves a route: the call, what its address says (`Route.asked`), what its body says (`Route.body`)."""


class Route(Struct, frozen=True, kw_only=True):
    """One line of the table of routes.

    Attributes:
        role: what the principal must be; None for what anybody may see.
        is_for_probes: asked by whoever watches over the process, under whatever name they know it.
        asked: the form of path and query.
        body: the type of the body, None for none. An empty body is read as `{}`.
        answer: the type of the answer, None for none; `is_stream`: of each message, as server-sent events.
        status: of a good answer; `others` are further good ones, and when.
    """

    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    role: Role | None
    is_for_probes: bool = False
    asked: type[Asked] = Nothing
    body: Any = None
    answer: Any = None
    is_stream: bool = False
    status: int = 200
    others: dict[int, str] = {}
