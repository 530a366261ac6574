"""Reads outside of any transaction: what people ask for, and what the server's loops look at.

The rule: nothing here is a ground for a decision about another row; the loops' finds are judged again under the lock.
A read is a generator: it yields questions (a statement of read.sql and its values), is sent the rows, and returns what
they mean. So it is written once, and each store answers in its own way.
"""

from collections.abc import Collection, Generator, Iterable, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from aiki.errors import InvalidInput
from aiki.model.journal import Wait
from aiki.model.lifecycle import TERMINAL, Reason, Status
from aiki.model.run import Queue
from aiki.model.schedule import ScheduleName, ScheduleRow, StartedTick
from aiki.model.views import RunFilter, RunInfo, RunPage, WaitInfo
from aiki.model.wire import Finished, JournalPage, VersionInfo
from aiki.model.working_set import History
from aiki.store import rows
from aiki.store.base import (
    HISTORY_ROWS,
    IDS_MAX,
    JOURNAL_BYTES,
    JOURNAL_ROWS,
    PAGE_ROWS_MAX,
    DueRun,
    EndedRun,
    WaitingRun,
)
from aiki.store.rows import Columns

__all__ = [
    "Question",
    "Reading",
    "announcements",
    "by_reference",
    "count",
    "due_runs",
    "due_schedules",
    "ended_runs",
    "ends",
    "fetch",
    "history",
    "ids",
    "info",
    "journal",
    "list_runs",
    "list_schedules",
    "moment_ms",
    "ready_queues",
    "schedule",
    "value",
    "versions_of",
    "waiting_runs",
]

QUEUES_MAX: Final = 1_000  # looked at for what waits in them

_BEYOND_ALL_MS: Final = 2**62

_schemas: Final = msgspec.json.Decoder(dict[str, Raw])

T = TypeVar("T")


class Question(Struct, frozen=True):
    """A statement of read.sql and its values.

    Attributes:
        values: by name. A list stands for many ids or words; `rows` is a list of tuples.
        filters: the names of the conditions, statements of their own, that go in the place of its mark.
    """

    name: str
    values: dict[str, Any]
    filters: tuple[str, ...] = ()


Reading = Generator[Question, Sequence[Columns], T]
"""A read: yields questions, is sent the rows of each, returns what was found."""


def _ask(statement: str, /, **values: Any) -> Reading[Sequence[Columns]]:
    return (yield Question(statement, values))


# ------------------------------------------------------------------------------------------------------------- people


def info(namespace: str, run_id: str) -> Reading[RunInfo | None]:
    """Return a run with payloads and open waits."""
    found = yield from _ask("info", namespace=namespace, run_id=run_id)
    if not found:
        return None
    *shown, input_, output, error = found[0]
    waits = yield from _waits(run_id)
    return msgspec.structs.replace(
        _info_of(shown),
        waits=tuple(_wait_info(wait) for wait in waits),
        input=rows.payload_of(input_),
        output=rows.payload_of(output),
        error=rows.failure_of(error),
    )


def by_reference(namespace: str, workflow: str, reference_id: str) -> Reading[RunInfo | None]:
    """Return the run that bears a reference id."""
    found = yield from _ask("id_by_reference", namespace=namespace, workflow=workflow, reference_id=reference_id)
    return (yield from info(namespace, found[0][0])) if found else None


def list_runs(runs: RunFilter) -> Reading[RunPage]:
    """Return a page of runs, newest first.

    Raises:
        InvalidInput: the cursor or the limit is none.
    """
    if not 1 <= runs.limit <= PAGE_ROWS_MAX:
        raise InvalidInput(f"limit is {runs.limit}: a page holds 1 to {PAGE_ROWS_MAX} runs", path="limit")
    before_ms, before_id = _place_of(runs.cursor)
    filters, values = _filters(runs)
    values |= {"before_ms": before_ms, "before_id": before_id, "limit": runs.limit + 1}
    found = [_info_of(row) for row in (yield Question("list", values, filters))]
    page = found[: runs.limit]
    has_more = len(found) > runs.limit
    return RunPage(tuple(page), f"{page[-1].created_at_ms}.{page[-1].id}" if has_more else None)


def count(runs: RunFilter) -> Reading[dict[Status, int]]:
    """Return how many runs there are, by status."""
    filters, values = _filters(runs)
    return {Status(status): number for status, number in (yield Question("count", values, filters))}


def value(namespace: str, run_id: str, *, name: str) -> Reading[Raw | None]:
    """Return what a run published under a name."""
    found = yield from _ask("value", namespace=namespace, run_id=run_id, name=name)
    return rows.payload_of(found[0][0]) if found else None


