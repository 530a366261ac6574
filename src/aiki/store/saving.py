"""The changes of a working set become rows.

The rule: only what changed is written, in the order of `save`: what was there goes before what comes, so that a wait
closed and opened again within one batch stands. Rows that two servers may write at once are sorted by their keys.
"""

import sqlite3
from collections.abc import Iterable
from typing import Final

from aiki.model.run import NewRun, RunRow
from aiki.model.schedule import ScheduleName, ScheduleRow
from aiki.model.views import introduced
from aiki.model.working_set import WorkingSet
from aiki.store import rows
from aiki.store.base import StoreRefused
from aiki.store.rows import Columns
from aiki.store.sql import statements

__all__ = ["DELETED_WITH_RUN", "changes", "save"]

SAVE: Final = statements("save", dialect="sqlite")

DELETED_WITH_RUN: Final = (
    "delete_journal",
    "delete_inbox",
    "delete_values",
    "delete_history",
    "delete_tags",
    "delete_inputs",
    "delete_ends",
    "delete_runs",
)
"""The statements that delete all rows of a run, with `clear_waits` and `clear_waiters`."""

# What the driver raises for a row that the database cannot keep: a broken constraint, text that is no UTF-8 or too
# long, an integer beyond 64 bits, a type that it does not know.
_REFUSALS: Final = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    ValueError,
)


def save(connection: sqlite3.Connection, ws: WorkingSet, *, loaded: dict[str, RunRow]) -> bool:
    """Write what changed and return whether anything did. `loaded` are the rows as they were. A transaction must be open.

    Raises:
        StoreRefused: a row cannot be kept; the transaction is to be rolled back.
    """
    before = connection.total_changes
    for name, changed in changes(ws, loaded):
        try:
            values = list(changed)
            if values:
                connection.executemany(SAVE[name], values)
        except _REFUSALS as error:
            raise StoreRefused(f"the database refuses what {name} was to write: {error}", statement=name) from error
    return connection.total_changes != before


def changes(ws: WorkingSet, loaded: dict[str, RunRow]) -> Iterable[tuple[str, Iterable[Columns]]]:
    """Yield the statements with their rows. Rows are made only as they are needed: making them may fail too."""
    for statement in DELETED_WITH_RUN if ws.removed_runs else ():
        yield statement, _each(ws.removed_runs)
    yield "delete_sessions", _each(ws.removed_sessions)
    yield "delete_introductions", _each(ws.removed_sessions)
    yield "delete_jobs", _each(ws.removed_jobs)
    yield "delete_workflows", ws.removed_versions
    yield "drop_chapters", ws.dropped_chapters
    yield "drop_moves", ws.dropped_chapters
    yield "drop_attempts", ws.dropped_attempts
    yield "drop_moves_of_attempts", ws.dropped_attempts
    yield from _run_changes(ws, loaded)
    yield "update_inputs", ((rows.text_or_none(payload), run_id) for run_id, payload in ws.new_inputs.items())
    yield "upsert_ends", (rows.end_columns(run_id, end) for run_id, end in ws.new_ends.items())
    yield (
        "insert_entries",
        ((run_id, chapter, attempt, e.seq, rows.text(e)) for run_id, chapter, attempt, e in ws.new_entries),
    )
    yield "clear_waits", _each([*ws.removed_runs, *ws.cleared_waits])
    yield "delete_waits", ((run_id, str(key.kind), key.address, key.ordinal) for run_id, key in ws.removed_waits)
    yield (
        "upsert_waits",
        (
            (run_id, str(key.kind), key.address, key.ordinal, rows.text(wait))
            for (run_id, key), wait in ws.new_waits.items()
        ),
    )
    yield "clear_waiters", _each([*ws.removed_runs, *ws.cleared_waiters])
    yield "delete_waiters", ((w.target_id, w.run_id, w.ordinal) for w in ws.removed_waiters)
    yield "insert_waiters", ((w.target_id, w.run_id, w.ordinal) for w in ws.new_waiters)
    yield from _mail_changes(ws)
    yield "upsert_sessions", (rows.session_columns(row) for _, row in sorted(ws.changed_sessions.items()))
    yield (
        "insert_introductions",
        ((said.session_id, rows.text(introduced(said, at_ms=ws.now_ms))) for said in ws.new_announcements),
    )
    yield "delete_schedules", sorted(ws.removed_schedules)
    schedules = sorted(ws.changed_schedules.items(), key=_name)
    yield "insert_schedules", (rows.new_schedule_columns(row) for name, row in schedules if name in ws.new_schedules)
    yield "update_schedules", (rows.schedule_columns(row) for name, row in schedules if name not in ws.new_schedules)
    yield "upsert_workflows", _announced(ws)
    values = {(v.run_id, v.name): v for v in ws.new_values}  # the last one counts
    yield "upsert_values", ((v.run_id, v.name, rows.text_or_none(v.payload)) for v in values.values())
    yield "insert_jobs", (rows.new_job_columns(job) for _, job in sorted(ws.new_jobs.items()))
    yield (
        "update_jobs",
        ((rows.text(j.progress), j.finished_at_ms, job_id) for job_id, j in sorted(ws.changed_jobs.items())),
    )
    yield (
        "insert_history",
        (
            (h.run_id, h.at_ms, h.old and str(h.old), str(h.new), str(h.reason), h.note, h.chapter, h.attempt, h.worker)
            for h in ws.history
        ),
    )


