"""Where the demo takes place: a folder, the processes in it, and what they leave to be read.

The rule: whatever happens, leaving the stage leaves neither process nor file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from aiki.cli.demo.tail import Tail

__all__ = ["SERVED_AT", "Ended", "Stage", "open_stage"]

SERVED_AT: Final = "server.url"  # the server says so in this file
END_S_MAX: Final = 5.0
ERROR_CHARS_MAX: Final = 300


class Ended(Exception):
    """A process has ended, and nobody had asked it to."""


class Stage:
    """A folder, and the processes that work in it, each under the name of its role.

    Attributes:
        folder: where the database and everything else is.
        pids: the process that was started last in each role.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pids: dict[str, int] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._lines = Tail(folder / "lines.jsonl")

    @property
    def url(self) -> str | None:
        """Where the server of the folder serves, once it does."""
        try:
            return (self.folder / SERVED_AT).read_text(encoding="utf-8") or None
        except FileNotFoundError:
            return None

    def start(self, role: str) -> None:
        """Start a process.

        Raises:
            OSError: the system starts no process.
        """
        found = {} if self.url is None else {"AIKI_URL": self.url}
        with (self.folder / "lines.jsonl").open("ab") as lines, (self.folder / "errors.txt").open("ab") as errors:
            # Its own group: a Ctrl-C at the terminal is for the demo to answer, not for both. Its input is a pipe that
            # nothing is written to: it ends when the demo does.
            self._processes[role] = subprocess.Popen(
                [sys.executable, "-P", "-m", "aiki.cli.demo.watched", role],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=lines,
                stderr=errors,
                env={**os.environ, **found},
                process_group=0,
            )
        self.pids[role] = self._processes[role].pid

    def kill(self, role: str) -> int:
        """Kill a process (SIGKILL: it gets no chance to do anything), and return its exit status once it is dead."""
        self._processes[role].kill()
        return self._reap(role)

    def read(self) -> list[dict[str, Any]]:
        """Return what the reporter has told since the last call."""
        return self._lines.read()

    def check(self) -> None:
        """Make sure that all processes live, or have ended well.

        Raises:
            Ended: one has not. The message is the last line that was written to standard error.
        """
        for role, process in self._processes.items():
            if process.poll() not in {None, 0}:
                said = (self.folder / "errors.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
                why = said[-1][:ERROR_CHARS_MAX] if said else f"exit status {process.returncode}"
                raise Ended(f"the process of the {role} has ended by itself: {why}")

    def end(self) -> None:
        """Leave no process."""
        for process in self._processes.values():
            process.kill()
        for role in list(self._processes):
            self._reap(role)

    def _reap(self, role: str) -> int:
        process = self._processes.pop(role)
        status = process.wait(END_S_MAX)
        assert process.stdin is not None, "its input is a pipe"
        process.stdin.close()
        return status


@contextmanager
def open_stage() -> Iterator[Stage]:
    """Give a stage in a temporary folder, and clear it away.

    Raises:
        OSError: no temporary folder can be made.
    """
    folder = Path(tempfile.mkdtemp(prefix="aiki-demo-"))
    stage = Stage(folder)
    try:
        yield stage
    finally:
        try:
            stage.end()
        finally:
            shutil.rmtree(folder)
