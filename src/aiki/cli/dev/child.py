"""The process of one target: it loads the code, tells how that went, and serves once it is told to.

The rule: it serves nothing before the command has said so, and goes when the command does: its standard input closes.
"""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from pathlib import Path
from typing import Final

import msgspec

from aiki.cli.dev.watch import Stamps, files_of, stamps_of
from aiki.cli.interruption import run_until_signalled
from aiki.cli.loading import NotLoadable, load
from aiki.cli.log import log_to_terminal, logger
from aiki.cli.refusal import REFUSED, Refusal
from aiki.cli.working import Working, served_words, worker_of

__all__ = ["SERVE", "Report", "main"]

SERVE: Final = "serve\n"


class Report(msgspec.Struct, frozen=True):
    """How the loading went.

    Attributes:
        served: what is served, in words; empty where it failed.
        error: why it failed, in a sentence; `shown` the traceback of the user's code.
        stamps: the files of it, as they were.
    """

    served: str
    error: str
    shown: str
    stamps: Stamps


def main() -> int:
    """Load, tell, wait to be told, serve."""
    target, report = sys.argv[1], Path(sys.argv[2])
    log_to_terminal()
    try:
        worker = worker_of(asyncio.run(load(target)), name=Path(target.partition(":")[0]).stem)
    except Refusal as error:
        _tell(report, Report("", str(error), getattr(error, "shown", ""), _stamps(target, error)))
        return REFUSED
    _tell(report, Report(served_words(worker.workflows), "", "", _stamps(target)))
    if sys.stdin.readline() != SERVE:
        return 0
    if worker.client.url != os.environ["AIKI_URL"]:
        logger.warning("%s speaks with %s, as its code says, and not with this server", target, worker.client.url)
    working = Working(worker, is_told=False)

    async def serve() -> int:
        await _leave_with_the_command()
        return await working.serve()

    try:
        return working.end_threads(run_until_signalled(serve, again=working.hurry))
    except Refusal as error:
        logger.error("%s: %s", target, error)
        return REFUSED


def _tell(report: Path, told: Report) -> None:
    """Write it whole, or not at all: the command looks whenever it likes."""
    begun = report.with_suffix(".begun")
    begun.write_bytes(msgspec.json.encode(told))
    begun.replace(report)


def _stamps(target: str, error: Refusal | None = None) -> Stamps:
    place = target.partition(":")[0]
    roots = [Path.cwd(), *([Path(place).absolute().parent] if place.endswith(".py") else [])]
    files = files_of(list(sys.modules.values()), roots)
    if place.endswith(".py"):
        files.append(str(Path(place).absolute()))
    cause = None if error is None else error.__cause__
    if isinstance(error, NotLoadable) and cause is not None:
        files += [frame.filename for frame in traceback.extract_tb(cause.__traceback__)]
        if isinstance(cause, SyntaxError) and cause.filename:
            files.append(cause.filename)
    return stamps_of([file for file in files if any(Path(file).is_relative_to(root) for root in roots)])


async def _leave_with_the_command() -> None:
    """Let the end of standard input end this process: there is no server any more to hand anything back to."""

    class Leave(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            os._exit(REFUSED)

    await asyncio.get_running_loop().connect_read_pipe(Leave, sys.stdin)


if __name__ == "__main__":
    sys.exit(main())
