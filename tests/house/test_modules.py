"""What each file of the house owes its reader: a header, a bounded length, honest names.

The limits are those of CONTRIBUTING.md. A file that meets one is split along what changes together; the limit stays.
"""

import ast
import re
from pathlib import Path
from typing import Final

from tests.house.sources import ROOT, Source, sources

FILE_LINES_MAX: Final = 500
FUNCTION_LINES_MAX: Final = 60
HEADER_WORDS_MIN: Final = 5

# `# type: ignore[misc]  # the reason`, and likewise for noqa and pyright.
SILENCED: Final = re.compile(
    r"#\s*(?:type:\s*ignore|pyright:\s*ignore|noqa)\b(?P<codes>\[[\w, -]+\]|:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)?(?P<reason>.*)"
)


def test_a_module_opens_with_a_sentence_on_what_it_is_for() -> None:
    assert [source.path for source in sources("src") + sources("tests") if not _opens_with_a_sentence(source)] == []


def test_a_file_fits_a_sitting() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in _texts()}

    assert {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > FILE_LINES_MAX} == {}


def test_a_function_fits_a_screen() -> None:
    lengths = {
        f"{source.at(node)} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for source in sources("src")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES_MAX} == {}


def test_what_a_module_lists_in_all_is_there() -> None:
    assert [
        f"{source.path} lists {name}"
        for source in sources("src")
        for name in sorted(set(_listed(source) or ()) - _bound(source.tree.body))
    ] == []


def test_what_a_module_shows_is_listed_in_all() -> None:
    assert [
        f"{source.at(node)} {node.name}"
        for source in sources("src")
        if (listed := _listed(source)) is not None
        for node in source.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if not node.name.startswith("_") and node.name not in listed
    ] == []


def test_no_import_is_hidden_in_a_function() -> None:
    assert [
        source.at(inner)
        for source in sources("src")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ] == []


def test_whoever_silences_a_check_says_which_and_why() -> None:
    assert [
        f"{source.path}:{number} {line.strip()}"
        for source in sources("src")
        for number, line in enumerate(source.text.splitlines(), start=1)
        if (found := SILENCED.search(line)) and not (found["codes"] and re.search(r"\w{2}", found["reason"]))
    ] == []


def _opens_with_a_sentence(source: Source) -> bool:
    header = ast.get_docstring(source.tree) or ""
    return len(header.split()) >= HEADER_WORDS_MIN and "." in header


def _texts() -> list[Path]:
    return sorted(
        path for folder in ("src", "tests") for ending in ("py", "sql") for path in (ROOT / folder).rglob(f"*.{ending}")
    )


def _listed(source: Source) -> list[str] | None:
    for node in source.tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
        ):
            return [str(name) for name in ast.literal_eval(node.value)]
    return None


def _bound(body: list[ast.stmt]) -> set[str]:
    """Return the names that a module's own statements bind, those under `if` and `try` included."""
    bound: set[str] = set()
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                bound.add(node.name)
            case ast.Import() | ast.ImportFrom():
                bound.update(alias.asname or alias.name for alias in node.names)
            case ast.Assign():
                bound.update(
                    name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)
                )
            case ast.AnnAssign(target=ast.Name(id=name)):
                bound.add(name)
            case ast.If():
                bound |= _bound(node.body) | _bound(node.orelse)
            case ast.Try():
                bound |= _bound(node.body) | _bound(
                    [statement for handler in node.handlers for statement in handler.body]
                )
    return bound
