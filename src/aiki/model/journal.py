"""What a run has done (journal), what it waits for (waits), and what was sent to it (inbox).

The rule: an entry, once applied, never changes within its attempt; `seq` is the order in which things were delivered
to the code. Payloads are canonical JSON text that nobody here reads.
"""

from enum import StrEnum
from typing import Final

from msgspec import Raw, Struct

from aiki.model.lifecycle import Status

__all__ = ["EMPTY", "CallKey", "Entry", "EntryKind", "Failure", "Mail", "MailKind", "Tried", "Wait"]

EMPTY: Final = Raw()  # "no payload"; JSON null is Raw(b"null")


class EntryKind(StrEnum):
    """What was delivered to the code. A wait is for one of the same kinds (all but child and cancel)."""

    TASK = "task"
    CHILD = "child"
    CHILD_RESULT = "child_result"
    SLEEP = "sleep"
    TIMER = "timer"
    EVENT = "event"
    CANCEL = "cancel"


class Failure(Struct, frozen=True, omit_defaults=True):
    """An error as data, at most 16 KiB of it.

    `type` is the exception's module and name; `lineage` are those of its class and the classes that it derives from;
    `code` is an Aiki error's code; `cause` what it was raised from.
    """

    type: str
    message: str
    code: str | None = None
    details: Raw = EMPTY
    traceback: str | None = None
    lineage: tuple[str, ...] = ()
    cause: "Failure | None" = None


class Tried(Struct, frozen=True, omit_defaults=True):
    """An attempt of a task that was not its only one, for people: which, when, and what it raised in one line."""

    attempt: int
    started_at_ms: int
    finished_at_ms: int
    error: str = ""


class CallKey(Struct, frozen=True, order=True):
    """The name under which a durable call is found again: never its position.

    Attributes:
        kind: of the call.
        address: what was asked for (2-engine.md, "The journal"); `""` for a cancel.
        ordinal: how many calls of that kind and address the code made before, from 0.
    """

    kind: EntryKind
    address: str
    ordinal: int = 0


class Entry(Struct, frozen=True, omit_defaults=True):
    """One delivery to the code.

    Attributes:
        seq: its place in the order of deliveries; the first is 1.
        key: the call that it answers.
        asked: the highest `seq` delivered to the code before the call was made.
        at_ms: the run's logical time at the delivery.
        mail: the number of the message that it took, 0 for none.
        result: a task's result, an event's payload, a child's output.
        error: of a task after its last attempt; of a child that failed; a child's refusal (kind child).
        status: of a finished child (kind child_result).
        child_id: of a started child (kind child), with the version that it runs on, `child_version`.
        timed_out: an event or a child's result did not come in time.
        woken: a sleep was ended by `wake`.
        duration_ms: of a sleep, as it was asked for; with `deadline_ms` it tells what is left when it is lengthened.
        deadline_ms: when the wait was due.
        attempts: how many attempts a task took, with the times of first start and last end.
        tries: of a task that took more than one, these: the first, and the last ones.
        label: the call as people would write it, cut short: `charge-card(amount=12)`.
        where: file and line of the call, where known.
    """

    seq: int
    key: CallKey
    asked: int
    at_ms: int
    mail: int = 0
    result: Raw = EMPTY
    error: Failure | None = None
    status: Status | None = None
    child_id: str | None = None
    child_version: str | None = None
    timed_out: bool = False
    woken: bool = False
    duration_ms: int | None = None
    deadline_ms: int | None = None
    attempts: int = 0
    tries: tuple[Tried, ...] = ()
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    reason: str | None = None
    label: str = ""
    where: str | None = None


class Wait(Struct, frozen=True, omit_defaults=True):
    """An open wait: what a suspended run is suspended for.

    Attributes:
        key: the call that waits.
        asked: as in `Entry`.
        order: rises with the order in which the waits were opened; the oldest names the run's status, and an event
            goes to the oldest wait for its name.
        deadline_ms: when it is over by itself; None for never. A task's is when its next attempt is due.
        duration_ms: of a sleep, as it was asked for; of another wait, its timeout.
        attempt: of a task between attempts, the last one made; `error` is what that one raised, and `tries` are as in
            `Entry`.
    """

    key: CallKey
    asked: int
    order: int
    deadline_ms: int | None = None
    duration_ms: int | None = None
    attempt: int = 0
    error: Failure | None = None
    tries: tuple[Tried, ...] = ()
    label: str = ""
    where: str | None = None


class MailKind(StrEnum):
    """What can be sent to a run."""

    EVENT = "event"
    CHILD_RESULT = "child_result"
    CANCEL = "cancel"
    WAKE = "wake"
    CONTROL = "control"


class Mail(Struct, frozen=True, omit_defaults=True):
    """A message in a run's inbox.

    Attributes:
        number: its place in the inbox, given under the run's lock; the first is 1.
        id: made by its sender; repeated, it is one message.
        kind: what it is.
        at_ms: when the server took it.
        name: the event's name; the finished child's run id; what a control asks (pause, resume, requeue, retry).
        ordinal: of the wait that a child's result answers.
        payload: the event's, or the child's output.
        status, error: of a finished child.
        reason: why it was cancelled; `timed_out` if by the run's timeout.
    """

    number: int
    id: str
    kind: MailKind
    at_ms: int
    name: str = ""
    ordinal: int = 0
    payload: Raw = EMPTY
    status: Status | None = None
    error: Failure | None = None
    reason: str | None = None
    timed_out: bool = False
