"""Addresses: what may be added to models and functions without losing the calls that are recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import attrs
import msgspec
import pydantic
import pytest
from typing_extensions import TypedDict

from aiki.errors import NotSerializable
from aiki.model import payload
from aiki.sdk.serial import codec_of
from aiki.sdk.signature import CallShape


@dataclass
class Order:
    order_id: str


class Options(TypedDict, total=False):
    note: str


class StructSettings(msgspec.Struct):
    host: str
    port: int = 80
    tags: list[str] = []


@attrs.define
class AttrsSettings:
    host: str
    port: int = 80
    tags: list[str] = attrs.Factory(list)


@dataclass
class DataclassSettings:
    host: str
    port: int = 80
    tags: list[str] = field(default_factory=list)


class PydanticSettings(pydantic.BaseModel):
    host: str
    port: int = 80
    tags: list[str] = pydantic.Field(default_factory=list)


@pydantic.dataclasses.dataclass
class PydanticDataclassSettings:
    host: str
    port: int = 80
    tags: list[str] = field(default_factory=list)


SETTINGS: list[Any] = [StructSettings, AttrsSettings, DataclassSettings, PydanticSettings, PydanticDataclassSettings]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(
    ("hint", "wrap", "text"),
    [
        (lambda cls: cls, lambda one: one, "%s"),
        (lambda cls: list[cls], lambda one: [one], "[%s]"),  # type: ignore[valid-type]  # a class of the table
        (lambda cls: dict[str, cls | None], lambda one: {"k": one}, '{"k":%s}'),  # type: ignore[valid-type]  # a class of the table
        (lambda cls: tuple[cls, int], lambda one: (one, 1), "[%s,1]"),  # type: ignore[valid-type]  # a class of the table
        (lambda cls: Any, lambda one: {"k": [one]}, '{"k":[%s]}'),
    ],
)
def test_fields_that_equal_their_default_are_not_in_the_address_at_any_depth(
    settings: Any, hint: Any, wrap: Any, text: str
) -> None:
    codec = codec_of(hint(settings), where="x")

    assert codec.encode_for_address(wrap(settings(host="h"))).decode() == text % '{"host":"h"}'
    assert codec.encode_for_address(wrap(settings(host="h", port=80, tags=[]))).decode() == text % '{"host":"h"}'
    assert codec.encode_for_address(wrap(settings(host="h", port=81))).decode() == text % '{"host":"h","port":81}'
    assert codec.encode(wrap(settings(host="h"))).decode() == text % '{"host":"h","port":80,"tags":[]}'


def test_a_new_field_with_a_default_keeps_the_address() -> None:
    @dataclass
    class Old:
        name: str

    @dataclass
    class New:
        name: str
        plan: str = "free"
        settings: DataclassSettings | None = None

    old, new = codec_of(Old, where="x"), codec_of(New, where="x", localns=locals())

    assert new.encode_for_address(New("a")) == old.encode_for_address(Old("a"))
    assert new.encode_for_address(New("a", "paid")) != old.encode_for_address(Old("a"))


def test_a_new_parameter_with_a_default_keeps_the_address() -> None:
    def before(order: Order) -> None: ...
    def after(order: Order, express: bool = False) -> None: ...  # noqa: FBT001, FBT002

    assert CallShape(after).encode_args((Order("o"),), {}) == CallShape(before).encode_args((Order("o"),), {})


def test_typed_dicts_and_dicts_have_no_defaults() -> None:
    assert codec_of(Options, where="x").encode_for_address({"note": ""}) == b'{"note":""}'
    assert codec_of(dict[str, Any], where="x").encode_for_address({"a": None, "b": []}) == b'{"a":null,"b":[]}'


def test_a_model_that_is_a_default_is_left_out_as_a_whole() -> None:
    @dataclass
    class Inner:
        depth: int = 0

    @dataclass
    class Outer:
        name: str
        inner: Inner = field(default_factory=Inner)

    codec = codec_of(Outer, where="x", localns=locals())

    assert codec.encode_for_address(Outer("a")) == b'{"name":"a"}'
    assert codec.encode_for_address(Outer("a", Inner(1))) == b'{"inner":{"depth":1},"name":"a"}'


def test_a_default_that_is_made_by_reading_the_world_is_never_left_out() -> None:
    answers = iter(range(1000))

    class Ticket(pydantic.BaseModel):
        number: int = pydantic.Field(default_factory=lambda: next(answers))

    @dataclass
    class Counter:
        number: int = field(default_factory=lambda: next(answers))

    for cls in (Ticket, Counter):
        codec = codec_of(cls, where="x")
        for number in range(30):
            assert codec.encode_for_address(cls(number=number)) == b'{"number":%d}' % number
    assert next(answers) == 0


def test_false_is_not_zero_and_identity_is_not_equality() -> None:
    class Same:
        """Compares by identity."""

    same = Same()

    @dataclass
    class Flags:
        flag: bool = False
        anything: Any = same

    codec = codec_of(Flags, where="x")

    assert codec.encode_for_address(Flags(flag=0, anything=1)) == b'{"anything":1,"flag":0}'  # type: ignore[arg-type]
    with pytest.raises(NotSerializable):
        codec.encode_for_address(Flags())


def test_the_address_is_the_payload_where_no_model_has_a_default() -> None:
    def plain(sku: str, prices: list[float]) -> None: ...

    encoded = CallShape(plain).encode_args(("a", [1.0]), {})

    assert encoded.address is encoded.payload
    assert encoded.address_hash == payload.address_hash(encoded.payload)


def test_a_field_written_under_an_alias_is_left_out_too() -> None:
    class Aliased(pydantic.BaseModel):
        order_id: str = pydantic.Field(alias="orderId")
        note: str = pydantic.Field("", alias="customerNote")

    codec = codec_of(Aliased, where="x")
    value = Aliased.model_validate({"orderId": "o"})

    assert codec.encode(value) == b'{"customerNote":"","orderId":"o"}'
    assert codec.encode_for_address(value) == b'{"orderId":"o"}'


def test_tags_and_places_stand_in_the_address() -> None:
    class Cat(msgspec.Struct, tag=True):
        lives: int = 9

    class Line(msgspec.Struct, array_like=True, tag=True):
        kind: str = "x"
        cats: list[Cat] = []

    codec = codec_of(Line, where="x", localns=locals())

    assert codec.encode_for_address(Line("x", [Cat()])) == b'["Line","x",[{"type":"Cat"}]]'
