"""Who listens on a port or at a path already, as far as this machine tells.

The rule: it is only read from /proc, where there is one; what cannot be found out is left out, and of a command only
the first words are shown, for the rest may hold secrets.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["holder_of_path", "holder_of_port"]

PROC: Final = Path("/proc")
LISTENS: Final = "0A"  # TCP_LISTEN, as the kernel writes it
COMMAND_WORDS: Final = 3
COMMAND_CHARS: Final = 80
KEY_PREFIX: Final = "aiki_"  # a word that may be one of our keys is not shown


def holder_of_port(port: int) -> str | None:
    """Return `process 4711 (python shop.py)` for whoever listens on a TCP port, None if that cannot be told."""
    inodes = set()
    for table in ("net/tcp", "net/tcp6"):
        for fields in _lines(PROC / table):
            if len(fields) > 9 and fields[3] == LISTENS and fields[1].endswith(f":{port:04X}"):
                inodes.add(fields[9])
    return _process_with(inodes)


def holder_of_path(path: str) -> str | None:
    """Return whoever listens at the path of a unix socket."""
    return _process_with({fields[6] for fields in _lines(PROC / "net/unix") if fields[7:] == [path]})


def _lines(table: Path) -> Iterator[list[str]]:
    try:
        text = table.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines()[1:]:
        yield line.split()


def _process_with(inodes: set[str]) -> str | None:
    links = {f"socket:[{inode}]" for inode in inodes}
    if not links:
        return None
    for process in PROC.glob("[0-9]*"):
        if links & set(_links(process / "fd")):
            return f"process {process.name}{_command(process)}"
    return None


def _links(descriptors: Path) -> Iterator[str]:
    try:
        for descriptor in descriptors.iterdir():
            yield str(descriptor.readlink())
    except OSError:  # another user's, or gone meanwhile
        return


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    except OSError:
        return ""
    shown = " ".join(word for word in words[:COMMAND_WORDS] if word and KEY_PREFIX not in word)
    return f" ({shown[:COMMAND_CHARS]})" if shown else ""
