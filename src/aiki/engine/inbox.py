"""What is sent to a run: put into its inbox under a number, no more.

The rule: the engine only delivers. A message to an owned run is announced to its owner; a message that a suspended run
waits for makes it ready; any other lies there in order until the code asks for it. What a message means, the code
decides, on its worker.
"""

from collections.abc import Sequence, Set

from msgspec.structs import replace

from aiki.engine import problems
from aiki.engine.moves import queue_up
from aiki.model.ids import derived_id
from aiki.model.journal import CallKey, EntryKind, Mail, MailKind
from aiki.model.lifecycle import Reason, Status
from aiki.model.run import RunEnd, RunRow, Waiter
from aiki.model.working_set import MAIL_ROWS, WorkingSet

__all__ = ["answer_wait", "concerns", "control", "has_wait", "put", "put_read", "put_result", "unread_after"]


def put(ws: WorkingSet, row: RunRow, mail: Mail, *, concerns: bool, reason: Reason = Reason.MESSAGE) -> RunRow:
    """Put a message into an inbox under the next number (that of `mail` is passed over).

    `concerns`: it is for something that the run waits for now; if nobody owns it, it becomes ready for `reason`.
    """
    row = ws.put_run(replace(row, mail=row.mail + 1))
    ws.add_mail(row.id, replace(mail, number=row.mail, at_ms=ws.now_ms))
    if row.status is Status.RUNNING:
        ws.mailed.add(row.id)
    elif row.is_suspended and concerns:
        row = queue_up(ws, row, reason)
    return row


def put_read(ws: WorkingSet, row: RunRow, mail: Mail) -> RunRow:
    """Remember a request that is done at once, so that a copy of it is known."""
    row = ws.put_run(replace(row, mail=row.mail + 1))
    ws.add_mail(row.id, replace(mail, number=row.mail, at_ms=ws.now_ms))
    ws.read(row.id, [row.mail])
    return row


def control(verb: str, message_id: str, reason: str | None = None) -> Mail:
    """Return the message of a request that no code has to see."""
    return Mail(0, message_id, MailKind.CONTROL, at_ms=0, name=verb, reason=reason)


def concerns(mail: Mail, waits: Set[CallKey]) -> bool:
    """Whether an unread message has something to say to a run that is suspended for `waits`."""
    match mail.kind:
        case MailKind.CANCEL:
            return True
        case MailKind.EVENT:
            return any(key.kind is EntryKind.EVENT and key.address == mail.name for key in waits)
        case MailKind.CHILD_RESULT:
            return CallKey(EntryKind.CHILD_RESULT, mail.name, mail.ordinal) in waits
        case MailKind.WAKE:
            return any(key.kind is EntryKind.SLEEP for key in waits)
        case MailKind.CONTROL:
            return False


def has_wait(ws: WorkingSet, run_id: str, kind: EntryKind, *, address: str = "") -> bool:
    """Whether a run has a stored open wait of this kind and address (`""`: any)."""
    return bool(ws.waits.get((run_id, kind, address)))


def put_result(ws: WorkingSet, waiter: Waiter, end: RunEnd) -> None:
    """Put the end of a run into the inbox of one that waits for it."""
    row = ws.runs.get(waiter.run_id)
    if row is not None and not row.is_terminal:
        put(ws, row, _result(row, waiter, end), concerns=True)


def answer_wait(ws: WorkingSet, row: RunRow, key: CallKey) -> RunRow:
    """Register a wait on another run's end; if that run has ended, or is not there, its answer comes at once."""
    waiter = Waiter(key.address, row.id, key.ordinal)
    target = ws.runs.get(key.address)
    if target is None or target.namespace != row.namespace:
        gone = replace(_result(row, waiter, None), error=problems.run_gone(key.address))
        return put(ws, row, gone, concerns=True)
    if target.is_terminal:
        return put(ws, row, _result(row, waiter, ws.ends[target.id]), concerns=True)
    ws.add_waiter(waiter)
    return row


def unread_after(ws: WorkingSet, row: RunRow, number: int) -> tuple[tuple[Mail, ...], int]:
    """Return the unread messages above `number`, and the number up to which that is all."""
    known: Sequence[Mail] = ws.unread.get(row.id, ())
    complete_to = row.mail
    if row.mail >= MAIL_ROWS:  # the store has left off the rest, unless it found fewer than it looks for
        loaded = len(known) + sum(1 for run_id, _ in ws.read_mail if run_id == row.id)
        if loaded >= MAIL_ROWS:
            known = known[:MAIL_ROWS]
            complete_to = known[-1].number if known else number
    return tuple(mail for mail in known if mail.number > number), max(complete_to, number)


def _result(row: RunRow, waiter: Waiter, end: RunEnd | None) -> Mail:
    mail = Mail(
        number=0,
        id=derived_id("child_result", row.id, row.mail + 1),
        kind=MailKind.CHILD_RESULT,
        at_ms=0,
        name=waiter.target_id,
        ordinal=waiter.ordinal,
    )
    if end is None:
        return mail
    return replace(mail, payload=end.output, status=end.status, error=end.error)
