"""Events: what can be sent to a run, declared as a class of annotated attributes.

One annotation, `restaurant_accepted: Event[Acceptance]`, is the object on all three sides: `run.events.x` waits,
`handle.events.x` sends, `OrderEvents.x` names it. The rule: an `Event` knows its name and type, and asks whatever
stands at its end to act; the wrong end refuses at the call and says which is the right one.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Coroutine, Mapping
from typing import Any, Final, Generic, NoReturn, Protocol, dataclass_transform

from aiki.errors import TimedOut
from aiki.model import payload
from aiki.sdk import hints
from aiki.sdk.convert import Seconds, limit_ms, names_in_sight
from aiki.sdk.serial import TypeCodec, codec_of

if sys.version_info >= (3, 13):
    from typing import TypeVar
else:
    from typing_extensions import TypeVar

if sys.version_info >= (3, 14):
    import annotationlib

__all__ = ["EV", "E", "Event", "EventEnd", "EventResult", "Events", "bound_events", "codecs_of", "names_of"]

T = TypeVar("T")
E = TypeVar("E", bound="Events", default="Events", covariant=True)
"""The events of a run. With a default, so that a bare `Run` is whole; covariant, so that a helper's `Run` fits all."""
EV = TypeVar("EV", bound="Events", covariant=True)

EVENTS_MAX: Final = 1_000


class EventResult(Generic[T]):
    """What a wait for an event brought. As a condition it is true if the event came in time.

    Example:
        if response := await run.events.restaurant_accepted.wait(timeout=300):
            run.logger.info("ready in %d minutes", response.data.estimated_minutes)
    """

    __slots__ = ("_name", "_value", "timed_out")

    def __init__(self, name: str, value: T | None, *, timed_out: bool) -> None:
        self._name = name
        self._value = value
        self.timed_out = timed_out

    @property
    def data(self) -> T:
        """The event's payload.

        Raises:
            TimedOut: none came.
        """
        if self.timed_out:
            raise TimedOut(
                f"no event {self._name} came in time, so there is no data: ask `if result:` or `result.timed_out` first",
                event=self._name,
            )
        return typing.cast(T, self._value)

    def __bool__(self) -> bool:
        return not self.timed_out

    def __repr__(self) -> str:
        return "EventResult(timed_out=True)" if self.timed_out else f"EventResult(data={self._value!r})"


class EventEnd(Protocol):
    """What stands behind an event's object and acts for it."""

    def wait(self, event: Event[T], timeout_ms: int | None) -> Coroutine[Any, Any, EventResult[T]]:
        """Wait for the event."""
        ...

    def send(self, event: Event[T], value: T, *, reference_id: str | None) -> Coroutine[Any, Any, None]:
        """Send the event."""
        ...


class _NoEnd:
    """The end of `OrderEvents.x`: it names an event and belongs to no run."""

    def wait(self, event: Event[T], timeout_ms: int | None) -> NoReturn:
        raise TypeError(f"{event!r} belongs to no run. In a workflow: await run.events.{event.attribute}.wait()")

    def send(self, event: Event[T], value: T, *, reference_id: str | None) -> NoReturn:
        raise TypeError(f"{event!r} belongs to no run. From outside: await handle.events.{event.attribute}.send(...)")


class Event(Generic[T]):
    """An event: the annotation that declares it, and the object that waits for it or sends it.

    >>> class OrderEvents(Events):
    ...     restaurant_accepted: Event[int]
    >>> OrderEvents.restaurant_accepted.name
    'restaurant-accepted'

    Attributes:
        attribute: what it is called in code.
        name: what it is called on the wire: the attribute with `-` for `_`.
    """

    __slots__ = ("_end", "attribute", "name", "owner")

    def __init__(self, owner: type[Events], attribute: str, end: EventEnd) -> None:
        self.owner = owner
        self.attribute = attribute
        self.name = attribute.replace("_", "-")
        self._end = end

    def wait(self, timeout: Seconds | None = None) -> Coroutine[Any, Any, EventResult[T]]:
        """Wait durably for the next event of this name (`run.events.x.wait()`).

        Args:
            timeout: seconds or timedelta; None waits for ever.

        Raises:
            InvalidInput: what was sent does not fit the type. It is taken all the same.
            TypeError: called on a handle, which sends, or on the class.
        """
        return self._end.wait(self, limit_ms(timeout, f"the timeout of event {self.name}"))

    def send(self, value: T, reference_id: str | None = None) -> Coroutine[Any, Any, None]:
        """Send the event to the run (`handle.events.x.send(value)`).

        Args:
            value: its payload; None for `Event[None]`.
            reference_id: a second send with the same one is ignored, as long as the run lives.

        Raises:
            RunEnded: the run takes no more events.
            NotSerializable: the value cannot be stored.
            TypeError: called on a run, which waits, or on the class.
        """
        return self._end.send(self, value, reference_id=reference_id)

    @property
    def codec(self) -> TypeCodec[T]:
        """The codec of its payload, from the annotation."""
        return codecs_of(self.owner)[self.attribute]

    def __repr__(self) -> str:
        return f"{self.owner.__name__}.{self.attribute}"


