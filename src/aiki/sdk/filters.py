"""Which runs are meant, in the words of those who ask: lists, counts, bulk jobs and multicast take the same ones.

The rule: what is left out does not narrow, and a moment knows its zone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict

from aiki.model.lifecycle import Status
from aiki.model.views import RunFilter
from aiki.sdk.convert import instant_ms

__all__ = ["Filters", "run_filter"]

_MOMENTS: Final = (
    "created_after",
    "created_before",
    "started_after",
    "started_before",
    "finished_after",
    "finished_before",
)


class Filters(TypedDict, total=False):
    """Which runs are meant; runs match that match all that is given. Moments are aware; `after` includes its own.

    Attributes:
        workflow: the workflow's name; `version` its version.
        status: one status, or several.
        reference_id: the reference id.
        search: what an id or a reference id begins with.
        tags: tags that they all bear.
        parent_id: the run that started them as children; `schedule` the name of the schedule that did.
        created_after: when they were started; `started_after` when a worker first took them.
    """

    workflow: str | None
    version: str | None
    status: str | Sequence[str] | None
    reference_id: str | None
    search: str | None
    tags: Mapping[str, str] | None
    parent_id: str | None
    schedule: str | None
    created_after: datetime | None
    created_before: datetime | None
    started_after: datetime | None
    started_before: datetime | None
    finished_after: datetime | None
    finished_before: datetime | None


def run_filter(namespace: str, filters: Filters) -> RunFilter:
    """Return a filter as servers take it. What is None counts as left out.

    Raises:
        ValueError: there is no such status, or a moment is naive.
        TypeError: there is no such filter.
    """
    given: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
    unknown = given.keys() - Filters.__annotations__.keys()
    if unknown:
        raise TypeError(
            f"there is no filter {', '.join(sorted(unknown))}; there are {', '.join(Filters.__annotations__)}"
        )
    for name in _MOMENTS:
        if name in given:
            given[f"{name}_ms"] = instant_ms(given.pop(name), name)
    status = given.pop("status", ())
    return RunFilter(
        namespace=namespace,
        status=tuple(map(Status, (status,) if isinstance(status, str) else status)),
        tags=dict(given.pop("tags", {})),
        **given,
    )
