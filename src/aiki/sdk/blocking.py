"""The client for code that does not await: Django, Flask, scripts. The same calls, answered when they return.

The rule: nothing is said twice. Each method here is made by `_blocking` of the `async` one that it stands for, and takes
its parameters, types and documentation from there; a new one costs one line, and a house test asks for it. How a call
crosses to the event loop where the `async` client lives is told in `loop_thread`. After `os.fork` the child leaves its
parent's loop and connections alone, and starts its own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from aiki.errors import InvalidInput, Unavailable
from aiki.sdk.bulk import BulkJob
from aiki.sdk.client import Client, ClientEvents
from aiki.sdk.convert import Seconds
from aiki.sdk.events import EV, E, Event, Events, names_of
from aiki.sdk.handle import Handle
from aiki.sdk.here import refuse_in_workflow
from aiki.sdk.loop_thread import LoopThread
from aiki.sdk.runs import Runs
from aiki.sdk.schedule_handle import ScheduleHandle, Schedules
from aiki.sdk.serial import ANY
from aiki.sdk.transport import Transport

__all__ = [
    "BlockingBulkJob",
    "BlockingClient",
    "BlockingEvents",
    "BlockingHandle",
    "BlockingRuns",
    "BlockingScheduleHandle",
    "BlockingSchedules",
]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class _Blocking(Protocol):
    """What makes its calls through a client."""

    @property
    def client(self) -> BlockingClient: ...

    def asked(self, client: Client) -> Any: ...  # noqa: ANN401 - what has the awaited method


@overload
def _blocking(
    method: Callable[Concatenate[Handle[R, EV], P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingHandle[R, EV], P], T]: ...
@overload
def _blocking(
    method: Callable[Concatenate[Runs, P], Coroutine[Any, Any, Handle[R, EV]]],
) -> Callable[Concatenate[BlockingRuns, P], BlockingHandle[R, EV]]: ...
@overload
def _blocking(
    method: Callable[Concatenate[Runs, P], Coroutine[Any, Any, BulkJob]],
) -> Callable[Concatenate[BlockingRuns, P], BlockingBulkJob]: ...
@overload
def _blocking(
    method: Callable[Concatenate[BulkJob, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingBulkJob, P], T]: ...
@overload
def _blocking(
    method: Callable[Concatenate[Runs, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingRuns, P], T]: ...
@overload
def _blocking(
    method: Callable[Concatenate[ScheduleHandle, P], Coroutine[Any, Any, Handle[Any, Events] | None]],
) -> Callable[Concatenate[BlockingScheduleHandle, P], BlockingHandle[Any, Events] | None]: ...
@overload
def _blocking(
    method: Callable[Concatenate[ScheduleHandle, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingScheduleHandle, P], T]: ...
@overload
def _blocking(
    method: Callable[Concatenate[Schedules, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingSchedules, P], T]: ...
@overload
def _blocking(
    method: Callable[Concatenate[ClientEvents, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingEvents, P], T]: ...
def _blocking(method: Callable[..., Coroutine[Any, Any, Any]]) -> Any:
    """Return a method that makes the call of an `async` one and waits for its answer."""

    @functools.wraps(method)
    def call(self: _Blocking, *args: object, **kwargs: object) -> object:
        answer: object = self.client.call(lambda client: method(self.asked(client), *args, **kwargs))
        if isinstance(answer, BulkJob):
            return BlockingBulkJob(self.client, answer)
        return BlockingHandle(self.client, answer) if isinstance(answer, Handle) else answer

    call.__doc__ = (method.__doc__ or "").replace("await ", "")
    return call


class BlockingHandle(Generic[R, E]):
    """A run, seen from code that does not await. Made by `start`, `handle` and the like, with a `BlockingClient`."""

    def __init__(self, client: BlockingClient, handle: Handle[R, E]) -> None:
        self.client = client
        self._handle = handle
        self._process = os.getpid()

    result = _blocking(Handle[R, E].result)
    wait_for_status = _blocking(Handle[R, E].wait_for_status)
    info = _blocking(Handle[R, E].info)
    cancel = _blocking(Handle[R, E].cancel)
    terminate = _blocking(Handle[R, E].terminate)
    pause = _blocking(Handle[R, E].pause)
    resume = _blocking(Handle[R, E].resume)
    wake = _blocking(Handle[R, E].wake)
    requeue = _blocking(Handle[R, E].requeue)
    retry = _blocking(Handle[R, E].retry)
    get = _blocking(Handle[R, E].get)

    def send(self, event: Event[T], value: T, *, reference_id: str | None = None) -> None:
        """Send the run an event: `handle.send(RestaurantOrderEvents.restaurant_accepted, Acceptance(35))`.

        Args:
            event: which, as an attribute of the class that declares it.
            value: its payload; None for `Event[None]`.
            reference_id: a second send with the same one is ignored, as long as the run lives.

        Raises:
            RunEnded: the run takes no more events.
            InvalidInput: its version knows no such event.
            NotSerializable: the value cannot be stored.
        """
        if not isinstance(event, Event):
            raise TypeError(f"send takes the event first, as in OrderEvents.restaurant_accepted, not {event!r}")
        known = names_of(type(self._handle.events))
        if known and event.name not in known:
            raise InvalidInput(
                f"run {self.id} knows no event {event.name} ({event!r}); it knows {', '.join(known)}", path="$"
            )

        def sending(client: Client) -> Coroutine[Any, Any, None]:
            # Through the event's own class, for a handle without the version's code declares none.
            declared = Handle(client.connection, self.asked(client).id, codec=ANY, events=event.owner).events
            bound: Event[T] = getattr(declared, event.attribute)
            return bound.send(value, reference_id)

        self.client.call(sending)

    @property
    def id(self) -> str:
        """The run's id."""
        return self._handle.id

    @property
    def version(self) -> str | None:
        """The version that it was started on; None on a handle made of a bare id, until `info` has been asked."""
        return self._handle.version

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the start warned of, such as that no worker serves the version yet."""
        return self._handle.warnings

    def asked(self, client: Client) -> Handle[R, E]:
        """Return what is asked in the client's thread.

        Raises:
            RuntimeError: the handle was made before this process was forked.
        """
        if os.getpid() != self._process:
            raise RuntimeError(
                f"the handle of {self.id} was made before this process was forked, and belongs to the parent. "
                "Make another: restaurant_order_v1.handle(client, run_id)"
            )
        return self._handle

    def __repr__(self) -> str:
        return f"<BlockingHandle of {self.id}>"


class BlockingRuns:
    """Runs by name and id, without their code at hand (`client.runs`)."""

    def __init__(self, client: BlockingClient) -> None:
        self.client = client

    start = _blocking(Runs.start)
    get = _blocking(Runs.get)
    list = _blocking(Runs.list)
    count = _blocking(Runs.count)
    cancel_many = _blocking(Runs.cancel_many)
    terminate_many = _blocking(Runs.terminate_many)
    retry_many = _blocking(Runs.retry_many)
    requeue_many = _blocking(Runs.requeue_many)
    pause_many = _blocking(Runs.pause_many)
    resume_many = _blocking(Runs.resume_many)
    wake_many = _blocking(Runs.wake_many)

    def bulk_job(self, job_id: str) -> BlockingBulkJob:
        """Return a handle on a bulk job that was begun before."""
        return BlockingBulkJob(self.client, self.client.opened().runs.bulk_job(job_id))

    def asked(self, client: Client) -> Runs:
        """Return what is asked in the client's thread."""
        return client.runs