def journal(namespace: str, run_id: str, *, after_seq: int) -> Reading[JournalPage | None]:
    """Return a page of the journal of a run's current attempt and chapter."""
    found = yield from _ask("namespace", run_id=run_id)
    if not found or found[0][0] != namespace:
        return None
    return (yield from _journal_page(run_id, after_seq=after_seq))


def history(run_id: str) -> Reading[list[History]]:
    """Return how a run came to where it stands."""
    return [
        History(run_id, at_ms, None if old is None else Status(old), Status(new), Reason(reason), note)
        for _, at_ms, old, new, reason, note in (yield from _ask("history", run_id=run_id, limit=HISTORY_ROWS))
    ]


def _info_of(row: Iterable[Any]) -> RunInfo:
    # fmt: off
    (id_, namespace, workflow, version, status, created_at_ms, pool, priority, reference_id, parent_id, root_id, attempt,
     chapter, seq, epoch, crashes, why, cancel, due_at_ms, alarm_at_ms, started_at_ms, finished_at_ms, tags, worker, schedule) = row
    # fmt: on
    return RunInfo(
        id_,
        namespace,
        workflow,
        version,
        Status(status),
        created_at_ms,
        pool=pool,
        priority=priority,
        reference_id=reference_id,
        parent_id=parent_id,
        root_id=root_id,
        attempt=attempt,
        chapter=chapter,
        seq=seq,
        epoch=epoch,
        crashes=crashes,
        why=why,
        cancel_requested=cancel is not None,
        due_at_ms=due_at_ms,
        alarm_at_ms=alarm_at_ms,
        started_at_ms=started_at_ms,
        finished_at_ms=finished_at_ms,
        tags=rows.tags_of(tags),
        worker=worker,
        schedule=schedule,
    )


def _wait_info(wait: Wait) -> WaitInfo:
    return WaitInfo(str(wait.key.kind), wait.label or wait.key.address, wait.deadline_ms, wait.attempt, wait.error)


def _waits(run_id: str) -> Reading[list[Wait]]:
    found = yield from _ask("waits", run_id=run_id)
    return sorted((rows.wait_of(wait) for (wait,) in found), key=lambda wait: wait.order)


def _place_of(cursor: str | None) -> tuple[int, str]:
    if cursor is None:
        return _BEYOND_ALL_MS, ""
    created_at_ms, dot, run_id = cursor.partition(".")
    if not dot or not created_at_ms.isdecimal() or len(created_at_ms) > len(str(_BEYOND_ALL_MS)):
        raise InvalidInput(f"cursor is {cursor[:60]!r}: give the next_cursor of the page before", path="cursor")
    return min(int(created_at_ms), _BEYOND_ALL_MS), run_id


