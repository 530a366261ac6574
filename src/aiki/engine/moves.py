"""How a run changes its status, and when the clock looks at it next.

The rule: every change of status goes through `move`, which refuses what the table `MOVES` does not know, writes the
history and sets the run's one alarm. The alarm follows from the row alone, and the earliest candidate wins:

    scheduled                   its start · its timeout
    queued                      its timeout
    suspended                   the earliest deadline of its open waits · its timeout
    running                     the grace of a delivered cancellation, else its timeout
    paused, stalled             none: they stand with a person
    ended                       an unfinished cascade

A requested cancellation silences the timeout: a later request changes nothing.
"""

from typing import Final, assert_never

from msgspec.structs import replace

from aiki.model.journal import EntryKind
from aiki.model.lifecycle import SUSPENDED, TERMINAL, Reason, Status, can_move
from aiki.model.run import Cascade, RunRow
from aiki.model.working_set import History, WorkingSet

__all__ = [
    "NOT_CLAIMED",
    "SUSPENDED_FOR",
    "WHY_CHARS_MAX",
    "alarm_of",
    "awaits_own_retry",
    "is_begun",
    "lift_pause",
    "move",
    "queue_up",
    "release",
]

SUSPENDED_FOR: Final = {  # the kind of the oldest open wait names the status
    EntryKind.SLEEP: Status.SLEEPING,
    EntryKind.TIMER: Status.SLEEPING,
    EntryKind.EVENT: Status.AWAITING_EVENT,
    EntryKind.CHILD_RESULT: Status.AWAITING_CHILD,
    EntryKind.TASK: Status.AWAITING_RETRY,
}
WHY_CHARS_MAX: Final = 500  # of what is said about where a run stands
NOT_CLAIMED: Final = 0  # `claimed_poll` of a run that nobody has claimed in this attempt; polls count from 1


def is_begun(row: RunRow) -> bool:
    """Whether code of this attempt may have run: a worker has claimed it at some time."""
    return row.claimed_poll != NOT_CLAIMED


def awaits_own_retry(row: RunRow) -> bool:
    """Whether it waits for the next attempt of the whole run, not of a task: then it has no open wait."""
    return row.status is Status.AWAITING_RETRY and row.waits == 0


def alarm_of(row: RunRow, *, now_ms: int, grace_ms: int) -> int | None:
    """Return when the clock has to look at a run that has just come to its status, or None for never."""
    timeout_at_ms = None if row.cancel is not None else row.timeout_at_ms
    match row.status:
        case Status.SCHEDULED:
            return _earliest(row.due_at_ms, timeout_at_ms)
        case Status.QUEUED:
            return timeout_at_ms
        case Status.SLEEPING | Status.AWAITING_EVENT | Status.AWAITING_CHILD | Status.AWAITING_RETRY:
            return _earliest(row.deadline_ms, timeout_at_ms)
        case Status.RUNNING:
            return now_ms + grace_ms if row.cancel_delivered else timeout_at_ms
        case Status.PAUSED | Status.STALLED:
            return None
        case Status.COMPLETED | Status.FAILED | Status.CANCELLED:
            return None if row.cascade is Cascade.NONE else now_ms
        case _:
            assert_never(row.status)


def move(ws: WorkingSet, row: RunRow, status: Status, reason: Reason, *, note: str | None = None) -> RunRow:
    """Move a run; `row` is its row with all else that changes at the same time.

    An unanswered pause request is answered by any move: the run becomes paused where it would become queued or
    suspended; where it ends, or stalls, it stands with nobody, or with a person already.

    Raises:
        RuntimeError: the table knows no such move.
    """
    old = row.status
    if row.pause_mail is not None:
        asked = ws.runs[row.id].why  # as `pause` left it there
        row = replace(lift_pause(ws, row), why=row.why)
        if status is Status.QUEUED or status in SUSPENDED:
            status, reason, note = Status.PAUSED, Reason.PAUSED, asked or note or str(reason)
            row = replace(row, why=row.why or asked)
    if not can_move(old, status, reason):
        final = ": that is final" if old in TERMINAL else ""
        raise RuntimeError(f"run {row.id} is {old} and cannot become {status} ({reason}){final}")
    if old is Status.RUNNING:
        ws.claims.pop(row.id, None)  # it ended within the batch that made it
    row = replace(row, status=status)
    row = ws.put_run(replace(row, alarm_at_ms=alarm_of(row, now_ms=ws.now_ms, grace_ms=ws.cancel_grace_ms)))
    worker = ws.sessions[row.session_id].worker if status is Status.RUNNING and row.session_id is not None else None
    ws.history.append(History(row.id, ws.now_ms, old, status, reason, note, row.chapter, row.attempt, worker))
    return row


def lift_pause(ws: WorkingSet, row: RunRow) -> RunRow:
    """Return a row without its unanswered pause request, if there is one; the request is read, and its reason gone."""
    if row.pause_mail is None:
        return row
    ws.read(row.id, [row.pause_mail])
    return replace(row, pause_mail=None, why=None)


def queue_up(ws: WorkingSet, row: RunRow, reason: Reason) -> RunRow:
    """Make a run ready for the next worker, from now on."""
    return move(ws, replace(row, due_at_ms=ws.now_ms, why=None), Status.QUEUED, reason)


def release(ws: WorkingSet, row: RunRow, *, tell: bool) -> RunRow:
    """Return a row without its claim, ended by another than its owner: the epoch goes up, which is the fence.

    `tell`: the owner is alive and is to hear of it.
    """
    if row.session_id is None:
        return row
    session = ws.sessions.get(row.session_id)
    if session is not None and session.suspect_run_id == row.id:
        ws.put_session(replace(session, suspect_run_id=None))
    if tell:
        ws.released.append((row.session_id, row.id, row.epoch))
    return replace(row, session_id=None, parked_on=None, epoch=row.epoch + 1)


def _earliest(*candidates_ms: int | None) -> int | None:
    return min((moment_ms for moment_ms in candidates_ms if moment_ms is not None), default=None)
