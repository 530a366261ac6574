"""`aiki migrate`: the tables of a Postgres database, brought to what this version wants.

The rule: it does what was typed and no more; a database on SQLite needs none of it, since its one server migrates it.
"""

import asyncio
import importlib
from typing import Final

from aiki.cli.databases import database_of, postgres_of, shown
from aiki.cli.refusal import Refusal, refuse
from aiki.errors import AikiError

__all__ = ["SCHEMA", "apply", "status"]

SCHEMA: Final = "aiki.store.postgres.schema"  # imported where it is asked for, with its driver (docs/why.md)
PENDING: Final = 1  # the exit status where something is to be applied


def status(*, database: str | None = None) -> int:
    """Show which migrations a Postgres database lacks. The exit status is 1 if there are any.

    Args:
        database: postgresql://user@host/name; by default AIKI_DATABASE.
    """
    return _told(database, "pending")


def apply(*, database: str | None = None) -> int:
    """Apply the migrations that a Postgres database lacks. Servers may go on meanwhile, also those of the version before.

    For example:

        aiki migrate apply --database postgresql://aiki@localhost/aiki

    Args:
        database: postgresql://user@host/name; by default AIKI_DATABASE.
    """
    return _told(database, "apply")


def _told(database: str | None, work: str) -> int:
    try:
        names = _done(database, work)
    except Refusal as error:
        return refuse("migrate", error)
    for name in names:
        print(f"{'pending' if work == 'pending' else 'applied'}  {name}")
    if not names:
        print(f"{shown(database_of(database))} has all migrations.")
    return PENDING if names and work == "pending" else 0


def _done(database: str | None, work: str) -> list[str]:
    """Return the names of the migrations that are pending, or have been applied."""
    address = postgres_of(database)
    if address is None:
        raise Refusal(f"{database_of(database)} is on SQLite, which its server migrates when it opens it")
    try:
        schema = importlib.import_module(SCHEMA)
    except ModuleNotFoundError as error:
        raise Refusal("Postgres needs its driver: pip install 'aiki[postgres]'") from error
    try:
        names: list[str] = asyncio.run(schema.on(address, getattr(schema, work)))
    except AikiError as error:
        raise Refusal(str(error)) from error
    return names
