"""A schedule: what it starts and when, where it stands, and what is said of it between clients and server.

The rule: a name is one schedule in its namespace. Its definition is replaced whole; where it stands (its next tick, what
it did) is the server's, and changes only under its lock.
"""

from enum import StrEnum
from typing import Final, Literal

from msgspec import Raw
from msgspec.structs import replace

from aiki.errors import InvalidInput
from aiki.model.journal import EMPTY
from aiki.model.lifecycle import Status
from aiki.model.payload import check_name
from aiki.model.timing import Timing
from aiki.model.views import View
from aiki.model.wire import Message, Problem, RunOptions

__all__ = [
    "CATCH_UP_MAX",
    "NEXT_SHOWN",
    "ON_TIME_MS",
    "ActivateSchedule",
    "CatchUp",
    "Definition",
    "Overlap",
    "ScheduleInfo",
    "ScheduleName",
    "SchedulePage",
    "ScheduleRequest",
    "ScheduleRow",
    "ScheduleStanding",
    "ScheduleStatus",
    "ScheduleVerb",
    "StartedTick",
    "check_schedule_name",
]

CATCH_UP_MAX: Final = 100  # missed ticks that are made good, the newest ones
ON_TIME_MS: Final = 30_000  # later than that, a tick counts as missed
NEXT_SHOWN: Final = 5

ScheduleName = tuple[str, str]  # namespace, name
ScheduleVerb = Literal["pause", "resume", "trigger", "deactivate"]


def check_schedule_name(name: object) -> None:
    """Raise unless `name` can name a schedule: as other names, and without a slash, for it is one step of an address.

    Raises:
        InvalidInput: it cannot.
    """
    check_name(name, "a schedule's name")
    if "/" in str(name):
        raise InvalidInput(f"a schedule's name holds a slash: {name!a}. Write another character for it.", path="name")


class Overlap(StrEnum):
    """What a tick does while a run of the schedule is still open."""

    ALLOW = "allow"
    SKIP = "skip"
    CANCEL_PREVIOUS = "cancel_previous"


class CatchUp(StrEnum):
    """Which ticks are made good that were missed, while no server ran or while paused."""

    LATEST = "latest"
    ALL = "all"
    NONE = "none"


class ScheduleStatus(StrEnum):
    """Where a schedule stands: `disabled` is one that failed."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"


class Definition(Message, frozen=True):
    """What a schedule starts, and when."""

    timing: Timing
    workflow: str
    version: str
    input: Raw = Raw(b"{}")
    input_hash: str = ""
    options: RunOptions = RunOptions()
    overlap: Overlap = Overlap.ALLOW
    catch_up: CatchUp = CatchUp.LATEST

    def is_same(self, other: "Definition") -> bool:
        """Whether another means the same: inputs are compared by hash, as those of runs are."""
        return replace(self, input=EMPTY) == replace(other, input=EMPTY)


class ScheduleRow(Message, frozen=True):
    """A schedule as the engine sees it. Times are integer milliseconds UTC.

    Attributes:
        next_at_ms: the first tick that has not been judged; None if there is none.
        anchor_ms: where its intervals begin.
        last_tick_ms: the last tick that was judged; no earlier one ever is.
        fired, skipped: how many ticks started a run, and how many their overlap rule passed over.
        error: why it is disabled.
    """

    namespace: str
    name: str
    definition: Definition
    status: ScheduleStatus
    next_at_ms: int | None
    anchor_ms: int
    created_at_ms: int
    changed_at_ms: int
    last_tick_ms: int = 0
    fired: int = 0
    skipped: int = 0
    error: str | None = None

    @property
    def alarm_at_ms(self) -> int | None:
        """When the clock has to look at it; None for never."""
        return self.next_at_ms if self.status is ScheduleStatus.ACTIVE else None


class ActivateSchedule(Message, frozen=True):
    """Make a schedule, or make an existing one what is said here."""

    namespace: str
    name: str
    definition: Definition
    on_change: Literal["replace", "error"] = "replace"


class ScheduleRequest(Message, frozen=True):
    """Ask something of a schedule. `run_id`: of the run that a trigger starts, so that it can be repeated."""

    namespace: str
    name: str
    verb: ScheduleVerb
    run_id: str = ""


class ScheduleStanding(Message, frozen=True):
    """Where a schedule stands after a request; no status where there is none. `run_id`: what a trigger started."""

    name: str
    status: ScheduleStatus | None = None
    changed: bool = False
    next_at_ms: int | None = None
    run_id: str | None = None
    problem: Problem | None = None


class StartedTick(View, frozen=True):
    """A run that a schedule has started."""

    run_id: str
    status: Status
    at_ms: int


class ScheduleInfo(View, frozen=True):
    """A schedule as people see it. In lists, `next_ms` is one tick at most, and `last` is left out.

    Attributes:
        when: its timing in words.
        next_ms: its next ticks; none while it is paused or disabled.
        last: what it has started last, newest first.
    """

    name: str
    namespace: str
    status: ScheduleStatus
    when: str
    definition: Definition
    created_at_ms: int
    changed_at_ms: int
    next_ms: tuple[int, ...] = ()
    last: tuple[StartedTick, ...] = ()
    fired: int = 0
    skipped: int = 0
    error: str | None = None


class SchedulePage(View, frozen=True):
    """A page of schedules, by name; `next_cursor` of the last page is None."""

    schedules: tuple[ScheduleInfo, ...]
    next_cursor: str | None = None
