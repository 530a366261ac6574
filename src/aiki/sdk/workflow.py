"""Workflows and their versions: the author's functions that are replayed.

The rule: definitions are plain objects, made once and never changed; there is no global registry. A run is pinned to
the version that it was started on.
"""

from __future__ import annotations

import copy
import functools
import inspect
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, Unpack, cast, overload

import msgspec
from msgspec import Raw

from aiki.model import payload
from aiki.model.retry import Retry
from aiki.model.wire import RunOptions, VersionInfo
from aiki.sdk.blocking import BlockingClient, BlockingHandle
from aiki.sdk.child import ChildHandle
from aiki.sdk.client import Client
from aiki.sdk.convert import Seconds, names_in_sight, place_of_call, place_of_definition
from aiki.sdk.events import EV, E, Events, codecs_of
from aiki.sdk.handle import Handle
from aiki.sdk.host import ChildCall, ChildFacts, RunHost
from aiki.sdk.options import Options, with_options
from aiki.sdk.run import Run
from aiki.sdk.signature import CallShape
from aiki.sdk.task import label_of

__all__ = ["Version", "VersionDecorator", "Workflow", "workflow"]

P = ParamSpec("P")
R = TypeVar("R")


class VersionDecorator(Protocol[EV]):
    """What `workflow.version(...)` gives: it makes an `async def` function a version."""

    def __call__(self, fn: Callable[Concatenate[Run[EV], P], Coroutine[Any, Any, R]], /) -> Version[P, R, EV]: ...


class Workflow:
    """A named workflow. Made by `workflow(name)`; its versions are made with `version`."""

    def __init__(self, name: str) -> None:
        payload.check_name(name, "a workflow's name")
        self.name = name

    @overload
    def version(
        self,
        version: str,
        /,
        *,
        events: type[EV],
        retry: Retry = ...,
        timeout: Seconds | None = ...,
        pool: str = ...,
        priority: int = ...,
    ) -> VersionDecorator[EV]: ...
    @overload
    def version(
        self,
        version: str,
        /,
        *,
        retry: Retry = ...,
        timeout: Seconds | None = ...,
        pool: str = ...,
        priority: int = ...,
    ) -> VersionDecorator[Events]: ...
    def version(self, version: str, /, *, events: type[Events] = Events, **defaults: Any) -> Any:
        """Make an `async def` function that takes a run first a version of this workflow.

        Args:
            version: "1.0.0", or any other name. Change the code of a version that has runs only as replay allows.
            events: the class that declares its events.
            defaults: `retry` of the whole run, `timeout` of the run, `pool` and `priority`: defaults for its runs.

        Raises:
            TypeError: the function is not `async def`, or takes no run.
            ValueError: an option's value is out of bounds.

        >>> courier_delivery = workflow("courier-delivery")
        >>> @courier_delivery.version("1.0.0")
        ... async def courier_delivery_v1(run: Run, order_id: str) -> str:
        ...     await run.sleep("ride", minutes=20)
        ...     return f"{order_id} delivered"
        >>> courier_delivery_v1.version
        '1.0.0'
        """
        payload.check_name(version, "a version")
        unknown = defaults.keys() - {"retry", "timeout", "pool", "priority"}
        if unknown:
            raise TypeError(f"version() takes no {min(unknown)!r}; what is of one run is an option: v.options(...)")
        _check_events(events)
        options = with_options(RunOptions(), cast(Options, defaults))
        sight = names_in_sight(sys._getframe(1))

        def decorate(fn: Callable[..., Coroutine[Any, Any, Any]]) -> Version[Any, Any, Any]:
            if not inspect.iscoroutinefunction(fn):
                raise TypeError(f"workflow code is `async def`, and {fn!r} is not")
            shape = CallShape(fn, skip_first=True, localns=sight)
            return Version(self.name, version, function=fn, shape=shape, events=events, run_options=options)

        return decorate

    def __repr__(self) -> str:
        return f"<workflow {self.name}>"


