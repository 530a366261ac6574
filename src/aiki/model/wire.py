"""Everything that clients, workers and the server say to one another.

The rule: worker, client and server speak only in these messages, even in one process; over HTTP they are the bodies.
Every mutating one carries an id made by its sender (run id, message id, or epoch and turn), so that it can be repeated.
"""

from enum import StrEnum
from typing import Final, Literal

from msgspec import Raw, Struct

from aiki.model.journal import EMPTY, CallKey, Entry, Failure, Mail, Wait
from aiki.model.lifecycle import Status
from aiki.model.retry import Retry
from aiki.model.run import ParentClose, Queue

Conflict = Literal["error", "return_existing"]
Verb = Literal["cancel", "terminate", "pause", "resume", "wake", "requeue", "retry"]
"""What can be asked of a run."""


class Message(Struct, frozen=True, omit_defaults=True):
    """A message: frozen, and as short as it can be."""


PRIORITY_MAX: Final = 1_000  # and, negative, the least
TAGS_MAX: Final = 50
PROGRESS_BYTES_MAX: Final = 16 * 1024  # of what a task attempt says of itself


class RunOptions(Message, frozen=True):
    """What may be said of a run when it is started; the same for children.

    `start_at_ms` wins over `delay_ms`, which counts from the server's acceptance.
    """

    reference_id: str | None = None
    conflict: Conflict = "error"
    start_at_ms: int | None = None
    delay_ms: int | None = None
    pool: str = ""
    priority: int = 0
    retry: Retry = Retry()
    timeout_ms: int | None = None
    tags: dict[str, str] = {}
    parent_close: ParentClose = ParentClose.ABANDON


class StartRun(Message, frozen=True):
    """Start a run. `run_id` is a UUIDv7 made by the caller; `input` an object by parameter name."""

    run_id: str
    namespace: str
    workflow: str
    version: str
    input: Raw
    input_hash: str
    options: RunOptions = RunOptions()


class Problem(Message, frozen=True):
    """Why one item of a request was refused: an error of `aiki.errors` as data (its `code`, message and facts)."""

    code: str
    message: str
    facts: dict[str, str | int | None] = {}


class Started(Message, frozen=True):
    """The answer to one start: the run (an existing one, for a repeat or a reference), or the problem."""

    run_id: str
    version: str = ""
    existed: bool = False
    warnings: tuple[str, ...] = ()
    problem: Problem | None = None


class SendEvent(Message, frozen=True):
    """Send an event to a run. With a reference id the message's id follows from it, so a second send is ignored."""

    namespace: str
    run_id: str
    message_id: str
    name: str
    payload: Raw


class Control(Message, frozen=True):
    """Ask something of a run: `verb`, by a request of `message_id`."""

    namespace: str
    run_id: str
    message_id: str
    verb: Verb
    reason: str | None = None


class Standing(Message, frozen=True):
    """Where a run stands after a request.

    `changed` is False where nothing was there to do (a wake of no sleeper); `repeated`: the run had this event already.
    """

    run_id: str
    status: Status | None = None
    changed: bool = False
    repeated: bool = False
    problem: Problem | None = None


class WaitRequest(Message, frozen=True):
    """Wait until any of many runs has ended; a client keeps one such request open.

    The server remembers the ids of a `subscription` between requests, so only new ones are sent. A newer request
    (higher `number`) makes it answer the older one at once. What has ended is told again until it is in `remove`.
    """

    namespace: str
    subscription: str
    number: int
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    wait_ms: int = 30_000


class Finished(Message, frozen=True):
    """A run that has ended, or the problem why it cannot be waited for (`run_not_found`)."""

    run_id: str
    status: Status | None = None
    output: Raw = EMPTY
    error: Failure | None = None
    problem: Problem | None = None


class WaitAnswer(Message, frozen=True):
    """Those that have ended. `forgotten`: the server does not know the subscription; send all ids anew."""

    finished: tuple[Finished, ...] = ()
    forgotten: bool = False