class BlockingScheduleHandle:
    """A schedule, seen from code that does not await. Made by `Schedule.activate` with a `BlockingClient`."""

    def __init__(self, client: BlockingClient, handle: ScheduleHandle) -> None:
        self.client = client
        self.name = handle.name

    info = _blocking(ScheduleHandle.info)
    pause = _blocking(ScheduleHandle.pause)
    resume = _blocking(ScheduleHandle.resume)
    trigger = _blocking(ScheduleHandle.trigger)
    deactivate = _blocking(ScheduleHandle.deactivate)

    def asked(self, client: Client) -> ScheduleHandle:
        """Return what is asked in the client's thread."""
        return client.schedules.handle(self.name)

    def __repr__(self) -> str:
        return f"<BlockingScheduleHandle of {self.name}>"


class BlockingSchedules:
    """Schedules by name (`client.schedules`)."""

    def __init__(self, client: BlockingClient) -> None:
        self.client = client

    get = _blocking(Schedules.get)
    list = _blocking(Schedules.list)

    def handle(self, name: str) -> BlockingScheduleHandle:
        """Return a handle on an existing schedule. Nothing is asked of the server."""
        return BlockingScheduleHandle(self.client, self.client.opened().schedules.handle(name))

    def asked(self, client: Client) -> Schedules:
        """Return what is asked in the client's thread."""
        return client.schedules


class BlockingBulkJob:
    """A bulk job, seen from code that does not await. Made by `client.runs.cancel_many` and the like."""

    def __init__(self, client: BlockingClient, job: BulkJob) -> None:
        self.client = client
        self.id = job.id

    info = _blocking(BulkJob.info)
    wait = _blocking(BulkJob.wait)

    def asked(self, client: Client) -> BulkJob:
        """Return what is asked in the client's thread."""
        return client.runs.bulk_job(self.id)


class BlockingEvents:
    """Events for many runs at once (`client.events`). For one run: `handle.send`."""

    def __init__(self, client: BlockingClient) -> None:
        self.client = client

    multicast = _blocking(ClientEvents.multicast)

    def asked(self, client: Client) -> ClientEvents:
        """Return what is asked in the client's thread."""
        return client.events


