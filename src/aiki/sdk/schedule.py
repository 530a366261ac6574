"""Schedules as authors write them: a name, a timing, and what is started.

The rule: a plain object that is checked where it is written; it stands nowhere until it is activated.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Literal, ParamSpec, overload

from msgspec import Raw

from aiki.model import payload
from aiki.model.retry import milliseconds
from aiki.model.schedule import CatchUp, Definition, Overlap, check_schedule_name
from aiki.model.timing import Timing, check
from aiki.sdk.blocking import BlockingClient, BlockingScheduleHandle
from aiki.sdk.client import Client
from aiki.sdk.connection import Connection
from aiki.sdk.convert import Seconds
from aiki.sdk.schedule_handle import ScheduleHandle
from aiki.sdk.workflow import Version

__all__ = ["Schedule", "ScheduledVersion", "schedule"]

P = ParamSpec("P")


class Schedule:
    """When, and under which name. Made by `aiki.schedule(...)`; what it starts is said when it is activated.

    Attributes:
        name: the schedule's identity in its namespace.
    """

    def __init__(
        self,
        name: str,
        timing: Timing,
        *,
        overlap: Overlap,
        catch_up: CatchUp,
        on_change: Literal["replace", "error"],
    ) -> None:
        self.name = name
        self.timing = timing
        self.overlap = overlap
        self.catch_up = catch_up
        self.on_change: Literal["replace", "error"] = on_change

    @overload
    def activate(
        self, client: Client, v: Version[P, Any, Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, ScheduleHandle]: ...
    @overload
    def activate(
        self, client: BlockingClient, v: Version[P, Any, Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> BlockingScheduleHandle: ...
    def activate(
        self, client: Client | BlockingClient, v: Version[P, Any, Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, ScheduleHandle] | BlockingScheduleHandle:
        """Let it start runs of a version, and return a handle on it once that is durable. With a `Client`, `await` it.

        The same again changes nothing, also while it is paused. With another timing, workflow, version, input or options
        it replaces what the name stood for, from the next tick on; or raises, made with `on_change="error"`.

        Args:
            client: the client; a `Client` has been entered.
            v: the version, with its options.
            args: the arguments of each run.
            kwargs: those by name.

        Raises:
            ScheduleConflict: it is active as something else, and `on_change` is "error".
            ValueError: the version carries options of one single run: `reference_id`, `start_at` or `delay`.
            InvalidInput: an argument does not fit its type.
            NotSerializable: an argument cannot be stored.
        """
        activation = self.of(v, *args, **kwargs)
        if isinstance(client, BlockingClient):
            return BlockingScheduleHandle(client, client.call(lambda one: activation.activate(one.connection)))
        return activation.activate(client.connection)

    def of(self, v: Version[P, Any, Any], /, *args: P.args, **kwargs: P.kwargs) -> ScheduledVersion:
        """Return it with what it starts, for a worker to activate: `Worker(..., schedules=[daily.of(report_v1)])`.

        Raises:
            ValueError: the version carries options of one single run: `reference_id`, `start_at` or `delay`.
            InvalidInput: an argument does not fit its type.
            NotSerializable: an argument cannot be stored.
        """
        if not isinstance(v, Version):
            raise TypeError(f"a schedule starts a version of a workflow, not {v!r}")
        if v.is_of_one_run:
            raise ValueError(
                f"{v.workflow} {v.version} carries options of one single run (reference_id, start_at or delay), and"
                f" schedule {self.name} starts many; give it the version itself"
            )
        encoded = v.shape.encode_args(args, kwargs, what=f"the input of {v.workflow} {v.version}")
        v.shape.decode_args(encoded.payload)  # what does not fit is refused here, not in the runs
        definition = Definition(
            timing=self.timing,
            workflow=v.workflow,
            version=v.version,
            input=Raw(encoded.payload),
            input_hash=payload.digest(encoded.address),
            options=v.run_options,
            overlap=self.overlap,
            catch_up=self.catch_up,
        )
        return ScheduledVersion(self, definition)

    def __repr__(self) -> str:
        return f"<schedule {self.name}>"


class ScheduledVersion:
    """A schedule with what it starts. Made by `Schedule.of`."""

    def __init__(self, schedule: Schedule, definition: Definition) -> None:
        self.schedule = schedule
        self.definition = definition

    async def activate(self, connection: Connection) -> ScheduleHandle:
        """Activate it on the server of a connection."""
        await connection.activate(self.schedule.name, self.definition, on_change=self.schedule.on_change)
        return ScheduleHandle(connection, self.schedule.name)

    def __repr__(self) -> str:
        return f"<schedule {self.schedule.name} of {self.definition.workflow} {self.definition.version}>"


def schedule(
    name: str,
    *,
    cron: str | None = None,
    every: Seconds | None = None,
    timezone: str = "UTC",
    overlap: Literal["allow", "skip", "cancel_previous"] = "allow",
    catch_up: Literal["latest", "all", "none"] = "latest",
    on_change: Literal["replace", "error"] = "replace",
) -> Schedule:
    """Name a schedule, and say when it starts runs; what it starts is said when it is activated.

    Args:
        name: its identity in the namespace: 1 to 200 characters without a slash.
        cron: minute, hour, day of month, month, day of week on the clock of `timezone`, or `@daily` and the like. A
            time that a change to summer time skips comes once, right after the gap; one that is repeated comes once.
        every: or an interval, seconds or timedelta, from 1 second, counted from the activation.
        timezone: such as "America/New_York".
        overlap: what a tick does while a run of the schedule is open: start another, start none, or cancel that one.
        catch_up: which ticks are made good that were missed while no server ran or while paused: the latest, all (the
            newest 100), or none.
        on_change: whether activating it as something else replaces it, or raises `ScheduleConflict`.

    Raises:
        ValueError: the timing has no ticks, or a word is none of these.
        InvalidInput: the name cannot be stored.

    >>> schedule("daily-sales", cron="0 9 * * *", timezone="America/New_York", overlap="skip")
    <schedule daily-sales>
    """
    check_schedule_name(name)
    timing = Timing(cron, None if every is None else milliseconds(every, "every"), timezone)
    check(timing)
    if on_change not in ("replace", "error"):
        raise ValueError(f"on_change is {on_change!r}: it must be 'replace' or 'error'")
    return Schedule(name, timing, overlap=Overlap(overlap), catch_up=CatchUp(catch_up), on_change=on_change)
