"""How a turn of a run is made durable.

One writer: only the owner of a run writes its journal, and the epoch says who that is. A worker numbers its commits
within an epoch: exactly the next one is applied; a repeat of the last one is answered afresh and changes nothing; any
other is fenced off.

The rule: a commit is applied whole, in this order: the deliveries and the mail that they took; the children and waits
that the code asked for next; its effects; and last, how it leaves the run. A commit that contradicts the rows is refused
for good, before anything is applied, and the run stalls.

A commit that would suspend, while there is mail that the owner has not seen or a deadline has passed, applies all else
and leaves the run with its owner: the answer says so, with the mail and the server's time.
"""

from typing import Final, assert_never

from msgspec.structs import replace

from aiki.engine.commands import RefuseTurn
from aiki.engine.ending import end_cancelled, finish
from aiki.engine.inbox import answer_wait, has_wait, put, unread_after
from aiki.engine.moves import SUSPENDED_FOR, move, release
from aiki.engine.requests import request_cancel
from aiki.engine.retention import drop_old_chapters
from aiki.engine.retrying import delay_of, retry
from aiki.engine.starts import start_child
from aiki.model.ids import child_run_id, derived_id, event_id
from aiki.model.journal import CallKey, EntryKind, Mail, MailKind
from aiki.model.lifecycle import Reason, Status
from aiki.model.run import CancelKind, RunEnd, RunRow, Waiter
from aiki.model.wire import ChildStarted, Commit, CommitAnswer, Effect, Outcome, Problem, Verdict
from aiki.model.working_set import RunValue, WorkingSet

__all__ = ["apply_commit", "refuse_turn"]

STALLED_FOR: Final = {
    "diverged": Reason.DIVERGED,
    "waits_for_nothing": Reason.WAITS_FOR_NOTHING,
    None: Reason.WAITS_FOR_NOTHING,
}


def apply_commit(ws: WorkingSet, commit: Commit) -> CommitAnswer:
    """Apply a turn, or say why not."""
    row = ws.runs.get(commit.run_id)
    if row is None or row.epoch != commit.epoch or commit.turn < 1:
        return _fenced(ws, commit, row)
    if commit.turn == row.turn:
        children = tuple(start_child(ws, row, child, repeated=True) for child in commit.children)
        return _applied(ws, commit, children)
    if row.status is not Status.RUNNING or commit.turn != row.turn + 1:
        return _fenced(ws, commit, row)
    fault = _fault(row, commit)
    if fault is not None:
        return _refused(ws, row, commit, Problem("invalid_input", fault, {"run_id": row.id}))
    _deliver(ws, row, commit)
    children = _start_children(ws, commit)
    _change_waits(ws, commit)
    for effect in commit.effects:
        _take_effect(ws, commit.run_id, effect)
    _leave(ws, ws.runs[commit.run_id], commit)
    return _applied(ws, commit, children)


def refuse_turn(ws: WorkingSet, turn: RefuseTurn) -> CommitAnswer:
    """Stall a run whose commit the server cannot take; one that is to be cancelled ends instead."""
    row = ws.runs.get(turn.run_id)
    if row is None or row.epoch != turn.epoch or row.status is not Status.RUNNING or turn.turn != row.turn + 1:
        return _fenced(ws, turn, row)
    if row.cancel is not None:
        row = end_cancelled(ws, release(ws, row, tell=False))
        return CommitAnswer(row.id, turn.epoch, turn.turn, Verdict.REFUSED, ws.now_ms, row.status, problem=turn.problem)
    return _refused(ws, row, turn, turn.problem)


# ------------------------------------------------------------------------------------------------------------- answers


def _applied(ws: WorkingSet, commit: Commit, children: tuple[ChildStarted, ...]) -> CommitAnswer:
    """Answer from the rows as they are now: the same for the first copy of a commit and for later ones."""
    row = ws.runs[commit.run_id]
    mail, last_mail = unread_after(ws, row, commit.last_mail) if not row.is_terminal else ((), commit.last_mail)
    return CommitAnswer(
        run_id=row.id,
        epoch=commit.epoch,
        turn=commit.turn,
        verdict=Verdict.APPLIED,
        now_ms=ws.now_ms,
        status=row.status,
        mail=mail,
        last_mail=last_mail,
        children=children,
    )


def _fenced(ws: WorkingSet, turn: Commit | RefuseTurn, row: RunRow | None) -> CommitAnswer:
    status = None if row is None else row.status
    return CommitAnswer(turn.run_id, turn.epoch, turn.turn, Verdict.FENCED, ws.now_ms, status)


def _refused(ws: WorkingSet, row: RunRow, turn: Commit | RefuseTurn, problem: Problem) -> CommitAnswer:
    row = _stall(ws, row, Reason.REFUSED, why=problem.message)
    return CommitAnswer(row.id, turn.epoch, turn.turn, Verdict.REFUSED, ws.now_ms, row.status, problem=problem)


