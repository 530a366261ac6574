"""Why something is refused, or ended without its code saying so: as data.

The rule: each is made of an error of `aiki.errors` (its code and class), and says what happened, to what, and what to
do next; never a payload.
"""

import msgspec
from msgspec import Raw

from aiki.errors import (
    AikiError,
    ReferenceConflict,
    RunCancelled,
    RunEnded,
    RunNotFound,
    ScheduleConflict,
    ScheduleNotFound,
    TimedOut,
)
from aiki.model.journal import Failure
from aiki.model.run import RunRow
from aiki.model.schedule import ScheduleRow
from aiki.model.wire import Problem

__all__ = [
    "cancelled",
    "failure_of",
    "reference_conflict",
    "run_ended",
    "run_gone",
    "run_id_taken",
    "run_not_found",
    "schedule_conflict",
    "schedule_not_found",
    "timed_out",
]


def run_not_found(run_id: str) -> Problem:
    """No such run in the asker's namespace."""
    return Problem(RunNotFound.code, f"there is no run {run_id} in this namespace", {"run_id": run_id})


def run_ended(row: RunRow) -> Problem:
    """The run takes no more events."""
    return Problem(
        RunEnded.code,
        f"run {row.id} is {row.status} and takes no more events: start a new run, or send to one that is open",
        {"run_id": row.id, "status": str(row.status)},
    )


def reference_conflict(row: RunRow) -> Problem:
    """The reference id names a run of other input."""
    return Problem(
        ReferenceConflict.code,
        f"reference id {row.reference_id} of workflow {row.workflow} names run {row.id}, which was started with other"
        " input: use another reference id, or conflict='return_existing' to get that run",
        {"reference_id": row.reference_id, "run_id": row.id},
    )


def run_id_taken(run_id: str) -> Problem:
    """A start repeats the id of a run that was started as something else."""
    return Problem(
        "invalid_input",
        f"run id {run_id} belongs to a run of another workflow or other input: make a new id for each new run",
        {"run_id": run_id},
    )


def schedule_conflict(row: ScheduleRow) -> Problem:
    """A schedule of the name is something else, and whoever activates it wants to be told."""
    return Problem(
        ScheduleConflict.code,
        f"schedule {row.name} is active with another definition ({row.definition.workflow} {row.definition.version}):"
        " deactivate it first, or activate with on_change='replace'",
        {"name": row.name},
    )


def schedule_not_found(name: str) -> Problem:
    """No such schedule in the asker's namespace."""
    return Problem(ScheduleNotFound.code, f"there is no schedule {name} in this namespace", {"name": name})


def failure_of(problem: Problem) -> Failure:
    """Return a problem as it is raised inside workflow code."""
    kind = next((kind for kind in (RunNotFound, RunEnded, ReferenceConflict) if kind.code == problem.code), AikiError)
    return Failure(
        type=_name(kind),
        message=problem.message,
        code=problem.code,
        details=Raw(msgspec.json.encode(problem.facts)),
        lineage=_lineage(kind),
    )


def run_gone(run_id: str) -> Failure:
    """What a wait on a run that is not there settles with."""
    return failure_of(run_not_found(run_id))


def cancelled(reason: str | None) -> Failure:
    """The end of a run that was cancelled; its message is the reason alone."""
    return Failure(
        type=_name(RunCancelled), message=reason or "", code=RunCancelled.code, lineage=_lineage(RunCancelled)
    )


def timed_out(row: RunRow) -> Failure:
    """The end of a run that did not finish within its timeout."""
    return Failure(
        type=_name(TimedOut),
        message=f"the run did not finish within its timeout of {row.timeout_ms} ms",
        code=TimedOut.code,
        lineage=_lineage(TimedOut),
    )


def _name(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _lineage(kind: type[BaseException]) -> tuple[str, ...]:
    return tuple(_name(base) for base in kind.__mro__ if issubclass(base, BaseException))
