"""What is asked of many runs at once: an event sent to all that are meant, and bulk jobs that cancel, retry and the like.

The rule: which runs are meant is said in one of three ways (ids, reference ids, a filter), and what is asked carries an id
of its sender's, from which the ids of its messages follow: repeated, it is the same.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Raw, Struct

from aiki.model.lifecycle import OPEN, Status
from aiki.model.views import RunFilter
from aiki.model.wire import Problem, Verb

__all__ = [
    "JOB_IDS_MAX",
    "MEANT",
    "PROBLEMS_MAX",
    "BulkJob",
    "EventOutcome",
    "JobView",
    "JobsPage",
    "Multicast",
    "MulticastAnswer",
    "Progress",
    "RunProblem",
    "SendOutcome",
    "StartJob",
    "job_view",
]


class Multicast(Struct, frozen=True, omit_defaults=True):
    """Send an event to many runs.

    Attributes:
        id: the sender's; a copy of the event that bears it is ignored by who has it.
        reference_id: of the event; a run that was sent one of its name with it ignores this one.
        workflow: whose runs the reference ids are.
        filter: a page of runs; those that have ended are meant only where it names their status.
    """

    namespace: str
    id: str
    name: str
    payload: Raw
    reference_id: str | None = None
    run_ids: tuple[str, ...] = ()
    workflow: str | None = None
    reference_ids: tuple[str, ...] = ()
    filter: RunFilter | None = None


class SendOutcome(StrEnum):
    """What became of an event at one run."""

    DELIVERED = "delivered"
    DUPLICATE = "duplicate"  # it was sent an event of this reference id before
    RUN_NOT_FOUND = "run_not_found"
    RUN_ENDED = "run_ended"
    REFUSED = "refused"  # its version knows no such event, or the payload does not fit


class EventOutcome(Struct, frozen=True, omit_defaults=True):
    """What became of an event at one run, named as whoever sent it named it."""

    outcome: SendOutcome
    run_id: str | None = None
    reference_id: str | None = None
    status: Status | None = None
    problem: Problem | None = None


class MulticastAnswer(Struct, frozen=True, omit_defaults=True):
    """An outcome for each run, in order. `next_cursor`: the filter finds more; ask again with it."""

    outcomes: tuple[EventOutcome, ...]
    next_cursor: str | None = None


# ----------------------------------------------------------------------------------------------------------- bulk jobs

JOB_IDS_MAX: Final = 10_000
PROBLEMS_MAX: Final = 20  # kept of one job, of however many

MEANT: Final[Mapping[Verb, frozenset[Status]]] = {
    "cancel": OPEN,
    "terminate": OPEN,
    "pause": OPEN - {Status.PAUSED, Status.STALLED},
    "resume": frozenset({Status.PAUSED}),
    "wake": OPEN - {Status.PAUSED, Status.STALLED},
    "requeue": frozenset({Status.STALLED}),
    "retry": frozenset({Status.FAILED}),
}
"""Which statuses a filter means that names none, for what is asked."""


class StartJob(Struct, frozen=True, omit_defaults=True):
    """Ask something of many runs, named by ids or by a filter. Repeated with its id, it is the same job."""

    id: str
    namespace: str
    verb: Verb
    reason: str | None = None
    run_ids: tuple[str, ...] = ()
    filter: RunFilter | None = None


class RunProblem(Struct, frozen=True):
    """A run of a job that refused."""

    run_id: str
    problem: Problem


class Progress(Struct, frozen=True, omit_defaults=True):
    """How far a job is.

    Attributes:
        steps: how many parts it has done; each is one transaction.
        cursor: of its filter, where the next part begins.
        seen, changed, unchanged, refused: how many runs it came to, and what became of it there.
        problems: why some of them refused.
    """

    steps: int = 0
    cursor: str | None = None
    seen: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    problems: tuple[RunProblem, ...] = ()


class BulkJob(Struct, frozen=True, omit_defaults=True):
    """A job that asks something of many runs, and how far it is."""

    request: StartJob
    created_at_ms: int
    progress: Progress = Progress()
    finished_at_ms: int | None = None


class JobView(Struct, frozen=True, omit_defaults=True):
    """A bulk job as people see it."""

    id: str
    namespace: str
    verb: Verb
    created_at_ms: int
    finished_at_ms: int | None = None
    reason: str | None = None
    runs: int | None = None
    filter: RunFilter | None = None
    seen: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    problems: tuple[RunProblem, ...] = ()


class JobsPage(Struct, frozen=True, omit_defaults=True):
    """A page of bulk jobs, the newest first."""

    jobs: tuple[JobView, ...]
    next_cursor: str | None = None


def job_view(job: BulkJob) -> JobView:
    """Return a job as people see it: of many ids, their number."""
    asked, progress = job.request, job.progress
    return JobView(
        asked.id,
        asked.namespace,
        asked.verb,
        job.created_at_ms,
        job.finished_at_ms,
        asked.reason,
        len(asked.run_ids) or None,
        asked.filter,
        progress.seen,
        progress.changed,
        progress.unchanged,
        progress.refused,
        progress.problems,
    )
