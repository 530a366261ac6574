"""What no codec stores: refused by type and path, without another error, and by the size that the caller sets."""

from dataclasses import dataclass
from typing import Any

import pydantic
import pytest

from aiki.errors import InvalidInput, NotSerializable, PayloadTooLarge
from aiki.sdk.serial import ANY, TypeCodec, codec_of
from tests.sdk.serial_shop import AttrsOrder, Item, Order, Point, PydanticItem, PydanticOrder, StructOrder, Tree


def codec(hint: Any) -> TypeCodec[Any]:
    return codec_of(hint, where="parameter `x` of shop.charge")


class Courier:
    """No library knows it."""


@dataclass
class Open:
    name: str
    content: Any = None


class PydanticOpen(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    name: str = ""
    content: Any = None


class Failing:
    def __init__(self, reason: str) -> None:
        self.reason = reason


REFUSED: list[tuple[Any, Any, str, str]] = [
    (Order, Order("a\0b"), "str", "$.order_id"),
    (Order, Order("o", [Item("a", float("nan"))]), "float", "$.items[0].price"),
    (StructOrder, StructOrder("o", [Item("\ud800")]), "str", "$.allItems[0].sku"),
    (AttrsOrder, AttrsOrder("o", [Item("a", float("inf"))]), "float", "$.items[0].price"),
    (dict[str, int], {"a": 2**63}, "int", "$.a"),
    (set[int], {2**70}, "int", "$[0]"),
    (Open, Open("o", {"who": [Courier()]}), f"{__name__}.Courier", "$.content.who[0]"),
    (Open, Open("o", float("nan")), "float", "$.content"),
    (Any, Open("o", PydanticOpen(content=Courier())), f"{__name__}.Courier", "$.content.content"),
    (Any, {"a": {1: 1, "1": 2}}, "str", '$.a["1"]'),
    (Any, {(1, 2): 3}, "tuple", '$["(1, 2)"]'),
    (Order, Courier(), f"{__name__}.Courier", "$"),
    (PydanticOrder, PydanticOrder(order_id="a\0b"), "str", "$.order_id"),
    (PydanticOrder, PydanticOrder.model_construct(order_id="\ud800", items=[]), "str", "$.order_id"),
    (PydanticItem, PydanticItem(sku="a", price=float("nan")), "float", "$.price"),
    (list[PydanticOpen], [PydanticOpen(), PydanticOpen(content=[Courier()])], f"{__name__}.Courier", "$[1].content[0]"),
    (PydanticOpen, PydanticOpen(content=2**64), "int", "$.content"),
    (PydanticOpen, PydanticOpen(content=b"\xff"), "bytes", "$.content"),
]


@pytest.mark.parametrize(("hint", "value", "kind", "path"), REFUSED, ids=[f"{str(c[0])[:40]}-{c[3]}" for c in REFUSED])
@pytest.mark.parametrize("encode", ["encode", "encode_for_address"])
def test_a_value_that_cannot_be_stored_is_refused_by_type_and_path(
    hint: Any, value: Any, kind: str, path: str, encode: str
) -> None:
    with pytest.raises(NotSerializable) as caught:
        getattr(codec(hint), encode)(value)

    assert caught.value.facts == {"type": kind, "path": path}


def without_bottom(kind: str) -> Any:
    match kind:
        case "tree":
            tree = Tree("root")
            tree.children.append(tree)
            return tree
        case "list":
            endless: list[Any] = []
            endless.append(endless)
            return endless
        case "deep":
            deep: list[Any] = []
            for _ in range(10_000):
                deep = [deep]
            return deep
        case _:
            model = PydanticOpen()
            model.content = {"again": model}
            return model


@pytest.mark.parametrize(
    ("hint", "kind"),
    [(Tree, "tree"), (Any, "list"), (list, "list"), (Any, "deep"), (PydanticOpen, "model"), (Any, "model")],
)
def test_a_value_without_bottom_is_refused_and_never_a_recursion_error(hint: Any, kind: str) -> None:
    with pytest.raises(NotSerializable, match="deeper than 64 levels") as caught:
        codec(hint).encode(without_bottom(kind))

    assert caught.value.facts["path"].startswith("$")


def test_a_size_limit_is_the_callers() -> None:
    with pytest.raises(PayloadTooLarge, match="the result of cook has 12 bytes, and the limit is 11"):
        codec(str).encode("x" * 10, limit_bytes=11, what="the result of cook")

    assert codec(str).encode("x" * 10, limit_bytes=12) == b'"xxxxxxxxxx"'


def test_a_value_of_another_type_than_its_hint_is_encoded_as_what_it_is_and_refused_by_the_reader() -> None:
    raw = codec(list[int]).encode({1: {"b", "a"}})

    assert raw == b'{"1":["a","b"]}'
    with pytest.raises(InvalidInput):
        codec(list[int]).decode(raw)


def test_without_annotation_models_are_encoded_and_come_back_as_dicts() -> None:
    value = {"a": Order("o"), "b": PydanticItem(sku="s"), "c": [Point(1), StructOrder("p")], "d": {2, 1}}

    assert ANY.decode(ANY.encode(value)) == {
        "a": {"order_id": "o", "items": [], "note": None},
        "b": {"sku": "s", "price": 1.0},
        "c": [[1, 0], {"orderId": "p", "allItems": []}],
        "d": [1, 2],
    }
