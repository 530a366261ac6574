"""How frozen rows become tuples of plain values, and tuples rows.

The rule: the order of the columns is that of the fields in model/run.py, here as in the .sql files; a test compares the
three. JSON is written and read by msgspec, and payloads in it are carried, never decoded.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from aiki.model.journal import EMPTY, Entry, Failure, Mail, Wait
from aiki.model.lifecycle import Status
from aiki.model.many import BulkJob, Progress, StartJob
from aiki.model.retry import Retry
from aiki.model.run import CancelKind, Cascade, ParentClose, RunEnd, RunRow, SessionRow
from aiki.model.schedule import ScheduleRow
from aiki.model.views import WorkerView

__all__ = [
    "MOVED",
    "Columns",
    "advanced",
    "end_columns",
    "entry_of",
    "failure_of",
    "job_of",
    "mail_of",
    "moved",
    "new_job_columns",
    "new_schedule_columns",
    "payload_of",
    "run_columns",
    "run_of",
    "schedule_columns",
    "schedule_of",
    "schemas_of",
    "session_columns",
    "session_of",
    "tags_of",
    "text",
    "text_or_none",
    "wait_of",
    "worker_of",
]

Columns = Sequence[Any]
"""What a database takes and gives for one row: None, integers and text."""

S = TypeVar("S", bound=str)

MOVED: Final = ("status", "alarm_at_ms", "due_at_ms", "priority", "session_id", "cancel", "finished_at_ms")
"""The changeable columns of a run that stand in an index, or in the condition of one."""

_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode
_tags_of: Final = msgspec.json.Decoder(dict[str, str])
_schemas_of: Final = msgspec.json.Decoder(dict[str, Raw])
_request: Final = msgspec.json.Decoder(StartJob)
_progress: Final = msgspec.json.Decoder(Progress)
_entry: Final = msgspec.json.Decoder(Entry)
_wait: Final = msgspec.json.Decoder(Wait)
_mail: Final = msgspec.json.Decoder(Mail)
_failure: Final = msgspec.json.Decoder(Failure)
_worker: Final = msgspec.json.Decoder(WorkerView)
_schedule: Final = msgspec.json.Decoder(ScheduleRow)
_retry: Final = msgspec.json.Decoder(Retry)


def _by_text(members: Iterable[S]) -> Mapping[str, S]:
    return {str(member): member for member in members}


_STATUS: Final = _by_text(Status)
_PARENT_CLOSE: Final = _by_text(ParentClose)
_CASCADE: Final = _by_text(Cascade)
_CANCEL: Final = _by_text(CancelKind)

# ---------------------------------------------------------------------------------------------------------------- JSON


def text(value: object) -> str:
    """Return a struct or a payload as JSON text."""
    return _encode(value).decode()


def text_or_none(payload: Raw) -> str | None:
    """Return a payload's text, None for no payload."""
    return bytes(payload).decode() or None


def payload_of(column: str | None) -> Raw:
    """Return the payload of a column."""
    return EMPTY if column is None else Raw(column.encode())


def entry_of(column: str) -> Entry:
    """Return the journal entry of a column."""
    return _entry.decode(column)


def wait_of(column: str) -> Wait:
    """Return the wait of a column."""
    return _wait.decode(column)


def mail_of(column: str) -> Mail:
    """Return the message of a column."""
    return _mail.decode(column)


def failure_of(column: str | None) -> Failure | None:
    """Return the error of a column."""
    return None if column is None else _failure.decode(column)


@lru_cache(maxsize=1_000)
def _retry_of(column: str) -> Retry:
    return _retry.decode(column)


@lru_cache(maxsize=1_000)
def _retry_text(retry: Retry) -> str:
    return text(retry)


def schemas_of(column: str) -> dict[str, Raw]:
    """Return the schemas of a column, by name."""
    return _schemas_of.decode(column)


def tags_of(column: str) -> dict[str, str]:
    """Return the tags of a column."""
    return {} if column == "{}" else _tags_of.decode(column)


# ---------------------------------------------------------------------------------------------------------------- runs


def run_of(row: Columns) -> RunRow:
    """Return the run of a row of the statement `runs`."""
    values = list(row)
    values[8] = _PARENT_CLOSE[values[8]]
    values[10] = _STATUS[values[10]]
    if values[28] is not None:
        values[28] = _CANCEL[values[28]]
    values[30] = values[30] != 0
    values[33] = _retry_of(values[33])
    values[36] = values[36] != 0
    values[37] = _CASCADE[values[37]]
    return RunRow(*values)


