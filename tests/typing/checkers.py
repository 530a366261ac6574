"""Runs a type checker once over a folder of programs, and tells at which lines it found errors.

The rule: the checkers see what a user's see, the package's own annotations and no plugin.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

ROOT: Final = Path(__file__).parents[2]
MYPY_LINE: Final = re.compile(r"(?P<file>[^:]+):(?P<line>\d+): error: (?P<message>.*)")

Found: TypeAlias = Mapping[str, Mapping[int, str]]
"""By the file's name: what is wrong at which line."""


def mypy_strict(folder: Path) -> Found:
    """Check all programs in a folder with `mypy --strict`."""
    settings = folder / "mypy.ini"
    settings.write_text(f"[mypy]\nstrict = true\npython_version = 3.11\nmypy_path = {ROOT / 'src'}\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", str(settings), "--no-error-summary", "--no-pretty"]
    command += ["--cache-dir", str(ROOT / ".mypy_cache" / "typing"), *(path.name for path in _programs(folder))]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    return _by_file(
        (found["file"], int(found["line"]), found["message"])
        for line in ran.stdout.splitlines()
        if (found := MYPY_LINE.match(line))
    )


def basedpyright_standard(folder: Path) -> Found:
    """Check all programs in a folder with basedpyright in its mode `standard`."""
    settings = {
        "typeCheckingMode": "standard",
        "pythonVersion": "3.11",
        "extraPaths": [str(ROOT / "src")],
        "include": [path.name for path in _programs(folder)],
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(folder)]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    return _by_file(
        (Path(error["file"]).name, error["range"]["start"]["line"] + 1, error["message"])
        for error in json.loads(ran.stdout)["generalDiagnostics"]
        if error["severity"] == "error"
    )


CHECKERS: Final[Mapping[str, Callable[[Path], Found]]] = {
    "mypy": mypy_strict,
    "basedpyright": basedpyright_standard,
}


def _programs(folder: Path) -> list[Path]:
    programs = sorted(folder.glob("*.py"))
    assert programs, f"there is no program in {folder}"
    return programs


def _by_file(errors: Iterable[tuple[str, int, str]]) -> dict[str, dict[int, str]]:
    found: dict[str, dict[int, str]] = {}
    for file, line, message in errors:
        found.setdefault(file, {})[line] = message
    return found