class _Declared:
    """What a class of events declares: its attributes, the local names where it stands, and, once needed, codecs."""

    __slots__ = ("attributes", "codecs", "in_sight")

    def __init__(self, attributes: tuple[str, ...], in_sight: Mapping[str, Any]) -> None:
        self.attributes = attributes
        self.in_sight = in_sight
        self.codecs: Mapping[str, TypeCodec[Any]] | None = None


@dataclass_transform()
class Events:
    """Base of the classes that declare a workflow's events, one annotated attribute each.

    >>> class RestaurantOrderEvents(Events):
    ...     restaurant_accepted: Event[str]
    ...     cancelled_by_guest: Event[None]
    """

    # Without an annotation: an annotation in here declares an event.
    _declared = _Declared((), {})

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = [attribute for attribute in _annotated(cls) if not attribute.startswith("_")]
        attributes = tuple(dict.fromkeys((*cls._declared.attributes, *own)))
        cls._declared = _Declared(attributes, {**cls._declared.in_sight, **names_in_sight(sys._getframe(1))})
        if len(attributes) > EVENTS_MAX:
            raise ValueError(f"{cls.__name__} declares {len(attributes)} events; the limit is {EVENTS_MAX:,}")
        names: dict[str, str] = {}
        for attribute in attributes:
            event: Event[Any] = Event(cls, attribute, _NoEnd())
            payload.check_name(event.name, "an event's name")
            if names.setdefault(event.name, attribute) != attribute:
                raise ValueError(
                    f"{cls.__name__}.{names[event.name]} and .{attribute} are one event on the wire, {event.name}"
                )
            setattr(cls, attribute, event)


def _annotated(cls: type) -> list[str]:
    if sys.version_info >= (3, 14):
        return list(annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF))
    return list(inspect.get_annotations(cls))


def names_of(events: type[Events]) -> tuple[str, ...]:
    """Return the names on the wire of all events that a class declares."""
    return tuple(attribute.replace("_", "-") for attribute in events._declared.attributes)


def bound_events(events: type[EV], end: EventEnd) -> EV:
    """Return an object of the class whose events act through `end`."""
    bound = events()
    for attribute in events._declared.attributes:
        setattr(bound, attribute, Event(events, attribute, end))
    return bound


def codecs_of(events: type[Events]) -> Mapping[str, TypeCodec[Any]]:
    """Return the codec of each event that a class declares, by its attribute.

    Raises:
        TypeError: an annotation cannot be resolved, is no `Event[...]`, or holds what cannot be encoded.
    """
    declared = events._declared
    if declared.codecs is not None:
        return declared.codecs
    found = hints.class_hints(events, localns=declared.in_sight, where=f"{events.__module__}.{events.__qualname__}")
    codecs: dict[str, TypeCodec[Any]] = {}
    for attribute in declared.attributes:
        hint: object = found[attribute]
        where = f"event {events.__qualname__}.{attribute}"
        origin: object = typing.get_origin(hint)
        if origin is not Event:
            raise TypeError(
                f"{where} is annotated {hint!r}: write Event[...] with the type of its payload, or Event[None]"
            )
        codecs[attribute] = codec_of(typing.get_args(hint)[0], where=where, localns=declared.in_sight)
    declared.codecs = codecs
    return codecs
