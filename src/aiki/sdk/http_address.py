"""Where a server is, as users write it, and what is asked of whatever speaks HTTP with it.

The rule: nothing here speaks HTTP, so that reading an address costs no import and no connection.
"""

from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from msgspec import Struct

__all__ = ["URL_DEFAULT", "Address", "Answer", "Road", "address_of"]

URL_DEFAULT: Final = "http://localhost:9850"
HOST_OF_SOCKETS: Final = "http://localhost"  # what the Host header says where a file is the address


class Address(Struct, frozen=True):
    """Where a server is.

    Attributes:
        url: as people know it.
        base: what every path is put behind.
        socket: the path of its unix socket, None over TCP.
    """

    url: str
    base: str
    socket: str | None = None


class Answer(Struct, frozen=True):
    """What came back."""

    status: int
    content_type: str
    body: bytes


class Road(Protocol):
    """Speaks HTTP with one server."""

    async def ask(self, method: str, path: str, *, body: bytes | None, timeout_s: float) -> Answer:
        """Return the answer to a request.

        Raises:
            Unavailable: nobody is there, or the connection broke.
            TimeoutError: no answer came in time.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


def address_of(url: str | None, environment: Mapping[str, str]) -> Address:
    """Return the address that `url`, else AIKI_URL, else the default means.

    Raises:
        ValueError: it is no address of a server.

    >>> address_of("unix:///run/aiki.sock", {}).socket
    '/run/aiki.sock'
    >>> address_of(None, {"AIKI_URL": "https://example.com/aiki/"}).base
    'https://example.com/aiki'
    """
    name = "url"
    if url is None and "AIKI_URL" in environment:
        name, url = "AIKI_URL", environment["AIKI_URL"]
    given = url or URL_DEFAULT
    parts = urlsplit(given)
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"{name} holds a user or a password. Leave them out, and give the key as api_key.")
    if parts.query or parts.fragment:
        raise ValueError(f"{name} is {given!r}: leave out what follows ? or #")
    if parts.scheme in ("http", "https") and parts.hostname and _has_port(given):
        base = given.rstrip("/")
        return Address(base, base)
    if parts.scheme == "unix" and not parts.netloc and parts.path.strip("/"):
        return Address(given, HOST_OF_SOCKETS, unquote(parts.path))
    if parts.scheme == "http+unix" and parts.netloc:
        return Address(given, f"{HOST_OF_SOCKETS}{parts.path.rstrip('/')}", unquote(parts.netloc))
    raise ValueError(f"{name} is {given!r}: give http://host:port, https://host, or unix:///path/of/a.sock")


def _has_port(url: str) -> bool:
    """Return whether the port is one, or left out."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False
