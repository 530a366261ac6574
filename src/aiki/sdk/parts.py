"""The parts of an author's objects: what they are called in JSON, and which equal their default.

The rule: the libraries encode, this module only rearranges what they made of a value. It walks the value and its plain
form side by side, sorts what stood in a set (so that bytes never depend on PYTHONHASHSEED), and, for addresses, leaves
out the fields that equal their default.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import lru_cache
from types import FunctionType
from typing import Any, Final, NamedTuple

import msgspec

from aiki.model.payload import DEPTH_MAX, Json

__all__ = ["arranged", "has_fixed_default", "is_plain", "members_of", "parts_of"]

CLASSES_MAX: Final = 4096
NO_DEFAULT: Final = object()

_PLAIN_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_EMPTY_WHEN_CALLED: Final = frozenset({list, dict, set, frozenset, tuple, str, bytes, int, float, bool})
_sort_key: Final = msgspec.json.Encoder(order="sorted").encode


class Part(NamedTuple):
    """One field of a class: its attribute, its key in JSON, and its default where that is the same for ever."""

    attribute: str
    key: str
    default: object


# --------------------------------------------------------------------------------------------------------- arrangement


def is_plain(value: object) -> bool:
    """Return whether `value` is JSON already, through and through, so that there is nothing to rearrange."""
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        found, depth = stack.pop()
        kind = type(found)
        if kind in _PLAIN_SCALARS:
            continue
        if depth == DEPTH_MAX:
            return False
        if kind is dict:
            if any(type(key) is not str for key in found):
                return False
            children: Iterable[object] = found.values()
        elif kind is list or kind is tuple:
            children = found
        else:
            return False
        stack.extend((child, depth + 1) for child in children if type(child) not in _PLAIN_SCALARS)
    return True


def arranged(value: object, plain: Json, *, without_defaults: bool, levels: int = DEPTH_MAX) -> Json:
    """Return `plain`, which a library made of `value`, with the members of sets in one order.

    Where the two do not match (an author's own serialiser has made something else of it), `plain` stands as it is.

    Args:
        without_defaults: leave out each field of a model, at any depth, that equals its default.
        levels: how deep to go; what is deeper cannot be stored anyway.
    """
    if levels == 0:
        return plain

    def below(child: object, child_plain: Json) -> Json:
        return arranged(child, child_plain, without_defaults=without_defaults, levels=levels - 1)

    if isinstance(plain, dict):
        if isinstance(value, Mapping):
            if len(value) != len(plain):
                return plain
            return {key: below(child, form) for (key, form), child in zip(plain.items(), value.values(), strict=True)}
        return _arranged_fields(value, plain, below=below, without_defaults=without_defaults)
    if isinstance(plain, list):
        if isinstance(value, set | frozenset) and len(value) == len(plain):
            return sorted(map(below, value, plain), key=_sort_key)
        if isinstance(value, list | tuple) and len(value) == len(plain):
            return [below(child, form) for child, form in zip(value, plain, strict=True)]
        if isinstance(value, msgspec.Struct):  # array_like: a tag may stand in front, and every place counts
            names = type(value).__struct_fields__
            tag = plain[: len(plain) - len(names)]
            return tag + [
                below(getattr(value, name), form) for name, form in zip(names, plain[len(tag) :], strict=False)
            ]
    if getattr(type(value), "__pydantic_root_model__", False):
        return below(getattr(value, "root", None), plain)
    return plain


def _arranged_fields(
    value: object, plain: dict[str, Json], *, below: Callable[[object, Json], Json], without_defaults: bool
) -> dict[str, Json]:
    if getattr(type(value), "__pydantic_root_model__", False):
        found = below(getattr(value, "root", None), plain)
        return found if isinstance(found, dict) else plain
    parts = parts_of(type(value))
    if parts is None:
        return plain
    result: dict[str, Json] = {}
    for key, form in plain.items():
        part = parts.get(key)
        if part is None:  # a tag, or an extra field that the class knows nothing of
            result[key] = form
            continue
        child = getattr(value, part.attribute, NO_DEFAULT)
        if not (without_defaults and _is_default(child, part.default)):
            result[key] = below(child, form)
    return result


def _is_default(value: object, default: object) -> bool:
    if default is None or isinstance(default, bool | Enum):
        return value is default
    kind = type(default)
    # Identity is no equality: an object that goes through JSON is another one on replay.
    if default is NO_DEFAULT or type(value) is not kind or kind.__eq__ is object.__eq__:
        return False
    return bool(value == default)


# -------------------------------------------------------------------------------------------------------------- classes


def members_of(value: object) -> Iterable[tuple[str, object]] | None:
    """Return the parts of an object by their keys in JSON, or None for what is no model: `payload.MembersOf`."""
    parts = parts_of(type(value))
    if parts is None:
        return None
    by_attribute = {part.attribute: part for part in parts.values()}
    return [
        (part.key, getattr(value, part.attribute)) for part in by_attribute.values() if hasattr(value, part.attribute)
    ]


def has_fixed_default(cls: type) -> bool:
    """Return whether some field of a model may be left out of an address."""
    return any(part.default is not NO_DEFAULT for part in (parts_of(cls) or {}).values())


def parts_of(cls: type) -> Mapping[str, Part] | None:
    """Return the fields of a dataclass, attrs class, msgspec.Struct or pydantic class by key, or None for another class.

    A pydantic field stands under its name and its alias: which one is used is decided by the codec.
    """
    return _parts_by_class(cls)


def _read_parts(cls: type) -> Mapping[str, Part] | None:
    if hasattr(cls, "__pydantic_fields__"):
        parts = _parts_of_pydantic(cls)
    elif issubclass(cls, msgspec.Struct):
        parts = [
            Part(field.name, field.encode_name, _default(field.default, field.default_factory, msgspec.NODEFAULT))
            for field in msgspec.structs.fields(cls)
        ]
    elif dataclasses.is_dataclass(cls):
        parts = [
            Part(field.name, field.name, _default(field.default, field.default_factory, dataclasses.MISSING))
            for field in dataclasses.fields(cls)
        ]
    elif hasattr(cls, "__attrs_attrs__"):
        parts = _parts_of_attrs(cls)
    else:
        return None
    return {part.key: part for part in parts}


_parts_by_class: Final[Callable[[type], Mapping[str, Part] | None]] = lru_cache(maxsize=CLASSES_MAX)(_read_parts)


def _parts_of_pydantic(cls: type) -> list[Part]:
    fields: Mapping[str, Any] = getattr(cls, "__pydantic_fields__")  # noqa: B009 - a name of pydantic's, unknown to `type`
    parts = []
    for name, field in fields.items():
        undefined = object()
        default = undefined if field.is_required() or field.default_factory is not None else field.default
        fixed = _default(default, field.default_factory or undefined, undefined)
        parts.append(Part(name, name, fixed))
        if isinstance(field.serialization_alias, str):
            parts.append(Part(name, field.serialization_alias, fixed))
    return parts


def _parts_of_attrs(cls: type) -> list[Part]:
    fields: Iterable[Any] = getattr(cls, "__attrs_attrs__")  # noqa: B009 - a name of attrs', unknown to `type`
    nothing = sys.modules["attr"].NOTHING  # loaded, as there is a class of its making
    parts = []
    for field in fields:
        made_by = getattr(field.default, "factory", nothing)
        if getattr(field.default, "takes_self", False):
            default, made_by = nothing, nothing
        else:
            default = nothing if made_by is not nothing else field.default
        parts.append(Part(field.name, field.name, _default(default, made_by, nothing)))
    return parts


def _default(default: object, factory: object, absent: object) -> object:
    """Return a field's default, if it is the same in every process and for ever.

    A factory that reads anything (a clock, chance, a setting) makes no such default: a value that equals it today and
    not tomorrow would change its address under a run that is under way.
    """
    if default is not absent:
        return default
    if factory is absent:
        return NO_DEFAULT
    if isinstance(factory, type):
        parts = parts_of(factory)
        all_fixed = parts is not None and all(part.default is not NO_DEFAULT for part in parts.values())
        return factory() if factory in _EMPTY_WHEN_CALLED or all_fixed else NO_DEFAULT
    if isinstance(factory, FunctionType):
        code = factory.__code__
        reads_nothing = not code.co_names and not code.co_freevars and not code.co_argcount
        return factory() if reads_nothing else NO_DEFAULT
    return NO_DEFAULT
