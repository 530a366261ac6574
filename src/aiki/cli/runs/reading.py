"""Commands that look at runs: list and show.

The rule: they change nothing. What a reader may do next stands beside what he has read.
"""

import asyncio
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Annotated, Final

from cyclopts import Parameter
from rich.live import Live

from aiki.cli import printing
from aiki.cli.printing import console, print_json
from aiki.cli.refusal import Refusal
from aiki.cli.runs.asked import FLAG, USUAL, Server, ask, parsed_moment, parsed_tags
from aiki.cli.runs.picture import ENDED, picture, table_of
from aiki.clock import Clock, SystemClock
from aiki.model.journal import Entry
from aiki.model.lifecycle import Status
from aiki.sdk.client import Client
from aiki.sdk.info import RunPage

__all__ = ["list_runs", "show"]

LIMIT: Final = 20
ENTRIES_MAX: Final = 100  # the last ones are shown
PAGES_MAX: Final = 1_000
LOOK_S: Final = 0.5
MS_PER_S: Final = 1_000


def list_runs(
    *,
    workflow: str | None = None,
    version: str | None = None,
    status: Annotated[list[str] | None, Parameter(negative=())] = None,
    reference_id: str | None = None,
    tag: Annotated[list[str] | None, Parameter(negative=())] = None,
    parent: str | None = None,
    schedule: str | None = None,
    started_after: str | None = None,
    started_before: str | None = None,
    limit: int = LIMIT,
    cursor: str | None = None,
    server: Server = USUAL,
) -> int:
    """List runs, newest first.

    For example:

        aiki runs list
        aiki runs list --status stalled --status failed
        aiki runs list --workflow restaurant-order --started-after 2h
        aiki runs list --tag team=sales --json

    Args:
        workflow: Only of this workflow.
        version: Only of this version.
        status: Only in this status, such as sleeping; may be given more than once.
        reference_id: Only with this reference id.
        tag: Only with this tag, name=value; may be given more than once.
        schedule: Only what this schedule has started.
        parent: Only children of this run.
        started_after: Only if a worker began it since 2025-03-01, 2025-03-01T09:00, or for so long: 90m, 2h, 1d.
        started_before: Only if a worker began it before that.
        limit: How many, from 1 to 500.
        cursor: Where the list before ended: its next_cursor.
        server: The server.
    """

    async def question(client: Client) -> int:
        now = _now(SystemClock())
        page = await client.runs.list(
            workflow=workflow,
            version=version,
            status=[_checked_status(name) for name in status or ()],
            reference_id=reference_id,
            tags=parsed_tags(tag),
            parent_id=parent,
            schedule=schedule,
            started_after=_moment(started_after, "--started-after", now),
            started_before=_moment(started_before, "--started-before", now),
            cursor=cursor,
            limit=limit,
        )
        _print_page(page, now, as_json=server.as_json)
        return 0

    return ask("list", server, question)


def show(run_id: str, /, *, watch: Annotated[bool, FLAG] = False, server: Server = USUAL) -> int:
    """Show how a run stands: what it waits for, what it has done, and why it is stalled.

    For example:

        aiki runs show 0192...
        aiki runs show 0192... --watch
        aiki runs show 0192... --json

    Args:
        run_id: The run.
        watch: Show it until it has ended.
        server: The server.
    """

    async def question(client: Client) -> int:
        if watch:
            await _watch(client, run_id, is_quiet=server.as_json)
        run = await client.runs.get(run_id)
        if server.as_json:
            print_json(run)
        elif not (watch and sys.stdout.isatty()):
            printing.show(picture(run, await _entries(client, run_id), _now(SystemClock())))
        return 0

    return ask("show", server, question)


async def _watch(client: Client, run_id: str, *, is_quiet: bool) -> None:
    """Draw a run anew until it has ended: on a terminal; a pipe is only kept waiting."""
    clock = SystemClock()
    is_drawn = sys.stdout.isatty() and not is_quiet
    live = Live(console=console(), auto_refresh=False)
    with live if is_drawn else nullcontext():
        while True:
            run = await client.runs.get(run_id)
            if is_drawn:
                live.update(picture(run, await _entries(client, run_id), _now(clock)), refresh=True)
            if run.status in ENDED:
                return
            await asyncio.sleep(LOOK_S)


async def _entries(client: Client, run_id: str) -> list[Entry]:
    """Return the last entries of a run's journal."""
    entries: list[Entry] = []
    for _ in range(PAGES_MAX):
        page = await client.connection.journal(run_id, entries[-1].seq if entries else 0)
        entries = [*entries, *page.entries][-ENTRIES_MAX:]
        if not page.has_more:
            break
    return entries


def _print_page(page: RunPage, now: datetime, *, as_json: bool) -> None:
    if as_json:
        print_json(page)
        return
    if not page.runs:
        print("No runs. Start one: aiki runs start WORKFLOW VERSION '{...}'", file=sys.stderr)
        return
    printing.show(table_of(page, now))
    if page.next_cursor is not None:
        print(f"There are more: --cursor {page.next_cursor}", file=sys.stderr)


def _moment(text: str | None, option: str, now: datetime) -> datetime | None:
    return None if text is None else parsed_moment(text, option, now=now)


def _checked_status(name: str) -> str:
    status = name.replace("-", "_")
    if status not in set(Status):
        raise Refusal(f"--status is {name!r}: there are {', '.join(Status)}")
    return status


def _now(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock.now_ms() / MS_PER_S, UTC)
