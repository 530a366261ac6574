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
from aiki.model.journal import Mail, Wait
from aiki.model.lifecycle import TERMINAL, Reason, Status
from aiki.model.run import Queue
from aiki.model.schedule import ScheduleName, ScheduleRow, StartedTick
from aiki.model.views import (
    HistoryPage,
    InboxPage,
    Move,
    Published,
    Received,
    RunFilter,
    RunInfo,
    RunPage,
    ValuesPage,
    WaitInfo,
    cursor_of,
)
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
from aiki.store.filtering import FEW_ROWS, conditions, each_status, place_of, tags_of
from aiki.store.rows import Columns

__all__ = [
    "Question",
    "Reading",
    "announcements",
    "ask",
    "by_reference",
    "count",
    "due_runs",
    "due_schedules",
    "ended_runs",
    "ends",
    "fetch",
    "history",
    "ids",
    "ids_by_reference",
    "inbox",
    "info",
    "journal",
    "list_runs",
    "list_schedules",
    "moment_ms",
    "moves",
    "published",
    "ready_queues",
    "schedule",
    "unused_versions",
    "value",
    "versions_of",
    "waiting_runs",
]

QUEUES_MAX: Final = 1_000  # looked at for what waits in them

T = TypeVar("T")


class Question(Struct, frozen=True):
    """A statement of read.sql and its values.

    Attributes:
        values: by name. A list stands for many ids or words; `rows` is a list of tuples.
        filters: the names of the conditions, statements of their own, that go in the place of its mark.
        is_search: it may look at more runs than anybody wants to wait for, and is to be stopped then.
    """

    name: str
    values: dict[str, Any]
    filters: tuple[str, ...] = ()
    is_search: bool = False


Reading = Generator[Question, Sequence[Columns], T]
"""A read: yields questions, is sent the rows of each, returns what was found."""


def ask(statement: str, /, **values: Any) -> Reading[Sequence[Columns]]:
    """Ask one question, and return its rows."""
    return (yield Question(statement, values))


# ------------------------------------------------------------------------------------------------------------- people


def info(namespace: str, run_id: str) -> Reading[RunInfo | None]:
    """Return a run with payloads and open waits."""
    found = yield from ask("info", namespace=namespace, run_id=run_id)
    if not found:
        return None
    *shown, input_, output, error = found[0]
    waits = yield from _waits(run_id)
    return msgspec.structs.replace(
        _info_of(shown),
        waits=tuple(_wait_info(wait) for wait in waits),
        waits_count=len(waits),
        input=rows.payload_of(input_),
        output=rows.payload_of(output),
        error=rows.failure_of(error),
    )


def by_reference(namespace: str, workflow: str, reference_id: str) -> Reading[RunInfo | None]:
    """Return the run that bears a reference id."""
    found = yield from ask("id_by_reference", namespace=namespace, workflow=workflow, reference_id=reference_id)
    return (yield from info(namespace, found[0][0])) if found else None


def ids_by_reference(namespace: str, workflow: str, reference_ids: Collection[str]) -> Reading[dict[str, str]]:
    """Return the runs of a workflow that bear reference ids, by these."""
    found = yield from ask(
        "ids_by_reference", namespace=namespace, workflow=workflow, reference_ids=_bounded(reference_ids)
    )
    return {str(reference_id): str(run_id) for reference_id, run_id in found}


def list_runs(runs: RunFilter) -> Reading[RunPage]:
    """Return a page of runs, newest first.

    Raises:
        InvalidInput: the cursor or the limit is none, or too many runs would have to be looked at.
    """
    if not 1 <= runs.limit <= PAGE_ROWS_MAX:
        raise InvalidInput(f"limit is {runs.limit}: a page holds 1 to {PAGE_ROWS_MAX} runs", path="limit")
    before_ms, before_id = place_of(runs.cursor)
    page = {"before_ms": before_ms, "before_id": before_id, "limit": runs.limit + 1}
    leading_tag = yield from _leading_tag(runs)
    ids: list[str] = []
    for wanted in each_status(runs):
        found = conditions(wanted, leading_tag=leading_tag)
        statement = "newest_of_few" if found.are_few else "newest"
        ids += [run_id for (run_id,) in (yield Question(statement, found.values | page, found.names, is_search=True))]
    newest = [_listed(row) for row in (yield from ask("list", ids=list(dict.fromkeys(ids))))]
    shown = newest[: runs.limit]
    has_more = len(newest) > runs.limit
    return RunPage(tuple(shown), cursor_of(shown[-1].created_at_ms, shown[-1].id) if has_more else None)


