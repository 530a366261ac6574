"""Whether a JSON value fits a JSON Schema (2020-12), as far as that can be said in bounded time.

The rule: it refuses only what the schema surely refuses. What would take a regular expression or an address of somebody
else's, or more than `STEPS_MAX` steps, passes here: the worker that decodes the value judges it whole. A schema is what
a worker sent, so a keyword that makes no sense is passed over.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote

from aiki.model.payload import DEPTH_MAX, Json, Path

__all__ = ["Misfit", "misfit"]

STEPS_MAX: Final = 20_000  # places of the value times schemas for each: some 20 ms
NESTING_MAX: Final = 3 * DEPTH_MAX  # schemas within schemas: a `$ref` and an `anyOf` at each level of a value
NAMES_SHOWN_MAX: Final = 20


class Misfit(NamedTuple):
    """What does not fit: its place, as `payload.path_text` takes it, why, and what would, where a word says it."""

    path: Path
    reason: str
    wanted: str | None = None


def misfit(schema: Json, value: Json) -> Misfit | None:
    """Return the first thing in a value that its schema refuses, or None.

    >>> schema = {"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]}
    >>> misfit(schema, {"amount": "20"})
    Misfit(path=(None, 'amount'), reason='it is a string, and must be an integer', wanted='an integer')
    >>> misfit(schema, {"amount": 20}) is None
    True
    """
    return _Judge(schema).misfit(schema, value, None)


class _Judge:
    def __init__(self, root: Json) -> None:
        self._root = root
        self._steps = 0
        self._nesting = 0

    def misfit(self, schema: Json, value: Json, path: Path) -> Misfit | None:
        self._steps += 1
        if self._steps > STEPS_MAX or self._nesting > NESTING_MAX:
            return None
        if schema is False:
            return Misfit(path, "nothing may stand here")
        if not isinstance(schema, dict):
            return None
        self._nesting += 1
        try:
            for keyword in schema:
                rule = _RULES.get(keyword)
                found = None if rule is None else rule(self, schema, value, path)
                if found is not None:
                    return found
        finally:
            self._nesting -= 1
        return None

    def at(self, reference: str) -> Json:
        """Return what a reference within the schema names; True, which takes all, for any other."""
        head, *steps = reference.split("/")
        found: Json = self._root
        if head != "#":
            return True
        for step in steps:
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or name not in found:
                return True
            found = found[name]
        return found


_Rule = Callable[[_Judge, dict[str, Json], Json, Path], Misfit | None]

# ----------------------------------------------------------------------------------------------------------- any value

_WORDS: Final[Mapping[str, str]] = {
    "object": "an object",
    "array": "an array",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "null": "null",
}


def _kind(value: Json) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    if value is None:
        return "null"
    return "string" if isinstance(value, str) else "object" if isinstance(value, dict) else "array"


def _type(_judge: _Judge, schema: dict[str, Json], value: Json, path: Path) -> Misfit | None:
    asked = schema["type"]
    kinds = [asked] if isinstance(asked, str) else asked if isinstance(asked, list) else []
    words = [_WORDS[kind] for kind in kinds if isinstance(kind, str) and kind in _WORDS]
    kind = _kind(value)
    if len(words) < len(kinds) or not kinds or kind in kinds or (kind == "integer" and "number" in kinds):
        return None
    return _other(value, path, " or ".join(words))


def _enum(_judge: _Judge, schema: dict[str, Json], value: Json, path: Path) -> Misfit | None:
    taken = schema["enum"]
    if not isinstance(taken, list) or any(_is_same(one, value) for one in taken):
        return None
    return _other(value, path, f"one of {_shown(taken)}")


def _const(_judge: _Judge, schema: dict[str, Json], value: Json, path: Path) -> Misfit | None:
    return None if _is_same(schema["const"], value) else _other(value, path, _shown([schema["const"]]))


def _is_same(one: Json, other: Json) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _other(value: Json, path: Path, wanted: str) -> Misfit:
    return Misfit(path, f"it is {_WORDS[_kind(value)]}, and must be {wanted}", wanted)


def _shown(names: list[Json]) -> str:
    more = f" and {len(names) - NAMES_SHOWN_MAX} more" if len(names) > NAMES_SHOWN_MAX else ""
    return ", ".join(repr(name) for name in names[:NAMES_SHOWN_MAX]) + more


# ---------------------------------------------------------------------------------------------------- schemas in schemas


def _reference(judge: _Judge, schema: dict[str, Json], value: Json, path: Path) -> Misfit | None:
    reference = schema["$ref"]
    return judge.misfit(judge.at(reference), value, path) if isinstance(reference, str) else None


def _all_of(judge: _Judge, schema: dict[str, Json], value: Json, path: Path) -> Misfit | None:
    parts = schema["allOf"]
    found = (judge.misfit(part, value, path) for part in (parts if isinstance(parts, list) else ()))
    return next((one for one in found if one is not None), None)


def _any_of(judge: _Judge, schema: dict[str, Json], value: Json, path: Path) -> Misfit | None:
    """Judge by `anyOf`, and by `oneOf` as if it were that: of what is passed over, two may seem to fit."""
    for branches in (schema.get("anyOf"), schema.get("oneOf")):
        found: list[Misfit] = []
        for branch in branches if isinstance(branches, list) else ():
            one = judge.misfit(branch, value, path)
            if one is None:
                found.clear()
                break
            found.append(one)
        if found:
            return _nearest(found, value, path)
    return None


def _nearest(found: list[Misfit], value: Json, path: Path) -> Misfit:
    """Return what to say of a value that fits no branch: what is wrong deepest inside, or all that may stand there."""
    deepest = max(found, key=lambda one: _depth(one.path))
    wanted = list(dict.fromkeys(one.wanted for one in found if one.wanted is not None))
    if _depth(deepest.path) > _depth(path) or len(wanted) < len(found):
        return deepest
    return _other(value, path, " or ".join(wanted))


def _depth(path: Path) -> int:
    depth = 0
    while path is not None:
        path, _ = path
        depth += 1
    return depth


# -------------------------------------------------------------------------------------------------- objects and arrays


def _properties(judge: _Judge, schema: dict[str, Json], value: Json, path: Path) -> Misfit | None:
    properties = schema["properties"]
    if not isinstance(value, dict) or not isinstance(properties, dict):
        return None
    for name, part in value.items():
        if name in properties and (found := judge.misfit(properties[name], part, (path, name))) is not None:
            return found
    return None


def _required(judge: _Judge, schema: dict[str, Json], value: Json, path: Path) -> Misfit | None:
    names = schema["required"]
    if not isinstance(value, dict) or not isinstance(names, list):
        return None
    missing = next((name for name in names if isinstance(name, str) and name not in value), None)
    if missing is None:
        return None
    misspelt = _additional(judge, schema, value, path) if "additionalProperties" in schema else None
    return misspelt or Misfit((path, missing), "it is missing")


def _additional(judge: _Judge, schema: dict[str, Json], value: Json, path: Path) -> Misfit | None:
    known = schema.get("properties", {})
    if not isinstance(value, dict) or not isinstance(known, dict) or "patternProperties" in schema:
        return None
    for name, part in value.items():
        if name in known:
            continue
        if schema["additionalProperties"] is False:
            names = f"what may stand there is {_shown(list(known))}" if known else "nothing may stand there"
            return Misfit((path, name), f"it is unknown: {names}")
        found = judge.misfit(schema["additionalProperties"], part, (path, name))
        if found is not None:
            return found
    return None


def _property_names(judge: _Judge, schema: dict[str, Json], value: Json, path: Path) -> Misfit | None:
    found = (judge.misfit(schema["propertyNames"], name, (path, name)) for name in _names(value))
    return next((one for one in found if one is not None), None)


def _names(value: Json) -> list[str]:
    return list(value) if isinstance(value, dict) else []


def _items(judge: _Judge, schema: dict[str, Json], value: Json, path: Path) -> Misfit | None:
    """Judge by `items`, and before it by `prefixItems`."""
    if not isinstance(value, list):
        return None
    first = schema.get("prefixItems")
    firsts: list[Json] = first if isinstance(first, list) else []
    rest = schema.get("items", True)
    if rest is False and len(value) > len(firsts):
        return Misfit(path, f"it has {len(value):,} items, and may have {len(firsts):,}")
    for place, part in enumerate(value):
        found = judge.misfit(firsts[place] if place < len(firsts) else rest, part, (path, place))
        if found is not None:
            return found
    return None


# --------------------------------------------------------------------------------------------------------------- bounds


def _bound(keyword: str, kind: type | tuple[type, ...], is_beyond: Callable[[float, float], bool], words: str) -> _Rule:
    def judge(_judge: _Judge, schema: dict[str, Json], value: Json, path: Path) -> Misfit | None:
        limit = schema[keyword]
        if not isinstance(value, kind) or isinstance(value, bool) or not isinstance(limit, int | float):
            return None
        size = value if isinstance(value, int | float) else len(value) if isinstance(value, str | list | dict) else 0
        return Misfit(path, f"it {words} {limit:,}") if is_beyond(size, limit) else None

    return judge


def _is_less(one: float, other: float) -> bool:
    return one < other


def _is_more(one: float, other: float) -> bool:
    return one > other


_RULES: Final[Mapping[str, _Rule]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "$ref": _reference,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _any_of,
    "properties": _properties,
    "required": _required,
    "additionalProperties": _additional,
    "propertyNames": _property_names,
    "items": _items,
    "prefixItems": _items,
    "minLength": _bound("minLength", str, _is_less, "has fewer characters than"),
    "maxLength": _bound("maxLength", str, _is_more, "has more characters than"),
    "minItems": _bound("minItems", list, _is_less, "has fewer items than"),
    "maxItems": _bound("maxItems", list, _is_more, "has more items than"),
    "minProperties": _bound("minProperties", dict, _is_less, "has fewer names than"),
    "maxProperties": _bound("maxProperties", dict, _is_more, "has more names than"),
    "minimum": _bound("minimum", (int, float), _is_less, "is less than"),
    "maximum": _bound("maximum", (int, float), _is_more, "is more than"),
    "exclusiveMinimum": _bound("exclusiveMinimum", (int, float), lambda one, other: one <= other, "is not more than"),
    "exclusiveMaximum": _bound("exclusiveMaximum", (int, float), lambda one, other: one >= other, "is not less than"),
}
