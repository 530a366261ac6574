"""What clients can ask of schedules, and how people see them.

The rule: what comes in is judged at the door, then becomes a command for the pipeline or a plain read of the store, as
with runs.
"""

from itertools import islice
from typing import Final

from msgspec.structs import replace

from aiki.config import Config
from aiki.engine.commands import Activate, AskSchedule
from aiki.errors import InvalidInput
from aiki.model.ids import check_id
from aiki.model.payload import check_name
from aiki.model.schedule import (
    NEXT_SHOWN,
    ActivateSchedule,
    ScheduleInfo,
    SchedulePage,
    ScheduleRequest,
    ScheduleRow,
    ScheduleStanding,
    ScheduleStatus,
    StartedTick,
    check_schedule_name,
)
from aiki.model.timing import check, explain, ticks
from aiki.model.wire import StartRun
from aiki.server.contracts import Contracts
from aiki.server.door import Door
from aiki.server.pipeline import Pipeline
from aiki.store.base import PAGE_ROWS_MAX, Store

__all__ = ["ScheduleService"]

LAST_SHOWN: Final = 5
NO_RUN: Final = "00000000-0000-0000-0000-000000000000"  # judged like a start, and starts nothing


class ScheduleService:
    """The calls of a server that are about schedules."""

    def __init__(self, store: Store, pipeline: Pipeline, *, contracts: Contracts, config: Config) -> None:
        self._store = store
        self._pipeline = pipeline
        self._contracts = contracts
        self._door = Door(config)

    async def activate(self, request: ActivateSchedule) -> ScheduleStanding:
        """Make a schedule what is asked for.

        Raises:
            InvalidInput: the timing, an option or the input cannot be taken.
            PayloadTooLarge: the input is too large.
        """
        check_schedule_name(request.name)
        meant = request.definition
        try:
            check(meant.timing)
        except ValueError as error:
            raise InvalidInput(str(error), path="timing") from error
        options = meant.options
        if (options.reference_id, options.start_at_ms, options.delay_ms) != (None, None, None):
            raise InvalidInput(
                "reference_id, start_at and delay say something of one single run, and a schedule starts many: leave"
                " them out",
                path="options",
            )
        start = StartRun(
            NO_RUN, request.namespace, meant.workflow, meant.version, meant.input, meant.input_hash, options
        )
        self._door.start(start)
        for misfit in (await self._contracts.misfits_of_starts({0: start})).values():
            raise misfit
        return await self._pipeline.ask(Activate(request))

    async def ask(self, request: ScheduleRequest) -> ScheduleStanding:
        """Pause, resume, trigger or deactivate a schedule.

        Raises:
            InvalidInput: the name or the run's id cannot be one.
        """
        check_name(request.namespace, "the namespace")
        check_schedule_name(request.name)
        if request.verb == "trigger":
            check_id(request.run_id, "run_id")
        return await self._pipeline.ask(AskSchedule(request))

    async def get(self, namespace: str, name: str) -> ScheduleInfo | None:
        """Return a schedule with its next ticks and what it has started last, or None."""
        found = await self._store.schedule(namespace, name, limit=LAST_SHOWN)
        return None if found is None else _info_of(found[0], next_shown=NEXT_SHOWN, last=tuple(found[1]))

    async def list(self, namespace: str, *, cursor: str | None, limit: int) -> SchedulePage:
        """Return a page of schedules, by name.

        Raises:
            InvalidInput: the limit is none.
        """
        if not 1 <= limit <= PAGE_ROWS_MAX:
            raise InvalidInput(f"limit is {limit}: a page holds 1 to {PAGE_ROWS_MAX} schedules", path="limit")
        found = await self._store.list_schedules(namespace, after=cursor or "", limit=limit + 1)
        page = tuple(_info_of(row, next_shown=1) for row in found[:limit])
        return SchedulePage(page, page[-1].name if len(found) > limit else None)


def _info_of(row: ScheduleRow, *, next_shown: int, last: tuple[StartedTick, ...] = ()) -> ScheduleInfo:
    info = ScheduleInfo(
        name=row.name,
        namespace=row.namespace,
        status=row.status,
        when=explain(row.definition.timing),
        definition=row.definition,
        created_at_ms=row.created_at_ms,
        changed_at_ms=row.changed_at_ms,
        last=last,
        fired=row.fired,
        skipped=row.skipped,
        error=row.error,
    )
    if row.status is not ScheduleStatus.ACTIVE or row.next_at_ms is None:
        return info
    following = ticks(row.definition.timing, after_ms=row.next_at_ms, anchor_ms=row.anchor_ms)
    return replace(info, next_ms=(row.next_at_ms, *islice(following, next_shown - 1)))
