"""The API of a server that lives inside an application: mounted at any path, or served as it is.

The rule: what a framework has cut off a path belongs to `root_path`, so routes and links come out the same wherever it
is mounted; and the server's own lifetime is its owner's, never a request's.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib import metadata
from urllib.parse import unquote

from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from aiki.server.api.access import Access
from aiki.server.api.app import Api
from aiki.server.server import Server

__all__ = ["Mounted"]


class Mounted:
    """An ASGI application for one server, which may begin and end more than once.

    Args:
        server: while it does not run, requests are answered 503.
        access: who may ask what.
        lifespan: lets it run; entered where the application is served by itself and so is told of its beginning.
    """

    def __init__(
        self, server: Server, *, access: Access, lifespan: Callable[[object], AbstractAsyncContextManager[None]]
    ) -> None:
        self._server = server
        self._access = access
        self._own = Router(lifespan=lifespan)
        self._api = self._new_api()
        self._is_shut_down = False

    # Hints that can be read at run time: Litestar looks at them.
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or begin and end with the process that serves."""
        if scope["type"] == "lifespan":
            await self._own(scope, receive, send)
        else:
            await self._api(_whole(scope), receive, send)

    def open(self) -> None:
        """Keep requests open from now on: the server begins."""
        if self._is_shut_down:
            self._is_shut_down = False
            self._api = self._new_api()

    def shut_down(self) -> None:
        """Answer all requests that are kept open, at once, and keep none open: the server ends."""
        self._is_shut_down = True
        self._api.shut_down()

    def _new_api(self) -> Api:
        server = self._server
        return Api(
            lambda: server.service,
            access=self._access,
            config=server.config,
            clock=server.clock,
            chance=server.chance,
            version=metadata.version("aiki"),
        )


def _whole(scope: Scope) -> Scope:
    """Return a scope whose path is whole, as ASGI has it, and begins with its `root_path`.

    Starlette leaves the path whole. Litestar cuts the mount's prefix off, names it nowhere, and ends the rest with a
    slash; what was asked stands in `raw_path` alone.

    >>> cut = {"path": "/v1/runs/", "root_path": "", "raw_path": b"/aiki/v1/runs"}
    >>> [_whole(cut)[name] for name in ("path", "root_path")]
    ['/aiki/v1/runs', '/aiki']
    """
    asked = unquote(scope.get("raw_path", b"").decode("latin-1"))
    path: str = scope["path"] if asked.endswith("/") else scope["path"].rstrip("/")
    if asked in ("", scope["path"]) or not asked.endswith(path):
        return scope
    return {**scope, "path": asked, "root_path": asked.removesuffix(path)}
