"""What happens because time has passed.

The rule: an alarm is a reason to look, never a fact. The clock names a run whose alarm seemed due; here it is judged
again, by the row as it is now, and a run that has no due reason is left as it is. Where more than one thing is due, the
run's own timeout counts first: it silences the others.
"""

from typing import assert_never

from msgspec.structs import replace

from aiki.engine.ending import end_cancelled, end_timed_out
from aiki.engine.moves import alarm_of, awaits_own_retry, is_begun, move, queue_up, release
from aiki.engine.requests import request_cancel
from aiki.model.ids import derived_id
from aiki.model.lifecycle import Reason, Status
from aiki.model.run import CancelKind, Cascade, RunRow
from aiki.model.wire import Standing
from aiki.model.working_set import CASCADE_ROWS, WorkingSet

__all__ = ["ring", "stall_undelivered"]

TIMED_OUT = "the run did not finish within its timeout"
UNDELIVERED = (
    "no worker has taken it within {hours:g} hours: start one that serves {workflow} {version}, or has room for more, and"
    " requeue the run"
)
MS_PER_HOUR = 3_600_000
PARENT_ENDED = "its parent {parent_id} is {status}"


def ring(ws: WorkingSet, run_id: str) -> Standing:
    """Judge a run whose alarm may be due."""
    row = ws.runs.get(run_id)
    if row is None:
        return Standing(run_id)
    if row.alarm_at_ms is None or row.alarm_at_ms > ws.now_ms:
        return Standing(run_id, row.status)
    match row.status:
        case Status.COMPLETED | Status.FAILED | Status.CANCELLED:
            _cascade(ws, row)
        case Status.RUNNING if row.cancel_delivered:
            end_cancelled(ws, release(ws, row, tell=True), Reason.GRACE_OVER)
        case Status.SCHEDULED | Status.QUEUED | Status.RUNNING:
            _due(ws, row)
        case Status.SLEEPING | Status.AWAITING_EVENT | Status.AWAITING_CHILD | Status.AWAITING_RETRY:
            _due(ws, row)
        case Status.PAUSED | Status.STALLED:
            ws.put_run(replace(row, alarm_at_ms=None))
        case _:
            assert_never(row.status)
    return Standing(run_id, ws.runs[run_id].status, changed=True)


def stall_undelivered(ws: WorkingSet, run_id: str, *, undelivered_ms: int) -> Standing:
    """Stall a run that no worker has taken for too long; one that is to be cancelled ends instead."""
    row = ws.runs.get(run_id)
    if row is None or row.status is not Status.QUEUED or (row.due_at_ms or 0) + undelivered_ms > ws.now_ms:
        return Standing(run_id, None if row is None else row.status)
    if row.cancel is not None:  # stalled, it would be cancelled at once
        row = end_cancelled(ws, row)
    else:
        hours = undelivered_ms / MS_PER_HOUR
        why = UNDELIVERED.format(hours=hours, workflow=row.workflow, version=row.version)
        row = move(ws, replace(row, due_at_ms=None, parked_on=None, why=why), Status.STALLED, Reason.UNDELIVERED)
    return Standing(run_id, row.status, changed=True)


def _due(ws: WorkingSet, row: RunRow) -> None:
    now_ms = ws.now_ms
    if row.cancel is None and row.timeout_at_ms is not None and row.timeout_at_ms <= now_ms:
        _strike(ws, row)
        return
    due_at_ms = row.due_at_ms if row.status is Status.SCHEDULED else row.deadline_ms
    if row.status not in (Status.QUEUED, Status.RUNNING) and due_at_ms is not None and due_at_ms <= now_ms:
        if awaits_own_retry(row):
            row = replace(row, deadline_ms=None)
        queue_up(ws, row, Reason.DUE)
        return
    ws.put_run(replace(row, alarm_at_ms=alarm_of(row, now_ms=now_ms, grace_ms=ws.cancel_grace_ms)))


def _strike(ws: WorkingSet, row: RunRow) -> None:
    """Let a run's timeout strike: a cancellation that ends as failed, or the failure at once where no code is begun."""
    begun = row.status is not Status.SCHEDULED and is_begun(row) and not awaits_own_retry(row)
    if not begun:
        end_timed_out(ws, replace(row, cancel=CancelKind.TIMEOUT, cancel_reason=TIMED_OUT))
        return
    message_id = derived_id("timeout", row.id, row.chapter, row.attempt)
    request_cancel(ws, row, CancelKind.TIMEOUT, reason=TIMED_OUT, message_id=message_id)


def _cascade(ws: WorkingSet, row: RunRow) -> None:
    """Ask a bounded number of children to cancel, and let the alarm stand while there may be more."""
    if row.cascade is Cascade.NONE:
        ws.put_run(replace(row, alarm_at_ms=None))
        return
    children = ws.cascading.get(row.id)
    if children is None:  # it ended within this batch, and nobody has looked for them yet: the alarm stands
        return
    reason = PARENT_ENDED.format(parent_id=row.id, status=row.status)
    for child_id in children:
        child = ws.runs.get(child_id)
        if child is not None:
            message_id = derived_id("cascade", row.id, row.attempt, child_id, child.attempt)  # each may be tried again
            request_cancel(ws, child, CancelKind.PARENT, reason=reason, message_id=message_id)
    if len(children) < CASCADE_ROWS:
        ws.put_run(replace(row, cascade=Cascade.NONE, alarm_at_ms=None))
    else:
        ws.put_run(replace(row, alarm_at_ms=ws.now_ms))
