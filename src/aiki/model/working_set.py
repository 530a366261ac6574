"""What a batch of commands may touch (keys), and the rows it works on (working set): the seam of engine and store.

The rule: the store loads what the keys name, locked, and saves what changed, and knows no rules; the engine reads and
changes the working set, and knows no store. Every change goes through a method here, which is how it is tracked.
"""

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Raw, Struct
from msgspec.structs import replace

from aiki.model.journal import CallKey, Entry, EntryKind, Mail, MailKind, Wait
from aiki.model.lifecycle import Reason, Status
from aiki.model.many import BulkJob
from aiki.model.run import NewRun, Queue, RunEnd, RunRow, SessionRow, Waiter
from aiki.model.schedule import ScheduleName, ScheduleRow
from aiki.model.wire import Announce

__all__ = [
    "CANCEL_GRACE_MS",
    "CASCADE_ROWS",
    "EXPIRY_ROWS",
    "MAIL_ROWS",
    "OVERLAP_ROWS",
    "Claim",
    "History",
    "Keys",
    "Reference",
    "RunValue",
    "WorkingSet",
]

CANCEL_GRACE_MS: Final = 30_000  # from the delivery of a cancellation, and again from each later claim
CASCADE_ROWS: Final = 500  # children cancelled in one transaction
EXPIRY_ROWS: Final = 200  # runs of a dead session returned in one transaction
OVERLAP_ROWS: Final = 500  # open runs of a schedule that a tick looks at
MAIL_ROWS: Final = 500  # messages loaded for one run at once; the rest follows with the next answer

Reference = tuple[str, str, str]  # namespace, workflow, reference id
WaitName = tuple[str, EntryKind, str]  # run id, kind, address; address "" stands for all of the kind


class Keys:
    """What a batch of commands names. Each set is loaded with a fixed number of statements.

    Attributes:
        runs: rows to lock and load, in id order.
        finishing: runs that may end: their waiters, and the waiters' runs, are loaded as well.
        ends: runs whose end (status, output, error) is needed if they are terminal.
        references: (namespace, workflow, reference id) → run id; the rows of these runs are loaded.
        sessions: rows to lock and load.
        mail_after: run id → number; unread messages above it, at most `MAIL_ROWS` (the lowest number asked for wins).
        messages: (run id, message id) of messages that may be there already.
        waits: the open waits of a run with a kind and address ("" for all addresses).
        journals: runs whose journal (current chapter and attempt) is needed whole: a retry cuts it.
        owned: sessions whose owned runs (the rows) are loaded, as statements are compared with them.
        expiring: sessions of which at most `EXPIRY_ROWS` owned runs are loaded; of those that are asked to cancel,
            which may end, as for `finishing`.
        cascading: runs of which at most `CASCADE_ROWS` children are loaded that are open and not asked to cancel;
            `following` children only, where the run's cascade says so, and none where there is no cascade. Such a
            child may end at once: its waiters are loaded as for `finishing`.
        schedules: rows to lock and load, before all others.
        ticking: schedules of which a tick may be judged: where their overlap rule asks for it, at most `OVERLAP_ROWS` of
            their open runs are loaded, which may end, as for `finishing`.
        jobs: bulk jobs to lock and load.
        ready: queue → how many of its queued runs may be picked, by priority, then due time.
    """

    def __init__(self) -> None:
        self.runs: set[str] = set()
        self.finishing: set[str] = set()
        self.ends: set[str] = set()
        self.references: set[Reference] = set()
        self.sessions: set[str] = set()
        self.mail_after: dict[str, int] = {}
        self.messages: set[tuple[str, str]] = set()
        self.waits: set[WaitName] = set()
        self.journals: set[str] = set()
        self.owned: set[str] = set()
        self.expiring: set[str] = set()
        self.cascading: set[str] = set()
        self.ready: dict[Queue, int] = {}
        self.schedules: set[ScheduleName] = set()
        self.ticking: set[ScheduleName] = set()
        self.jobs: set[str] = set()

    def mail(self, run_id: str, *, after: int) -> None:
        """Ask for the unread messages of a run above number `after`."""
        self.mail_after[run_id] = min(after, self.mail_after.get(run_id, after))


