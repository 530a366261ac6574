"""All rows of a Postgres database, as what the engine's invariants are checked on."""

from collections import Counter

import asyncpg
import msgspec

from aiki.engine.invariants import Snapshot
from aiki.model.journal import Entry, EntryKind, Mail, Wait
from aiki.model.run import RunEnd, RunRow, SessionRow, Waiter
from aiki.model.working_set import Keys, WorkingSet
from aiki.store.postgres.store import PostgresStore

__all__ = ["doubled_entries", "moves", "snapshot_of"]

RUNS_AT_ONCE = 500


async def snapshot_of(url: str) -> Snapshot:
    """Return all rows, read with the store's own statements."""
    run_ids = [str(row["id"]) for row in await _fetch(url, "SELECT id FROM aiki.runs ORDER BY id")]
    sessions = [str(row["id"]) for row in await _fetch(url, "SELECT id FROM aiki.sessions")]
    store = await PostgresStore.open(url)
    runs: dict[str, RunRow] = {}
    ends: dict[str, RunEnd] = {}
    entries: dict[tuple[str, int, int], list[Entry]] = {}
    waits: dict[str, list[Wait]] = {}
    unread: dict[str, list[Mail]] = {}
    waiters: list[Waiter] = []
    known: dict[str, SessionRow] = {}
    try:
        for first in range(0, len(run_ids), RUNS_AT_ONCE):
            ws = await _read(store, run_ids[first : first + RUNS_AT_ONCE], sessions)
            runs |= ws.runs
            ends |= ws.ends
            known |= ws.sessions
            for run_id, journal in ws.journals.items():
                entries[run_id, ws.runs[run_id].chapter, ws.runs[run_id].attempt] = journal
            for (run_id, _, _), found in ws.waits.items():
                waits.setdefault(run_id, []).extend(found)
            unread |= ws.unread
            waiters += [waiter for found in ws.waiters.values() for waiter in found]
        now_ms = store.clock.now_ms()
    finally:
        await store.close()
    return Snapshot(now_ms, runs, ends, entries, waits, unread, tuple(dict.fromkeys(waiters)), known)


async def doubled_entries(url: str) -> list[object]:
    """Return what stands twice in a journal."""
    rows = await _fetch(url, "SELECT run_id, chapter, attempt, entry FROM aiki.journal")
    entries = [(row["run_id"], row["chapter"], row["attempt"], _entry(row["entry"]).key) for row in rows]
    return [place for place, times in Counter(entries).items() if times > 1]


async def moves(url: str) -> Counter[str]:
    """Return how often runs moved for each reason."""
    rows = await _fetch(url, "SELECT reason, count(*) AS times FROM aiki.history GROUP BY reason")
    return Counter({row["reason"]: row["times"] for row in rows})


async def _read(store: PostgresStore, run_ids: list[str], sessions: list[str]) -> WorkingSet:
    keys = Keys()
    keys.runs.update(run_ids)
    keys.finishing.update(run_ids)
    keys.ends.update(run_ids)
    keys.journals.update(run_ids)
    keys.sessions.update(sessions)
    kinds = (EntryKind.TASK, EntryKind.CHILD_RESULT, EntryKind.SLEEP, EntryKind.TIMER, EntryKind.EVENT)
    keys.waits.update((run_id, kind, "") for run_id in run_ids for kind in kinds)
    for run_id in run_ids:
        keys.mail(run_id, after=0)
    return (await store.transaction(keys, lambda _: None)).ws


async def _fetch(url: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


def _entry(text: str) -> Entry:
    return msgspec.json.decode(text, type=Entry)
