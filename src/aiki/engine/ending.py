"""How a run ends, and who hears of it.

A finished run is a fact: in the transaction that ends it, its result is put into the inbox of every run that waits for
it, whatever its terminal status; the waiter decides what that means. A later wait on it settles at once.

The rule: whatever ends a run goes through `finish`. Children are not touched there: a run that may have some leaves a
cascade behind, which its alarm drives, a bounded number a transaction, until no child is left to be told.
"""

from msgspec.structs import replace

from aiki.engine import problems
from aiki.engine.inbox import put_result
from aiki.engine.moves import WHY_CHARS_MAX, move
from aiki.model.lifecycle import Reason, Status
from aiki.model.run import CancelKind, Cascade, RunEnd, RunRow
from aiki.model.working_set import WorkingSet

__all__ = ["end_cancelled", "end_timed_out", "finish"]


def finish(ws: WorkingSet, row: RunRow, reason: Reason, *, end: RunEnd) -> RunRow:
    """End a run for good: settle who waits for it, close what it waits for, and leave a cascade for its children."""
    if row.waits:
        ws.clear_waits(row.id)
    row = replace(
        row,
        session_id=None,
        parked_on=None,
        waits=0,
        deadline_ms=None,
        due_at_ms=None,
        finished_at_ms=ws.now_ms,
        cascade=_cascade(row, end.status),
        why=end.error.message[:WHY_CHARS_MAX] or None if end.error is not None else None,
    )
    row = move(ws, row, end.status, reason)
    ws.end_run(row.id, end)
    for waiter in ws.waiters.pop(row.id, []):
        ws.settle_waiter(waiter)
        put_result(ws, waiter, end)
    return row


def end_cancelled(ws: WorkingSet, row: RunRow, reason: Reason = Reason.CANCELLED) -> RunRow:
    """End a run that was asked to cancel: `cancelled`, or `failed` where it was its own timeout that asked."""
    if row.cancel is CancelKind.TIMEOUT and reason is not Reason.TERMINATED:
        return end_timed_out(ws, row)
    return finish(ws, row, reason, end=RunEnd(Status.CANCELLED, error=problems.cancelled(row.cancel_reason)))


def end_timed_out(ws: WorkingSet, row: RunRow) -> RunRow:
    """End a run whose time is over."""
    return finish(ws, row, Reason.TIMED_OUT, end=RunEnd(Status.FAILED, error=problems.timed_out(row)))


def _cascade(row: RunRow, status: Status) -> Cascade:
    """A cancelled run cancels all its children, one that timed out too; any other those that were told to follow."""
    if not row.has_children:
        return Cascade.NONE
    if status is Status.CANCELLED or (status is Status.FAILED and row.cancel is not None):
        return Cascade.ALL
    return Cascade.FOLLOWING
