"""The reads of a store, as its callers know them, for whichever database answers.

The rule: a read is written once, in store/reading.py; a store only says how its questions are answered (`_read`).
"""

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import TypeVar

from msgspec import Raw

from aiki.model.lifecycle import Status
from aiki.model.many import BulkJob
from aiki.model.run import Queue
from aiki.model.schedule import ScheduleName, ScheduleRow, StartedTick
from aiki.model.views import (
    Bucket,
    HistoryPage,
    InboxPage,
    QueueDepth,
    RunFilter,
    RunInfo,
    RunPage,
    ValuesPage,
    VersionView,
    WorkerView,
)
from aiki.model.wire import Finished, JournalPage, VersionInfo
from aiki.model.working_set import History
from aiki.store import overview, reading
from aiki.store.base import DueRun, EndedRun, WaitingRun
from aiki.store.reading import Reading

__all__ = ["Reads"]

T = TypeVar("T")


class Reads(ABC):
    """What people and the server's loops read; `Store` says what each returns."""

    @abstractmethod
    async def _read(self, reading: Reading[T]) -> T:
        """Answer the questions of a read, and return what it returns."""

    # --------------------------------------------------------------------------------------------- reads for people

    async def info(self, namespace: str, run_id: str) -> RunInfo | None:
        """Return a run with payloads and open waits."""
        return await self._read(reading.info(namespace, run_id))

    async def by_reference(self, namespace: str, workflow: str, reference_id: str) -> RunInfo | None:
        """Return the run that bears a reference id."""
        return await self._read(reading.by_reference(namespace, workflow, reference_id))

    async def ids_by_reference(self, namespace: str, workflow: str, reference_ids: Collection[str]) -> dict[str, str]:
        """Return the runs of a workflow that bear reference ids, by these."""
        return await self._read(reading.ids_by_reference(namespace, workflow, reference_ids))

    async def list_runs(self, runs: RunFilter) -> RunPage:
        """Return a page of runs, newest first."""
        return await self._read(reading.list_runs(runs))

    async def count(self, runs: RunFilter) -> dict[Status, int]:
        """Return how many runs there are, by status."""
        return await self._read(reading.count(runs))

    async def value(self, namespace: str, run_id: str, name: str) -> Raw | None:
        """Return what a run published under a name."""
        return await self._read(reading.value(namespace, run_id, name=name))

    async def journal(
        self, namespace: str, run_id: str, *, after_seq: int, chapter: int | None = None, attempt: int | None = None
    ) -> JournalPage | None:
        """Return a page of the journal of a run: of its current chapter and attempt, or of others."""
        return await self._read(
            reading.journal(namespace, run_id, after_seq=after_seq, chapter=chapter, attempt=attempt)
        )

    async def moves(self, namespace: str, run_id: str, *, after: int, limit: int) -> HistoryPage | None:
        """Return how a run came to where it stands, after the move of that number."""
        return await self._read(reading.moves(namespace, run_id, after=after, limit=limit))

    async def inbox(self, namespace: str, run_id: str, *, after: int, limit: int, unread: bool) -> InboxPage | None:
        """Return what a run was sent, after the message of that number."""
        return await self._read(reading.inbox(namespace, run_id, after=after, limit=limit, unread=unread))

    async def published(self, namespace: str, run_id: str, *, after: str, limit: int) -> ValuesPage | None:
        """Return what a run has published, by name, after that name."""
        return await self._read(reading.published(namespace, run_id, after=after, limit=limit))

    async def versions_counted(self, namespace: str) -> dict[tuple[str, str], dict[Status, int]]:
        """Return how many runs of each workflow and version there are, by status."""
        return await self._read(overview.versions_counted(namespace))

    async def queue_depths(self, namespace: str, *, limit: int) -> list[QueueDepth]:
        """Return the queues in which most runs wait, the fullest first."""
        return await self._read(overview.queue_depths(namespace, limit=limit))

    async def buckets(self, namespace: str, *, from_ms: int, bucket_ms: int, count: int) -> list[Bucket]:
        """Return what happened in each of `count` parts of a window."""
        return await self._read(overview.buckets(namespace, from_ms=from_ms, bucket_ms=bucket_ms, count=count))

    async def announced(self, namespace: str, *, limit: int) -> list[VersionView]:
        """Return what workers have announced, by workflow and version."""
        return await self._read(overview.announced(namespace, limit=limit))

    async def present(self, namespace: str, *, now_ms: int, limit: int) -> list[WorkerView]:
        """Return the live sessions, by the names of their workers."""
        return await self._read(overview.present(namespace, now_ms=now_ms, limit=limit))

    async def history(self, run_id: str) -> list[History]:
        """Return how a run came to where it stands."""
        return await self._read(reading.history(run_id))

    async def list_schedules(self, namespace: str, *, after: str, limit: int) -> list[ScheduleRow]:
        """Return schedules by name, after a name."""
        return await self._read(reading.list_schedules(namespace, after=after, limit=limit))

    async def schedule(self, namespace: str, name: str, *, limit: int) -> tuple[ScheduleRow, list[StartedTick]] | None:
        """Return a schedule, and what it has started last."""
        return await self._read(reading.schedule(namespace, name, limit=limit))

    async def job(self, namespace: str, job_id: str) -> BulkJob | None:
        """Return a bulk job."""
        return await self._read(overview.job(namespace, job_id))

    async def jobs(self, namespace: str, *, cursor: str | None, limit: int) -> tuple[list[BulkJob], str | None]:
        """Return a page of bulk jobs, the newest first, and where the next begins."""
        return await self._read(overview.jobs(namespace, cursor=cursor, limit=limit))

    # ---------------------------------------------------------------------------------------- reads for the server

    async def open_jobs(self, *, limit: int) -> list[BulkJob]:
        """Return bulk jobs that are not done, the oldest first."""
        return await self._read(overview.open_jobs(limit=limit))

    async def ends(self, namespace: str, run_ids: Collection[str]) -> dict[str, Finished | None]:
        """Return how runs ended, None for those that have not."""
        return await self._read(reading.ends(namespace, run_ids))

    async def fetch(self, run_id: str, *, session_id: str, epoch: int, after_seq: int) -> JournalPage | None:
        """Return a page of the journal of a run that a session owns under `epoch`."""
        return await self._read(reading.fetch(run_id, session_id=session_id, epoch=epoch, after_seq=after_seq))

    async def announcements(self, *, limit: int) -> list[tuple[str, VersionInfo]]:
        """Return what workers have announced, the newest first."""
        return await self._read(reading.announcements(limit=limit))

    async def versions_of(self, run_ids: Collection[str]) -> dict[str, tuple[str, str, str]]:
        """Return namespace, workflow and version of runs."""
        return await self._read(reading.versions_of(run_ids))

    async def next_alarm_ms(self) -> int | None:
        """Return when the nearest alarm of any run is due."""
        return await self._read(reading.moment_ms("next_alarm"))

    async def due_runs(self, *, now_ms: int, limit: int) -> list[DueRun]:
        """Return runs whose alarm is due, earliest first."""
        return await self._read(reading.due_runs(now_ms=now_ms, limit=limit))

    async def next_tick_ms(self) -> int | None:
        """Return when the nearest tick of any schedule is due."""
        return await self._read(reading.moment_ms("next_tick"))

    async def due_schedules(self, *, now_ms: int, limit: int) -> list[ScheduleName]:
        """Return the schedules of which a tick is due, earliest first."""
        return await self._read(reading.due_schedules(now_ms=now_ms, limit=limit))

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
        return await self._read(reading.ready_queues(queues))

    async def waiting_runs(self, *, due_before_ms: int, limit: int) -> list[WaitingRun]:
        """Return the first runs of each queue that have been ready since before a moment."""
        return await self._read(reading.waiting_runs(due_before_ms=due_before_ms, limit=limit))

    async def undelivered(self, *, due_before_ms: int, limit: int) -> list[str]:
        """Return runs that have been queued since before a moment."""
        return await self._ids("undelivered", due_before_ms=due_before_ms, limit=limit)

    async def ended_runs(self, *, until_ms: int, after: tuple[int, str], limit: int) -> list[EndedRun]:
        """Return runs that ended until a moment and come after another, in the order of their ends."""
        return await self._read(reading.ended_runs(until_ms=until_ms, after=after, limit=limit))

    async def oldest_end_ms(self, *, after_ms: int) -> int | None:
        """Return when the first run ended of those that ended after a moment."""
        return await self._read(reading.moment_ms("oldest_end", after_ms=after_ms))

    async def done_jobs(self, *, until_ms: int, limit: int) -> list[str]:
        """Return bulk jobs that were done until a moment."""
        return await self._ids("done_jobs", until_ms=until_ms, limit=limit)

    async def unused_versions(self, *, until_ms: int, limit: int) -> list[tuple[str, str, str, int]]:
        """Return versions announced until a moment that have no run left and whose worker has gone."""
        return await self._read(reading.unused_versions(until_ms=until_ms, limit=limit))

    async def over_sessions(self, *, until_ms: int, limit: int) -> list[str]:
        """Return sessions that are over and whose lease has passed before a moment."""
        return await self._ids("over_sessions", until_ms=until_ms, limit=limit)

    async def _ids(self, statement: str, **named: int) -> list[str]:
        return await self._read(reading.ids(statement, **named))
