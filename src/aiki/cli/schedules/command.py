"""Commands on schedules: list, show, pause, resume, trigger, deactivate.

The rule: what was asked and what came of it is one line; a picture is drawn from what the server told.
"""

from datetime import UTC, datetime
from typing import Final, Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from aiki.cli import printing
from aiki.cli.printing import print_json
from aiki.cli.runs.asked import USUAL, Server, ask
from aiki.cli.words import STYLES, ago, ahead
from aiki.clock import SystemClock
from aiki.sdk.client import Client
from aiki.sdk.schedule_info import ScheduleInfo

__all__ = ["deactivate", "list_schedules", "pause", "resume", "show", "trigger"]

GROUP: Final = "schedules"
LIMIT: Final = 50
MS_PER_S: Final = 1_000


def list_schedules(*, limit: int = LIMIT, cursor: str | None = None, server: Server = USUAL) -> int:
    """List schedules, by name.

    For example:

        aiki schedules list
        aiki schedules list --json

    Args:
        limit: How many, from 1 to 500.
        cursor: Where the list before ended: its next_cursor.
        server: The server.
    """

    async def question(client: Client) -> int:
        page = await client.schedules.list(cursor=cursor, limit=limit)
        if server.as_json:
            print_json(page)
        elif not page.schedules:
            print("There are no schedules.")
        else:
            printing.show(_table(page.schedules, _now()))
            if page.next_cursor is not None:
                print(f"There are more: --cursor {page.next_cursor!r}")
        return 0

    return ask("list", server, question, group=GROUP)


def show(name: str, /, *, server: Server = USUAL) -> int:
    """Show what a schedule starts and when, its next ticks, and what it started last.

    For example:

        aiki schedules show daily-sales

    Args:
        name: The schedule.
        server: The server.
    """

    async def question(client: Client) -> int:
        found = await client.schedules.get(name)
        if server.as_json:
            print_json(found)
        else:
            printing.show(_picture(found, _now()))
        return 0

    return ask("show", server, question, group=GROUP)


def trigger(name: str, /, *, server: Server = USUAL) -> int:
    """Start a run of a schedule now, and print its id.

    For example:

        aiki schedules trigger daily-sales

    Args:
        name: The schedule.
        server: The server.
    """

    async def question(client: Client) -> int:
        handle = await client.schedules.handle(name).trigger()
        if server.as_json:
            print_json({"name": name, "run_id": None if handle is None else handle.id, "changed": handle is not None})
        elif handle is None:
            print(f"Nothing starts: a run of {name} is still open, and its overlap rule is skip.")
        else:
            print(handle.id)
        return 0

    return ask("trigger", server, question, group=GROUP)


def pause(name: str, /, *, server: Server = USUAL) -> int:
    """Let a schedule rest: no tick starts a run until it is resumed.

    For example:

        aiki schedules pause daily-sales

    Args:
        name: The schedule.
        server: The server.
    """
    return _asked("pause", name, server=server)


def resume(name: str, /, *, server: Server = USUAL) -> int:
    """Let a schedule go on, a disabled one too; what it missed is made good as it says.

    For example:

        aiki schedules resume daily-sales

    Args:
        name: The schedule.
        server: The server.
    """
    return _asked("resume", name, server=server)


def deactivate(name: str, /, *, server: Server = USUAL) -> int:
    """Remove a schedule. Its runs stay, and go on.

    For example:

        aiki schedules deactivate daily-sales

    Args:
        name: The schedule.
        server: The server.
    """
    return _asked("deactivate", name, server=server)


# ---------------------------------------------------------------------------------------------------------------- parts

Verb = Literal["pause", "resume", "deactivate"]

DONE: Final[dict[Verb, str]] = {"pause": "is paused", "resume": "goes on", "deactivate": "is removed; its runs stay"}
IDLE: Final[dict[Verb, str]] = {
    "pause": "it is not active",
    "resume": "it is active",
    "deactivate": "there is none of this name",
}


def _asked(verb: Verb, name: str, *, server: Server) -> int:
    async def question(client: Client) -> int:
        handle = client.schedules.handle(name)
        changed = await {"pause": handle.pause, "resume": handle.resume, "deactivate": handle.deactivate}[verb]()
        if server.as_json:
            print_json({"name": name, "changed": changed})
        elif changed:
            print(f"Schedule {name} {DONE[verb]}.")
        else:
            print(f"Nothing changes for schedule {name}: {IDLE[verb]}.")
        return 0

    return ask(verb, server, question, group=GROUP)


def _table(schedules: tuple[ScheduleInfo, ...], now: datetime) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("schedule", "status", "starts", "when", "next"):
        table.add_column(title, no_wrap=title in ("schedule", "status"))
    for one in schedules:
        table.add_row(one.name, _status(one), f"{one.workflow} {one.version}", one.when, _next(one, now))
    return table


def _picture(found: ScheduleInfo, now: datetime) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    facts: list[tuple[str, str | Text]] = [
        ("schedule", found.name),
        ("status", _status(found)),
        ("starts", f"{found.workflow} {found.version}"),
        ("when", found.when),
        ("overlap", found.overlap),
        ("catch up", found.catch_up),
        ("ticks", f"{found.fired} started a run, {found.skipped} were passed over"),
    ]
    if found.error is not None:
        facts.append(("error", found.error))
    facts += [("next" if place == 0 else "", _moment(tick, now)) for place, tick in enumerate(found.next)]
    for place, run in enumerate(found.last):
        facts.append(("last" if place == 0 else "", f"{run.run_id}  {run.status}  {ago(run.at, now)}"))
    for title, text in facts:
        table.add_row(title, text)
    return Group(table)


def _status(found: ScheduleInfo) -> Text:
    style = {"active": STYLES["completed"], "disabled": STYLES["failed"]}.get(found.status, STYLES["stalled"])
    return Text(found.status, style=style)


def _next(found: ScheduleInfo, now: datetime) -> str:
    return ahead(found.next[0], now) if found.next else ""


def _moment(tick: datetime, now: datetime) -> str:
    return f"{tick:%Y-%m-%d %H:%M:%S} UTC  {ahead(tick, now)}"


def _now() -> datetime:
    return datetime.fromtimestamp(SystemClock().now_ms() / MS_PER_S, UTC)
