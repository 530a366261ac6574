"""A port or a path on which an API is served, with a beginning and an end.

The rule: signals, logging and the event loop are the caller's; a place that is taken is refused with who holds it; and
at the end no open request is waited for: all are answered first.
"""

import asyncio
import contextlib
import errno
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

import uvicorn
from msgspec import Struct
from starlette.types import Receive, Scope, Send

from aiki.server.api.holders import holder_of_path, holder_of_port
from aiki.server.api.protocol import BoundedProtocol

if sys.platform == "win32":
    _NEW_LOOP = None
else:
    import uvloop

    _NEW_LOOP = uvloop.new_event_loop

__all__ = ["PORT_DEFAULT", "Place", "Servable", "loop_factory", "served"]

PORT_DEFAULT: Final = 9850
KEEP_ALIVE_S: Final = 75  # longer than a client keeps an idle connection, so that none is closed under a request
BACKLOG: Final = 2_048
REQUESTS_MAX: Final = 20_000  # open at once
SHUTDOWN_S: Final = 10
START_STEPS_MAX: Final = 1_000
OWNER_ONLY: Final = 0o177


class Servable(Protocol):
    """An ASGI application that can be told to let go of its open requests."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        ...

    def shut_down(self) -> None:
        """Answer all requests that are kept open, at once, and keep none open from now on."""
        ...


class Place(Struct, frozen=True):
    """Where an API is served: its URL for people and clients."""

    url: str
    port: int | None = None


@contextlib.asynccontextmanager
async def served(
    api: Servable, *, host: str = "localhost", port: int = PORT_DEFAULT, path: str | None = None
) -> AsyncIterator[Place]:
    """Serve an API while the block lasts.

    Args:
        host: a name or an address of this machine; all that it stands for are listened on.
        port: 0 for any that is free.
        path: of a unix socket, instead of host and port; only the process's own user may connect.

    Raises:
        OSError: it cannot be listened on; `errno.EADDRINUSE` with who holds it.
    """
    sockets = _bind_tcp(host, port) if path is None else [_bind_unix(path)]
    try:
        place = _place(host, sockets[0], path)
        server = _Server(_config(api))
        task = asyncio.create_task(server.serve(sockets), name="aiki-http")
        try:
            await server.is_started(task)
            yield place
        finally:
            api.shut_down()
            server.should_exit = True
            await _ended(task, server)
    finally:
        for bound in sockets:
            bound.close()
        _remove(path)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the event loop for `asyncio.Runner`: uvloop's, or None for Python's own where there is none."""
    return _NEW_LOOP


class _Server(uvicorn.Server):
    """uvicorn, without its hands on signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def is_started(self, task: asyncio.Task[None]) -> None:
        """Return once it listens."""
        for _ in range(START_STEPS_MAX):
            if self.started:
                return
            if task.done():
                task.result()
            await asyncio.sleep(0)
        raise AssertionError(f"uvicorn does not listen after {START_STEPS_MAX:,} turns of the event loop")


def _config(api: Servable) -> uvicorn.Config:
    return uvicorn.Config(
        api,
        http=BoundedProtocol,  # of httptools; left to itself, uvicorn falls back to a slower one without a word
        ws="none",
        loop="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=REQUESTS_MAX,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )


async def _ended(task: asyncio.Task[None], server: _Server) -> None:
    try:
        await task
    finally:
        for connection in list(server.server_state.connections):  # of clients that do not read their answer
            connection.transport.abort()


def _bind_tcp(host: str, port: int) -> list[socket.socket]:
    """Bind all addresses of a host; one kind of them may be missing on this machine."""
    addresses = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, _, _, _, address in dict.fromkeys(addresses):
            same_port = sockets[0].getsockname()[1] if sockets else port
            try:
                sockets.append(_bound(family, (address[0], same_port, *address[2:])))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                missing = error
        if not sockets:
            raise missing or OSError(errno.EADDRNOTAVAIL, f"{host} has no address here")
    except OSError as error:
        for bound in sockets:
            bound.close()
        raise _explained(error, host, port) from None
    return sockets


def _bound(family: int, address: tuple[str | int, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would let two servers share the port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
    except BaseException:
        made.close()
        raise
    return made


def _explained(error: OSError, host: str, port: int) -> OSError:
    match error.errno:
        case errno.EADDRINUSE:
            holder = holder_of_port(port) or "another process"
            return OSError(errno.EADDRINUSE, f"port {port} is taken by {holder}. Stop it, or take another port.")
        case errno.EACCES:
            return OSError(errno.EACCES, f"port {port} may not be listened on. Take one from 1024 on.")
    return OSError(error.errno, f"{host}:{port} cannot be listened on: {error.strerror}")


def _bind_unix(path: str) -> socket.socket:
    """Bind a unix socket. What a dead server has left at the path goes; what lives is refused."""
    if sys.platform == "win32":
        raise OSError(errno.EAFNOSUPPORT, "Windows has no unix sockets for asyncio: give a port")
    if _is_socket(path):
        if _is_alive(path):
            holder = holder_of_path(path) or "another process"
            raise OSError(errno.EADDRINUSE, f"{path} is taken by {holder}. Stop it, or take another path.")
        Path(path).unlink()
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(OWNER_ONLY)
    try:
        made.bind(path)
    except OSError as error:
        made.close()
        raise OSError(error.errno, f"{path} cannot be listened on: {error.strerror or error}") from None
    finally:
        os.umask(umask)
    return made


def _remove(path: str | None) -> None:
    if path is not None:
        Path(path).unlink(missing_ok=True)


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(Path(path).stat().st_mode)
    except OSError:
        return False


def _is_alive(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            asking.connect(path)
        except OSError:
            return False
    return True


def _place(host: str, bound: socket.socket, path: str | None) -> Place:
    if path is not None:
        return Place(f"unix://{Path(path).absolute()}")
    port = bound.getsockname()[1]
    shown = "localhost" if host in ("", "0.0.0.0", "::") else host  # noqa: S104 - what to type, not where to listen
    return Place(f"http://{f'[{shown}]' if ':' in shown else shown}:{port}", port)
