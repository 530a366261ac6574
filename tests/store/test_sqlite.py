"""What is SQLite's own: the file, its lock, its migrations, its threads and its query plans."""

import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from aiki.clock import ManualClock
from aiki.errors import DatabaseInUse, InvalidInput, Unavailable
from aiki.model.run import RunRow, SessionRow
from aiki.model.views import RunFilter
from aiki.model.working_set import Claim, WorkingSet
from aiki.store.base import StoreRefused
from aiki.store.opening import open_writer
from aiki.store.rows import MOVED, advanced, moved, run_columns
from aiki.store.sql import parse, statements
from aiki.store.sqlite import SqliteStore
from tests.house.sources import ROOT
from tests.store.world import StoreWorld, keys

ENV: Final = os.environ | {"PYTHONPATH": str(ROOT / "src")}
HOLD: Final = """
import asyncio, sys
from pathlib import Path
from aiki.clock import SystemClock
from aiki.store.sqlite import SqliteStore

async def hold():
    store = await SqliteStore.open(Path(sys.argv[1]), clock=SystemClock())
    store.tell(url="http://localhost:9850")
    print("held", flush=True)
    await asyncio.Event().wait()

asyncio.run(hold())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "aiki.db"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True, env=ENV
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


async def opened(path: Path | None, *, inline: bool = True) -> StoreWorld[SqliteStore]:
    clock = ManualClock()
    return StoreWorld(await SqliteStore.open(path, clock=clock, inline=inline), clock)


# ---------------------------------------------------------------------------------------------------------------- lock


async def test_a_second_process_is_told_who_serves_the_file(path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(DatabaseInUse) as refused:
        await opened(path)

    assert refused.value.pid == holder.pid
    assert refused.value.url == "http://localhost:9850"
    assert refused.value.path == str(path)
    assert str(holder.pid) in str(refused.value)


async def test_a_killed_process_leaves_the_file_to_the_next_at_once(path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert path.with_name("aiki.db.lock").exists()

    world = await opened(path)
    await world.run()
    await world.store.close()


async def test_a_second_server_in_one_process_is_refused_too_by_whichever_path(path: Path) -> None:
    world = await opened(path)
    (link := path.with_name("link.db")).symlink_to(path)

    for way in (path, link):
        with pytest.raises(DatabaseInUse, match="this process"):
            await opened(way)
    await world.store.close()


async def test_the_lock_file_says_who_and_goes_with_the_store(path: Path) -> None:
    world = await opened(path)
    lock = path.with_name("aiki.db.lock")

    assert json.loads(lock.read_text()).keys() == {"pid", "url", "since_ms"}
    await world.store.close()

    assert sorted(found.name for found in path.parent.iterdir()) == ["aiki.db"]
    again = await opened(path)
    await again.store.close()
    await again.store.close()


# ------------------------------------------------------------------------------------------------------------- opening


async def test_what_was_saved_is_there_when_the_file_is_opened_again(path: Path) -> None:
    world = await opened(path, inline=False)
    run = await world.run()
    await world.store.close()

    again = await opened(path, inline=False)
    assert await again.row_of(run.id) == run
    await again.store.close()


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path: Path) -> None:
    path.write_text("Dear diary, this is long enough to be taken for a page of a database. " * 20)
    before = path.read_bytes()

    for inline in (True, False):
        with pytest.raises(InvalidInput, match="not a SQLite database"):
            await opened(path, inline=inline)

    assert path.read_bytes() == before
    assert not path.with_name("aiki.db.lock").exists()


async def test_a_database_of_something_else_is_refused_and_left_as_it_is(path: Path) -> None:
    with sqlite3.connect(path) as foreign:
        foreign.execute("CREATE TABLE runs (mine)")
    foreign.close()

    with pytest.raises(InvalidInput, match="something else"):
        await opened(path)

    foreign = sqlite3.connect(path)
    assert foreign.execute("SELECT name FROM sqlite_master").fetchall() == [("runs",)]
    foreign.close()


async def test_a_newer_schema_is_refused(path: Path) -> None:
    await (await opened(path)).store.close()
    newer = sqlite3.connect(path, isolation_level=None)
    newer.execute("INSERT INTO migrations VALUES (9999, 'from the future', 1)")
    newer.close()

    with pytest.raises(InvalidInput, match="newer version of Aiki"):
        await opened(path)


async def test_a_folder_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"there is no folder .*nowhere"):
        await opened(path.parent / "nowhere" / "aiki.db")


async def test_a_sqlite_that_is_too_old_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))

    with pytest.raises(InvalidInput, match=r"needs 3\.37\.0 or newer"):
        await opened(path)


def test_a_migration_that_fails_is_undone_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [("0001_broken", "CREATE TABLE one (a) STRICT;\nCREATE TABLE two (b INTEGER) STRICT;\nNOT SQL;")]
    monkeypatch.setattr("aiki.store.opening._migrations", lambda: broken)
    kept = _Unclosed(":memory:")
    monkeypatch.setattr("aiki.store.opening.connect", lambda path: kept)

    with pytest.raises(InvalidInput):
        open_writer(None, now_ms=0)

    assert kept.execute("SELECT name FROM sqlite_master").fetchall() == [("migrations",)]
    sqlite3.Connection.close(kept)


class _Unclosed(sqlite3.Connection):
    def __init__(self, path: str) -> None:
        super().__init__(path, isolation_level=None)

    def close(self) -> None:
        """Stay open, so that the test can look inside."""


# -------------------------------------------------------------------------------------------------------- transactions


async def test_the_file_is_durable_and_read_beside_its_writer(path: Path) -> None:
    world = await opened(path, inline=False)

    def settings(connection: sqlite3.Connection) -> tuple[Any, ...]:
        return tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous"))

    assert await world.store._writer.do(settings) == ("wal", 2)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await world.store._reader.do(lambda connection: connection.execute("DELETE FROM runs"))
    await world.store.close()


async def test_a_transaction_that_changes_nothing_writes_nothing(path: Path) -> None:
    world = await opened(path)
    run = await world.run()
    wal = path.with_name("aiki.db-wal")
    before = wal.read_bytes()

    await world.load(keys(runs=[run.id]))
    await world.do(lambda ws: ws.read(run.id, [1]), lambda ws: ws.clear_waits(run.id))

    assert wal.read_bytes() == before
    await world.store.close()


async def test_a_file_that_another_holds_is_unavailable_and_available_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiki.store.opening.BUSY_S", 0.0)
    world = await opened(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(Unavailable, match="locked"):
        await world.run()
    other.execute("ROLLBACK")
    other.close()

    await world.run()
    await world.store.close()


async def test_a_caller_that_goes_away_leaves_its_transaction_to_be_done(path: Path) -> None:
    world = await opened(path, inline=False)
    row = world.row()
    task = asyncio.create_task(world.insert(row))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await world.row_of(row.id) == row
    await world.store.close()


async def test_a_closed_store_says_so(path: Path) -> None:
    world = await opened(path, inline=False)
    await world.store.close()
    await world.store.close()

    with pytest.raises(Unavailable, match="closed"):
        await world.run()


async def test_a_journal_that_cannot_be_understood_keeps_only_its_own_run_from_being_handed_out(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = await opened(path)
    broken, sound = await world.run(seq=1), await world.run()
    await world.store._writer.do(
        lambda connection: connection.execute("INSERT INTO journal VALUES (?, 1, 1, 1, 'nonsense')", (broken.id,))
    )

    def claim(ws: WorkingSet) -> None:
        for run in (broken, sound):
            ws.claims[run.id] = Claim(run.id, "s", None)

    done = await world.do(claim, keys=keys(runs=[broken.id, sound.id]))

    assert list(done.claimed) == [sound.id]
    assert broken.id in caplog.text
    with pytest.raises(StoreRefused, match="cannot be understood"):
        await world.load(keys(runs=[broken.id], journals=[broken.id]))
    await world.store.close()


# ----------------------------------------------------------------------------------------------- columns and statements


def test_columns_stand_in_the_order_of_the_fields() -> None:
    assert _columns(statements("load", dialect="sqlite")["runs"], "SELECT", "FROM") == RunRow.__struct_fields__
    assert _columns(statements("load", dialect="sqlite")["sessions"], "SELECT", "FROM") == SessionRow.__struct_fields__
    assert _columns(statements("save", dialect="sqlite")["insert_runs"], r"\(", r"\)") == RunRow.__struct_fields__


async def test_an_update_sets_what_its_row_holds(path: Path) -> None:
    row = (await opened(None)).row()
    save = statements("save", dialect="sqlite")
    advance = [column.removesuffix(" = ?") for column in _columns(save["advance_runs"], "SET", "WHERE")]
    move = [column.removesuffix(" = ?") for column in _columns(save["move_runs"], "SET", "WHERE")]
    whole = dict(zip(RunRow.__struct_fields__, run_columns(row), strict=True))

    assert move == [*advance, *MOVED]
    assert advanced(row) == tuple(whole[name] for name in advance)
    assert moved(row) == tuple(whole[name] for name in MOVED)


def test_statements_are_told_apart_by_name() -> None:
    with pytest.raises(ValueError, match="two statements are called a"):
        parse("-- name: a\nSELECT 1\n-- name: a\nSELECT 2", dialect="sqlite")
    with pytest.raises(ValueError, match="no name stands before"):
        parse("SELECT 1", dialect="sqlite")


async def test_a_search_that_would_look_at_too_many_runs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await opened(None)
    for _ in range(50):
        await world.run()
    monkeypatch.setattr("aiki.store.sqlite.STEPS_AT_ONCE", 10)
    monkeypatch.setattr("aiki.store.sqlite.STEPS_MAX", 5)

    with pytest.raises(InvalidInput, match="narrow it by workflow"):
        await world.store.list_runs(RunFilter(version="none"))

    assert len((await world.store.list_runs(RunFilter(limit=1, reference_id="none"))).runs) == 0
    monkeypatch.undo()
    assert len((await world.store.list_runs(RunFilter())).runs) == 50


PLANS: Final = {
    ("load", "runs"): "SEARCH runs USING INDEX sqlite_autoindex_runs_1 (id=?)",
    ("load", "reference"): "USING INDEX runs_reference",
    ("load", "owned"): "USING COVERING INDEX runs_owned",
    ("load", "children_to_cancel"): "USING INDEX runs_to_cancel",
    ("load", "children_to_follow"): "USING INDEX runs_to_cancel",
    ("load", "ready"): "USING INDEX runs_queued",
    ("load", "waiters"): "USING PRIMARY KEY (target_id=?)",
    ("load", "ends"): "SEARCH ends USING PRIMARY KEY (run_id=?)",
    ("load", "unread_mail"): "USING INDEX inbox_unread",
    ("load", "message"): "INDEX inbox_message",
    ("load", "waits_at"): "USING PRIMARY KEY (run_id=? AND kind=? AND address=?)",
    ("load", "journal"): "USING PRIMARY KEY (run_id=? AND chapter=? AND attempt=? AND seq>?)",
    ("read", "next_alarm"): "USING COVERING INDEX runs_alarm",
    ("read", "due_runs"): "USING INDEX runs_alarm",
    ("read", "expired_sessions"): "USING INDEX sessions_live",
    ("read", "ready_queues"): "USING INDEX runs_queued",
    ("read", "undelivered"): "USING INDEX runs_queued",
    ("read", "ended_runs"): "USING INDEX runs_to_delete",
    ("read", "oldest_end"): "USING COVERING INDEX runs_to_delete",
    ("read", "over_sessions"): "INDEX sessions_over",
    ("read", "history"): "USING INDEX history_run (run_id=? AND rowid>?)",
    ("read", "inbox"): "USING PRIMARY KEY (run_id=? AND number>?)",
    ("read", "inbox_unread"): "USING INDEX inbox_unread (run_id=? AND number>?)",
    ("read", "published"): "USING PRIMARY KEY (run_id=? AND name>?)",
    ("read", "journal_length"): "USING PRIMARY KEY (run_id=? AND chapter=? AND attempt=?)",
    ("read", "tag_rows"): "USING PRIMARY KEY (namespace=? AND name=? AND value=?)",
    ("read", "versions_counted"): "USING COVERING INDEX runs_counted (namespace=?)",
    ("read", "announced"): "USING PRIMARY KEY (namespace=?)",
    ("read", "done_jobs"): "USING COVERING INDEX bulk_jobs_done",
    (
        "read",
        "unused_versions",
    ): "SEARCH runs USING COVERING INDEX runs_counted (namespace=? AND workflow=? AND version=?)",
    ("save", "drop_chapters"): "USING PRIMARY KEY (run_id=? AND chapter=?)",
    ("save", "drop_attempts"): "USING PRIMARY KEY (run_id=? AND chapter=? AND attempt=?)",
    ("save", "drop_moves"): "USING INDEX history_run",
    ("save", "drop_results"): "USING INDEX inbox_kept",
    ("save", "trim_mail"): "USING INDEX inbox_kept",
    ("save", "delete_results"): "USING INDEX inbox_result",
    ("save", "clear_waiters"): "USING COVERING INDEX waiters_run",
}


@pytest.mark.parametrize(("file", "name"), PLANS)
def test_what_is_asked_often_is_found_by_an_index_and_not_sorted(file: Any, name: str) -> None:
    connection = open_writer(None, now_ms=0)
    statement = statements(file, dialect="sqlite")[name]
    values: Any = dict.fromkeys(re.findall(r":(\w+)", statement), "1") or ("1",) * statement.count("?")

    plan = "\n".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values))

    assert PLANS[file, name] in plan
    assert "TEMP B-TREE" not in plan
    connection.close()


def test_the_commit_of_a_running_run_touches_no_index() -> None:
    connection = open_writer(None, now_ms=0)
    statement = statements("save", dialect="sqlite")["advance_runs"]

    code = connection.execute(f"EXPLAIN {statement}", (0,) * statement.count("?")).fetchall()
    indexes = connection.execute("SELECT rootpage FROM sqlite_master WHERE type = 'index' AND tbl_name = 'runs'")
    pages = {cursor: page for _, operation, cursor, page, *_ in code if operation == "OpenWrite"}
    written = {pages.get(cursor) for _, operation, cursor, *_ in code if operation in {"IdxInsert", "IdxDelete"}}

    assert written.isdisjoint({page for (page,) in indexes})
    assert "Insert" in {operation for _, operation, *_ in code}
    connection.close()


def _columns(statement: str, begin: str, end: str) -> tuple[str, ...]:
    found = re.search(f"{begin}(.*?){end}", statement, re.DOTALL)
    assert found is not None
    return tuple(column.strip() for column in found[1].split(","))