def run_columns(row: RunRow) -> Columns:
    """Return all columns of a run, in the order of the statement `insert_runs`."""
    # fmt: off
    return (
        row.id, row.namespace, row.workflow, row.version, row.pool, row.reference_id, row.input_hash, row.parent_id,
        str(row.parent_close), row.root_id, str(row.status), row.version_no, row.epoch, row.turn, row.attempt,
        row.chapter, row.seq, row.mail, row.effects, row.waits, row.deadline_ms, row.alarm_at_ms, row.due_at_ms,
        row.priority, row.session_id, row.parked_on, row.claimed_poll, row.crashes,
        None if row.cancel is None else str(row.cancel), row.cancel_reason, int(row.cancel_delivered), row.timeout_ms,
        row.timeout_at_ms, _retry_text(row.retry), row.clock_ms, row.why, int(row.has_children), str(row.cascade),
        row.created_at_ms, row.started_at_ms, row.finished_at_ms, row.pause_mail, row.failed_seq, row.schedule,
    )
    # fmt: on


def advanced(row: RunRow) -> tuple[Any, ...]:
    """Return what the statement `advance_runs` sets, without the id."""
    # fmt: off
    return (
        row.version_no, row.epoch, row.turn, row.attempt, row.chapter, row.seq, row.mail, row.effects, row.waits,
        row.deadline_ms, row.parked_on, row.claimed_poll, row.crashes, row.cancel_reason, int(row.cancel_delivered),
        row.timeout_at_ms, row.clock_ms, row.why, int(row.has_children), str(row.cascade), row.started_at_ms,
        row.input_hash, row.pause_mail, row.failed_seq,
    )
    # fmt: on


def moved(row: RunRow) -> tuple[Any, ...]:
    """Return what the statement `move_runs` sets in addition: the columns of `MOVED`."""
    # fmt: off
    return (
        str(row.status), row.alarm_at_ms, row.due_at_ms, row.priority, row.session_id,
        None if row.cancel is None else str(row.cancel), row.finished_at_ms,
    )
    # fmt: on


def end_columns(run_id: str, end: RunEnd) -> Columns:
    """Return the columns of `upsert_ends`."""
    error = None if end.error is None else text(end.error)
    return (run_id, str(end.status), text_or_none(end.output), error)


# ----------------------------------------------------------------------------------------------------------- bulk jobs


def job_of(row: Columns) -> BulkJob:
    """Return the bulk job of a row of the statement `jobs`."""
    request, created_at_ms, progress, finished_at_ms = row
    return BulkJob(_request.decode(request), created_at_ms, _progress.decode(progress), finished_at_ms)


def new_job_columns(job: BulkJob) -> Columns:
    """Return the columns of `insert_jobs`."""
    asked = job.request
    return (asked.id, asked.namespace, text(asked), job.created_at_ms, text(job.progress), job.finished_at_ms)


# ------------------------------------------------------------------------------------------------------------ sessions


def session_of(row: Columns) -> SessionRow:
    """Return the session of a row of the statement `sessions`."""
    values = list(row)
    values[6] = values[6] != 0
    return SessionRow(*values)


def worker_of(row: Columns) -> WorkerView:
    """Return the worker of a row of the statement `present`. One that an older server has heard has a name alone."""
    session_id, name, said, held = row
    known = WorkerView(session_id, name, 0, 0) if said is None else _worker.decode(said)
    return replace(known, held=held, is_elsewhere=True)


def session_columns(row: SessionRow) -> Columns:
    """Return the columns of `upsert_sessions`."""
    return (row.id, row.namespace, row.worker, row.poll, row.expires_at_ms, row.suspect_run_id, int(row.is_over))


# ----------------------------------------------------------------------------------------------------------- schedules


def schedule_of(column: str) -> ScheduleRow:
    """Return the schedule of a column."""
    return _schedule.decode(column)


def schedule_columns(row: ScheduleRow) -> Columns:
    """Return the columns of `update_schedules`."""
    return (row.alarm_at_ms, text(row), row.namespace, row.name)


def new_schedule_columns(row: ScheduleRow) -> Columns:
    """Return the columns of `insert_schedules`."""
    return (row.namespace, row.name, row.alarm_at_ms, text(row))
