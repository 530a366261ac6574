"""The store on SQLite: one file, one process, one writer.

The rule: what a transaction has answered is on the disk. One connection writes; another reads what is committed, so that
a long list never holds up a commit. Inline, and always in memory, one connection does both where it is asked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import TypeVar

from msgspec import Raw

from aiki.clock import Clock
from aiki.errors import InvalidInput
from aiki.model.lifecycle import Status
from aiki.model.run import Queue
from aiki.model.views import RunFilter, RunInfo, RunPage
from aiki.model.wire import Finished, JournalPage, VersionInfo
from aiki.model.working_set import History, Keys, WorkingSet
from aiki.store import reading
from aiki.store.base import Decision, DueRun, StoreRefused, Transaction
from aiki.store.lane import InlineLane, Job, Lane, ThreadLane
from aiki.store.loading import load, read_claims
from aiki.store.lock import FileLock
from aiki.store.opening import open_reader, open_writer, transient_as_unavailable
from aiki.store.saving import save

__all__ = ["SqliteStore"]

T = TypeVar("T")


class SqliteStore:
    """A `Store` in a SQLite file, or in memory. Make one with `open`."""

    def __init__(self, writer: Lane, reader: Lane, *, lock: FileLock | None, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._lock = lock
        self._clock = clock

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
        clock = self._clock

        def transact(connection: sqlite3.Connection) -> Transaction:
            with transient_as_unavailable():
                return _transact(connection, keys, decide, clock=clock)

        return await self._writer.do(transact)

    async def _read(self, job: Job[T]) -> T:
        def read(connection: sqlite3.Connection) -> T:
            with transient_as_unavailable():
                return job(connection)

        return await self._reader.do(read)

    # --------------------------------------------------------------------------------------------- reads for people

    async def info(self, namespace: str, run_id: str) -> RunInfo | None:
        """Return a run with payloads and open waits."""
        return await self._read(lambda connection: reading.info(connection, namespace, run_id))

    async def by_reference(self, namespace: str, workflow: str, reference_id: str) -> RunInfo | None:
        """Return the run that bears a reference id."""

        def find(connection: sqlite3.Connection) -> RunInfo | None:
            run_id = reading.id_by_reference(connection, namespace, workflow, reference_id)
            return None if run_id is None else reading.info(connection, namespace, run_id)

        return await self._read(find)

    async def list_runs(self, runs: RunFilter) -> RunPage:
        """Return a page of runs, newest first."""
        return await self._read(lambda connection: reading.list_runs(connection, runs))

    async def count(self, runs: RunFilter) -> dict[Status, int]:
        """Return how many runs there are, by status."""
        return await self._read(lambda connection: reading.count(connection, runs))

    async def value(self, namespace: str, run_id: str, name: str) -> Raw | None:
        """Return what a run published under a name."""
        return await self._read(lambda connection: reading.value(connection, namespace, run_id, name=name))

    async def journal(self, namespace: str, run_id: str, *, after_seq: int) -> JournalPage | None:
        """Return a page of the journal of a run's current attempt and chapter."""
        return await self._read(lambda connection: reading.journal(connection, namespace, run_id, after_seq=after_seq))

    async def history(self, run_id: str) -> list[History]:
        """Return how a run came to where it stands."""
        return await self._read(lambda connection: reading.history(connection, run_id))

    # ---------------------------------------------------------------------------------------- reads for the server

    async def ends(self, namespace: str, run_ids: Collection[str]) -> dict[str, Finished | None]:
        """Return how runs ended, None for those that have not."""
        return await self._read(lambda connection: reading.ends(connection, namespace, run_ids))

    async def fetch(self, run_id: str, *, session_id: str, epoch: int, after_seq: int) -> JournalPage | None:
        """Return a page of the journal of a run that a session owns under `epoch`."""
        return await self._read(
            lambda connection: reading.fetch(
                connection, run_id, session_id=session_id, epoch=epoch, after_seq=after_seq
            )
        )

    async def announcements(self, *, limit: int) -> list[tuple[str, VersionInfo]]:
        """Return what workers have announced, the newest first."""
        return await self._read(lambda connection: reading.announcements(connection, limit=limit))

    async def versions_of(self, run_ids: Collection[str]) -> dict[str, tuple[str, str, str]]:
        """Return namespace, workflow and version of runs."""
        return await self._read(lambda connection: reading.versions_of(connection, run_ids))

    async def next_alarm_ms(self) -> int | None:
        """Return when the nearest alarm of any run is due."""
        return await self._read(lambda connection: reading.moment_ms(connection, "next_alarm"))

    async def due_runs(self, *, now_ms: int, limit: int) -> list[DueRun]:
        """Return runs whose alarm is due, earliest first."""
        return await self._read(lambda connection: reading.due_runs(connection, now_ms=now_ms, limit=limit))

    async def expired_sessions(self, *, now_ms: int, limit: int) -> list[str]:
        """Return sessions that were not renewed in time."""
        return await self._ids("expired_sessions", now_ms=now_ms, limit=limit)

    async def live_sessions(self, *, limit: int) -> list[str]:
        """Return sessions that are not over."""
        return await self._ids("live_sessions", limit=limit)

    async def unreturned_sessions(self, *, limit: int) -> list[str]:
        """Return sessions that are over while runs are still theirs."""
        return await self._ids("unreturned_sessions", limit=limit)

    async def ready_queues(self, queues: Collection[Queue]) -> list[Queue]:
        """Return those of `queues` in which runs wait."""
        return await self._read(lambda connection: reading.ready_queues(connection, queues))

    async def undelivered(self, *, due_before_ms: int, limit: int) -> list[str]:
        """Return runs that have been queued since before a moment."""
        return await self._ids("undelivered", due_before_ms=due_before_ms, limit=limit)

    async def _ids(self, statement: str, **named: int) -> list[str]:
        return await self._read(lambda connection: reading.ids(connection, statement, named))


def _absolute(path: Path) -> Path:
    """Return the one path of a file, whichever way leads to it: its lock stands beside that."""
    return path.expanduser().resolve()


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
