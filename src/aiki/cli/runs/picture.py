"""How a run looks in a terminal: a row of a list, and the whole of it.

The rule: it is drawn from what the server told, and nothing is asked here.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from aiki.cli.runs.timeline import timeline
from aiki.cli.words import STYLES, ago, ahead, progress_words, span, wait_words, what_next
from aiki.model.journal import Entry
from aiki.model.payload import Json
from aiki.sdk.info import ErrorInfo, ExecutingInfo, RunCount, RunInfo, RunPage

__all__ = ["ENDED", "counts_of", "picture", "table_of"]

TEXT_CHARS_MAX: Final = 2_000
TRACEBACK_LINES_MAX: Final = 30
MS_PER_S: Final = 1_000
EXECUTING_MAX: Final = 20
ENDED: Final = frozenset({"completed", "failed", "cancelled"})


def table_of(page: RunPage, now: datetime) -> RenderableType:
    """Return a page of runs as a table."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("run", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for title in ("workflow", "created", "reference id"):
        table.add_column(title)
    for run in page.runs:
        table.add_row(
            run.id,
            _status(run),
            f"{run.workflow} {run.version}",
            ago(run.created_at, now),
            run.reference_id or "",
        )
    return table


def counts_of(found: RunCount) -> RenderableType:
    """Return how many runs there are."""
    counts = [(status.replace("_", " "), f"{number:,}") for status, number in found.by_status.items()]
    return _pairs([*counts, ("in all", f"{found.total:,}")])


def picture(run: RunInfo, entries: Sequence[Entry], now: datetime) -> RenderableType:
    """Return all that is known of a run."""
    parts: list[RenderableType] = [_facts(run, now)]
    if run.error is not None:
        parts += ["", *_error(run.error)]
    if entries:
        began = run.started_at or run.created_at
        done = timeline(entries, began_ms=round(began.timestamp() * MS_PER_S))
        parts += ["", Text("What it has done", style="bold"), done]
    if following := what_next(run):
        parts += ["", Text("The ways out" if run.status == "stalled" else "What to type", style="bold")]
        parts.append(_pairs(following, indent=2))
    return Group(*parts)


def _facts(run: RunInfo, now: datetime) -> Table:
    facts: list[tuple[str, str | Text]] = [
        ("run", run.id),
        ("workflow", f"{run.workflow} {run.version}"),
        ("status", _status(run)),
    ]
    if run.why:
        facts.append(("why", run.why))
    facts += [("note", warning) for warning in run.warnings]
    facts += [("executes", _executing(line, now)) for line in run.executing[:EXECUTING_MAX]]
    facts += [("waits for", wait_words(wait, now)) for wait in run.waits]
    if run.cancel_requested and run.status not in ENDED:
        facts.append(("cancel", "was asked for"))
    if run.pause_requested:
        facts.append(("pause", "was asked for: it stops after the tasks that run now"))
    if run.worker:
        facts.append(("worker", run.worker))
    facts += _times(run, now)
    if run.reference_id is not None:
        facts.append(("reference id", run.reference_id))
    if run.parent_id is not None:
        facts.append(("child of", run.parent_id))
    if run.schedule is not None:
        facts.append(("schedule", run.schedule))
    if run.tags:
        facts.append(("tags", ", ".join(f"{name}={value}" for name, value in run.tags.items())))
    if run.pool:
        facts.append(("pool", run.pool))
    if run.attempt > 1:
        facts.append(("attempt", str(run.attempt)))
    facts.append(("input", _json(run.input)))
    if run.status == "completed":
        facts.append(("output", _json(run.output)))
    return _pairs(facts)


def _executing(line: ExecutingInfo, now: datetime) -> str:
    attempt = f", attempt {line.attempt}" if line.attempt > 1 else ""
    progress = "" if line.progress is None else f": {progress_words(line.progress)[:TEXT_CHARS_MAX]}"
    return f"{line.task}{attempt} for {span((now - line.since).total_seconds())}{progress}"


def _times(run: RunInfo, now: datetime) -> list[tuple[str, str | Text]]:
    times: list[tuple[str, str | Text]] = [("created", f"{_clock(run.created_at)}, {ago(run.created_at, now)}")]
    if run.started_at is not None:
        times.append(("began", _clock(run.started_at)))
    if run.finished_at is not None:
        took = span((run.finished_at - run.created_at).total_seconds())
        times.append(("ended", f"{_clock(run.finished_at)}, after {took}"))
    elif run.next_at is not None and run.status == "scheduled":
        times.append(("begins", ahead(run.next_at, now)))
    return times


def _error(error: ErrorInfo) -> list[RenderableType]:
    lines = [] if error.traceback is None else error.traceback.rstrip().splitlines()
    return [
        Text(f"{error.type}: {error.message}"[:TEXT_CHARS_MAX], style="red"),
        *(Text(line, style="dim") for line in lines[-TRACEBACK_LINES_MAX:]),
    ]


def _pairs(pairs: Sequence[tuple[str, str | Text]], *, indent: int = 0) -> Table:
    table = Table(box=None, padding=(0, 2, 0, indent), show_header=False)
    table.add_column(no_wrap=True, style="" if indent else "bold")
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, value)
    return table


def _status(run: RunInfo) -> Text:
    return Text(run.status.replace("_", " "), style=STYLES.get(run.status, ""))


def _json(value: Json) -> str:
    return msgspec.json.encode(value).decode()[:TEXT_CHARS_MAX]


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
