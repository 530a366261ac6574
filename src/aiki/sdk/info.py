"""A run as people see it: the server's `RunInfo` with moments for milliseconds and plain values for payloads.

The rule: it is a picture. It is true of the moment when it was taken, and never changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec
from msgspec import Raw

from aiki.model import views
from aiki.model.journal import Failure
from aiki.model.payload import Json
from aiki.sdk.convert import instant_of

__all__ = [
    "ErrorInfo",
    "ExecutingInfo",
    "RunCount",
    "RunInfo",
    "RunPage",
    "WaitInfo",
    "run_count",
    "run_info",
    "run_page",
]


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """An error as people see it.

    Attributes:
        type: module and name of the exception.
        message: what it said.
        details: what the author attached.
        traceback: as text; None where it was cut.
        cause: what it was raised from.
    """

    type: str
    message: str
    details: Json = None
    traceback: str | None = None
    cause: ErrorInfo | None = None


@dataclass(frozen=True, slots=True)
class WaitInfo:
    """Something that a run waits for.

    Attributes:
        kind: sleep, event, child_result, task (between two attempts) or timer.
        name: of the sleep or event; a child's run id; the task.
        deadline: when the wait is over by itself, or the next attempt is due; None for never.
        attempt: of a task, the last one made.
        error: what that one raised.
    """

    kind: str
    name: str
    deadline: datetime | None = None
    attempt: int = 0
    error: ErrorInfo | None = None


@dataclass(frozen=True, slots=True)
class ExecutingInfo:
    """An attempt of a task that is under way, as its worker said last.

    Attributes:
        task: the call, cut short.
        attempt: which, from 1, since `since`.
        progress: what it reported with `current_task().heartbeat(progress)`.
    """

    task: str
    attempt: int
    since: datetime
    progress: Json = None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run as it stood when it was asked for.

    Attributes:
        status: where it stands (`running`, `sleeping`, `completed`, ...), and `why`, for people.
        reference_id: the name it was started with.
        schedule: the name of the schedule that started it.
        parent_id: the run that started it as a child; `root_id` the first of that line.
        attempt: of the whole run, from 1; `chapter` counts `continue_as_new`.
        waits: what it waits for, oldest first.
        worker: who has it, and `executing` what it does for the run now.
        cancel_requested: whether somebody asked it to cancel.
        pause_requested: whether it is to pause, and its worker has not stopped it yet.
        next_at: when the clock looks at it next.
        input: its arguments by parameter name; `output` its result; both None in lists.
        error: of a run that failed.
        warnings: what may be in its way, such as that no worker serves its version.
    """

    id: str
    namespace: str
    workflow: str
    version: str
    status: str
    why: str | None
    reference_id: str | None
    parent_id: str | None
    root_id: str | None
    pool: str
    priority: int
    tags: dict[str, str]
    attempt: int
    chapter: int
    waits: tuple[WaitInfo, ...]
    worker: str | None
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    next_at: datetime | None
    input: Json
    output: Json
    error: ErrorInfo | None
    warnings: tuple[str, ...]
    schedule: str | None = None
    executing: tuple[ExecutingInfo, ...] = ()
    pause_requested: bool = False


@dataclass(frozen=True, slots=True)
class RunPage:
    """A page of runs, newest first. Ask for the next with `cursor=page.next_cursor`; None is the last."""

    runs: tuple[RunInfo, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class RunCount:
    """How many runs there are: `total`, and of each status that any is in."""

    total: int
    by_status: dict[str, int]


def run_count(found: views.RunCount) -> RunCount:
    """Return what the server counted."""
    return RunCount(found.total, {status.value: number for status, number in sorted(found.by_status.items())})


def run_info(found: views.RunInfo) -> RunInfo:
    """Return what the server told of a run."""
    return RunInfo(
        id=found.id,
        namespace=found.namespace,
        workflow=found.workflow,
        version=found.version,
        status=found.status.value,
        why=found.why,
        reference_id=found.reference_id,
        parent_id=found.parent_id,
        root_id=found.root_id,
        pool=found.pool,
        priority=found.priority,
        tags=dict(found.tags),
        attempt=found.attempt,
        chapter=found.chapter,
        waits=tuple(map(_wait_info, found.waits)),
        worker=found.worker,
        cancel_requested=found.cancel_requested,
        pause_requested=found.pause_requested,
        created_at=instant_of(found.created_at_ms),
        started_at=_moment(found.started_at_ms),
        finished_at=_moment(found.finished_at_ms),
        next_at=_moment(found.due_at_ms if found.due_at_ms is not None else found.alarm_at_ms),
        input=_plain(found.input),
        output=_plain(found.output),
        error=_error_info(found.error),
        warnings=found.warnings,
        schedule=found.schedule,
        executing=tuple(
            ExecutingInfo(line.task, line.attempt, instant_of(line.since_ms), _plain(line.progress))
            for line in found.executing
        ),
    )


def run_page(page: views.RunPage) -> RunPage:
    """Return what the server told of many runs."""
    return RunPage(runs=tuple(map(run_info, page.runs)), next_cursor=page.next_cursor)


def _wait_info(wait: views.WaitInfo) -> WaitInfo:
    return WaitInfo(
        kind=wait.kind,
        name=wait.name,
        deadline=_moment(wait.deadline_ms),
        attempt=wait.attempt,
        error=_error_info(wait.error),
    )


def _error_info(failure: Failure | None) -> ErrorInfo | None:
    if failure is None:
        return None
    return ErrorInfo(
        type=failure.type,
        message=failure.message,
        details=_plain(failure.details),
        traceback=failure.traceback,
        cause=_error_info(failure.cause),
    )


def _moment(moment_ms: int | None) -> datetime | None:
    return None if moment_ms is None else instant_of(moment_ms)


def _plain(raw: Raw) -> Json:
    return msgspec.json.decode(raw) if raw else None
