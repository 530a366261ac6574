"""What a schema surely refuses, and what is left to the worker."""

from typing import Any

import hypothesis
import hypothesis.strategies as st
import msgspec
import pytest

from aiki.errors import NotSerializable
from aiki.model.payload import path_text
from aiki.sdk.serial import codec_of
from aiki.server.fitting import STEPS_MAX, misfit
from tests.sdk import serial_shop as shop

ITEM = {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"], "additionalProperties": False}
ORDER = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": {"$ref": "#/$defs/Item"}}, "note": {"type": ["string", "null"]}},
    "$defs": {"Item": ITEM},
}


@pytest.mark.parametrize(
    ("schema", "value", "path", "reason"),
    [
        ({"type": "string"}, 1, "$", "it is an integer, and must be a string"),
        ({"type": "integer"}, True, "$", "it is a boolean, and must be an integer"),
        ({"type": "integer"}, 1.5, "$", "it is a number, and must be an integer"),
        ({"type": ["string", "null"]}, [], "$", "it is an array, and must be a string or null"),
        ({"enum": ["a", "b"]}, "c", "$", "it is a string, and must be one of 'a', 'b'"),
        ({"enum": [1]}, True, "$", "it is a boolean, and must be one of 1"),
        ({"const": None}, 0, "$", "it is an integer, and must be None"),
        ({"minimum": 3}, 2, "$", "it is less than 3"),
        ({"exclusiveMaximum": 3}, 3, "$", "it is not less than 3"),
        ({"maxLength": 2}, "abc", "$", "it has more characters than 2"),
        ({"minItems": 1}, [], "$", "it has fewer items than 1"),
        ({"maxProperties": 0}, {"a": 1}, "$", "it has more names than 0"),
        (ORDER, {"items": [{"sku": "a"}, {}]}, "$.items[1].sku", "it is missing"),
        (ORDER, {"items": [{"sku": "a", "n": 1}]}, "$.items[0].n", "it is unknown: what may stand there is 'sku'"),
        (ORDER, {"note": 5}, "$.note", "it is an integer, and must be a string or null"),
        ({"additionalProperties": {"type": "integer"}}, {"a": "b"}, "$.a", "it is a string, and must be an integer"),
        ({"propertyNames": {"enum": ["a"]}}, {"b": 1}, "$.b", "it is a string, and must be one of 'a'"),
        ({"prefixItems": [{"type": "string"}], "items": False}, ["a", 1], "$", "it has 2 items, and may have 1"),
        ({"prefixItems": [{"type": "string"}]}, [1], "$[0]", "it is an integer, and must be a string"),
        ({"allOf": [{}, {"type": "null"}]}, 1, "$", "it is an integer, and must be null"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 1, "$", "it is an integer, and must be a string or null"),
        ({"anyOf": [ITEM, {"type": "null"}]}, {"sku": 1}, "$.sku", "it is an integer, and must be a string"),
        ({"oneOf": [{"const": 1}, {"const": 2}]}, 3, "$", "it is an integer, and must be 1 or 2"),
        (False, 1, "$", "nothing may stand here"),
    ],
)
def test_what_does_not_fit_is_said_with_its_place(schema: Any, value: Any, path: str, reason: str) -> None:
    found = misfit(schema, value)

    assert found is not None
    assert (path_text(found.path), found.reason) == (path, reason)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "number"}, 1),
        ({"type": "integer"}, 1.0),
        ({"minimum": 3}, "text"),
        ({"required": ["a"]}, ["no object"]),
        ({"properties": {"a": False}, "patternProperties": {"^x": {}}, "additionalProperties": False}, {"x1": 1}),
        (ORDER, {"items": [{"sku": "a"}], "other": 1}),
        ({"oneOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "time"}]}, "12:00"),
        ({"pattern": "(a+)+$"}, "a" * 100 + "b"),  # a regular expression of somebody else's is not run
        ({"$ref": "https://elsewhere.example/schema"}, 1),
        ({"$ref": "#/$defs/nowhere"}, 1),
    ],
)
def test_what_is_not_surely_wrong_passes(schema: Any, value: Any) -> None:
    assert misfit(schema, value) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"type": 5, "enum": 1, "properties": [], "required": "a", "items": 7, "anyOf": {}, "minimum": "x", "$ref": 1},
        {"type": ["string", "frob"]},
        ["no", "schema"],
        None,
    ],
)
@pytest.mark.parametrize("value", [1, {"a": [1]}, [[]]])
def test_a_schema_that_makes_no_sense_refuses_nothing_and_ends(schema: Any, value: Any) -> None:
    assert misfit(schema, value) is None


def test_a_schema_that_branches_without_end_is_given_up_in_bounded_time() -> None:
    levels = {f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(60)}

    assert misfit({"$defs": {**levels, "a60": {"type": "string"}}, "$ref": "#/$defs/a0"}, 1) is None


def test_a_large_value_is_judged_as_far_as_the_bound() -> None:
    schema = {"items": {"type": "integer"}}

    assert misfit(schema, [*range(100), "x"]) is not None
    assert misfit(schema, [*range(STEPS_MAX), "x"]) is None


@pytest.mark.parametrize(
    "kind",
    [
        shop.Order,
        shop.AttrsOrder,
        shop.StructOrder,
        shop.TypedOrder,
        shop.Point,
        shop.Size,
        shop.Level,
        list[shop.Order | None],
        dict[int, shop.Order],
        tuple[int, str, shop.Item],
        set[shop.Level],
        shop.PydanticOrder,
        shop.PydanticBox[shop.Order],
        shop.Aliased,
        shop.WrittenOtherwise,
        shop.EpochEvent,
        shop.Mixed,
    ],
)
@hypothesis.given(made=st.data())
@hypothesis.settings(max_examples=30, derandomize=True, database=None, deadline=None)
def test_whatever_a_type_holds_fits_its_own_schema(kind: Any, made: st.DataObject) -> None:
    codec = codec_of(kind, where="here")
    raw = codec.encode(made.draw(st.from_type(kind).filter(lambda value: _is_storable(codec, value))))

    assert misfit(codec.schema(), msgspec.json.decode(raw)) is None


def _is_storable(codec: Any, value: Any) -> bool:
    try:
        codec.encode(value)
    except NotSerializable:
        return False
    return True
