"""Keys become a working set: the rows that a batch of commands names, locked.

The rule: nobody decides on a row that is not locked. Schedules are locked first, then sessions, then runs, each in the order of ids, and
last those that are picked from queues, where what another holds is left out: so two servers never wait for each other in
a circle. Runs that are named indirectly (by a reference, an owner, a parent, who waits for them) are looked up before, to
know which to lock, and again once all are locked: if there are more by then, all is let go and begun anew with them.

However many commands there are, each step is one round trip; `now_ms` is taken in the last one.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import asyncpg
import msgspec

from aiki.model.ids import is_id
from aiki.model.journal import Entry
from aiki.model.lifecycle import Status
from aiki.model.run import Cascade, RunEnd, RunRow, Waiter
from aiki.model.schedule import Overlap, ScheduleName
from aiki.model.working_set import CASCADE_ROWS, EXPIRY_ROWS, MAIL_ROWS, OVERLAP_ROWS, Keys, WorkingSet
from aiki.store import rows
from aiki.store.base import JOURNAL_BYTES, JOURNAL_ROWS, ClaimRows
from aiki.store.loaded import ending, newest_ms
from aiki.store.postgres.connecting import Connection
from aiki.store.postgres.folding import Fold, folded_reads
from aiki.store.rows import Columns
from aiki.store.sql import numbered, statements

__all__ = ["Unlocked", "load", "read_claims"]

OWNED_ROWS_MAX: Final = 100_000  # a session holds fewer: its capacity bounds it
OWNED: Final = 0
EXPIRING: Final = 1

_LOAD: Final = statements("load", dialect="postgres")
_GATHER: Final = statements("gather", dialect="postgres")
_WAITERS: Final = ("waiters", "waiters_of_lost", "waiters_of_children", "waiters_of_scheduled")
_NAMES: Final = ("references", "open_of", "owned", "cascading", *_WAITERS)
_REST: Final = ("ends", "mail", "messages", "waits_at", "waits_of_kind", "journals", "now")

SCHEDULES: Final = numbered(_LOAD["schedules"]).text
JOBS: Final = numbered(_LOAD["jobs"]).text
SESSIONS: Final = numbered(_LOAD["sessions"]).text
RUNS: Final = numbered(_LOAD["runs"]).text
NAMING: Final = folded_reads(_GATHER, _NAMES)
READY: Final = folded_reads(_GATHER, ["ready"])
GATHERING: Final = folded_reads(_GATHER, _NAMES + _REST)
NOW: Final = folded_reads(_GATHER, ["now"])
CLAIMING: Final = folded_reads(_GATHER, ("mail", "inputs", "all_waits", "first_entries"))

Parts = Mapping[str, Sequence[Columns]]
"""Rows, by the part of a statement that takes or gives them."""

_log = logging.getLogger("aiki.store")


class Unlocked(Exception):
    """Runs are named that were not when they were looked up: `run_ids` are to be locked as well."""

    def __init__(self, run_ids: set[str]) -> None:
        super().__init__(f"{len(run_ids)} more runs are to be locked")
        self.run_ids = run_ids


async def load(connection: Connection, keys: Keys, *, also: Collection[str], now: Callable[[int], int]) -> WorkingSet:
    """Load what `keys` name. A transaction must be open.

    Args:
        also: further runs to lock.
        now: makes the time of the working set from the database's.

    Raises:
        Unlocked: begin anew, and lock those too.
    """
    ws = WorkingSet(now_ms=0)
    if keys.schedules:
        for (column,) in await connection.fetch(SCHEDULES, *zip(*keys.schedules, strict=True)):
            row = rows.schedule_of(column)
            ws.schedules[row.namespace, row.name] = row
    if keys.jobs:
        for found_job in await connection.fetch(JOBS, list(filter(is_id, keys.jobs))):
            job = rows.job_of(tuple(found_job))
            ws.jobs[job.request.id] = job
    ticking = _ticking(ws, keys)
    sessions = list(filter(is_id, keys.sessions))
    if sessions:
        ws.sessions.update((row[0], rows.session_of(tuple(row))) for row in await connection.fetch(SESSIONS, sessions))
    naming = _naming(keys, ticking)
    wanted = set(filter(is_id, keys.runs.union(keys.finishing, keys.cascading, also)))
    if naming:
        wanted |= _named(await _ask(connection, NAMING, naming))
    await _load_runs(connection, ws, wanted)
    await _load_ready(connection, ws, keys)
    asked = naming | _rest(ws, keys)
    found = await _ask(connection, GATHERING if asked else NOW, asked)
    unlocked = _named(found) - ws.runs.keys() - set(also)  # one that is not there either the second time is gone
    if unlocked:
        raise Unlocked(unlocked)
    _take_names(ws, keys, ticking, found)
    _take_rest(ws, keys, found)
    ((_, _, now_ms, read_only, _),) = found["now"]
    # After a failover, say. Even what writes nothing is to find that out, since it may judge by it.
    if read_only == "on":
        raise asyncpg.ReadOnlySQLTransactionError("the database is read-only")
    ws.now_ms = max(now(now_ms), newest_ms(ws))
    return ws


async def _ask(connection: Connection, fold: Fold, asked: Parts) -> Parts:
    found: dict[str, list[Columns]] = {name: [] for name in fold.parts}
    for part, *row in await connection.fetch(fold.text, *fold.values(asked)):
        found[part].append(row)
    return found


async def _load_runs(connection: Connection, ws: WorkingSet, run_ids: set[str]) -> None:
    missing = run_ids - ws.runs.keys()
    if missing:
        ws.runs.update((row[0], rows.run_of(tuple(row))) for row in await connection.fetch(RUNS, list(missing)))


async def _load_ready(connection: Connection, ws: WorkingSet, keys: Keys) -> None:
    queues = list(keys.ready)
    if not queues:
        return
    asked = [(place, *msgspec.structs.astuple(queue), keys.ready[queue]) for place, queue in enumerate(queues)]
    ws.ready.update((queue, []) for queue in queues)
    for run_id, _, place, _, _ in (await _ask(connection, READY, {"ready": asked}))["ready"]:
        ws.ready[queues[place]].append(run_id)
    await _load_runs(connection, ws, {run_id for found in ws.ready.values() for run_id in found})


# --------------------------------------------------------------------------------------------------------------- asking


def _ticking(ws: WorkingSet, keys: Keys) -> list[ScheduleName]:
    """Return the schedules of which a tick has to look at the open runs."""
    return [
        name
        for name in keys.ticking & ws.schedules.keys()
        if ws.schedules[name].definition.overlap is not Overlap.ALLOW
    ]


def _naming(keys: Keys, ticking: Sequence[ScheduleName]) -> dict[str, list[Columns]]:
    """Return what is asked to find the runs that are named indirectly."""
    expiring = list(filter(is_id, keys.expiring))
    cascading = [(run_id, CASCADE_ROWS) for run_id in filter(is_id, keys.cascading)]
    asked: dict[str, list[Columns]] = {
        "references": [(place, *reference) for place, reference in enumerate(keys.references)],
        "open_of": [(place, *name, OVERLAP_ROWS) for place, name in enumerate(ticking)],
        "owned": [
            *((OWNED, session_id, OWNED_ROWS_MAX) for session_id in filter(is_id, keys.owned)),
            *((EXPIRING, session_id, EXPIRY_ROWS) for session_id in expiring),
        ],
        "cascading": list(cascading),
        "waiters": [(run_id,) for run_id in filter(is_id, keys.finishing)],
        "waiters_of_lost": [(session_id, EXPIRY_ROWS) for session_id in expiring],
        "waiters_of_children": list(cascading),
        "waiters_of_scheduled": [(*name, OVERLAP_ROWS) for name in ticking],
    }
    return {name: asked_rows for name, asked_rows in asked.items() if asked_rows}


def _rest(ws: WorkingSet, keys: Keys) -> dict[str, list[Columns]]:
    """Return what is asked of runs that are locked."""
    waits_at: list[Columns] = []
    waits_of_kind: list[Columns] = []
    for place, (run_id, kind, address) in enumerate(keys.waits):
        if is_id(run_id) and address:
            waits_at.append((place, run_id, str(kind), address))
        elif is_id(run_id):
            waits_of_kind.append((place, run_id, str(kind)))
    asked: dict[str, list[Columns]] = {
        "ends": [(run_id,) for run_id in filter(is_id, keys.ends)],
        "mail": [
            (run_id, after, MAIL_ROWS)
            for run_id, after in keys.mail_after.items()
            if run_id in ws.runs and ws.runs[run_id].mail > after
        ],
        "messages": [(run_id, message_id) for run_id, message_id in keys.messages if is_id(run_id)],
        "waits_at": waits_at,
        "waits_of_kind": waits_of_kind,
        "journals": [_attempt(ws.runs[run_id]) for run_id in keys.journals & ws.runs.keys()],
    }
    return {name: asked_rows for name, asked_rows in asked.items() if asked_rows}


def _attempt(run: RunRow) -> tuple[str, int, int]:
    return run.id, run.chapter, run.attempt


# --------------------------------------------------------------------------------------------------------------- taking


def _named(found: Parts) -> set[str]:
    """Return the runs that are named by what was found."""
    named = {row[0] for part in ("references", "open_of") for row in found.get(part, ())}
    named.update(row[1] for part in ("owned", "cascading", *_WAITERS) for row in found.get(part, ()))
    return named


def _take_names(ws: WorkingSet, keys: Keys, ticking: Sequence[ScheduleName], found: Parts) -> None:
    references = list(keys.references)
    for run_id, _, place, _, _ in found.get("references", ()):
        ws.references[references[place]] = run_id
    ws.open_of.update((name, []) for name in ticking)
    for run_id, _, place, _, _ in found.get("open_of", ()):
        ws.open_of[ticking[place]].append(run_id)
    ws.owned.update((session_id, []) for session_id in keys.owned)
    ws.expiring.update((session_id, []) for session_id in keys.expiring)
    for session_id, run_id, place, _, _ in found.get("owned", ()):
        (ws.owned if place == OWNED else ws.expiring)[session_id].append(run_id)
    for run_id in keys.cascading & ws.runs.keys():
        if ws.runs[run_id].cascade is not Cascade.NONE:
            ws.cascading[run_id] = []
    for parent_id, child_id, _, _, _ in found.get("cascading", ()):
        ws.cascading[parent_id].append(child_id)
    ws.waiters.update((target_id, []) for target_id in ending(ws, keys))
    waiters = {
        Waiter(target_id, run_id, ordinal)
        for part in _WAITERS
        for target_id, run_id, ordinal, _, _ in found.get(part, ())
    }
    for waiter in sorted(waiters):
        ws.waiters[waiter.target_id].append(waiter)


def _take_rest(ws: WorkingSet, keys: Keys, found: Parts) -> None:
    for run_id, status, _, output, error in found.get("ends", ()):
        ws.ends[run_id] = RunEnd(Status(status), rows.payload_of(output), rows.failure_of(error))
    ws.unread.update((run_id, []) for run_id in keys.mail_after)
    for run_id, _, _, mail, _ in found.get("mail", ()):
        ws.unread[run_id].append(rows.mail_of(mail))
    for run_id, message_id, _, _, _ in found.get("messages", ()):
        ws.messages.add((run_id, message_id))
    names = list(keys.waits)
    ws.waits.update((name, []) for name in names)
    for part in ("waits_at", "waits_of_kind"):
        for _, _, place, wait, _ in found.get(part, ()):
            ws.waits[names[place]].append(rows.wait_of(wait))
    for waits in ws.waits.values():
        waits.sort(key=lambda wait: (wait.key.address, wait.key.ordinal))
    ws.journals.update((run_id, []) for run_id in keys.journals & ws.runs.keys())
    for run_id, _, _, entry, _ in found.get("journals", ()):
        ws.journals[run_id].append(rows.entry_of(entry))


# -------------------------------------------------------------------------------------------------------------- claims


async def read_claims(connection: Connection, ws: WorkingSet) -> dict[str, ClaimRows]:
    """Read what the assignments of new claims need, after all is saved."""
    if not ws.claims:
        return {}
    runs = [ws.runs[run_id] for run_id in ws.claims]
    old = [run for run in runs if run.id not in ws.new_runs and ws.claims[run.id].parked_epoch is None]
    asked: dict[str, list[Columns]] = {
        "mail": [(run.id, 0, MAIL_ROWS) for run in runs if run.mail],
        "inputs": [(run.id,) for run in old],
        "all_waits": [(run.id,) for run in old if run.waits],
        "first_entries": [(*_attempt(run), JOURNAL_ROWS, JOURNAL_BYTES) for run in old if run.seq],
    }
    found = await _ask(connection, CLAIMING, asked) if any(asked.values()) else {}
    by_run: dict[str, dict[str, list[Columns]]] = {run.id: {} for run in runs}
    for part, found_rows in found.items():
        for row in found_rows:
            by_run[row[0]].setdefault(part, []).append(row)
    claimed: dict[str, ClaimRows] = {}
    for run in runs:
        try:
            claimed[run.id] = _claimed(ws, run, by_run[run.id])
        except ValueError as error:  # written by another version, or by another hand; the others are handed out
            _log.error("run %s cannot be handed out: what it has done cannot be understood: %s", run.id, error)
    return claimed


def _claimed(ws: WorkingSet, run: RunRow, found: Parts) -> ClaimRows:
    mail = tuple(rows.mail_of(mail) for _, _, _, mail, _ in found.get("mail", ()))
    if ws.claims[run.id].parked_epoch is not None:
        return ClaimRows(mail=mail)
    if run.id in ws.new_runs:  # handed over as it was inserted: it has done nothing yet
        new = ws.new_runs[run.id]
        return ClaimRows(mail, new.input, new.tags)
    ((_, _, _, input_, tags),) = found["inputs"]
    entries: tuple[Entry, ...] = tuple(rows.entry_of(entry) for _, _, _, entry, _ in found.get("first_entries", ()))
    waits = [rows.wait_of(wait) for _, _, _, wait, _ in found.get("all_waits", ())]
    return ClaimRows(
        mail,
        rows.payload_of(input_),
        rows.tags_of(tags),
        entries,
        has_more=bool(entries) and entries[-1].seq < run.seq,
        waits=tuple(sorted(waits, key=lambda wait: wait.order)),
    )
