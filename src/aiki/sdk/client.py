"""The client: what programs outside of workflows hold to speak with a server.

The rule: building one does no I/O; inside `async with` it has a connection, and after it nothing is left open.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self, Unpack

from aiki.clock import Chance, Clock, SystemClock
from aiki.errors import InvalidInput
from aiki.model import payload
from aiki.model.lifecycle import Status
from aiki.model.payload import PAYLOAD_BYTES_MAX, Json
from aiki.model.views import RunFilter
from aiki.model.wire import RunOptions
from aiki.sdk.connection import Connection
from aiki.sdk.convert import Seconds, instant_ms, limit_ms
from aiki.sdk.events import Events
from aiki.sdk.handle import Handle
from aiki.sdk.http import HttpTransport
from aiki.sdk.http_address import address_of
from aiki.sdk.info import RunInfo, RunPage, run_info, run_page
from aiki.sdk.options import Options, with_options
from aiki.sdk.schedule_handle import Schedules
from aiki.sdk.serial import ANY
from aiki.sdk.transport import Transport
from aiki.sdk.waits import WAIT_MS

__all__ = ["Client", "Runs"]

PAGE_RUNS_MAX: Final = 500


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
        workflow: str | None = None,
        version: str | None = None,
        status: str | Sequence[str] = (),
        reference_id: str | None = None,
        parent_id: str | None = None,
        schedule: str | None = None,
        tags: Mapping[str, str] | None = None,
        started_after: datetime | None = None,
        started_before: datetime | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> RunPage:
        """Return a page of runs, newest first. What is left out does not narrow.

        Args:
            workflow: the workflow's name.
            version: its version.
            status: one status, or several.
            reference_id: the reference id.
            parent_id: the run that started them as children.
            schedule: the name of the schedule that started them.
            tags: tags that they all bear.
            started_after: an aware moment; so is `started_before`.
            started_before: an aware moment.
            cursor: `next_cursor` of the page before.
            limit: how many, from 1 to 500.

        Raises:
            ValueError: there is no such status, a moment is naive, or `limit` is out of bounds.
        """
        if not 1 <= limit <= PAGE_RUNS_MAX:
            raise ValueError(f"limit is {limit}: it must be from 1 to {PAGE_RUNS_MAX:,}")
        wanted = RunFilter(
            namespace=self._client.namespace,
            workflow=workflow,
            version=version,
            status=tuple(map(Status, (status,) if isinstance(status, str) else status)),
            reference_id=reference_id,
            parent_id=parent_id,
            schedule=schedule,
            tags=dict(tags or {}),
            started_after_ms=None if started_after is None else instant_ms(started_after, "started_after"),
            started_before_ms=None if started_before is None else instant_ms(started_before, "started_before"),
            cursor=cursor,
            limit=limit,
        )
        return run_page(await self._client.connection.runs(wanted))
