"""Runs by name and id, without their code at hand: started, found, counted, and many steered at once.

The rule: which runs are meant is said in the same words everywhere, those of `Filters`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Unpack

from msgspec.structs import replace

from aiki.errors import InvalidInput
from aiki.model import payload
from aiki.model.payload import PAYLOAD_BYTES_MAX, Json
from aiki.model.wire import RunOptions, Verb
from aiki.sdk.bulk import BulkJob, start_job
from aiki.sdk.connection import Connection
from aiki.sdk.events import Events
from aiki.sdk.filters import Filters, run_filter
from aiki.sdk.handle import Handle
from aiki.sdk.info import RunCount, RunInfo, RunPage, run_count, run_info, run_page
from aiki.sdk.options import Options, with_options
from aiki.sdk.serial import ANY

__all__ = ["Runs"]

PAGE_RUNS_MAX: Final = 500


class Runs:
    """Runs by name and id, without their code at hand (`client.runs`)."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect

    async def start(
        self,
        workflow: str,
        version: str,
        input: Mapping[str, Json],  # noqa: A002 - the word of the contract
        **options: Unpack[Options],
    ) -> Handle[Any, Events]:
        """Start a run.

        Args:
            workflow: the workflow's name.
            version: its version.
            input: the arguments by parameter name.
            options: as of `Version.options`.

        Raises:
            InvalidInput: the input does not fit what a worker announced for the version.
            ReferenceConflict: the reference id names a run with other input.

        Example:
            handle = await client.runs.start("restaurant-order", "1.0.0", {"order": {"order_id": "o-1"}})
        """
        payload.check_name(workflow, "a workflow's name")
        payload.check_name(version, "a version")
        if not isinstance(input, Mapping):
            raise InvalidInput(
                f"the input of {workflow} is a {type(input).__name__}: give an object with the arguments by parameter name",
                path="$",
            )
        encoded = ANY.encode(dict(input), limit_bytes=PAYLOAD_BYTES_MAX, what=f"the input of {workflow}")
        connection = self._connect()
        started = await connection.start(
            workflow,
            version,
            payload=encoded,
            input_hash=payload.digest(encoded),
            options=with_options(RunOptions(), options),
        )
        return Handle(
            connection,
            started.run_id,
            codec=ANY,
            events=Events,
            version=started.version or version,
            warnings=started.warnings,
        )

    async def get(self, run_id: str) -> RunInfo:
        """Return a run as it stands.

        Raises:
            RunNotFound: there is no such run.
        """
        return run_info(await self._connect().info(run_id))

    async def list(
        self,
        *,
        cursor: str | None = None,
        limit: int = 50,
        **filters: Unpack[Filters],
    ) -> RunPage:
        """Return a page of runs, newest first.

        Args:
            cursor: `next_cursor` of the page before.
            limit: how many, from 1 to 500.
            filters: which runs, as of `Filters`: workflow, version, status, reference_id, search, tags, parent_id,
                created_after, created_before and the like. What is left out does not narrow.

        Raises:
            ValueError: there is no such status, a moment is naive, or `limit` is out of bounds.
            InvalidInput: too many runs would have to be looked at.
        """
        if not 1 <= limit <= PAGE_RUNS_MAX:
            raise ValueError(f"limit is {limit}: it must be from 1 to {PAGE_RUNS_MAX:,}")
        connection = self._connect()
        wanted = replace(run_filter(connection.namespace, filters), cursor=cursor, limit=limit)
        return run_page(await connection.runs(wanted))

    async def count(self, **filters: Unpack[Filters]) -> RunCount:
        """Return how many runs there are, by status; the filters are those of `list`.

        Raises:
            ValueError: there is no such status, or a moment is naive.
            InvalidInput: too many runs would have to be looked at.
        """
        connection = self._connect()
        return run_count(await connection.count(run_filter(connection.namespace, filters)))

    async def cancel_many(
        self,
        filter: Filters | None = None,  # noqa: A002 - the word of the contract
        *,
        run_ids: Sequence[str] | None = None,
        everything: bool = False,
        reason: str | None = None,
        **filters: Unpack[Filters],
    ) -> BulkJob:
        """Ask many runs to cancel, as a bulk job that the server does part by part.

        Args:
            filter: which runs, as of `list`: `{"workflow": "restaurant-order"}`;
            run_ids: or the runs by id, at most 10,000;
            filters: or the filter, as keywords. Where they name no status, those that have not ended are meant. Runs started later are not.
            everything: needed for all runs of the namespace, where no filter narrows.
            reason: for people; it is kept with the runs.

        Raises:
            ValueError: nothing says which runs are meant.
            InvalidInput: an id or a filter is none.

        Example:
            job = await client.runs.cancel_many(workflow="restaurant-order", tags={"kitchen": "7"})
            print((await job.wait()).changed)
        """
        return await self._many("cancel", reason, filter, run_ids, everything=everything, filters=filters)

    async def terminate_many(
        self,
        filter: Filters | None = None,  # noqa: A002 - the word of the contract
        *,
        run_ids: Sequence[str] | None = None,
        everything: bool = False,
        reason: str | None = None,
        **filters: Unpack[Filters],
    ) -> BulkJob:
        """End many runs as cancelled at once, as a bulk job that the server does part by part.

        Args:
            filter: which runs, as of `list`: `{"workflow": "restaurant-order"}`;
            run_ids: or the runs by id, at most 10,000;
            filters: or the filter, as keywords. Where they name no status, those that have not ended are meant. Runs started later are not.
            everything: needed for all runs of the namespace, where no filter narrows.
            reason: for people; it is kept with the runs.

        Raises:
            ValueError: nothing says which runs are meant.
            InvalidInput: an id or a filter is none.

        Example:
            job = await client.runs.terminate_many(workflow="restaurant-order", tags={"kitchen": "7"})
            print((await job.wait()).changed)
        """
        return await self._many("terminate", reason, filter, run_ids, everything=everything, filters=filters)

    async def retry_many(
        self,
        filter: Filters | None = None,  # noqa: A002 - the word of the contract
        *,
        run_ids: Sequence[str] | None = None,
        everything: bool = False,
        **filters: Unpack[Filters],
    ) -> BulkJob:
        """Try many failed runs again, as a bulk job that the server does part by part.

        Args:
            filter: which runs, as of `list`: `{"workflow": "restaurant-order"}`;
            run_ids: or the runs by id, at most 10,000;
            filters: or the filter, as keywords. Where they name no status, failed ones are meant. Runs started later are not.
            everything: needed for all runs of the namespace, where no filter narrows.

        Raises:
            ValueError: nothing says which runs are meant.
            InvalidInput: an id or a filter is none.

        Example:
            job = await client.runs.retry_many(workflow="restaurant-order", tags={"kitchen": "7"})
            print((await job.wait()).changed)
        """
        return await self._many("retry", None, filter, run_ids, everything=everything, filters=filters)

    async def requeue_many(
        self,
        filter: Filters | None = None,  # noqa: A002 - the word of the contract
        *,
        run_ids: Sequence[str] | None = None,
        everything: bool = False,
        **filters: Unpack[Filters],
    ) -> BulkJob:
        """Put many stalled runs back into their queues, as a bulk job that the server does part by part.

        Args:
            filter: which runs, as of `list`: `{"workflow": "restaurant-order"}`;
            run_ids: or the runs by id, at most 10,000;
            filters: or the filter, as keywords. Where they name no status, stalled ones are meant. Runs started later are not.
            everything: needed for all runs of the namespace, where no filter narrows.

        Raises:
            ValueError: nothing says which runs are meant.
            InvalidInput: an id or a filter is none.

        Example:
            job = await client.runs.requeue_many(workflow="restaurant-order", tags={"kitchen": "7"})
            print((await job.wait()).changed)
        """
        return await self._many("requeue", None, filter, run_ids, everything=everything, filters=filters)

    async def pause_many(
        self,
        filter: Filters | None = None,  # noqa: A002 - the word of the contract
        *,
        run_ids: Sequence[str] | None = None,
        everything: bool = False,
        **filters: Unpack[Filters],
    ) -> BulkJob:
        """Hold many runs, as a bulk job that the server does part by part.

        Args:
            filter: which runs, as of `list`: `{"workflow": "restaurant-order"}`;
            run_ids: or the runs by id, at most 10,000;
            filters: or the filter, as keywords. Where they name no status, those that go on by themselves are meant. Runs started later are not.
            everything: needed for all runs of the namespace, where no filter narrows.

        Raises:
            ValueError: nothing says which runs are meant.
            InvalidInput: an id or a filter is none.

        Example:
            job = await client.runs.pause_many(workflow="restaurant-order", tags={"kitchen": "7"})
            print((await job.wait()).changed)
        """
        return await self._many("pause", None, filter, run_ids, everything=everything, filters=filters)

    async def resume_many(
        self,
        filter: Filters | None = None,  # noqa: A002 - the word of the contract
        *,
        run_ids: Sequence[str] | None = None,
        everything: bool = False,
        **filters: Unpack[Filters],
    ) -> BulkJob:
        """Let many paused runs go on, as a bulk job that the server does part by part.

        Args:
            filter: which runs, as of `list`: `{"workflow": "restaurant-order"}`;
            run_ids: or the runs by id, at most 10,000;
            filters: or the filter, as keywords. Where they name no status, paused ones are meant. Runs started later are not.
            everything: needed for all runs of the namespace, where no filter narrows.

        Raises:
            ValueError: nothing says which runs are meant.
            InvalidInput: an id or a filter is none.

        Example:
            job = await client.runs.resume_many(workflow="restaurant-order", tags={"kitchen": "7"})
            print((await job.wait()).changed)
        """
        return await self._many("resume", None, filter, run_ids, everything=everything, filters=filters)

    async def wake_many(
        self,
        filter: Filters | None = None,  # noqa: A002 - the word of the contract
        *,
        run_ids: Sequence[str] | None = None,
        everything: bool = False,
        **filters: Unpack[Filters],
    ) -> BulkJob:
        """End what many runs sleep in, as a bulk job that the server does part by part.

        Args:
            filter: which runs, as of `list`: `{"workflow": "restaurant-order"}`;
            run_ids: or the runs by id, at most 10,000;
            filters: or the filter, as keywords. Where they name no status, those that go on by themselves are meant. Runs started later are not.
            everything: needed for all runs of the namespace, where no filter narrows.

        Raises:
            ValueError: nothing says which runs are meant.
            InvalidInput: an id or a filter is none.

        Example:
            job = await client.runs.wake_many(workflow="restaurant-order", tags={"kitchen": "7"})
            print((await job.wait()).changed)
        """
        return await self._many("wake", None, filter, run_ids, everything=everything, filters=filters)

    async def _many(
        self,
        verb: Verb,
        reason: str | None,
        filter: Filters | None,  # noqa: A002 - as above
        run_ids: Sequence[str] | None,
        *,
        everything: bool,
        filters: Filters,
    ) -> BulkJob:
        if filter is not None and filters:
            raise ValueError("give the filter as one object or as keywords, not both")
        return await start_job(
            self._connect(),
            verb,
            reason=reason,
            run_ids=run_ids,
            everything=everything,
            filters=filters if filter is None else filter,
        )

    def bulk_job(self, job_id: str) -> BulkJob:
        """Return a handle on a bulk job that was begun before."""
        return BulkJob(self._connect(), job_id)
