"""One event for many runs, with an outcome for each.

The rule: who is meant is said in one of three ways, and nobody is left out silently: the answer names every run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeVar

from msgspec import Raw, structs

from aiki.errors import InvalidInput
from aiki.model import payload
from aiki.model.many import EventOutcome as Told
from aiki.model.many import Multicast
from aiki.sdk.connection import Connection
from aiki.sdk.events import Event, Events, names_of
from aiki.sdk.filters import Filters, run_filter

__all__ = ["EventOutcome", "OfWorkflow", "multicast"]

IDS_AT_ONCE: Final = 1_000
PAGE_RUNS: Final = 500
PAGES_MAX: Final = 20_000

T = TypeVar("T")


class OfWorkflow(Protocol):
    """A version of a workflow, as far as its events matter."""

    @property
    def workflow(self) -> str:
        """The workflow's name."""
        ...

    @property
    def events(self) -> type[Events]:
        """The class that declares its events."""
        ...


@dataclass(frozen=True, slots=True)
class EventOutcome:
    """What became of an event at one run. As a condition it is true if the run has it.

    Attributes:
        outcome: `delivered`; `duplicate`: it was sent one of this reference id before; `run_not_found`; `run_ended`; or
            `refused`: its version knows no such event, or takes another payload.
        run_id: the run; None where a reference id names none.
        reference_id: the run's, where it was named by that.
        message: why it was not delivered.
    """

    outcome: Literal["delivered", "duplicate", "run_not_found", "run_ended", "refused"]
    run_id: str | None
    reference_id: str | None = None
    message: str | None = None

    def __bool__(self) -> bool:
        return self.outcome in ("delivered", "duplicate")


async def multicast(
    connection: Connection,
    version: OfWorkflow,
    event: Event[T],
    *,
    value: T,
    run_ids: Sequence[str] | None,
    reference_ids: Sequence[str] | None,
    filters: Filters | None,
    reference_id: str | None,
) -> list[EventOutcome]:
    """Send an event to many runs: `client.events.multicast`."""
    if not isinstance(event, Event):
        raise TypeError(f"multicast takes the event as in OrderEvents.restaurant_accepted, not {event!r}")
    known = names_of(version.events)
    if known and event.name not in known:
        raise InvalidInput(
            f"{version.workflow} knows no event {event.name} ({event!r}); it knows {', '.join(known)}", path="$"
        )
    if sum(meant is not None for meant in (run_ids, reference_ids, filters)) != 1:
        raise ValueError("say which runs are meant by one of run_ids, reference_ids or filter")
    if reference_id is not None:
        payload.check_name(reference_id, "a reference id")
    asked = Multicast(
        namespace=connection.namespace,
        id=connection.new_id(),
        name=event.name,
        payload=Raw(event.codec.encode_fitting(value, what=f"event {event.name}")),
        reference_id=reference_id,
        workflow=version.workflow,
    )
    if filters is not None:
        return await _to_filter(connection, asked, {**filters, "workflow": version.workflow})
    told: list[Told] = []
    for ids in _parts(run_ids or ()):
        told += (await connection.multicast(structs.replace(asked, run_ids=ids))).outcomes
    for ids in _parts(reference_ids or ()):
        told += (await connection.multicast(structs.replace(asked, reference_ids=ids))).outcomes
    return list(map(_outcome, told))


async def _to_filter(connection: Connection, asked: Multicast, filters: Filters) -> list[EventOutcome]:
    """Send page by page. Runs that are started meanwhile are newer than all pages, and so not meant."""
    found: list[EventOutcome] = []
    page = structs.replace(run_filter(connection.namespace, filters), limit=PAGE_RUNS)
    for _ in range(PAGES_MAX):
        answer = await connection.multicast(structs.replace(asked, filter=page))
        found += map(_outcome, answer.outcomes)
        if answer.next_cursor is None:
            return found
        page = structs.replace(page, cursor=answer.next_cursor)
    raise InvalidInput(f"the filter finds more than {PAGES_MAX * PAGE_RUNS:,} runs: narrow it", path="filter")


def _parts(ids: Sequence[str]) -> Iterator[tuple[str, ...]]:
    if isinstance(ids, str):
        raise TypeError("run_ids and reference_ids are sequences of ids, not one string")
    unique = list(dict.fromkeys(ids))
    for first in range(0, len(unique), IDS_AT_ONCE):
        yield tuple(unique[first : first + IDS_AT_ONCE])


def _outcome(told: Told) -> EventOutcome:
    return EventOutcome(
        told.outcome.value,
        told.run_id,
        told.reference_id,
        None if told.problem is None else told.problem.message,
    )
