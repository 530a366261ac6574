"""How a run ended, as who waited for it gets it: a result, an error, or both as a value.

The rule: handles outside and children inside read an end by the same two functions, so they never disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from aiki.errors import RunCancelled, RunFailed, TimedOut
from aiki.model import payload
from aiki.model.lifecycle import Status
from aiki.model.run import RunEnd
from aiki.sdk.failures import error_of_end
from aiki.sdk.serial import TypeCodec

__all__ = ["Terminal", "WaitResult", "checked_terminal", "not_in_time", "result_of", "wait_result_of"]

R = TypeVar("R")

Terminal = Literal["completed", "failed", "cancelled"]
"""The statuses that a run ends in."""

_TERMINAL: Final[Mapping[Status, Terminal]] = {
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class WaitResult(Generic[R]):
    """What a wait for a run's end brought. As a condition it is true if the run ended in the status asked for.

    Attributes:
        reached: whether it ended in the status asked for.
        timed_out: whether it has not ended in time.
        status: how it ended; None if it has not.
        output: its result, if it completed.
        error: the `RunFailed` or `RunCancelled` that `result()` would have raised.
    """

    reached: bool
    timed_out: bool
    status: Terminal | None
    output: R | None = None
    error: RunFailed | RunCancelled | None = None

    def __bool__(self) -> bool:
        return self.reached


def checked_terminal(wanted: Terminal) -> Terminal:
    """Return the status that is waited for.

    Raises:
        ValueError: a run does not end in it.
    """
    if wanted not in _TERMINAL.values():
        raise ValueError(f"a run never ends in status {wanted!r}: wait for {', '.join(_TERMINAL.values())}")
    return wanted


def result_of(run_id: str, end: RunEnd, *, codec: TypeCodec[R]) -> R:
    """Return a run's output.

    Raises:
        RunFailed: it failed.
        RunCancelled: it was cancelled or terminated.
        InvalidInput: the output does not fit the type.
    """
    if end.status is not Status.COMPLETED:
        raise error_of_end(run_id, end.status, failure=end.error)
    return codec.decode(bytes(end.output) or payload.RAW_NULL, what=f"the output of run {run_id}")


def wait_result_of(run_id: str, wanted: Terminal, *, end: RunEnd | None, codec: TypeCodec[R]) -> WaitResult[R]:
    """Return how a run ended, against the status asked for; `end` is None where it did not end in time."""
    if end is None:
        return WaitResult(reached=False, timed_out=True, status=None)
    status = _TERMINAL[end.status]
    if end.status is Status.COMPLETED:
        output = result_of(run_id, end, codec=codec)
        return WaitResult(reached=status == wanted, timed_out=False, status=status, output=output)
    error = error_of_end(run_id, end.status, failure=end.error)
    return WaitResult(reached=status == wanted, timed_out=False, status=status, error=error)


def not_in_time(run_id: str, timeout_ms: int | None) -> TimedOut:
    """Return the error of a wait for a result that took too long."""
    seconds = (timeout_ms or 0) / 1000
    return TimedOut(
        f"run {run_id} has not ended within {seconds:g} s. It goes on: wait again with the same handle",
        run_id=run_id,
        timeout_ms=timeout_ms,
    )
