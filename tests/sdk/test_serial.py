"""Codecs: what hints carry, what they refuse and where, and bytes that follow from values alone."""

import datetime as dt
import decimal
import ipaddress
import os
import pathlib
import subprocess
import sys
import textwrap
import typing
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypeAliasType

from aiki.errors import InvalidInput
from aiki.model import payload
from aiki.sdk.serial import ANY, TypeCodec, codec_of
from tests.sdk.serial_shop import (
    Alias,
    Aliased,
    AttrsOrder,
    Box,
    Cat,
    Dog,
    EpochEvent,
    Item,
    Left,
    Level,
    Mixed,
    Numbers,
    Order,
    OrderId,
    Point,
    PydanticBox,
    PydanticDataclass,
    PydanticItem,
    PydanticOrder,
    Right,
    Size,
    StructOrder,
    T,
    Tree,
    TypedMixed,
    TypedOrder,
    WrittenOtherwise,
)

UTC = dt.UTC


def codec(hint: Any) -> TypeCodec[Any]:
    return codec_of(hint, where="parameter `x` of shop.charge")


ROUND_TRIPS: list[tuple[Any, Any, str]] = [
    (None, None, "null"),
    (bool, True, "true"),
    (int, 5, "5"),
    (float, 1.5, "1.5"),
    (str, "ü", '"ü"'),
    (bytes, b"\x00\xff", '"AP8="'),
    (decimal.Decimal, decimal.Decimal("1.10"), '"1.10"'),
    (uuid.UUID, uuid.UUID(int=7), '"00000000-0000-0000-0000-000000000007"'),
    (dt.datetime, dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), '"2026-01-02T03:04:05Z"'),
    (dt.datetime, dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=None), '"2026-01-02T03:04:05"'),  # noqa: DTZ001 - naive
    (dt.date, dt.date(2026, 1, 2), '"2026-01-02"'),
    (dt.timedelta, dt.timedelta(days=1, seconds=2), '"P1DT2S"'),
    (Size, Size.LARGE, '"large"'),
    (Level, Level.HIGH, "2"),
    (Literal["a", "b"], "a", '"a"'),
    (int | None, None, "null"),
    (typing.Union[int, str], "x", '"x"'),  # noqa: UP007 - the old way of writing it
    (OrderId, OrderId("o-1"), '"o-1"'),
    (list[Item], [Item("a"), Item("b", 2.0)], '[{"price":1.0,"sku":"a"},{"price":2.0,"sku":"b"}]'),
    (dict[str, Order], {"k": Order("o-1")}, '{"k":{"items":[],"note":null,"order_id":"o-1"}}'),
    (dict[int, str], {10: "a", 9: "b"}, '{"10":"a","9":"b"}'),
    (dict[Size, int], {Size.SMALL: 1}, '{"small":1}'),
    (dict[dt.date, int], {dt.date(2026, 1, 2): 1}, '{"2026-01-02":1}'),
    (Mapping[str, int], {"a": 1}, '{"a":1}'),
    (Sequence[int], [1, 2], "[1,2]"),
    (tuple[int, str], (1, "a"), '[1,"a"]'),
    (tuple[int, ...], (1, 2, 3), "[1,2,3]"),
    (set[int], {10, 9, 100}, "[10,100,9]"),
    (frozenset[Size], frozenset(Size), '["large","small"]'),
    (set[Item], {Item("b"), Item("a")}, '[{"price":1.0,"sku":"a"},{"price":1.0,"sku":"b"}]'),
    (set[frozenset[int]], {frozenset({2, 1}), frozenset({3})}, "[[1,2],[3]]"),
    (Order, Order("o-1", [Item("a")], "n"), '{"items":[{"price":1.0,"sku":"a"}],"note":"n","order_id":"o-1"}'),
    (AttrsOrder, AttrsOrder("o-1"), '{"items":[],"order_id":"o-1","size":"small"}'),
    (StructOrder, StructOrder("o-1"), '{"allItems":[],"orderId":"o-1"}'),
    (TypedOrder, {"order_id": "o-1"}, '{"order_id":"o-1"}'),
    (Point, Point(1), "[1,0]"),
    (Cat | Dog, Dog(["sit"]), '{"tricks":["sit"],"type":"Dog"}'),
    (Box[Order], Box(Order("o-1")), '{"content":{"items":[],"note":null,"order_id":"o-1"}}'),
    (Tree, Tree("a", [Tree("b")]), '{"children":[{"children":[],"name":"b"}],"name":"a"}'),
    (Alias, {"k": [Item("a")]}, '{"k":[{"price":1.0,"sku":"a"}]}'),
    (Annotated[int, msgspec.Meta(ge=0)], 3, "3"),
    (Any, {"a": [1, None, {"b": 1.5}]}, '{"a":[1,null,{"b":1.5}]}'),
    (object, [1, "a"], '[1,"a"]'),
    (dict[str, object], {"a": {"b": 1}}, '{"a":{"b":1}}'),
    (list, [1, "a"], '[1,"a"]'),
    # by pydantic
    (PydanticOrder, PydanticOrder(order_id="o-1"), '{"items":[],"order_id":"o-1","placed":null}'),
    (list[PydanticItem], [PydanticItem(sku="a")], '[{"price":1.0,"sku":"a"}]'),
    (PydanticItem | None, None, "null"),
    (PydanticItem | PydanticOrder, PydanticItem(sku="a"), '{"price":1.0,"sku":"a"}'),
    (PydanticBox[Item], PydanticBox[Item](content=Item("a")), '{"content":{"price":1.0,"sku":"a"}}'),
    (dict[int, PydanticItem], {2: PydanticItem(sku="a")}, '{"2":{"price":1.0,"sku":"a"}}'),
    (
        Mixed,
        Mixed(PydanticOrder(order_id="o-1"), {"b", "a", "c"}),
        '{"order":{"items":[],"order_id":"o-1","placed":null},"tags":["a","b","c"]}',
    ),
    (
        TypedMixed,
        {"orders": {"k": PydanticOrder(order_id="o-1")}},
        '{"orders":{"k":{"items":[],"order_id":"o-1","placed":null}}}',
    ),
    (PydanticDataclass, PydanticDataclass(3), '{"count":3,"size":"large"}'),
    (Left | Right, Right("r"), '{"right":"r"}'),
    (list[Left | Right], [Left(1), Right("r")], '[{"left":1},{"right":"r"}]'),
    (Annotated[int, pydantic.Field(gt=0)], 3, "3"),
    (pydantic.AnyUrl, pydantic.AnyUrl("http://a/"), '"http://a/"'),
    (pathlib.Path, pathlib.Path("/a/b"), '"/a/b"'),
    (ipaddress.IPv4Address, ipaddress.IPv4Address("1.2.3.4"), '"1.2.3.4"'),
    (EpochEvent, EpochEvent(at=dt.datetime(2026, 1, 2, tzinfo=UTC)), '{"at":1767312000.0}'),
    (Aliased, Aliased.model_validate({"orderId": "o-1"}), '{"orderId":"o-1"}'),
    (WrittenOtherwise, WrittenOtherwise.model_validate({"number": 3}), '{"count":3}'),
    (Numbers, Numbers([1, 2]), "[1,2]"),
]


