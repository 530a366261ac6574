"""What workflow code has in its hand: the run.

The rule: all that it tells and does goes through the host, so that it is the same on replay. It encodes what goes
down and decodes what comes up, and hands the host's coroutines on as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, Generic, NoReturn, overload
from uuid import UUID

from aiki.model import payload
from aiki.model.payload import Json
from aiki.sdk.convert import Seconds, sleep_ms
from aiki.sdk.events import E, Event, EventResult, T, bound_events
from aiki.sdk.host import EventAnswer, RunHost
from aiki.sdk.serial import ANY
from aiki.sdk.signature import CallShape

__all__ = ["Run", "SleepResult"]


@dataclass(frozen=True, slots=True)
class SleepResult:
    """How a sleep ended.

    Attributes:
        woken: whether somebody ended it early (`handle.wake()`, `aiki runs wake`).
    """

    woken: bool


class Run(Generic[E]):
    """A run, as its own code sees it: what it is, its time and chance, its sleeps and events.

    Everything here is the same when the code is replayed. `aiki.current_run()` gives the same object.
    """

    __slots__ = ("_events", "_events_class", "_host", "_shape")

    def __init__(self, host: RunHost, *, shape: CallShape, events: type[E]) -> None:
        self._host = host
        self._shape = shape
        self._events_class = events
        self._events: E | None = None

    @property
    def host(self) -> RunHost:
        """The machinery beneath; not for workflow code."""
        return self._host

    @property
    def id(self) -> str:
        """The run's id, the same across attempts and chapters."""
        return self._host.facts.id

    @property
    def workflow(self) -> str:
        """The workflow's name."""
        return self._host.facts.workflow

    @property
    def version(self) -> str:
        """The version that the run was started on."""
        return self._host.facts.version

    @property
    def attempt(self) -> int:
        """Which attempt of the whole run this is; the first is 1."""
        return self._host.facts.attempt

    @property
    def reference_id(self) -> str | None:
        """The reference id that it was started with, or None."""
        return self._host.facts.reference_id

    @property
    def tags(self) -> dict[str, str]:
        """The tags that it was started with, as a copy."""
        return dict(self._host.facts.tags)

    @property
    def parent_id(self) -> str | None:
        """The id of the run that started it as a child, or None."""
        return self._host.facts.parent_id

    @property
    def context(self) -> Any:  # noqa: ANN401 - whatever the worker's `context` gave
        """What the worker's `context` was entered with; None where it has none."""
        return self._host.context

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that knows the run, and is silent on replay."""
        return self._host.logger

    @property
    def random(self) -> Random:
        """A source of chance that gives the same numbers on replay."""
        return self._host.random

    def now(self) -> datetime:
        """Return the run's time, aware, UTC: that of the last thing that was delivered to its code."""
        return self._host.now()

    def uuid4(self) -> UUID:
        """Return a random UUID, the same on replay."""
        return self._host.uuid4()

    @overload
    def sleep(self, name: str, duration: Seconds, /) -> Coroutine[Any, Any, SleepResult]: ...
    @overload
    def sleep(
        self,
        name: str,
        /,
        *,
        weeks: float = ...,
        days: float = ...,
        hours: float = ...,
        minutes: float = ...,
        seconds: float = ...,
        milliseconds: float = ...,
    ) -> Coroutine[Any, Any, SleepResult]: ...
    def sleep(self, name: str, duration: Seconds | None = None, /, **units: float) -> Coroutine[Any, Any, SleepResult]:
        """Sleep durably: nothing is held meanwhile, be it for a second or a year.

        Args:
            name: what the sleep is called in this run, for people and for replay.
            duration: seconds or timedelta; or give `weeks`, `days`, `hours`, `minutes`, `seconds`, `milliseconds`.
            units: the parts of the duration, as of `timedelta`.

        Returns:
            Whether it was woken early.

        Raises:
            TypeError: no duration is given.
            ValueError: it is negative or not finite.

        Example:
            result = await run.sleep("feedback-delay", days=1)
        """
        payload.check_name(name, "a sleep's name")
        return self._host.sleep(name, sleep_ms(name, duration, units), decode=SleepResult)

    @property
    def events(self) -> E:
        """The events that can be sent to this run: `await run.events.restaurant_accepted.wait()`."""
        if self._events is None:
            self._events = bound_events(self._events_class, _RunEnd(self._host))
        return self._events

    def set(self, key: str, value: Json) -> None:
        """Publish a value under a key, durably; it replaces the one before. `handle.get(key)` reads it from outside.

        Args:
            key: what `handle.get` asks for.
            value: anything that can be stored; models come out as dicts.

        Raises:
            NotSerializable: the value cannot be stored.
        """
        payload.check_name(key, "a published value's key")
        self._host.publish(key, ANY.encode(value, what=f"the value of {key}"))

    async def continue_as_new(self, *args: Any, **kwargs: Any) -> NoReturn:
        """End this chapter and go on from the top with new arguments and an empty journal.

        Id, parent, reference id, unread events and waiters stay. It never returns: the code is unwound.

        Args:
            args: the workflow's new arguments, as if it was started with them.
            kwargs: those by name.

        Raises:
            TypeError: the arguments are not those of the workflow.
        """
        encoded = self._shape.encode_args(args, kwargs, what=f"the input of {self.workflow}")
        self._host.continue_as_new(encoded.payload, payload.digest(encoded.address))

    def __repr__(self) -> str:
        return f"<Run {self.id} of {self.workflow} {self.version}>"


class _RunEnd:
    """The end of `run.events.x`: it waits."""

    __slots__ = ("_host",)

    def __init__(self, host: RunHost) -> None:
        self._host = host

    def wait(self, event: Event[T], timeout_ms: int | None) -> Coroutine[Any, Any, EventResult[T]]:
        codec, name = event.codec, event.name

        def decode(answer: EventAnswer) -> EventResult[T]:
            if answer.timed_out:
                return EventResult(name, None, timed_out=True)
            return EventResult(
                name, codec.decode(bytes(answer.payload) or payload.RAW_NULL, what=f"event {name}"), timed_out=False
            )

        return self._host.wait_event(name, timeout_ms, decode=decode)

    def send(self, event: Event[T], value: T, *, reference_id: str | None) -> NoReturn:
        raise TypeError(
            f"a run waits for its own events: await run.events.{event.attribute}.wait(). "
            f"To send one, use a handle: await handle.events.{event.attribute}.send(...)"
        )
