"""Commands that look at the fleet: the workers that are there, and the versions that are known.

The rule: they change nothing, and a picture is drawn from what the server told.
"""

from datetime import datetime
from typing import Final

import msgspec
from rich.console import RenderableType
from rich.table import Table

from aiki.cli import printing
from aiki.cli.printing import print_json
from aiki.cli.runs.asked import USUAL, Server, ask
from aiki.cli.runs.which import now_of
from aiki.cli.words import ago, progress_words
from aiki.clock import SystemClock
from aiki.model.lifecycle import TERMINAL
from aiki.model.views import VersionView, WorkersView, WorkerView, WorkflowsView
from aiki.sdk.client import Client
from aiki.sdk.convert import instant_of

__all__ = ["list_workers", "list_workflows"]

SHOWN_MAX: Final = 5


def list_workers(*, server: Server = USUAL) -> int:
    """List the workers that are there, and what they execute now.

    For example:

        aiki workers list
        aiki workers list --json

    Args:
        server: The server.
    """

    async def question(client: Client) -> int:
        found = await client.connection.workers()
        if server.as_json:
            print_json(found)
        elif not found.workers:
            print("There are no workers. Start one: aiki worker module:worker")
        else:
            printing.show(_workers(found, now_of(SystemClock())))
        return 0

    return ask("list", server, question, group="workers")


def list_workflows(*, server: Server = USUAL) -> int:
    """List the versions of workflows: how many runs they have, and who serves them.

    For example:

        aiki workflows list
        aiki workflows list --json

    Args:
        server: The server.
    """

    async def question(client: Client) -> int:
        found = await client.connection.workflows()
        if server.as_json:
            print_json(found)
        elif not found.versions:
            print("No workflow is known yet. Start a worker that serves one: aiki worker module:worker")
        else:
            printing.show(_workflows(found))
            for version in found.versions:
                for warning in version.warnings:
                    print(f"Note: {warning}.")
        return 0

    return ask("list", server, question, group="workflows")


def _workers(found: WorkersView, now: datetime) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("worker", "host", "pid", "runs", "since", "serves", "executes"):
        table.add_column(title)
    for worker in found.workers:
        table.add_row(
            worker.name,
            worker.host,
            str(worker.pid or ""),
            f"{worker.held} of {worker.capacity}",
            ago(instant_of(worker.announced_at_ms), now),
            _few([f"{version.workflow} {version.version}" for version in worker.versions]),
            _few([_line(worker, place) for place in range(len(worker.executing))]),
        )
    return table


def _line(worker: WorkerView, place: int) -> str:
    line = worker.executing[place]
    progress = f": {progress_words(msgspec.json.decode(line.progress))}" if line.progress else ""
    return f"{line.task}{progress}"


def _workflows(found: WorkflowsView) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("workflow", "version", "open", "ended", "events", "served by"):
        table.add_column(title)
    for version in found.versions:
        ended = sum(number for status, number in version.runs.items() if status in TERMINAL)
        table.add_row(
            version.workflow,
            version.version,
            f"{sum(version.runs.values()) - ended:,}",
            f"{ended:,}",
            _few(sorted(version.events)),
            _served_by(version),
        )
    return table


def _served_by(version: VersionView) -> str:
    return _few(list(version.workers)) or "nobody"


def _few(words: list[str]) -> str:
    more = f" and {len(words) - SHOWN_MAX} more" if len(words) > SHOWN_MAX else ""
    return ", ".join(words[:SHOWN_MAX]) + more
