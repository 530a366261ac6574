"""A run, as seen from outside.

The rule: a handle holds an id and the types of a version, never state. Each call asks the server.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, NoReturn, TypeVar

import msgspec

from aiki.model import payload
from aiki.model.payload import Json
from aiki.sdk.connection import Connection
from aiki.sdk.convert import Seconds, limit_ms
from aiki.sdk.ended import Terminal, WaitResult, checked_terminal, not_in_time, result_of, wait_result_of
from aiki.sdk.events import E, Event, EventResult, T, bound_events
from aiki.sdk.info import RunInfo, run_info
from aiki.sdk.serial import TypeCodec

__all__ = ["Handle"]

R = TypeVar("R")


class Handle(Generic[R, E]):
    """A run, seen from outside: wait for it, speak to it, ask how it is. Made by `start`, `handle` and the like.

    Attributes:
        id: the run's id.
        version: the version that it was started on; None on a handle made of a bare id, until `info` has been asked.
        warnings: what the start warned of, such as that no worker serves the version yet.
    """

    def __init__(
        self,
        connection: Connection,
        run_id: str,
        *,
        codec: TypeCodec[R],
        events: type[E],
        version: str | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.id = run_id
        self.version = version
        self.warnings = warnings
        self._connection = connection
        self._codec = codec
        self._events_class = events
        self._events: E | None = None

    async def result(self, timeout: Seconds | None = None) -> R:
        """Wait for the run to end and return its output.

        Args:
            timeout: seconds or timedelta; None waits for ever.

        Raises:
            RunFailed: it failed; `.error_type`, `.details`, `.traceback` tell of what.
            RunCancelled: it was cancelled or terminated.
            TimedOut: it has not ended in time; it goes on.
        """
        timeout_ms = limit_ms(timeout, "the timeout of a result")
        end = await self._connection.end_of(self.id, timeout_ms)
        if end is None:
            raise not_in_time(self.id, timeout_ms)
        return result_of(self.id, end, codec=self._codec)

    async def wait_for_status(self, status: Terminal, timeout: Seconds | None = None) -> WaitResult[R]:
        """Wait for the run to end, however it ends.

        Args:
            status: how it should end: "completed", "failed" or "cancelled".
            timeout: seconds or timedelta; None waits for ever.

        Returns:
            How it ended; true if in the status asked for.
        """
        wanted = checked_terminal(status)
        end = await self._connection.end_of(self.id, limit_ms(timeout, "the timeout of a status"))
        return wait_result_of(self.id, wanted, end=end, codec=self._codec)

    async def info(self) -> RunInfo:
        """Return how the run stands: status, waits, times, tags, error.

        Raises:
            RunNotFound: there is no such run.
        """
        found = await self._connection.info(self.id)
        self.version = found.version
        return run_info(found)

    async def cancel(self, reason: str | None = None) -> bool:
        """Ask the run to cancel. Its code gets `CancelledError` and may clean up.

        Returns:
            Whether anything changed: False if a cancellation was asked for already, or the run has ended.

        Raises:
            RunNotFound: there is no such run.
        """
        return (await self._connection.control(self.id, "cancel", reason=reason)).changed

    async def terminate(self, reason: str | None = None) -> bool:
        """End the run as cancelled at once, without clean-up.

        Returns:
            Whether anything changed: False if the run has ended.

        Raises:
            RunNotFound: there is no such run.
        """
        return (await self._connection.control(self.id, "terminate", reason=reason)).changed

    async def pause(self) -> bool:
        """Hold the run. If a worker has it, it stops after the tasks that run now; what is sent to it is kept.

        Returns:
            Whether anything changed: False if it is paused, stalled, to be cancelled, or has ended.

        Raises:
            RunNotFound: there is no such run.
        """
        return (await self._connection.control(self.id, "pause")).changed

    async def resume(self) -> bool:
        """Let the run go on where it was paused.

        Returns:
            Whether it was paused. If not, nothing happens.

        Raises:
            RunNotFound: there is no such run.
        """
        return (await self._connection.control(self.id, "resume")).changed

    async def wake(self) -> bool:
        """End what the run sleeps in now: a sleep, a delayed start, or the delay before its next attempt.

        Returns:
            Whether anything slept. If not, nothing happens.
        """
        return (await self._connection.control(self.id, "wake")).changed

    async def requeue(self) -> bool:
        """Put a stalled run back into its queue.

        Returns:
            Whether it was stalled. If not, nothing happens.
        """
        return (await self._connection.control(self.id, "requeue")).changed

    async def retry(self) -> bool:
        """Try the run again, if it has failed. What it completed is kept; it goes on from what failed.

        Who has been told of the failure has been told; `result()` waits for the new end.

        Returns:
            Whether it had failed. If not, nothing happens.

        Raises:
            RunNotFound: there is no such run.
        """
        return (await self._connection.control(self.id, "retry")).changed

    async def get(self, key: str) -> Json:
        """Return what the run published with `run.set(key, value)`, as plain JSON; None if nothing."""
        payload.check_name(key, "a published value's key")
        found = await self._connection.value(self.id, key)
        return msgspec.json.decode(found) if found else None

    @property
    def events(self) -> E:
        """The events that can be sent to the run: `await handle.events.restaurant_accepted.send(value)`."""
        if self._events is None:
            self._events = bound_events(self._events_class, _HandleEnd(self._connection, self.id))
        return self._events

    def __repr__(self) -> str:
        return f"<Handle of {self.id}>"


class _HandleEnd:
    """The end of `handle.events.x`: it sends."""

    __slots__ = ("_connection", "_run_id")

    def __init__(self, connection: Connection, run_id: str) -> None:
        self._connection = connection
        self._run_id = run_id

    def wait(self, event: Event[T], timeout_ms: int | None) -> Coroutine[Any, Any, EventResult[T]]:
        return _refuse_wait(event)

    async def send(self, event: Event[T], value: T, *, reference_id: str | None) -> None:
        encoded = event.codec.encode_fitting(value, what=f"event {event.name}")
        if reference_id is not None:
            payload.check_name(reference_id, "a reference id")
        await self._connection.send(self._run_id, event.name, payload=encoded, reference_id=reference_id)


def _refuse_wait(event: Event[T]) -> NoReturn:
    raise TypeError(
        f"a handle sends events: await handle.events.{event.attribute}.send(...). "
        f"The run's own code waits for them: await run.events.{event.attribute}.wait()"
    )
