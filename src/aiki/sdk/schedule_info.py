"""A schedule as people see it: the server's picture with moments for milliseconds.

The rule: it is a picture. It is true of the moment when it was taken, and never changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from aiki.model import schedule
from aiki.model.payload import Json
from aiki.sdk.convert import instant_of

__all__ = ["ScheduleInfo", "SchedulePage", "StartedRun", "schedule_info", "schedule_page"]


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A run that a schedule has started, as it stood when it was asked for."""

    run_id: str
    status: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ScheduleInfo:
    """A schedule as it stood when it was asked for.

    Attributes:
        status: active, paused, or disabled: then `error` says of what it failed.
        when: its timing in words; `cron` and `timezone`, or `every`.
        input: the arguments of its runs by parameter name.
        next: its next five ticks (in lists, one); none while it is paused or disabled.
        last: the runs that it has started last, newest first; left out in lists.
        fired: how many ticks have started a run; `skipped`: how many its overlap rule passed over.
    """

    name: str
    namespace: str
    status: str
    when: str
    cron: str | None
    every: timedelta | None
    timezone: str
    overlap: str
    catch_up: str
    workflow: str
    version: str
    input: Json
    next: tuple[datetime, ...]
    last: tuple[StartedRun, ...]
    fired: int
    skipped: int
    error: str | None
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class SchedulePage:
    """A page of schedules, by name. Ask for the next with `cursor=page.next_cursor`; None is the last."""

    schedules: tuple[ScheduleInfo, ...]
    next_cursor: str | None


def schedule_info(found: schedule.ScheduleInfo) -> ScheduleInfo:
    """Return what the server told of a schedule."""
    meant = found.definition
    every_ms = meant.timing.every_ms
    return ScheduleInfo(
        name=found.name,
        namespace=found.namespace,
        status=found.status.value,
        when=found.when,
        cron=meant.timing.cron,
        every=None if every_ms is None else timedelta(milliseconds=every_ms),
        timezone=meant.timing.timezone,
        overlap=meant.overlap.value,
        catch_up=meant.catch_up.value,
        workflow=meant.workflow,
        version=meant.version,
        input=msgspec.json.decode(meant.input),
        next=tuple(map(instant_of, found.next_ms)),
        last=tuple(StartedRun(one.run_id, one.status.value, instant_of(one.at_ms)) for one in found.last),
        fired=found.fired,
        skipped=found.skipped,
        error=found.error,
        created_at=instant_of(found.created_at_ms),
        changed_at=instant_of(found.changed_at_ms),
    )


def schedule_page(page: schedule.SchedulePage) -> SchedulePage:
    """Return what the server told of many schedules."""
    return SchedulePage(schedules=tuple(map(schedule_info, page.schedules)), next_cursor=page.next_cursor)
