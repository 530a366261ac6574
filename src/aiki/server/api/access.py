"""From where and by whom a request may come.

The rule: a server that nobody closed answers loopback only, whatever reaches it; and keys are compared in constant time.
"""

import hmac
import inspect
import ipaddress
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from aiki.errors import InvalidInput, Unauthorized
from aiki.server.api.problems import FORBIDDEN, Refused
from aiki.server.principals import ANYBODY, KEY_PREFIX, ApiKey, Authorize, Principal, digest_of

__all__ = ["Access", "check_exposure", "is_loopback"]

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
PORTS: Final = {"http": 80, "https": 443}


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
        digest = digest_of(key)
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