class Version(Generic[P, R, E]):
    """One version of a workflow: start it, or get a handle on a run of it.

    Attributes:
        workflow: the workflow's name.
        version: the version.
        function: the author's.
        where: file and line of its definition.
        shape: its signature, with codecs.
        events: the class that declares its events.
        run_options: what is said of the runs that it starts.
    """

    def __init__(
        self,
        workflow: str,
        version: str,
        *,
        function: Callable[..., Coroutine[Any, Any, R]],
        shape: CallShape,
        events: type[E],
        run_options: RunOptions,
    ) -> None:
        functools.update_wrapper(cast("Callable[..., Any]", self), function)
        self.workflow = workflow
        self.version = version
        self.function = function
        self.where = place_of_definition(function)
        self.shape = shape
        self.events = events
        self.run_options = run_options

    @overload
    def start(self, client: Client, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, Handle[R, E]]: ...
    @overload
    def start(self, client: BlockingClient, /, *args: P.args, **kwargs: P.kwargs) -> BlockingHandle[R, E]: ...
    def start(
        self, client: Client | BlockingClient, /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, Handle[R, E]] | BlockingHandle[R, E]:
        """Start a run, and return a handle on it once it is durably accepted. With a `Client`, `await` it.

        It is accepted even if no worker serves the version yet; `handle.warnings` says so.

        Args:
            client: the client; a `Client` has been entered.
            args: the workflow's arguments.
            kwargs: those by name.

        Raises:
            ReferenceConflict: the reference id names a run with other input.
            NotSerializable: an argument cannot be stored.
            InvalidInput: an argument does not fit its type.
            Unavailable: the server cannot be reached.
        """
        if isinstance(client, BlockingClient):
            return BlockingHandle(client, client.call(lambda one: self._start(one, *args, **kwargs)))
        return self._start(client, *args, **kwargs)

    async def _start(self, client: Client, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R, E]:
        encoded = self.shape.encode_args(args, kwargs, what=f"the input of {self.workflow} {self.version}")
        self.shape.decode_args(encoded.payload)  # what does not fit is refused where it is started, not in the run
        connection = client.connection
        started = await connection.start(
            self.workflow,
            self.version,
            payload=encoded.payload,
            input_hash=payload.digest(encoded.address),
            options=self.run_options,
        )
        return self._handle(client, started.run_id, started.version or self.version, warnings=started.warnings)

    def start_as_child(self, run: Run, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, ChildHandle[R, E]]:
        """Start a child, recorded and exactly once: `child = await courier_delivery_v1.start_as_child(run, order)`.

        Args:
            run: the run of the workflow that calls.
            args: the child's arguments.
            kwargs: those by name.

        Raises:
            ReferenceConflict: the reference id names a run with other input.
            NotSerializable: an argument cannot be stored.
        """
        if not isinstance(run, Run):
            raise TypeError(f"start_as_child takes the run first, not {run!r}. From outside a run: start(client, ...)")
        host, codec, events = run.host, self.shape.returns, self.events
        encoded = self.shape.encode_args(args, kwargs, what=f"the input of {self.workflow} {self.version}")
        reference_id = self.run_options.reference_id
        of_which = encoded.address_hash if reference_id is None else f"reference {reference_id}"
        call = ChildCall(
            workflow=self.workflow,
            version=self.version,
            payload=encoded.payload,
            input_hash=payload.digest(encoded.address),
            address=f"{self.workflow} {self.version} {of_which}",
            options=self.run_options,
            label=label_of(f"{self.workflow} {self.version}", encoded.payload),
            where=place_of_call(sys._getframe(1)),
        )

        def decode(facts: ChildFacts) -> ChildHandle[R, E]:
            return ChildHandle(host, facts, codec=codec, events=events)

        return host.start_child(call, decode)

    def options(self, **options: Unpack[Options]) -> Self:
        """Return a copy with other options; the original is unchanged.

        Args:
            options: `reference_id`, `conflict`, `start_at` or `delay`, `pool`, `priority`, `retry`, `timeout`,
                `tags`, `parent_close`. What is left out stays as it was.

        Raises:
            ValueError: an option's value is out of bounds, or `start_at` has no time zone.

        Example:
            await daily_report_v1.options(reference_id="2025-03-01", tags={"team": "sales"}).start(client)
        """
        changed = copy.copy(self)
        changed.run_options = with_options(self.run_options, options)
        return changed

    @overload
    def handle(self, client: Client, run_id: str) -> Handle[R, E]: ...
    @overload
    def handle(self, client: BlockingClient, run_id: str) -> BlockingHandle[R, E]: ...
    def handle(self, client: Client | BlockingClient, run_id: str) -> Handle[R, E] | BlockingHandle[R, E]:
        """Return a handle on an existing run of this workflow, on any version. Nothing is asked of the server."""
        if isinstance(client, BlockingClient):
            return BlockingHandle(client, self._handle(client.opened(), run_id, None))
        return self._handle(client, run_id, None)

    @overload
    def handle_by_reference(self, client: Client, reference_id: str) -> Coroutine[Any, Any, Handle[R, E]]: ...
    @overload
    def handle_by_reference(self, client: BlockingClient, reference_id: str) -> BlockingHandle[R, E]: ...
    def handle_by_reference(
        self, client: Client | BlockingClient, reference_id: str
    ) -> Coroutine[Any, Any, Handle[R, E]] | BlockingHandle[R, E]:
        """Return a handle on the run of this workflow, on any version, that bears a reference id.

        Raises:
            RunNotFound: there is none.
        """
        if isinstance(client, BlockingClient):
            return BlockingHandle(client, client.call(lambda one: self._handle_by_reference(one, reference_id)))
        return self._handle_by_reference(client, reference_id)

    async def _handle_by_reference(self, client: Client, reference_id: str) -> Handle[R, E]:
        payload.check_name(reference_id, "a reference id")
        found = await client.connection.by_reference(self.workflow, reference_id)
        return self._handle(client, found.id, found.version, warnings=found.warnings)

    # --------------------------------------------------------------------------------------------------- for the worker

    @property
    def is_of_one_run(self) -> bool:
        """Whether its options say something of one single run, so that no worker serves it and no schedule starts it."""
        options = self.run_options
        return (options.reference_id, options.start_at_ms, options.delay_ms) != (None, None, None)

    def run_on(self, host: RunHost) -> Run[E]:
        """Return the run that its code gets, on a host."""
        return Run(host, shape=self.shape, events=self.events)

    def call(self, run: Run[E], input: bytes) -> Coroutine[Any, Any, R]:  # noqa: A002 - a run's word for it
        """Return its code, called with a run and the decoded input, not yet begun.

        Raises:
            InvalidInput: the input does not fit the parameters.
        """
        args, kwargs = self.shape.decode_args(input)
        return self.function(run, *args, **kwargs)

    def announced(self) -> VersionInfo:
        """Return what a worker announces of it: its name and schemas.

        Raises:
            TypeError: a hint cannot be resolved or carried; names parameter, type and cure.
        """
        return VersionInfo(
            workflow=self.workflow,
            version=self.version,
            input_schema=_raw(self.shape.input_schema()),
            output_schema=_raw(self.shape.output_schema()),
            events={
                attribute.replace("_", "-"): _raw(codec.schema()) for attribute, codec in codecs_of(self.events).items()
            },
        )

    def __repr__(self) -> str:
        return f"<workflow {self.workflow} {self.version} of {self.where}>"

    def _handle(
        self, client: Client, run_id: str, version: str | None, *, warnings: tuple[str, ...] = ()
    ) -> Handle[R, E]:
        return Handle(
            client.connection,
            run_id,
            codec=self.shape.returns,
            events=self.events,
            version=version,
            warnings=warnings,
        )


def workflow(name: str) -> Workflow:
    """Name a workflow; its versions are made with `.version(...)`.

    Args:
        name: 1 to 200 characters; it stays the same for as long as there are runs of it.

    Raises:
        InvalidInput: the name cannot be stored.

    >>> workflow("restaurant-order").name
    'restaurant-order'
    """
    return Workflow(name)


def _check_events(events: object) -> None:
    if not isinstance(events, type) or not issubclass(events, Events):
        raise TypeError(f"events is {events!r}: give a class that derives from aiki.Events")


def _raw(schema: object) -> Raw:
    return Raw(msgspec.json.encode(schema))
