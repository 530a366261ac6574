"""How the demo looks: a table that fills in where there is a terminal, plain lines where there is none.

The rule: it shows what it is given. Both forms say the same, in 80 columns, in characters that every encoding has.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from aiki.cli.demo.record import Record, Step

__all__ = ["Screen"]

PLAIN_COLUMNS: Final = 80
STYLES: Final = {"task": "", "event": "cyan", "sleep": "blue", "child": "magenta"}


class Screen:
    """What the reader sees. Inside `with screen:` it may be drawn on.

    Args:
        wall_ms: the machine's wall time when the demo began; countdowns are counted from it.
    """

    def __init__(self, *, wall_ms: int) -> None:
        live = sys.stdout.isatty()
        # `force_terminal=False` also where the environment forces colour: who pipes the demo wants no control codes.
        self._console = (
            Console(highlight=False, markup=False)
            if live
            else Console(
                highlight=False,
                markup=False,
                force_terminal=False,
                color_system=None,
                width=PLAIN_COLUMNS,
                soft_wrap=True,
            )
        )
        is_drawn = live and not self._console.is_dumb_terminal
        self._live = Live(console=self._console, auto_refresh=False) if is_drawn else None
        self._wall_ms = wall_ms
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

    def print(self, text: str = "", *, style: str = "") -> None:
        """Print a paragraph."""
        self._console.print(Text(text, style=style), soft_wrap=False)

    def print_pairs(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Print headings with what belongs to each beside them."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column()
        for heading, text in pairs:
            grid.add_row(Text(heading, style="bold"), Text(text))
        self._console.print(grid, soft_wrap=False)

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
        if step.is_asleep and step.due_ms is not None:
            left_s = (step.due_ms - self._wall_ms) / 1000 - now_s
            return f"{step.status}, {max(left_s, 0.0):.1f} s to go"
        return step.status


def _name(step: Step, record: Record) -> str:
    return f"{'  ' if record.is_of_child(step) else ''}{step.of} {step.name}"


def _style(step: Step) -> str:
    if step.status.startswith("cut off"):
        return "bold red"
    return "green" if step.recorded else "yellow"