class VersionInfo(Message, frozen=True):
    """One workflow version that a worker serves, with its schemas."""

    workflow: str
    version: str
    input_schema: Raw = EMPTY
    output_schema: Raw = EMPTY
    events: dict[str, Raw] = {}


class Announce(Message, frozen=True):
    """A worker introduces itself, once per session."""

    session_id: str
    namespace: str
    worker: str
    versions: tuple[VersionInfo, ...]
    pools: tuple[str, ...]
    capacity: int
    host: str = ""
    pid: int = 0
    sdk: str = ""


class Held(Message, frozen=True):
    """A run that the worker holds: what it knows of it."""

    run_id: str
    epoch: int
    mail: int


class Executing(Message, frozen=True):
    """A task attempt that is under way; shown to people, never stored."""

    run_id: str
    task: str
    attempt: int
    since_ms: int
    progress: Raw = EMPTY


class PollRequest(Message, frozen=True):
    """Renew the session, state what is held, and ask for work. `number` rises by one with every poll of a session.

    `queues` may be empty (no capacity): the poll then only renews and brings mail. With `found`, runs that the worker
    has found by itself, it is handed these alone, as far as they wait in one of its queues.
    """

    session_id: str
    number: int
    queues: tuple[Queue, ...]
    capacity: int
    held: tuple[Held, ...] = ()
    executing: tuple[Executing, ...] = ()
    wait_ms: int = 2000
    found: tuple[str, ...] = ()


class Assignment(Message, frozen=True):
    """A claim: the run, and all that is needed to replay it; or, for a parked one, the new mail alone.

    Attributes:
        parked: the server believes that this session still has the coroutine, as of journal length `seq` and
            `parked_epoch`. It then leaves out input, entries and waits; a worker that lacks it fetches them.
        entries: the journal of this chapter and attempt, cut at 256 KiB; `has_more` says that the rest is to be
            fetched (`JournalPage`).
        mail: unread messages; `last_mail` the number up to which they are complete.
    """

    run_id: str
    epoch: int
    namespace: str
    workflow: str
    version: str
    attempt: int
    chapter: int
    seq: int
    effects: int
    clock_ms: int
    mail: tuple[Mail, ...] = ()
    last_mail: int = 0
    parked: bool = False
    parked_epoch: int = 0
    input: Raw = EMPTY
    entries: tuple[Entry, ...] = ()
    has_more: bool = False
    waits: tuple[Wait, ...] = ()
    reference_id: str | None = None
    parent_id: str | None = None
    tags: dict[str, str] = {}
    retry: Retry = Retry()
    crashes: int = 0
    cancel_delivered: bool = False


class JournalPage(Message, frozen=True):
    """The rest of a run's journal after `after_seq`; with `after_seq=0`, input and waits too (a lost parked run)."""

    run_id: str
    epoch: int
    seq: int = 0
    entries: tuple[Entry, ...] = ()
    has_more: bool = False
    input: Raw = EMPTY
    waits: tuple[Wait, ...] = ()
    problem: Problem | None = None


class NewMail(Message, frozen=True):
    """New mail for a run that the session owns."""

    run_id: str
    epoch: int
    mail: tuple[Mail, ...]
    last_mail: int


class Lost(Message, frozen=True):
    """A run that the session held under `epoch` and holds no longer."""

    run_id: str
    epoch: int


class PollAnswer(Message, frozen=True):
    """What a poll brings.

    `session_over`: the session has ended; open a new one and drop everything. `is_published`: what is ready is published
    where workers can find it by themselves. `introduce`: the server knows the session but not who the worker is, for it
    was started anew: announce the same session again.
    """

    now_ms: int
    lease_ms: int
    assignments: tuple[Assignment, ...] = ()
    mail: tuple[NewMail, ...] = ()
    lost: tuple[Lost, ...] = ()
    session_over: bool = False
    is_published: bool = False
    introduce: bool = False


class ChildStart(Message, frozen=True):
    """A child to start.

    `run_id` follows from the parent's id, chapter, attempt and `key` (`ids.child_run_id`), and `namespace` is the
    parent's: they are stated so that the server can name the rows before it has looked at the parent's.
    """

    key: CallKey
    run_id: str
    namespace: str
    workflow: str
    version: str
    input: Raw
    input_hash: str
    options: RunOptions = RunOptions()


