"""What a refusal looks like over HTTP: problem details (RFC 9457) with the stable code of `aiki.errors`.

The rule: which code has which status stands in one table, `PROBLEMS`. The codes that are not in `aiki.errors` are those
of HTTP itself.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from aiki.errors import (
    Fenced,
    InvalidInput,
    NameTaken,
    NotSerializable,
    PayloadTooLarge,
    ReferenceConflict,
    RunEnded,
    RunNotFound,
    ScheduleConflict,
    ScheduleNotFound,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from aiki.model.wire import Problem

__all__ = [
    "BODY_TOO_LARGE",
    "FORBIDDEN",
    "INTERNAL",
    "JOB_NOT_FOUND",
    "METHOD_NOT_ALLOWED",
    "NOT_FOUND",
    "PROBLEMS",
    "REQUEST_TIMEOUT",
    "VALUE_NOT_FOUND",
    "ProblemDetails",
    "ProblemKind",
    "Refused",
    "details_of",
]

BODY_TOO_LARGE: Final = "body_too_large"
FORBIDDEN: Final = "forbidden"
INTERNAL: Final = "internal"
METHOD_NOT_ALLOWED: Final = "method_not_allowed"
NOT_FOUND: Final = "not_found"
REQUEST_TIMEOUT: Final = "request_timeout"
JOB_NOT_FOUND: Final = "job_not_found"
VALUE_NOT_FOUND: Final = "value_not_found"


class ProblemKind(Struct, frozen=True):
    """What all problems of one code have in common."""

    status: int
    title: str


PROBLEMS: Final[Mapping[str, ProblemKind]] = {
    InvalidInput.code: ProblemKind(400, "The request cannot be taken as it is"),
    NotSerializable.code: ProblemKind(400, "A value cannot be stored"),
    Unauthorized.code: ProblemKind(401, "Who asks is not known"),
    FORBIDDEN: ProblemKind(403, "Who asks may not do this"),
    RunNotFound.code: ProblemKind(404, "There is no such run"),
    ScheduleNotFound.code: ProblemKind(404, "There is no such schedule"),
    JOB_NOT_FOUND: ProblemKind(404, "There is no such bulk job"),
    VALUE_NOT_FOUND: ProblemKind(404, "Nothing is published under this name"),
    NOT_FOUND: ProblemKind(404, "There is nothing at this address"),
    METHOD_NOT_ALLOWED: ProblemKind(405, "This address takes other methods"),
    REQUEST_TIMEOUT: ProblemKind(408, "The request did not arrive in time"),
    TimedOut.code: ProblemKind(408, "It did not come in time"),
    RunEnded.code: ProblemKind(409, "The run has ended"),
    ReferenceConflict.code: ProblemKind(409, "The reference id names a run of other input"),
    ScheduleConflict.code: ProblemKind(409, "The schedule has another definition"),
    NameTaken.code: ProblemKind(409, "The name is taken"),
    Fenced.code: ProblemKind(409, "The claim has passed to another worker"),
    PayloadTooLarge.code: ProblemKind(413, "A payload is too large"),
    BODY_TOO_LARGE: ProblemKind(413, "The request is too large"),
    INTERNAL: ProblemKind(500, "The server failed at this"),
    Unavailable.code: ProblemKind(503, "The server cannot do this now; ask again"),
}
_OTHER: Final = ProblemKind(400, "The server refuses this")


class ProblemDetails(Struct, frozen=True, omit_defaults=True):
    """A problem as RFC 9457 writes it. `path` is the place in the request that it is about, where there is one."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    path: str | None = None
    facts: dict[str, str | int | None] = {}


class Refused(Exception):
    """A request is refused, with a problem of any code; `headers` go with the answer."""

    def __init__(self, problem: Problem, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.headers = dict(headers or {})

    @classmethod
    def of(cls, code: str, message: str, **facts: str | int | None) -> "Refused":
        """Make one from a code, a message and facts."""
        return cls(Problem(code, message, facts))


def details_of(problem: Problem) -> ProblemDetails:
    """Return a problem in the form that it has over HTTP.

    >>> details_of(Problem("run_not_found", "there is no run 1")).status
    404
    """
    kind = PROBLEMS.get(problem.code, _OTHER)
    path = problem.facts.get("path")
    return ProblemDetails(
        type=f"urn:aiki:problem:{problem.code}",
        title=kind.title,
        status=kind.status,
        detail=problem.message,
        code=problem.code,
        path=None if path is None else str(path),
        facts={name: value for name, value in problem.facts.items() if name != "path"},
    )
