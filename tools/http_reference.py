"""Makes docs/http.md from the OpenAPI document; `make docs` writes it.

The rule: nothing is said here that the document does not say; a house test holds the page to what this makes.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from aiki.server.api.openapi import document
from aiki.server.api.problems import PROBLEMS
from aiki.server.api.routes import ROUTES

__all__ = ["PAGE", "page"]

PAGE: Final = Path(__file__).parents[1] / "docs/http.md"
COMPONENT: Final = "#/components/schemas/"
HEAD: Final = """# The HTTP API

<!-- Made by `make docs` from the OpenAPI document, which a server gives at `/openapi.json`. -->

JSON both ways. Times are integer milliseconds, UTC; fields at their default are left out of answers. Whoever needs a key sends
`Authorization: Bearer aiki_...`. A server that was given neither keys nor an authoriser answers only where the `Host` is loopback.

Each call may be repeated: starts by `run_id`, events and requests by `message_id`, commits by epoch and turn. A 503 says when to
come back in `Retry-After`.
"""
PROBLEM_HEAD: Final = """## Problems

What is refused is answered with problem details (RFC 9457), `application/problem+json`: `status`, `title` and `detail` for people,
`code` for programs, `path` for the place in the request, and `facts`.

| Code | Status | Means |
|---|---|---|
"""


def page() -> str:
    """Return the page."""
    described: dict[str, Any] = msgspec.json.decode(document(ROUTES, version=""))
    parts = [HEAD, "## Addresses\n", *_overview(described), ""]
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            parts += _operation(f"{method.upper()} {path}", operation)
    parts += [PROBLEM_HEAD + "\n".join(f"| `{c}` | {kind.status} | {kind.title} |" for c, kind in PROBLEMS.items()), ""]
    parts.append("## Shapes\n")
    for name, schema in sorted(described["components"]["schemas"].items()):
        parts += _shape(name, schema)
    return "\n".join(parts).rstrip() + "\n"


def _overview(described: Mapping[str, Any]) -> Iterator[str]:
    yield "| | | For |\n|---|---|---|"
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            address = f"{method.upper()} {path}"
            yield f"| [`{address}`](#{_anchor(address)}) | {operation['summary']} | {_role(operation)} |"


def _role(operation: Mapping[str, Any]) -> str:
    said = operation.get("description", "").split("`")
    return said[1] if len(said) > 1 else "anybody"


def _anchor(title: str) -> str:
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def _operation(address: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {address}\n"
    yield f"{operation['summary']}.\n"
    if parameters := operation.get("parameters"):
        yield "| Parameter | In | Type | |\n|---|---|---|---|"
        for one in parameters:
            needed = " (needed)" if one["required"] else ""
            yield f"| `{one['name']}` | {one['in']}{needed} | {_type(one['schema'])} | {_said(one, one['schema'])} |"
        yield ""
    if "requestBody" in operation:
        yield f"Body: {_type(operation['requestBody']['content']['application/json']['schema'])}\n"
    yield "| Status | Answer | |\n|---|---|---|"
    for status, answer in operation["responses"].items():
        if status == "default":
            continue
        content = answer.get("content", {}).get("application/json")
        yield f"| {status} | {_type(content['schema']) if content else 'nothing'} | {answer['description']} |"
    yield ""


def _shape(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    yield f"{_prose(schema.get('description', ''))}\n"
    if "enum" in schema:
        yield "One of " + ", ".join(f"`{value}`" for value in schema["enum"]) + ".\n"
        return
    if not schema.get("properties"):
        return
    yield "| Field | Type | |\n|---|---|---|"
    for field, kind in schema["properties"].items():
        needed = "needed. " if field in schema.get("required", ()) else ""
        yield f"| `{field}` | {_type(kind)} | {needed}{_said(kind)} |"
    yield ""


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(COMPONENT)
        return f"[{name}](#{_anchor(name)})"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    match schema.get("type"):
        case "array":
            return f"array of {_type(schema['items'])}"
        case "object":
            return f"object of {_type(schema.get('additionalProperties', {}))}"
        case None:
            return "any JSON"
        case kind:
            bounds = [f"{word} {schema[key]}" for word, key in (("≥", "minimum"), ("≤", "maximum")) if key in schema]
            return " ".join([str(kind), *bounds])


def _said(*described: Mapping[str, Any]) -> str:
    said = next((one["description"] for one in described if one.get("description")), "")
    default = next((one["default"] for one in described if "default" in one), None)
    shown = "" if default in (None, "", [], {}) else f"Default: `{json.dumps(default)}`."
    return " ".join(filter(None, [_prose(said).replace("\n", " ").replace("|", "\\|"), shown]))


def _prose(text: str) -> str:
    """Return a docstring as Markdown: its list of attributes too."""
    lines = []
    is_listed = False
    for line in text.splitlines():
        if line.strip() == "Attributes:":
            is_listed = True
        elif is_listed and line.startswith("    ") and not line.startswith("     "):
            lines.append(f"- {line.strip()}")
        else:
            lines.append(f"  {line.strip()}" if is_listed and line.strip() else line.strip())
    return "\n".join(lines).strip()
