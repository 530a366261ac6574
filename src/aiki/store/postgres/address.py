"""Where a Postgres database is, and how it is to be spoken with: all of it stands in its URL.

    postgresql://user:password@host:5432/name?sslmode=verify-full&sslrootcert=/etc/ca.pem&schema=aiki

Of the options after `?`, three are Aiki's own, and the others asyncpg's (`sslmode`, `sslrootcert`, `target_session_attrs`,
and whatever Postgres takes as a setting):

    schema                  where the tables are; by default `aiki`
    pool_size               how many connections read at once, beside the one that writes; by default 4
    statement_cache_size    0 behind pgbouncer in transaction mode: nothing is then remembered of a connection

The rule: a password is never shown.
"""

import re
from typing import Final, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from msgspec import Struct

from aiki.errors import InvalidInput

__all__ = ["SCHEMES", "Address"]

SCHEMES: Final = ("postgresql", "postgres")
POOL_MAX: Final = 1_000
STATEMENTS_MAX: Final = 10_000
STATEMENTS_KEPT: Final = 300

_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class Address(Struct, frozen=True):
    """A database, and how many connections it may be asked for.

    >>> address = Address.of("postgresql://me:secret@db/shop?sslmode=require&pool_size=8")
    >>> address.url, address.schema, address.pool_size
    ('postgresql://me:secret@db/shop?sslmode=require', 'aiki', 8)
    >>> address.shown
    'postgresql://me@db/shop'
    """

    url: str
    shown: str
    schema: str = "aiki"
    pool_size: int = 4
    statement_cache_size: int = STATEMENTS_KEPT

    @property
    def is_pooled(self) -> bool:
        """Whether another program may hand each transaction to another connection (pgbouncer)."""
        return self.statement_cache_size == 0

    @classmethod
    def of(cls, url: str) -> Self:
        """Return what a URL says.

        Raises:
            InvalidInput: an option of ours cannot be taken.
        """
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise InvalidInput(f"the database is {parts.scheme}://...: give postgresql://", path="database")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        schema = options.pop("schema", "aiki")
        if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
            raise InvalidInput(
                f"schema is {schema!r}: give a name in lower case letters, digits and _, as in ?schema=aiki",
                path="database",
            )
        made = {
            name: _number(name, options.pop(name), most=most)
            for name, most in (("pool_size", POOL_MAX), ("statement_cache_size", STATEMENTS_MAX))
            if name in options
        }
        if made.get("pool_size") == 0:
            raise InvalidInput("pool_size is 0: at least one connection reads", path="database")
        where = parts.netloc.rpartition("@")
        user = where[0].partition(":")[0]
        shown = urlunsplit((parts.scheme, f"{user}@{where[2]}" if user else where[2], parts.path, "", ""))
        return cls(urlunsplit(parts._replace(query=urlencode(options))), shown, schema, **made)


def _number(name: str, text: str, *, most: int) -> int:
    if not text.isdecimal() or len(text) > len(str(most)) or int(text) > most:
        raise InvalidInput(f"{name} is {text[:60]!r}: give a number from 0 to {most:,}", path="database")
    return int(text)
