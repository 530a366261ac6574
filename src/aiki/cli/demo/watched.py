"""The process that the demo kills: the restaurant's program, with a reporter beside it.

The rule: the reporter only reads, what anybody could ask the server, and writes it to standard output as lines of JSON:
runs, journal entries, open waits, the result. When the demo is gone, this process goes too: its standard input closes.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from typing import Final

import aiki
from aiki.cli.demo import restaurant
from aiki.model.journal import Entry
from aiki.sdk.client import Client

__all__ = ["main"]

LOOK_EVERY_S: Final = 0.05


async def main() -> None:
    """Run the program to its end, and tell of it."""
    await _leave_with_the_demo()
    async with aiki.local(restaurant.DATABASE, workflows=restaurant.WORKFLOWS) as client:
        reporter = Reporter(client)
        looking = asyncio.create_task(reporter.look_always())
        result = await restaurant.take_order(client)
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        await reporter.look()
        tell(kind="result", result=result)


class Reporter:
    """Tells what is new in the journals and waits of all runs."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._entries_told: dict[str, int] = {}
        self._waits_told: dict[str, list[dict[str, object]]] = {}

    async def look_always(self) -> None:
        """Look, again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Tell what is new since the last look."""
        page = await self._client.runs.list()
        for run in reversed(page.runs):
            if run.id not in self._entries_told:
                self._entries_told[run.id] = 0
                tell(kind="run", run=run.id, workflow=run.workflow, parent=run.parent_id)
            await self._look_at_journal(run.id)
            await self._look_at_waits(run.id)

    async def _look_at_journal(self, run_id: str) -> None:
        page = await self._client.connection.journal(run_id, self._entries_told[run_id])
        for entry in page.entries:
            tell(kind="entry", run=run_id, **_facts(entry))
            self._entries_told[run_id] = entry.seq

    async def _look_at_waits(self, run_id: str) -> None:
        found = await self._client.connection.info(run_id)
        waits: list[dict[str, object]] = [
            {"of": wait.kind, "name": wait.name, "due_ms": wait.deadline_ms} for wait in found.waits
        ]
        if waits != self._waits_told.get(run_id, []):
            self._waits_told[run_id] = waits
            tell(kind="waits", run=run_id, waits=waits)


def tell(**facts: object) -> None:
    """Write one line."""
    print(json.dumps(facts), flush=True)


def _facts(entry: Entry) -> dict[str, object]:
    return {
        "of": entry.key.kind.value,
        "name": entry.key.address.split(" ")[0],
        "child": entry.child_id,
        "at_ms": entry.at_ms,
    }


async def _leave_with_the_demo() -> None:
    """Let the end of standard input end this process, as abruptly as the demo's own end may have been."""

    class Leave(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            os._exit(1)

    await asyncio.get_running_loop().connect_read_pipe(Leave, sys.stdin)


if __name__ == "__main__":
    asyncio.run(main())
