"""Reads outside of any transaction: what people ask for, and what the server's loops look at.

The rule: nothing here is a ground for a decision about another row; the loops' finds are judged again under the lock.
Each read is one function of a connection, so that it can be done in whichever lane has time.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from aiki.errors import InvalidInput
from aiki.model.journal import Entry, Wait
from aiki.model.lifecycle import TERMINAL, Reason, Status
from aiki.model.run import Queue
from aiki.model.views import RunFilter, RunInfo, RunPage, WaitInfo
from aiki.model.wire import Finished, JournalPage, VersionInfo
from aiki.model.working_set import History
from aiki.store import rows
from aiki.store.base import HISTORY_ROWS, IDS_MAX, JOURNAL_BYTES, PAGE_ROWS_MAX, DueRun
from aiki.store.sql import statements

__all__ = [
    "announcements",
    "count",
    "due_runs",
    "ends",
    "entries_up_to",
    "fetch",
    "history",
    "id_by_reference",
    "ids",
    "info",
    "journal",
    "list_runs",
    "moment_ms",
    "ready_queues",
    "value",
    "versions_of",
]

READ: Final = statements("read", dialect="sqlite")
LOAD: Final = statements("load", dialect="sqlite")

_FILTERS: Final = "/* filters */"
_HAS_TAGS: Final = """NOT EXISTS (
       SELECT 1
         FROM json_each(:tags) AS wanted
        WHERE NOT EXISTS (SELECT 1 FROM tags WHERE tags.namespace = runs.namespace AND name = wanted.key
                             AND tags.value = wanted.value AND run_id = runs.id))"""
_BEYOND_ALL_MS: Final = 2**62

_ids: Final = msgspec.json.Encoder().encode
_schemas: Final = msgspec.json.Decoder(dict[str, Raw])


# ------------------------------------------------------------------------------------------------------------- people


def info(connection: sqlite3.Connection, namespace: str, run_id: str) -> RunInfo | None:
    """Return a run with payloads and open waits."""
    row = connection.execute(READ["info"], {"namespace": namespace, "run_id": run_id}).fetchone()
    if row is None:
        return None
    *shown, input_, output, error = row
    return msgspec.structs.replace(
        _info_of(shown),
        waits=tuple(_wait_info(wait) for wait in _waits(connection, run_id)),
        input=rows.payload_of(input_),
        output=rows.payload_of(output),
        error=rows.failure_of(error),
    )


def id_by_reference(connection: sqlite3.Connection, namespace: str, workflow: str, reference_id: str) -> str | None:
    """Return the id of the run that bears a reference id."""
    named = {"namespace": namespace, "workflow": workflow, "reference_id": reference_id}
    row = connection.execute(READ["id_by_reference"], named).fetchone()
    return None if row is None else str(row[0])


def list_runs(connection: sqlite3.Connection, runs: RunFilter) -> RunPage:
    """Return a page of runs, newest first.

    Raises:
        InvalidInput: the cursor or the limit is none.
    """
    if not 1 <= runs.limit <= PAGE_ROWS_MAX:
        raise InvalidInput(f"limit is {runs.limit}: a page holds 1 to {PAGE_ROWS_MAX} runs", path="limit")
    before_ms, before_id = _place_of(runs.cursor)
    conditions, named = _conditions(runs)
    named |= {"before_ms": before_ms, "before_id": before_id, "limit": runs.limit + 1}
    found = [_info_of(row) for row in connection.execute(READ["list"].replace(_FILTERS, conditions), named)]
    page = found[: runs.limit]
    has_more = len(found) > runs.limit
    return RunPage(tuple(page), f"{page[-1].created_at_ms}.{page[-1].id}" if has_more else None)


def count(connection: sqlite3.Connection, runs: RunFilter) -> dict[Status, int]:
    """Return how many runs there are, by status."""
    conditions, named = _conditions(runs)
    found = connection.execute(READ["count"].replace(_FILTERS, conditions), named)
    return {Status(status): number for status, number in found}


def value(connection: sqlite3.Connection, namespace: str, run_id: str, *, name: str) -> Raw | None:
    """Return what a run published under a name."""
    row = connection.execute(READ["value"], {"namespace": namespace, "run_id": run_id, "name": name}).fetchone()
    return None if row is None else rows.payload_of(row[0])


def journal(connection: sqlite3.Connection, namespace: str, run_id: str, *, after_seq: int) -> JournalPage | None:
    """Return a page of the journal of a run's current attempt and chapter."""
    found = connection.execute(READ["namespace"], {"run_id": run_id}).fetchone()
    if found is None or found[0] != namespace:
        return None
    return _journal_page(connection, run_id, after_seq=after_seq)


