"""Commands that look at runs: list, count and show.

The rule: they change nothing. What a reader may do next stands beside what he has read.
"""

import asyncio
import sys
from contextlib import nullcontext
from datetime import datetime
from typing import Annotated, Final

from rich.live import Live

from aiki.cli import printing
from aiki.cli.printing import console, print_json
from aiki.cli.runs.asked import FLAG, USUAL, Server, ask
from aiki.cli.runs.picture import ENDED, counts_of, picture, table_of
from aiki.cli.runs.which import ANY, Which, filters_of, now_of, one_of
from aiki.clock import SystemClock
from aiki.model.journal import Entry
from aiki.model.lifecycle import Status
from aiki.sdk.client import Client
from aiki.sdk.info import RunPage

__all__ = ["count", "list_runs", "show", "watch"]

LIMIT: Final = 20
ENTRIES_MAX: Final = 100  # the last ones are shown
PAGES_MAX: Final = 1_000
LOOK_S: Final = 0.5


def list_runs(
    *,
    which: Which = ANY,
    limit: int = LIMIT,
    cursor: str | None = None,
    server: Server = USUAL,
) -> int:
    """List runs, newest first.

    For example:

        aiki runs list
        aiki runs list --status stalled --status failed
        aiki runs list --workflow restaurant-order --created-after 2h
        aiki runs list --tag team=sales --json

    Args:
        which: Which runs.
        limit: How many, from 1 to 500.
        cursor: Where the list before ended: its next_cursor.
        server: The server.
    """

    async def question(client: Client) -> int:
        now = now_of(SystemClock())
        page = await client.runs.list(**filters_of(which, now), cursor=cursor, limit=limit)
        _print_page(page, now, as_json=server.as_json)
        return 0

    return ask("list", server, question)


def count(*, which: Which = ANY, server: Server = USUAL) -> int:
    """Count runs by status.

    For example:

        aiki runs count
        aiki runs count --workflow restaurant-order --created-after 1d
        aiki runs count --tag team=sales --json

    Args:
        which: Which runs.
        server: The server.
    """

    async def question(client: Client) -> int:
        found = await client.runs.count(**filters_of(which, now_of(SystemClock())))
        if server.as_json:
            print_json(found)
        else:
            printing.show(counts_of(found))
        return 0

    return ask("count", server, question)


def show(run_id: str, /, *, watch: Annotated[bool, FLAG] = False, server: Server = USUAL) -> int:
    """Show how a run stands: what it waits for, what it has done, and why it is stalled.

    For example:

        aiki runs show 0192...
        aiki runs show order-4711
        aiki runs show 0192... --watch
        aiki runs show 0192... --json

    Args:
        run_id: The run: its id, or the beginning of its id or reference id.
        watch: Show it until it has ended. The exit status is 0 if it completed, and 1 if not.
        server: The server.
    """

    async def question(client: Client) -> int:
        found_id = await one_of(client, run_id)
        if watch:
            await _watch(client, found_id, is_quiet=server.as_json)
        run = await client.runs.get(found_id)
        if server.as_json:
            print_json(run)
        elif not (watch and sys.stdout.isatty()):
            printing.show(picture(run, await _entries(client, found_id), now_of(SystemClock())))
        return int(watch and run.status != Status.COMPLETED)

    return ask("show", server, question)


def watch(run_id: str, /, *, server: Server = USUAL) -> int:
    """Show a run until it has ended: as `show --watch`.

    The exit status is 0 if it completed, and 1 if not.

    For example:

        aiki runs watch 0192...
        aiki runs watch order-4711 && echo delivered

    Args:
        run_id: The run: its id, or the beginning of its id or reference id.
        server: The server.
    """
    return show(run_id, watch=True, server=server)


async def _watch(client: Client, run_id: str, *, is_quiet: bool) -> None:
    """Draw a run anew until it has ended: on a terminal; a pipe is only kept waiting."""
    clock = SystemClock()
    is_drawn = sys.stdout.isatty() and not is_quiet
    live = Live(console=console(), auto_refresh=False)
    with live if is_drawn else nullcontext():
        while True:
            run = await client.runs.get(run_id)
            if is_drawn:
                live.update(picture(run, await _entries(client, run_id), now_of(clock)), refresh=True)
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
