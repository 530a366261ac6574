"""A run's timeline in a terminal: a line for each entry of its journal, placed as in the dashboard.

The rule: place is time, from the run's start to its last entry; what was executed is drawn full, each attempt by itself, and
what was waited for thin.
"""

from collections.abc import Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from aiki.cli.words import span
from aiki.model.journal import Entry, EntryKind

__all__ = ["timeline"]

COLUMNS: Final = 32
NAME_CHARS_MAX: Final = 2_000
MS_PER_S: Final = 1_000


def timeline(entries: Sequence[Entry], *, began_ms: int) -> Table:
    """Return what a run has done, as a table with bars."""
    delivered_ms = {entry.seq: entry.at_ms for entry in entries}
    spans = [_span(entry, delivered_ms, began_ms) for entry in entries]
    first_ms = min([began_ms, *(begin_ms for begin_ms, _ in spans)]) if entries and entries[0].seq == 1 else spans[0][0]
    whole_ms = max(1, max(end_ms for _, end_ms in spans) - first_ms)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for _ in range(3):
        table.add_column(no_wrap=True)
    for entry, (begin_ms, end_ms) in zip(entries, spans, strict=True):
        outcome, style = _outcome(entry)
        bar = Text(" " * COLUMNS)
        for mark, from_ms, until_ms, drawn in _parts(entry, begin_ms, end_ms, style=style):
            left = min(COLUMNS - 1, max(0, (from_ms - first_ms) * COLUMNS // whole_ms))
            right = min(COLUMNS, left + max(1, round((until_ms - from_ms) * COLUMNS / whole_ms)))
            bar = Text.assemble(bar[:left], (mark * (right - left), drawn), bar[right:])
        name = (entry.label or entry.key.address)[:NAME_CHARS_MAX]
        took = span((end_ms - begin_ms) / MS_PER_S) if end_ms > begin_ms else ""
        tries = f"{outcome}, {entry.attempts} attempts" if entry.attempts > 1 else outcome
        table.add_row(str(entry.seq), entry.key.kind.value.replace("_", " "), name, bar, tries, took)
    return table


def _parts(entry: Entry, begin_ms: int, end_ms: int, *, style: str) -> list[tuple[str, int, int, str]]:
    """Return what is drawn of an entry, one over the other: all of it, and each attempt where there was more than one."""
    if not entry.tries:
        return [("█" if entry.key.kind is EntryKind.TASK else "─", begin_ms, end_ms, style)]
    tries = [("█", one.started_at_ms, one.finished_at_ms, "red" if one.error else style) for one in entry.tries]
    return [("─", begin_ms, end_ms, "yellow"), *tries]


def _span(entry: Entry, delivered_ms: dict[int, int], began_ms: int) -> tuple[int, int]:
    """Return when it began and when it was over."""
    begin_ms = entry.started_at_ms
    if begin_ms is None:
        begin_ms = delivered_ms.get(entry.asked, began_ms)
    end_ms = entry.at_ms if entry.finished_at_ms is None else entry.finished_at_ms
    return min(begin_ms, end_ms), end_ms


def _outcome(entry: Entry) -> tuple[str, str]:
    if entry.error is not None:
        return "failed", "red"
    if entry.timed_out:
        return "timed out", "yellow"
    if entry.woken:
        return "woken", "cyan"
    return "done", "green"
