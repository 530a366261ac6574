"""`kill -9` of the one process, again and again, at moments drawn by chance."""

import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import msgspec
import pytest

from aiki.model.journal import Entry, EntryKind

PROGRAM = Path(__file__).with_name("steps.py")
KILLS = int(os.environ.get("AIKI_KILLS", "50"))
RUNS = int(os.environ.get("AIKI_RUNS", "200"))
TASKS = 11  # of a journey, with those of its child
LIFE_S_MAX = 120.0


class Lives:
    """The program's lives on one file, and what each of them left."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "steps.db"
        self.effects = folder / "effects.txt"
        self.folder = folder

    def live(self, limit_s: float) -> bool:
        """Start the program, kill it `limit_s` seconds after it is up, and return whether it had ended before."""
        command = [sys.executable, str(PROGRAM), str(self.database), str(self.effects), str(RUNS), str(KILLS * 0.7)]
        with (
            (self.folder / "errors.txt").open("ab") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process,
        ):
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n", self.errors()
            ended, _, _ = select.select([process.stdout], [], [], limit_s)
            said = process.stdout.readline() if ended else b""
            if not said:
                process.send_signal(signal.SIGKILL)
            process.wait(LIFE_S_MAX)
        assert said in (b"", b"done\n"), said
        assert said or not ended, f"it died by itself: {self.errors()}"
        return bool(said)

    def errors(self) -> str:
        """Return the end of what the lives wrote to stderr."""
        return (self.folder / "errors.txt").read_text()[-2000:]

    def lines(self) -> list[tuple[str, str, str, str]]:
        """Return all effects so far: key, run, step, argument."""
        if not self.effects.exists():
            return []
        found = [line.split(" ") for line in self.effects.read_text().splitlines()]
        return [(key, run, name, given) for key, run, name, given in found]

    def recorded(self) -> set[tuple[str, str]]:
        """Return the recorded tasks: run and step."""
        connection = sqlite3.connect(self.database)
        try:
            rows = connection.execute("SELECT run_id, entry FROM journal").fetchall()
        finally:
            connection.close()
        entries = [(run, msgspec.json.decode(entry, type=Entry)) for run, entry in rows]
        return {(run, _step_of(entry)) for run, entry in entries if entry.key.kind is EntryKind.TASK}


def _step_of(entry: Entry) -> str:
    return entry.label.split('name="', 1)[1].split('"', 1)[0]


@pytest.mark.timeout(900)
def test_every_run_completes_and_no_recorded_task_runs_again(tmp_path: Path) -> None:
    chance = random.Random(20261122)
    lives = Lives(tmp_path)
    kills = 0
    recorded: set[tuple[str, str]] = set()
    seen = 0
    done = False
    while not done:
        limit_s = chance.random() * 0.6 if kills < KILLS else LIFE_S_MAX
        done = lives.live(limit_s)
        kills += not done
        assert kills <= KILLS, f"it did not end within {LIFE_S_MAX} s: {lives.errors()}"
        lines = lives.lines()
        again = [line for line in lines[seen:] if (line[1], line[2]) in recorded]
        assert not again, f"recorded, and executed again: {again[:3]}"
        seen = len(lines)
        recorded = lives.recorded() if lives.database.exists() else set()
    assert kills == KILLS
    given_by_key = defaultdict(set)
    for key, run, name, given in lives.lines():
        given_by_key[key].add((run, name, given))
    tasks = len(given_by_key)
    assert tasks == RUNS * TASKS
    assert all(len(given) == 1 for given in given_by_key.values())
    print(f"{kills} kills, {len(lives.lines())} executions of {tasks} tasks")
