"""Whether the files that a process was made of are still the same.

The rule: they are looked at, a bounded number of them, and nobody is asked to tell; a change counts once two looks have
seen the same, so that a file that is just being written is not read half.
"""

import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Final

__all__ = ["Stamps", "Watch", "files_of", "stamps_of"]

FILES_MAX: Final = 2_000

Stamps = Mapping[str, tuple[int, int]]
"""Time of change (nanoseconds) and size by path; both -1 where there is no file."""


class Watch:
    """Files, and how they were.

    Args:
        stamps: how they were when the process read them.
    """

    def __init__(self, stamps: Stamps) -> None:
        self._stamps = dict(stamps)
        self._last: Stamps | None = None

    def has_settled_anew(self) -> bool:
        """Look, and return whether a file is other than it was, and the same as at the last look."""
        now = stamps_of(self._stamps)
        if now == self._stamps:
            self._last = None
            return False
        is_settled = now == self._last
        self._last = now
        return is_settled

    def renew(self, stamps: Stamps, *, keep: bool = False) -> None:
        """Watch other files from now on, or more.

        Args:
            keep: the files of before, too: how they are now is how they are to be.
        """
        kept = stamps_of(self._stamps) if keep else {}
        self._stamps = {**kept, **stamps}
        self._last = None


def files_of(modules: Iterable[ModuleType], roots: Iterable[Path]) -> list[str]:
    """Return the source files of modules that lie under one of the roots, but for what is installed there."""
    installed = {
        Path(place) for place in (sys.prefix, sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"])
    }
    found: dict[str, None] = {}
    for module in modules:
        name = getattr(module, "__file__", None)
        if not isinstance(name, str) or not name.endswith(".py"):
            continue
        path = Path(name)
        if any(path.is_relative_to(root) for root in roots) and not any(path.is_relative_to(at) for at in installed):
            found[name] = None
    return list(found)[:FILES_MAX]


def stamps_of(files: Iterable[str]) -> Stamps:
    """Return how files are now."""
    return {file: _stamp(file) for file in files}


def _stamp(file: str) -> tuple[int, int]:
    try:
        found = Path(file).stat()
    except OSError:
        return (-1, -1)
    return (found.st_mtime_ns, found.st_size)
