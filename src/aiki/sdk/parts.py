"""The parts of an author's objects: what they are called in JSON, and which equal their default.

The rule: the libraries encode, this module only rearranges what they made of a value. It walks the value and its plain
form side by side, sorts what stood in a set (so that bytes never depend on PYTHONHASHSEED), and, for addresses, leaves
out the fields that equal their default.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from types import FunctionType
from typing import Any, Final, NamedTuple, TypeGuard

import msgspec

from aiki.model.payload import DEPTH_MAX, Json, key_text

__all__ = ["Part", "arranged", "has_fixed_default", "is_plain", "members_of", "parts_of"]

CLASSES_MAX: Final = 4096
NO_DEFAULT: Final = object()

_PLAIN_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_CONTAINERS: Final = frozenset({dict, list, tuple})
_SEQUENCES: Final = (list, tuple)
_SETS: Final = (set, frozenset)
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


def arranged(value: object, plain: Json, *, without_defaults: bool) -> Json:
    """Return `plain`, which a library made of `value`, with the members of sets in one order.

    Where the two do not match (an author's own serialiser has made something else of it), `plain` stands as it is.
    What is deeper than the levels allowed stands too: it is refused anyway.

    Args:
        without_defaults: leave out each field of a model, at any depth, that equals its default.

    Raises:
        ValueError: of two keys of a dict one is lost, as they are equal in JSON.
    """
    return (_WITHOUT_DEFAULTS if without_defaults else _WITH_DEFAULTS).arranged(value, plain, DEPTH_MAX)


class _Arranger:
    """The walk of `arranged`. On the path of every call, so it calls itself only for what has something inside."""

    __slots__ = ("_drops",)

    def __init__(self, *, without_defaults: bool) -> None:
        self._drops = without_defaults

    def arranged(self, value: object, plain: Json, levels: int) -> Json:
        kind = type(plain)
        if levels == 0 or kind not in _CONTAINERS:
            return plain
        parts = parts_of(type(value))
        if parts is not None and getattr(type(value), "__pydantic_root_model__", False):
            return self.arranged(getattr(value, "root", None), plain, levels - 1)
        if kind is not dict:
            return self._arranged_items(value, plain, levels - 1)
        if parts is not None:
            return self._arranged_fields(value, plain, parts, levels - 1)
        if not isinstance(value, Mapping):
            return plain
        if len(value) != len(plain):
            if len({key_text(key) for key in value}) < len(value):
                raise ValueError("two keys of a dict are one and the same in JSON")
            return plain
        pairs = zip(plain.items(), value.values(), strict=True)
        return {key: self.arranged(child, form, levels - 1) for (key, form), child in pairs}

    def _arranged_items(self, value: object, plain: Sequence[Json], levels: int) -> Sequence[Json]:
        if isinstance(value, _SEQUENCES) and len(value) == len(plain):
            return [self.arranged(child, form, levels) for child, form in zip(value, plain, strict=True)]
        if isinstance(value, _SETS) and len(value) == len(plain):
            members = (self.arranged(child, form, levels) for child, form in zip(value, plain, strict=True))
            return sorted(members, key=_sort_key)
        if isinstance(value, msgspec.Struct):  # array_like: every place counts, and a tag may stand in front
            names = type(value).__struct_fields__
            tag = plain[: len(plain) - len(names)]
            fields = zip(names, plain[len(tag) :], strict=False)
            return [*tag, *(self.arranged(getattr(value, name), form, levels) for name, form in fields)]
        return plain

    def _arranged_fields(
        self, value: object, plain: dict[str, Json], parts: Mapping[str, Part], levels: int
    ) -> dict[str, Json]:
        result: dict[str, Json] = {}
        for key, form in plain.items():
            part = parts.get(key)
            if part is None:  # a tag, or an extra field that the class knows nothing of
                result[key] = form
                continue
            attribute, _, default = part
            child = getattr(value, attribute, NO_DEFAULT)
            if self._drops and type(child) is type(default) and default is not NO_DEFAULT and child == default:
                continue
            result[key] = self.arranged(child, form, levels) if type(form) in _CONTAINERS else form
        return result


_WITH_DEFAULTS: Final = _Arranger(without_defaults=False)
_WITHOUT_DEFAULTS: Final = _Arranger(without_defaults=True)


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
        return default if _has_equality(default) else NO_DEFAULT
    if factory is absent or not _reads_nothing(factory):
        return NO_DEFAULT
    made = factory()
    return made if _has_equality(made) else NO_DEFAULT


def _reads_nothing(factory: object) -> TypeGuard[Callable[[], object]]:
    if isinstance(factory, type):
        parts = parts_of(factory)
        all_fixed = parts is not None and all(part.default is not NO_DEFAULT for part in parts.values())
        return factory in _EMPTY_WHEN_CALLED or all_fixed
    if isinstance(factory, FunctionType):
        code = factory.__code__
        return not code.co_names and not code.co_freevars and not code.co_argcount
    return False


def _has_equality(default: object) -> bool:
    """Whether equal means equal: an object that compares by identity is another one when it has gone through JSON."""
    return default is None or isinstance(default, Enum) or type(default).__eq__ is not object.__eq__