class BlockingClient:
    """Speaks with an Aiki server from code that does not await. Any number of threads may share one.

    It connects with the first call, and closes at `close`, at the end of `with`, or with the program. Made before a
    fork, as by gunicorn, it serves parent and child.

    Args:
        url: the server's address; by default AIKI_URL, else http://localhost:9850. `unix:///path` is one, too.
        api_key: the key that the server knows; by default AIKI_API_KEY.
        namespace: of all that this client starts and sees; namespaces never see one another.
        timeout: how long a call is tried again while the server is away, seconds or timedelta.
        transport: another road to a server; it is used in this client's thread only, and in one process.

    Raises:
        ValueError: `timeout` is not positive, or `url` is no address.
        InvalidInput: `namespace` cannot name one.

    Example:
        with BlockingClient() as client:
            handle = restaurant_order_v1.start(client, Order(order_id="order-123", customer_id="customer-456"))
            handle.send(RestaurantOrderEvents.restaurant_accepted, Acceptance(estimated_minutes=35))
            print(handle.result())
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        namespace: str = "default",
        *,
        timeout: Seconds = 10.0,
        transport: Transport | None = None,
    ) -> None:
        self._make = functools.partial(Client, url, api_key, namespace, timeout=timeout, transport=transport)
        self._made = self._make()
        self.namespace = namespace
        self.url = self._made.url
        self._is_forkable = transport is None
        self._lock = threading.RLock()  # a signal's handler may make a call while its thread makes one
        self._thread: LoopThread | None = None
        self._stop: weakref.finalize[[], Any] | None = None
        self._why_closed: str | None = None
        _clients.add(self)

    @property
    def runs(self) -> BlockingRuns:
        """Runs by name and id, without their code at hand."""
        return BlockingRuns(self)  # anew each time: kept, it would keep the client from being collected

    @property
    def schedules(self) -> BlockingSchedules:
        """Schedules by name."""
        return BlockingSchedules(self)

    @property
    def events(self) -> BlockingEvents:
        """Events for many runs at once."""
        return BlockingEvents(self)

    @property
    def is_open(self) -> bool:
        """Whether it has connected, and not closed since."""
        return self._thread is not None and self._why_closed is None

    def opened(self) -> Client:
        """Return the `async` client that this one asks, which lives in the thread of its event loop.

        Raises:
            NotAllowedInWorkflow: workflow code asks.
            RuntimeError: an event loop runs in this thread, or the client is closed.
        """
        _refuse_here()
        with self._lock:
            return self._started().client

    def call(self, ask: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        """Make any call of the `async` client, and wait for its answer: `client.call(lambda c: c.runs.get(run_id))`.

        Raises:
            NotAllowedInWorkflow: workflow code calls.
            RuntimeError: an event loop runs in this thread, or the client is closed.
            Unavailable: the server cannot be reached, or the client was closed before the answer came.
        """
        _refuse_here()
        with self._lock:
            thread = self._started()
            answer = thread.submit(ask(thread.client))
        try:
            return answer.result()
        except concurrent.futures.CancelledError:
            raise Unavailable("the client was closed before the answer came", url=self.url) from None
        finally:
            answer.cancel()  # does nothing to one that is done: this is for Ctrl-C, and whatever else interrupts
            del answer  # an error holds this frame, and would hold itself

    def close(self) -> None:
        """Close the connection, and end the thread. Whoever still waits gets `Unavailable`."""
        with self._lock:
            self._why_closed = self._why_closed or "the client is closed: make another"
            stop, self._stop = self._stop, None
        if stop is not None:
            stop()

    def __enter__(self) -> Self:
        """Start the thread. Nothing is sent yet: whether a server is there shows with the first call."""
        self.opened()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._made).replace("Client", "BlockingClient", 1)

    def _started(self) -> LoopThread:
        if self._why_closed is not None:
            raise RuntimeError(self._why_closed)
        if self._thread is None:
            self._thread = LoopThread(self._made)
            self._stop = weakref.finalize(self, self._thread.stop)  # also when the program ends
        return self._thread

    def _leave_to_parent(self) -> None:
        """In the child of a fork: forget the parent's thread, which does not run here, and whoever held the lock."""
        self._lock = threading.RLock()
        if self._thread is None:
            return
        # Kept, for to close or collect them would be to meddle with sockets that the parent uses.
        _left_to_parent.append(self._thread)
        if self._stop is not None:
            self._stop.detach()
        self._thread = self._stop = None
        if self._is_forkable:
            self._made = self._make()
        else:
            self._why_closed = "the client's transport belongs to the process that this one was forked from"


def _refuse_here() -> None:
    refuse_in_workflow(
        "a client is used", "Use it in a task; from workflow code, start children: start_as_child(run, ...)"
    )
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "a BlockingClient would hold up the event loop that runs here. Use aiki.Client and await, "
        "or make the call in a thread: await asyncio.to_thread(...)"
    )


_clients: Final[weakref.WeakSet[BlockingClient]] = weakref.WeakSet()
_left_to_parent: Final[list[LoopThread]] = []


def _after_fork() -> None:
    for client in tuple(_clients):
        client._leave_to_parent()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)
