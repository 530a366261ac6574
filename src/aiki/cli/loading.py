"""From what is typed to what is served: `orders.py`, `orders`, `orders:worker`.

The rule: what cannot be loaded is told with what was found and what would work; an error in the user's own code is shown
as Python shows it, from the first line that is his.
"""

import difflib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Final

from aiki.cli.refusal import Refusal
from aiki.sdk.workflow import Version, Workflow
from aiki.worker.worker import Worker

__all__ = ["NotLoadable", "Served", "check_there", "load"]

NAMES_MAX: Final = 8
LIKENESS: Final = 0.75
NO_LOOP_WITHIN_A_LOOP: Final = "cannot be called from a running event loop"

Versions = tuple[Version[..., Any, Any], ...]
Served = Worker | Versions
"""What a target stands for: a worker as its author made it, or versions to make one for."""


class NotLoadable(Refusal):
    """A target that cannot be loaded. `shown` is the traceback of the user's code, empty where none is to be blamed."""

    def __init__(self, message: str, shown: str = "") -> None:
        super().__init__(message)
        self.shown = shown


async def load(target: str) -> Served:
    """Import what a target names.

    It is called on an event loop so that a program which runs itself when it is imported fails at once, with advice,
    and does not serve in our place.

    Args:
        target: `FILE.py` or `module`, for all versions that it holds; with `:name`, for what bears that name.

    Raises:
        NotLoadable: there is no such thing, it cannot be imported, or is nothing to serve.
    """
    place, _, name = target.rpartition(":") if _has_name(target) else (target, "", "")
    try:
        module = _import_file(Path(place)) if place.endswith(".py") else _import_module(place)
    except NotLoadable:
        raise
    except Exception as error:  # whatever the module's code raises
        raise _broken(place, error) from error
    if not name:
        return _versions_in(module, place)
    return _served(module, name, place=place)


def check_there(target: str) -> None:
    """Make sure that the file or the module that a target names is there, without importing it.

    Raises:
        NotLoadable: it is not.
    """
    place = target.rpartition(":")[0] if _has_name(target) else target
    if place.endswith(".py"):
        _check_file(Path(place).absolute())
    elif importlib.util.find_spec(_top_of(place)) is None:
        raise _no_module(_top_of(place), place)


def _has_name(target: str) -> bool:
    _, colon, name = target.rpartition(":")
    return bool(colon) and name.isidentifier() and not name.endswith(".py")


# ------------------------------------------------------------------------------------------------ how it is imported


def _import_file(path: Path) -> ModuleType:
    path = path.absolute()
    _check_file(path)
    root, names = path.parent, [path.stem]
    while (root / "__init__.py").is_file() and root != root.parent:
        root, names = root.parent, [root.name, *names]
    _look_in(root)
    if len(names) > 1:
        return importlib.import_module(".".join(names))
    # Under its own name, unless another module bears that: a file may be called queue.py or token.py.
    name = path.stem if path.stem.isidentifier() and importlib.util.find_spec(path.stem) is None else ""
    found = importlib.util.find_spec(path.stem) if name == "" and path.stem.isidentifier() else None
    if found is not None and found.origin is not None and Path(found.origin) == path:
        return importlib.import_module(path.stem)
    spec = importlib.util.spec_from_file_location(name or f"aiki_file_{path.stem}", path)
    assert spec is not None, "a path that ends with .py has a loader"
    assert spec.loader is not None, "a path that ends with .py has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise NotLoadable(f"there is no file {path}.{_near(path)}")


def _top_of(name: str) -> str:
    """Return the first part of a module's name, which is then looked for in this folder too."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise NotLoadable(f"{name!r} is neither a file nor a module. Give FILE.py, module or module:worker.")
    _look_in(Path.cwd())
    return name.partition(".")[0]


def _no_module(missing: str, name: str) -> NotLoadable:
    return NotLoadable(f"there is no module {missing} in {Path.cwd()} nor installed.{_near(Path(name))}")


def _import_module(name: str) -> ModuleType:
    _top_of(name)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise _no_module(error.name, name) from None


def _look_in(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _near(path: Path) -> str:
    """Return the Python files that may have been meant."""
    folder = path.parent if path.is_absolute() else Path.cwd()
    files = sorted(file.name for file in folder.glob("*.py")) if folder.is_dir() else []
    if not files:
        return " There is no Python file there either: give the path of one, or a module."
    close = difflib.get_close_matches(f"{path.stem}.py", files, n=NAMES_MAX, cutoff=LIKENESS)
    if close:
        return f" Did you mean {' or '.join(close)}?"
    more = f" and {len(files) - NAMES_MAX} more" if len(files) > NAMES_MAX else ""
    return f" In this folder: {', '.join(files[:NAMES_MAX])}{more}."


def _broken(place: str, error: Exception) -> NotLoadable:
    if isinstance(error, RuntimeError) and NO_LOOP_WITHIN_A_LOOP in str(error):
        where = _last_place(error.__traceback__)
        return NotLoadable(
            f"{place} runs a program when it is imported{where}, and only its workflows are served here. Write"
            '  if __name__ == "__main__":  above that line, and indent it'
        )
    shown = "".join(traceback.format_exception(type(error), error, _first_of_user(error.__traceback__)))
    return NotLoadable(f"{place} cannot be imported: {type(error).__name__}: {error}", shown)


def _first_of_user(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the first frame on that is neither ours nor the import system's."""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file != __file__ and not file.startswith("<frozen") and f"{os.sep}importlib{os.sep}" not in file:
            return trace
        trace = trace.tb_next
    return None


def _last_place(trace: TracebackType | None) -> str:
    """Return where the user's code called what raised."""
    first = _first_of_user(trace)
    if first is None:
        return ""
    return f", at line {first.tb_lineno}"


# -------------------------------------------------------------------------------------------------------- what is there


def _versions_in(module: ModuleType, place: str) -> Versions:
    """Return all versions that a module holds; a copy with other options is the same version."""
    found: dict[Any, Version[..., Any, Any]] = {}
    for value in vars(module).values():
        if isinstance(value, Version):
            found.setdefault(value.function, value)
    if not found:
        raise NotLoadable(
            f"{place} holds no workflow to serve. A workflow's version is made with"
            ' @workflow("name").version("1.0.0") on an async def.'
        )
    return tuple(found.values())


def _served(module: ModuleType, name: str, *, place: str) -> Served:
    if not hasattr(module, name):
        raise NotLoadable(f"{place} has no {name}. {_choice(module, place)}")
    value = getattr(module, name)
    match value:
        case Worker():
            return value
        case Version():
            return (value,)
        case Sequence() if value and all(isinstance(each, Version) for each in value):
            return tuple(value)
        case Workflow():
            ours = tuple(version for version in _versions_in(module, place) if version.workflow == value.name)
            if ours:
                return ours
    raise NotLoadable(
        f"{place}:{name} is {_kind(value)}; what is served is a Worker, a workflow's version, or a list of versions."
        f" {_choice(module, place)}"
    )


def _choice(module: ModuleType, place: str) -> str:
    names = [
        f"{name} (a Worker)" if isinstance(value, Worker) else f"{name} ({value.workflow} {value.version})"
        for name, value in vars(module).items()
        if isinstance(value, Worker | Version)
    ]
    if not names:
        return "It holds neither a Worker nor a workflow's version."
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return f"It holds {', '.join(names[:NAMES_MAX])}{more}; {place} alone serves all versions."


def _kind(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "an empty list" if not value else f"a list that holds {type(value[0]).__name__}"
    return f"a {type(value).__name__}"