class ChildStarted(Message, frozen=True):
    """The answer to a child's start: its run id, or the refusal."""

    key: CallKey
    run_id: str
    version: str = ""
    refusal: Failure | None = None


class Effect(Message, frozen=True):
    """Something that the code does to the outside without a result, numbered per chapter and attempt from 1.

    set: publish `payload` under `name`. cancel: cancel run `target` (a child). send: event `name` to run `target`, where
    a second one with the same `reference_id` is ignored, whoever sends it.
    """

    number: int
    kind: Literal["set", "cancel", "send"]
    name: str = ""
    payload: Raw = EMPTY
    target: str | None = None
    reason: str | None = None
    reference_id: str | None = None


class Outcome(StrEnum):
    """How a commit leaves the run. `paused`: as it was asked, though its code could go on."""

    RUNNING = "running"
    SUSPENDED = "suspended"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    CONTINUED = "continued"
    PAUSED = "paused"
    STALLED = "stalled"


class Commit(Message, frozen=True):
    """One turn of a run, made durable. Frozen when first sent: repeated, it is sent unchanged.

    Attributes:
        epoch, turn: turns count from 1 within an epoch; exactly the next one is applied.
        at_ms: the run's logical time after the deliveries.
        entries: the deliveries in order, from the run's `seq` + 1 on.
        opened, closed: the waits since the last commit (those that an entry settled are in `closed` too).
        replace_waits: `opened` is the whole set; what is stored is replaced (the first commit after a replay).
        waits, deadline_ms, waits_for: count, earliest deadline and oldest kind of the open waits after this commit.
        read: numbers of messages read that no entry names (a wake that ended two sleeps, a settled race, and wakes
            that were not delivered by the suspension that this commit is).
        last_mail: the number up to which the worker has the run's mail.
        failed_seq: the entry whose error escaped (outcome failed), None if none did.
        input, input_hash: of the next chapter (outcome continued).
        why: for people, of a stall.
        parks: the worker keeps the coroutine.
    """

    run_id: str
    epoch: int
    turn: int
    outcome: Outcome
    at_ms: int
    entries: tuple[Entry, ...] = ()
    opened: tuple[Wait, ...] = ()
    closed: tuple[CallKey, ...] = ()
    replace_waits: bool = False
    waits: int = 0
    deadline_ms: int | None = None
    waits_for: str | None = None
    read: tuple[int, ...] = ()
    last_mail: int = 0
    children: tuple[ChildStart, ...] = ()
    effects: tuple[Effect, ...] = ()
    output: Raw = EMPTY
    error: Failure | None = None
    failed_seq: int | None = None
    input: Raw = EMPTY
    input_hash: str = ""
    why: str | None = None
    stall_reason: Literal["diverged", "waits_for_nothing"] | None = None
    parks: bool = False


class Verdict(StrEnum):
    """What became of a commit: applied (now or by an earlier copy), fenced off, or refused for good (stalled)."""

    APPLIED = "applied"
    FENCED = "fenced"
    REFUSED = "refused"


class CommitAnswer(Message, frozen=True):
    """The answer to one commit.

    Attributes:
        status: where the run stands now. `running` after a commit that would suspend means: go on under the same
            claim, here is why (mail, or a deadline that has passed by `now_ms`).
        mail: unread messages after the commit's `last_mail`.
        children: one for each child that the commit started.
    """

    run_id: str
    epoch: int
    turn: int
    verdict: Verdict
    now_ms: int
    status: Status | None = None
    mail: tuple[Mail, ...] = ()
    last_mail: int = 0
    children: tuple[ChildStarted, ...] = ()
    problem: Problem | None = None


class HandBack(Message, frozen=True):
    """Give up claims: the runs go back to the queue at once, and it counts as no crash."""

    session_id: str
    runs: tuple[Held, ...]


class Goodbye(Message, frozen=True):
    """The session ends; what it still holds goes back."""

    session_id: str
