"""Errors as data, and data as errors again.

What an author's code raised crosses to the server as a `Failure`; what comes back is raised as one of `aiki.errors`.
The rule: a failure has at most 16 KiB and can always be stored, whatever was raised; and the error made of it is the
same on replay as the first time.
"""

import traceback
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final

import msgspec
from msgspec import Raw

from aiki.errors import AikiError, NonRetryable, RunCancelled, RunFailed, TaskFailed
from aiki.model import payload
from aiki.model.journal import EMPTY, Failure
from aiki.model.lifecycle import Status
from aiki.model.payload import Json
from aiki.model.wire import Problem

__all__ = ["entry_of", "error_of_end", "error_of_problem", "failure_of", "mark_entry", "refusal_of", "task_failed"]

FAILURE_BYTES_MAX: Final = 16 * 1024
MESSAGE_CHARS_MAX: Final = 2_000
TRACEBACK_CHARS_MAX: Final = 4_000
TRACEBACK_FRAMES_MAX: Final = 20
DETAILS_BYTES_MAX: Final = 4 * 1024
NAME_CHARS_MAX: Final = 200
LINEAGE_MAX: Final = 16
CAUSES_MAX: Final = 4
CHAIN_MAX: Final = 100


# ------------------------------------------------------------------------------------------------- exception to data


def failure_of(error: BaseException) -> Failure:
    """Return an exception as data: type, message, details, traceback and causes, cut to 16 KiB."""
    chain = [error]
    while len(chain) <= CAUSES_MAX and (cause := _cause_of(chain[-1])) is not None and cause not in chain:
        chain.append(cause)
    below = _task_failure(chain[-1])
    for found in reversed(chain):
        below = _one(found, below)
    assert below is not None
    while len(msgspec.json.encode(below)) > FAILURE_BYTES_MAX:
        below = _shorter(below)
    return below


def _one(error: BaseException, cause: Failure | None) -> Failure:
    kind = type(error)
    return Failure(
        type=_class_name(kind),
        message=_message_of(error),
        code=error.code if isinstance(error, AikiError) else None,
        details=_details_of(error),
        traceback=_traceback_of(error),
        lineage=tuple(_class_name(base) for base in kind.__mro__ if base is not object)[:LINEAGE_MAX],
        cause=cause,
    )


