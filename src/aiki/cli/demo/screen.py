"""How the demo looks: a table that fills in where there is a terminal, plain lines where there is none.

The rule: it shows what it is given. Both forms say the same, in 80 columns, in characters that every encoding has.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from aiki.cli.demo.record import Record, Step

__all__ = ["Screen"]

PLAIN_COLUMNS: Final = 80
TEXT_COLUMNS_MAX: Final = 100
TEXT_COLUMNS_MIN: Final = 30
STYLES: Final = {"task": "", "event": "cyan", "sleep": "blue", "child": "magenta"}


class Screen:
    """What the reader sees. Inside `with screen:` it may be drawn on."""

    def __init__(self) -> None:
        live = sys.stdout.isatty()
        # No control codes into a pipe, not even where the environment forces colour.
        plain: dict[str, Any] = {} if live else {"force_terminal": False, "color_system": None, "width": PLAIN_COLUMNS}
        self._console = Console(highlight=False, markup=False, soft_wrap=True, **plain)
        self._columns = min(self._console.width, TEXT_COLUMNS_MAX)
        is_drawn = live and not self._console.is_dumb_terminal
        self._live = Live(console=self._console, auto_refresh=False) if is_drawn else None
        self._said: list[Text] = []

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str, *, now_s: float, style: str = "") -> None:
        """Add a sentence to the story."""
        line = Text.assemble((f"{now_s:5.1f} s  ", "dim"), (text, style))
        if self._live is None:
            self._console.print(line)
        else:
            self._said.append(line)

    def draw(self, record: Record, *, now_s: float) -> None:
        """Show how the steps stand."""
        changes = record.take_changes()
        if self._live is not None:
            self._live.update(Group(self._table(record, now_s=now_s), "", *self._said), refresh=True)
            return
        for step, status in changes:
            ran_by = f"  process {step.processes[-1]}" if status.startswith("running") else ""
            self._console.print(f"{now_s:5.1f} s    {_name(step, record):30}{status}{ran_by}")

    def print(self, text: str = "") -> None:
        """Print a paragraph."""
        for line in textwrap.wrap(text, self._columns, break_on_hyphens=False) or [""]:
            self._console.print(line)

    def print_pairs(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Print headings with what belongs to each beside them."""
        margin = max(len(heading) for heading, _ in pairs) + 2
        for heading, text in pairs:
            columns = max(self._columns - margin, TEXT_COLUMNS_MIN)
            first, *others = textwrap.wrap(text, columns, break_on_hyphens=False)
            self._console.print(Text.assemble((heading.ljust(margin), "bold"), first))
            for line in others:
                self._console.print(" " * margin + line)

    def _table(self, record: Record, *, now_s: float) -> Table:
        table = Table(box=None, padding=(0, 1), header_style="bold")
        table.add_column("step", width=30)
        table.add_column("status", width=24)
        table.add_column("times run", justify="right", width=9)
        table.add_column("at", justify="right", width=7)
        for step in record.steps.values():
            table.add_row(
                Text(_name(step, record), style=STYLES.get(step.of, "")),
                Text(self._status(step, now_s=now_s), style=_style(step)),
                str(len(step.processes)) if step.processes else "",
                f"{step.changed_s:.1f} s",
            )
        return table

    def _status(self, step: Step, *, now_s: float) -> str:
        if step.is_asleep and step.due_s is not None:
            return f"{step.status}, {max(step.due_s - now_s, 0.0):.1f} s to go"
        return step.status


def _name(step: Step, record: Record) -> str:
    return f"{'  ' if record.is_of_child(step) else ''}{step.of} {step.name}"


def _style(step: Step) -> str:
    if step.status.startswith("cut off"):
        return "bold red"
    return "green" if step.recorded else "yellow"