def _filters(runs: RunFilter) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the conditions that a filter asks for, and all values but those of the page."""
    wanted: dict[str, Any] = {
        "workflow": runs.workflow,
        "version": runs.version,
        "reference_id": runs.reference_id,
        "parent_id": runs.parent_id,
        "schedule": runs.schedule,
        "after_ms": runs.started_after_ms,
        "until_ms": runs.started_before_ms,
        "statuses": [str(status) for status in runs.status] or None,
        "tags": rows.text(runs.tags) if runs.tags else None,
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    return tuple(f"where_{name}" for name in given), {"namespace": runs.namespace, **given}


# ---------------------------------------------------------------------------------------------------------- schedules


def list_schedules(namespace: str, *, after: str, limit: int) -> Reading[list[ScheduleRow]]:
    """Return schedules by name, after a name."""
    found = yield from _ask("list_schedules", namespace=namespace, after=after, limit=limit)
    return [rows.schedule_of(column) for (column,) in found]


def schedule(namespace: str, name: str, *, limit: int) -> Reading[tuple[ScheduleRow, list[StartedTick]] | None]:
    """Return a schedule, and at most `limit` runs that it has started last."""
    found = yield from _ask("schedule", namespace=namespace, name=name)
    if not found:
        return None
    last = yield from _ask("started_by_schedule", namespace=namespace, name=name, limit=limit)
    started = [StartedTick(run_id, Status(status), at_ms) for run_id, status, at_ms in last]
    return rows.schedule_of(found[0][0]), started


def due_schedules(*, now_ms: int, limit: int) -> Reading[list[ScheduleName]]:
    """Return the schedules of which a tick is due, earliest first."""
    found = yield from _ask("due_schedules", now_ms=now_ms, limit=limit)
    return [(namespace, name) for namespace, name in found]


# ----------------------------------------------------------------------------------------------------------- journals


def fetch(run_id: str, *, session_id: str, epoch: int, after_seq: int) -> Reading[JournalPage | None]:
    """Return a page of the journal of a run that a session owns under `epoch`, None if it does not."""
    found = yield from _ask("journal_place", run_id=run_id)
    if not found or tuple(found[0][3:]) != (epoch, session_id):
        return None
    page = yield from _journal_page(run_id, after_seq=after_seq)
    if page is None or page.epoch != epoch or after_seq > 0:
        return page
    ((input_, _),) = yield from _ask("input", run_id=run_id)
    waits = yield from _waits(run_id)
    return msgspec.structs.replace(page, input=rows.payload_of(input_), waits=tuple(waits))


def _journal_page(run_id: str, *, after_seq: int) -> Reading[JournalPage | None]:
    place = yield from _ask("journal_place", run_id=run_id)
    if not place:
        return None
    chapter, attempt, seq, epoch, _ = place[0]
    found = yield from _ask(
        "journal_page",
        run_id=run_id,
        chapter=chapter,
        attempt=attempt,
        after=after_seq,
        until=after_seq + JOURNAL_ROWS,
        bytes_max=JOURNAL_BYTES,
    )
    entries = tuple(rows.entry_of(entry) for (entry,) in found)
    return JournalPage(run_id, epoch, seq, entries, has_more=bool(entries) and entries[-1].seq < seq)


# ------------------------------------------------------------------------------------------------------------- server


def ends(namespace: str, run_ids: Collection[str]) -> Reading[dict[str, Finished | None]]:
    """Return how runs ended, None for those that have not; unknown runs are left out."""
    found = yield from _ask("ends", ids=_bounded(run_ids), namespace=namespace)
    return {
        run_id: None
        if status is None
        else Finished(run_id, Status(status), rows.payload_of(output), rows.failure_of(error))
        for run_id, status, output, error in found
    }


def announcements(*, limit: int) -> Reading[list[tuple[str, VersionInfo]]]:
    """Return what workers have announced, the newest first."""
    return [
        (
            namespace,
            VersionInfo(workflow, version, rows.payload_of(input_), rows.payload_of(output), _schemas.decode(events)),
        )
        for namespace, workflow, version, input_, output, events in (yield from _ask("announcements", limit=limit))
    ]


def versions_of(run_ids: Collection[str]) -> Reading[dict[str, tuple[str, str, str]]]:
    """Return namespace, workflow and version of runs."""
    found = yield from _ask("versions_of", ids=_bounded(run_ids))
    return {run_id: (namespace, workflow, version) for run_id, namespace, workflow, version in found}


def due_runs(*, now_ms: int, limit: int) -> Reading[list[DueRun]]:
    """Return runs whose alarm is due, earliest first."""
    found = yield from _ask("due_runs", now_ms=now_ms, limit=limit)
    return [DueRun(run_id, Status(status) in TERMINAL) for run_id, status in found]


def ended_runs(*, until_ms: int, after: tuple[int, str], limit: int) -> Reading[list[EndedRun]]:
    """Return runs that ended until a moment and come after another, in the order of their ends."""
    found = yield from _ask("ended_runs", until_ms=until_ms, after_ms=after[0], after_id=after[1], limit=limit)
    return [EndedRun(run_id, parent_id, end_ms, rows_, bool(kept)) for run_id, parent_id, end_ms, rows_, kept in found]


def ids(statement: str, **values: int) -> Reading[list[str]]:
    """Return what a statement of one column of ids finds."""
    return [found for (found,) in (yield from _ask(statement, **values))]


def moment_ms(statement: str, **values: int) -> Reading[int | None]:
    """Return the one moment that a statement finds."""
    ((found,),) = yield from _ask(statement, **values)
    return None if found is None else int(found)


def ready_queues(queues: Collection[Queue]) -> Reading[list[Queue]]:
    """Return those of `queues` in which runs wait."""
    wanted = [msgspec.structs.astuple(queue) for queue in queues]
    return [Queue(*queue) for queue in (yield from _ask("ready_queues", rows=wanted))]


def waiting_runs(*, due_before_ms: int, limit: int) -> Reading[list[WaitingRun]]:
    """Return the first runs of each queue, at most `limit` of each, that have been ready since before a moment."""
    found: list[WaitingRun] = []
    for row in (yield from _ask("queues", limit=QUEUES_MAX)):
        queue = Queue(*row)
        named = msgspec.structs.asdict(queue)
        waiting = yield from _ask("waiting_runs", due_before_ms=due_before_ms, limit=limit, **named)
        found += [WaitingRun(run_id, queue, priority, due_at_ms) for run_id, priority, due_at_ms in waiting]
    return found


def _bounded(run_ids: Collection[str]) -> list[str]:
    if len(run_ids) > IDS_MAX:
        raise InvalidInput(f"{len(run_ids)} runs were asked for at once; the limit is {IDS_MAX}", path="run_ids")
    return list(run_ids)