@pytest.mark.parametrize(("hint", "value", "text"), ROUND_TRIPS, ids=[str(case[0])[:60] for case in ROUND_TRIPS])
def test_a_value_comes_back_as_its_type_from_canonical_json(hint: Any, value: Any, text: str) -> None:
    raw = codec(hint).encode(value)
    back = codec(hint).decode(raw)

    assert raw.decode() == text
    assert payload.is_canonical(raw)
    assert back == value
    assert type(back) is type(value)
    assert codec(hint).encode(back) == raw


STORABLE_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ITEMS = st.builds(Item, STORABLE_TEXT, FLOATS)
PYDANTIC_ITEMS = st.builds(PydanticItem, sku=STORABLE_TEXT, price=FLOATS)


@given(
    st.builds(Order, STORABLE_TEXT, st.lists(ITEMS, max_size=4), st.none() | STORABLE_TEXT)
    | st.builds(StructOrder, STORABLE_TEXT, st.lists(ITEMS, max_size=4))
    | st.builds(AttrsOrder, STORABLE_TEXT, st.lists(ITEMS, max_size=4), st.sampled_from(Size))
    | st.builds(
        PydanticOrder,
        order_id=STORABLE_TEXT,
        items=st.lists(PYDANTIC_ITEMS, max_size=4),
        placed=st.none() | st.datetimes(timezones=st.just(UTC)),
    )
    | st.builds(Mixed, st.builds(PydanticOrder, order_id=STORABLE_TEXT), st.sets(STORABLE_TEXT, max_size=5))
    | st.builds(Box, st.integers(-(2**63), 2**63 - 1))
)
def test_whatever_models_hold_comes_back_and_its_bytes_do_not_depend_on_the_way(value: Any) -> None:
    hint = Box[int] if isinstance(value, Box) else type(value)
    raw = codec(hint).encode(value)

    payload.check(raw, limit_bytes=payload.PAYLOAD_BYTES_MAX, what="it")
    assert payload.is_canonical(raw)
    assert codec(hint).decode(raw) == value
    assert codec(hint).encode_for_address(codec(hint).decode(raw)) == codec(hint).encode_for_address(value)


