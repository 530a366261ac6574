"""What an author's calls ask for, and what each of them gives back once an entry answers it.

The rule: the value of an `await` follows from the entry alone, the first time exactly as on replay. An error that an
entry brings is marked with it, so that a retry of the whole run can cut it out.
"""

from collections.abc import Callable

from aiki.model.journal import Entry, EntryKind
from aiki.model.run import RunEnd
from aiki.sdk.failures import mark_entry, refusal_of, task_failed
from aiki.sdk.host import ChildCall, ChildFacts, EventAnswer, TaskCall
from aiki.worker.calls import Request

__all__ = ["child_end_request", "child_request", "event_request", "sleep_request", "task_request"]


def task_request(call: TaskCall) -> Request:
    """Run a task: gives its decoded result, or raises `TaskFailed`."""

    def answer(entry: Entry) -> object:
        if entry.error is not None:
            failed = task_failed(entry.error, task=call.task.name, attempts=entry.attempts)
            mark_entry(failed, entry.seq)
            raise failed
        return call.task.shape.returns.decode(bytes(entry.result), what=f"the result of task {call.task.name}")

    return Request(EntryKind.TASK, call.address, answer=answer, task=call)


def child_request(call: ChildCall, decode: Callable[[ChildFacts], object]) -> Request:
    """Start a child: gives its handle, or raises the refusal."""

    def answer(entry: Entry) -> object:
        if entry.error is not None:
            refused = refusal_of(entry.error)
            mark_entry(refused, entry.seq)
            raise refused
        assert entry.child_id is not None, "a child that was not refused has an id"
        return decode(ChildFacts(entry.child_id, entry.child_version or call.version))

    return Request(EntryKind.CHILD, call.address, answer=answer, child=call)


def child_end_request(run_id: str, timeout_ms: int | None, *, decode: Callable[[RunEnd | None], object]) -> Request:
    """Wait for a run's end: gives what `decode` makes of it, None being "not in time"; raises if the run is gone."""

    def answer(entry: Entry) -> object:
        try:
            if entry.status is not None:
                return decode(RunEnd(entry.status, entry.result, entry.error))
            if entry.error is not None:
                raise refusal_of(entry.error)
            return decode(None)
        except Exception as error:
            mark_entry(error, entry.seq)
            raise

    return Request(EntryKind.CHILD_RESULT, run_id, answer=answer, timeout_ms=timeout_ms)


def event_request(name: str, timeout_ms: int | None, *, decode: Callable[[EventAnswer], object]) -> Request:
    """Wait for an event: gives what `decode` makes of it, or of its absence."""

    def answer(entry: Entry) -> object:
        return decode(EventAnswer(entry.timed_out, entry.result))

    return Request(EntryKind.EVENT, name, answer=answer, timeout_ms=timeout_ms)


def sleep_request(name: str, duration_ms: int, *, decode: Callable[[bool], object]) -> Request:
    """Sleep: gives what `decode` makes of whether somebody ended it early."""

    def answer(entry: Entry) -> object:
        return decode(entry.woken)

    return Request(EntryKind.SLEEP, name, answer=answer, duration_ms=duration_ms)
