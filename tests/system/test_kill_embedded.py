"""`kill -9` of the one process, again and again, at moments drawn by chance."""

import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.effects import Effects

PROGRAM = Path(__file__).with_name("steps.py")
KILLS = int(os.environ.get("AIKI_KILLS", "50"))
RUNS = int(os.environ.get("AIKI_RUNS", "200"))
LIFE_S_MAX = 120.0


class Lives:
    """The program's lives on one file."""

    def __init__(self, folder: Path, database: str, *, runs: int) -> None:
        self.effects = Effects(folder, database)
        self.folder = folder
        self.runs = runs

    def live(self, limit_s: float, *, released: int) -> bool:
        """Start the program, kill it `limit_s` seconds after it is up, and return whether it had ended before.

        Args:
            released: how many of the runs may go on beyond their event.
        """
        command = [sys.executable, str(PROGRAM), "local", self.effects.database, str(self.runs), str(released)]
        environment = {**os.environ, "AIKI_EFFECTS": str(self.effects.path)}
        with (
            (self.folder / "errors.txt").open("ab") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment) as process,
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


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("database", "kills", "runs"),
    [("sqlite", KILLS, RUNS), ("postgres", 5, 20)],  # on Postgres the runs of the dead wait for the end of their lease
    indirect=["database"],
)
def test_every_run_completes_and_no_recorded_task_runs_again(
    tmp_path: Path, database: str, kills: int, runs: int
) -> None:
    chance = random.Random(20261122)
    lives = Lives(tmp_path, database, runs=runs)
    killed = 0
    done = False
    while not done:
        limit_s = chance.random() * 0.6 if killed < kills else LIFE_S_MAX
        done = lives.live(limit_s, released=runs * killed // kills)
        killed += not done
        assert killed <= kills, f"it did not end within {LIFE_S_MAX} s: {lives.errors()}"
        lives.effects.check()
    assert killed == kills
    print(f"{killed} kills, {lives.effects.check_all(runs)}")
