"""Which database a command means: what was typed, else AIKI_DATABASE, else a file here; and how it is shown.

The rule: what is shown holds no password.
"""

import os
from typing import Final

from aiki.cli.refusal import Refusal
from aiki.errors import AikiError
from aiki.store.postgres.address import SCHEMES, Address

__all__ = ["DATABASE", "database_of", "postgres_of", "shown"]

DATABASE: Final = "AIKI_DATABASE"
FILE: Final = "aiki.db"


def database_of(typed: str | None) -> str:
    """Return the database that is meant."""
    return typed or os.environ.get(DATABASE) or FILE


def postgres_of(typed: str | None) -> Address | None:
    """Return the address of the database that is meant, None if it is not on Postgres.

    Raises:
        Refusal: an option in the URL cannot be taken.
    """
    database = database_of(typed)
    if database.partition("://")[0] not in SCHEMES or "://" not in database:
        return None
    try:
        return Address.of(database)
    except AikiError as error:
        raise Refusal(str(error)) from error


def shown(database: str) -> str:
    """Return what may be printed of a database."""
    address = postgres_of(database)
    return database if address is None else address.shown
