"""`aiki.Server`: a server inside a program or a web application of one's own.

The rule: it opens no port, and importing it costs neither the server's wing nor a web framework: the one is imported, by
name, when a server is made, the other when `asgi` is asked for (docs/why.md).
"""

import importlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import asynccontextmanager
from os import PathLike
from types import TracebackType
from typing import Any, Final, Protocol, Self

from aiki.clock import Chance, Clock
from aiki.config import Config
from aiki.sdk.client import Client
from aiki.server.principals import ApiKey, Authorize

__all__ = ["Asgi", "Server", "on_port"]

ACCESS: Final = "aiki.server.api.access"
CORE: Final = "aiki.server.server"
MOUNTED: Final = "aiki.server.api.mounted"
SERVE: Final = "aiki.server.api.serve"

Event = MutableMapping[str, Any]


class Asgi(Protocol):
    """The HTTP API as an ASGI application."""

    async def __call__(
        self, scope: Event, receive: Callable[[], Awaitable[Event]], send: Callable[[Event], Awaitable[None]]
    ) -> None:
        """Serve one connection."""
        ...

    def open(self) -> None:
        """Keep requests open from now on; its server does it."""
        ...

    def shut_down(self) -> None:
        """Answer all requests that are kept open; its server does it."""
        ...


class Server:
    """A server in this process: `async with server:`, or `lifespan=server.lifespan` of a web application.

    It opens no port. `server.client()` speaks with it directly; `server.asgi` is its HTTP API, to be mounted at any
    path. Anybody on this machine may ask it; what comes with another `Host` than loopback is refused unless `authorize`,
    `api_keys` or `insecure` is given. It may be entered again once it has been left.

    Args:
        database: a path, `sqlite:///path`, `:memory:` for a throw-away, or `postgresql://user@host/name`.
        redis: where what is ready is shown to workers that have a `RedisSubscriber`, and what changes to other servers:
            `redis://host:6379/0`, `rediss://` for TLS. Needs `aiki[redis]`.
        authorize: tells who sends a `starlette.requests.Request` that bears none of the keys; it returns a `Principal`,
            or raises `Unauthorized`. May be `async`.
        api_keys: keys that open everything, as `aiki server --new-key` prints them; or `ApiKey.of(key, principal)`.
        insecure: answer anybody from anywhere, on a network that is yours alone.
        origins: of pages that may change something although they come from elsewhere: `https://ops.example.com`.
        is_embedded: all its workers live in this process, so what they held when it died is free at once; else they
            have the time of a lease to come back.
        config: the settings; by default those of the environment, `AIKI_LEASE_MS` and so on.
        clock, chance: where it takes time and ids from.

    Raises:
        InvalidInput: a key is none, or the database is not one that can be served.
        ValueError: a setting is out of its bounds.
        DatabaseInUse: on entering, another process serves the file.

    >>> import asyncio
    >>> async def main() -> list[str]:
    ...     server = Server(":memory:")
    ...     async with server, server.client() as client:
    ...         await client.runs.start("hello", "1.0.0", {"name": "Ada"})
    ...         return [run.workflow for run in (await client.runs.list()).runs]
    >>> asyncio.run(main())
    ['hello']
    """

    def __init__(
        self,
        database: str | PathLike[str] = "sqlite:///aiki.db",
        *,
        redis: str | None = None,
        authorize: Authorize | None = None,
        api_keys: Iterable[str | ApiKey] = (),
        insecure: bool = False,
        origins: Iterable[str] = (),
        is_embedded: bool = False,
        config: Config | None = None,
        clock: Clock | None = None,
        chance: Chance | None = None,
    ) -> None:
        self._rules = {
            "api_keys": [key if isinstance(key, ApiKey) else ApiKey.of(key) for key in api_keys],
            "authorize": authorize,
            "insecure": insecure,
            "origins": tuple(origins),
        }
        self._core = importlib.import_module(CORE).Server(
            database,
            clock=clock,
            chance=chance,
            config=config or Config.from_environment(os.environ),
            redis=redis,
            is_embedded=is_embedded,
        )
        self._mounted: Asgi | None = None
        self._url: str | None = None

    async def __aenter__(self) -> Self:
        """Open the database and serve."""
        await self._core.__aenter__()
        if self._mounted is not None:
            self._mounted.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Answer who waits, finish what is under way, close the database."""
        if self._mounted is not None:
            self._mounted.shut_down()
        await self._core.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Serve for as long as a web application does: `Starlette(lifespan=server.lifespan)`."""
        async with self:
            yield

    @property
    def asgi(self) -> Asgi:
        """The HTTP API as an ASGI application: `app.mount("/aiki", server.asgi)`.

        A mounted application is told neither of its beginning nor of its end: enter the server with the outer one's
        lifespan. Until then requests are answered 503. Served by itself (`uvicorn shop:server.asgi`) it enters it.
        """
        mounted = self._mounted
        if mounted is None:
            access = importlib.import_module(ACCESS).Access(**self._rules)
            mounted = importlib.import_module(MOUNTED).Mounted(self._core, access=access, lifespan=self.lifespan)
            self._mounted = mounted
        return mounted

    def client(self, namespace: str = "default") -> Client:
        """Return a client of this server, without a network between them. Enter it while the server runs.

        Args:
            namespace: of all that it starts and sees.

        Raises:
            InvalidInput: `namespace` cannot name one.
        """
        core = self._core
        return Client(self._url, namespace=namespace, transport=core.transport(), clock=core.clock, chance=core.chance)


@asynccontextmanager
async def on_port(server: Server, port: int) -> AsyncIterator[None]:
    """Serve a server's API on a port of this machine's own address, while the block lasts; whoever is refused its file is told.

    Args:
        server: it has been entered.
        port: 0 for any that is free.

    Raises:
        OSError: the port cannot be listened on; `errno.EADDRINUSE` with who holds it.
    """
    async with importlib.import_module(SERVE).served(server.asgi, port=port) as place:
        server._url = place.url
        server._core.store.tell(url=place.url)
        try:
            yield
        finally:
            server._url = None
            server._core.store.tell(url=None)
