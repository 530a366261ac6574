"""Payloads: what can be stored, what is refused and where it stands, and hashes that mean the same everywhere."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiki.errors import InvalidInput, NotSerializable, PayloadTooLarge
from aiki.model import payload

KIB = 1024


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


def holding_itself() -> Any:
    value: list[Any] = [1]
    value.append({"again": value})
    return value


class Courier:
    """A class of an author that no library can encode."""


STORABLE_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(payload.INTEGER_MIN, payload.INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | STORABLE_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(STORABLE_TEXT, inner),
    max_leaves=30,
)


# ------------------------------------------------------------------------------------------------------------- encode


@given(JSON)
def test_what_is_encoded_passes_the_check_comes_back_the_same_and_is_canonical(value: Any) -> None:
    raw = payload.encode(value)

    payload.check(raw, limit_bytes=payload.PAYLOAD_BYTES_MAX, what="it")
    assert json.loads(raw) == value
    assert payload.is_canonical(raw)


@given(st.dictionaries(STORABLE_TEXT, st.integers(0, 9), min_size=2))
def test_the_order_of_keys_changes_neither_bytes_nor_hash(value: dict[str, int]) -> None:
    turned = dict(reversed(value.items()))

    assert payload.encode(turned) == payload.encode(value)
    assert payload.hash_of(json.dumps(turned, indent=2).encode()) == payload.hash_of(payload.encode(value))


def test_keys_that_have_a_form_in_json_become_strings_and_are_sorted_as_strings() -> None:
    assert payload.encode({10: "a", 9: "b"}) == b'{"10":"a","9":"b"}'
    assert payload.encode([{"b": {2: {"y", 1}}}]) == b'[{"b":{"2":["y",1]}}]'


@pytest.mark.parametrize("levels", [1, 2, payload.DEPTH_MAX])
def test_sixty_four_levels_are_stored(levels: int) -> None:
    raw = payload.encode(nested(levels))

    payload.check(raw, limit_bytes=KIB, what="it")
    assert raw == b"[" * levels + b"]" * levels


def test_many_brackets_side_by_side_or_in_strings_are_not_depth() -> None:
    value = [[{}] * 100, "[" * 500, '"' + "{" * 500, "\\"]
    raw = payload.encode(value)

    payload.check(raw, limit_bytes=10 * KIB, what="it")
    assert json.loads(raw) == value


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 0.1, 1e300, 12345678901234567890.5, -0.0])
def test_numbers_that_everyone_can_read_are_stored(number: float) -> None:
    raw = payload.encode({"n": number, "nothing": None})

    payload.check(raw, limit_bytes=KIB, what="it")
    assert json.loads(raw)["n"] == number


REFUSED_VALUES: list[tuple[str, Any, str, str]] = [
    ("NUL in a string", {"order": {"note": "a\0b"}}, "str", "$.order.note"),
    ("NUL in a key", {"order": {"a\0": 1}}, "str", '$.order["a\\u0000"]'),
    ("NaN", {"order": {"items": [{"price": 1.0}, {"price": float("nan")}]}}, "float", "$.order.items[1].price"),
    ("infinity", [1, float("-inf")], "float", "$[1]"),
    ("lone surrogate", {"a b": ["\ud800"]}, "str", '$["a b"][0]'),
    ("lone surrogate in a key", {"\udfff": 1}, "str", '$["\\udfff"]'),
    ("large integer", {"n": [2**63]}, "int", "$.n[0]"),
    ("large negative integer", {"n": -(2**63) - 1}, "int", "$.n"),
    ("huge integer", 10**5000, "int", "$"),
    ("unknown class", {"a": (1, Courier())}, f"{__name__}.Courier", "$.a[1]"),
    ("bare object", [object()], "object", "$[0]"),
    ("key without a form", {"a": {(1, 2): 3}}, "tuple", '$.a["(1, 2)"]'),
    ("None as a key", {None: 3}, "NoneType", "$.None"),
    ("two keys that become one", {"a": {1: 2, "1": 3}}, "str", '$.a["1"]'),
    ("complex number", {"z": 1j}, "complex", "$.z"),
]


@pytest.mark.parametrize(
    ("value", "kind", "path"), [case[1:] for case in REFUSED_VALUES], ids=[c[0] for c in REFUSED_VALUES]
)
def test_a_value_that_cannot_be_stored_is_refused_by_type_and_path(value: Any, kind: str, path: str) -> None:
    with pytest.raises(NotSerializable) as caught:
        payload.encode(value)

    assert caught.value.facts == {"type": kind, "path": path}
    assert path in str(caught.value)


@pytest.mark.parametrize("value", [nested(65), nested(10_000), holding_itself()], ids=["65", "10,000", "itself"])
def test_a_value_without_bottom_is_refused_and_never_a_recursion_error(value: Any) -> None:
    with pytest.raises(NotSerializable, match="deeper than 64 levels") as caught:
        payload.encode(value)

    assert caught.value.facts["type"] in {"list", "dict"}
    assert len(caught.value.facts["path"]) <= payload.PATH_CHARS_MAX + 1


# -------------------------------------------------------------------------------------------------------------- check


REFUSED_BYTES: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "$"),
    ("not JSON", b"order-123", "$"),
    ("trailing garbage", b'{"a":1} 2', "$"),
    ("trailing comma", b"[1,]", "$"),
    ("byte order mark", b"\xef\xbb\xbf{}", "$"),
    ("UTF-16", '{"a":1}'.encode("utf-16"), "$"),
    ("not UTF-8", b'{"a":"\xff"}', "$"),
    ("surrogate as UTF-8", b'"\xed\xa0\x80"', "$"),
    ("raw NUL", b'"\x00"', "$"),
    ("escaped NUL", b'{"a":["\\u0000"]}', "$.a[0]"),
    ("escaped NUL in a key", b'{"a\\u0000":1}', '$["a\\u0000"]'),
    ("lone surrogate", b'{"a":{"b":"\\ud800"}}', "$.a.b"),
    ("lone low surrogate, capitals", b'["\\uDC00"]', "$[0]"),
    ("surrogate and a letter", b'["\\ud800\\u0041"]', "$[0]"),
    ("NaN", b'{"a":NaN}', "$.a"),
    ("infinity", b'{"a":[-Infinity]}', "$.a[0]"),
    ("number beyond doubles", b'{"a":[1e999]}', "$.a[0]"),
    ("number written out", b'{"a":' + b"1" * 400 + b".5}", "$.a"),
    ("integer beyond 64 bits", b"[9223372036854775808]", "$[0]"),
    ("negative integer beyond 64 bits", b"[-9223372036854775809]", "$[0]"),
    ("integer of 4000 digits", b'{"n":' + b"9" * 4000 + b"}", "$.n"),
    ("key twice", b'{"a":1,"a":2}', "$"),
    ("key twice, deep", b'{"x":[{},{"a":1,"b":2, "a":1}]}', "$.x[1]"),
    ("key twice, one escaped", b'{"a":1,"\\u0061":1}', "$"),
    ("key of colons twice, escaped", b'{"\\u003a":1,"\\u003A":"::"}', "$"),
    ("key twice, the first one's value full of keys", b'{"a":{"b":{"c":":"}},"a":1}', "$"),
    ("65 levels", b"[" * 65 + b"]" * 65, "$"),
    ("65 levels of both kinds", b'{"a":[' * 32 + b"[1]" + b"]}" * 32, "$"),
    ("levels hidden behind brackets in strings", b'["]",' * 65 + b"1" + b"]" * 65, "$"),
    ("10,000 levels", b"[" * 10_000 + b"]" * 10_000, "$"),
    ("a million open brackets", b"[" * 1_000_000, "$"),
    ("a million open objects", b'{"a":' * 200_000, "$"),
    ("an open string of brackets", b'["' + b"[" * 1_000, "$"),
]


@pytest.mark.parametrize(("raw", "path"), [case[1:] for case in REFUSED_BYTES], ids=[case[0] for case in REFUSED_BYTES])
def test_bytes_that_cannot_be_stored_are_refused_at_the_door_by_path(raw: bytes, path: str) -> None:
    with pytest.raises(InvalidInput, match="the input") as caught:
        payload.check(raw, limit_bytes=payload.PAYLOAD_BYTES_MAX, what="the input")

    assert caught.value.facts["path"] == path


@pytest.mark.parametrize(
    "raw",
    [
        b' { "b" : [ 1 , 2.50 ] , "a" : null } ',
        b'{"a":"\\ud83d\\ude00 \\\\u0000 \\\\ud800"}',
        b'{"a:b":"c:d","\\u003a":":","x":{":":"\\":\\""}}',
        b'["12345678901234567890", 123456789012345678, 1234567890123456789.5]',
        b"[" * 64 + b"]" * 64,
        b'"' + b"[" * 100 + b'"',
    ],
)
def test_other_ways_of_writing_good_json_pass(raw: bytes) -> None:
    payload.check(raw, limit_bytes=KIB, what="it")


@given(value=JSON, ascii_only=st.booleans(), indent=st.sampled_from([None, 2]), escape_colons=st.booleans())
def test_however_json_is_written_it_passes_and_means_the_same(
    value: Any, *, ascii_only: bool, indent: int | None, escape_colons: bool
) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    if escape_colons and not isinstance(value, dict | list):
        raw = raw.replace(b":", b"\\u003a")

    payload.check(raw, limit_bytes=payload.PAYLOAD_BYTES_MAX, what="it")
    assert payload.canonical(raw) == payload.encode(value)
    assert payload.hash_of(raw) == payload.hash_of(payload.encode(value))


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", ":", "d"]), JSON), max_size=6))
def test_a_key_twice_is_refused_and_never_anything_else(pairs: list[tuple[str, Any]]) -> None:
    raw = "{" + ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in pairs) + "}"
    keys = [key for key, _ in pairs]

    if len(set(keys)) == len(keys):
        payload.check(raw.encode(), limit_bytes=payload.PAYLOAD_BYTES_MAX, what="it")
    else:
        with pytest.raises(InvalidInput, match="twice"):
            payload.check(raw.encode(), limit_bytes=payload.PAYLOAD_BYTES_MAX, what="it")


@given(st.binary(max_size=60))
def test_any_bytes_are_judged_without_another_error(raw: bytes) -> None:
    try:
        payload.check(raw, limit_bytes=50, what="it")
    except (InvalidInput, PayloadTooLarge):
        return
    assert len(raw) <= 50
    json.loads(raw)


def test_one_byte_over_the_limit_is_too_large_and_says_by_how_much() -> None:
    payload.check(b'"123"', limit_bytes=5, what="the output")

    with pytest.raises(PayloadTooLarge, match=r"the output has 6 bytes, and the limit is 5") as caught:
        payload.check(b'"1234"', limit_bytes=5, what="the output")

    assert caught.value.facts == {"size_bytes": 6, "limit_bytes": 5, "what": "the output"}


# ------------------------------------------------------------------------------------------------------ hashes, names


def test_a_hash_is_sha_256_of_the_canonical_form_and_an_address_its_first_half() -> None:
    raw = b'{ "b": 2, "a": 1 }'
    expected = hashlib.sha256(b'{"a":1,"b":2}').hexdigest()

    assert payload.hash_of(raw) == expected
    assert payload.digest(payload.canonical(raw)) == expected
    assert payload.address_hash(raw) == expected[:32]


@pytest.mark.parametrize("name", ["a", "charge-card", "Zahlung prüfen", "x" * 200, "注文"])
def test_a_name_of_up_to_200_characters_is_a_name(name: str) -> None:
    payload.check_name(name, "a task's name")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is empty"),
        ("x" * 201, "201 characters"),
        ("a\0", "control"),
        ("a\nb", "control"),
        ("\x7f", "control"),
        ("\x85", "control"),
        ("\ud800", "surrogate"),
        (7, "is a int"),
    ],
)
def test_what_cannot_be_a_name_is_refused_with_the_reason(name: Any, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as caught:
        payload.check_name(name, "a task's name")

    assert caught.value.facts["name"] == name
    assert str(caught.value).startswith("a task's name ")
