"""What is left of executions, and what is recorded of them: who reads both can tell whether something ran again.

The rule of a check: read what is recorded, then how many lines there are; whatever comes after those lines, of a task
that was recorded by then, has run again.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec

from aiki.model.journal import Entry, EntryKind
from tests.postgres import complete

TASKS = 11  # of a journey, with those of its child
READ = "SELECT run_id, entry FROM journal"
READ_SINCE = """SELECT run_id, entry, finished_at_ms FROM aiki.journal JOIN aiki.runs ON runs.id = run_id
    WHERE finished_at_ms IS NULL OR finished_at_ms > $1"""
UNDER_WAY_MS = 30_000  # what was about to be committed then has been by now


class Line(NamedTuple):
    """One execution of a task, as it left its mark."""

    key: str
    run_id: str
    step: str
    given: str


class Effects:
    """The executions of the program `steps.py`, beside the journal in the database: by default, a file."""

    def __init__(self, folder: Path, database: str | None = None) -> None:
        self.database = database or str(folder / "steps.db")
        self.path = folder / "effects.txt"
        self._recorded: set[tuple[str, str]] = set()
        self._seen = 0
        self._ended_ms = 0  # the last end that was read

    def lines(self) -> list[Line]:
        """Return all executions so far."""
        if not self.path.exists():
            return []
        return [Line(*line.split(" ")) for line in self.path.read_text().splitlines()]

    def check(self) -> None:
        """Assert that nothing ran again that was recorded at the last check; remember what is recorded now."""
        again = [line for line in self.lines()[self._seen :] if (line.run_id, line.step) in self._recorded]
        assert not again, f"recorded, and executed again: {again[:3]}"
        self._recorded |= self._read()
        self._seen = len(self.lines())

    def check_all(self, runs: int, *, tasks_each: int = TASKS) -> str:
        """Assert that every task of so many runs was executed, each always with one argument; return the numbers."""
        given = defaultdict(set)
        lines = self.lines()
        for line in lines:
            given[line.key].add(line)
        tasks = len(given)
        assert tasks == runs * tasks_each
        assert all(len(found) == 1 for found in given.values())
        return f"{len(lines)} executions of {tasks} tasks"

    def _read(self) -> set[tuple[str, str]]:
        entries = [(run_id, msgspec.json.decode(entry, type=Entry)) for run_id, entry in self._rows()]
        return {(run_id, _step_of(entry)) for run_id, entry in entries if entry.key.kind is EntryKind.TASK}

    def _rows(self) -> Sequence[tuple[str, str]]:
        """Return what is recorded; of runs that ended before the last look, nothing new can be."""
        if self.database.startswith("postgresql://"):
            return complete(self._rows_of_postgres())
        if not Path(self.database).exists():
            return []
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        try:
            return connection.execute(READ).fetchall()
        finally:
            connection.close()

    async def _rows_of_postgres(self) -> Sequence[tuple[str, str]]:
        connection = await asyncpg.connect(self.database)
        try:
            found = await connection.fetch(READ_SINCE, self._ended_ms - UNDER_WAY_MS)
        finally:
            await connection.close()
        self._ended_ms = max((row["finished_at_ms"] or 0 for row in found), default=self._ended_ms)
        return [(str(row["run_id"]), row["entry"]) for row in found]


def _step_of(entry: Entry) -> str:
    return entry.label.split('name="', 1)[1].split('"', 1)[0]
