"""What is asked of many runs at once: who is meant, and what became of it at each.

The rule: one request is bounded, and what is more comes page by page. It is done by the calls that serve one run: a run
that refuses spoils nothing for the others.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from msgspec.structs import replace

from aiki.errors import InvalidInput, RunEnded, RunNotFound
from aiki.model.ids import derived_id, event_id
from aiki.model.lifecycle import OPEN
from aiki.model.many import EventOutcome, Multicast, MulticastAnswer, SendOutcome
from aiki.model.payload import check_name
from aiki.model.views import RunFilter
from aiki.model.wire import SendEvent, Standing
from aiki.server.door import Door
from aiki.store.base import Store

__all__ = ["Many"]

PROBLEMS: Final = {RunNotFound.code: SendOutcome.RUN_NOT_FOUND, RunEnded.code: SendOutcome.RUN_ENDED}


class Many:
    """The calls of one server that are about many runs.

    Args:
        send: sends events to one run each.
    """

    def __init__(
        self, store: Store, door: Door, *, send: Callable[[Sequence[SendEvent]], Awaitable[list[Standing]]]
    ) -> None:
        self._store = store
        self._door = door
        self._send = send

    async def multicast(self, request: Multicast) -> MulticastAnswer:
        """Send an event to many runs, and return what became of it at each.

        Raises:
            InvalidInput: it is not said who is meant, or more are than one request takes.
        """
        self._door.multicast(request)
        if request.filter is not None:
            page = await self._store.list_runs(_with_open_status(request.filter))
            named: dict[str, str | None] = dict.fromkeys((run.id for run in page.runs), None)
            return MulticastAnswer(await self._sent(request, named), page.next_cursor)
        if request.reference_ids:
            return MulticastAnswer(await self._sent_by_reference(request))
        return MulticastAnswer(await self._sent(request, dict.fromkeys(request.run_ids, None)))

    async def _sent_by_reference(self, request: Multicast) -> tuple[EventOutcome, ...]:
        if request.workflow is None:
            raise InvalidInput("reference ids are those of one workflow: name it as workflow", path="workflow")
        check_name(request.workflow, "a workflow's name")
        found = await self._store.ids_by_reference(request.namespace, request.workflow, request.reference_ids)
        sent = await self._sent(request, {run_id: reference_id for reference_id, run_id in found.items()})
        outcomes = {outcome.reference_id: outcome for outcome in sent}
        missing = SendOutcome.RUN_NOT_FOUND
        return tuple(
            outcomes.get(reference_id, EventOutcome(missing, reference_id=reference_id))
            for reference_id in dict.fromkeys(request.reference_ids)
        )

    async def _sent(self, request: Multicast, named: dict[str, str | None]) -> tuple[EventOutcome, ...]:
        """Send to runs, of which some are named by a reference id."""
        events = [
            SendEvent(request.namespace, run_id, _message_id(request, run_id), request.name, request.payload)
            for run_id in named
        ]
        standings = await self._send(events)
        return tuple(
            _outcome(standing, reference_id=named[standing.run_id], is_named=request.reference_id is not None)
            for standing in standings
        )


def _message_id(request: Multicast, run_id: str) -> str:
    if request.reference_id is not None:
        return event_id(run_id, request.name, request.reference_id)
    return derived_id("multicast", request.id, run_id)


def _outcome(standing: Standing, *, reference_id: str | None, is_named: bool) -> EventOutcome:
    outcome = SendOutcome.DELIVERED
    if standing.problem is not None:
        outcome = PROBLEMS.get(standing.problem.code, SendOutcome.REFUSED)
    elif standing.repeated and is_named:
        outcome = SendOutcome.DUPLICATE
    return EventOutcome(outcome, standing.run_id, reference_id, standing.status, standing.problem)


def _with_open_status(runs: RunFilter) -> RunFilter:
    return runs if runs.status else replace(runs, status=tuple(sorted(OPEN)))
