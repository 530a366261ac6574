"""What is deleted because it has been over for long enough.

The rule: a run goes whole, under its lock, and only if nobody can miss it: it has ended and stayed so for the time that
the settings say, nobody waits for its end, its parent has ended or is gone, and all of its children have been told what
they had to be told. From then on its reference id is free, and whoever asks for it hears that there is no such run.
"""

from aiki.engine.commands import DeleteRun, Returned
from aiki.model.run import Cascade
from aiki.model.wire import Standing
from aiki.model.working_set import WorkingSet

__all__ = ["delete", "forget_session"]


def delete(ws: WorkingSet, asked: DeleteRun) -> Standing:
    """Delete a run that has been over for long enough, or leave it as it is."""
    row = ws.runs.get(asked.run_id)
    if row is None:
        return Standing(asked.run_id)
    parent = ws.runs.get(asked.parent_id or "")
    is_missed = (
        row.finished_at_ms is None
        or row.finished_at_ms + asked.retention_ms > ws.now_ms
        or row.cascade is not Cascade.NONE
        or row.parent_id != asked.parent_id
        or (parent is not None and not parent.is_terminal)
        or bool(ws.waiters.get(row.id))
    )
    if is_missed:
        return Standing(row.id, row.status)
    ws.remove_run(row.id)
    return Standing(row.id, changed=True)


def forget_session(ws: WorkingSet, session_id: str, *, kept_ms: int) -> Returned:
    """Delete a session that has been over for long enough, unless runs are still its."""
    session = ws.sessions.get(session_id)
    if session is not None and session.is_over and session.expires_at_ms + kept_ms <= ws.now_ms:
        owns = any(row.session_id == session_id for row in ws.runs.values())
        if not owns:
            ws.remove_session(session_id)
    return Returned(session_id)
