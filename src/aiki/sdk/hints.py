"""Type hints: evaluated late, with the names that were in sight where they were written.

The rule: a hint is resolved on first use, never at definition (what it names may be defined further down), and one
that cannot be resolved is a `TypeError` that names the place, the hint and the cure.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

if sys.version_info >= (3, 14):
    import annotationlib


__all__ = [
    "Hint",
    "call_signature",
    "class_hints",
    "holds_pydantic",
    "own_annotations",
    "place_of",
    "resolve_hint",
]

Hint = Any
"""A type hint as it stands in code: a class, a generic alias, a union, None, a string ... no type covers them all."""

_PYDANTIC_MODULES: Final = frozenset({"pydantic", "pydantic_core", "pydantic_extra_types", "annotated_types"})
_PYDANTIC_MARKS: Final = ("__get_pydantic_core_schema__", "__pydantic_core_schema__", "__pydantic_validator__")


def call_signature(fn: Callable[..., object]) -> inspect.Signature:
    """Return a function's signature with its annotations as written, where need be unresolved."""
    if sys.version_info >= (3, 14):
        return inspect.signature(fn, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(fn)


def place_of(fn: Callable[..., object]) -> str:
    """Return how messages call a function: `shop.orders.charge_card`."""
    inner = _innermost(fn)
    return f"{getattr(inner, '__module__', '?')}.{getattr(inner, '__qualname__', repr(inner))}"


def resolve_hint(
    annotation: object, fn: Callable[..., object], *, localns: Mapping[str, Any] | None, where: str
) -> Hint:
    """Return the type that an annotation of `fn` stands for.

    Args:
        annotation: as found in the signature: a type, or a string.
        localns: the names in sight where `fn` was defined, below those of its module.
        where: how the message calls the place: "parameter `order` of shop.charge".

    Raises:
        TypeError: a name in it is not defined.
    """
    globalns = getattr(_innermost(fn), "__globals__", {})
    return _resolved({"hint": annotation}, globalns, localns=localns, where=where)["hint"]


def class_hints(cls: type, *, localns: Mapping[str, Any] | None, where: str) -> dict[str, Hint]:
    """Return the resolved annotations of a class and its bases, by name; `ClassVar` and the like included.

    Raises:
        TypeError: a name in one of them is not defined.
    """
    found: dict[str, Hint] = {}
    for base in reversed(cls.__mro__):
        globalns = getattr(sys.modules.get(base.__module__), "__dict__", {})
        names = {**(localns or {}), **vars(base)}
        found |= _resolved(own_annotations(base), globalns, localns=names, where=f"{where}: {base.__qualname__}")
    return found


def holds_pydantic(hint: Hint, *, localns: Mapping[str, Any] | None = None) -> bool:
    """Return whether a pydantic type stands in `hint`, at any depth: in generics, fields, metadata.

    Where the author has not imported pydantic there can be none. Classes that were defined inside a function, and name
    each other in annotations that are still text, get these resolved on the way: see `_settle`.
    """
    pydantic_is_loaded = "pydantic" in sys.modules
    if not pydantic_is_loaded and not localns:
        return False
    found = False
    seen: set[int] = set()
    stack: list[Hint] = [hint]
    while stack:  # a class is entered once, so this ends with the classes that the hint can reach
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        found = found or (pydantic_is_loaded and _is_pydantic(part))
        stack.extend(_parts(part, localns))
    return found


# --------------------------------------------------------------------------------------------------------- resolution


def _innermost(fn: Callable[..., object]) -> Callable[..., object]:
    """Return the function that was written, under decorators and partials: its module has the names."""
    while isinstance(fn, functools.partial) or hasattr(fn, "__wrapped__"):
        fn = fn.func if isinstance(fn, functools.partial) else inspect.unwrap(fn)
    return fn


def _resolved(
    annotations: Mapping[str, object], globalns: dict[str, Any], *, localns: Mapping[str, Any] | None, where: str
) -> dict[str, Hint]:
    def bearer() -> None: ...

    # typing evaluates the text in annotations, nested text too (`list["Order"]`), but only those of a function or
    # class: so these few are hung on a function of our own, and one bad annotation does not spoil its neighbours.
    bearer.__annotations__ = dict(annotations)
    try:
        return typing.get_type_hints(bearer, globalns=globalns, localns=dict(localns or {}), include_extras=True)
    except NameError as error:
        shown = " or ".join(f"`{_shown(annotation)}`" for annotation in annotations.values())
        raise TypeError(
            f"{where} is annotated {shown}, and {error}. Define or import that name at the top of the module, "
            "outside `if TYPE_CHECKING`."
        ) from error
    except (SyntaxError, TypeError, AttributeError) as error:
        shown = " or ".join(f"`{_shown(annotation)}`" for annotation in annotations.values())
        raise TypeError(f"{where} is annotated {shown}, which is no type: {error}.") from error


def _shown(annotation: object) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def own_annotations(cls: type) -> dict[str, Hint]:
    """Return the annotations of a class without those of its bases, as written, where need be unresolved."""
    if sys.version_info >= (3, 14):
        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    return inspect.get_annotations(cls)


# ----------------------------------------------------------------------------------------------------- what a hint holds


def _is_pydantic(part: Hint) -> bool:
    """Whether `part` is a class or a piece of metadata that speaks to pydantic and means nothing to msgspec."""
    if isinstance(part, type):
        return any(hasattr(part, mark) for mark in _PYDANTIC_MARKS)
    return type(part).__module__.partition(".")[0] in _PYDANTIC_MODULES or hasattr(part, _PYDANTIC_MARKS[0])


def _parts(part: Hint, localns: Mapping[str, Any] | None) -> Iterator[Hint]:
    """The hints that `part` is made of, one level down."""
    origin: object = typing.get_origin(part)
    if origin is typing.Literal:
        return
    if origin is typing.Annotated:
        yield part.__origin__
        yield from part.__metadata__
    elif origin is not None:
        yield origin
        yield from typing.get_args(part)
    elif type(part).__name__ == "TypeAliasType":  # of typing, or typing_extensions
        yield part.__value__
    elif isinstance(part, typing.NewType):
        yield part.__supertype__
    elif isinstance(part, typing.TypeVar):
        yield from (part.__bound__, *part.__constraints__)
    elif isinstance(part, type) and _has_fields(part):
        yield from _settled_hints(part, localns).values()


def _has_fields(cls: type) -> bool:
    return (
        dataclasses.is_dataclass(cls)
        or issubclass(cls, msgspec.Struct)
        or (issubclass(cls, dict) and hasattr(cls, "__total__"))  # a TypedDict of typing, or typing_extensions
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
        or hasattr(cls, "__attrs_attrs__")
    )


def _settled_hints(cls: type, localns: Mapping[str, Any] | None) -> dict[str, Hint]:
    """The hints of a class's fields; none where they cannot be resolved, for the library will say so with its words."""
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except NameError:
        if not localns:
            return {}
    except Exception:  # noqa: BLE001 - an annotation is the author's expression and may raise whatever it likes
        return {}
    try:
        hints = class_hints(cls, localns=localns, where=cls.__qualname__)
    except TypeError:
        return {}
    _settle(cls, hints)
    return hints


def _settle(cls: type, hints: Mapping[str, Hint]) -> None:
    """Write resolved hints back to a class that was defined inside a function, as `attrs.resolve_types` does.

    Its annotations are text (`from __future__ import annotations`) and name other local classes. msgspec and pydantic
    look names up in the module alone, so for them such a class would not exist.
    """
    for base in cls.__mro__:
        own = own_annotations(base)
        if own and _has_fields(base):
            base.__annotations__ = {name: hints.get(name, annotation) for name, annotation in own.items()}
    if dataclasses.is_dataclass(cls):
        for field in dataclasses.fields(cls):
            field.type = hints.get(field.name, field.type)