@given(st.sets(st.integers() | STORABLE_TEXT, max_size=8))
def test_a_set_has_one_form_whatever_it_holds(members: set[int | str]) -> None:
    small = {m for m in members if isinstance(m, str) or abs(m) < 2**63}

    assert codec(set[int | str]).encode(small) == ANY.encode(small)
    assert codec(set[int | str]).decode(ANY.encode(small)) == small


# ----------------------------------------------------------------------------------------------------------- mismatches


MISMATCHES: list[tuple[Any, str, str]] = [
    (None, "5", "$"),
    (int, '"5"', "$"),
    (int, "true", "$"),
    (int, "1.5", "$"),
    (bool, "1", "$"),
    (str, "5", "$"),
    (Size, '"huge"', "$"),
    (Literal["a"], '"b"', "$"),
    (Order, '{"items":[]}', "$"),
    (Order, '{"order_id":"o","items":[{"sku":"a"},{"sku":"b","price":"2"}]}', "$.items[1].price"),
    (dict[str, Order], '{"a":{"order_id":"o"},"b c":{"order_id":5}}', '$["b c"].order_id'),
    (dict[str, list[dict[str, int]]], '{"a":[{"x":1}],"b":[{},{"y":1,"z":"2"}]}', "$.b[1].z"),
    (Cat | Dog, '{"type":"Cow"}', "$.type"),
    (Annotated[int, msgspec.Meta(ge=0)], "-1", "$"),
    (PydanticOrder, '{"order_id":"o","items":[{"sku":"a"},{"sku":"b","price":"2"}]}', "$.items[1].price"),
    (PydanticOrder, '{"order_id":"o","items":[{}]}', "$.items[0].sku"),
    (PydanticItem | PydanticOrder, '{"sku":5}', "$.sku"),
    (dict[str, PydanticItem], '{"b c":{"sku":5}}', '$["b c"].sku'),
    (PydanticDataclass, '{"count":0}', "$.count"),
    (Left | Right, '{"left":"1"}', "$.left"),
    (EpochEvent, '{"at":"soon"}', "$.at"),
    (int, "", "$"),
    (PydanticItem, "{", "$"),
]