def _shorter(failure: Failure) -> Failure:
    """Return it without what matters least of what is left: the deepest cause, then traceback, details, message."""
    replace = msgspec.structs.replace
    if failure.cause is not None:
        deeper = failure.cause
        return replace(failure, cause=None if deeper.cause is None else _shorter(deeper))
    if failure.traceback is not None:
        return replace(failure, traceback=None)
    if failure.details:
        return replace(failure, details=EMPTY)
    return replace(failure, message=_cut(failure.message, len(failure.message) // 2), lineage=failure.lineage[:4])


def _class_name(kind: type) -> str:
    return _cut(_storable(f"{kind.__module__}.{kind.__qualname__}"), NAME_CHARS_MAX)


def _message_of(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 - an author's __str__ may raise whatever it likes
        text = f"(its message cannot be made: {type(broken).__name__})"
    return _cut(_storable(text), MESSAGE_CHARS_MAX)


def _details_of(error: BaseException) -> Raw:
    if not isinstance(error, NonRetryable | TaskFailed | RunFailed) or error.details is None:
        return EMPTY
    try:
        encoded = payload.encode(error.details)
    except AikiError as refused:
        encoded = payload.encode(f"(details that cannot be stored: {_message_of(refused)})")
    if len(encoded) > DETAILS_BYTES_MAX:
        encoded = payload.encode(f"(details of {len(encoded):,} bytes; the limit is {DETAILS_BYTES_MAX:,})")
    return Raw(encoded)


def _traceback_of(error: BaseException) -> str | None:
    """Return the last frames of the author's code, and what it raised, as Python prints them."""
    try:
        lines = traceback.format_exception(
            type(error), error, _below_the_platform(error.__traceback__), limit=-TRACEBACK_FRAMES_MAX, chain=False
        )
    except Exception:  # noqa: BLE001 - printing calls the author's __str__ and loaders of sources
        return None
    text = _storable("".join(lines))
    return text if len(text) <= TRACEBACK_CHARS_MAX else f"…{text[1 - TRACEBACK_CHARS_MAX :]}"


def _below_the_platform(trace: TracebackType | None) -> TracebackType | None:
    """Skip the frames of ours that led to the author's code."""
    found = trace
    while found is not None and str(found.tb_frame.f_globals.get("__name__", "")).partition(".")[0] == "aiki":
        found = found.tb_next
    return found or trace


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "␀")


def _cut(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else f"{text[: chars_max - 1]}…"


def _cause_of(error: BaseException) -> BaseException | None:
    return error.__cause__ if error.__suppress_context__ else error.__cause__ or error.__context__


def _task_failure(error: BaseException) -> Failure | None:
    """Return what a task or run failed of: the cause of the error that told of it."""
    found = getattr(error, "failure", None)
    return found if isinstance(found, Failure) else None


# ------------------------------------------------------------------------------------------------- data to exception


def task_failed(failure: Failure, *, task: str, attempts: int) -> TaskFailed:
    """Return the error that a task without attempts left raises in the workflow."""
    times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    error = TaskFailed(
        f"task {task} failed after {times}: {_said(failure)}",
        task=task,
        error_type=failure.type,
        details=_decoded(failure.details),
        traceback=failure.traceback,
        attempts=attempts,
        lineage=failure.lineage,
        failure=failure,
    )
    error.message = failure.message
    return error


def error_of_end(
    run_id: str, status: Status, *, failure: Failure | None, reason: str | None = None
) -> RunFailed | RunCancelled:
    """Return what the result of a run that did not complete raises."""
    facts: dict[str, Any] = {
        "run_id": run_id,
        "error_type": None if failure is None else failure.type,
        "details": None if failure is None else _decoded(failure.details),
        "traceback": None if failure is None else failure.traceback,
        "failure": failure,
    }
    if status is Status.CANCELLED:
        reason = reason or (failure.message if failure is not None and failure.message else None)
        because = f": {reason}" if reason else ""
        return RunCancelled(f"run {run_id} was cancelled{because}", reason=reason, **facts)
    error = RunFailed(f"run {run_id} failed: {_said(failure)}" if failure else f"run {run_id} failed", **facts)
    if failure is not None:
        error.message = failure.message
    return error


def refusal_of(failure: Failure) -> AikiError:
    """Return the error that a refused start of a child raises, of the class that its code names."""
    facts = _decoded(failure.details)
    return _with_code(failure.code or "", failure.message, facts if isinstance(facts, dict) else {})


def error_of_problem(problem: Problem) -> AikiError:
    """Return the error that a refused item of a request raises, of the class that its code names."""
    return _with_code(problem.code, problem.message, problem.facts)


def _with_code(code: str, message: str, facts: Mapping[str, Any]) -> AikiError:
    kind = next((kind for kind in _kinds(AikiError) if kind.code == code), AikiError)
    error = kind.__new__(kind)
    AikiError.__init__(error, message, **{name: value for name, value in facts.items() if name.isidentifier()})
    return error


def _kinds(kind: type[AikiError]) -> Iterator[type[AikiError]]:
    for derived in kind.__subclasses__():
        if "code" in vars(derived) and derived.__module__ == AikiError.__module__:
            yield derived
        yield from _kinds(derived)


def _said(failure: Failure) -> str:
    name = failure.type.rpartition(".")[2]
    return f"{name}: {failure.message}" if failure.message else name


def _decoded(details: Raw) -> Json:
    return msgspec.json.decode(details) if details else None


# --------------------------------------------------------------------------------------------- the entry of an error


def mark_entry(error: BaseException, seq: int) -> None:
    """Note on a `TaskFailed`, `RunFailed` or `RunCancelled` which entry delivered it to the code."""
    if isinstance(error, AikiError):
        error.entry_seq = seq


def entry_of(error: BaseException) -> int | None:
    """Return the `seq` of the entry whose error escaped: the first marked one along the chain of causes, or None.

    In an exception group (`TaskGroup`) the members are looked at in their order.
    """
    pending = [error]
    seen: set[int] = set()
    while pending and len(seen) < CHAIN_MAX:
        found = pending.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, AikiError) and found.entry_seq is not None:
            return found.entry_seq
        cause = _cause_of(found)
        if cause is not None:
            pending.append(cause)
        if isinstance(found, BaseExceptionGroup):
            pending.extend(reversed(found.exceptions))
    return None
