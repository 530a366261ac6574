"""Payloads: arguments, results, events and published values, as canonical JSON text.

The rule: a payload is bytes. It is judged once, where it is made (`encode`) or where it comes in from outside
(`check`), and from there on it is carried, stored and compared, but never decoded by the server. What passes here can
be stored by every database and read by every JSON library: no NUL, no lone surrogate, no NaN, no integer beyond 64
bits, no key twice, at most 64 levels.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

import msgspec

from aiki.errors import InvalidInput, NotSerializable, PayloadTooLarge

__all__ = [
    "ADDRESS_CHARS",
    "DEPTH_MAX",
    "INTEGER_MAX",
    "INTEGER_MIN",
    "NAME_CHARS_MAX",
    "PAYLOAD_BYTES_MAX",
    "RAW_NULL",
    "Json",
    "MembersOf",
    "Path",
    "address_hash",
    "canonical",
    "check",
    "check_name",
    "check_size",
    "digest",
    "encode",
    "has_long_number",
    "hash_of",
    "is_canonical",
    "is_suspect",
    "judge",
    "key_text",
    "numbers_fit",
    "path_text",
    "type_name",
]

Json: TypeAlias = Any
"""What JSON can say: None, bool, int, float, str, and lists and string-keyed dicts of these."""

PAYLOAD_BYTES_MAX: Final = 2 * 1024 * 1024
DEPTH_MAX: Final = 64
NAME_CHARS_MAX: Final = 200
INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**63 - 1
ADDRESS_CHARS: Final = 32
PATH_CHARS_MAX: Final = 300
PATH_KEY_CHARS_MAX: Final = 60

RAW_NULL: Final = b"null"

_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_DECODER: Final = msgspec.json.Decoder()

# Nineteen digits in a row are the least that an integer beyond 64 bits can have. Mapping each digit to "0" and looking
# for nineteen of them is two passes in C, 0.5 µs for 150 bytes; a regular expression takes 1.7.
_DIGITS_TO_ZERO: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER: Final = b"0" * 19
_BRACKETS_TO_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_ALL_BUT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SCALARS: Final = (str, int, float, type(None))
_SEVERAL: Final = (list, tuple, set, frozenset)
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

Path: TypeAlias = "tuple[Path, str | int] | None"
"""Where a value stands: its parent's path and the key or index in it; None is the root. Linked, so that a walk over
a large value builds no text unless there is something to say."""


MembersOf: TypeAlias = Callable[[object], Iterable[tuple[str, object]] | None]


class _Fault(NamedTuple):
    """What is wrong with a value, and where."""

    reason: str
    type: str
    path: str


class _KeyTwice:
    """Stands, in what `json` decoded, in the place of an object that holds a key twice."""

    def __init__(self, key: str) -> None:
        self.key = key


# ------------------------------------------------------------------------------------------------ values from inside


def encode(value: Json) -> bytes:
    """Return `value` as canonical JSON: sorted keys, no spaces, the shortest form of each number.

    Keys that are no strings become strings where they are integers, UUIDs, dates or enums of these.

    Raises:
        NotSerializable: something in `value` cannot be stored; `.type` and `.path` say what and where.

    >>> encode({"b": [1, None], "a": "ü"}).decode()
    '{"a":"ü","b":[1,null]}'
    """
    try:
        raw = _ENCODER.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):  # a key that is no string, or a fault: look closely
        judge(value)
        raw = _ENCODER.encode(_with_text_keys(value))
    if is_suspect(raw) or ((RAW_NULL in raw or has_long_number(raw)) and not numbers_fit(value)):
        judge(value)
    return raw


def is_suspect(raw: bytes) -> bool:
    """Return whether text that msgspec has just written may hold what cannot be stored, numbers apart.

    A NUL, or too much depth. A few searches in C, under 1 µs for 150 bytes; a True may be a false alarm.
    """
    return b"\\u0000" in raw or (
        raw.count(b"[") + raw.count(b"{") > DEPTH_MAX and _is_deeper_than(raw, levels=DEPTH_MAX)
    )


def has_long_number(raw: bytes) -> bool:
    """Return whether there may be an integer beyond 64 bits in `raw`: nineteen digits in a row. See `numbers_fit`."""
    return _LONG_NUMBER in raw.translate(_DIGITS_TO_ZERO)


def numbers_fit(value: Json) -> bool:
    """Return whether each number in plain JSON is finite and fits 64 bits: `judge` without paths, 15 times as fast.

    Only for what msgspec could encode: it has no bound of its own. msgspec writes NaN as null, and integers of any
    length; so text without null and without long numbers needs no such look.
    """
    stack = [value]
    while stack:
        found = stack.pop()
        if isinstance(found, str):
            continue
        if isinstance(found, dict):
            stack.extend(found.values())
        elif isinstance(found, _SEVERAL):
            stack.extend(found)
        elif (isinstance(found, float) and not math.isfinite(found)) or (
            isinstance(found, int) and not INTEGER_MIN <= found <= INTEGER_MAX
        ):
            return False
    return True


def judge(
    value: object,
    *,
    at: Path = None,
    members_of: MembersOf | None = None,
    leaf_text: Callable[[object], object] = msgspec.json.encode,
) -> None:
    """Walk `value` and raise for the first thing in it that cannot be stored; nothing deeper than 64 levels is entered.

    Args:
        at: where `value` stands in what the author knows.
        members_of: gives the named parts of an object that is encoded part by part, or None for a leaf. By default
            every object is a leaf.
        leaf_text: encodes a leaf; what it raises is the reason why the leaf cannot be stored.

    Raises:
        NotSerializable: with `.type` and `.path`.
    """
    fault = _find_fault(value, at=at, members_of=members_of or _no_members, leaf_text=leaf_text)
    if fault is not None:
        raise NotSerializable(f"{fault.path} cannot be stored: {fault.reason}", type=fault.type, path=fault.path)


def check_size(raw: bytes, *, limit_bytes: int, what: str) -> None:
    """Raise unless `raw` has at most `limit_bytes` bytes; `what` is how the message calls it.

    Raises:
        PayloadTooLarge: with `.size_bytes`, `.limit_bytes` and `.what`.
    """
    if len(raw) > limit_bytes:
        raise PayloadTooLarge(
            f"{what} has {len(raw):,} bytes, and the limit is {limit_bytes:,}. "
            "Keep large things in a store of your own and pass their address.",
            size_bytes=len(raw),
            limit_bytes=limit_bytes,
            what=what,
        )


def _with_text_keys(value: object) -> object:
    """Return judged JSON with all keys as strings, which msgspec must have to sort them, and sets as sorted lists."""
    if isinstance(value, Mapping):
        return {key_text(key): _with_text_keys(child) for key, child in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((_with_text_keys(child) for child in value), key=_ENCODER.encode)
    if isinstance(value, list | tuple):
        return [_with_text_keys(child) for child in value]
    return value


# ------------------------------------------------------------------------------------------------- bytes from outside


def check(raw: bytes, *, limit_bytes: int, what: str) -> None:
    """Judge bytes from outside: what passes can be stored, hashed, and decoded by anyone.

    The common case costs a decode and an encode by msgspec and a few searches in C; only what looks suspicious is
    walked. Depth is judged before anything recursive sees the bytes. Measured on an order of 150 bytes: 4 µs, of which
    msgspec's decode and encode are 2; with a long number in it 10, with what looks like a NUL 44; 1.2 MB take 60 ms.

    Args:
        limit_bytes: the largest size allowed.
        what: how messages call it: "the input of restaurant-order".

    Raises:
        PayloadTooLarge: it is too large; `.size_bytes`, `.limit_bytes`.
        InvalidInput: it is not JSON, or cannot be stored; `.path` says where.
    """
    check_size(raw, limit_bytes=limit_bytes, what=what)
    if raw.count(b"[") + raw.count(b"{") > DEPTH_MAX and _is_deeper_than(raw, levels=DEPTH_MAX):
        raise InvalidInput(f"{what} is nested deeper than {DEPTH_MAX} levels. Flatten it.", path="$")
    try:
        value = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse_malformed(raw, error, what=what)
    if b"\\u0000" in raw or (has_long_number(raw) and not numbers_fit(value)):
        _refuse_fault(value, what=what)
    # A key that stands twice is dropped by the decoder, and its colon with it. So where as many colons come back as
    # went in, no key stood twice: colons inside strings come back too, but for those written as \u003a.
    if b"\\u003" in raw or raw.count(b":") != _ENCODER.encode(value).count(b":"):
        _refuse_key_twice(raw, what=what)


def check_name(name: object, what: str) -> None:
    """Raise unless `name` can name a workflow, task, event or the like: 1 to 200 characters, none of them control.

    Args:
        what: how the message calls it: "a task's name".

    Raises:
        InvalidInput: with `.name`.
    """
    if not isinstance(name, str):
        reason = f"is a {type_name(type(name))}, not a string"
    elif not name:
        reason = "is empty"
    elif len(name) > NAME_CHARS_MAX:
        reason = f"has {len(name)} characters; the limit is {NAME_CHARS_MAX}"
    elif found := _CONTROL.search(name):
        reason = f"holds {found.group()!a}, a control character or half of a surrogate pair"
    else:
        return
    shown = name[:PATH_KEY_CHARS_MAX] if isinstance(name, str) else name
    raise InvalidInput(f"{what} {reason}: {shown!a}", path="$", name=name)


def _is_deeper_than(raw: bytes, *, levels: int) -> bool:
    """Whether brackets nest deeper: each pass removes exactly the innermost level, so this is linear per level."""
    brackets = _STRING.sub(b"", raw).translate(_BRACKETS_TO_ONE_KIND, b"")
    brackets = brackets.translate(None, _ALL_BUT_BRACKETS)
    for _ in range(levels):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return b"[]" in brackets or brackets.count(b"[") > levels


def _refuse_malformed(raw: bytes, error: Exception, *, what: str) -> NoReturn:
    """Say why the decoder refused. Python's own accepts lone surrogates and NaN, so it can tell where they stand."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as not_text:
        raise InvalidInput(f"{what} is not UTF-8 text: byte {not_text.start} is wrong", path="$") from error
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput(f"{what} is not JSON: {error}", path="$") from error
    _refuse_fault(value, what=what)
    raise InvalidInput(f"{what} is not JSON: {error}", path="$") from error


