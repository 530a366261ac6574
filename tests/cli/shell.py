"""The `aiki` command as people type it: the installed script, in a process and a temporary folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import psutil
import pytest

from tests.house.sources import ROOT

SCRIPTS: Final = Path(sys.executable).parent
MAKE_DEMO: Final = ("make", "-C", str(ROOT), "demo", "RUNTIME=", f"BIN={SCRIPTS}")


def run(*arguments: str, timeout_s: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `aiki` with these arguments to its end."""
    return subprocess.run(
        [SCRIPTS / "aiki", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, **environment},
        check=False,
    )


class Started:
    """A demo that is under way, in a process group of its own, as a terminal would have it.

    Args:
        command: what is typed.
        folder: where its temporary folder and its output go.
    """

    def __init__(self, *command: str | Path, folder: Path) -> None:
        folder.mkdir()
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._output = folder / "output.txt"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "TMPDIR": str(self.temporary)},
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal as a terminal does: to all of the group."""
        os.killpg(self.process.pid, number)

    def restaurants(self) -> list[psutil.Process]:
        """Return the processes that work in its temporary folder."""
        found = []
        for process in psutil.process_iter():
            try:
                if Path(process.cwd()).is_relative_to(self.temporary):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def end(self) -> None:
        """Leave nothing, whatever the test has found."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for process in self.restaurants():
            process.kill()


def wait_for(text: str, demo: Started) -> None:
    """Wait until the demo has written something."""
    for _ in range(600):
        if text in demo.output:
            return
        try:
            demo.process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        break
    pytest.fail(f"{text} was never written: {demo.output}")