def _listed(row: Columns) -> RunInfo:
    """Return a run as a line of a list: with one of its waits, and without what its error said."""
    *shown, count, wait = row
    info = _info_of(shown)
    if wait is None:
        return info
    first = msgspec.structs.replace(_wait_info(rows.wait_of(wait)), error=None)
    return msgspec.structs.replace(info, waits=(first,), waits_count=count)


def count(runs: RunFilter) -> Reading[dict[Status, int]]:
    """Return how many runs there are, by status.

    Raises:
        InvalidInput: too many runs would have to be looked at.
    """
    found = conditions(runs, leading_tag=(yield from _leading_tag(runs)))
    counted = yield Question("count", found.values, found.names, is_search=True)
    return {Status(status): number for status, number in counted}


def _leading_tag(runs: RunFilter) -> Reading[str | None]:
    """Return the wanted tag that fewest runs bear, None if all are borne by many."""
    fewest, leading = FEW_ROWS + 1, None
    for name, values in tags_of(runs):
        number = len((yield from ask("tag_rows", **values)))
        if number < fewest:
            fewest, leading = number, name
    return leading


def value(namespace: str, run_id: str, *, name: str) -> Reading[Raw | None]:
    """Return what a run published under a name."""
    found = yield from ask("value", namespace=namespace, run_id=run_id, name=name)
    return rows.payload_of(found[0][0]) if found else None


def journal(
    namespace: str, run_id: str, *, after_seq: int, chapter: int | None, attempt: int | None
) -> Reading[JournalPage | None]:
    """Return a page of the journal of a run: of its current chapter and attempt, or of others."""
    if not (yield from _is_there(namespace, run_id)):
        return None
    return (yield from _journal_page(run_id, after_seq=after_seq, chapter=chapter, attempt=attempt))


def history(run_id: str) -> Reading[list[History]]:
    """Return how a run came to where it stands."""
    return [
        History(run_id, move.at_ms, move.old, move.new, move.reason, move.note, worker=move.worker)
        for move in (yield from _moves(run_id, after=0, limit=HISTORY_ROWS))
    ]


def moves(namespace: str, run_id: str, *, after: int, limit: int) -> Reading[HistoryPage | None]:
    """Return a page of how a run came to where it stands."""
    if not (yield from _is_there(namespace, run_id)):
        return None
    found = yield from _moves(run_id, after=after, limit=limit + 1)
    return HistoryPage(tuple(found[:limit]), found[limit - 1].number if len(found) > limit else None)


def _moves(run_id: str, *, after: int, limit: int) -> Reading[list[Move]]:
    return [
        Move(number, at_ms, Status(new), Reason(reason), None if old is None else Status(old), note, worker)
        for number, at_ms, old, new, reason, note, worker in (
            yield from ask("history", run_id=run_id, after=after, limit=limit)
        )
    ]


def inbox(namespace: str, run_id: str, *, after: int, limit: int, unread: bool) -> Reading[InboxPage | None]:
    """Return a page of what a run was sent: all, or what it has not read."""
    if not (yield from _is_there(namespace, run_id)):
        return None
    statement = "inbox_unread" if unread else "inbox"
    found = yield from ask(statement, run_id=run_id, after=after, limit=limit + 1)
    shown, has_more = _up_to(found, limit=limit)
    received = tuple(_received(rows.mail_of(mail), is_read=is_read != 0) for mail, is_read in shown)
    return InboxPage(received, received[-1].number if has_more else None)


