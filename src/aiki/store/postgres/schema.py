"""The tables on Postgres, and how they come to be what this version wants.

The rule: a migration is applied whole or not at all, by one process at a time, and by somebody who asked for it
(`aiki migrate apply`): a server never changes a database that others serve from. A version must work on tables that are
newer than it knows, since old servers go on while a migration is applied; and as whoever waits for a table makes all others
wait behind it, a migration waits a moment, lets them pass, and tries again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Final, TypeVar

import asyncpg

from aiki.errors import InvalidInput, Unavailable
from aiki.store.postgres.address import Address
from aiki.store.postgres.connecting import Connection, begin_text, connect, transaction
from aiki.store.postgres.failures import transient_as_unavailable, unusable_as_invalid

__all__ = ["MIGRATING", "apply", "check", "migrations", "on", "pending", "renew"]

LOCK: Final = 0x41696B69  # "Aiki": the number of the lock that whoever migrates holds
LOCK_MS: Final = 2_000  # what a migration waits for a table
ATTEMPTS_MAX: Final = 30  # of a migration
PAUSE_S: Final = 1.0  # between two of them
MIGRATING: Final = {"lock_timeout": "0", "statement_timeout": "0"}

# By name alone (`to_regclass`), Postgres would go by what it remembers of before it waited for the lock.
THERE: Final = """
SELECT EXISTS (
       SELECT 1
         FROM pg_catalog.pg_class AS found
         JOIN pg_catalog.pg_namespace AS place ON place.oid = found.relnamespace
        WHERE place.nspname = $1 AND found.relname = 'migrations')"""

T = TypeVar("T")

_log = logging.getLogger("aiki.store")


@lru_cache(maxsize=1)
def migrations() -> Sequence[tuple[str, str]]:
    """Return name and text of each migration, in order; the first has the number 1."""
    folder = files("aiki.store").joinpath("migrations", "postgres")
    found = sorted((file.name, file.read_text(encoding="utf-8")) for file in folder.iterdir())
    for number, (name, _) in enumerate(found, start=1):
        if not name.startswith(f"{number:04}_"):
            raise AssertionError(f"migration {name} stands at place {number}")
    return [(name.removesuffix(".sql"), text) for name, text in found]


async def on(address: Address, work: Callable[[Connection, Address], Awaitable[T]]) -> T:
    """Return what some work on a database returns, done on a connection of its own.

    Raises:
        InvalidInput: it is not there, or a right is missing.
        Unavailable: it cannot be reached.
    """
    try:
        with transient_as_unavailable(), unusable_as_invalid(address.shown):
            connection = await connect(address, MIGRATING)
            try:
                return await work(connection, address)
            finally:
                await connection.close()
    except Unavailable as error:
        raise Unavailable(f"{address.shown}: {error}") from error


async def pending(connection: Connection, address: Address) -> list[str]:
    """Return the names of the migrations that the database lacks."""
    async with transaction(connection, begin_text(address, {}, mode="READ COMMITTED READ ONLY")):
        last = await _last(connection, address)
    _tell_if_newer(last)
    return [name for name, _ in migrations()[last:]]


async def check(connection: Connection, address: Address) -> None:
    """Refuse a database that is not ready for this version.

    Raises:
        InvalidInput: migrations are pending, or its texts are not in UTF-8.
    """
    async with transaction(connection, begin_text(address, {}, mode="READ COMMITTED READ ONLY")):
        encoding = await connection.fetchval("SELECT current_setting('server_encoding')")
        last = await _last(connection, address)
    if encoding != "UTF8":
        raise InvalidInput(
            f"{address.shown} keeps its texts in {encoding}, and Aiki needs UTF8: CREATE DATABASE ... ENCODING 'UTF8'",
            path="database",
        )
    missing = [name for name, _ in migrations()[last:]]
    if missing:
        raise InvalidInput(
            f"{address.shown} lacks {len(missing)} of Aiki's migrations ({', '.join(missing)}). Apply them first:"
            " aiki migrate apply --database URL",
            path="database",
        )
    _tell_if_newer(last)


async def apply(connection: Connection, address: Address) -> list[str]:
    """Apply what is missing, one transaction each, and return the names. Whoever else does the same waits meanwhile.

    Raises:
        Unavailable: others hold a table all the time, a backup, say; what had been applied before is.
    """
    applied: list[str] = []
    failed = 0
    while failed < ATTEMPTS_MAX:  # and at most as many turns as there are migrations
        try:
            name = await _apply_next(connection, address)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            _log.warning("others use the tables just now (%s); they go first, and the migration is tried again", error)
            failed += 1
            await asyncio.sleep(PAUSE_S)
        else:
            if name is None:
                return applied
            applied.append(name)
    raise Unavailable(
        f"others held the tables whenever a migration tried to change them, {failed} times. See pg_stat_activity for who"
        " does (a backup, a long query), and apply it when they are done"
    )


async def _apply_next(connection: Connection, address: Address) -> str | None:
    """Apply the first migration that is missing, and return its name; None if none is."""
    async with transaction(connection, begin_text(address, MIGRATING, mode="READ COMMITTED")):
        await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        last = await _last(connection, address)
        if last >= len(migrations()):
            _tell_if_newer(last)
            return None
        await connection.execute(f"SET LOCAL lock_timeout = {LOCK_MS}")
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {address.schema}")
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {address.schema}.migrations"
            " (number bigint PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        name, text = migrations()[last]
        await connection.execute(text)
        await connection.execute(
            f"INSERT INTO {address.schema}.migrations (number, name) VALUES ($1, $2)",  # noqa: S608 - a checked name
            last + 1,
            name,
        )
        return name


def _tell_if_newer(last: int) -> None:
    if last > len(migrations()):
        _log.warning(
            "the database is at migration %d, and this version of Aiki knows %d: it goes on, as old servers do while new ones"
            " come. Upgrade it before the next migration",
            last,
            len(migrations()),
        )


async def renew(connection: Connection, address: Address) -> list[str]:
    """Drop the schema with all that is in it, and make it anew: for what is thrown away."""
    await connection.execute(f"DROP SCHEMA IF EXISTS {address.schema} CASCADE")
    return await apply(connection, address)


async def _last(connection: Connection, address: Address) -> int:
    """Return the number of the last migration that was applied, 0 for none."""
    there = await connection.fetchval(THERE, address.schema)
    if not there:
        return 0
    table = f"{address.schema}.migrations"
    number: int = await connection.fetchval(f"SELECT coalesce(max(number), 0) FROM {table}")  # noqa: S608 - a checked name
    return number
