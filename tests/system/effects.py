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
READ = "SELECT run_id, entry FROM {journal}"


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

    def lines(self) -> list[Line]:
        """Return all executions so far."""
        if not self.path.exists():
            return []
        return [Line(*line.split(" ")) for line in self.path.read_text().splitlines()]

    def check(self) -> None:
        """Assert that nothing ran again that was recorded at the last check; remember what is recorded now."""
        again = [line for line in self.lines()[self._seen :] if (line.run_id, line.step) in self._recorded]
        assert not again, f"recorded, and executed again: {again[:3]}"
        self._recorded = self._read()
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
        entries = [(run_id, msgspec.json.decode(entry, type=Entry)) for run_id, entry in _rows(self.database)]
        return {(run_id, _step_of(entry)) for run_id, entry in entries if entry.key.kind is EntryKind.TASK}


def _rows(database: str) -> Sequence[tuple[str, str]]:
    if database.startswith("postgresql://"):
        return complete(_rows_of_postgres(database))
    if not Path(database).exists():
        return []
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute(READ.format(journal="journal")).fetchall()
    finally:
        connection.close()


async def _rows_of_postgres(url: str) -> Sequence[tuple[str, str]]:
    connection = await asyncpg.connect(url)
    try:
        return [(str(run_id), entry) for run_id, entry in await connection.fetch(READ.format(journal="aiki.journal"))]
    finally:
        await connection.close()


def _step_of(entry: Entry) -> str:
    return entry.label.split('name="', 1)[1].split('"', 1)[0]