def published(namespace: str, run_id: str, *, after: str, limit: int) -> Reading[ValuesPage | None]:
    """Return a page of what a run has published, by name."""
    if not (yield from _is_there(namespace, run_id)):
        return None
    found = yield from ask("published", run_id=run_id, after=after, limit=limit + 1)
    shown, has_more = _up_to(found, limit=limit)
    values = tuple(Published(name, rows.payload_of(payload)) for payload, name in shown)
    return ValuesPage(values, values[-1].name if has_more else None)


def _is_there(namespace: str, run_id: str) -> Reading[bool]:
    found = yield from ask("namespace", run_id=run_id)
    return bool(found) and found[0][0] == namespace


def _up_to(found: Sequence[Columns], *, limit: int) -> tuple[Sequence[Columns], bool]:
    """Return the first rows, at least one and else at most `JOURNAL_BYTES` of their first column; and if more follow."""
    size_bytes = 0
    for place, row in enumerate(found[:limit]):
        size_bytes += len(row[0])
        if place and size_bytes > JOURNAL_BYTES:
            return found[:place], True
    return found[:limit], len(found) > limit


def _received(mail: Mail, *, is_read: bool) -> Received:
    return Received(
        mail.number, mail.id, mail.kind, mail.at_ms, mail.name, is_read, mail.payload, mail.reason, mail.status
    )


def _info_of(row: Iterable[Any]) -> RunInfo:
    # fmt: off
    (id_, namespace, workflow, version, status, created_at_ms, pool, priority, reference_id, parent_id, root_id, attempt,
     chapter, seq, epoch, crashes, why, cancel, pause, due_at_ms, alarm_at_ms, started_at_ms, finished_at_ms, tags, worker,
     schedule) = row
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
        pause_requested=pause is not None,
        due_at_ms=due_at_ms,
        alarm_at_ms=alarm_at_ms,
        started_at_ms=started_at_ms,
        finished_at_ms=finished_at_ms,
        tags=rows.tags_of(tags),
        worker=worker,
        schedule=schedule,
    )


def _wait_info(wait: Wait) -> WaitInfo:
    name = wait.label or wait.key.address
    return WaitInfo(str(wait.key.kind), name, wait.deadline_ms, wait.attempt, wait.error, wait.tries)


def _waits(run_id: str) -> Reading[list[Wait]]:
    found = yield from ask("waits", run_id=run_id)
    return sorted((rows.wait_of(wait) for (wait,) in found), key=lambda wait: wait.order)


# ---------------------------------------------------------------------------------------------------------- schedules


def list_schedules(namespace: str, *, after: str, limit: int) -> Reading[list[ScheduleRow]]:
    """Return schedules by name, after a name."""
    found = yield from ask("list_schedules", namespace=namespace, after=after, limit=limit)
    return [rows.schedule_of(column) for (column,) in found]


def schedule(namespace: str, name: str, *, limit: int) -> Reading[tuple[ScheduleRow, list[StartedTick]] | None]:
    """Return a schedule, and at most `limit` runs that it has started last."""
    found = yield from ask("schedule", namespace=namespace, name=name)
    if not found:
        return None
    last = yield from ask("started_by_schedule", namespace=namespace, name=name, limit=limit)
    started = [StartedTick(run_id, Status(status), at_ms) for run_id, status, at_ms in last]
    return rows.schedule_of(found[0][0]), started


def due_schedules(*, now_ms: int, limit: int) -> Reading[list[ScheduleName]]:
    """Return the schedules of which a tick is due, earliest first."""
    found = yield from ask("due_schedules", now_ms=now_ms, limit=limit)
    return [(namespace, name) for namespace, name in found]


# ----------------------------------------------------------------------------------------------------------- journals


def fetch(run_id: str, *, session_id: str, epoch: int, after_seq: int) -> Reading[JournalPage | None]:
    """Return a page of the journal of a run that a session owns under `epoch`, None if it does not."""
    found = yield from ask("journal_place", run_id=run_id)
    if not found or tuple(found[0][3:]) != (epoch, session_id):
        return None
    page = yield from _journal_page(run_id, after_seq=after_seq)
    if page is None or page.epoch != epoch or after_seq > 0:
        return page
    ((input_, _),) = yield from ask("input", run_id=run_id)
    waits = yield from _waits(run_id)
    return msgspec.structs.replace(page, input=rows.payload_of(input_), waits=tuple(waits))


