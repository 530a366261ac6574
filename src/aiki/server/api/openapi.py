"""The OpenAPI 3.1 document, made from the table of routes and the types of messages.

The rule: nothing is described by hand. msgspec's own `schema_components` cannot write fields that default to an empty
payload; what msgspec tells of a type (`msgspec.inspect`) is enough to write the schema here.
"""

import inspect
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

import msgspec
from msgspec import NODEFAULT, Raw, UnsetType
from msgspec import inspect as types

from aiki.model.payload import Json
from aiki.server.api.call import Route
from aiki.server.api.problems import PROBLEMS, ProblemDetails

__all__ = ["document"]

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"
PROBLEM_JSON: Final = "application/problem+json"
COMPONENT: Final = "#/components/schemas/"
PATH_KIND: Final = ":path}"  # how the router writes that a parameter may hold slashes

_PLAIN: Final[dict[type[types.Type], dict[str, Json]]] = {
    types.AnyType: {},
    types.RawType: {},
    types.NoneType: {"type": "null"},
    types.BoolType: {"type": "boolean"},
    types.IntType: {"type": "integer"},
    types.FloatType: {"type": "number"},
    types.StrType: {"type": "string"},
}
_BOUNDS: Final = {"ge": "minimum", "le": "maximum"}


def document(routes: Iterable[Route], *, version: str, root_path: str = "") -> Raw:
    """Return the document as JSON; `root_path` is where the API is mounted."""
    schemas = _Schemas()
    paths: dict[str, dict[str, Json]] = {}
    for route in routes:
        paths.setdefault(route.path.replace(PATH_KIND, "}"), {})[route.method.lower()] = _operation(route, schemas)
    problem = schemas.of(ProblemDetails)
    described = {
        "openapi": "3.1.0",
        "info": {
            "title": "Aiki",
            "version": version,
            "description": "Durable workflows. Times are integer milliseconds UTC; fields at their default are left out.",
        },
        "servers": [{"url": root_path or "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": {
                "Problem": {
                    "description": "It is refused. Codes: " + ", ".join(sorted(PROBLEMS)) + ".",
                    "content": {PROBLEM_JSON: {"schema": problem}},
                }
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key, `aiki_...`."}},
        },
    }
    return Raw(msgspec.json.encode(described))


def _operation(route: Route, schemas: "_Schemas") -> dict[str, Json]:
    answers: dict[str, dict[str, Json]] = {
        str(status): {"description": HTTPStatus(status).phrase if status == route.status else route.others[status]}
        for status in (route.status, *route.others)
    }
    if route.answer is not None:
        for answer in answers.values():
            answer["content"] = {EVENT_STREAM if route.is_stream else JSON: {"schema": schemas.of(route.answer)}}
    operation: dict[str, Json] = {
        "operationId": route.name,
        "summary": route.summary,
        "responses": {**answers, "default": {"$ref": "#/components/responses/Problem"}},
    }
    parameters = _parameters(route, schemas)
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "required": _must_be_said(types.type_info(route.body)),
            "content": {JSON: {"schema": schemas.of(route.body)}},
        }
    if route.role is not None:
        operation["description"] = f"For the role `{route.role}`, and those that include it."
        operation["security"] = [{"key": []}, {}]
    return operation


def _parameters(route: Route, schemas: "_Schemas") -> list[dict[str, Json]]:
    described = types.type_info(route.asked)
    assert isinstance(described, types.StructType)
    found: list[dict[str, Json]] = []
    for field in described.fields:
        is_in_path = f"{{{field.encode_name}}}" in route.path or f"{{{field.encode_name}{PATH_KIND}" in route.path
        schema = schemas.of_field(field)
        found.append(
            {
                "name": field.encode_name,
                "in": "path" if is_in_path else "query",
                "required": field.required,
                **({"description": schema.pop("description")} if "description" in schema else {}),
                "schema": schema,
            }
        )
    return found


def _must_be_said(body: types.Type) -> bool:
    """Whether a request without a body, which is read as an empty one, cannot be meant."""
    return (
        any(field.required for field in body.fields) if isinstance(body, types.StructType) else body != types.RawType()
    )


class _Schemas:
    """Schemas of types; those of structs and enums are written once, as components."""

    def __init__(self) -> None:
        self.components: dict[str, dict[str, Json]] = {}

    def of(self, kind: Any) -> dict[str, Json]:  # noqa: ANN401 - any type
        return self._schema(types.type_info(kind))

    def of_field(self, field: types.Field) -> dict[str, Json]:
        schema = self._schema(field.type)
        default = field.default_factory() if field.default_factory is not NODEFAULT else field.default
        if not isinstance(default, Raw | UnsetType | msgspec.Struct | type(NODEFAULT)) and "$ref" not in schema:
            schema["default"] = msgspec.to_builtins(default)
        return schema

    def _schema(self, kind: types.Type) -> dict[str, Json]:
        match kind:
            case types.Metadata():
                return {**self._schema(kind.type), **(kind.extra_json_schema or {})}
            case types.StructType():
                return self._component(kind.cls, kind)
            case types.EnumType():
                return self._component(kind.cls, None)
            case types.LiteralType():
                return {"enum": list(kind.values)}
            case types.ListType():
                return {"type": "array", "items": self._schema(kind.item_type)}
            case types.VarTupleType():
                return {"type": "array", "items": self._schema(kind.item_type)}
            case types.DictType():
                return {"type": "object", "additionalProperties": self._schema(kind.value_type)}
            case types.UnionType():
                return {"anyOf": [self._schema(one) for one in kind.types]}
        bounds = {word: bound for name, word in _BOUNDS.items() if (bound := getattr(kind, name, None)) is not None}
        return {**_PLAIN[type(kind)], **bounds}

    def _component(self, kind: type, described: types.StructType | None) -> dict[str, Json]:
        name = kind.__name__
        if name not in self.components:
            component = self.components[name] = {}  # before its fields: one may hold another of its kind
            component["description"] = inspect.getdoc(kind) or ""
            if described is None:
                component.update(type="string", enum=[member.value for member in kind])  # type: ignore[attr-defined]  # an enum is iterable
            else:
                component["type"] = "object"
                component["properties"] = {field.encode_name: self.of_field(field) for field in described.fields}
                component["required"] = [field.encode_name for field in described.fields if field.required]
        return {"$ref": f"{COMPONENT}{name}"}
