"""What went wrong between us and the database: something that passes, or a row that cannot be kept.

The rule: what may pass is `Unavailable`, whether or not the transaction was done: whoever asked asks again. That a database
is not as it was when it was opened (dropped, being restored, read-only, a right withdrawn) may pass too; of one that is just
being opened it is said at once. What the database refuses for good is told apart, since the same would be refused again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from aiki.errors import InvalidInput, Unavailable

__all__ = ["is_connection_lost", "is_refusal", "is_transient", "transient_as_unavailable", "unusable_as_invalid"]

_REFUSALS: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    OverflowError,
    ValueError,
)
"""What asyncpg raises for a row that the database cannot keep: a broken constraint, NUL or a lone surrogate in a text, an
integer beyond 64 bits, what is no id."""

_UNUSABLE: Final = (
    asyncpg.exceptions.ClientConfigurationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
"""What does not pass by itself, and is to be told to whoever has just named the database."""

# The last is what asyncpg raises where the connection went away while it was at rest.
_LOST: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,
)

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_TRANSIENT_CLASSES: Final = frozenset({"08", "28", "3D", "3F", "40", "53", "55", "57", "58"})
_AMISS: Final = frozenset(
    {
        "42501",  # a right was withdrawn
        "42P01",  # a table is not there: dropped, or not yet restored
        "42703",  # a column: an older backup is restored, and not yet migrated
        "XX000",  # what is dropped or altered at this very moment
    }
)
_READ_ONLY: Final = "25006"  # the server that we knew has become a replica
_IDLE_TOO_LONG: Final = "25P03"  # we stood still with a transaction open, and it was ended


def is_connection_lost(error: BaseException) -> bool:
    """Whether the connection is of no use any more, or was never made."""
    return isinstance(error, _LOST) or (
        _code(error)[:2] in {"08", "57"} or _code(error) in {_READ_ONLY, _IDLE_TOO_LONG}
    )


def is_transient(error: BaseException) -> bool:
    """Whether the same may succeed when it is tried again."""
    return (
        is_connection_lost(error)
        or _code(error)[:2] in _TRANSIENT_CLASSES
        or _code(error) in _AMISS
        or isinstance(error, asyncpg.InvalidCachedStatementError)  # made for columns of before a migration
    )


def is_refusal(error: BaseException) -> bool:
    """Whether the same would be refused again, though another command may not be: so a batch is cut in halves."""
    return isinstance(error, _REFUSALS) or (isinstance(error, asyncpg.PostgresError) and not is_transient(error))


@contextmanager
def transient_as_unavailable() -> Iterator[None]:
    """Raise `Unavailable` for what may pass: a server that is away, a deadlock, a full disk."""
    try:
        yield
    except Exception as error:
        if not is_transient(error):
            raise
        raise Unavailable(f"the database cannot be used just now: {_said(error)}") from error


@contextmanager
def unusable_as_invalid(database: str) -> Iterator[None]:
    """Raise `InvalidInput` for what whoever opens a database has to put right: it is not there, or a right is missing."""
    try:
        yield
    except _UNUSABLE as error:
        raise InvalidInput(f"{database} cannot be used: {_said(error)}", path="database") from error


def _code(error: BaseException) -> str:
    return getattr(error, "sqlstate", None) or ""


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
