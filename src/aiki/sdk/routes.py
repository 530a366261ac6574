"""Two ways between a value and JSON: msgspec's and pydantic's, behind one face.

The rule: a hint goes whole by one route. It is pydantic's if a pydantic type stands in it at any depth, or if msgspec
does not take it; else msgspec's. What neither takes is refused when the hint is first used, never in the middle of a
run. Both routes read strictly: a string is no number.
"""

from __future__ import annotations

import importlib
import inspect
import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

import msgspec

from aiki.model import payload
from aiki.model.payload import Json
from aiki.sdk.hints import Hint, holds_pydantic
from aiki.sdk.parts import arranged, has_fixed_default, is_plain

__all__ = ["Mismatch", "MsgspecRoute", "PydanticRoute", "Route", "Unfit", "encode_foreign", "route_for"]

PYDANTIC_LEAST: Final = (2, 11)
KEYS_TRIED_MAX: Final = 1000
REFERENCE: Final = "#/$defs/{}"

_MSGSPEC_MESSAGE: Final = re.compile(r"(?P<reason>.*?)(?: - at (?P<key>`key` in )?`(?P<at>\$.*)`)?\Z", re.DOTALL)
_MSGSPEC_STEP: Final = re.compile(r"\[\.\.\.\]|\[(\d+)\]|\.([^.\[]+)")
_ANY_VALUE: Final = "[...]"
_NO_AUTHORS: Final = frozenset({"pydantic", "operator"})  # whose serialisers pydantic's schemas tell the truth of
_NO_DATA: Final = {
    "generator": "an Iterable can be read only once; write list[...]",
    "callable": "a function is no data; pass its name, and look it up in the task",
}


class Unfit(Exception):
    """No library can carry a hint; the message says why, and what to write instead."""


class Mismatch(Exception):
    """JSON does not fit the hint. `reason` says why, `path` where, in the form of `payload.path_text`."""

    def __init__(self, reason: str, path: str) -> None:
        super().__init__(reason, path)
        self.reason = reason
        self.path = path


class Route(Protocol):
    """What a codec asks of the library that it goes through."""

    holds_floats: bool

    def form(self, value: object) -> object:
        """Return what msgspec is to encode for a payload."""
        ...

    def forms(self, value: object) -> tuple[object, object]:
        """Return that, and what to encode for an address: often one and the same object."""
        ...

    def careful_forms(self, value: object) -> tuple[object, object]:
        """Return both for a value that the short way does not take, such as one of another type than the hint."""
        ...

    def leaf_text(self, leaf: object) -> object:
        """Encode a value that is no container, or raise what is wrong with it."""
        ...

    def decode(self, raw: bytes) -> object:
        """Return the value that JSON stands for, or raise `Mismatch`."""
        ...

    def schema(self) -> tuple[dict[str, Json], dict[str, Json]]:
        """Return the hint's JSON Schema and the definitions that it refers to."""
        ...


def route_for(hint: Hint, *, localns: Mapping[str, Any] | None) -> Route:
    """Return the route that a hint takes.

    Args:
        localns: the names in sight where the hint was written, for classes that were defined inside a function.

    Raises:
        Unfit: no library can carry it.
    """
    if holds_pydantic(hint, localns=localns):
        return PydanticRoute(hint)
    try:
        return MsgspecRoute(hint)
    except Unfit as unfit:
        return PydanticRoute(hint, instead_of_msgspec=unfit)


# ------------------------------------------------------------------------------------------------------------- msgspec