def _refuse_fault(value: Json, *, what: str) -> None:
    fault = _find_fault(value, at=None, members_of=_no_members, leaf_text=msgspec.json.encode)
    if fault is not None:
        raise InvalidInput(f"{what} cannot be stored: {fault.path}: {fault.reason}", path=fault.path)


def _refuse_key_twice(raw: bytes, *, what: str) -> None:
    value = json.loads(raw.decode("utf-8"), object_pairs_hook=_object_or_key_twice, parse_int=str, parse_float=str)
    stack: list[tuple[object, Path]] = [(value, None)]
    while stack:
        found, path = stack.pop()
        if isinstance(found, _KeyTwice):
            where = path_text(path)
            reason = f"{where} holds the key {json.dumps(found.key[:PATH_KEY_CHARS_MAX])} twice"
            raise InvalidInput(f"{what} cannot be stored: {reason}", path=where)
        if isinstance(found, dict):
            stack.extend((child, (path, key)) for key, child in found.items())
        elif isinstance(found, list):
            stack.extend((child, (path, index)) for index, child in enumerate(found))


def _object_or_key_twice(pairs: list[tuple[str, Any]]) -> object:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return _KeyTwice(key)
        seen.add(key)
    raise AssertionError("fewer keys than pairs, and yet no key twice")


