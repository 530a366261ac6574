"""How a SQLite file is opened: what must hold before it is used, its settings, its schema.

The rule: a file is either ours, at the schema of this version, and durable (`synchronous=FULL`), or it is not opened,
and the error says why. A migration is applied whole, under the database's own lock, or not at all.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final

from aiki.errors import InvalidInput, Unavailable

__all__ = ["MEMORY", "connect", "migrate", "open_reader", "open_writer", "transient_as_unavailable"]

MEMORY: Final = ":memory:"
SQLITE_LEAST: Final = (3, 37, 0)  # STRICT tables
APPLICATION_ID: Final = 0x41696B69  # "Aiki"
BUSY_S: Final = 5.0  # how long we wait for another process, a backup for one, to let go of the file
STATEMENTS_KEPT: Final = 256

SETTINGS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -16384",  # KiB
    "PRAGMA temp_store = MEMORY",
    "PRAGMA journal_size_limit = 67108864",
)

# https://www.sqlite.org/rescode.html: what passes, or is the machine's and not ours.
_TRANSIENT: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)


@contextmanager
def transient_as_unavailable() -> Iterator[None]:
    """Raise `Unavailable` for what may pass: a file that another process holds, a full disk."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _TRANSIENT:
            raise
        raise Unavailable(f"the database cannot be used just now: {error}") from error


def connect(path: Path | None) -> sqlite3.Connection:
    """Return a connection to a file, or to a fresh database in memory, that never begins a transaction by itself.

    Raises:
        InvalidInput: SQLite is too old, or cannot open the file; `.path`.
    """
    if sqlite3.sqlite_version_info < SQLITE_LEAST:
        least = ".".join(map(str, SQLITE_LEAST))
        raise InvalidInput(
            f"this Python comes with SQLite {sqlite3.sqlite_version}, and Aiki needs {least} or newer. Use another "
            "build of Python, or a newer sqlite library.",
            path="sqlite3",
        )
    try:
        return sqlite3.connect(
            MEMORY if path is None else path, isolation_level=None, timeout=BUSY_S, cached_statements=STATEMENTS_KEPT
        )
    except sqlite3.OperationalError as error:
        raise InvalidInput(f"{path} cannot be opened: {error}", path=str(path)) from error


def open_writer(path: Path | None, *, now_ms: int) -> sqlite3.Connection:
    """Return the connection that writes, with the schema at this version.

    Raises:
        InvalidInput: the file is no database, one of something else, of a newer version, or cannot be written.
    """
    connection = connect(path)
    try:
        _refuse_foreign(connection, path)
        for setting in SETTINGS:
            connection.execute(setting)
        migrate(connection, path, now_ms=now_ms)
    except sqlite3.OperationalError as error:
        connection.close()
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise Unavailable(f"{path} is held by another program: {error}") from error
        raise InvalidInput(f"{path} cannot be written: {error}", path=str(path)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Return a connection that only reads: each statement sees what is committed when it begins."""
    connection = connect(path)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cache_size = -8192")
    return connection


def migrate(connection: sqlite3.Connection, path: Path | None, *, now_ms: int) -> list[str]:
    """Apply the migrations that are missing, in order, and return their names.

    Raises:
        InvalidInput: the schema is newer than this version of Aiki.
    """
    known = _migrations()
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations"
        " (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at_ms INTEGER NOT NULL) STRICT"
    )
    (last,) = connection.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchone()
    if last > len(known):
        raise InvalidInput(
            f"{path} was written by a newer version of Aiki (its schema is {last}; this version knows {len(known)}). "
            "Use that version, or another file.",
            path=str(path),
        )
    for number, (name, text) in enumerate(known[last:], start=last + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{text}")
            connection.execute("INSERT INTO migrations VALUES (?, ?, ?)", (number, name, now_ms))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return [name for name, _ in known[last:]]


def _migrations() -> list[tuple[str, str]]:
    """Return name and text of each migration, in order; the first has the number 1."""
    folder = files("aiki.store").joinpath("migrations", "sqlite")
    found = sorted((file.name, file.read_text(encoding="utf-8")) for file in folder.iterdir())
    for number, (name, _) in enumerate(found, start=1):
        if not name.startswith(f"{number:04}_"):
            raise AssertionError(f"migration {name} stands at place {number}")
    return [(name.removesuffix(".sql"), text) for name, text in found]


def _refuse_foreign(connection: sqlite3.Connection, path: Path | None) -> None:
    try:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise InvalidInput(f"{path} is not a SQLite database: {error}. Give another path.", path=str(path)) from error
    if application_id != APPLICATION_ID and (application_id or tables):
        raise InvalidInput(
            f"{path} is a SQLite database of something else. Aiki wants a file of its own: give another path.",
            path=str(path),
        )