def _fault(row: RunRow, commit: Commit) -> str | None:
    """Return what contradicts the row, or None: such a commit is a worker's error, and would be one again."""
    for seq, entry in enumerate(commit.entries, start=row.seq + 1):
        if entry.seq != seq or not 0 <= entry.asked < seq:
            return f"entry {entry.seq} (asked {entry.asked}) cannot stand in the place of {seq}"
    keys = [entry.key for entry in commit.entries if entry.key.kind is not EntryKind.CANCEL]
    if len(set(keys)) < len(keys):
        return "two entries answer one call"
    for child in commit.children:
        key = child.key
        run_id = child_run_id(row.id, row.chapter, attempt=row.attempt, address=key.address, ordinal=key.ordinal)
        if (child.run_id, child.namespace) != (run_id, row.namespace):
            return f"the child {child.run_id} in {child.namespace} should be {run_id} in {row.namespace}"
    if commit.outcome is Outcome.SUSPENDED and (commit.waits < 1 or commit.waits_for not in SUSPENDED_FOR):
        return f"it would suspend with {commit.waits} open waits, the oldest of kind {commit.waits_for}"
    return None


# ------------------------------------------------------------------------------------------------- what the code did


def _deliver(ws: WorkingSet, row: RunRow, commit: Commit) -> None:
    """Record the deliveries: they are progress, and what they took is read."""
    changed = replace(row, turn=commit.turn)
    if commit.entries:
        ws.new_entries.extend((row.id, row.chapter, row.attempt, entry) for entry in commit.entries)
        changed = replace(changed, seq=commit.entries[-1].seq, crashes=0)
        session = ws.sessions.get(row.session_id or "")
        if session is not None and session.suspect_run_id == row.id:
            ws.put_session(replace(session, suspect_run_id=None))
    if not row.cancel_delivered and any(entry.key.kind is EntryKind.CANCEL for entry in commit.entries):
        changed = replace(changed, cancel_delivered=True, alarm_at_ms=ws.now_ms + ws.cancel_grace_ms)
    ws.put_run(changed)
    taken = {entry.mail for entry in commit.entries if entry.mail}
    ws.read(row.id, taken.union(commit.read))


def _start_children(ws: WorkingSet, commit: Commit) -> tuple[ChildStarted, ...]:
    if not commit.children:
        return ()
    row = ws.put_run(replace(ws.runs[commit.run_id], has_children=True))
    return tuple(start_child(ws, row, child, repeated=False) for child in commit.children)


def _change_waits(ws: WorkingSet, commit: Commit) -> None:
    """Open and close waits.

    A whole set names waits that are stored already: of these, one on another run's end is registered, or answered.
    """
    run_id = commit.run_id
    answered = {entry.key for entry in commit.entries if entry.mail}
    stored = {wait.key for wait in ws.waits.get((run_id, EntryKind.CHILD_RESULT, ""), ())}
    for key in commit.closed:
        ws.close_wait(run_id, key)
        if key.kind is EntryKind.CHILD_RESULT and key not in answered:
            ws.remove_waiter(Waiter(key.address, run_id, key.ordinal))
    if commit.replace_waits and commit.stall_reason != "diverged":  # code that went astray knows not all of them
        _forget_waits(ws, commit, stored - answered)
    for wait in commit.opened:
        ws.open_wait(run_id, wait)
        if wait.key.kind is EntryKind.CHILD_RESULT and wait.key not in stored:
            answer_wait(ws, ws.runs[run_id], wait.key)


def _forget_waits(ws: WorkingSet, commit: Commit, unanswered: set[CallKey]) -> None:
    for key in sorted(unanswered.difference(wait.key for wait in commit.opened)):
        ws.remove_waiter(Waiter(key.address, commit.run_id, key.ordinal))
    ws.replace_waits(commit.run_id)


def _take_effect(ws: WorkingSet, run_id: str, effect: Effect) -> None:
    """Do what the code does to the outside, once for each number. What has no result cannot fail either."""
    row = ws.runs[run_id]
    if effect.number <= row.effects:
        return
    row = ws.put_run(replace(row, effects=effect.number))
    message_id = derived_id("effect", row.id, row.chapter, row.attempt, effect.number)
    target = ws.runs.get(effect.target or "")
    match effect.kind:
        case "set":
            ws.new_values.append(RunValue(row.id, effect.name, effect.payload))
        case "cancel":
            if target is not None and target.namespace == row.namespace:
                request_cancel(ws, target, CancelKind.PARENT, reason=effect.reason, message_id=message_id)
        case "send":
            if effect.reference_id is not None:
                message_id = event_id(effect.target or "", effect.name, effect.reference_id)
            is_known = (effect.target, message_id) in ws.messages
            if target is not None and target.namespace == row.namespace and not (target.is_terminal or is_known):
                mail = Mail(0, message_id, MailKind.EVENT, at_ms=0, name=effect.name, payload=effect.payload)
                put(ws, target, mail, concerns=has_wait(ws, target.id, EntryKind.EVENT, address=effect.name))
        case _:
            assert_never(effect.kind)