def history(connection: sqlite3.Connection, run_id: str) -> list[History]:
    """Return how a run came to where it stands."""
    found = connection.execute(READ["history"], {"run_id": run_id, "limit": HISTORY_ROWS})
    return [
        History(run_id, at_ms, None if old is None else Status(old), Status(new), Reason(reason), note)
        for _, at_ms, old, new, reason, note in found
    ]


def _info_of(row: Iterable[Any]) -> RunInfo:
    # fmt: off
    (id_, namespace, workflow, version, status, created_at_ms, pool, priority, reference_id, parent_id, root_id, attempt,
     chapter, seq, epoch, crashes, why, cancel, due_at_ms, alarm_at_ms, started_at_ms, finished_at_ms, tags, worker) = row
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
    )


def _wait_info(wait: Wait) -> WaitInfo:
    return WaitInfo(str(wait.key.kind), wait.label or wait.key.address, wait.deadline_ms, wait.attempt, wait.error)


def _waits(connection: sqlite3.Connection, run_id: str) -> list[Wait]:
    found = connection.execute(LOAD["waits"], {"run_id": run_id})
    return sorted((rows.wait_of(wait) for (wait,) in found), key=lambda wait: wait.order)


def _place_of(cursor: str | None) -> tuple[int, str]:
    if cursor is None:
        return _BEYOND_ALL_MS, ""
    created_at_ms, dot, run_id = cursor.partition(".")
    if not dot or not created_at_ms.isdecimal() or len(created_at_ms) > len(str(_BEYOND_ALL_MS)):
        raise InvalidInput(f"cursor is {cursor[:60]!r}: give the next_cursor of the page before", path="cursor")
    return min(int(created_at_ms), _BEYOND_ALL_MS), run_id


def _conditions(runs: RunFilter) -> tuple[str, dict[str, Any]]:
    """Return the conditions that a filter asks for, and all named values but those of the page."""
    named: dict[str, Any] = {"namespace": runs.namespace}
    parts: list[str] = []
    for name, column, wanted in (
        ("workflow", "workflow =", runs.workflow),
        ("version", "version =", runs.version),
        ("reference_id", "reference_id =", runs.reference_id),
        ("parent_id", "parent_id =", runs.parent_id),
        ("after_ms", "started_at_ms >=", runs.started_after_ms),
        ("until_ms", "started_at_ms <", runs.started_before_ms),
    ):
        if wanted is not None:
            parts.append(f"{column} :{name}")
            named[name] = wanted
    if runs.status:
        parts.append("status IN (SELECT value FROM json_each(:status))")
        named["status"] = _ids([str(status) for status in runs.status]).decode()
    if runs.tags:
        parts.append(_HAS_TAGS)
        named["tags"] = rows.text(runs.tags)
    return "".join(f" AND {part}" for part in parts), named


# ----------------------------------------------------------------------------------------------------------- journals


def entries_up_to(column: Iterable[tuple[str]], *, limit_bytes: int = JOURNAL_BYTES) -> tuple[tuple[Entry, ...], bool]:
    """Return the first entries of a journal, at least one and else at most `limit_bytes`, and whether more follow."""
    entries: list[Entry] = []
    size_bytes = 0
    for (entry,) in column:
        size_bytes += len(entry)
        if entries and size_bytes > limit_bytes:
            return tuple(entries), True
        entries.append(rows.entry_of(entry))
    return tuple(entries), False


