"""Workers are leased, runs are not: a session is one row, however many runs it holds.

Told, and told again. An answer can be lost, so every poll states what the worker holds, and its outcome brings whatever
the rows know otherwise: claims that have ended, mail that it lacks, runs assigned that it never heard of. The epoch
decides: a held run whose row has another epoch is lost; one of the same epoch that is no longer running ended by the
worker's own commit, which it knows.

A session that ends, by its lease or by a goodbye, first becomes `is_over`, which an id never takes back; then its runs
return in bounded batches. A claim that is lost is a crash if the worker had heard of it: from the second one on the run
is a suspect, a session holds one suspect at a time, and only losses as that one suspect count further; at the fifth the
run stalls. A worker that gives a run back did not crash on it.
"""

from typing import Final

from msgspec.structs import replace

from aiki.engine.commands import PollOutcome, Returned
from aiki.engine.ending import end_cancelled
from aiki.engine.inbox import unread_after
from aiki.engine.moves import move, queue_up, release
from aiki.model.lifecycle import Reason, Status
from aiki.model.run import RunRow, SessionRow
from aiki.model.wire import Announce, Goodbye, HandBack, Lost, NewMail, PollRequest
from aiki.model.working_set import EXPIRY_ROWS, Claim, WorkingSet

__all__ = ["CRASHES_MAX", "SUSPECT_CRASHES", "announce", "expire", "goodbye", "hand_back", "poll"]

SUSPECT_CRASHES: Final = 2  # from this many losses on, a run is a suspect
CRASHES_MAX: Final = 5  # at this many it stalls


def announce(ws: WorkingSet, request: Announce, *, lease_ms: int) -> PollOutcome:
    """Open a session; repeated, it is the same one, unless that has ended."""
    session = ws.sessions.get(request.session_id)
    if session is not None:
        return PollOutcome(session.id, over=session.is_over or session.namespace != request.namespace)
    ws.put_session(
        SessionRow(
            id=request.session_id,
            namespace=request.namespace,
            worker=request.worker,
            poll=0,
            expires_at_ms=ws.now_ms + lease_ms,
        )
    )
    ws.new_announcements.append(request)
    return PollOutcome(request.session_id)


def poll(ws: WorkingSet, request: PollRequest, *, lease_ms: int) -> PollOutcome:
    """Renew a session and compare what its worker holds with the rows."""
    session = ws.sessions.get(request.session_id)
    if session is None or session.is_over:
        return PollOutcome(request.session_id, over=True)
    if request.number < session.poll:
        return PollOutcome(session.id, stale=True)
    owned = [ws.runs[run_id] for run_id in ws.owned.get(session.id, ()) if run_id in ws.runs]
    owned = [row for row in owned if row.status is Status.RUNNING and row.session_id == session.id]
    suspect_id = session.suspect_run_id
    if not any(row.id == suspect_id and row.crashes >= SUSPECT_CRASHES for row in owned):
        suspect_id = None  # it made progress, or its claim has ended
    ws.put_session(
        replace(
            session,
            poll=request.number,
            expires_at_ms=max(session.expires_at_ms, ws.now_ms + lease_ms),
            suspect_run_id=suspect_id,
        )
    )
    lost: list[Lost] = []
    mail: list[NewMail] = []
    for held in request.held:
        row = ws.runs.get(held.run_id)
        if row is None or row.epoch != held.epoch or row.session_id not in (session.id, None):
            lost.append(Lost(held.run_id, held.epoch))
        elif row.session_id is not None and row.mail > held.mail:
            unread, last_mail = unread_after(ws, row, held.mail)
            mail.append(NewMail(row.id, row.epoch, unread, last_mail))
    retold = _retell(ws, request, owned)
    return PollOutcome(session.id, lost=tuple(lost), mail=tuple(mail), retold=retold)


def _retell(ws: WorkingSet, request: PollRequest, owned: list[RunRow]) -> tuple[str, ...]:
    """Assign anew, under the epoch that they have, the runs of earlier polls that the worker does not state."""
    stated = {(held.run_id, held.epoch) for held in request.held}
    missing = [row for row in owned if row.claimed_poll < request.number and (row.id, row.epoch) not in stated]
    for row in missing:
        ws.put_run(replace(row, claimed_poll=request.number))
        ws.claims[row.id] = Claim(row.id, request.session_id, parked_epoch=None)
    return tuple(row.id for row in missing)


def expire(ws: WorkingSet, session_id: str, *, at_opening: bool, silent_after: int | None) -> Returned:
    """End a session whose lease has passed, or that is gone or silent, and take back what it held."""
    session = ws.sessions.get(session_id)
    if session is None:
        return Returned(session_id)
    is_silent = silent_after is not None and session.poll <= silent_after
    if not (session.is_over or at_opening or is_silent) and session.expires_at_ms > ws.now_ms:
        return Returned(session_id)  # renewed meanwhile
    return _take_back(ws, session, reason=Reason.WORKER_LOST)


def goodbye(ws: WorkingSet, request: Goodbye) -> Returned:
    """End a session that says so, and take back what it still held."""
    session = ws.sessions.get(request.session_id)
    if session is None:
        return Returned(request.session_id)
    return _take_back(ws, session, reason=Reason.HANDED_BACK)


def hand_back(ws: WorkingSet, request: HandBack) -> Returned:
    """Take back the claims that a worker gives up; those of another epoch or session it has lost already."""
    returned: list[str] = []
    for held in request.runs:
        row = ws.runs.get(held.run_id)
        if row is None or row.status is not Status.RUNNING:
            continue
        if row.session_id == request.session_id and row.epoch == held.epoch:
            queue_up(ws, release(ws, row, tell=False), Reason.HANDED_BACK)
            returned.append(row.id)
    return Returned(request.session_id, tuple(returned))


def _take_back(ws: WorkingSet, session: SessionRow, *, reason: Reason) -> Returned:
    """Take back a bounded number of a session's runs. Its row says first that it is over, so it is assigned no more."""
    if not session.is_over:
        ws.put_session(replace(session, is_over=True))
    listed = ws.expiring.get(session.id, [])
    returned: list[str] = []
    for run_id in listed:
        row = ws.runs.get(run_id)
        if row is None or row.status is not Status.RUNNING or row.session_id != session.id:
            continue
        returned.append(run_id)
        if reason is Reason.WORKER_LOST:
            _lose(ws, row, session)
        else:
            queue_up(ws, release(ws, row, tell=False), reason)
    return Returned(session.id, tuple(returned), more=len(listed) >= EXPIRY_ROWS)


def _lose(ws: WorkingSet, row: RunRow, session: SessionRow) -> None:
    heard_of = row.turn > 0 or session.poll > row.claimed_poll
    counts = row.crashes < SUSPECT_CRASHES or session.suspect_run_id == row.id
    crashes = row.crashes + (heard_of and counts)
    row = replace(release(ws, row, tell=False), crashes=crashes)
    if crashes < CRASHES_MAX:
        queue_up(ws, row, Reason.WORKER_LOST)
        return
    if row.cancel is not None:  # stalled, it would be cancelled at once
        end_cancelled(ws, row)
        return
    why = (
        f"{CRASHES_MAX} workers died one after another while they held this run, without recording any progress."
        " Look at their logs for what it does to them; `requeue` gives it another chance"
    )
    move(ws, replace(row, due_at_ms=None, why=why), Status.STALLED, Reason.CRASHED)
