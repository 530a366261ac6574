"""Another attempt of a whole run: what of its journal stays, and what is done again.

The rule is one paragraph of the design, and `cut` is that paragraph. Cut are

    1   the entry whose error escaped, and everything asked after its delivery;
    2   every other failed entry after whose delivery neither the escaped entry nor any entry that stays was asked: a
        failure that the code went on from was handled, and stays handled; one that led nowhere is tried again;
    3   with a `child_result` that was not `completed`, the `child` that it answers: it is started anew.

A run that timed out is cut at its `cancel` instead of at an escaped entry; a `cancel` that came after the escaped entry
goes with what followed that. If no entry's error escaped, rule 1 cuts nothing. The rest, with `seq` and `asked` counted anew in its order, is the journal of the next attempt; the cut entries
stay under their own. Events that cut entries had taken are unread again; results of other runs come anew when they are
waited for.

What was asked after an entry's delivery was delivered after it, so one pass from the last entry to the first has
decided about everything that a decision looks at.
"""

from bisect import bisect_right
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from aiki.engine.moves import NOT_CLAIMED, WHY_CHARS_MAX, move, queue_up
from aiki.engine.retention import drop_old_attempts
from aiki.model.ids import draw_of
from aiki.model.journal import Entry, EntryKind, Failure
from aiki.model.lifecycle import Reason, Status
from aiki.model.retry import delay_ms
from aiki.model.run import CancelKind, Cascade, RunRow
from aiki.model.working_set import WorkingSet

__all__ = ["Cut", "cut", "delay_of", "retry", "retry_failed"]


class Cut(Struct, frozen=True):
    """A journal cut for the next attempt: what stays, counted anew, and the events to be read again."""

    kept: tuple[Entry, ...]
    unread: tuple[int, ...]


def cut(journal: Sequence[Entry], *, escaped_seq: int | None) -> Cut:
    """Cut a journal for another attempt.

    Args:
        journal: all entries of the attempt that failed, in order.
        escaped_seq: the entry whose error escaped, or the `cancel` of a run that timed out; None where there is none.
    """
    escaped = next((entry for entry in journal if entry.seq == escaped_seq), None)
    gone: set[int] = set()
    started: dict[str | None, list[int]] = {}  # child's run id → the entries that brought it
    for entry in journal:
        if entry.key.kind is EntryKind.CHILD:
            started.setdefault(entry.child_id, []).append(entry.seq)
    latest_asked = 0 if escaped is None else escaped.asked  # of the escaped entry and all that stay, so far
    for entry in reversed(journal):
        if _is_cut(entry, escaped, latest_asked=latest_asked) or entry.seq in gone:
            gone.add(entry.seq)
            if entry.key.kind is EntryKind.CHILD_RESULT and entry.status is not Status.COMPLETED:
                gone.update(started.get(entry.key.address, ()))
        else:
            latest_asked = max(latest_asked, entry.asked)
    kept = [entry for entry in journal if entry.seq not in gone]
    taken = [e.mail for e in journal if e.seq in gone and e.mail and e.key.kind is EntryKind.EVENT]
    return Cut(_counted_anew(kept), tuple(taken))


def _is_cut(entry: Entry, escaped: Entry | None, *, latest_asked: int) -> bool:
    if escaped is not None and (entry.seq == escaped.seq or entry.asked >= escaped.seq):
        return True
    if escaped is not None and entry.key.kind is EntryKind.CANCEL and entry.seq > escaped.seq:
        return True  # nobody asked for it: where it was delivered says what it followed
    return _has_failed(entry) and latest_asked < entry.seq


def _has_failed(entry: Entry) -> bool:
    if entry.key.kind is EntryKind.CHILD_RESULT:
        return entry.error is not None or entry.status in (Status.FAILED, Status.CANCELLED)
    return entry.error is not None


def _counted_anew(kept: Sequence[Entry]) -> tuple[Entry, ...]:
    old_seqs = [entry.seq for entry in kept]
    return tuple(
        replace(entry, seq=seq, asked=bisect_right(old_seqs, entry.asked)) for seq, entry in enumerate(kept, start=1)
    )


def delay_of(row: RunRow) -> int | None:
    """Return how long a run whose code has just failed waits for its next attempt, or None if there is none.

    After a request to cancel there is none, whoever asked: what comes out then is the end.
    """
    if row.cancel is not None:
        return None
    return delay_ms(row.retry, row.attempt, draw=draw_of("retry", row.id, row.attempt))


def retry(ws: WorkingSet, row: RunRow, *, error: Failure | None, failed_seq: int | None, after_ms: int) -> RunRow:
    """Let a run that its worker has just committed as failed wait for its next attempt."""
    if row.waits:
        ws.clear_waits(row.id)
    said = "" if error is None else f"{error.type}: {error.message}"
    row = replace(
        _next_attempt(ws, row, escaped_seq=failed_seq),
        waits=0,
        deadline_ms=ws.now_ms + after_ms,
        due_at_ms=None,
        session_id=None,
        parked_on=None,
        why=f"attempt {row.attempt} failed: {said}"[:WHY_CHARS_MAX],
    )
    return move(ws, row, Status.AWAITING_RETRY, Reason.RETRY, note=row.why)


def retry_failed(ws: WorkingSet, row: RunRow) -> RunRow:
    """Try a failed run again at once, as a person wants it: what it has completed stays, and its timeout begins anew.

    Its waiters have its end, which stays a fact for them. A cancellation that the code had got before it failed is part
    of what stays, so that clean-up goes on from where it failed.
    """
    escaped_seq = row.failed_seq
    if row.cancel is CancelKind.TIMEOUT:
        cancels = [entry.seq for entry in _journal(ws, row) if entry.key.kind is EntryKind.CANCEL]
        escaped_seq = cancels[0] if cancels else None
    row = _next_attempt(ws, row, escaped_seq=escaped_seq)
    ws.reopen_run(row.id)
    row = replace(
        row,
        epoch=row.epoch + 1,
        crashes=0,
        timeout_at_ms=None if row.timeout_ms is None else ws.now_ms + row.timeout_ms,
        cancel=row.cancel if row.cancel_delivered else None,
        cancel_reason=row.cancel_reason if row.cancel_delivered else None,
        cascade=Cascade.NONE,
        failed_seq=None,
        finished_at_ms=None,
    )
    return queue_up(ws, row, Reason.RETRY)


def _next_attempt(ws: WorkingSet, row: RunRow, *, escaped_seq: int | None) -> RunRow:
    """Cut the journal, put what stays under the next attempt, and return the row of that."""
    result = cut(_journal(ws, row), escaped_seq=escaped_seq)
    ws.void_requests(row.id)
    ws.unread_mail.extend((row.id, number) for number in result.unread)
    row = replace(
        row,
        attempt=row.attempt + 1,
        seq=len(result.kept),
        effects=0,
        claimed_poll=NOT_CLAIMED,
        cancel_delivered=any(entry.key.kind is EntryKind.CANCEL for entry in result.kept),
    )
    ws.new_entries.extend((row.id, row.chapter, row.attempt, entry) for entry in result.kept)
    drop_old_attempts(ws, row)
    return row


def _journal(ws: WorkingSet, row: RunRow) -> list[Entry]:
    """Return the journal of the attempt, with what this batch has added to it."""
    place = (row.id, row.chapter, row.attempt)
    return [*ws.journals.get(row.id, ()), *(entry for *at, entry in ws.new_entries if tuple(at) == place)]
