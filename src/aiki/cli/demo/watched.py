"""The processes of the demo: a server, workers, an application with a reporter beside it; or all of it in one.

The rule: the reporter only reads, what anybody could ask the server, and writes it to standard output as lines of JSON:
runs, requests of tasks, journal entries, open waits, the result. When the demo is gone, this process goes too: its standard input closes.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

import aiki
from aiki import Client, RunInfo
from aiki.cli.databases import DATABASE, postgres_of
from aiki.cli.demo import restaurant
from aiki.cli.demo.stage import SERVED_AT
from aiki.cli.demo.tail import Tail
from aiki.cli.migrate import SCHEMA
from aiki.cli.serving import serving
from aiki.cli.working import Working

__all__ = ["main"]

LOOK_EVERY_S: Final = 0.05
OWN_SCHEMA: Final = "aiki_demo"

Line: TypeAlias = dict[str, Any]


async def main(role: str) -> int:
    """Play a role until its end, or the demo's."""
    await _leave_with_the_demo()
    match role:
        case "server":
            async with serving(await _database(), host="localhost", port=0) as (_, place):
                _tell_where(place.url)
                await asyncio.Event().wait()
        case "kitchen":
            await Working(restaurant.kitchen, is_told=False).serve()
        case "courier":
            await Working(restaurant.courier, is_told=False).serve()
        case "application":
            async with Client() as client:
                await _take_order(client)
        case _:
            async with aiki.local(restaurant.DATABASE, workflows=restaurant.WORKFLOWS) as client:
                await _take_order(client)
    return 0


def _tell_where(url: str) -> None:
    Path(SERVED_AT).write_text(url, encoding="utf-8")


async def _database() -> str:
    """Return where the demo's server keeps its runs: a file, or tables of its own on the Postgres of AIKI_DATABASE."""
    database = os.environ.get(DATABASE) or restaurant.DATABASE
    if postgres_of(database) is None:
        return restaurant.DATABASE
    own = f"{database}{'&' if '?' in database else '?'}schema={OWN_SCHEMA}"
    schema = importlib.import_module(SCHEMA)
    await schema.on(postgres_of(own), schema.renew)
    return own


async def _take_order(client: Client) -> None:
    """Run the program to its end, and tell of it."""
    reporter = _Reporter(client)
    order = asyncio.create_task(restaurant.take_order(client))
    while not order.done():
        await reporter.look()
        await asyncio.wait([order], timeout=LOOK_EVERY_S)
    await reporter.look()
    _tell(kind="result", result=await order)


class _Reporter:
    """Tells what is new: in the journals and waits of all runs, and in what the outside world has seen of them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._requests = Tail(restaurant.REQUESTS)
        self._requests_told = 0
        self._entries_told: dict[str, int] = {}
        self._waits_told: dict[str, list[Line]] = {}

    async def look(self) -> None:
        """Tell what is new since the last look, causes before what they caused. A look is not to be cancelled.

        Requests are read first: whatever led to them is in the journals that are read next.
        """
        requests = self._requests.read()
        runs = list(reversed((await self._client.runs.list()).runs))
        lines = self._new_runs(runs)
        for run in runs:
            lines += await self._new_entries(run.id)
        for line in sorted(lines, key=_when):
            for request in [each for each in requests if _is_of(each, line)]:
                requests.remove(request)
                self._tell_request(request)
            _tell(**line)
        for request in requests:
            self._tell_request(request)
        for run in runs:
            await self._tell_waits(run.id)

    def _new_runs(self, runs: Sequence[RunInfo]) -> list[Line]:
        new = [run for run in runs if run.id not in self._entries_told]
        self._entries_told |= {run.id: 0 for run in new}
        return [
            {"kind": "run", "run": run.id, "workflow": run.workflow, "parent": run.parent_id, "at": _ms(run.created_at)}
            for run in new
        ]

    async def _new_entries(self, run_id: str) -> list[Line]:
        page = await self._client.connection.journal(run_id, self._entries_told[run_id])
        if page.entries:
            self._entries_told[run_id] = page.entries[-1].seq
        return [
            {
                "kind": "entry",
                "run": run_id,
                "of": entry.key.kind.value,
                "name": entry.key.address.split(" ")[0],
                "failed": entry.error is not None,
                "at": entry.at_ms,
            }
            for entry in page.entries
        ]

    def _tell_request(self, request: Line) -> None:
        self._requests_told += 1
        _tell(kind="request", number=self._requests_told, **request)

    async def _tell_waits(self, run_id: str) -> None:
        found = await self._client.connection.info(run_id)
        waits: list[Line] = [{"of": wait.kind, "name": wait.name, "due_ms": wait.deadline_ms} for wait in found.waits]
        if waits != self._waits_told.get(run_id, []):
            self._waits_told[run_id] = waits
            _tell(kind="waits", run=run_id, waits=waits)


def _tell(**facts: object) -> None:
    """Write one line."""
    print(json.dumps(facts), flush=True)


def _when(line: Line) -> tuple[int, int]:
    """Return where a line belongs: by time, and in the same millisecond a child between what led to it and its result."""
    return line["at"], 1 if line["kind"] == "run" else 2 if line["of"] == "child_result" else 0


def _is_of(request: Line, line: Line) -> bool:
    return line["kind"] == "entry" and (request["run"], request["task"]) == (line["run"], line["name"])


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


async def _leave_with_the_demo() -> None:
    """Let the end of standard input end this process, as abruptly as the demo's own end may have been."""

    class Leave(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            os._exit(1)

    await asyncio.get_running_loop().connect_read_pipe(Leave, sys.stdin)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