# ---------------------------------------------------------------------------------------------------- forms and hashes


def canonical(raw: bytes) -> bytes:
    """Return checked JSON in its canonical form: what `encode` would have made of it.

    >>> canonical(b'{ "b": 1.50, "a": "A" }').decode()
    '{"a":"A","b":1.5}'
    """
    return _ENCODER.encode(_DECODER.decode(raw))


def is_canonical(raw: bytes) -> bool:
    """Return whether checked JSON is in canonical form already."""
    return canonical(raw) == raw


def hash_of(raw: bytes) -> str:
    """Return the SHA-256 of checked JSON, in hex: equal for whatever means the same, however it is written."""
    return digest(canonical(raw))


def address_hash(raw: bytes) -> str:
    """Return the part of `hash_of(raw)` that stands in a journal address: 32 hex characters, 128 bits."""
    return hash_of(raw)[:ADDRESS_CHARS]


def digest(canonical_raw: bytes) -> str:
    """Return `hash_of` for bytes that are known to be canonical, as those of `encode` are, without decoding them."""
    return hashlib.sha256(canonical_raw).hexdigest()


# ------------------------------------------------------------------------------------------------------- the close look


def _find_fault(
    value: object, *, at: Path, members_of: MembersOf, leaf_text: Callable[[object], object]
) -> _Fault | None:
    """Return the first fault in reading order. A loop, not a recursion: a value that holds itself ends at level 64."""
    stack: list[tuple[object, Path, int]] = [(value, at, 0)]
    while stack:
        found, path, depth = stack.pop()
        if isinstance(found, _SCALARS):
            reason = _fault_of_scalar(found)
            if reason is not None:
                return _Fault(reason, type_name(type(found)), path_text(path))
            continue
        if isinstance(found, Mapping):
            fault = _fault_of_keys(found, path)
            if fault is not None:
                return fault
        children = _children(found, members_of)
        if children is None:
            reason = _fault_of_leaf(found, leaf_text)
            if reason is not None:
                return _Fault(reason, type_name(type(found)), path_text(path))
        elif depth == DEPTH_MAX:
            reason = f"it is nested deeper than {DEPTH_MAX} levels, or holds itself. Flatten it."
            return _Fault(reason, type_name(type(found)), path_text(path))
        else:
            stack.extend((child, (path, part), depth + 1) for part, child in reversed(children))
    return None


