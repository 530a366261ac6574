"""Where the demo takes place: a folder, one process at a time in it, and what they leave to be read.

The rule: whatever happens, leaving the stage leaves neither process nor file.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from aiki.cli.demo import restaurant

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
        self._lines = _Tail(folder / "lines.jsonl")
        self._requests = _Tail(folder / restaurant.REQUESTS)

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

    def read(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the requests that tasks have made and the reporter's lines, since the last call.

        Requests are read last, so that no line tells of the end of what is not yet seen to have begun.
        """
        lines = self._lines.read()
        return self._requests.read(), lines

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


class _Tail:
    """The lines of a growing file of JSON lines. One that is cut off in the middle is left until its end is there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = 0

    def read(self) -> list[dict[str, Any]]:
        """Return the lines that have been added since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read_bytes)
                added = file.read()
        except FileNotFoundError:
            return []
        whole, newline, _ = added.rpartition(b"\n")
        self._read_bytes += len(whole) + len(newline)
        return [json.loads(line) for line in whole.splitlines()]
