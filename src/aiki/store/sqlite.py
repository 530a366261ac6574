"""The store on SQLite: one file, one process, one writer.

The rule: what a transaction has answered is on the disk. One connection writes; another reads what is committed, so that
a long list never holds up a commit. Inline, and always in memory, one connection does both where it is asked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from aiki.clock import Clock
from aiki.errors import InvalidInput
from aiki.model.working_set import Keys, WorkingSet
from aiki.store.base import Decision, StoreRefused, Transaction
from aiki.store.filtering import TOO_BROAD
from aiki.store.lane import InlineLane, Lane, ThreadLane
from aiki.store.loading import load, read_claims
from aiki.store.lock import FileLock
from aiki.store.opening import MEMORY, open_reader, open_writer, transient_as_unavailable
from aiki.store.reading import Reading
from aiki.store.reads import Reads
from aiki.store.saving import save
from aiki.store.sql import statements, with_filters

__all__ = ["SqliteStore"]

READ: Final = {
    name: text for file in ("load", "read", "where") for name, text in statements(file, dialect="sqlite").items()
}

STEPS_AT_ONCE: Final = 1_000_000  # of the database's own machine, each some 15 ns
STEPS_MAX: Final = 300  # times that for one search

T = TypeVar("T")

_list: Final = msgspec.json.Encoder().encode


class SqliteStore(Reads):
    """A `Store` in a SQLite file, or in memory. Make one with `open`.

    Attributes:
        clock: the time that judges.
        name: the file.
        is_shared: other servers may serve from it: never.
    """

    def __init__(self, writer: Lane, reader: Lane, *, lock: FileLock | None, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._lock = lock
        self.clock = clock
        self.is_shared = False
        self.name = MEMORY if lock is None else str(lock.database)

    @classmethod
    async def open(cls, path: Path | None, *, clock: Clock, inline: bool = False) -> SqliteStore:
        """Open a file, made if it is not there, or a database in memory.

        Args:
            path: the file; None for memory.
            clock: where `now` comes from.
            inline: do everything where it is asked for, without threads; so it is in memory in any case.

        Raises:
            DatabaseInUse: another process serves the file; `.pid`, `.url`.
            InvalidInput: the file cannot be used; `.path`.
        """
        if path is None:
            lane = InlineLane(open_writer(None, now_ms=clock.now_ms()))
            return cls(lane, lane, lock=None, clock=clock)
        path = _absolute(path)
        try:
            lock = FileLock(path, now_ms=clock.now_ms())
        except FileNotFoundError as error:
            raise InvalidInput(
                f"{path} cannot be made: there is no folder {path.parent}. Make it first", path=str(path)
            ) from error
        except OSError as error:
            raise InvalidInput(f"{path} cannot be made or locked: {error}", path=str(path)) from error
        try:
            if inline:
                lane = InlineLane(open_writer(path, now_ms=clock.now_ms()))
                return cls(lane, lane, lock=lock, clock=clock)
            writer = ThreadLane(lambda: open_writer(path, now_ms=clock.now_ms()), name="aiki-store-writer")
            await writer.open()
            reader = ThreadLane(lambda: open_reader(path), name="aiki-store-reader")
            try:
                await reader.open()
            except BaseException:
                await writer.close()
                raise
        except BaseException:
            lock.release()
            raise
        return cls(writer, reader, lock=lock, clock=clock)

    def tell(self, *, url: str | None) -> None:
        """Let whoever finds the file in use know where it is served."""
        if self._lock is not None:
            self._lock.tell(url=url)

    async def close(self) -> None:
        """Finish what was asked for, write everything into the one file, and let go of it."""
        if self._reader is not self._writer:
            await self._reader.close()
        await self._writer.close()
        if self._lock is not None:
            self._lock.release()

    # -------------------------------------------------------------------------------------------------- transactions

    async def transaction(self, keys: Keys, decide: Decision) -> Transaction:
        """Load, decide, save, and read what new claims need; `Store.transaction`."""
        clock = self.clock

        def transact(connection: sqlite3.Connection) -> Transaction:
            with transient_as_unavailable():
                return _transact(connection, keys, decide, clock=clock)

        return await self._writer.do(transact)

    async def _read(self, reading: Reading[T]) -> T:
        def read(connection: sqlite3.Connection) -> T:
            with transient_as_unavailable():
                return _answered(connection, reading)

        return await self._reader.do(read)


def _absolute(path: Path) -> Path:
    """Return the one path of a file, whichever way leads to it: its lock stands beside that."""
    return path.expanduser().resolve()


def _answered(connection: sqlite3.Connection, reading: Reading[T]) -> T:
    try:
        question = next(reading)
        while True:  # bounded: a read asks a few questions
            values = {
                name: _list(value).decode() if isinstance(value, list) else value
                for name, value in question.values.items()
            }
            text = with_filters(READ, question.name, question.filters)
            with _bounded(connection) if question.is_search else nullcontext():
                found_rows = connection.execute(text, values).fetchall()
            question = reading.send(found_rows)
    except StopIteration as done:
        found: T = done.value
        return found


@contextmanager
def _bounded(connection: sqlite3.Connection) -> Iterator[None]:
    """Let a search of SQLite take a bounded number of steps.

    Raises:
        InvalidInput: it would have taken more.
    """
    taken = 0

    def is_enough() -> bool:
        nonlocal taken
        taken += 1
        return taken > STEPS_MAX

    connection.set_progress_handler(is_enough, STEPS_AT_ONCE)
    try:
        yield
    except sqlite3.OperationalError as error:
        if taken > STEPS_MAX:
            raise InvalidInput(TOO_BROAD) from error
        raise
    finally:
        connection.set_progress_handler(None, STEPS_AT_ONCE)


def _transact(connection: sqlite3.Connection, keys: Keys, decide: Decision, *, clock: Clock) -> Transaction:
    connection.execute("BEGIN IMMEDIATE")
    try:
        ws = _load(connection, keys, clock=clock)
        loaded = dict(ws.runs)
        decide(ws)
        has_changed = save(connection, ws, loaded=loaded)
        connection.execute("COMMIT" if has_changed else "ROLLBACK")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return Transaction(ws, read_claims(connection, ws))


def _load(connection: sqlite3.Connection, keys: Keys, *, clock: Clock) -> WorkingSet:
    try:
        return load(connection, keys, clock=clock)
    except ValueError as error:  # written by another version, or by another hand
        raise StoreRefused(f"a row cannot be understood: {error}", statement="load") from error
