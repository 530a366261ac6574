"""Who may ask, and for what: principals, roles, keys.

The rule: a key is known by its SHA-256, and never appears in a message or a log line. Nothing here speaks HTTP, so that
whoever embeds a server names principals without importing a web framework.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from aiki.clock import Chance
from aiki.errors import InvalidInput

__all__ = [
    "ANYBODY",
    "GRANTS",
    "KEY_PREFIX",
    "ApiKey",
    "Authorize",
    "Principal",
    "Role",
    "digest_of",
    "new_api_key",
    "static_keys",
]

KEY_PREFIX: Final = "aiki_"
KEY_CHARS_MIN: Final = 32  # fewer could be guessed from their digest


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
        return cls(digest_of(key), principal or Principal("a key"))


def static_keys(text: str) -> list[ApiKey]:
    """Return the keys of a setting: with commas or white space between, each with what it is for before a `=`.

    `aiki_...` opens everything, `worker=aiki_...` what a worker needs, `viewer@shop=aiki_...` reading in the namespace shop.

    Raises:
        InvalidInput: a key or a role is none. The message names the place in the list, and never the key.

    >>> [key.principal.role for key in static_keys("worker@shop=aiki_" + "0" * 64)]
    [<Role.WORKER: 'worker'>]
    """
    found: list[ApiKey] = []
    for place, item in enumerate(filter(None, re.split(r"[,\s]+", text)), start=1):
        said, is_said, key = item.rpartition("=")
        role, _, namespace = said.partition("@")
        if is_said and role not in frozenset(Role):
            raise InvalidInput(
                f"API key {place} is for {role[:40]!a}: before = stands viewer, operator, worker or admin, and"
                " perhaps @ and a namespace",
                path="api_keys",
            )
        principal = Principal(f"API key {place}", Role(role) if is_said else Role.ADMIN, namespace or None)
        found.append(ApiKey.of(key, principal))
    return found


def new_api_key(chance: Chance) -> str:
    """Return a new key of 256 random bits. Show it once; keep `ApiKey.of(key)`."""
    return f"{KEY_PREFIX}{chance.token()}"


Authorize = Callable[[Any], "Principal | Awaitable[Principal]"]
"""An authoriser of one's own, for a `starlette.requests.Request`. It raises `Unauthorized` where it knows nobody."""


def digest_of(key: str) -> str:
    """Return what is kept of a key: it cannot be turned back."""
    return hashlib.sha256(key.encode()).hexdigest()
