"""Where the demo takes place: a folder, one process at a time in it, and what they leave to be read.

The rule: whatever happens, leaving the stage leaves neither process nor file.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from aiki.cli.demo.tail import Tail

__all__ = ["Ended", "Stage", "open_stage"]

END_S_MAX: Final = 5.0
ERROR_CHARS_MAX: Final = 300


class Ended(Exception):
    """The process has ended, and nobody had asked it to."""


class Stage:
    """A folder, and the process that works in it.

    Attributes:
        folder: where the database and everything else is.
        pid: the id of the process that was started last.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pid = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._lines = Tail(folder / "lines.jsonl")

    def start(self) -> None:
        """Start the restaurant's process.

        Raises:
            OSError: the system starts no process.
        """
        with (self.folder / "lines.jsonl").open("ab") as lines, (self.folder / "errors.txt").open("ab") as errors:
            # Its own group: a Ctrl-C at the terminal is for the demo to answer, not for both. Its input is a pipe that
            # nothing is written to: it ends when the demo does.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "aiki.cli.demo.watched"],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=lines,
                stderr=errors,
                process_group=0,
            )
        self.pid = self._process.pid

    def kill(self) -> int:
        """Kill the process (SIGKILL: it gets no chance to do anything), and return its exit status once it is dead."""
        assert self._process is not None, "nothing has been started"
        self._process.kill()
        return self._reap()

    def read(self) -> list[dict[str, Any]]:
        """Return what the reporter has told since the last call."""
        return self._lines.read()

    def check(self) -> None:
        """Make sure that the process lives, or has ended well.

        Raises:
            Ended: it has not. The message is the last line that it wrote to its standard error.
        """
        if self._process is not None and self._process.poll() not in {None, 0}:
            said = (self.folder / "errors.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise Ended(said[-1][:ERROR_CHARS_MAX] if said else f"exit status {self._process.returncode}")

    def end(self) -> None:
        """Leave no process."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def _reap(self) -> int:
        assert self._process is not None, "nothing has been started"
        status = self._process.wait(END_S_MAX)
        assert self._process.stdin is not None, "its input is a pipe"
        self._process.stdin.close()
        self._process = None
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
