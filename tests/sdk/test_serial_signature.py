"""Calls as JSON objects: what was passed, what is refused, and hints resolved with the names of their definer."""

from __future__ import annotations

import functools
import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypedDict, Unpack

from aiki.errors import InvalidInput, NotSerializable, PayloadTooLarge
from aiki.model import payload
from aiki.sdk.signature import CallShape, locals_of


@dataclass
class Item:
    sku: str
    price: float = 1.0


@dataclass
class Order:
    order_id: str
    items: list[Item] = field(default_factory=list)


class Guest(pydantic.BaseModel):
    name: str
    vip: bool = False


class Options(TypedDict, total=False):
    gift: bool
    note: str


class Run:
    """Stands for the first parameter of a workflow, which no library could encode."""


def charge(order: Order, amount: int = 10, *, currency: str = "EUR") -> bool:
    return True


def greet(guest: Guest, *names: str, polite: bool = True, **extras: int) -> str:
    return ""


def position(a: int, b: int = 2, /, c: int = 3) -> None: ...
def loose(first, second=None): ...  # type: ignore[no-untyped-def]  # as many authors write it
def gift(order_id: str, **options: Unpack[Options]) -> None: ...
async def workflow(run: Run, order: Order, guest: Guest | None = None) -> dict[str, str]:
    return {}


# -------------------------------------------------------------------------------------------------------------- calls


CALLS: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], str]] = [
    (charge, (Order("o"),), {}, '{"order":{"items":[],"order_id":"o"}}'),
    (charge, (Order("o"), 5), {"currency": "USD"}, '{"amount":5,"currency":"USD","order":{"items":[],"order_id":"o"}}'),
    (charge, (), {"amount": 5, "order": Order("o")}, '{"amount":5,"order":{"items":[],"order_id":"o"}}'),
    (greet, (Guest(name="Ada"),), {}, '{"guest":{"name":"Ada","vip":false}}'),
    (
        greet,
        (Guest(name="Ada"), "b", "a"),
        {"polite": False, "z": 1, "guests": 2},
        '{"extras":{"guests":2,"z":1},"guest":{"name":"Ada","vip":false},"names":["b","a"],"polite":false}',
    ),
    (position, (1,), {}, '{"a":1}'),
    (position, (1, 2), {"c": 4}, '{"a":1,"b":2,"c":4}'),
    (loose, ([1, {"a": None}],), {}, '{"first":[1,{"a":null}]}'),
    (gift, ("o",), {"gift": True}, '{"options":{"gift":true},"order_id":"o"}'),
]


@pytest.mark.parametrize(("fn", "args", "kwargs", "text"), CALLS)
def test_a_call_becomes_an_object_of_what_was_passed_and_comes_back(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], text: str
) -> None:
    shape = CallShape(fn)
    encoded = shape.encode_args(args, kwargs)
    back_args, back_kwargs = shape.decode_args(encoded.payload)

    assert encoded.payload.decode() == text
    assert payload.is_canonical(encoded.payload)
    shape.encode_args(back_args, back_kwargs)
    assert shape._signature.bind(*back_args, **back_kwargs) == shape._signature.bind(*args, **kwargs)


@given(
    st.lists(st.integers(0, 9), max_size=5).map(tuple),
    st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e", "x"]), st.integers(0, 9), max_size=4),
)
def test_arguments_are_bound_as_python_binds_them(args: tuple[int, ...], kwargs: dict[str, int]) -> None:
    def plain(a: int, b: int = 1, *, d: int, e: int = 5) -> None: ...
    def mixed(a: int, /, b: int, *c: int, d: int = 4, **e: int) -> None: ...

    for fn in (plain, mixed):
        shape = CallShape(fn)
        try:
            fn(*args, **kwargs)
        except TypeError:
            with pytest.raises(TypeError, match=fn.__name__):
                shape.encode_args(args, kwargs)
        else:
            decoded = shape.decode_args(shape.encode_args(args, kwargs).payload)
            assert shape._signature.bind(*decoded[0], **decoded[1]) == shape._signature.bind(*args, **kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs", "reason"),
    [
        ((), {}, "missing a required argument: 'order'"),
        ((Order("o"), 1, 2), {}, "too many positional arguments"),
        ((Order("o"),), {"order": Order("o")}, "multiple values for argument 'order'"),
        ((Order("o"),), {"amout": 5}, "got an unexpected keyword argument 'amout'"),
    ],
)
def test_a_wrong_call_is_the_type_error_of_a_wrong_call(
    args: tuple[Any, ...], kwargs: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TypeError, match=reason) as caught:
        CallShape(charge).encode_args(args, kwargs)

    assert str(caught.value).startswith(f"{__name__}.charge(): ")


