"""What people and other runs ask of a run: events, cancel, terminate, wake, requeue, retry; pausing has a page of its own.

The rule: each is idempotent under repetition. What is for the code goes into the inbox and is delivered by its owner;
only what no code has to see is done here and now: the end of a run that has no code to ask, by cancellation, and of
any run, by termination.
"""

from typing import assert_never

from msgspec.structs import replace

from aiki.engine import problems
from aiki.engine.ending import end_cancelled
from aiki.engine.inbox import control, has_wait, put, put_read
from aiki.engine.moves import awaits_own_retry, is_begun, lift_pause, queue_up, release
from aiki.engine.pausing import pause, resume
from aiki.engine.retrying import retry_failed
from aiki.model.journal import EntryKind, Mail, MailKind
from aiki.model.lifecycle import Reason, Status
from aiki.model.run import CancelKind, RunRow
from aiki.model.wire import Control, SendEvent, Standing
from aiki.model.working_set import WorkingSet

__all__ = ["ask", "request_cancel", "send"]


def send(ws: WorkingSet, event: SendEvent) -> Standing:
    """Put an event into a run's inbox, once for each message id; a run that has ended takes none."""
    row = _found(ws, event.namespace, event.run_id)
    if row is None:
        return _unknown(event.run_id)
    if (row.id, event.message_id) in ws.messages:
        return Standing(row.id, row.status, changed=True, repeated=True)
    if row.is_terminal:
        return Standing(row.id, row.status, problem=problems.run_ended(row))
    mail = Mail(0, event.message_id, MailKind.EVENT, at_ms=0, name=event.name, payload=event.payload)
    awaited = has_wait(ws, row.id, EntryKind.EVENT, address=event.name)
    return _standing(put(ws, row, mail, concerns=awaited), changed=True)


def ask(ws: WorkingSet, request: Control) -> Standing:
    """Do what a person asks, or answer that nothing was there to do."""
    row = _found(ws, request.namespace, request.run_id)
    if row is None:
        return _unknown(request.run_id)
    match request.verb:
        case "cancel":
            if (row.id, request.message_id) in ws.messages:  # a retry may have voided it: a copy asks no second time
                return _standing(row, changed=True)
            changed = request_cancel(ws, row, CancelKind.PERSON, reason=request.reason, message_id=request.message_id)
            return _standing(ws.runs[row.id], changed=changed)
        case "terminate":
            return _terminate(ws, row, request)
        case "wake":
            return _wake(ws, row, request)
        case "pause" | "resume" | "requeue" | "retry":
            return _control(ws, row, request)
        case _:
            assert_never(request.verb)


def request_cancel(ws: WorkingSet, row: RunRow, kind: CancelKind, *, reason: str | None, message_id: str) -> bool:
    """Ask a run to cancel, by whomever, and return whether that changed anything.

    Where there is no code that could be asked (not begun, stalled, waiting for the next attempt of the whole run), it
    ends at once. Otherwise the first request is the one that is delivered, once in each attempt.
    """
    if row.is_terminal:
        return False
    if _has_no_code(row):
        row = put_read(ws, row, control("cancel", message_id, reason))
        if row.cancel is None or row.status is Status.STALLED:  # what had asked before it stalled came to nothing
            row = replace(row, cancel=kind, cancel_reason=reason)
        end_cancelled(ws, row)
        return True
    if row.cancel is not None:
        return False
    row = replace(lift_pause(ws, row), cancel=kind, cancel_reason=reason)
    if row.status in (Status.RUNNING, Status.QUEUED):
        row = replace(row, alarm_at_ms=None)  # the timeout is silenced; the grace begins with the delivery
    if row.status is Status.PAUSED:
        row = queue_up(ws, row, Reason.RESUMED)
    timed_out = kind is CancelKind.TIMEOUT
    mail = Mail(0, message_id, MailKind.CANCEL, at_ms=0, reason=reason, timed_out=timed_out)
    put(ws, row, mail, concerns=True)
    return True


def _has_no_code(row: RunRow) -> bool:
    match row.status:
        case Status.SCHEDULED | Status.STALLED:
            return True
        case Status.QUEUED | Status.PAUSED:
            return not is_begun(row)
        case _:
            return awaits_own_retry(row)


def _terminate(ws: WorkingSet, row: RunRow, request: Control) -> Standing:
    """End a run for good, whatever it does; its owner is fenced off and told."""
    if (row.id, request.message_id) in ws.messages:
        return _standing(row, changed=True)
    if row.is_terminal:
        return _standing(row, changed=False)
    row = release(ws, put_read(ws, row, control("terminate", request.message_id, request.reason)), tell=True)
    row = replace(row, cancel=CancelKind.PERSON, cancel_reason=request.reason)
    return _standing(end_cancelled(ws, row, Reason.TERMINATED), changed=True)


def _wake(ws: WorkingSet, row: RunRow, request: Control) -> Standing:
    """End what sleeps now, or start now what was to start later, be it the first attempt or the next.

    Of an owned run the owner alone knows whether it sleeps: it gets the message, and discards what it has not
    delivered by the next suspension.
    """
    if (row.id, request.message_id) in ws.messages:
        return _standing(row, changed=True)
    if row.status is Status.SCHEDULED or awaits_own_retry(row):
        row = put_read(ws, row, control("wake", request.message_id))  # a copy must not end the first sleep of its code
        return _standing(queue_up(ws, replace(row, deadline_ms=None), Reason.WOKEN), changed=True)
    sleeps = has_wait(ws, row.id, EntryKind.SLEEP) and (row.is_suspended or row.status is Status.QUEUED)
    if row.status is not Status.RUNNING and not sleeps:
        return _standing(row, changed=False)
    mail = Mail(0, request.message_id, MailKind.WAKE, at_ms=0)
    return _standing(put(ws, row, mail, concerns=True, reason=Reason.WOKEN), changed=True)


def _control(ws: WorkingSet, row: RunRow, request: Control) -> Standing:
    """Do what changes where a run stands, once for each message id: repeated after a lost answer, it is one request."""
    if (row.id, request.message_id) in ws.messages:
        return _standing(row, changed=True)
    changed: bool
    match request.verb:
        case "pause":
            changed = pause(ws, row, reason=request.reason, message_id=request.message_id)
        case "resume":
            changed = resume(ws, row, message_id=request.message_id)
        case "requeue" if row.status is Status.STALLED:
            row = put_read(ws, row, control(request.verb, request.message_id))
            queue_up(ws, replace(row, crashes=0), Reason.REQUEUED)  # what it waited for and what came is as it was
            changed = True
        case "retry" if row.status is Status.FAILED:
            retry_failed(ws, put_read(ws, row, control(request.verb, request.message_id)))
            changed = True
        case _:
            changed = False
    return _standing(ws.runs[row.id], changed=changed)


def _found(ws: WorkingSet, namespace: str, run_id: str) -> RunRow | None:
    row = ws.runs.get(run_id)
    return row if row is not None and row.namespace == namespace else None


def _unknown(run_id: str) -> Standing:
    return Standing(run_id, problem=problems.run_not_found(run_id))


def _standing(row: RunRow, *, changed: bool) -> Standing:
    return Standing(row.id, row.status, changed=changed)
