"""Keys become a working set: the rows that a batch of commands names.

The rule: everything is loaded before anything is decided, and `now_ms` is taken after that, never below the time of
any row loaded. What is named indirectly (by a reference, a session, a queue, a parent) is looked up first, so that the
rows of runs are read in one statement.
"""

import logging
import sqlite3
from collections.abc import Iterable
from typing import Final

import msgspec

from aiki.clock import Clock
from aiki.model.journal import Entry, Mail
from aiki.model.lifecycle import Status
from aiki.model.run import Cascade, RunEnd, RunRow, Waiter
from aiki.model.schedule import Overlap
from aiki.model.working_set import CASCADE_ROWS, EXPIRY_ROWS, MAIL_ROWS, OVERLAP_ROWS, Keys, WorkingSet
from aiki.store import rows
from aiki.store.base import JOURNAL_BYTES, JOURNAL_ROWS, ClaimRows
from aiki.store.loaded import ending, newest_ms
from aiki.store.sql import statements

__all__ = ["load", "read_claims"]

LOAD: Final = statements("load", dialect="sqlite")

OWNED_ROWS_MAX: Final = 100_000  # a session holds fewer: its capacity bounds it

_ids: Final = msgspec.json.Encoder().encode
_log = logging.getLogger("aiki.store")


def load(connection: sqlite3.Connection, keys: Keys, *, clock: Clock) -> WorkingSet:
    """Load what `keys` name. A transaction must be open."""
    ws = WorkingSet(now_ms=0)
    execute = connection.execute
    wanted = keys.runs | keys.finishing | keys.cascading
    _load_schedules(connection, ws, keys, wanted=wanted)
    for reference in keys.references:
        for (run_id,) in execute(LOAD["reference"], _named(("namespace", "workflow", "reference_id"), reference)):
            ws.references[reference] = run_id
            wanted.add(run_id)
    _load_picks(connection, ws, keys, wanted=wanted)
    _load_runs(connection, ws, wanted)
    _load_cascades(connection, ws, keys)
    _load_waiters(connection, ws, keys)
    if keys.ends:
        for run_id, status, output, error in execute(LOAD["ends"], {"ids": _json(keys.ends)}):
            ws.ends[run_id] = RunEnd(Status(status), rows.payload_of(output), rows.failure_of(error))
    if keys.sessions:
        for row in execute(LOAD["sessions"], {"ids": _json(keys.sessions)}):
            ws.sessions[row[0]] = rows.session_of(row)
    if keys.jobs:
        for row in execute(LOAD["jobs"], {"ids": _json(keys.jobs)}):
            job = rows.job_of(row)
            ws.jobs[job.request.id] = job
    _load_mail(connection, ws, keys)
    _load_waits(connection, ws, keys)
    for run_id in keys.journals & ws.runs.keys():
        found = execute(LOAD["journal"], _attempt(ws.runs[run_id]))
        ws.journals[run_id] = [rows.entry_of(entry) for (entry,) in found]
    ws.now_ms = max(clock.now_ms(), newest_ms(ws))
    return ws


def _load_schedules(connection: sqlite3.Connection, ws: WorkingSet, keys: Keys, *, wanted: set[str]) -> None:
    """Load schedules, and find their open runs where a tick has to look at them."""
    if not keys.schedules:
        return
    for (column,) in connection.execute(LOAD["schedules"], {"rows": _json_rows(keys.schedules)}):
        row = rows.schedule_of(column)
        ws.schedules[row.namespace, row.name] = row
    for namespace, name in keys.ticking & ws.schedules.keys():
        if ws.schedules[namespace, name].definition.overlap is Overlap.ALLOW:
            continue
        values = {"namespace": namespace, "name": name, "limit": OVERLAP_ROWS}
        found = connection.execute(LOAD["open_of_schedule"], values)
        ws.open_of[namespace, name] = [run_id for (run_id,) in found]
        wanted.update(ws.open_of[namespace, name])


def _load_picks(connection: sqlite3.Connection, ws: WorkingSet, keys: Keys, *, wanted: set[str]) -> None:
    """Find the runs that are named by who owns them or where they wait."""
    for session_ids, limit, picked in (
        (keys.owned, OWNED_ROWS_MAX, ws.owned),
        (keys.expiring, EXPIRY_ROWS, ws.expiring),
    ):
        for session_id in session_ids:
            found = connection.execute(LOAD["owned"], {"session_id": session_id, "limit": limit})
            picked[session_id] = [run_id for (run_id,) in found]
            wanted.update(picked[session_id])
    for queue, limit in keys.ready.items():
        found = connection.execute(LOAD["ready"], {**msgspec.structs.asdict(queue), "limit": limit})
        ws.ready[queue] = [run_id for (run_id,) in found]
        wanted.update(ws.ready[queue])


def _load_runs(connection: sqlite3.Connection, ws: WorkingSet, run_ids: set[str]) -> None:
    missing = run_ids - ws.runs.keys()
    if missing:
        for row in connection.execute(LOAD["runs"], {"ids": _json(missing)}):
            ws.runs[row[0]] = rows.run_of(row)


