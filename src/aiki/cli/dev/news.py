"""What `aiki dev` tells of runs: a line when one starts and one when it ends, or cannot go on.

The rule: it is told of what is durable, and says nothing of requests.
"""

from collections.abc import Callable
from typing import Final

from aiki.cli.words import span, ways_out
from aiki.model.lifecycle import Reason, Status
from aiki.model.run import RunRow
from aiki.model.working_set import History, WorkingSet

__all__ = ["News"]

LINES_MAX: Final = 100  # of one transaction
MS_PER_S: Final = 1_000


class News:
    """Makes lines of what happens to runs.

    Args:
        say: prints one line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def note(self, ws: WorkingSet) -> None:
        """Tell what a transaction has done."""
        told = [line for moved in ws.history for line in _lines(ws, moved)]
        for line in told[:LINES_MAX]:
            self._say(line)
        if len(told) > LINES_MAX:
            self._say(f"... and {len(told) - LINES_MAX:,} lines more of this kind: aiki runs list")


def _lines(ws: WorkingSet, moved: History) -> list[str]:
    row = ws.runs.get(moved.run_id)
    words = None if row is None else _words(ws, row, moved)
    if row is None or words is None:
        return []
    lines = [f"{row.workflow} {row.version}  {row.id}  {words}"]
    if moved.new is Status.STALLED:
        lines += [f"    {typed}   {effect}" for typed, effect in ways_out(row.id)]
    return lines


def _words(ws: WorkingSet, row: RunRow, moved: History) -> str | None:
    if moved.old is None:
        if moved.new is Status.SCHEDULED and row.due_at_ms is not None:
            return f"started, to begin in {span((row.due_at_ms - moved.at_ms) / MS_PER_S)}"
        return "started"
    after = f"after {span((moved.at_ms - row.created_at_ms) / MS_PER_S)}"
    end = ws.ends.get(row.id)
    match moved.new:
        case Status.COMPLETED:
            return f"completed {after}"
        case Status.CANCELLED:
            return f"cancelled {after}" + (f": {row.why}" if row.why else "")
        case Status.FAILED:
            error = None if end is None else end.error
            return f"failed {after}" + (f": {error.type}: {error.message}" if error is not None else "")
        case Status.STALLED:
            return f"stalled: {row.why or moved.reason.value}"
    if moved.reason is Reason.RETRY:
        return "failed, and is tried again"
    return "is queued again" if moved.reason is Reason.REQUEUED else None
