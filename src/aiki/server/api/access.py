"""Who may ask what: sources, keys, roles, namespaces.

The rule: a server that nobody closed answers loopback only, whatever reaches it; a key is known by its SHA-256 and
compared in constant time, and never appears in a message or a log line.
"""

import hashlib
import hmac
import inspect
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct
from starlette.requests import Request

from aiki.clock import Chance
from aiki.errors import InvalidInput, Unauthorized
from aiki.server.api.problems import FORBIDDEN, Refused

__all__ = [
    "GRANTS",
    "Access",
    "ApiKey",
    "Authorize",
    "Principal",
    "Role",
    "check_exposure",
    "is_loopback",
    "new_api_key",
]

KEY_PREFIX: Final = "aiki_"
KEY_CHARS_MIN: Final = 32  # fewer could be guessed from their digest
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
PORTS: Final = {"http": 80, "https": 443}


class Role(StrEnum):
    """What a key is for."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    WORKER = "worker"
    ADMIN = "admin"


GRANTS: Final[Mapping[Role, frozenset[Role]]] = {
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.OPERATOR: frozenset({Role.VIEWER, Role.OPERATOR}),
    Role.WORKER: frozenset({Role.VIEWER, Role.OPERATOR, Role.WORKER}),  # a task has a client to start runs with
    Role.ADMIN: frozenset(Role),
}


class Principal(Struct, frozen=True):
    """Who asks: a name for people, a role, and the only namespace that it sees (None: all)."""

    name: str
    role: Role = Role.ADMIN
    namespace: str | None = None

    def may(self, role: Role) -> bool:
        """Return whether it may do what needs `role`."""
        return role in GRANTS[self.role]


ANYBODY: Final = Principal("anybody")


class ApiKey(Struct, frozen=True):
    """A key as the server keeps it: not the key, but the SHA-256 of it in hex."""

    digest: str
    principal: Principal

    @classmethod
    def of(cls, key: str, principal: Principal | None = None) -> "ApiKey":
        """Return what is kept of a key. Without a principal it opens everything.

        Raises:
            InvalidInput: it is no key.

        >>> ApiKey.of("aiki_" + "0" * 64, Principal("shop", Role.WORKER, "shop")).principal.name
        'shop'
        """
        if not key.startswith(KEY_PREFIX) or len(key) < KEY_CHARS_MIN or not key.isascii():
            raise InvalidInput(
                f"an API key begins with {KEY_PREFIX} and has at least {KEY_CHARS_MIN} characters, and one given does"
                " not. `aiki` makes them of 256 random bits.",
                path="api_keys",
            )
        return cls(_digest(key), principal or Principal("a key"))


def new_api_key(chance: Chance) -> str:
    """Return a new key of 256 random bits. Show it once; keep `ApiKey.of(key)`."""
    return f"{KEY_PREFIX}{chance.token()}"


Authorize = Callable[[Request], "Principal | Awaitable[Principal]"]
"""An authoriser of one's own. It raises `Unauthorized` where it does not know who asks."""


class Access:
    """The rules of one server.

    Args:
        api_keys: keys, or what is kept of them.
        authorize: tells who sends a request that bears none of these keys.
        insecure: answer anybody, from anywhere.
        origins: of pages that may change something although they come from elsewhere: `https://ops.example.com`.
    """

    def __init__(
        self,
        *,
        api_keys: Iterable[str | ApiKey] = (),
        authorize: Authorize | None = None,
        insecure: bool = False,
        origins: Iterable[str] = (),
    ) -> None:
        self._keys = tuple(key if isinstance(key, ApiKey) else ApiKey.of(key) for key in api_keys)
        self._authorize = authorize
        self._insecure = insecure
        self._origins = frozenset(origin.rstrip("/") for origin in origins)

    @property
    def is_loopback_only(self) -> bool:
        """Whether neither keys, nor an authoriser, nor `insecure` were given."""
        return not (self._keys or self._authorize or self._insecure)

    def check_source(self, request: Request) -> None:
        """Refuse what a page of somebody else's may have sent through a visitor's browser.

        A Host that is not loopback may be a name that was rebound to this machine; an Origin that is not the Host's is
        another site's page.

        Raises:
            Refused: with the code `forbidden`.
        """
        host = request.headers.get("host", "")
        if self.is_loopback_only and not is_loopback(_hostname(host)):
            raise Refused.of(
                FORBIDDEN,
                f"the Host {_shown(host)} is not this machine's loopback, and the server asks nobody who they are. Reach"
                " it as localhost, or give it api_keys, authorize or insecure.",
                path="Host",
            )
        origin = request.headers.get("origin")
        if origin is None or request.method in READING or origin in self._origins:
            return
        scheme = origin.partition(":")[0].lower()
        if scheme not in PORTS or _authority(origin) != _authority(f"{scheme}://{host}"):
            raise Refused.of(
                FORBIDDEN,
                f"a page of {_shown(origin)} may change nothing here, at {_shown(host)}. Send the request from a"
                " program, or name the origin in the server's `origins`.",
                path="Origin",
            )

    async def principal(self, request: Request) -> Principal:
        """Return who asks.

        Raises:
            Unauthorized: nobody that is known.
        """
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        is_key = scheme.lower() == "bearer" and key.strip().startswith(KEY_PREFIX)
        if is_key and self._keys:
            found = self._principal_of(key.strip())
            if found is not None:
                return found
            raise Unauthorized("the server does not know this API key. Look at AIKI_API_KEY.")
        if self._authorize is not None:
            answer = self._authorize(request)
            return await answer if inspect.isawaitable(answer) else answer
        if self._keys:
            raise Unauthorized(
                "the server asks for an API key. Set AIKI_API_KEY, or send Authorization: Bearer aiki_..."
            )
        return ANYBODY

    def _principal_of(self, key: str) -> Principal | None:
        digest = _digest(key)
        found = None
        for known in self._keys:  # all of them, so that the time tells nothing
            if hmac.compare_digest(known.digest, digest):
                found = known.principal
        return found


def check_exposure(host: str, access: Access) -> None:
    """Refuse to listen where others can reach a server that asks nobody who they are.

    Raises:
        InvalidInput: `host` is not loopback, and the server was given neither keys, nor an authoriser, nor `insecure`.
    """
    if access.is_loopback_only and not is_loopback(host):
        raise InvalidInput(
            f"the server is asked to listen on {host or 'all addresses'}, where others can reach it, and asks nobody who"
            " they are. Give it API keys or an authoriser, or say --insecure if the network is yours alone.",
            path="host",
        )


def is_loopback(host: str) -> bool:
    """Return whether a host, without its port, can only be this machine.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "[::1]", "0.0.0.0", "evil.example")]
    [True, True, True, False, False]
    """
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _hostname(host: str) -> str:
    return _authority(f"//{host}")[0]


def _authority(url: str) -> tuple[str, int | None]:
    """Return host and port of a URL; the port that its scheme implies where it names none."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "").rstrip("."), parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return "", None


def _shown(header: str) -> str:
    return ascii(header[:80])


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
