"""What users import: `aiki` and nothing below it, each name with a docstring.

A docstring is asked for where a user's editor would show it: on every exported function and class, and on every public
method that such a class brings from this package.
"""

import inspect
import subprocess
import sys
from collections.abc import Iterator

import aiki


def test_what_is_exported_is_what_is_listed() -> None:
    public = {
        name
        for name, value in vars(aiki).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }

    assert public == {name for name in aiki.__all__ if not name.startswith("_")}


def test_every_exported_function_and_class_has_a_docstring() -> None:
    assert [
        name
        for name in aiki.__all__
        if callable(getattr(aiki, name)) and not (getattr(aiki, name).__doc__ or "").strip()
    ] == []


def test_every_public_method_of_an_exported_class_has_a_docstring() -> None:
    assert sorted({name for name, value in _methods() if not (inspect.getdoc(value) or "").strip()}) == []


def test_importing_it_costs_no_server_no_database_and_no_web_framework() -> None:
    heavy = (
        "aiki.engine",
        "aiki.store",
        "aiki.server.server",
        "sqlite3",
        "starlette",
        "uvicorn",
        "aiohttp",
        "cyclopts",
    )
    program = f"import sys, aiki; print([name for name in {heavy} if name in sys.modules])"

    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"


def _methods() -> Iterator[tuple[str, object]]:
    exported = [getattr(aiki, name) for name in aiki.__all__]
    for exported_class in filter(inspect.isclass, exported):
        for owner in exported_class.__mro__:
            if owner.__module__.partition(".")[0] != "aiki":
                continue
            for name, value in vars(owner).items():
                if not name.startswith("_") and isinstance(
                    value, property | staticmethod | classmethod | type(_methods)
                ):
                    yield f"{owner.__qualname__}.{name}", value
