"""Jobs that ask something of many runs, part by part.

The rule: a part and the progress that it makes are one transaction, and a part is done only in its turn. So whoever
drives a job, and however often it is killed or driven twice, each run is asked once.
"""

from msgspec.structs import replace

from aiki.engine.commands import StepJob
from aiki.engine.requests import ask
from aiki.errors import InvalidInput
from aiki.model.many import PROBLEMS_MAX, BulkJob, Progress, RunProblem, StartJob
from aiki.model.working_set import WorkingSet

__all__ = ["start_job", "step_job"]


def start_job(ws: WorkingSet, request: StartJob) -> BulkJob:
    """Begin a job; repeated, it is the same one.

    Raises:
        InvalidInput: its id is that of another's job.
    """
    job = ws.jobs.get(request.id)
    if job is None:
        job = BulkJob(request, ws.now_ms)
        ws.put_job(job)
    elif (job.request.namespace, job.request.verb) != (request.namespace, request.verb):
        raise InvalidInput(f"{request.id} is the id of another bulk job: make a new id for each", path="id")
    return job


def step_job(ws: WorkingSet, command: StepJob) -> BulkJob | None:
    """Ask the runs of a part, and note what became of it; a part that is not the next one changes nothing."""
    job = ws.jobs.get(command.job_id)
    if job is None or job.progress.steps + 1 != command.step:
        return job
    changed, refused = 0, list(command.refused)
    for request in command.requests:
        standing = ask(ws, request)
        changed += standing.changed
        if standing.problem is not None:
            refused.append(RunProblem(request.run_id, standing.problem))
    before = job.progress
    seen = len(command.requests) + len(command.refused)
    progress = Progress(
        steps=command.step,
        cursor=command.cursor,
        seen=before.seen + seen,
        changed=before.changed + changed,
        unchanged=before.unchanged + seen - changed - len(refused),
        refused=before.refused + len(refused),
        problems=(*before.problems, *refused)[:PROBLEMS_MAX],
    )
    job = replace(job, progress=progress, finished_at_ms=ws.now_ms if command.is_last else None)
    ws.put_job(job)
    return job