# ------------------------------------------------------------------------------------------- how it leaves the run


def _leave(ws: WorkingSet, row: RunRow, commit: Commit) -> None:
    if commit.outcome not in (Outcome.RUNNING, Outcome.SUSPENDED, Outcome.PAUSED):
        row = replace(row, waits=row.waits + len(commit.opened))  # at least as many as are stored
    match commit.outcome:
        case Outcome.RUNNING:
            ws.put_run(replace(row, waits=commit.waits, deadline_ms=commit.deadline_ms))
        case Outcome.SUSPENDED:
            _suspend(ws, row, commit)
        case Outcome.PAUSED:
            _pause(ws, row, commit)
        case Outcome.COMPLETED:
            finish(ws, row, Reason.RETURNED, end=RunEnd(Status.COMPLETED, output=commit.output))
        case Outcome.FAILED:
            _fail(ws, row, commit)
        case Outcome.CANCELLED:
            end_cancelled(ws, row)
        case Outcome.CONTINUED:
            _continue(ws, row, commit)
        case Outcome.STALLED:
            if row.cancel is not None:  # stalled, it would be cancelled at once
                end_cancelled(ws, row)
            else:
                _stall(ws, row, STALLED_FOR[commit.stall_reason], why=commit.why)
        case _:
            assert_never(commit.outcome)


def _suspend(ws: WorkingSet, row: RunRow, commit: Commit) -> None:
    """Give up the claim, unless there is something that the owner has to see first.

    One that is asked to pause gives it up all the same: what has come lies there until it is resumed.
    """
    row = replace(row, waits=commit.waits, deadline_ms=commit.deadline_ms)
    if row.pause_mail is None:
        mail, last_mail = unread_after(ws, row, commit.last_mail)
        is_due = commit.deadline_ms is not None and commit.deadline_ms <= ws.now_ms
        if mail or last_mail < row.mail or is_due:
            ws.put_run(row)
            return
        wakes = [m.number for m in ws.unread.get(row.id, ()) if m.kind is MailKind.WAKE]
        ws.read(row.id, wakes)  # nothing slept that they could have woken
    parked_on = row.session_id if commit.parks else None
    row = replace(row, session_id=None, parked_on=parked_on, due_at_ms=None)
    move(ws, row, SUSPENDED_FOR[EntryKind(commit.waits_for or "")], Reason.SUSPENDED)


def _pause(ws: WorkingSet, row: RunRow, commit: Commit) -> None:
    """Stop a run whose code could go on, unless the request was lifted meanwhile: then its owner goes on."""
    row = replace(row, waits=commit.waits, deadline_ms=commit.deadline_ms)
    if row.pause_mail is None:
        ws.put_run(row)
        return
    parked_on = row.session_id if commit.parks else None
    row = replace(row, session_id=None, parked_on=parked_on, due_at_ms=ws.now_ms)  # ready, once it is resumed
    move(ws, row, Status.PAUSED, Reason.PAUSED, note=row.why)


def _fail(ws: WorkingSet, row: RunRow, commit: Commit) -> None:
    after_ms = delay_of(row)
    if after_ms is None:
        row = replace(row, failed_seq=commit.failed_seq)
        finish(ws, row, Reason.RAISED, end=RunEnd(Status.FAILED, error=commit.error))
    else:
        retry(ws, row, error=commit.error, failed_seq=commit.failed_seq, after_ms=after_ms)


def _continue(ws: WorkingSet, row: RunRow, commit: Commit) -> None:
    """Begin the next chapter under the same claim. The input hash stays: it is that of the start, for its repeats."""
    ws.clear_waits(row.id)
    ws.journals.pop(row.id, None)
    ws.new_inputs[row.id] = commit.input
    row = replace(row, chapter=row.chapter + 1, seq=0, effects=0, waits=0, deadline_ms=None, clock_ms=commit.at_ms)
    drop_old_chapters(ws, ws.put_run(row))


def _stall(ws: WorkingSet, row: RunRow, reason: Reason, *, why: str | None) -> RunRow:
    """Leave the run to a person or a deploy, with its waits as they are stored: `requeue` goes on from there."""
    return move(ws, replace(row, session_id=None, parked_on=None, due_at_ms=None, why=why), Status.STALLED, reason)