def _run_changes(ws: WorkingSet, loaded: dict[str, RunRow]) -> Iterable[tuple[str, Iterable[Columns]]]:
    advance: list[Columns] = []
    move: list[Columns] = []
    for run_id, row in sorted(ws.changed_runs.items()):
        position = rows.moved(row)
        if position == rows.moved(loaded[run_id]):
            advance.append((*rows.advanced(row), run_id))
        else:
            move.append((*rows.advanced(row), *position, run_id))
    yield "advance_runs", advance
    yield "move_runs", move
    new_runs = sorted(ws.new_runs.items(), key=_unique_key)
    yield "insert_runs", (rows.run_columns(new.row) for _, new in new_runs)
    yield (
        "insert_inputs",
        ((run_id, rows.text_or_none(new.input), rows.text(new.tags) if new.tags else "{}") for run_id, new in new_runs),
    )
    yield (
        "insert_tags",
        ((new.row.namespace, name, value, run_id) for run_id, new in new_runs for name, value in new.tags.items()),
    )


def _unique_key(item: tuple[str, NewRun]) -> tuple[bool, str, str, str, str]:
    """Return the order in which runs are inserted: that of the keys that two servers may want to take at once."""
    run_id, row = item[0], item[1].row
    return row.reference_id is None, row.namespace, row.workflow, row.reference_id or "", run_id


def _mail_changes(ws: WorkingSet) -> Iterable[tuple[str, Iterable[Columns]]]:
    unread = set(ws.unread_mail)
    read = set(ws.read_mail) - unread
    new = {(run_id, mail.number) for run_id, mail in ws.new_mail}
    yield "clear_results", _each(ws.cleared_waiters)
    yield "drop_results", _each(ws.trimmed_inboxes)
    yield "trim_mail", _each(ws.trimmed_inboxes)
    yield "void_requests", _each(ws.voided_requests)
    yield "delete_results", ws.removed_mail
    yield (
        "insert_mail",
        (
            (run_id, m.number, m.id, str(m.kind), m.name, m.ordinal, int((run_id, m.number) in read), rows.text(m))
            for run_id, m in ws.new_mail
        ),
    )
    yield "read_mail", sorted(read - new)
    yield "unread_mail", sorted(unread - new)


def _announced(ws: WorkingSet) -> Iterable[Columns]:
    """Return the announced versions: each once, as it was announced last, and in order, which is that of their locks."""
    found: dict[tuple[str, str, str], Columns] = {}
    for announce in ws.new_announcements:
        for version in announce.versions:
            key = (announce.namespace, version.workflow, version.version)
            found[key] = (
                *key,
                rows.text_or_none(version.input_schema),
                rows.text_or_none(version.output_schema),
                rows.text(version.events),
                announce.worker,
                ws.now_ms,
            )
    return (found[key] for key in sorted(found))


def _name(item: tuple[ScheduleName, ScheduleRow]) -> ScheduleName:
    return item[0]


def _each(ids: Iterable[str]) -> Iterable[Columns]:
    return ((id_,) for id_ in ids)