@pytest.mark.parametrize(("hint", "text", "path"), MISMATCHES, ids=[f"{str(c[0])[:40]} {c[1]}" for c in MISMATCHES])
def test_json_that_does_not_fit_is_refused_by_path(hint: Any, text: str, path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        codec(hint).decode(text.encode())

    assert caught.value.facts["path"] == path
    assert str(caught.value).startswith(path)


def test_a_path_begins_where_the_value_stands() -> None:
    with pytest.raises(
        InvalidInput, match=r"\$\.order\.items\[0\]\.sku does not fit .*Order: Expected `str`, got `int`"
    ):
        codec(Order).decode(b'{"order_id":"o","items":[{"sku":1}]}', at=(None, "order"))


def test_what_an_authors_class_raises_says_that_the_value_does_not_fit() -> None:
    @dataclass
    class Even:
        number: int

        def __post_init__(self) -> None:
            if self.number % 2:
                raise KeyError("odd")

    with pytest.raises(InvalidInput, match="KeyError: 'odd'"):
        codec(Even).decode(b'{"number":3}')


# ---------------------------------------------------------------------------------------------------------------- hints


class Courier:
    """No library knows it."""


class HoldsPydantic(msgspec.Struct):
    item: PydanticItem


class Account(pydantic.BaseModel):
    password: pydantic.SecretStr


@pytest.mark.parametrize(
    ("hint", "reason"),
    [
        (Courier, "Courier"),
        (list[Courier], "Courier"),
        (HoldsPydantic, "HoldsPydantic"),
        (list[typing.Callable[[], int]], "no data"),
        (typing.Iterable[int], r"list\[\.\.\.\]"),
        (Account, "asterisks"),
    ],
)
def test_a_hint_that_no_library_takes_is_a_type_error_with_place_hint_and_cure(hint: Any, reason: str) -> None:
    with pytest.raises(TypeError, match=reason) as caught:
        codec(hint)

    assert str(caught.value).startswith("parameter `x` of shop.charge is annotated `")
    assert "Use plain data there" in str(caught.value)


def test_equal_hints_share_a_codec() -> None:
    assert codec(list[Order]) is codec(list[Order])
    assert codec(Literal[1]) is not codec(Literal[True])


def test_nothing_comes_back_from_what_never_returns() -> None:
    assert codec(typing.NoReturn) is codec(None)


def test_aliases_are_types_also_those_of_the_type_statement() -> None:
    names: dict[str, Any] = {"T": T, "Order": Order, "PydanticItem": PydanticItem, "TypeAliasType": TypeAliasType}
    if sys.version_info >= (3, 12):
        exec("type Orders = dict[str, list[Order]]\ntype Items[T] = list[T] | None\ntype P = list[PydanticItem]", names)
    else:
        exec("Orders = TypeAliasType('Orders', dict[str, list[Order]])", names)
        exec("Items = TypeAliasType('Items', list[T] | None, type_params=(T,))", names)
        exec("P = TypeAliasType('P', list[PydanticItem])", names)

    assert codec(names["Orders"]).decode(b'{"a":[{"order_id":"o"}]}') == {"a": [Order("o")]}
    assert codec(names["Items"][int]).decode(b"[1]") == [1]
    assert codec(names["P"]).decode(b'[{"sku":"a"}]') == [PydanticItem(sku="a")]


def test_schemas_describe_what_is_decoded() -> None:
    assert codec(Order).schema()["$defs"]["Item"]["properties"]["price"] == {"type": "number", "default": 1.0}
    assert codec(PydanticOrder).schema()["properties"]["items"]["items"] == {"$ref": "#/$defs/PydanticItem"}
    assert codec(Aliased).schema()["required"] == ["orderId"]
    assert codec(WrittenOtherwise).schema()["required"] == ["count"]
    assert codec(dict[str, object]).schema() == {
        "type": "object",
        "additionalProperties": {"description": "Any JSON value."},
    }
    assert codec(None).schema() == {"type": "null"}
    assert ANY.schema() == {}


# ------------------------------------------------------------------------------------------------- in another interpreter


def run_python(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_hashes_do_not_depend_on_the_hash_seed() -> None:
    program = """
        import dataclasses, enum, pydantic
        from typing import Any
        from aiki.model import payload
        from aiki.sdk.serial import codec_of

        class Kind(enum.Enum):
            A = "a"; B = "b"; C = "c"

        @dataclasses.dataclass(frozen=True)
        class Tag:
            name: str

        class Model(pydantic.BaseModel):
            tags: set[str]
            nested: dict[str, frozenset[str]] = {}
            anything: Any = None

        letters = set("abcdefghij")
        values = [
            (set[str], letters), (set[Tag], {Tag(n) for n in letters}), (set[Kind], set(Kind)),
            (set[frozenset[str]], {frozenset({n, n + n}) for n in letters}), (Any, {"a": letters, 1: letters}),
            (set[tuple[str, frozenset[str]]], {(n, frozenset(letters)) for n in letters}),
            (Model, Model(tags=letters, nested={"a": frozenset(letters)}, anything=[letters])),
            (list[str], letters), (dict[str, Any], {"a": Model(tags=letters)}),
        ]
        for hint, value in values:
            codec = codec_of(hint, where="x")
            print(payload.hash_of(codec.encode(value)), payload.hash_of(codec.encode_for_address(value)))
    """
    answers = {run_python(program, PYTHONHASHSEED=str(seed)) for seed in (0, 1, 7, 4242)}

    assert len(answers) == 1


def test_without_pydantic_all_else_works_and_what_needs_it_says_so() -> None:
    program = """
        import sys, dataclasses

        class Refusing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "pydantic":
                    raise ModuleNotFoundError(name)

        sys.meta_path.insert(0, Refusing())
        from aiki.sdk.serial import codec_of

        @dataclasses.dataclass
        class Left:
            left: int

        @dataclasses.dataclass
        class Right:
            right: int

        assert codec_of(Left, where="x").decode(b'{"left":1}') == Left(1)
        try:
            codec_of(Left | Right, where="parameter `x` of shop.charge")
        except TypeError as error:
            print(error)
    """
    message = run_python(program)

    assert "parameter `x` of shop.charge" in message
    assert "pydantic may take it, and is not installed: pip install pydantic" in message


def test_pydantic_is_not_imported_for_those_who_do_not_use_it() -> None:
    program = """
        import sys, dataclasses
        from aiki.sdk.signature import CallShape

        def charge(order_id: str, items: list[int], when: float = 0) -> dict[str, int]: ...

        shape = CallShape(charge)
        shape.resolve()
        shape.decode_args(shape.encode_args(("o", [1]), {}).payload)
        print([name for name in sys.modules if name.startswith("pydantic")])
    """
    assert run_python(program) == "[]"
