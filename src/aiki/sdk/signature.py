"""The shape of a call: arguments as one JSON object by parameter name, and back.

The rule: only what was passed is in it. A default that was not passed is left out, so that a function may gain an
optional parameter, or another default, without changing the address of the calls that are recorded.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from types import FrameType, ModuleType
from typing import Any, Final, NamedTuple

import msgspec

from aiki.errors import InvalidInput
from aiki.model import payload
from aiki.model.payload import PAYLOAD_BYTES_MAX, Json
from aiki.sdk.hints import Hint, call_signature, place_of, resolve_hint
from aiki.sdk.routes import encode_foreign
from aiki.sdk.serial import TypeCodec, codec_of, whole_schema

__all__ = ["CallShape", "EncodedArgs", "locals_of"]

REFERENCE_PREFIX: Final = "#/$defs/"

_encode: Final = msgspec.json.Encoder(order="sorted", enc_hook=encode_foreign).encode
_decode_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class EncodedArgs(NamedTuple):
    """Arguments as canonical JSON: as they are sent, and as their address is made of."""

    payload: bytes
    address: bytes

    @property
    def address_hash(self) -> str:
        """The 32 hex characters that stand for the arguments in a journal address."""
        return payload.digest(self.address)[: payload.ADDRESS_CHARS]


class _Parameter(NamedTuple):
    name: str
    kind: Any  # one of inspect's kinds, whose class has no public name
    is_required: bool
    annotation: object


class CallShape:
    """What a function takes and returns. Hints are resolved on first use, or by `resolve`.

    Args:
        fn: the author's function.
        skip_first: whether the first parameter is the platform's (`run`), and never encoded.
        localns: the names in sight where `fn` was defined.

    >>> def charge(order_id: str, amount: int = 10) -> bool: ...
    >>> shape = CallShape(charge)
    >>> shape.encode_args(("o-1",), {}).payload
    b'{"order_id":"o-1"}'
    >>> shape.decode_args(b'{"amount":12,"order_id":"o-1"}')
    (('o-1', 12), {})
    """

    def __init__(
        self, fn: Callable[..., object], *, skip_first: bool = False, localns: Mapping[str, Any] | None = None
    ) -> None:
        self.fn = fn
        self.place = place_of(fn)
        self._localns = localns
        signature = call_signature(fn)
        parameters = list(signature.parameters.values())
        if skip_first:
            if not parameters or parameters[0].kind not in _TAKES_POSITION:
                raise TypeError(f"{self.place} takes no parameter for the run. Write: {fn.__name__}(run: Run, ...)")
            parameters = parameters[1:]
        self._signature = signature.replace(parameters=parameters)
        self._return_annotation = signature.return_annotation
        self._parameters = {
            parameter.name: _Parameter(
                parameter.name,
                parameter.kind,
                parameter.default is inspect.Parameter.empty and parameter.kind not in _TAKES_MANY,
                parameter.annotation,
            )
            for parameter in parameters
        }
        every = self._parameters.values()
        self._by_position = [p.name for p in every if p.kind in _TAKES_POSITION and p.kind not in _TAKES_MANY]
        self._by_keyword = frozenset(p.name for p in every if p.kind in _TAKES_KEYWORD and p.kind not in _TAKES_MANY)
        self._required = frozenset(p.name for p in every if p.is_required)
        self._codecs: dict[str, TypeCodec[Any]] | None = None
        self._holds_floats = True
        self._returns: TypeCodec[Any] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters that are encoded, in order."""
        return tuple(self._parameters)

    @property
    def returns(self) -> TypeCodec[Any]:
        """The codec of the result.

        Raises:
            TypeError: as `resolve`.
        """
        if self._returns is None:
            where = f"the result of {self.place}"
            annotation = self._return_annotation
            hint = Any if annotation is inspect.Signature.empty else self._resolved(annotation, where)
            self._returns = codec_of(hint, where=where, localns=self._localns)
        return self._returns

    def resolve(self) -> None:
        """Resolve all hints now, so that trouble shows before a call does.

        Raises:
            TypeError: a hint cannot be resolved or carried; names parameter, type and cure.
        """
        self._codecs_by_name()
        _ = self.returns

    def encode_args(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        limit_bytes: int = PAYLOAD_BYTES_MAX,
        what: str | None = None,
    ) -> EncodedArgs:
        """Return the arguments of a call as an object by parameter name; those that were not passed are left out.

        Args:
            limit_bytes: the largest size allowed.
            what: how the message about the size calls them; by default "the arguments of" the function.

        Raises:
            TypeError: the function cannot be called like that, as a plain call would say.
            NotSerializable: with `.type` and `.path`, which begins with the parameter: `$.order.items[3].price`.
            PayloadTooLarge: with `.size_bytes` and `.limit_bytes`.
        """
        codecs = self._codecs or self._codecs_by_name()
        passed = self._bound(args, kwargs)
        try:
            forms = {name: codecs[name].forms(value) for name, value in passed.items()}
            raw = _encode({name: form for name, (form, _) in forms.items()})
            is_sound = not payload.is_suspect(raw) and self._numbers_fit(raw, forms)
        except Exception:  # noqa: BLE001 - what the author's classes raise; said below, with its place
            return self._encoded_with_care(codecs, passed, limit_bytes=limit_bytes, what=what)
        if not is_sound:
            return self._encoded_with_care(codecs, passed, limit_bytes=limit_bytes, what=what)
        payload.check_size(raw, limit_bytes=limit_bytes, what=what or f"the arguments of {self.place}")
        if all(form is for_address for form, for_address in forms.values()):
            return EncodedArgs(raw, raw)
        return EncodedArgs(raw, _encode({name: for_address for name, (_, for_address) in forms.items()}))

    def decode_args(self, raw: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what to call the function with: positional arguments, and those by keyword.

        Raises:
            TypeError: as `resolve`.
            InvalidInput: the object does not fit the parameters; `.path` says where.
        """
        codecs = self._codecs or self._codecs_by_name()
        try:
            found = _decode_object(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInput(
                f"the arguments of {self.place} must be an object by parameter name: {self._known()}. ({error})",
                path="$",
            ) from error
        self._check_names(found)
        return self._call({name: codecs[name].decode(bytes(value), at=(None, name)) for name, value in found.items()})

    def input_schema(self) -> dict[str, Json]:
        """Return the JSON Schema of the object that `decode_args` takes.

        Raises:
            TypeError: as `resolve`.
        """
        properties: dict[str, Json] = {}
        definitions: dict[str, Json] = {}
        for name, codec in self._codecs_by_name().items():
            properties[name] = _merged(*codec.schema_parts(), into=definitions)
        schema: dict[str, Json] = {
            "type": "object",
            "properties": properties,
            "required": sorted(self._required, key=list(properties).index),
            "additionalProperties": False,
        }
        return whole_schema(schema, definitions)

    def output_schema(self) -> dict[str, Json]:
        """Return the JSON Schema of the result.

        Raises:
            TypeError: as `resolve`.
        """
        return self.returns.schema()

    # ------------------------------------------------------------------------------------------------------- inside

    def _codecs_by_name(self) -> dict[str, TypeCodec[Any]]:
        if self._codecs is None:
            codecs = {name: self._codec_of(parameter) for name, parameter in self._parameters.items()}
            self._holds_floats = any(codec.holds_floats for codec in codecs.values())
            self._codecs = codecs
        return self._codecs

    def _numbers_fit(self, raw: bytes, forms: Mapping[str, tuple[object, object]]) -> bool:
        if not ((payload.RAW_NULL in raw and self._holds_floats) or payload.has_long_number(raw)):
            return True
        plain = [form for form, _ in forms.values()]
        return payload.numbers_fit(msgspec.to_builtins(plain, str_keys=True, enc_hook=encode_foreign))

    def _codec_of(self, parameter: _Parameter) -> TypeCodec[Any]:
        where = f"parameter `{parameter.name}` of {self.place}"
        is_annotated = parameter.annotation is not inspect.Parameter.empty
        hint = self._resolved(parameter.annotation, where) if is_annotated else Any
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            hint = list[hint]  # type: ignore[valid-type]  # a hint that is known only when the program runs
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            is_unpacked = str(typing.get_origin(hint)).endswith(".Unpack")  # of typing, or typing_extensions
            hint = typing.get_args(hint)[0] if is_unpacked else dict[str, hint]  # type: ignore[valid-type]  # as above
        return codec_of(hint, where=where, localns=self._localns)

    def _resolved(self, annotation: object, where: str) -> Hint:
        return resolve_hint(annotation, self.fn, localns=self._localns, where=where)

    def _bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments that were passed, by name. `Signature.bind` does it too, but takes longer."""
        if len(args) <= len(self._by_position) and kwargs.keys() <= self._by_keyword:
            passed = dict(zip(self._by_position, args, strict=False))
            if not kwargs or passed.keys().isdisjoint(kwargs):
                passed.update(kwargs)
                if self._required <= passed.keys():
                    return passed
        try:
            passed = self._signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{self.place}(): {error}") from None
        if missing := self._required - passed.keys():  # Python 3.13.0 binds f(a, /, **more) to f(a=1), which it is not
            raise TypeError(f"{self.place}(): missing a required argument: {min(missing)!r}")
        return passed

    def _encoded_with_care(
        self, codecs: Mapping[str, TypeCodec[Any]], passed: Mapping[str, Any], *, limit_bytes: int, what: str | None
    ) -> EncodedArgs:
        """Encode each argument by itself, so that what is wrong is said with its place."""
        parts: dict[str, msgspec.Raw] = {}
        for name, value in passed.items():
            parts[name] = msgspec.Raw(codecs[name].encode(value, limit_bytes=limit_bytes, at=(None, name)))
        raw = _encode(parts)
        if payload.is_suspect(raw):  # each is within the levels allowed; the object around them is one more
            payload.judge(msgspec.json.decode(raw))
        payload.check_size(raw, limit_bytes=limit_bytes, what=what or f"the arguments of {self.place}")
        for name, value in passed.items():
            parts[name] = msgspec.Raw(codecs[name].encode_for_address(value))
        return EncodedArgs(raw, _encode(parts))

    def _check_names(self, found: Mapping[str, object]) -> None:
        unknown = sorted(found.keys() - self._parameters.keys())
        if unknown:
            raise InvalidInput(
                f"{self.place} has no parameter {', '.join(map(repr, unknown))}; it has {self._known()}",
                path=payload.path_text((None, unknown[0])),
            )
        missing = [name for name in self._parameters if name in self._required and name not in found]
        if missing:
            raise InvalidInput(
                f"{self.place} needs {', '.join(map(repr, missing))}; it has {self._known()}",
                path=payload.path_text((None, missing[0])),
            )

    def _known(self) -> str:
        return ", ".join(map(repr, self._parameters)) or "no parameters"

    def _call(self, found: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Pass by position as far as no parameter was left out, and by keyword from there on."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        is_gapless = True
        for name, kind, _, _ in self._parameters.values():
            if name not in found:
                is_gapless = False
            elif kind is inspect.Parameter.VAR_POSITIONAL:
                args.extend(found[name])
            elif kind is inspect.Parameter.VAR_KEYWORD:
                kwargs.update(found[name])
            elif kind in _TAKES_POSITION and is_gapless:
                args.append(found[name])
            elif kind is inspect.Parameter.POSITIONAL_ONLY:
                raise InvalidInput(
                    f"{self.place} takes {name!r} by position only, so what stands before it must be given too",
                    path=payload.path_text((None, name)),
                )
            else:
                kwargs[name] = found[name]
        return tuple(args), kwargs


def locals_of(frame: FrameType) -> dict[str, Any]:
    """Return the names that hints written in `frame` may use, beside those of its module.

    Types and modules only: a definition lives long, and must not keep alive whatever else its definer had at hand.
    """
    if frame.f_locals is frame.f_globals:
        return {}
    return {name: value for name, value in frame.f_locals.items() if _may_stand_in_hint(value)}


def _may_stand_in_hint(value: object) -> bool:
    return isinstance(value, type | ModuleType) or type(value).__module__ in {"typing", "typing_extensions", "types"}


_TAKES_MANY: Final = frozenset({inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD})
_TAKES_POSITION: Final = frozenset(
    {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
)
_TAKES_KEYWORD: Final = frozenset({inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD})


def _merged(schema: dict[str, Json], definitions: Mapping[str, Json], *, into: dict[str, Json]) -> dict[str, Json]:
    """Add definitions to those of other parameters; a name that stands for something else there gets a number."""
    renamed: dict[str, str] = {}
    for name, definition in definitions.items():
        new, number = name, 1
        while into.get(new, definition) != definition:
            number += 1
            new = f"{name}_{number}"
        renamed[name] = new
    for name, definition in definitions.items():
        into[renamed[name]] = _with_references(definition, renamed)
    found = _with_references(schema, renamed)
    assert isinstance(found, dict), "a schema stays an object"
    return found


def _with_references(part: Json, renamed: Mapping[str, str]) -> Json:
    if isinstance(part, dict):
        return {
            key: REFERENCE_PREFIX + renamed[value.removeprefix(REFERENCE_PREFIX)]
            if key == "$ref" and isinstance(value, str) and value.removeprefix(REFERENCE_PREFIX) in renamed
            else _with_references(value, renamed)
            for key, value in part.items()
        }
    if isinstance(part, list):
        return [_with_references(child, renamed) for child in part]
    return part