def _journal_page(
    run_id: str, *, after_seq: int, chapter: int | None = None, attempt: int | None = None
) -> Reading[JournalPage | None]:
    place = yield from ask("journal_place", run_id=run_id)
    if not place:
        return None
    now_chapter, now_attempt, seq, epoch, _ = place[0]
    chapter, attempt = chapter or now_chapter, attempt or now_attempt
    if (chapter, attempt) != (now_chapter, now_attempt):
        ((seq,),) = yield from ask("journal_length", run_id=run_id, chapter=chapter, attempt=attempt)
    found = yield from ask(
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
    found = yield from ask("ends", ids=_bounded(run_ids), namespace=namespace)
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
            VersionInfo(workflow, version, rows.payload_of(input_), rows.payload_of(output), rows.schemas_of(events)),
        )
        for namespace, workflow, version, input_, output, events in (yield from ask("announcements", limit=limit))
    ]


def versions_of(run_ids: Collection[str]) -> Reading[dict[str, tuple[str, str, str]]]:
    """Return namespace, workflow and version of runs."""
    found = yield from ask("versions_of", ids=_bounded(run_ids))
    return {run_id: (namespace, workflow, version) for run_id, namespace, workflow, version in found}


def due_runs(*, now_ms: int, limit: int) -> Reading[list[DueRun]]:
    """Return runs whose alarm is due, earliest first."""
    found = yield from ask("due_runs", now_ms=now_ms, limit=limit)
    return [DueRun(run_id, Status(status) in TERMINAL) for run_id, status in found]


def ended_runs(*, until_ms: int, after: tuple[int, str], limit: int) -> Reading[list[EndedRun]]:
    """Return runs that ended until a moment and come after another, in the order of their ends."""
    found = yield from ask("ended_runs", until_ms=until_ms, after_ms=after[0], after_id=after[1], limit=limit)
    return [EndedRun(run_id, parent_id, end_ms, rows_, bool(kept)) for run_id, parent_id, end_ms, rows_, kept in found]


def unused_versions(*, until_ms: int, limit: int) -> Reading[list[tuple[str, str, str, int]]]:
    """Return versions announced until a moment that have no run left and whose worker has gone."""
    found = yield from ask("unused_versions", until_ms=until_ms, limit=limit)
    return [(namespace, workflow, version, at_ms) for namespace, workflow, version, at_ms in found]


def ids(statement: str, **values: int) -> Reading[list[str]]:
    """Return what a statement of one column of ids finds."""
    return [found for (found,) in (yield from ask(statement, **values))]


def moment_ms(statement: str, **values: int) -> Reading[int | None]:
    """Return the one moment that a statement finds."""
    ((found,),) = yield from ask(statement, **values)
    return None if found is None else int(found)


def ready_queues(queues: Collection[Queue]) -> Reading[list[Queue]]:
    """Return those of `queues` in which runs wait."""
    wanted = [msgspec.structs.astuple(queue) for queue in queues]
    return [Queue(*queue) for queue in (yield from ask("ready_queues", rows=wanted))]


def waiting_runs(*, due_before_ms: int, limit: int) -> Reading[list[WaitingRun]]:
    """Return the first runs of each queue, at most `limit` of each, that have been ready since before a moment."""
    found: list[WaitingRun] = []
    for row in (yield from ask("queues", limit=QUEUES_MAX)):
        queue = Queue(*row)
        named = msgspec.structs.asdict(queue)
        waiting = yield from ask("waiting_runs", due_before_ms=due_before_ms, limit=limit, **named)
        found += [WaitingRun(run_id, queue, priority, due_at_ms) for run_id, priority, due_at_ms in waiting]
    return found


def _bounded(run_ids: Collection[str]) -> list[str]:
    if len(run_ids) > IDS_MAX:
        raise InvalidInput(f"{len(run_ids)} runs were asked for at once; the limit is {IDS_MAX}", path="run_ids")
    return list(run_ids)
