"""Statuses, moments and ways out, in words: the same in every command.

The rule: pure functions of what is given; nothing here asks for the time.
"""

from datetime import datetime
from typing import Final

import msgspec

from aiki.model.payload import Json
from aiki.sdk.info import RunInfo, WaitInfo

__all__ = ["STYLES", "ago", "ahead", "progress_words", "span", "wait_words", "ways_out", "what_next"]

STYLES: Final = {
    "completed": "green",
    "failed": "bold red",
    "cancelled": "dim",
    "stalled": "bold yellow",
    "running": "cyan",
}
MINUTE_S: Final = 60
HOUR_S: Final = 3_600
DAY_S: Final = 86_400


def span(seconds: float) -> str:
    """Return a span of time as people say it.

    >>> span(0.25), span(42), span(90), span(7_300), span(200_000)
    ('0.2 s', '42 s', '1 min 30 s', '2 h 1 min', '2 d 7 h')
    """
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < MINUTE_S:
        return f"{whole} s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min {whole % MINUTE_S} s"
    if whole < DAY_S:
        return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S} min"
    return f"{whole // DAY_S} d {whole % DAY_S // HOUR_S} h"


def ago(moment: datetime, now: datetime) -> str:
    """Return how long a moment is past."""
    return f"{span((now - moment).total_seconds())} ago"


def ahead(moment: datetime, now: datetime) -> str:
    """Return how far a moment is ahead; one that is past is due."""
    seconds = (moment - now).total_seconds()
    return f"in {span(seconds)}" if seconds > 0 else "due now"


def wait_words(wait: WaitInfo, now: datetime) -> str:
    """Return what a run waits for."""
    until = None if wait.deadline is None else ahead(wait.deadline, now)
    match wait.kind:
        case "sleep":
            return f"sleep {wait.name}, over {until}"
        case "event":
            return f"event {wait.name}" + (f", times out {until}" if until else "")
        case "child_result":
            return f"child {wait.name}" + (f", times out {until}" if until else "")
        case "task":
            failed = "" if wait.error is None else f" ({wait.error.type}: {wait.error.message})"
            return f"task {wait.name}, attempt {wait.attempt} failed{failed}, the next {until}"
    return f"{wait.kind} {wait.name}" + (f" {until}" if until else "")


def progress_words(progress: Json) -> str:
    """Return how far a task says that it is.

    >>> progress_words({"done": 45, "of": 240}), progress_words("page 3")
    ('45 of 240', '"page 3"')
    """
    match progress:
        case {"done": int() | float() as done, "of": int() | float() as whole}:
            return f"{done:,} of {whole:,}"
        case _:
            return msgspec.json.encode(progress).decode()


def ways_out(run_id: str) -> list[tuple[str, str]]:
    """Return what can be done about a stalled run: what to type, and what that does."""
    return [
        (f"aiki runs requeue {run_id}", "try again, once its code was put right or the old code serves it"),
        (f"aiki runs cancel {run_id}", "give it up"),
    ]


def what_next(run: RunInfo) -> list[tuple[str, str]]:
    """Return what a reader may want to type about a run as it stands."""
    match run.status:
        case "stalled":
            return ways_out(run.id)
        case "sleeping" | "scheduled":
            return [(f"aiki runs wake {run.id}", "end what it sleeps in, now")]
        case "awaiting_retry" if not run.waits:
            return [(f"aiki runs wake {run.id}", "try again now")]
        case "paused":
            return [(f"aiki runs resume {run.id}", "let it go on")]
        case "failed":
            return [(f"aiki runs retry {run.id}", "try again; what it completed is kept")]
        case "awaiting_event":
            events = [wait.name for wait in run.waits if wait.kind == "event"]
            return [(f"aiki runs send {run.id} {name} '...'", "send what it waits for") for name in events]
        case "queued" if run.warnings:
            return [("aiki worker module:worker", f"serve {run.workflow} {run.version}")]
    return []
