"""The statuses of a run and every move between them, as one table.

The rule: nothing changes a status but along `MOVES`; the engine checks each move here, and docs and tests are made
from the same literal.

    scheduled ─▶ queued ─▶ running ─▶ completed · failed · cancelled
                  ▲  ▲        │ ▲
                  │  │        ▼ │ (handed over at once when a worker waits)
                  │  └─ sleeping · awaiting_event · awaiting_child · awaiting_retry
                  └──── stalled (needs a person or a deploy) · paused (held by a person)
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

__all__ = ["MEANINGS", "MOVES", "OPEN", "SUSPENDED", "TERMINAL", "Reason", "Status", "can_move"]


class Status(StrEnum):
    """Where a run stands."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    SLEEPING = "sleeping"
    AWAITING_EVENT = "awaiting_event"
    AWAITING_CHILD = "awaiting_child"
    AWAITING_RETRY = "awaiting_retry"
    PAUSED = "paused"
    STALLED = "stalled"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Reason(StrEnum):
    """Why a run moved; recorded in its history."""

    STARTED = "started"
    DUE = "due"
    CLAIMED = "claimed"
    SUSPENDED = "suspended"
    MESSAGE = "message"
    WOKEN = "woken"
    RETURNED = "returned"
    RAISED = "raised"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"
    GRACE_OVER = "grace_over"
    TIMED_OUT = "timed_out"
    RETRY = "retry"
    HANDED_BACK = "handed_back"
    WORKER_LOST = "worker_lost"
    CRASHED = "crashed"
    DIVERGED = "diverged"
    WAITS_FOR_NOTHING = "waits_for_nothing"
    REFUSED = "refused"
    UNDELIVERED = "undelivered"
    REQUEUED = "requeued"
    PAUSED = "paused"
    RESUMED = "resumed"


SUSPENDED: Final = frozenset({Status.SLEEPING, Status.AWAITING_EVENT, Status.AWAITING_CHILD, Status.AWAITING_RETRY})
TERMINAL: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})  # only `retry` leaves failed
OPEN: Final = frozenset(Status) - TERMINAL

_CANCELS: Final = frozenset({Reason.CANCELLED, Reason.TERMINATED})
_RELEASED: Final = frozenset({Reason.HANDED_BACK, Reason.WORKER_LOST})
_STALLS: Final = frozenset({Reason.CRASHED, Reason.DIVERGED, Reason.WAITS_FOR_NOTHING, Reason.REFUSED})
_TIMEOUT: Final = frozenset({Reason.TIMED_OUT})
_PAUSE: Final = frozenset({Reason.PAUSED})
_READY: Final = frozenset({Reason.DUE, Reason.MESSAGE, Reason.WOKEN})

_FROM_SUSPENDED: Final[Mapping[Status, frozenset[Reason]]] = {  # its code is asked first, whoever wants an end
    Status.QUEUED: _READY,
    Status.RUNNING: frozenset({Reason.CLAIMED}),
    Status.PAUSED: _PAUSE,
    Status.CANCELLED: frozenset({Reason.TERMINATED}),
}

MOVES: Final[Mapping[Status, Mapping[Status, frozenset[Reason]]]] = {
    Status.SCHEDULED: {
        Status.QUEUED: frozenset({Reason.DUE, Reason.WOKEN}),
        Status.RUNNING: frozenset({Reason.CLAIMED}),
        Status.PAUSED: _PAUSE,
        Status.CANCELLED: _CANCELS,
        Status.FAILED: _TIMEOUT,
    },
    Status.QUEUED: {
        Status.RUNNING: frozenset({Reason.CLAIMED}),
        Status.PAUSED: _PAUSE,
        Status.STALLED: frozenset({Reason.UNDELIVERED}),
        Status.CANCELLED: _CANCELS,
        Status.FAILED: _TIMEOUT,
    },
    Status.RUNNING: {
        Status.COMPLETED: frozenset({Reason.RETURNED}),
        Status.FAILED: frozenset({Reason.RAISED, Reason.TIMED_OUT}),
        Status.CANCELLED: _CANCELS | {Reason.GRACE_OVER},
        Status.PAUSED: _PAUSE,
        Status.SLEEPING: frozenset({Reason.SUSPENDED}),
        Status.AWAITING_EVENT: frozenset({Reason.SUSPENDED}),
        Status.AWAITING_CHILD: frozenset({Reason.SUSPENDED}),
        Status.AWAITING_RETRY: frozenset({Reason.SUSPENDED, Reason.RETRY}),
        Status.QUEUED: _RELEASED,
        Status.STALLED: _STALLS,
    },
    Status.SLEEPING: _FROM_SUSPENDED,
    Status.AWAITING_EVENT: _FROM_SUSPENDED,
    Status.AWAITING_CHILD: _FROM_SUSPENDED,
    Status.AWAITING_RETRY: {  # between two attempts of the whole run there is no code to ask
        **_FROM_SUSPENDED,
        Status.CANCELLED: _CANCELS,
        Status.FAILED: _TIMEOUT,
    },
    Status.PAUSED: {
        Status.SCHEDULED: frozenset({Reason.RESUMED}),
        Status.QUEUED: frozenset({Reason.RESUMED}),
        Status.SLEEPING: frozenset({Reason.RESUMED}),
        Status.AWAITING_EVENT: frozenset({Reason.RESUMED}),
        Status.AWAITING_CHILD: frozenset({Reason.RESUMED}),
        Status.AWAITING_RETRY: frozenset({Reason.RESUMED}),
        Status.CANCELLED: _CANCELS,
    },
    Status.STALLED: {
        Status.QUEUED: frozenset({Reason.REQUEUED}),
        Status.CANCELLED: _CANCELS,
    },
    Status.COMPLETED: {},
    Status.FAILED: {Status.QUEUED: frozenset({Reason.RETRY})},
    Status.CANCELLED: {},
}

MEANINGS: Final[Mapping[Status, str]] = {
    Status.SCHEDULED: "It starts later: `start_at` or `delay`.",
    Status.QUEUED: "It is ready, and no worker has it yet.",
    Status.RUNNING: "A worker has it.",
    Status.SLEEPING: "It sleeps. A suspended run is named after the wait that it has had open for longest.",
    Status.AWAITING_EVENT: "It waits for an event.",
    Status.AWAITING_CHILD: "It waits for a child.",
    Status.AWAITING_RETRY: "It waits for the next attempt of a task, or of itself.",
    Status.PAUSED: "A person holds it; `resume` lets it go on.",
    Status.STALLED: "It needs a person or a deploy, and says why. Nothing is lost; `requeue` lets it go on.",
    Status.COMPLETED: "It has returned a result.",
    Status.FAILED: "An error came out of it, or its time was over. `retry` lets it go on.",
    Status.CANCELLED: "It was cancelled or terminated.",
}


def can_move(old: Status, new: Status, reason: Reason) -> bool:
    """Return whether a run may move from `old` to `new` for `reason`.

    >>> can_move(Status.SLEEPING, Status.QUEUED, Reason.DUE)
    True
    >>> can_move(Status.COMPLETED, Status.RUNNING, Reason.CLAIMED)
    False
    """
    return reason in MOVES[old].get(new, frozenset())