def _load_cascades(connection: sqlite3.Connection, ws: WorkingSet, keys: Keys) -> None:
    """Find children to cancel: those of a run whose cascade is over, or that has not ended, are not looked for."""
    wanted: set[str] = set()
    for run_id in keys.cascading & ws.runs.keys():
        cascade = ws.runs[run_id].cascade
        if cascade is Cascade.NONE:
            continue
        statement = "children_to_cancel" if cascade is Cascade.ALL else "children_to_follow"
        found = connection.execute(LOAD[statement], {"parent_id": run_id, "limit": CASCADE_ROWS})
        ws.cascading[run_id] = [child_id for (child_id,) in found]
        wanted.update(ws.cascading[run_id])
    _load_runs(connection, ws, wanted)


def _load_waiters(connection: sqlite3.Connection, ws: WorkingSet, keys: Keys) -> None:
    """Load who waits for runs that may end."""
    targets = ending(ws, keys)
    if not targets:
        return
    waiting: set[str] = set()
    for target_id in targets:
        ws.waiters[target_id] = []
    for row in connection.execute(LOAD["waiters"], {"ids": _json(targets)}):
        waiter = Waiter(*row)
        ws.waiters[waiter.target_id].append(waiter)
        waiting.add(waiter.run_id)
    _load_runs(connection, ws, waiting)


def _load_mail(connection: sqlite3.Connection, ws: WorkingSet, keys: Keys) -> None:
    for run_id, after in keys.mail_after.items():
        run = ws.runs.get(run_id)
        ws.unread[run_id] = [] if run is None or run.mail <= after else _unread(connection, run_id, after=after)
    for run_id, message_id in keys.messages:
        if connection.execute(LOAD["message"], {"run_id": run_id, "message_id": message_id}).fetchone():
            ws.messages.add((run_id, message_id))


def _unread(connection: sqlite3.Connection, run_id: str, *, after: int) -> list[Mail]:
    found = connection.execute(LOAD["unread_mail"], {"run_id": run_id, "after": after, "limit": MAIL_ROWS})
    return [rows.mail_of(mail) for (mail,) in found]


def _load_waits(connection: sqlite3.Connection, ws: WorkingSet, keys: Keys) -> None:
    for name in keys.waits:
        run_id, kind, address = name
        statement = "waits_at" if address else "waits_of_kind"
        named = {"run_id": run_id, "kind": str(kind)} | ({"address": address} if address else {})
        ws.waits[name] = [rows.wait_of(wait) for (wait,) in connection.execute(LOAD[statement], named)]


def _attempt(run: RunRow, *, after: int = 0) -> dict[str, str | int]:
    return {"run_id": run.id, "chapter": run.chapter, "attempt": run.attempt, "after": after}


def _json(ids: Iterable[str]) -> str:
    return _ids(list(ids)).decode()


def _json_rows(names: Iterable[tuple[str, ...]]) -> str:
    return _ids(sorted(names)).decode()


def _named(names: tuple[str, ...], values: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(names, values, strict=True))


# -------------------------------------------------------------------------------------------------------------- claims


def read_claims(connection: sqlite3.Connection, ws: WorkingSet) -> dict[str, ClaimRows]:
    """Read what the assignments of new claims need. Only the owner writes it, so it may be read after the commit."""
    found: dict[str, ClaimRows] = {}
    for claim in ws.claims.values():
        try:
            found[claim.run_id] = _claimed(connection, ws, claim.run_id, only_mail=claim.parked_epoch is not None)
        except ValueError as error:  # written by another version, or by another hand; the others are handed out
            _log.error("run %s cannot be handed out: what it has done cannot be understood: %s", claim.run_id, error)
    return found


def _claimed(connection: sqlite3.Connection, ws: WorkingSet, run_id: str, *, only_mail: bool) -> ClaimRows:
    run = ws.runs[run_id]
    mail = tuple(_unread(connection, run_id, after=0)) if run.mail else ()
    if only_mail:
        return ClaimRows(mail=mail)
    if run_id in ws.new_runs:  # handed over as it was inserted: it has done nothing yet
        new = ws.new_runs[run_id]
        return ClaimRows(mail, new.input, new.tags)
    input_, tags = connection.execute(LOAD["input"], {"run_id": run_id}).fetchone()
    entries = _first_page(connection, run) if run.seq else ()
    waits = connection.execute(LOAD["waits"], {"run_id": run_id}) if run.waits else ()
    return ClaimRows(
        mail,
        rows.payload_of(input_),
        rows.tags_of(tags),
        entries,
        bool(entries) and entries[-1].seq < run.seq,
        tuple(sorted((rows.wait_of(wait) for (wait,) in waits), key=lambda wait: wait.order)),
    )


def _first_page(connection: sqlite3.Connection, run: RunRow) -> tuple[Entry, ...]:
    cut = {"until": JOURNAL_ROWS, "bytes_max": JOURNAL_BYTES}
    return tuple(rows.entry_of(entry) for (entry,) in connection.execute(LOAD["journal_page"], _attempt(run) | cut))
