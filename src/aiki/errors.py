"""Every error that Aiki raises on purpose, in one tree.

    AikiError
    ├── RunFailed · RunCancelled        how a run ended, for who waited for its result
    ├── TimedOut (TimeoutError)         the wait ended, not what was waited for
    ├── RunNotFound · RunEnded · ReferenceConflict · ScheduleConflict · ScheduleNotFound
    ├── TaskFailed                      in a workflow: a task has no attempts left
    ├── NonRetryable · RetryAfter       raised by a task, to say how to go on
    ├── Diverged                        new code does not fit what the run has recorded
    ├── PayloadTooLarge · NotSerializable · InvalidInput
    ├── Unauthorized · Unavailable · DatabaseInUse
    ├── NameTaken · DirectTaskCall · NotAllowedInWorkflow
    └── Fenced                          a claim has passed to another; inside the platform only

The rule: each has a stable `code` (the same over HTTP), its facts as attributes, and a message that says what
happened, to what, and what to do next. Never a secret.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

__all__ = [
    "AikiError",
    "DatabaseInUse",
    "DirectTaskCall",
    "Diverged",
    "Fenced",
    "InvalidInput",
    "NameTaken",
    "NonRetryable",
    "NotAllowedInWorkflow",
    "NotSerializable",
    "PayloadTooLarge",
    "ReferenceConflict",
    "RetryAfter",
    "RunCancelled",
    "RunEnded",
    "RunFailed",
    "RunNotFound",
    "ScheduleConflict",
    "ScheduleNotFound",
    "TaskFailed",
    "TimedOut",
    "Unauthorized",
    "Unavailable",
]


class AikiError(Exception):
    """The root of the tree: `except AikiError` catches whatever Aiki raises on purpose.

    Attributes:
        code: a stable word for machines, the same over HTTP.
        entry_seq: in workflow code, the place in the journal of what delivered it; None elsewhere.
    """

    code: ClassVar[str] = "error"
    entry_seq: int | None = None

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts
        for name, value in facts.items():
            setattr(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.facts))


def _rebuild(kind: type[AikiError], message: str, facts: dict[str, Any]) -> AikiError:
    error = kind.__new__(kind)
    AikiError.__init__(error, message, **facts)
    return error


class _Ended(AikiError):
    """How another run ended, with what it left behind."""

    run_id: str
    error_type: str | None
    details: Any
    traceback: str | None


class RunFailed(_Ended):
    """A run ended as failed. `.run_id`, `.error_type`, `.details`, `.traceback` tell of the error that ended it."""

    code = "run_failed"


class RunCancelled(_Ended):
    """A run was cancelled, or terminated. `.run_id`, `.reason`."""

    code = "run_cancelled"
    reason: str | None


class TimedOut(AikiError, TimeoutError):
    """What was waited for did not come in time; it may still come. Wait again with the same handle."""

    code = "timed_out"


class RunNotFound(AikiError):
    """There is no such run in this namespace (`.run_id` or `.reference_id`)."""

    code = "run_not_found"


class RunEnded(AikiError):
    """The run has ended and takes no more events or requests. `.run_id`, `.status`."""

    code = "run_ended"
    run_id: str
    status: str


class ReferenceConflict(AikiError):
    """The reference id names a run that was started with other input. `.reference_id`, `.run_id`."""

    code = "reference_conflict"
    reference_id: str
    run_id: str


class ScheduleConflict(AikiError):
    """A schedule of this name has another definition. `.name`."""

    code = "schedule_conflict"


class ScheduleNotFound(AikiError):
    """There is no schedule of this name in this namespace. `.name`."""

    code = "schedule_not_found"


class TaskFailed(AikiError):
    """A task has no attempts left.

    Attributes:
        task: the task's name.
        error_type: module and name of the exception that the last attempt raised.
        details: what the author attached to `NonRetryable`, decoded JSON.
        traceback: of the last attempt, as text; None where it was cut.
        attempts: how many attempts were made.
    """

    code = "task_failed"
    task: str
    error_type: str
    details: Any
    traceback: str | None
    attempts: int
    lineage: tuple[str, ...]

    def is_type(self, kind: type[BaseException]) -> bool:
        """Return whether the task raised `kind` or a class derived from it, the same on replay as the first time.

        >>> error = TaskFailed(
        ...     "no", task="pay", error_type="builtins.KeyError", lineage=("builtins.KeyError", "builtins.LookupError")
        ... )
        >>> error.is_type(LookupError), error.is_type(ValueError)
        (True, False)
        """
        return f"{kind.__module__}.{kind.__qualname__}" in self.lineage


class NonRetryable(AikiError):
    """Raise it from inside a task: no further attempt would help. `details` (JSON) reach the workflow."""

    code = "non_retryable"

    def __init__(self, message: str = "", *, details: object = None) -> None:
        super().__init__(message, details=details)

    details: Any


class RetryAfter(AikiError):
    """Raise it from inside a task: try again, no sooner than `delay` (seconds or timedelta) from now."""

    code = "retry_after"

    def __init__(self, delay: float | timedelta, message: str = "") -> None:
        seconds = delay if isinstance(delay, (int, float)) else delay.total_seconds()
        super().__init__(message or f"asked to be tried again in {seconds:g} s", seconds=float(seconds))

    seconds: float


class Diverged(AikiError):
    """New code asks for something else than what the run has recorded. The run is stalled, nothing is lost."""

    code = "diverged"


class PayloadTooLarge(AikiError):
    """A payload is over its limit. `.size_bytes`, `.limit_bytes`, `.what`."""

    code = "payload_too_large"
    size_bytes: int
    limit_bytes: int
    what: str


class NotSerializable(AikiError):
    """A value cannot be stored as JSON. `.type`, `.path` say which and where."""

    code = "not_serializable"
    type: str
    path: str


class InvalidInput(AikiError):
    """What was given does not fit what is expected. `.path` says where."""

    code = "invalid_input"
    path: str


class Unauthorized(AikiError):
    """The server does not know this key, or the key's role does not allow this."""

    code = "unauthorized"


class Unavailable(AikiError):
    """The server cannot be reached, or is too busy; the call may be repeated.

    Attributes:
        away: "database" where the server is there and its database is not, so that it records nothing, and ends no
            session either; else None.
    """

    code = "unavailable"
    away: str | None = None


class DatabaseInUse(AikiError):
    """Another process serves this database file. `.path`, `.pid`, `.url` (None where it serves none)."""

    code = "database_in_use"
    path: str
    pid: int | None
    url: str | None


class NameTaken(AikiError):
    """Two definitions bear one name where only one can. `.name`, `.places`."""

    code = "name_taken"


class DirectTaskCall(AikiError):
    """A task was called as a plain function in workflow code: start it through the run, so that it is recorded."""

    code = "direct_task_call"


class NotAllowedInWorkflow(AikiError):
    """Workflow code did what cannot be replayed (I/O, threads, subprocesses). Move it into a task."""

    code = "not_allowed_in_workflow"


class Fenced(AikiError):
    """The claim that a write was made under has ended. The worker drops the run; its next owner has the truth."""

    code = "fenced"