class MsgspecRoute:
    """Hints that msgspec takes: plain JSON types, dataclasses, TypedDicts, attrs classes, Structs, enums, dates ..."""

    def __init__(self, hint: Hint) -> None:
        self._hint = hint
        try:
            kinds = list(_kinds_of(msgspec.inspect.type_info(hint)))
            self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(hint, dec_hook=_decode_object)
        except Exception as error:  # mostly TypeError, but an author's class may raise whatever it likes
            raise Unfit(str(error)) from error
        foreign = [
            kind.cls for kind in kinds if isinstance(kind, msgspec.inspect.CustomType) and kind.cls is not object
        ]
        if foreign:
            raise Unfit(f"msgspec knows no JSON for {payload.type_name(foreign[0])}")
        self._is_open = any(isinstance(kind, msgspec.inspect.AnyType | msgspec.inspect.CustomType) for kind in kinds)
        self.holds_floats = self._is_open or any(isinstance(kind, msgspec.inspect.FloatType) for kind in kinds)
        self._may_need_arranging = self._is_open or any(map(_may_need_arranging, kinds))
        self._holds_defaults = self._is_open or any(map(_holds_defaults, kinds))

    def form(self, value: object) -> object:
        if not self._may_need_arranging or (self._is_open and is_plain(value)):
            return value
        return arranged(value, _builtins_of(value), without_defaults=False)

    def forms(self, value: object) -> tuple[object, object]:
        if not self._may_need_arranging and not self._holds_defaults:
            return value, value
        if self._is_open and is_plain(value):
            return value, value
        if self._may_need_arranging:
            return self.careful_forms(value)
        return value, arranged(value, _builtins_of(value), without_defaults=True)

    def careful_forms(self, value: object) -> tuple[object, object]:
        plain = _builtins_of(value)
        form = arranged(value, plain, without_defaults=False)
        return form, arranged(value, plain, without_defaults=True) if self._holds_defaults else form

    def leaf_text(self, leaf: object) -> object:
        return msgspec.json.encode(leaf, enc_hook=encode_foreign)

    def decode(self, raw: bytes) -> object:
        try:
            return self._decoder.decode(raw)
        except msgspec.ValidationError as error:
            found = _MSGSPEC_MESSAGE.match(str(error))
            assert found is not None, "the pattern ends in an optional part and so matches every message"
            path = _exact_path(found["at"] or "$", raw, self._decoder)
            raise Mismatch(("a key: " if found["key"] else "") + found["reason"], path) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Mismatch(f"it is not JSON: {error}", "$") from error
        except Exception as error:  # raised by the author's class
            raise Mismatch(f"{type(error).__name__}: {error}", "$") from error

    def schema(self) -> tuple[dict[str, Json], dict[str, Json]]:
        (schema,), definitions = msgspec.json.schema_components(
            (self._hint,), schema_hook=_schema_of_object, ref_template=REFERENCE.format("{name}")
        )
        return schema, definitions


def encode_foreign(value: object) -> Json:
    """Return plain JSON for a pydantic model in a place whose hint does not tell of it; for msgspec's `enc_hook`."""
    serializer = getattr(type(value), "__pydantic_serializer__", None)
    if serializer is None:
        raise NotImplementedError(f"{payload.type_name(type(value))} has no form in JSON")
    return serializer.to_python(value, mode="json", round_trip=True, warnings=False, by_alias=False)


def _builtins_of(value: object) -> Json:
    return msgspec.to_builtins(value, str_keys=True, enc_hook=encode_foreign)


def _decode_object(kind: type, found: Json) -> Json:
    assert kind is object, "the one foreign type that the route lets pass, as another name for Any"
    return found


def _schema_of_object(_kind: type) -> dict[str, Json]:
    return {"description": "Any JSON value."}  # msgspec takes an empty schema for none


def _kinds_of(kind: msgspec.inspect.Type) -> Iterator[msgspec.inspect.Type]:
    """Yield all that a type is made of, each class once."""
    seen: set[int] = set()
    stack: list[Any] = [kind]
    while stack:
        found = stack.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, msgspec.inspect.Type):
            yield found
        if isinstance(found, msgspec.inspect.Type | msgspec.inspect.Field):
            stack.extend(getattr(found, name) for name in found.__struct_fields__ if not name.startswith("default"))
        elif isinstance(found, tuple):
            stack.extend(found)


def _may_need_arranging(kind: msgspec.inspect.Type) -> bool:
    """Whether msgspec alone does not give such values one form: sets, and dicts whose keys are no strings."""
    if isinstance(kind, msgspec.inspect.SetType | msgspec.inspect.FrozenSetType):
        return True
    return isinstance(kind, msgspec.inspect.DictType) and not isinstance(kind.key_type, msgspec.inspect.StrType)


def _holds_defaults(kind: msgspec.inspect.Type) -> bool:
    if not isinstance(kind, msgspec.inspect.StructType | msgspec.inspect.DataclassType):
        return False
    return has_fixed_default(typing.get_origin(kind.cls) or kind.cls)


