"""What is deleted: because it has been over for long enough, or because enough has come after it.

An open run, too, keeps no more than people look at: the journals and moves of its last chapters and attempts, and of the
messages that it read before this chapter their ids alone, by which a second copy is known.

The rule: a run goes whole, under its lock, and only if nobody can miss it: it has ended and stayed so for the time that
the settings say, nobody waits for its end, its parent has ended or is gone, and all of its children have been told what
they had to be told. From then on its reference id is free, and whoever asks for it hears that there is no such run.
"""

from typing import Final

from aiki.engine.commands import DeleteRun, ForgetVersion, Returned
from aiki.model.many import BulkJob
from aiki.model.run import Cascade, RunRow
from aiki.model.wire import Standing
from aiki.model.working_set import WorkingSet

__all__ = [
    "ATTEMPTS_KEPT",
    "CHAPTERS_KEPT",
    "delete",
    "drop_old_attempts",
    "drop_old_chapters",
    "forget_job",
    "forget_session",
    "forget_version",
]

CHAPTERS_KEPT: Final = 4  # of a run, the one that it is in included
ATTEMPTS_KEPT: Final = 10


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


def forget_job(ws: WorkingSet, job_id: str, *, kept_ms: int) -> BulkJob | None:
    """Delete a bulk job that has been done for long enough."""
    job = ws.jobs.get(job_id)
    if job is not None and job.finished_at_ms is not None and job.finished_at_ms + kept_ms <= ws.now_ms:
        ws.remove_job(job_id)
    return job


def forget_version(ws: WorkingSet, asked: ForgetVersion) -> Returned:
    """Delete the announcement of a version, unless it has been announced anew meanwhile: the database looks."""
    ws.removed_versions.append((asked.namespace, asked.workflow, asked.version, asked.announced_at_ms))
    return Returned("")


def drop_old_chapters(ws: WorkingSet, row: RunRow) -> None:
    """Drop what a run that begins a chapter has left behind far enough."""
    ws.trimmed_inboxes.append(row.id)
    if row.chapter > CHAPTERS_KEPT:
        ws.dropped_chapters.append((row.id, row.chapter - CHAPTERS_KEPT))


def drop_old_attempts(ws: WorkingSet, row: RunRow) -> None:
    """The same of a run that begins an attempt; those of earlier chapters go with them."""
    if row.attempt > ATTEMPTS_KEPT:
        ws.dropped_attempts.append((row.id, row.chapter, row.attempt - ATTEMPTS_KEPT))
