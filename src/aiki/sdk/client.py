"""The client: what programs outside of workflows hold to speak with a server.

The rule: building one does no I/O; inside `async with` it has a connection, and after it nothing is left open.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar, Unpack

from msgspec.structs import replace

from aiki.clock import Chance, Clock, SystemClock
from aiki.errors import InvalidInput
from aiki.model import payload
from aiki.model.payload import PAYLOAD_BYTES_MAX, Json
from aiki.model.wire import RunOptions, Verb
from aiki.sdk.bulk import BulkJob, start_job
from aiki.sdk.connection import Connection
from aiki.sdk.convert import Seconds, limit_ms
from aiki.sdk.events import Event, Events
from aiki.sdk.filters import Filters, run_filter
from aiki.sdk.handle import Handle
from aiki.sdk.http import HttpTransport
from aiki.sdk.http_address import address_of
from aiki.sdk.info import RunCount, RunInfo, RunPage, run_count, run_info, run_page
from aiki.sdk.multicast import EventOutcome, OfWorkflow, multicast
from aiki.sdk.options import Options, with_options
from aiki.sdk.schedule_handle import Schedules
from aiki.sdk.serial import ANY
from aiki.sdk.transport import Transport
from aiki.sdk.waits import WAIT_MS

__all__ = ["Client", "ClientEvents", "Runs"]

PAGE_RUNS_MAX: Final = 500

T = TypeVar("T")


class Client:
    """Speaks with an Aiki server. Use it as `async with Client(...) as client:`; inside, it may be shared freely.

    Args:
        url: the server's address; by default AIKI_URL, else http://localhost:9850. `unix:///path` is one, too.
        api_key: the key that the server knows; by default AIKI_API_KEY.
        namespace: of all that this client starts and sees; namespaces never see one another.
        timeout: how long a call is tried again while the server is away, seconds or timedelta.
        transport: another road to a server, such as that of `aiki.local`.
        clock: where it takes the time from.
        chance: where it takes ids and jitter from.
        wait_ms: how long one request waits for the end of runs.

    Raises:
        ValueError: `timeout` is not positive, or `url` is no address.
        InvalidInput: `namespace` cannot name one.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        namespace: str = "default",
        timeout: Seconds = 10.0,
        *,
        transport: Transport | None = None,
        clock: Clock | None = None,
        chance: Chance | None = None,
        wait_ms: int = WAIT_MS,
    ) -> None:
        payload.check_name(namespace, "a namespace")
        self.url = address_of(url, os.environ if transport is None else {}).url
        self.namespace = namespace
        self._api_key = api_key or os.environ.get("AIKI_API_KEY") or None
        self._timeout_ms = limit_ms(timeout, "timeout") or 0
        if self._timeout_ms < 1:
            raise ValueError(f"timeout is {timeout!r}: it must be positive")
        self._transport = transport
        self.clock: Clock = clock or SystemClock()
        self.chance = chance or Chance()
        self._wait_ms = wait_ms
        self._connection: Connection | None = None
        self.runs = Runs(self)
        self.schedules = Schedules(lambda: self.connection)
        self.events = ClientEvents(self)

    @property
    def is_open(self) -> bool:
        """Whether it has been entered, and not left since."""
        return self._connection is not None

    @property
    def connection(self) -> Connection:
        """The open connection; for handles and workers.

        Raises:
            RuntimeError: the client has not been entered, or has been left.
        """
        if self._connection is None:
            raise RuntimeError("the client is not open. Use it inside: async with Client(...) as client:")
        return self._connection

    @property
    def transport(self) -> Transport:
        """The road to the server; for workers.

        Raises:
            RuntimeError: the client has not been entered, or has been left.
        """
        return self.connection.transport

    async def __aenter__(self) -> Self:
        """Open the connection. Nothing is sent yet: whether a server is there shows with the first call."""
        if self._connection is not None:
            raise RuntimeError("the client is open already: enter it once, and share it")
        self._connection = Connection(
            self._transport or HttpTransport(self.url, self._api_key),
            namespace=self.namespace,
            timeout_ms=self._timeout_ms,
            clock=self.clock,
            chance=self.chance,
            wait_ms=self._wait_ms,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection. Whoever still waits gets `Unavailable`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def __repr__(self) -> str:
        return f"<Client of {self.url if self._transport is None else 'a server in this process'}>"


class ClientEvents:
    """Events for many runs at once (`client.events`). For one run: `handle.events`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def multicast(
        self,
        version: OfWorkflow,
        event: Event[T],
        value: T,
        *,
        run_ids: Sequence[str] | None = None,
        reference_ids: Sequence[str] | None = None,
        filter: Filters | None = None,  # noqa: A002 - the word of the contract
        reference_id: str | None = None,
    ) -> list[EventOutcome]:
        """Send an event to many runs of a workflow, on whichever version they are, and return an outcome for each.

        Args:
            version: a version of the workflow.
            event: which, as an attribute of the class that declares it.
            value: its payload; None for `Event[None]`.
            run_ids: the runs, by id;
            reference_ids: or by reference id;
            filter: or by a filter, as of `client.runs.list`: those that have ended only where it names their status.
            reference_id: of the event: a run that was sent one with it before ignores this one, as long as it lives.

        Raises:
            InvalidInput: the workflow knows no such event.
            NotSerializable: the value cannot be stored.
            ValueError: it is not said which runs are meant, or in more than one way.

        Example:
            outcomes = await client.events.multicast(
                restaurant_order_v1, RestaurantOrderEvents.kitchen_closed, None, filter={"tags": {"kitchen": "7"}}
            )
            print([outcome.run_id for outcome in outcomes if not outcome])
        """
        return await multicast(
            self._client.connection,
            version,
            event,
            value=value,
            run_ids=run_ids,
            reference_ids=reference_ids,
            filters=filter,
            reference_id=reference_id,
        )


class Runs:
    """Runs by name and id, without their code at hand (`client.runs`)."""

    def __init__(self, client: Client) -> None:
        self._client = client

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
        connection = self._client.connection
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
        return run_info(await self._client.connection.info(run_id))

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
        wanted = replace(run_filter(self._client.namespace, filters), cursor=cursor, limit=limit)
        return run_page(await self._client.connection.runs(wanted))

    async def count(self, **filters: Unpack[Filters]) -> RunCount:
        """Return how many runs there are, by status; the filters are those of `list`.

        Raises:
            ValueError: there is no such status, or a moment is naive.
            InvalidInput: too many runs would have to be looked at.
        """
        return run_count(await self._client.connection.count(run_filter(self._client.namespace, filters)))

    async def cancel_many(
        self,
        *,
        run_ids: Sequence[str] | None = None,
        everything: bool = False,
        reason: str | None = None,
        **filters: Unpack[Filters],
    ) -> BulkJob:
        """Ask many runs to cancel, as a bulk job that the server does part by part.

        Args:
            run_ids: the runs, at most 10,000; or
            filters: filters as of `list`. Where they name no status, those that have not ended are meant. Runs started later are not.
            everything: needed for all runs of the namespace, where no filter narrows.
            reason: for people; it is kept with the runs.

        Raises:
            ValueError: nothing says which runs are meant.
            InvalidInput: an id or a filter is none.

        Example:
            job = await client.runs.cancel_many(workflow="restaurant-order", tags={"kitchen": "7"})
            print((await job.wait()).changed)
        """
        return await self._many("cancel", reason, run_ids, everything=everything, filters=filters)

    async def terminate_many(
        self,
        *,
        run_ids: Sequence[str] | None = None,
        everything: bool = False,
        reason: str | None = None,
        **filters: Unpack[Filters],
    ) -> BulkJob:
        """End many runs as cancelled at once, as a bulk job that the server does part by part.

        Args:
            run_ids: the runs, at most 10,000; or
            filters: filters as of `list`. Where they name no status, those that have not ended are meant. Runs started later are not.
            everything: needed for all runs of the namespace, where no filter narrows.
            reason: for people; it is kept with the runs.

        Raises:
            ValueError: nothing says which runs are meant.
            InvalidInput: an id or a filter is none.

        Example:
            job = await client.runs.terminate_many(workflow="restaurant-order", tags={"kitchen": "7"})
            print((await job.wait()).changed)
        """
        return await self._many("terminate", reason, run_ids, everything=everything, filters=filters)

    async def retry_many(
        self,
        *,
        run_ids: Sequence[str] | None = None,
        everything: bool = False,
        **filters: Unpack[Filters],
    ) -> BulkJob:
        """Try many failed runs again, as a bulk job that the server does part by part.

        Args:
            run_ids: the runs, at most 10,000; or
            filters: filters as of `list`. Where they name no status, failed ones are meant. Runs started later are not.
            everything: needed for all runs of the namespace, where no filter narrows.

        Raises:
            ValueError: nothing says which runs are meant.
            InvalidInput: an id or a filter is none.

        Example:
            job = await client.runs.retry_many(workflow="restaurant-order", tags={"kitchen": "7"})
            print((await job.wait()).changed)
        """
        return await self._many("retry", None, run_ids, everything=everything, filters=filters)

    async def requeue_many(
        self,
        *,
        run_ids: Sequence[str] | None = None,
        everything: bool = False,
        **filters: Unpack[Filters],
    ) -> BulkJob:
        """Put many stalled runs back into their queues, as a bulk job that the server does part by part.

        Args:
            run_ids: the runs, at most 10,000; or
            filters: filters as of `list`. Where they name no status, stalled ones are meant. Runs started later are not.
            everything: needed for all runs of the namespace, where no filter narrows.

        Raises:
            ValueError: nothing says which runs are meant.
            InvalidInput: an id or a filter is none.

        Example:
            job = await client.runs.requeue_many(workflow="restaurant-order", tags={"kitchen": "7"})
            print((await job.wait()).changed)
        """
        return await self._many("requeue", None, run_ids, everything=everything, filters=filters)

    async def pause_many(
        self,
        *,
        run_ids: Sequence[str] | None = None,
        everything: bool = False,
        **filters: Unpack[Filters],
    ) -> BulkJob:
        """Hold many runs, as a bulk job that the server does part by part.

        Args:
            run_ids: the runs, at most 10,000; or
            filters: filters as of `list`. Where they name no status, those that go on by themselves are meant. Runs started later are not.
            everything: needed for all runs of the namespace, where no filter narrows.

        Raises:
            ValueError: nothing says which runs are meant.
            InvalidInput: an id or a filter is none.

        Example:
            job = await client.runs.pause_many(workflow="restaurant-order", tags={"kitchen": "7"})
            print((await job.wait()).changed)
        """
        return await self._many("pause", None, run_ids, everything=everything, filters=filters)

    async def resume_many(
        self,
        *,
        run_ids: Sequence[str] | None = None,
        everything: bool = False,
        **filters: Unpack[Filters],
    ) -> BulkJob:
        """Let many paused runs go on, as a bulk job that the server does part by part.

        Args:
            run_ids: the runs, at most 10,000; or
            filters: filters as of `list`. Where they name no status, paused ones are meant. Runs started later are not.
            everything: needed for all runs of the namespace, where no filter narrows.

        Raises:
            ValueError: nothing says which runs are meant.
            InvalidInput: an id or a filter is none.

        Example:
            job = await client.runs.resume_many(workflow="restaurant-order", tags={"kitchen": "7"})
            print((await job.wait()).changed)
        """
        return await self._many("resume", None, run_ids, everything=everything, filters=filters)

    async def wake_many(
        self,
        *,
        run_ids: Sequence[str] | None = None,
        everything: bool = False,
        **filters: Unpack[Filters],
    ) -> BulkJob:
        """End what many runs sleep in, as a bulk job that the server does part by part.

        Args:
            run_ids: the runs, at most 10,000; or
            filters: filters as of `list`. Where they name no status, those that go on by themselves are meant. Runs started later are not.
            everything: needed for all runs of the namespace, where no filter narrows.

        Raises:
            ValueError: nothing says which runs are meant.
            InvalidInput: an id or a filter is none.

        Example:
            job = await client.runs.wake_many(workflow="restaurant-order", tags={"kitchen": "7"})
            print((await job.wait()).changed)
        """
        return await self._many("wake", None, run_ids, everything=everything, filters=filters)

    async def _many(
        self, verb: Verb, reason: str | None, run_ids: Sequence[str] | None, *, everything: bool, filters: Filters
    ) -> BulkJob:
        connection = self._client.connection
        return await start_job(connection, verb, reason=reason, run_ids=run_ids, everything=everything, filters=filters)

    def bulk_job(self, job_id: str) -> BulkJob:
        """Return a handle on a bulk job that was begun before."""
        return BulkJob(self._client.connection, job_id)