def _exact_path(path: str, raw: bytes, decoder: msgspec.json.Decoder[Any]) -> str:
    """Return msgspec's path with the key wherever it says only that the fault is in some value of a dict.

    Leaves one key at a time in such a dict, and sees which one alone is refused too.
    """
    if _ANY_VALUE not in path:
        return path
    whole = msgspec.json.decode(raw)
    here: Any = whole
    exact: payload.Path = None
    for step in _MSGSPEC_STEP.finditer(path):
        if step.group() == _ANY_VALUE:
            refused = _refused_key(whole, here, decoder)
            if refused is None:
                return path
            key: str | int = refused
        else:
            key = int(step[1]) if step[1] else step[2]
        exact = (exact, key)
        here = here[key]
    return payload.path_text(exact)


def _refused_key(whole: Json, here: dict[str, Json], decoder: msgspec.json.Decoder[Any]) -> str | None:
    everything = dict(here)
    for key in list(everything)[:KEYS_TRIED_MAX]:
        here.clear()
        here[key] = everything[key]
        try:
            decoder.decode(msgspec.json.encode(whole))
        except msgspec.ValidationError:
            return key
    return None


# ------------------------------------------------------------------------------------------------------------ pydantic


class PydanticRoute:
    """Hints with pydantic types in them, and those that msgspec does not take, such as a union of classes."""

    def __init__(self, hint: Hint, *, instead_of_msgspec: Unfit | None = None) -> None:
        pydantic = _import_pydantic(instead_of_msgspec)
        self._invalid: type[Exception] = pydantic.ValidationError
        try:
            self._adapter = pydantic.TypeAdapter(hint)
            self._adapter.rebuild(raise_errors=True)
        except Exception as error:  # several of pydantic's, and what an author's class raises
            by_msgspec = f"msgspec does not take it ({instead_of_msgspec}); " if instead_of_msgspec else ""
            raise Unfit(f"{by_msgspec}pydantic does not take it ({_first_sentence(error)})") from error
        self._serializer = self._adapter.serializer
        self._validator = self._adapter.validator
        self._leaves = pydantic.TypeAdapter(Any).serializer
        nodes = list(_schema_nodes(self._adapter.core_schema))
        kinds = {node["type"] for node in nodes}
        for kind, reason in _NO_DATA.items():
            if kind in kinds:
                raise Unfit(reason)
        self._refuse_secrets()
        # Where a field is written under a name that it is not read by, names are used rather than aliases.
        self._by_alias = all(map(_alias_is_read_back, _fields_of(nodes)))
        self._may_need_arranging = not kinds.isdisjoint({"set", "frozenset", "any", "is-instance"})
        # What a serialiser of the author's writes no schema tells, so nothing is said: a server refuses what does not fit.
        self._is_written_otherwise = any(map(_has_own_serializer, nodes))
        self._holds_defaults = not kinds.isdisjoint({"default", "any", "is-instance"})
        self.holds_floats = True

    def form(self, value: object) -> object:
        plain = self._dump(value)
        return arranged(value, plain, without_defaults=False) if self._may_need_arranging else plain

    def forms(self, value: object) -> tuple[object, object]:
        plain = self._dump(value)
        form = arranged(value, plain, without_defaults=False) if self._may_need_arranging else plain
        return form, arranged(value, plain, without_defaults=True) if self._holds_defaults else form

    def careful_forms(self, value: object) -> tuple[object, object]:
        return self.forms(value)

    def _dump(self, value: object) -> Json:
        return self._serializer.to_python(value, mode="json", round_trip=True, warnings=False, by_alias=self._by_alias)

    def leaf_text(self, leaf: object) -> object:
        return self._leaves.to_python(leaf, mode="json")

    def decode(self, raw: bytes) -> object:
        try:
            return self._validator.validate_json(raw, strict=True, by_alias=True, by_name=True)
        except self._invalid as error:
            strict_error = error
        except Exception as error:  # raised by the author's class
            raise Mismatch(f"{type(error).__name__}: {error}", "$") from error
        # The type's own serialiser may have written what strict reading refuses, a date as a number, say. So lenient
        # reading counts, but only where the value read is written as the very same JSON again.
        try:
            value: object = self._validator.validate_json(raw, by_alias=True, by_name=True)
            is_own_form = payload.encode(self.form(value)) == payload.canonical(raw)
        except Exception:  # noqa: BLE001 - whatever it is, the strict error is the one to tell
            raise _pydantic_mismatch(strict_error, raw) from strict_error
        if is_own_form:
            return value
        raise _pydantic_mismatch(strict_error, raw) from strict_error

    def schema(self) -> tuple[dict[str, Json], dict[str, Json]]:
        if self._is_written_otherwise:
            return {}, {}
        try:
            schema = self._adapter.json_schema(
                by_alias=self._by_alias, mode="validation", ref_template=REFERENCE.format("{model}")
            )
        except Exception:  # noqa: BLE001 - a type may be read and written and yet have no schema: then nothing is said
            return {}, {}
        definitions = schema.pop("$defs", {})
        return schema, definitions

    def _refuse_secrets(self) -> None:
        try:
            text = payload.encode(self._adapter.json_schema(mode="serialization"))
        except Exception:  # noqa: BLE001 - no schema, so nothing that tells of a secret
            return
        if b'"format":"password"' in text and b'"writeOnly":true' in text:
            raise Unfit("pydantic writes a secret as asterisks, and it could not come back. Pass a reference to it")