def _children(found: object, members_of: MembersOf) -> list[tuple[str | int, object]] | None:
    if isinstance(found, Mapping):
        return [(key_text(key), child) for key, child in found.items()]
    if isinstance(found, _SEVERAL):
        return list(enumerate(found))
    members = members_of(found)
    return None if members is None else list(members)


def _no_members(_found: object) -> None:
    return None


def _fault_of_keys(found: Mapping[Any, Any], path: Path) -> _Fault | None:
    seen: set[str] = set()
    for key in found:
        where = path_text((path, key_text(key)))
        if isinstance(key, str):
            reason = _fault_of_text(key)
            if reason is not None:
                return _Fault(f"its key: {reason}", "str", where)
        else:
            try:
                msgspec.json.encode({key: None})
            except Exception:  # noqa: BLE001 - a key of the author's own type may raise whatever it likes
                reason = f"a key of type {type_name(type(key))} has no form in JSON. Use strings as keys."
                return _Fault(reason, type_name(type(key)), where)
        if (text := key_text(key)) in seen:
            return _Fault("two keys of the dict are one and the same in JSON", type_name(type(key)), where)
        seen.add(text)
    return None


def _fault_of_scalar(found: object) -> str | None:
    match found:
        case str():
            return _fault_of_text(found)
        case int() if not INTEGER_MIN <= found <= INTEGER_MAX:
            return "the integer does not fit 64 bits, so not everyone could read it. Pass it as a string."
        case float() if not math.isfinite(found):
            return f"JSON has no number {found!r}. Use None, or a string."
    return None


def _fault_of_text(text: str) -> str | None:
    if "\0" in text:
        return (
            "the string holds a NUL character, which databases cannot store. Remove it; binary content is for `bytes`."
        )
    if not text.isascii() and _SURROGATE.search(text):
        return "the string holds half of a surrogate pair, which is no character. Decode it with errors='replace'."
    return None


def _fault_of_leaf(found: object, leaf_text: Callable[[object], object]) -> str | None:
    try:
        leaf_text(found)
    except Exception as error:  # noqa: BLE001 - whatever an author's type raises when it is encoded
        return f"{error}. Pass plain data: a dataclass, TypedDict, attrs class, msgspec.Struct or pydantic model."
    return None


def key_text(key: object) -> str:
    """Return the string that a dict's key is in JSON, or some text for a key that can be none."""
    if isinstance(key, str):
        return key
    try:
        (text,) = _DECODER.decode(msgspec.json.encode({key: None}))
    except Exception:  # noqa: BLE001 - it can be none; `_fault_of_keys` says so
        return repr(key)
    return str(text)


def path_text(path: Path, root: str = "$") -> str:
    """Return a path as people write it: `$.order.items[3].price`, `$["a b"]`.

    >>> path_text((((None, "order"), "items"), 3))
    '$.order.items[3]'
    """
    parts: list[str] = []
    while path is not None:
        path, part = path
        if isinstance(part, int):
            parts.append(f"[{part}]")
        elif len(part) <= PATH_KEY_CHARS_MAX and _IDENTIFIER.match(part):
            parts.append(f".{part}")
        else:
            parts.append(f"[{json.dumps(part[:PATH_KEY_CHARS_MAX])}]")
    text = root + "".join(reversed(parts))
    return text if len(text) <= PATH_CHARS_MAX else f"{text[: PATH_CHARS_MAX // 2]}…{text[-PATH_CHARS_MAX // 2 :]}"


def type_name(kind: type) -> str:
    """Return a type's name as messages give it: `shop.Order`, but `int`."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
