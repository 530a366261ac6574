"""What went wrong between us and the database: something that passes, or a row that cannot be kept.

The rule: what may pass is `Unavailable`, whether or not the transaction was done: whoever asked asks again. What the
database refuses for good is told apart, since the same would be refused again. Anything else is a fault of ours.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from aiki.errors import Unavailable

__all__ = ["REFUSALS", "is_connection_lost", "is_transient", "transient_as_unavailable"]

REFUSALS: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    OverflowError,
    ValueError,
)
"""What asyncpg raises for a row that the database cannot keep: a broken constraint, NUL or a lone surrogate in a text, an
integer beyond 64 bits, what is no id."""

# The last is what asyncpg raises where the connection went away while it was at rest.
_LOST: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,
)

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_TRANSIENT_CLASSES: Final = frozenset({"08", "40", "53", "55", "57", "58"})
_READ_ONLY: Final = "25006"  # the server that we knew has become a replica
_IDLE_TOO_LONG: Final = "25P03"  # we stood still with a transaction open, and it was ended
_NO_PASSWORD: Final = frozenset({"28000", "28P01"})


def is_connection_lost(error: BaseException) -> bool:
    """Whether the connection is of no use any more, or was never made."""
    return isinstance(error, _LOST) or (
        _code(error)[:2] in {"08", "57"} or _code(error) in {_READ_ONLY, _IDLE_TOO_LONG}
    )


def is_transient(error: BaseException) -> bool:
    """Whether the same may succeed when it is tried again."""
    return is_connection_lost(error) or _code(error)[:2] in _TRANSIENT_CLASSES


@contextmanager
def transient_as_unavailable() -> Iterator[None]:
    """Raise `Unavailable` for what may pass: a server that is away, a deadlock, a full disk."""
    try:
        yield
    except Exception as error:
        if not is_transient(error) and _code(error) not in _NO_PASSWORD:
            raise
        raise Unavailable(f"the database cannot be used just now: {_said(error)}") from error


def _code(error: BaseException) -> str:
    return getattr(error, "sqlstate", None) or ""


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
