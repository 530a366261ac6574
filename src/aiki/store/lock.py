"""One process for one database file: a lock of the operating system, on a file beside it.

The rule: whoever holds the lock serves the file, and the operating system lets go of it when its holder dies, however
it dies. What stands in the lock file only tells people, and those who come second, who that is.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from aiki.errors import DatabaseInUse

if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


__all__ = ["FileLock", "Holder"]

HOLDER_BYTES_MAX: Final = 1_024
LOCKED_BYTE: Final = 1 << 30  # beyond the text, which others then may read on Windows too
REPLACED_MAX: Final = 100  # how often the file may be replaced by others before we give up


class Holder(msgspec.Struct, frozen=True):
    """Who holds a lock: its process, since when, and the URL where it serves, if it does."""

    pid: int | None = None
    url: str | None = None
    since_ms: int | None = None


class FileLock:
    """The lock of one database file. It is held from the making of this object until `release`.

    Args:
        database: the database's path; the lock file is beside it, with `.lock` at the end.
        now_ms: told to people as the time since when it is held.

    Raises:
        DatabaseInUse: another process, or another server in this one, holds it; `.path`, `.pid`, `.url`.
        OSError: the lock file cannot be made.
    """

    def __init__(self, database: Path, *, now_ms: int) -> None:
        self.database = database
        self.path = database.with_name(f"{database.name}.lock")
        self._now_ms = now_ms
        self._file = self._acquire()
        self.tell(url=None)

    def tell(self, *, url: str | None) -> None:
        """Write down who holds the lock, and where it serves."""
        holder = msgspec.json.encode(Holder(os.getpid(), url, self._now_ms))
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, holder.ljust(HOLDER_BYTES_MAX - 1) + b"\n")

    def release(self) -> None:
        """Let go, and remove the lock file. The file goes first: `_acquire` sees when it locked one that is gone."""
        if self._file < 0:
            return
        with suppress(OSError):  # Windows removes no file that is open: it stays, unlocked
            self.path.unlink(missing_ok=True)
        os.close(self._file)
        self._file = -1

    def _acquire(self) -> int:
        for _ in range(REPLACED_MAX):
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
            try:
                if not _try_lock(file):
                    raise self._in_use(_holder_of(file))
                if self._is_current(file):
                    return file
            except BaseException:
                os.close(file)
                raise
            os.close(file)
        raise self._in_use(Holder())

    def _is_current(self, file: int) -> bool:
        """Whether the locked file is still the one at the path, and not one that its last holder has just removed."""
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        locked = os.fstat(file)
        return (there.st_dev, there.st_ino) == (locked.st_dev, locked.st_ino)

    def _in_use(self, holder: Holder) -> DatabaseInUse:
        who = "another process" if holder.pid is None else f"process {holder.pid}"
        if holder.pid == os.getpid():
            who = "this process, through another server,"
        cure = f"Use its server at {holder.url}" if holder.url else "Stop it first"
        return DatabaseInUse(
            f"{who} serves {self.database}, and one process at a time may. {cure}, or take another file.",
            path=str(self.database),
            pid=holder.pid,
            url=holder.url,
        )


def _try_lock(file: int) -> bool:
    try:
        _lock(file)
    except OSError:
        return False
    return True


def _holder_of(file: int) -> Holder:
    """Return what the lock file says; nothing is certain but that it is locked."""
    try:
        os.lseek(file, 0, os.SEEK_SET)
        return msgspec.json.decode(os.read(file, HOLDER_BYTES_MAX), type=Holder)
    except (OSError, ValueError):
        return Holder()
