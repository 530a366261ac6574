"""Bulk jobs: what is asked of many runs, done by the server part by part, also while nobody looks.

The rule: a job is the server's. Its handle may be dropped, and another made of its id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiki.errors import TimedOut
from aiki.model.many import JobView, StartJob
from aiki.model.wire import Verb
from aiki.sdk.connection import Connection
from aiki.sdk.convert import Seconds, instant_of, limit_ms
from aiki.sdk.filters import Filters, run_filter

__all__ = ["BulkJob", "BulkJobInfo", "RunRefusal", "start_job"]

LOOK_MS: Final = 20_000  # how long one request waits for the end
MS_PER_S: Final = 1_000


@dataclass(frozen=True, slots=True)
class RunRefusal:
    """A run that refused what a bulk job asked, and why."""

    run_id: str
    message: str


@dataclass(frozen=True, slots=True)
class BulkJobInfo:
    """A bulk job as it stood when it was asked for.

    Attributes:
        verb: what it asks: cancel, retry, requeue and the like.
        seen: how many runs it has come to: of these, `changed`, `unchanged` (nothing was there to do) and `refused`.
        problems: why runs refused, of some of them.
    """

    id: str
    verb: str
    is_done: bool
    seen: int
    changed: int
    unchanged: int
    refused: int
    problems: tuple[RunRefusal, ...]
    created_at: datetime
    finished_at: datetime | None


class BulkJob:
    """A bulk job: wait for it, or ask how far it is. Made by `client.runs.cancel_many` and the like.

    Attributes:
        id: the job's id.
    """

    def __init__(self, connection: Connection, job_id: str) -> None:
        self.id = job_id
        self._connection = connection

    async def info(self) -> BulkJobInfo:
        """Return how far the job is.

        Raises:
            RunNotFound: there is no such job.
        """
        return _info(await self._connection.job(self.id))

    async def wait(self, timeout: Seconds | None = None) -> BulkJobInfo:
        """Wait until the job is done, and return what became of it.

        Args:
            timeout: seconds or timedelta; None waits for ever.

        Raises:
            TimedOut: it is not done in time; it goes on.
        """
        timeout_ms = limit_ms(timeout, "the timeout of a bulk job")
        try:
            async with asyncio.timeout(None if timeout_ms is None else timeout_ms / MS_PER_S):
                while True:
                    found = await self._connection.job(self.id, wait_ms=LOOK_MS)
                    if found.finished_at_ms is not None:
                        return _info(found)
        except TimeoutError:
            raise TimedOut(f"bulk job {self.id} is not done within {timeout_ms} ms; it goes on") from None

    def __repr__(self) -> str:
        return f"<BulkJob {self.id}>"


async def start_job(
    connection: Connection,
    verb: Verb,
    *,
    reason: str | None,
    run_ids: Sequence[str] | None,
    everything: bool,
    filters: Filters,
) -> BulkJob:
    """Begin a bulk job: `client.runs.cancel_many` and the like."""
    wanted = None if run_ids is not None else run_filter(connection.namespace, filters)
    if run_ids is not None and (filters or everything):
        raise ValueError("say which runs are meant by run_ids or by filters, not by both")
    if isinstance(run_ids, str):
        raise TypeError("run_ids is a sequence of ids, not one string")
    if wanted is not None and not everything and wanted == run_filter(connection.namespace, {}):
        raise ValueError(f"nothing says which runs to {verb}: give run_ids or filters, or everything=True for all")
    request = StartJob(
        id=connection.new_id(),
        namespace=connection.namespace,
        verb=verb,
        reason=reason,
        run_ids=tuple(run_ids or ()),
        filter=wanted,
    )
    return BulkJob(connection, (await connection.start_job(request)).id)


def _info(found: JobView) -> BulkJobInfo:
    return BulkJobInfo(
        id=found.id,
        verb=found.verb,
        is_done=found.finished_at_ms is not None,
        seen=found.seen,
        changed=found.changed,
        unchanged=found.unchanged,
        refused=found.refused,
        problems=tuple(RunRefusal(refused.run_id, refused.problem.message) for refused in found.problems),
        created_at=instant_of(found.created_at_ms),
        finished_at=None if found.finished_at_ms is None else instant_of(found.finished_at_ms),
    )