def test_the_parameter_for_the_run_is_left_out_and_its_hint_never_asked_for() -> None:
    def locally(run: NoSuchName, order_id: str) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    shape = CallShape(locally, skip_first=True)
    shape.resolve()

    assert shape.names == ("order_id",)
    assert shape.encode_args(("o",), {}).payload == b'{"order_id":"o"}'
    assert CallShape(workflow, skip_first=True).decode_args(b'{"order":{"order_id":"o"}}') == ((Order("o"),), {})


def test_a_workflow_without_a_parameter_for_the_run_is_refused_at_once() -> None:
    def forgotten() -> None: ...

    with pytest.raises(TypeError, match=r"forgotten takes no parameter for the run. Write: forgotten\(run: Run, ...\)"):
        CallShape(forgotten, skip_first=True)


def test_a_decorated_function_is_called_as_the_one_under_the_decorator() -> None:
    @functools.wraps(charge)
    def decorated(*args: Any, **kwargs: Any) -> Any: ...

    assert CallShape(decorated).encode_args((Order("o"), 3), {}) == CallShape(charge).encode_args((Order("o"), 3), {})
    assert CallShape(functools.partial(charge, currency="USD")).decode_args(b'{"order":{"order_id":"o"}}')[0] == (
        Order("o"),
    )


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("[]", "$", "must be an object by parameter name: 'order', 'amount', 'currency'"),
        ("", "$", "must be an object"),
        ("{}", "$.order", "needs 'order'; it has 'order', 'amount', 'currency'"),
        ('{"order":{"order_id":"o"},"amout":1}', "$.amout", "has no parameter 'amout'; it has 'order', 'amount'"),
        ('{"order":{"order_id":"o"},"amount":"1"}', "$.amount", "Expected `int`, got `str`"),
        ('{"order":{"order_id":"o","items":[{"sku":"a"},{"sku":2}]}}', "$.order.items[1].sku", "Expected `str`"),
    ],
)
def test_an_object_that_does_not_fit_is_refused_by_parameter_and_path(text: str, path: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason.replace("(", r"\(")) as caught:
        CallShape(charge).decode_args(text.encode())

    assert caught.value.facts["path"] == path


def test_by_position_only_means_that_nothing_before_it_is_left_out() -> None:
    def optional(a: int = 1, b: int = 2, /) -> None: ...

    with pytest.raises(InvalidInput, match="by position only"):
        CallShape(optional).decode_args(b'{"b":3}')


@pytest.mark.parametrize(
    ("args", "kind", "path"),
    [
        ((Order("a\0"),), "str", "$.order.order_id"),
        ((Order("o", [Item("a", float("nan"))]),), "float", "$.order.items[0].price"),
        ((Order("o"), 2**64), "int", "$.amount"),
        ((Run(),), f"{__name__}.Run", "$.order"),
    ],
)
def test_an_argument_that_cannot_be_stored_is_refused_by_parameter_and_path(
    args: tuple[Any, ...], kind: str, path: str
) -> None:
    with pytest.raises(NotSerializable) as caught:
        CallShape(charge).encode_args(args, {})

    assert caught.value.facts == {"type": kind, "path": path}


def test_the_object_around_the_arguments_is_a_level_too() -> None:
    def deep(levels: int) -> Any:
        value: Any = "x"
        for _ in range(levels):
            value = [value]
        return value

    CallShape(loose).encode_args((deep(63),), {})
    with pytest.raises(NotSerializable, match="deeper than 64 levels"):
        CallShape(loose).encode_args((deep(64),), {})


def test_arguments_that_are_too_large_together_are_refused_by_name() -> None:
    with pytest.raises(PayloadTooLarge, match=r"the arguments of .*loose has 34 bytes, and the limit is 33"):
        CallShape(loose).encode_args(("x" * 5, "y" * 5), {}, limit_bytes=33)
    with pytest.raises(PayloadTooLarge, match="the input of cook"):
        CallShape(loose).encode_args(("x" * 5, None), {}, limit_bytes=5, what="the input of cook")


# ---------------------------------------------------------------------------------------------------------------- hints