def fetch(
    connection: sqlite3.Connection, run_id: str, *, session_id: str, epoch: int, after_seq: int
) -> JournalPage | None:
    """Return a page of the journal of a run that a session owns under `epoch`, None if it does not."""
    place = connection.execute(READ["journal_place"], {"run_id": run_id}).fetchone()
    if place is None or (place[3], place[4]) != (epoch, session_id):
        return None
    page = _journal_page(connection, run_id, after_seq=after_seq)
    if page is None or page.epoch != epoch or after_seq > 0:
        return page
    input_, _ = connection.execute(LOAD["input"], {"run_id": run_id}).fetchone()
    return msgspec.structs.replace(page, input=rows.payload_of(input_), waits=tuple(_waits(connection, run_id)))


def _journal_page(connection: sqlite3.Connection, run_id: str, *, after_seq: int) -> JournalPage | None:
    place = connection.execute(READ["journal_place"], {"run_id": run_id}).fetchone()
    if place is None:
        return None
    chapter, attempt, seq, epoch, _ = place
    named = {"run_id": run_id, "chapter": chapter, "attempt": attempt, "after": after_seq}
    entries, has_more = entries_up_to(connection.execute(LOAD["journal"], named))
    return JournalPage(run_id, epoch, seq, entries, has_more)


# ------------------------------------------------------------------------------------------------------------- server


def ends(connection: sqlite3.Connection, namespace: str, run_ids: Collection[str]) -> dict[str, Finished | None]:
    """Return how runs ended, None for those that have not; unknown runs are left out."""
    if len(run_ids) > IDS_MAX:
        raise InvalidInput(f"{len(run_ids)} runs were asked for at once; the limit is {IDS_MAX}", path="run_ids")
    found = connection.execute(READ["ends"], {"ids": _ids(list(run_ids)).decode(), "namespace": namespace})
    return {
        run_id: None
        if status is None
        else Finished(run_id, Status(status), rows.payload_of(output), rows.failure_of(error))
        for run_id, status, output, error in found
    }


def announcements(connection: sqlite3.Connection, *, limit: int) -> list[tuple[str, VersionInfo]]:
    """Return what workers have announced, the newest first."""
    found = connection.execute(READ["announcements"], {"limit": limit})
    return [
        (
            namespace,
            VersionInfo(workflow, version, rows.payload_of(input_), rows.payload_of(output), _schemas.decode(events)),
        )
        for namespace, workflow, version, input_, output, events in found
    ]


def versions_of(connection: sqlite3.Connection, run_ids: Collection[str]) -> dict[str, tuple[str, str, str]]:
    """Return namespace, workflow and version of runs."""
    if len(run_ids) > IDS_MAX:
        raise InvalidInput(f"{len(run_ids)} runs were asked for at once; the limit is {IDS_MAX}", path="run_ids")
    found = connection.execute(READ["versions_of"], {"ids": _ids(list(run_ids)).decode()})
    return {run_id: (namespace, workflow, version) for run_id, namespace, workflow, version in found}


def due_runs(connection: sqlite3.Connection, *, now_ms: int, limit: int) -> list[DueRun]:
    """Return runs whose alarm is due, earliest first."""
    found = connection.execute(READ["due_runs"], {"now_ms": now_ms, "limit": limit})
    return [DueRun(run_id, Status(status) in TERMINAL) for run_id, status in found]


def ids(connection: sqlite3.Connection, statement: str, named: Mapping[str, int]) -> list[str]:
    """Return what a statement of one column of ids finds."""
    return [found for (found,) in connection.execute(READ[statement], named)]


def moment_ms(connection: sqlite3.Connection, statement: str) -> int | None:
    """Return the one moment that a statement finds."""
    (found,) = connection.execute(READ[statement]).fetchone()
    return None if found is None else int(found)


def ready_queues(connection: sqlite3.Connection, queues: Iterable[Queue]) -> list[Queue]:
    """Return those of `queues` in which runs wait."""
    return [queue for queue in queues if connection.execute(READ["is_ready"], msgspec.structs.asdict(queue)).fetchone()]
