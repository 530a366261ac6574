"""A run as the engine sees it, and a worker's session.

The rule: rows are frozen; the engine replaces them whole, so that a working set can tell what changed. Payloads
(input, output) are not part of the row: a commit never loads them.
"""

from enum import StrEnum

from msgspec import Raw, Struct

from aiki.model.journal import EMPTY, Failure
from aiki.model.lifecycle import SUSPENDED, TERMINAL, Status
from aiki.model.retry import Retry

__all__ = ["CancelKind", "Cascade", "NewRun", "ParentClose", "Queue", "RunEnd", "RunRow", "SessionRow", "Waiter"]


class Queue(Struct, frozen=True, order=True):
    """Where runs wait for a worker: one queue for each namespace, workflow, version and pool."""

    namespace: str
    workflow: str
    version: str
    pool: str = ""


class ParentClose(StrEnum):
    """What becomes of a child when its parent ends other than by cancellation."""

    ABANDON = "abandon"
    CANCEL = "cancel"


class CancelKind(StrEnum):
    """Who asked for the cancellation: it decides how the run ends."""

    PERSON = "person"
    PARENT = "parent"
    TIMEOUT = "timeout"


class Cascade(StrEnum):
    """Which children of a finished run still have to be cancelled: none, those told to follow, or all."""

    NONE = "none"
    FOLLOWING = "following"
    ALL = "all"


class RunRow(Struct, frozen=True):
    """One run's position. Times are integer milliseconds UTC.

    Attributes:
        reference_id: unique per namespace and workflow, across versions.
        parent_id, parent_close, root_id: where it comes from; a run without a parent is its own root.
        version_no: raised by every change of the run's rows by anyone, messages included.
        epoch: the fence; each claim adds one, and so does whatever ends a claim other than its own commit.
        turn: the number of the last applied commit of this epoch.
        attempt, chapter: of the whole run, both from 1; chapters count `continue_as_new`.
        seq: the journal's length in this chapter and attempt.
        mail: the number of the last message.
        effects: the number of the last applied effect in this chapter and attempt.
        waits, deadline_ms: how many open waits there are, and their earliest deadline.
        alarm_at_ms: when the clock looks at the run next; None for never.
        due_at_ms: since when it is ready (queued), for the order of dispatch.
        session_id: the owner while running; `parked_on`: the session that kept the coroutine of its last claim.
        claimed_poll: the number of the poll whose answer brought the claim.
        crashes: claims lost without progress.
        cancel: a cancellation is requested, by whom; `cancel_delivered`: the code of this attempt has got it.
        timeout_at_ms: when the run's own timeout strikes; None for never.
        clock_ms: the chapter's logical time before its first delivery; None before its first claim.
        pause_mail: the number of the message that asks its owner to pause, until that is answered or lifted.
        failed_seq: the entry whose error escaped and failed it, for its retry by a person; None if none did.
        why: why it is stalled, or how it came to its status, for people.
        schedule: the name of the schedule that started it.
        has_children: whether a child was ever started: only then is there anything to cascade to.
    """

    id: str
    namespace: str
    workflow: str
    version: str
    pool: str
    reference_id: str | None
    input_hash: str
    parent_id: str | None
    parent_close: ParentClose
    root_id: str
    status: Status
    version_no: int
    epoch: int
    turn: int
    attempt: int
    chapter: int
    seq: int
    mail: int
    effects: int
    waits: int
    deadline_ms: int | None
    alarm_at_ms: int | None
    due_at_ms: int | None
    priority: int
    session_id: str | None
    parked_on: str | None
    claimed_poll: int
    crashes: int
    cancel: CancelKind | None
    cancel_reason: str | None
    cancel_delivered: bool
    timeout_ms: int | None
    timeout_at_ms: int | None
    retry: Retry
    clock_ms: int | None
    why: str | None
    has_children: bool
    cascade: Cascade
    created_at_ms: int
    started_at_ms: int | None
    finished_at_ms: int | None
    pause_mail: int | None = None
    failed_seq: int | None = None
    schedule: str | None = None

    @property
    def queue(self) -> Queue:
        """The queue in which it waits for a worker."""
        return Queue(self.namespace, self.workflow, self.version, self.pool)

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended."""
        return self.status in TERMINAL

    @property
    def is_suspended(self) -> bool:
        """Whether it waits for the outside, owned by nobody."""
        return self.status in SUSPENDED


class NewRun(Struct, frozen=True):
    """A run to insert: its row and what is written only once."""

    row: RunRow
    input: Raw
    tags: dict[str, str] = {}


class RunEnd(Struct, frozen=True, omit_defaults=True):
    """How a run ended: what its waiters get."""

    status: Status
    output: Raw = EMPTY
    error: Failure | None = None


class Waiter(Struct, frozen=True, order=True):
    """A run that waits for another's end: `run_id`'s wait number `ordinal` on `target_id`."""

    target_id: str
    run_id: str
    ordinal: int


class SessionRow(Struct, frozen=True):
    """A worker's lease: one row however many runs it holds.

    Attributes:
        poll: the number of its last poll.
        expires_at_ms: when it ends unless it is renewed.
        suspect_run_id: the one run it holds that has lost claims without progress.
        is_over: it has ended; its runs go back in bounded batches. An id never comes back.
    """

    id: str
    namespace: str
    worker: str
    poll: int
    expires_at_ms: int
    suspect_run_id: str | None = None
    is_over: bool = False
