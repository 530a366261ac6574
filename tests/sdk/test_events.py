"""Events as classes: names, types and the ends that act for them."""

from typing import Any, TypedDict

import pytest

from aiki.errors import InvalidInput
from aiki.sdk.events import Event, Events, codecs_of, names_of


class OrderEvents(Events):
    restaurant_accepted: Event[int]
    noted: "Event[None]"


class MoreEvents(OrderEvents):
    courier_near: Event[list[str]]


def test_the_name_on_the_wire_has_hyphens() -> None:
    assert names_of(OrderEvents) == ("restaurant-accepted", "noted")
    assert OrderEvents.restaurant_accepted.name == "restaurant-accepted"


def test_a_derived_class_has_the_events_of_its_base() -> None:
    assert names_of(MoreEvents) == ("restaurant-accepted", "noted", "courier-near")
    assert names_of(OrderEvents) == ("restaurant-accepted", "noted")


def test_each_event_has_the_codec_of_its_annotation() -> None:
    assert MoreEvents.courier_near.codec.decode(b'["a"]') == ["a"]
    assert MoreEvents.restaurant_accepted.codec.encode(5) == b"5"
    assert OrderEvents.noted.codec.decode(b"null") is None
    with pytest.raises(InvalidInput):
        OrderEvents.restaurant_accepted.codec.decode(b'"5"')


def test_hints_may_name_what_is_local_to_the_definer() -> None:
    class Amount(TypedDict):
        cents: int

    class LocalEvents(Events):
        paid: "Event[Amount]"

    assert LocalEvents.paid.codec.decode(b'{"cents":5}') == {"cents": 5}


def test_an_annotation_that_is_no_event_is_refused_when_it_is_needed() -> None:
    class WrongEvents(Events):
        paid: int

    with pytest.raises(TypeError, match=r"WrongEvents\.paid.*Event\[\.\.\.\]"):
        codecs_of(WrongEvents)


def test_two_attributes_that_are_one_event_on_the_wire_are_refused() -> None:
    with pytest.raises(ValueError, match="one event on the wire"):
        type("WrongEvents", (Events,), {"__annotations__": {"a_b": Event[int], "a-b": Event[int]}})


def test_the_event_of_a_class_belongs_to_no_run() -> None:
    unbound: Event[Any] = OrderEvents.noted

    with pytest.raises(TypeError, match=r"await run\.events\.noted\.wait\(\)"):
        _ = unbound.wait()
    with pytest.raises(TypeError, match=r"await handle\.events\.noted\.send"):
        _ = unbound.send(None)
