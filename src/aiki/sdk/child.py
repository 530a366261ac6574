"""A child run, as the code of its parent sees it: waited for and spoken to durably.

The rule: everything goes through the parent's host, so it is recorded there, and never through a client.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, NoReturn, TypeVar

from aiki.model import payload
from aiki.model.run import RunEnd
from aiki.sdk.convert import Seconds, limit_ms
from aiki.sdk.ended import Terminal, WaitResult, checked_terminal, not_in_time, result_of, wait_result_of
from aiki.sdk.events import E, Event, EventResult, T, bound_events
from aiki.sdk.host import ChildFacts, RunHost
from aiki.sdk.serial import TypeCodec

__all__ = ["ChildHandle"]

R = TypeVar("R")


class ChildHandle(Generic[R, E]):
    """A started child.

    Attributes:
        id: the child's run id.
        version: the version that it runs on; of one found by its reference id, that on which it was started.
    """

    __slots__ = ("_codec", "_events", "_events_class", "_host", "id", "version")

    def __init__(self, host: RunHost, facts: ChildFacts, *, codec: TypeCodec[R], events: type[E]) -> None:
        self.id = facts.run_id
        self.version = facts.version
        self._host = host
        self._codec = codec
        self._events_class = events
        self._events: E | None = None

    def result(self, timeout: Seconds | None = None) -> Coroutine[Any, Any, R]:
        """Wait durably for the child's output.

        Args:
            timeout: seconds or timedelta; None waits for ever.

        Raises:
            RunFailed: the child failed.
            RunCancelled: it was cancelled or terminated.
            TimedOut: it has not ended in time; it goes on.
        """
        run_id, codec = self.id, self._codec
        timeout_ms = limit_ms(timeout, "the timeout of a child's result")

        def decode(end: RunEnd | None) -> R:
            if end is None:
                raise not_in_time(run_id, timeout_ms)
            return result_of(run_id, end, codec=codec)

        return self._host.wait_child(run_id, timeout_ms, decode=decode)

    def wait_for_status(self, status: Terminal, timeout: Seconds | None = None) -> Coroutine[Any, Any, WaitResult[R]]:
        """Wait durably for the child's end, however it ends.

        Args:
            status: how it should end.
            timeout: seconds or timedelta; None waits for ever.

        Returns:
            How it ended; true if in the status asked for.
        """
        run_id, codec, wanted = self.id, self._codec, checked_terminal(status)

        def decode(end: RunEnd | None) -> WaitResult[R]:
            return wait_result_of(run_id, wanted, end=end, codec=codec)

        return self._host.wait_child(run_id, limit_ms(timeout, "the timeout of a child's end"), decode=decode)

    async def cancel(self, reason: str | None = None) -> None:
        """Ask the child to cancel. It may still clean up; wait for its end to see how it ended."""
        self._host.cancel_child(self.id, reason)

    @property
    def events(self) -> E:
        """The events that can be sent to the child: `await child.events.x.send(value)`."""
        if self._events is None:
            self._events = bound_events(self._events_class, _ChildEnd(self._host, self.id))
        return self._events

    def __repr__(self) -> str:
        return f"<ChildHandle of {self.id}>"


class _ChildEnd:
    """The end of `child.events.x`: it sends, durably and once, however the parent is replayed."""

    __slots__ = ("_host", "_run_id")

    def __init__(self, host: RunHost, run_id: str) -> None:
        self._host = host
        self._run_id = run_id

    def wait(self, event: Event[T], timeout_ms: int | None) -> Coroutine[Any, Any, EventResult[T]]:
        return _refuse_wait(event)

    async def send(self, event: Event[T], value: T, *, reference_id: str | None) -> None:
        if reference_id is not None:
            payload.check_name(reference_id, "a reference id")
        encoded = event.codec.encode(value, what=f"the payload of event {event.name}")
        self._host.send_event(self._run_id, event.name, encoded, reference_id=reference_id)


def _refuse_wait(event: Event[T]) -> NoReturn:
    raise TypeError(
        f"a child's handle sends events: await child.events.{event.attribute}.send(...). "
        f"A run waits for its own: await run.events.{event.attribute}.wait()"
    )
