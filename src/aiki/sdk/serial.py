"""Codecs: between the values of an author's types and payloads, driven by type hints.

The rule: what crosses a boundary crosses as bytes, and code sees decoded values only, the first time exactly as on
replay. So `decode(encode(value))` is what every receiver gets, and no codec remembers a value.

An author's own `Codec` (encryption, say) belongs behind this module and before the transport: it turns the bytes of
`TypeCodec.encode` into others and back, and knows nothing of types.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Mapping
from typing import Any, Final, Generic

import msgspec

from aiki.errors import InvalidInput, NotSerializable
from aiki.model import payload
from aiki.model.payload import PAYLOAD_BYTES_MAX, Json, Path
from aiki.sdk.hints import Hint
from aiki.sdk.parts import members_of
from aiki.sdk.routes import Mismatch, Route, Unfit, encode_foreign, route_for

if sys.version_info >= (3, 13):
    from typing import TypeVar
else:
    from typing_extensions import TypeVar


__all__ = ["ANY", "TypeCodec", "codec_of", "shown_hint", "whole_schema"]

T = TypeVar("T", default=Any)

CODECS_MAX: Final = 4096
DEFINITIONS: Final = "$defs"

_encode: Final = msgspec.json.Encoder(order="sorted", enc_hook=encode_foreign).encode
_codecs: Final[dict[Hint, TypeCodec[Any]]] = {}


class TypeCodec(Generic[T]):
    """Encodes values of one hint to canonical JSON, and decodes JSON to them. Get one from `codec_of`."""

    __slots__ = ("_route", "hint")

    def __init__(self, hint: Hint, route: Route) -> None:
        self.hint = hint
        self._route = route

    def __repr__(self) -> str:
        return f"<TypeCodec of {shown_hint(self.hint)}>"

    def encode(
        self, value: T, *, limit_bytes: int = PAYLOAD_BYTES_MAX, what: str = "the value", at: Path = None
    ) -> bytes:
        """Return `value` as canonical JSON.

        It is encoded as what it is, not as what it should be: whether it fits the hint, decoding tells.

        Args:
            limit_bytes: the largest size allowed.
            what: how the message about the size calls it.
            at: where `value` stands in something larger; messages then name that path.

        Raises:
            NotSerializable: something in it cannot be stored; `.type` and `.path` say what and where.
            PayloadTooLarge: with `.size_bytes` and `.limit_bytes`.
        """
        raw = self._encoded(value, at, for_address=False)
        payload.check_size(raw, limit_bytes=limit_bytes, what=what)
        return raw

    def encode_fitting(self, value: T, *, what: str) -> bytes:
        """Return `value` as canonical JSON that `decode` takes: what does not fit the hint is refused here, not there.

        Raises:
            NotSerializable, PayloadTooLarge, InvalidInput: as `encode` and `decode`.
        """
        raw = self.encode(value, what=what)
        self.decode(raw, what=what)
        return raw

    def encode_for_address(self, value: T) -> bytes:
        """Return `value` as canonical JSON without those fields of models that equal their default, at any depth.

        So a new field with a default leaves old addresses as they were. TypedDicts and dicts have no defaults.

        Raises:
            NotSerializable: as `encode`.
        """
        return self._encoded(value, None, for_address=True)

    def decode(self, raw: bytes, *, what: str = "", at: Path = None) -> T:
        """Return the value of the hinted type that canonical JSON stands for. Strict: "1" is no integer.

        Args:
            what: how messages call it, where the path alone would not tell.
            at: where the value stands in something larger; messages then name that path.

        Raises:
            InvalidInput: it does not fit; `.path` says where.
        """
        try:
            value: T = self._route.decode(raw)  # type: ignore[assignment]  # T is what the route was built for
        except Mismatch as mismatch:
            path = payload.path_text(at) + mismatch.path.removeprefix("$")
            named = f"{what}: {path}" if what else path
            raise InvalidInput(
                f"{named} does not fit {shown_hint(self.hint)}: {mismatch.reason}", path=path
            ) from mismatch.__cause__
        return value

    def schema(self) -> dict[str, Json]:
        """Return the JSON Schema (2020-12) of what `decode` takes, with its `$defs`."""
        schema, definitions = self._route.schema()
        return whole_schema(schema, definitions)

    def schema_parts(self) -> tuple[dict[str, Json], dict[str, Json]]:
        """Return the schema, and apart from it the definitions that it refers to as `#/$defs/NAME`."""
        return self._route.schema()

    @property
    def holds_floats(self) -> bool:
        """Whether a float may stand in a value: one that is no number would be written as null."""
        return self._route.holds_floats

    def forms(self, value: T) -> tuple[object, object]:
        """Return what msgspec is to encode in a payload and in an address. One object where they are the same.

        Raises:
            Exception: whatever the value's type raises. `encode` says what is wrong with it.
        """
        return self._route.forms(value)

    def _encoded(self, value: T, at: Path, *, for_address: bool) -> bytes:
        try:
            form = self._route.forms(value)[1] if for_address else self._route.form(value)
            raw = _encode(form)
        except Exception as error:  # noqa: BLE001 - msgspec's, pydantic's, or what an author's class raises
            form, raw = self._encoded_with_care(value, at, error, for_address=for_address)
        if payload.is_suspect(raw) or (
            ((self._route.holds_floats and payload.RAW_NULL in raw) or payload.has_long_number(raw))
            and not payload.numbers_fit(msgspec.to_builtins(form, str_keys=True, enc_hook=encode_foreign))
        ):
            payload.judge(form, at=at, members_of=members_of, leaf_text=self._route.leaf_text)
        return raw

    def _encoded_with_care(self, value: T, at: Path, error: Exception, *, for_address: bool) -> tuple[object, bytes]:
        """Encode a value that is not quite of the hinted type, or say which part of it cannot be stored."""
        payload.judge(value, at=at, members_of=members_of, leaf_text=self._route.leaf_text)
        try:
            form = self._route.careful_forms(value)[for_address]
            return form, _encode(form)
        except Exception:  # noqa: BLE001 - the first error is the one to tell
            kind, path = payload.type_name(type(value)), payload.path_text(at)
            raise NotSerializable(f"{path} ({kind}) cannot be stored: {error}", type=kind, path=path) from error


def codec_of(hint: Hint, *, where: str, localns: Mapping[str, Any] | None = None) -> TypeCodec[Any]:
    """Return the codec of a resolved hint; one and the same for equal hints.

    Args:
        where: how messages call the place of the hint: "parameter `order` of shop.charge".
        localns: the names in sight where the hint was written, for classes that were defined inside a function.

    Raises:
        TypeError: no library can carry such values; names the place, the hint, and the cure.
    """
    if hint is typing.NoReturn or hint is typing.Never:  # nothing comes back, so nothing is decoded
        hint = None
    try:
        known = _codecs.get(hint)
    except TypeError:  # metadata in the hint that cannot be hashed
        return _new_codec(hint, where=where, localns=localns)
    if known is None:
        known = _new_codec(hint, where=where, localns=localns)
        if len(_codecs) >= CODECS_MAX:
            _codecs.clear()
        _codecs[hint] = known
    return known


def _new_codec(hint: Hint, *, where: str, localns: Mapping[str, Any] | None) -> TypeCodec[Any]:
    try:
        return TypeCodec(hint, route_for(hint, localns=localns))
    except Unfit as unfit:
        raise TypeError(
            f"{where} is annotated `{shown_hint(hint)}`, and such a value cannot be carried as JSON: {unfit}. "
            "Use plain data there: str, int, a list, a dict, a dataclass, TypedDict, attrs class, msgspec.Struct or "
            "pydantic model; what cannot be data (a connection, a client) is made inside the task."
        ) from unfit


def shown_hint(hint: Hint) -> str:
    """Return a hint as code shows it: `shop.Order`, `list[int]`."""
    return "None" if hint is None or hint is type(None) else inspect.formatannotation(hint)


def whole_schema(schema: dict[str, Json], definitions: Mapping[str, Json]) -> dict[str, Json]:
    """Return a schema with its definitions inside."""
    return {**schema, DEFINITIONS: dict(definitions)} if definitions else schema


ANY: Final[TypeCodec[Json]] = codec_of(Any, where="a value without annotation")
"""The codec of what is not annotated: plain JSON; models are encoded, and come back as dicts."""
