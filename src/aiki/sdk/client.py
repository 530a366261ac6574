"""The client: what programs outside of workflows hold to speak with a server.

The rule: building one does no I/O; inside `async with` it has a connection, and after it nothing is left open.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TypeVar

from aiki.clock import Chance, Clock, SystemClock
from aiki.model import payload
from aiki.sdk.connection import Connection
from aiki.sdk.convert import Seconds, limit_ms
from aiki.sdk.events import Event
from aiki.sdk.filters import Filters
from aiki.sdk.http import HttpTransport
from aiki.sdk.http_address import address_of
from aiki.sdk.multicast import EventOutcome, OfWorkflow, multicast
from aiki.sdk.runs import Runs
from aiki.sdk.schedule_handle import Schedules
from aiki.sdk.transport import Transport
from aiki.sdk.waits import WAIT_MS

__all__ = ["Client", "ClientEvents"]

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
        *,
        timeout: Seconds = 10.0,
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
        self.runs = Runs(lambda: self.connection)
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
