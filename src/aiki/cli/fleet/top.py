"""`aiki top`: the fleet as it is now, drawn anew until it is ended.

The rule: it ends at `q` and at Ctrl-C without a word, and leaves the terminal as it was.
"""

import asyncio
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from aiki.cli import printing
from aiki.cli.printing import console, print_json
from aiki.cli.runs.asked import USUAL, Server, ask
from aiki.cli.runs.which import now_of
from aiki.cli.words import STYLES, ago, progress_words, span
from aiki.clock import SystemClock
from aiki.model.lifecycle import Status
from aiki.model.views import VersionView, WorkersView, WorkflowsView
from aiki.sdk.client import Client
from aiki.sdk.convert import instant_of
from aiki.sdk.info import RunPage

__all__ = ["top"]

termios: Any = importlib.import_module("termios") if sys.platform != "win32" else None

LOOK_S: Final = 1.0
NEEDY_MAX: Final = 5
ROWS_MAX: Final = 12
WIDE_COLUMNS: Final = 110  # a run's id has room from here on
END: Final = b"q"
READ_BYTES: Final = 64
LOCAL_MODES: Final = 3  # their place among the attributes of a terminal


class _Seen(Struct, frozen=True):
    """What one look has shown."""

    runs: dict[str, int]
    needy: RunPage
    workflows: WorkflowsView
    workers: WorkersView


def top(*, server: Server = USUAL) -> int:
    """Show the fleet live: what needs a person, what runs, and who executes it. q ends it.

    For example:

        aiki top
        aiki top --json

    Args:
        server: The server.
    """

    async def question(client: Client) -> int:
        if server.as_json:
            print_json(await _look(client))
        elif sys.stdout.isatty():
            await _watch(client)
        else:
            printing.show(_picture(await _look(client), now_of(SystemClock()), columns=console().width))
        return 0

    return ask("top", server, question, group="")


async def _watch(client: Client) -> None:
    clock = SystemClock()
    with _typed() as ended, Live(console=console(), auto_refresh=False, screen=True) as live:
        while not ended.is_set():
            seen = await _look(client)
            live.update(_picture(seen, now_of(clock), columns=live.console.width), refresh=True)
            try:
                async with asyncio.timeout(LOOK_S):
                    await ended.wait()
            except TimeoutError:
                continue


@contextmanager
def _typed() -> Iterator[asyncio.Event]:
    """Have an event that is set when somebody types `q`; where keys cannot be read, Ctrl-C is left."""
    ended = asyncio.Event()
    if sys.platform == "win32" or not sys.stdin.isatty():
        yield ended
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    keyed = [*before]
    keyed[LOCAL_MODES] &= ~(termios.ICANON | termios.ECHO)  # a key is read when it is pressed, and not shown

    def read() -> None:
        if os.read(descriptor, READ_BYTES) in (END, b""):
            ended.set()

    loop = asyncio.get_running_loop()
    termios.tcsetattr(descriptor, termios.TCSADRAIN, keyed)
    loop.add_reader(descriptor, read)
    try:
        yield ended
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


async def _look(client: Client) -> _Seen:
    workflows, workers, stalled, failed = await asyncio.gather(
        client.connection.workflows(),
        client.connection.workers(),
        client.runs.list(status="stalled", limit=NEEDY_MAX),
        client.runs.list(status="failed", limit=NEEDY_MAX),
    )
    runs: dict[str, int] = {}
    for version in workflows.versions:
        for status, number in version.runs.items():
            runs[status.value] = runs.get(status.value, 0) + number
    needy = (*stalled.runs, *failed.runs)[:NEEDY_MAX]  # what is stalled waits for somebody; what failed has ended
    return _Seen(runs, RunPage(needy, None), workflows, workers)


def _picture(seen: _Seen, now: datetime, *, columns: int) -> RenderableType:
    counts = Text("  ")
    for status, number in sorted(seen.runs.items()):
        counts.append(f"{number:,} {status.replace('_', ' ')}   ", style=STYLES.get(status, ""))
    parts: list[RenderableType] = [Text(f"Aiki  {now.astimezone():%H:%M:%S}   q ends", style="bold"), counts]
    if seen.needy.runs:
        parts += ["", Text("Needs a person", style="bold"), _needy(seen.needy, now, columns=columns)]
    counted = ((version, version.runs.get(Status.QUEUED, 0)) for version in seen.workflows.versions)
    queues = [(version, number) for version, number in counted if number]
    if queues:
        parts += ["", Text("Queues", style="bold")]
        parts += [_queue(version, number) for version, number in queues[:ROWS_MAX]]
    return Group(*parts, "", Text("Workers", style="bold"), _workers(seen.workers, now, columns=columns))


def _lines() -> Table:
    """Return an empty table whose rows are one line each, however narrow the terminal is."""
    table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True, overflow="ellipsis")
    return table


def _needy(page: RunPage, now: datetime, *, columns: int) -> RenderableType:
    table = _lines()
    for run in page.runs:
        status = Text(run.status, style=STYLES.get(run.status, ""))
        name = run.reference_id or f"{run.workflow} {run.version}"
        more = [f"run {run.id}"] if columns >= WIDE_COLUMNS else []
        table.add_row(status, name, Text(ago(run.finished_at or run.created_at, now), no_wrap=True), *more)
    return table


def _queue(version: VersionView, number: int) -> str:
    nobody = "" if version.workers else ", served by nobody"
    return f"  {version.workflow} {version.version}: {number:,}{nobody}"


def _workers(found: WorkersView, now: datetime, *, columns: int) -> RenderableType:
    if not found.workers:
        return Text("  There are none: aiki worker module:worker")
    table = _lines()
    for worker in sorted(found.workers, key=lambda worker: (-worker.held / max(1, worker.capacity), worker.name))[
        :ROWS_MAX
    ]:
        more = [worker.host] if columns >= WIDE_COLUMNS else []
        table.add_row(worker.name, f"{worker.held} of {worker.capacity} runs", *more)
        for line in worker.executing[:ROWS_MAX]:
            since = span((now - instant_of(line.since_ms)).total_seconds())
            progress = f", {progress_words(msgspec.json.decode(line.progress))}" if line.progress else ""
            more = [f"run {line.run_id}"] if columns >= WIDE_COLUMNS else []
            table.add_row(f"  {line.task}", f"for {since}{progress}", *more)
    return table
