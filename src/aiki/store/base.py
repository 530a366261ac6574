"""What the server asks of a store, whichever database is behind it.

The rule: a transaction loads what its keys name, lets `decide` change the working set, and saves what changed:
all of it or nothing. The store judges nothing; what it cannot keep it refuses, and says which statement could not.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

from msgspec import Raw, Struct

from aiki.clock import Clock
from aiki.model.journal import EMPTY, Entry, Mail, Wait
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
from aiki.model.working_set import History, Keys, WorkingSet

__all__ = [
    "HISTORY_ROWS",
    "IDS_MAX",
    "JOURNAL_BYTES",
    "JOURNAL_ROWS",
    "PAGE_ROWS_MAX",
    "ClaimRows",
    "Decision",
    "DueRun",
    "EndedRun",
    "Store",
    "StoreRefused",
    "Transaction",
    "WaitingRun",
]

JOURNAL_BYTES: Final = 256 * 1024  # of journal in one assignment or page; counted in characters
JOURNAL_ROWS: Final = 2_000  # entries in one assignment or page
PAGE_ROWS_MAX: Final = 500  # runs on one page of a list
HISTORY_ROWS: Final = 1_000  # moves in one answer
IDS_MAX: Final = 10_000  # ids in one read


class StoreRefused(Exception):
    """The database refuses for good what was to be saved: the same would be refused again.

    Attributes:
        statement: the name of the statement in the .sql files.
    """

    def __init__(self, message: str, *, statement: str) -> None:
        super().__init__(message)
        self.statement = statement


class ClaimRows(Struct, frozen=True):
    """What the assignment of a claimed run needs beside its row.

    `entries` is the journal cut at `JOURNAL_BYTES`; `mail` holds at most `MAIL_ROWS` unread messages. Of a run whose
    coroutine the session has kept, only the mail is read.
    """

    mail: tuple[Mail, ...] = ()
    input: Raw = EMPTY
    tags: dict[str, str] = {}
    entries: tuple[Entry, ...] = ()
    has_more: bool = False
    waits: tuple[Wait, ...] = ()


class DueRun(Struct, frozen=True):
    """A run whose alarm is due. That of a run that has ended is a cascade: it brings many children with it."""

    id: str
    is_cascade: bool


class EndedRun(Struct, frozen=True):
    """A run that ended long ago.

    Attributes:
        rows: about how many rows belong to it.
        is_kept: it cannot be deleted yet: its parent goes on, or its children have still to be told of its end.
    """

    id: str
    parent_id: str | None
    finished_at_ms: int
    rows: int
    is_kept: bool


class WaitingRun(Struct, frozen=True):
    """A run that waits in its queue, and its place there."""

    id: str
    queue: Queue
    priority: int
    due_at_ms: int


class Transaction(Struct, frozen=True):
    """A transaction that is durable: the working set after it, and what was read for its claims."""

    ws: WorkingSet
    claimed: Mapping[str, ClaimRows]


Decision = Callable[[WorkingSet], None]


class Store(Protocol):
    """Where everything is remembered.

    Every method raises `Unavailable` where the database cannot be reached or is held by another; the call may then be
    repeated.
    """

    @property
    def clock(self) -> Clock:
        """The time that judges leases and alarms."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether other servers may serve from the same database."""
        ...

    @property
    def name(self) -> str:
        """Which database it is, without any secret."""
        ...

    def tell(self, *, url: str | None) -> None:
        """Let whoever finds the database in use know where it is served."""
        ...

    async def transaction(self, keys: Keys, decide: Decision) -> Transaction:
        """Load what `keys` name, let `decide` change it, save what changed, and read what new claims need.

        `decide` may run in a thread of the store, and runs again where the transaction has to be repeated. If it
        raises, nothing is saved.

        Raises:
            StoreRefused: the database refuses what was decided.
        """
        ...

    # --------------------------------------------------------------------------------------------- reads for people

    async def info(self, namespace: str, run_id: str) -> RunInfo | None:
        """Return a run with payloads and open waits."""
        ...

    async def by_reference(self, namespace: str, workflow: str, reference_id: str) -> RunInfo | None:
        """Return the run that bears a reference id."""
        ...

    async def ids_by_reference(self, namespace: str, workflow: str, reference_ids: Collection[str]) -> dict[str, str]:
        """Return the runs of a workflow that bear reference ids, by these; unknown ones are left out."""
        ...

    async def list_runs(self, runs: RunFilter) -> RunPage:
        """Return a page of runs, newest first.

        Raises:
            InvalidInput: the cursor or the limit is none, or too many runs would have to be looked at.
        """
        ...

    async def count(self, runs: RunFilter) -> dict[Status, int]:
        """Return how many runs there are, by status.

        Raises:
            InvalidInput: too many runs would have to be looked at.
        """
        ...

    async def value(self, namespace: str, run_id: str, name: str) -> Raw | None:
        """Return what a run published under a name."""
        ...

    async def journal(
        self, namespace: str, run_id: str, *, after_seq: int, chapter: int | None = None, attempt: int | None = None
    ) -> JournalPage | None:
        """Return a page of the journal of a run: of its current chapter and attempt, or of others."""
        ...

    async def moves(self, namespace: str, run_id: str, *, after: int, limit: int) -> HistoryPage | None:
        """Return how a run came to where it stands, oldest first, after the move of that number."""
        ...

    async def inbox(self, namespace: str, run_id: str, *, after: int, limit: int, unread: bool) -> InboxPage | None:
        """Return what a run was sent, oldest first, after the message of that number: all, or what it has not read."""
        ...

    async def published(self, namespace: str, run_id: str, *, after: str, limit: int) -> ValuesPage | None:
        """Return what a run has published, by name, after that name."""
        ...

    async def versions_counted(self, namespace: str) -> dict[tuple[str, str], dict[Status, int]]:
        """Return how many runs of each workflow and version there are, by status. It looks at all of them."""
        ...

    async def queue_depths(self, namespace: str, *, limit: int) -> list[QueueDepth]:
        """Return the queues in which most runs wait, the fullest first. It looks at all queued runs."""
        ...

    async def buckets(self, namespace: str, *, from_ms: int, bucket_ms: int, count: int) -> list[Bucket]:
        """Return what happened in each of `count` parts of a window. It looks at all runs of the window."""
        ...

    async def announced(self, namespace: str, *, limit: int) -> list[VersionView]:
        """Return what workers have announced, by workflow and version."""
        ...

    async def present(self, namespace: str, *, now_ms: int, limit: int) -> list[WorkerView]:
        """Return the live sessions, by the names of their workers, each as it was introduced and as if elsewhere."""
        ...

    async def history(self, run_id: str) -> list[History]:
        """Return how a run came to where it stands, oldest first, at most `HISTORY_ROWS` moves."""
        ...

    async def list_schedules(self, namespace: str, *, after: str, limit: int) -> list[ScheduleRow]:
        """Return schedules by name, after a name, at most `limit`."""
        ...

    async def schedule(self, namespace: str, name: str, *, limit: int) -> tuple[ScheduleRow, list[StartedTick]] | None:
        """Return a schedule, and at most `limit` runs that it has started last, newest first."""
        ...

    async def job(self, namespace: str, job_id: str) -> BulkJob | None:
        """Return a bulk job."""
        ...

    async def jobs(self, namespace: str, *, cursor: str | None, limit: int) -> tuple[list[BulkJob], str | None]:
        """Return a page of bulk jobs, the newest first, and where the next begins.

        Raises:
            InvalidInput: the cursor is none.
        """
        ...

    # ---------------------------------------------------------------------------------------- reads for the server

    async def open_jobs(self, *, limit: int) -> list[BulkJob]:
        """Return bulk jobs that are not done, the oldest first."""
        ...

    async def ends(self, namespace: str, run_ids: Collection[str]) -> dict[str, Finished | None]:
        """Return how runs ended, None for those that have not; unknown runs are left out."""
        ...

    async def fetch(self, run_id: str, *, session_id: str, epoch: int, after_seq: int) -> JournalPage | None:
        """Return a page of the journal of a run that a session owns under `epoch`, None if it does not.

        With `after_seq=0`, input and open waits too.
        """
        ...

    async def announcements(self, *, limit: int) -> list[tuple[str, VersionInfo]]:
        """Return what workers have announced, by namespace, the newest first."""
        ...

    async def versions_of(self, run_ids: Collection[str]) -> dict[str, tuple[str, str, str]]:
        """Return namespace, workflow and version of runs; unknown ones are left out."""
        ...

    async def next_alarm_ms(self) -> int | None:
        """Return when the nearest alarm of any run is due."""
        ...

    async def due_runs(self, *, now_ms: int, limit: int) -> list[DueRun]:
        """Return runs whose alarm is due, earliest first."""
        ...

    async def next_tick_ms(self) -> int | None:
        """Return when the nearest tick of any schedule is due."""
        ...

    async def due_schedules(self, *, now_ms: int, limit: int) -> list[ScheduleName]:
        """Return the schedules (namespace, name) of which a tick is due, earliest first."""
        ...

    async def expired_sessions(self, *, now_ms: int, limit: int) -> list[str]:
        """Return sessions that were not renewed in time."""
        ...

    async def live_sessions(self, *, limit: int) -> list[str]:
        """Return sessions that are not over."""
        ...

    async def unreturned_sessions(self, *, limit: int) -> list[str]:
        """Return sessions that are over while runs are still theirs."""
        ...

    async def ready_queues(self, queues: Collection[Queue]) -> list[Queue]:
        """Return those of `queues` in which runs wait."""
        ...

    async def waiting_runs(self, *, due_before_ms: int, limit: int) -> list[WaitingRun]:
        """Return the first runs of each queue, at most `limit` of each, that have been ready since before a moment."""
        ...

    async def undelivered(self, *, due_before_ms: int, limit: int) -> list[str]:
        """Return runs that have been queued since before a moment."""
        ...

    async def ended_runs(self, *, until_ms: int, after: tuple[int, str], limit: int) -> list[EndedRun]:
        """Return runs that ended until a moment and come `after` another (when that ended, its id), in that order."""
        ...

    async def oldest_end_ms(self, *, after_ms: int) -> int | None:
        """Return when the first run ended of those that ended after a moment."""
        ...

    async def done_jobs(self, *, until_ms: int, limit: int) -> list[str]:
        """Return bulk jobs that were done until a moment."""
        ...

    async def unused_versions(self, *, until_ms: int, limit: int) -> list[tuple[str, str, str, int]]:
        """Return versions announced until a moment, with when, that have no run left and whose worker has gone."""
        ...

    async def over_sessions(self, *, until_ms: int, limit: int) -> list[str]:
        """Return sessions that are over and whose lease has passed before a moment."""
        ...

    async def close(self) -> None:
        """Give up the database. Nothing is asked after it."""
        ...
