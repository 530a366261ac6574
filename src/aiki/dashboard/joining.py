"""Many modules of JavaScript become one file, since fifty files take a browser ten times as long as one.

The rule: what stands in a file is not changed but for its imports and exports, of which just the forms are known that
this dashboard and its vendored libraries use; another form is refused, and so is a circle. Each module keeps a scope of
its own, and is evaluated once, after those that it imports.
"""

import re
from collections.abc import Mapping
from posixpath import dirname, join, normpath
from typing import Final

from msgspec import Struct

__all__ = ["joined"]

_IMPORT: Final = re.compile(r'import\s*(?:(\w+)\s*|\{([^}]*)\}\s*)?(?:from\s*)?"([^"]+)";?\s*')
_BEFORE: Final = re.compile(r"(?:\s+|/\*.*?\*/|//[^\n]*\n)*", re.DOTALL)
_LIST: Final = re.compile(r'\bexport\s*\{([^}]*)\}(?:\s*from\s*"([^"]+)")?;?')
_DECLARED: Final = re.compile(r"^export ((?:async function|function|const|class) (\w+))", re.MULTILINE)
_DEFAULT: Final = re.compile(r"\bexport default ")
_LEFT: Final = re.compile(r"^\s*(?:import|export)\b(?!\()", re.MULTILINE)
_MAP: Final = re.compile(r"//# sourceMappingURL=\S*\s*$")


class _Module(Struct, frozen=True):
    """A module without its imports and exports: `needs` are the paths of others, `names` what it exports and as what."""

    needs: tuple[str, ...]
    imports: str
    body: str
    names: tuple[tuple[str, str], ...]


def joined(contents: Mapping[str, bytes], *, entry: str) -> bytes:
    r"""Return a module and all that it imports, as one module.

    Args:
        contents: the files by their path.
        entry: the path of the module to begin with.

    Raises:
        ValueError: a form is not known, a file is not there, or modules import one another in a circle.

    >>> files = {"a.js": b'import { two } from "./lib/b.js";\nlog(two);\n', "lib/b.js": b"export const two = 2;\n"}
    >>> print(joined(files, entry="a.js").decode())
    /* lib/b.js */
    const module$0 = (() => {
    const two = 2;
    return { two: two };
    })();
    /* a.js */
    const module$1 = (() => {
    const { two: two } = module$0;
    log(two);
    return {  };
    })();
    <BLANKLINE>
    """
    places: dict[str, int] = {}
    parts: list[str] = []
    _visit(contents, entry, path=(), places=places, parts=parts)
    return "".join(parts).encode()


def _visit(
    contents: Mapping[str, bytes], name: str, *, path: tuple[str, ...], places: dict[str, int], parts: list[str]
) -> None:
    """Append a module, after those that it imports."""
    if name in places:
        return
    if name in path:
        raise ValueError(f"modules import one another in a circle: {' > '.join([*path, name])}")
    if name not in contents:
        raise ValueError(f"{path[-1] if path else 'the page'} imports {name}, which is not there")
    module = _module(name, contents[name].decode())
    for needed in module.needs:
        _visit(contents, needed, path=(*path, name), places=places, parts=parts)
    places[name] = len(places)
    numbered = re.compile("|".join(re.escape(f"<{needed}>") for needed in module.needs) or r"(?!)")

    def number(text: str) -> str:
        return numbered.sub(lambda found: f"module${places[found[0][1:-1]]}", text)

    names = ", ".join(f"{exported}: {number(own)}" for exported, own in module.names)
    parts.append(
        f"/* {name} */\nconst module${places[name]} = (() => {{\n{number(module.imports)}{module.body}"
        f"return {{ {names} }};\n}})();\n"
    )


def _module(name: str, text: str) -> _Module:
    needs: list[str] = []
    imports: list[str] = []
    names: list[tuple[str, str]] = []

    def needed(address: str) -> str:
        found = normpath(join(dirname(name), address))
        needs.append(found)
        return f"<{found}>"

    at = _end_of(_BEFORE, text, 0)
    while found := _IMPORT.match(text, at):
        source = needed(found[3])
        if found[1]:
            imports.append(f"const {{ default: {found[1]} }} = {source};\n")
        elif found[2]:
            pairs = ", ".join(f"{theirs}: {own}" for theirs, own in _pairs(found[2]))
            imports.append(f"const {{ {pairs} }} = {source};\n")
        at = _end_of(_BEFORE, text, found.end())

    def listed(found: re.Match[str]) -> str:
        source = f"{needed(found[2])}." if found[2] else ""
        names.extend((exported, f"{source}{own}") for own, exported in _pairs(found[1]))
        return ""

    def declared(found: re.Match[str]) -> str:
        names.append((found[2], found[2]))
        return found[1]

    def default(_: re.Match[str]) -> str:
        names.append(("default", "default$"))
        return "const default$ = "

    body = _DECLARED.sub(declared, _LIST.sub(listed, _MAP.sub("", text[at:])))
    body = _DEFAULT.sub(default, body).rstrip()
    if left := _LEFT.search(body):
        raise ValueError(f"{name} imports or exports in a form that is not known: {body[left.start() :][:80]!r}")
    return _Module(
        tuple(needs), "".join(imports), f"{body}\n" if body.endswith((";", "}")) else f"{body};\n", tuple(names)
    )


def _pairs(listed: str) -> list[tuple[str, str]]:
    """Return `a, b as c` as pairs: each name, and the one that it goes by."""
    found: list[tuple[str, str]] = []
    for one in filter(None, (part.strip() for part in listed.split(","))):
        name, _, other = (word.strip() for word in one.partition(" as "))
        found.append((name, other or name))
    return found


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()
