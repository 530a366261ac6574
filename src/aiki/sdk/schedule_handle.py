"""A schedule, as seen from outside, and where schedules are found.

The rule: a handle holds a name, never state. Each call asks the server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aiki.model.schedule import check_schedule_name
from aiki.sdk.connection import Connection
from aiki.sdk.events import Events
from aiki.sdk.handle import Handle
from aiki.sdk.schedule_info import ScheduleInfo, SchedulePage, schedule_info, schedule_page
from aiki.sdk.serial import ANY

__all__ = ["ScheduleHandle", "Schedules"]

PAGE_MAX: Final = 500


class ScheduleHandle:
    """A schedule, seen from outside. Made by `Schedule.activate` and `client.schedules.handle`.

    Attributes:
        name: the schedule's name.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self.name = name
        self._connection = connection

    async def info(self) -> ScheduleInfo:
        """Return how the schedule stands: status, definition, next ticks, last runs, error.

        Raises:
            ScheduleNotFound: there is no such schedule.
        """
        return schedule_info(await self._connection.schedule(self.name))

    async def pause(self) -> bool:
        """Let it rest: no tick starts a run until it is resumed.

        Returns:
            Whether anything changed: False if it did not tick before.

        Raises:
            ScheduleNotFound: there is no such schedule.
        """
        return (await self._connection.ask_schedule(self.name, "pause")).changed

    async def resume(self) -> bool:
        """Let it go on, one that is disabled too. Ticks missed while paused are made good as `catch_up` says.

        Returns:
            Whether anything changed: False if it was active.

        Raises:
            ScheduleNotFound: there is no such schedule.
        """
        return (await self._connection.ask_schedule(self.name, "resume")).changed

    async def trigger(self) -> Handle[Any, Events] | None:
        """Start a run now, beside the ticks, also while it is paused.

        Returns:
            A handle on the run; None where `overlap="skip"` passes it over, for another run is still open.

        Raises:
            ScheduleNotFound: there is no such schedule.
        """
        standing = await self._connection.ask_schedule(self.name, "trigger")
        if standing.run_id is None:
            return None
        return Handle(self._connection, standing.run_id, codec=ANY, events=Events)

    async def deactivate(self) -> bool:
        """Remove it. Its runs stay, and go on.

        Returns:
            Whether it was there.
        """
        return (await self._connection.ask_schedule(self.name, "deactivate")).changed

    def __repr__(self) -> str:
        return f"<ScheduleHandle of {self.name}>"


class Schedules:
    """Schedules by name (`client.schedules`)."""

    def __init__(self, connection: Callable[[], Connection]) -> None:
        self._connection = connection

    def handle(self, name: str) -> ScheduleHandle:
        """Return a handle on an existing schedule. Nothing is asked of the server."""
        check_schedule_name(name)
        return ScheduleHandle(self._connection(), name)

    async def get(self, name: str) -> ScheduleInfo:
        """Return a schedule as it stands, with its next five ticks and its last runs.

        Raises:
            ScheduleNotFound: there is no such schedule.
        """
        return await self.handle(name).info()

    async def list(self, *, cursor: str | None = None, limit: int = 50) -> SchedulePage:
        """Return a page of schedules, by name.

        Args:
            cursor: `next_cursor` of the page before.
            limit: how many, from 1 to 500.

        Raises:
            ValueError: `limit` is out of bounds.
        """
        if not 1 <= limit <= PAGE_MAX:
            raise ValueError(f"limit is {limit}: it must be from 1 to {PAGE_MAX:,}")
        return schedule_page(await self._connection().schedules(cursor, limit))
