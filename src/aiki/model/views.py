"""What people are shown: pictures of runs, and which runs are meant.

The rule: nothing here commands anything. A picture is true of the moment when it was taken; times are milliseconds UTC.
"""

from msgspec import Raw, Struct

from aiki.model.journal import EMPTY, Failure
from aiki.model.lifecycle import Status

__all__ = ["RunFilter", "RunInfo", "RunPage", "View", "WaitInfo"]


class View(Struct, frozen=True, omit_defaults=True):
    """What is shown: frozen, and as short as it can be."""


class WaitInfo(View, frozen=True):
    """An open wait as people see it."""

    kind: str
    name: str
    deadline_ms: int | None = None
    attempt: int = 0
    error: Failure | None = None


class RunInfo(View, frozen=True):
    """A run as people and handles see it. Times are milliseconds UTC."""

    id: str
    namespace: str
    workflow: str
    version: str
    status: Status
    created_at_ms: int
    pool: str = ""
    priority: int = 0
    reference_id: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    attempt: int = 1
    chapter: int = 1
    seq: int = 0
    epoch: int = 0
    crashes: int = 0
    tags: dict[str, str] = {}
    why: str | None = None
    cancel_requested: bool = False
    worker: str | None = None
    waits: tuple[WaitInfo, ...] = ()
    due_at_ms: int | None = None
    alarm_at_ms: int | None = None
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    input: Raw = EMPTY
    output: Raw = EMPTY
    error: Failure | None = None
    warnings: tuple[str, ...] = ()
    schedule: str | None = None


class RunFilter(View, frozen=True):
    """Which runs are meant; fields left out do not narrow. `cursor` is the last page's `next_cursor`."""

    namespace: str = "default"
    workflow: str | None = None
    version: str | None = None
    status: tuple[Status, ...] = ()
    reference_id: str | None = None
    parent_id: str | None = None
    schedule: str | None = None
    tags: dict[str, str] = {}
    started_after_ms: int | None = None
    started_before_ms: int | None = None
    cursor: str | None = None
    limit: int = 50


class RunPage(View, frozen=True):
    """A page of runs, newest first, without payloads."""

    runs: tuple[RunInfo, ...]
    next_cursor: str | None = None