def _import_pydantic(instead_of_msgspec: Unfit | None) -> Any:  # noqa: ANN401 - a module that may not be there
    # The one import inside a function: pydantic is the author's library, not ours. It is loaded only for authors who
    # use it, or whose hint nothing else takes.
    try:
        pydantic = importlib.import_module("pydantic")
    except ImportError as error:
        reason = f"{instead_of_msgspec}; pydantic may take it, and" if instead_of_msgspec else "pydantic takes it, and"
        raise Unfit(f"{reason} is not installed: pip install pydantic") from error
    version = tuple(int(part) for part in re.findall(r"\d+", pydantic.VERSION)[:2])
    if version < PYDANTIC_LEAST:
        raise Unfit(
            f"pydantic {pydantic.VERSION} is too old: pip install 'pydantic>={'.'.join(map(str, PYDANTIC_LEAST))}'"
        )
    return pydantic


def _pydantic_mismatch(error: Exception, raw: bytes) -> Mismatch:
    faults: list[dict[str, Any]] = getattr(error, "errors")(include_url=False)  # noqa: B009 - pydantic's, untyped here
    try:
        here: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Mismatch(f"it is not JSON: {faults[0]['msg']}", "$")
    path: payload.Path = None
    location = faults[0]["loc"]
    for index, step in enumerate(location):  # some steps name a branch of a union, and stand for nothing in the JSON
        if (isinstance(here, dict) and step in here) or (
            isinstance(here, list) and isinstance(step, int) and step < len(here)
        ):
            path = (path, step)
            here = here[step]
        elif index == len(location) - 1 and faults[0]["type"] == "missing":
            path = (path, step)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Mismatch(f"{faults[0]['msg']}{more}", payload.path_text(path))


def _schema_nodes(core_schema: object) -> Iterator[dict[str, Any]]:
    """Yield the nodes of pydantic's description of a type: the dicts that have a type."""
    stack = [core_schema]
    seen: set[int] = set()
    while stack:
        found = stack.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, Mapping):
            if isinstance(found.get("type"), str):
                yield dict(found)
            stack.extend(child for key, child in found.items() if key not in {"metadata", "default", "expected"})
        elif isinstance(found, list | tuple):
            stack.extend(found)


def _has_own_serializer(node: dict[str, Any]) -> bool:
    serialization = node.get("serialization")
    function = serialization.get("function") if isinstance(serialization, Mapping) else None
    return function is not None and str(getattr(function, "__module__", "")).partition(".")[0] not in _NO_AUTHORS


def _fields_of(nodes: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for node in nodes:
        fields = node.get("fields")
        if isinstance(fields, Mapping):
            yield from ((str(name), dict(field)) for name, field in fields.items() if isinstance(field, Mapping))
        elif isinstance(fields, list):
            yield from (
                (field["name"], dict(field)) for field in fields if isinstance(field, Mapping) and "name" in field
            )


def _alias_is_read_back(named_field: tuple[str, dict[str, Any]]) -> bool:
    name, field = named_field
    written = field.get("serialization_alias", name)
    read = field.get("validation_alias", name)
    return written in (name, read) or (isinstance(read, list) and [written] in read)


def _first_sentence(error: Exception) -> str:
    """Return what is wrong: pydantic's messages go on with advice for other situations, and an address."""
    text = str(error).partition("\n\n")[0].partition("\nFor further")[0].partition(". Set `arbitrary_types_allowed")[0]
    return inspect.cleandoc(text).replace("\n", " ")
