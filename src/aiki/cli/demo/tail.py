"""The lines of a file of JSON lines that another process is still writing.

The rule: a line counts once its end is there; what is cut off in the middle is left for the next look.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["Tail"]


class Tail:
    """A file that grows. It need not be there yet."""

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