def test_local_classes_are_found_by_the_names_of_their_definer() -> None:
    @dataclass
    class Line:
        sku: str

    @dataclass
    class Basket:
        lines: list[Line]
        before: Basket | None = None

    class Page(msgspec.Struct):
        baskets: dict[str, Basket]

    class Cover(pydantic.BaseModel):
        basket: Basket

    @dataclass
    class Around:
        cover: Cover
        page: list[Line]

    def print_page(page: Page, around: Around | None = None) -> list[Line]:
        return []

    shape = CallShape(print_page, localns=locals_of(sys._getframe()))
    shape.resolve()
    page = Page({"a": Basket([Line("s")], Basket([]))})
    around = Around(Cover(basket=Basket([Line("t")])), [Line("u")])

    assert shape.decode_args(shape.encode_args((page, around), {}).payload) == ((page, around), {})
    assert shape.returns.decode(b'[{"sku":"s"}]') == [Line("s")]


def test_the_names_kept_of_a_definer_are_types_and_modules_only() -> None:
    connection = object()
    number = 7
    Alias = list[int]  # noqa: N806 - a type

    kept = locals_of(sys._getframe())

    assert (connection, number, Alias) is not None
    assert kept == {"Alias": list[int]}


def test_hints_are_resolved_on_first_use_and_not_before() -> None:
    namespace: dict[str, Any] = {"__name__": "shop"}
    exec(
        "from __future__ import annotations\ndef cook(dish: Dish) -> Dish: ...\n",
        namespace,
    )
    shape = CallShape(namespace["cook"])
    namespace["Dish"] = Order

    assert shape.decode_args(b'{"dish":{"order_id":"o"}}') == ((Order("o"),), {})


def unresolved(order: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821 - that is the test
def unresolved_result(order: str) -> list[Missing]: ...  # type: ignore[name-defined, empty-body]  # noqa: F821 - that is the test
def no_type(order): ...  # type: ignore[no-untyped-def]  # annotated just below


no_type.__annotations__ = {"order": "1 +"}


def no_data(connection: typing.IO[bytes]) -> None: ...
def no_result() -> Run:
    return Run()


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (
            unresolved,
            r"parameter `order` of .*unresolved is annotated `Missing`, and name 'Missing' is not defined. Define",
        ),
        (unresolved_result, r"the result of .*unresolved_result is annotated `list\[Missing\]`, and name 'Missing'"),
        (no_type, r"parameter `order` of .*no_type is annotated `.*1 \+.*`, which is no type"),
        (no_data, r"parameter `connection` of .*no_data is annotated `.*IO\[bytes\]`, .* made inside the task"),
        (no_result, r"the result of .*no_result is annotated `.*Run`, and such a value cannot be carried"),
    ],
)
def test_resolving_names_place_hint_and_cure(fn: Callable[..., Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        CallShape(fn).resolve()


# -------------------------------------------------------------------------------------------------------------- schemas


def test_the_schema_of_the_input_is_an_object_by_parameter_name() -> None:
    schema = CallShape(workflow, skip_first=True).input_schema()

    assert schema["type"] == "object"
    assert schema["required"] == ["order"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["order"] == {"$ref": "#/$defs/Order"}
    assert schema["$defs"].keys() == {"Order", "Item", "Guest"}
    assert CallShape(workflow, skip_first=True).output_schema() == {
        "type": "object",
        "additionalProperties": {"type": "string"},
    }


def test_many_and_named_extras_are_a_list_and_an_object() -> None:
    properties = CallShape(greet).input_schema()["properties"]

    assert properties["names"] == {"type": "array", "items": {"type": "string"}}
    assert properties["extras"] == {"type": "object", "additionalProperties": {"type": "integer"}}


def test_two_classes_of_one_name_keep_their_own_definitions() -> None:
    def other_order() -> Any:
        @dataclass
        class Order:
            number: int

        return Order

    def both(old: Any, new: Any) -> None: ...

    both.__annotations__ = {"old": list[Order], "new": list[other_order()], "return": None}  # type: ignore[misc]
    schema = CallShape(both).input_schema()
    definitions = schema["$defs"]

    assert schema["properties"]["old"]["items"] == {"$ref": "#/$defs/Order"}
    assert schema["properties"]["new"]["items"] == {"$ref": "#/$defs/Order_2"}
    assert definitions["Order"]["properties"]["items"]["items"] == {"$ref": "#/$defs/Item"}
    assert definitions["Order_2"]["properties"].keys() == {"number"}
