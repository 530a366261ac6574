"""Which runs are meant, as it is typed: the same options for every command that takes many runs.

The rule: what is typed becomes the filters of `client.runs`, and what is none is refused by its option.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

from cyclopts import Parameter

from aiki.cli.refusal import Refusal
from aiki.cli.runs.asked import parsed_moment, parsed_tags
from aiki.clock import Clock
from aiki.model.lifecycle import Status
from aiki.sdk.client import Client
from aiki.sdk.filters import Filters

__all__ = ["ANY", "Which", "filters_of", "now_of", "one_of"]

MS_PER_S: Final = 1_000
ID_CHARS: Final = 36
NAMED_MAX: Final = 8


@Parameter(name="*")
@dataclass(frozen=True)
class Which:
    """Which runs are meant; all that match all that is given.

    Args:
        workflow: Only of this workflow.
        version: Only of this version.
        status: Only in this status, such as sleeping; may be given more than once.
        reference_id: Only with this reference id.
        search: Only if their id or reference id begins with this.
        tag: Only with this tag, name=value; may be given more than once.
        parent: Only children of this run.
        schedule: Only what this schedule has started.
        created_after: Only if started since 2025-03-01, 2025-03-01T09:00, or for so long: 90m, 2h, 1d.
        created_before: Only if started before that.
        started_after: Only if a worker first took it since then.
        started_before: Only if a worker first took it before that.
        finished_after: Only if ended since then.
        finished_before: Only if ended before that.
    """

    workflow: str | None = None
    version: str | None = None
    status: Annotated[list[str] | None, Parameter(negative=())] = None
    reference_id: str | None = None
    search: str | None = None
    tag: Annotated[list[str] | None, Parameter(negative=())] = None
    parent: str | None = None
    schedule: str | None = None
    created_after: str | None = None
    created_before: str | None = None
    started_after: str | None = None
    started_before: str | None = None
    finished_after: str | None = None
    finished_before: str | None = None


ANY: Final = Which()


def filters_of(which: Which, now: datetime) -> Filters:
    """Return the filters that were typed.

    Raises:
        Refusal: a status, tag or moment is none.
    """
    return Filters(
        workflow=which.workflow,
        version=which.version,
        status=[_checked_status(name) for name in which.status or ()],
        reference_id=which.reference_id,
        search=which.search,
        tags=parsed_tags(which.tag),
        parent_id=which.parent,
        schedule=which.schedule,
        created_after=_moment(which.created_after, "--created-after", now),
        created_before=_moment(which.created_before, "--created-before", now),
        started_after=_moment(which.started_after, "--started-after", now),
        started_before=_moment(which.started_before, "--started-before", now),
        finished_after=_moment(which.finished_after, "--finished-after", now),
        finished_before=_moment(which.finished_before, "--finished-before", now),
    )


async def one_of(client: Client, named: str) -> str:
    """Return the id of the one run that is named: by its id, or by the beginning of its id or reference id.

    Raises:
        Refusal: that is said of no run, or of several.
    """
    if len(named) == ID_CHARS:
        return named
    found = (await client.runs.list(search=named, limit=NAMED_MAX + 1)).runs
    exact = [run for run in found if run.reference_id == named]
    match exact if len(exact) == 1 else found:
        case (run,):
            return run.id
        case ():
            raise Refusal(
                f"no run has an id or a reference id that begins with {named!r}. Give more, or look for it:"
                " aiki runs list"
            )
    some = "\n".join(f"  {run.id}  {run.workflow} {run.version}  {run.reference_id or ''}".rstrip() for run in found)
    more = "\n  ..." if len(found) > NAMED_MAX else ""
    raise Refusal(f"{named!r} begins the ids or reference ids of several runs. Which one?\n{some}{more}")


def now_of(clock: Clock) -> datetime:
    """Return what time it is."""
    return datetime.fromtimestamp(clock.now_ms() / MS_PER_S, UTC)


def _moment(text: str | None, option: str, now: datetime) -> datetime | None:
    return None if text is None else parsed_moment(text, option, now=now)


def _checked_status(name: str) -> str:
    status = re.sub(r"[\s-]+", "_", name.strip().lower())
    status = status.replace("awaits_", "awaiting_")  # as the dashboard writes it
    if status not in set(Status):
        raise Refusal(f"--status is {name!r}: there are {', '.join(Status)}")
    return status
