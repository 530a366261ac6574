"""How a run is held by a person, and let go.

The rule: a run that nobody owns is held at once; one that is owned has a request in its inbox until its owner stops, or
until it would become queued or suspended anyway (`moves.move`). Nothing rings for a paused run, and nothing is lost:
messages lie in its inbox, and its deadlines stand. The reason stands in its history, and until then in the row's `why`. Let go, it is what it was, or queued where something has come for it
or is due meanwhile. A cancellation lifts a pause; what is to be cancelled is not paused any more.
"""

from msgspec.structs import replace

from aiki.engine.inbox import concerns, control, put, put_read
from aiki.engine.moves import SUSPENDED_FOR, WHY_CHARS_MAX, awaits_own_retry, lift_pause, move, queue_up
from aiki.model.journal import Wait
from aiki.model.lifecycle import Reason, Status
from aiki.model.run import RunRow
from aiki.model.working_set import MAIL_ROWS, WorkingSet

__all__ = ["pause", "resume"]


def pause(ws: WorkingSet, row: RunRow, *, reason: str | None, message_id: str) -> bool:
    """Hold a run, or ask its owner to stop; return whether that changed anything."""
    if row.cancel is not None or row.pause_mail is not None or row.is_terminal:
        return False
    request = control("pause", message_id, reason)
    why = reason[:WHY_CHARS_MAX] if reason else None
    match row.status:
        case Status.RUNNING:
            row = put(ws, row, request, concerns=False)
            ws.put_run(replace(row, pause_mail=row.mail, why=why))
        case Status.PAUSED | Status.STALLED:
            return False
        case _:
            row = put_read(ws, row, request)
            if not awaits_own_retry(row):  # there it says why the last attempt failed, and will again
                row = replace(row, why=why)
            move(ws, row, Status.PAUSED, Reason.PAUSED, note=why)
    return True


def resume(ws: WorkingSet, row: RunRow, *, message_id: str) -> bool:
    """Let a paused run go, or lift what its owner has not answered yet; return whether that changed anything."""
    request = control("resume", message_id)
    if row.pause_mail is not None:
        put(ws, lift_pause(ws, row), request, concerns=False)
        return True
    if row.status is not Status.PAUSED:
        return False
    row = put_read(ws, row, request)
    status = _before(ws, row)
    if status is Status.QUEUED:
        queue_up(ws, row if row.waits else replace(row, deadline_ms=None), Reason.RESUMED)
    else:
        is_own_retry = status is Status.AWAITING_RETRY and row.waits == 0
        move(ws, row if is_own_retry else replace(row, why=None), status, Reason.RESUMED)
    return True


def _before(ws: WorkingSet, row: RunRow) -> Status:
    """Return what a paused run becomes: what it was, but queued if its time has come or something lies there for it."""
    if row.due_at_ms is not None:
        return Status.SCHEDULED if row.due_at_ms > ws.now_ms else Status.QUEUED
    if row.deadline_ms is not None and row.deadline_ms <= ws.now_ms:
        return Status.QUEUED
    if row.waits == 0:
        return Status.AWAITING_RETRY
    waits: list[Wait] = [wait for kind in SUSPENDED_FOR for wait in ws.waits[row.id, kind, ""]]
    unread = ws.unread.get(row.id, [])
    keys = {wait.key for wait in waits}
    if len(unread) >= MAIL_ROWS or any(concerns(mail, keys) for mail in unread):
        return Status.QUEUED
    return SUSPENDED_FOR[min(waits, key=lambda wait: wait.order).key.kind]