class History(Struct, frozen=True):
    """A recorded move of a run; `worker` is the name of whom it was handed to."""

    run_id: str
    at_ms: int
    old: Status | None
    new: Status
    reason: Reason
    note: str | None = None
    chapter: int = 1
    attempt: int = 1
    worker: str | None = None


class RunValue(Struct, frozen=True):
    """A value that a run published with `run.set`."""

    run_id: str
    name: str
    payload: Raw


class Claim(Struct, frozen=True):
    """A run handed to a session in this transaction. What its assignment needs is read before the answer.

    `parked_epoch` is not None where the session parked the coroutine under that epoch: then only mail is read.
    """

    run_id: str
    session_id: str
    parked_epoch: int | None


class WorkingSet:
    """The rows that a batch of commands names, and the changes made to them.

    Loaded rows are in the plain mappings; changed ones replace them there and are listed for saving. The store makes
    one, fills it, hands it to the engine, and saves `new_*`, `changed_*` and `removed_*`.
    """

    def __init__(self, *, now_ms: int) -> None:
        self.now_ms = now_ms  # the store's clock, after the locks, never below the time of any row loaded
        self.cancel_grace_ms = CANCEL_GRACE_MS  # the shell may say otherwise before anything is decided
        # loaded
        self.runs: dict[str, RunRow] = {}
        self.ends: dict[str, RunEnd] = {}
        self.references: dict[Reference, str] = {}
        self.sessions: dict[str, SessionRow] = {}
        self.unread: dict[str, list[Mail]] = {}
        self.messages: set[tuple[str, str]] = set()
        self.waits: dict[WaitName, list[Wait]] = {}
        self.waiters: dict[str, list[Waiter]] = {}
        self.journals: dict[str, list[Entry]] = {}
        self.owned: dict[str, list[str]] = {}
        self.expiring: dict[str, list[str]] = {}
        self.cascading: dict[str, list[str]] = {}
        self.ready: dict[Queue, list[str]] = {}
        self.schedules: dict[ScheduleName, ScheduleRow] = {}
        self.open_of: dict[ScheduleName, list[str]] = {}  # runs of schedules that are open
        self.jobs: dict[str, BulkJob] = {}
        # changes, in the order in which they were made
        self.new_runs: dict[str, NewRun] = {}
        self.new_inputs: dict[str, Raw] = {}  # of a next chapter
        self.changed_runs: dict[str, RunRow] = {}
        self.new_ends: dict[str, RunEnd] = {}
        self.new_entries: list[tuple[str, int, int, Entry]] = []  # run id, chapter, attempt
        self.new_mail: list[tuple[str, Mail]] = []
        self.read_mail: list[tuple[str, int]] = []
        self.voided_requests: list[str] = []  # runs whose unread wake-ups and cancellations are void
        self.unread_mail: list[tuple[str, int]] = []  # read once, unread again: a retry cut what took them
        self.removed_mail: list[tuple[str, str, int]] = []  # unread child results: run id, child's id, ordinal
        self.new_waits: dict[tuple[str, CallKey], Wait] = {}
        self.removed_waits: list[tuple[str, CallKey]] = []
        self.cleared_waits: list[str] = []  # runs of which all waits go, before new_waits are added
        self.new_waiters: dict[Waiter, None] = {}  # a set that keeps its order
        self.removed_waiters: list[Waiter] = []
        self.cleared_waiters: list[str] = []  # runs that wait for nobody any more
        self.new_values: list[RunValue] = []
        self.changed_sessions: dict[str, SessionRow] = {}
        self.removed_runs: dict[str, None] = {}  # with all that belongs to them; a set that keeps its order
        self.removed_sessions: list[str] = []
        self.removed_jobs: list[str] = []
        self.removed_versions: list[tuple[str, str, str, int]] = []  # the last is when it was announced
        self.dropped_chapters: list[tuple[str, int]] = []  # what was done and moved in them: run id, chapter
        self.dropped_attempts: list[tuple[str, int, int]] = []  # run id, chapter, attempt
        self.trimmed_inboxes: list[str] = []  # runs of whose read messages only the ids are still needed
        self.new_announcements: list[Announce] = []
        self.changed_schedules: dict[ScheduleName, ScheduleRow] = {}
        self.new_schedules: set[ScheduleName] = set()  # of these, those that the store does not have
        self.removed_schedules: dict[ScheduleName, None] = {}
        self.history: list[History] = []
        self.new_jobs: dict[str, BulkJob] = {}
        self.changed_jobs: dict[str, BulkJob] = {}
        self.claims: dict[str, Claim] = {}
        # what the shell tells others once the transaction is durable
        self.ended: set[str] = set()
        self.mailed: set[str] = set()  # owned runs that got mail
        self.released: list[tuple[str, str, int]] = []  # session id, run id, epoch: claims ended by others

    def put_run(self, row: RunRow) -> RunRow:
        """Replace a run's row and raise its `version_no`."""
        row = replace(row, version_no=row.version_no + 1)
        self.runs[row.id] = row
        if row.id in self.new_runs:
            self.new_runs[row.id] = NewRun(row, self.new_runs[row.id].input, self.new_runs[row.id].tags)
        else:
            self.changed_runs[row.id] = row
        return row

    def insert_run(self, new: NewRun) -> None:
        """Add a run that is not there yet."""
        row = new.row
        self.runs[row.id] = row
        self.new_runs[row.id] = new
        if row.reference_id is not None:
            self.references[row.namespace, row.workflow, row.reference_id] = row.id

    def end_run(self, run_id: str, end: RunEnd) -> None:
        """Record how a run ended."""
        self.ends[run_id] = end
        self.new_ends[run_id] = end
        self.ended.add(run_id)

    def reopen_run(self, run_id: str) -> None:
        """Forget how a run ended: it is to be tried again."""
        self.ends.pop(run_id, None)
        self.new_ends.pop(run_id, None)
        self.ended.discard(run_id)

    def remove_run(self, run_id: str) -> None:
        """Delete a run that has ended, with all that belongs to it: for the rest of the batch it is not there."""
        row = self.runs.pop(run_id)
        self.removed_runs[run_id] = None
        self.changed_runs.pop(run_id, None)
        self.history = [move for move in self.history if move.run_id != run_id]
        self.references.pop((row.namespace, row.workflow, row.reference_id or ""), None)
        for of_runs in (self.ends, self.new_ends, self.unread, self.waiters, self.journals):
            of_runs.pop(run_id, None)
        self.messages = {message for message in self.messages if message[0] != run_id}
        self.new_mail = [(owner, mail) for owner, mail in self.new_mail if owner != run_id]

    def put_session(self, row: SessionRow) -> None:
        """Add or replace a session's row."""
        self.sessions[row.id] = row
        self.changed_sessions[row.id] = row

    def put_schedule(self, row: ScheduleRow) -> ScheduleRow:
        """Add or replace a schedule's row."""
        name = (row.namespace, row.name)
        if name not in self.schedules and name not in self.removed_schedules:
            self.new_schedules.add(name)
        self.removed_schedules.pop(name, None)
        self.schedules[name] = self.changed_schedules[name] = row
        return row

    def remove_schedule(self, row: ScheduleRow) -> None:
        """Remove a schedule; its runs stay."""
        name = (row.namespace, row.name)
        del self.schedules[name]
        self.changed_schedules.pop(name, None)
        self.removed_schedules[name] = None

    def remove_session(self, session_id: str) -> None:
        """Delete the row of a session."""
        del self.sessions[session_id]
        self.changed_sessions.pop(session_id, None)
        self.removed_sessions.append(session_id)

    def remove_job(self, job_id: str) -> None:
        """Delete a bulk job."""
        del self.jobs[job_id]
        self.removed_jobs.append(job_id)

    def put_job(self, job: BulkJob) -> None:
        """Add or replace a bulk job."""
        job_id = job.request.id
        is_new = job_id not in self.jobs or job_id in self.new_jobs
        self.jobs[job_id] = job
        (self.new_jobs if is_new else self.changed_jobs)[job_id] = job

    def add_mail(self, run_id: str, mail: Mail) -> None:
        """Put a message into a run's inbox."""
        self.unread.setdefault(run_id, []).append(mail)
        self.new_mail.append((run_id, mail))
        self.messages.add((run_id, mail.id))

    def read(self, run_id: str, numbers: Iterable[int]) -> None:
        """Mark messages of a run as read."""
        gone = set(numbers)
        if not gone:
            return
        self.read_mail.extend((run_id, number) for number in sorted(gone))
        if run_id in self.unread:
            self.unread[run_id] = [mail for mail in self.unread[run_id] if mail.number not in gone]

    def void_requests(self, run_id: str) -> None:
        """Mark the unread wake-ups and cancellations of a run as read: their attempt is over."""
        self.voided_requests.append(run_id)
        known = [mail for owner, mail in self.new_mail if owner == run_id] + self.unread.get(run_id, [])
        self.read(run_id, {mail.number for mail in known if mail.kind in (MailKind.WAKE, MailKind.CANCEL)})

    def open_wait(self, run_id: str, wait: Wait) -> None:
        """Add an open wait, or replace the one of the same key."""
        self.new_waits[run_id, wait.key] = wait
        for name in ((run_id, wait.key.kind, wait.key.address), (run_id, wait.key.kind, "")):
            if name in self.waits:
                kept = [other for other in self.waits[name] if other.key != wait.key]
                self.waits[name] = [*kept, wait]

    def close_wait(self, run_id: str, key: CallKey) -> None:
        """Remove an open wait; nothing happens if there is none."""
        self.new_waits.pop((run_id, key), None)
        self.removed_waits.append((run_id, key))
        for name in ((run_id, key.kind, key.address), (run_id, key.kind, "")):
            if name in self.waits:
                self.waits[name] = [wait for wait in self.waits[name] if wait.key != key]

    def clear_waits(self, run_id: str) -> None:
        """Remove all waits of a run, its registrations as a waiter and their unread results included."""
        self.new_waits = {key: wait for key, wait in self.new_waits.items() if key[0] != run_id}
        self.cleared_waits.append(run_id)
        self.cleared_waiters.append(run_id)
        for name in self.waits:
            if name[0] == run_id:
                self.waits[name] = []
        for target, waiters in self.waiters.items():
            self.waiters[target] = [waiter for waiter in waiters if waiter.run_id != run_id]
        self.new_waiters = {waiter: None for waiter in self.new_waiters if waiter.run_id != run_id}
        self._drop_results(run_id, lambda _: True)

    def replace_waits(self, run_id: str) -> None:
        """Remove the open waits of a run, to put a whole new set in their place; who it waits for stays registered.

        What was stored of its waits on others is for the replacement alone: it is not kept up to date beyond it.
        """
        self.waits.pop((run_id, EntryKind.CHILD_RESULT, ""), None)
        self.new_waits = {key: wait for key, wait in self.new_waits.items() if key[0] != run_id}
        self.cleared_waits.append(run_id)
        for name in self.waits:
            if name[0] == run_id:
                self.waits[name] = []

    def add_waiter(self, waiter: Waiter) -> None:
        """Register a run as a waiter on another's end."""
        self.waiters.setdefault(waiter.target_id, []).append(waiter)
        self.new_waiters[waiter] = None

    def settle_waiter(self, waiter: Waiter) -> None:
        """Remove a waiter that has got its result."""
        self.waiters[waiter.target_id] = [w for w in self.waiters.get(waiter.target_id, []) if w != waiter]
        self.new_waiters.pop(waiter, None)
        self.removed_waiters.append(waiter)

    def remove_waiter(self, waiter: Waiter) -> None:
        """Remove a waiter and its unread result."""
        self.settle_waiter(waiter)
        self.removed_mail.append((waiter.run_id, waiter.target_id, waiter.ordinal))
        self._drop_results(waiter.run_id, lambda mail: mail.name == waiter.target_id and mail.ordinal == waiter.ordinal)

    def _drop_results(self, run_id: str, is_meant: Callable[[Mail], bool]) -> None:
        """Forget unread results that came within this batch: the store removes only what was there before."""

        def stays(mail: Mail) -> bool:
            return mail.kind is not MailKind.CHILD_RESULT or not is_meant(mail)

        if run_id in self.unread:
            self.unread[run_id] = [mail for mail in self.unread[run_id] if stays(mail)]
        self.new_mail = [(owner, mail) for owner, mail in self.new_mail if owner != run_id or stays(mail)]
