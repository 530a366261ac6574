"""The dashboard's JavaScript as TypeScript's checker reads it: names that are not there, wrong numbers of arguments.

Nobody needs Node to work on Aiki: where npm is there, the checker is fetched once into `.venv`, and where it cannot be,
the test says so and stands back.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.house.sources import ROOT

TYPESCRIPT: Final = "typescript@5.9.3"
FETCHED_S_MAX: Final = 120


def _checker() -> str:
    """Return the path of tsc, fetched if need be."""
    if installed := shutil.which("tsc"):
        return installed
    folder = Path(sys.prefix) / "typescript"
    found = folder / "node_modules" / ".bin" / "tsc"
    npm, node = shutil.which("npm"), shutil.which("node")
    if node is None or npm is None:
        pytest.skip("there is no Node here to check the dashboard's types with")
    if not found.exists():
        command = [
            npm,
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--no-save",
            "--prefix",
            str(folder),
            TYPESCRIPT,
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=FETCHED_S_MAX, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("npm did not fetch TypeScript in time")
        if done.returncode != 0 or not found.exists():
            pytest.skip(f"npm cannot fetch TypeScript here: {done.stderr[-300:]}")
    return str(found)


def test_the_types_of_the_dashboard_fit() -> None:
    command = [_checker(), "-p", str(ROOT / "tools" / "dashboard_types")]

    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert [line for line in done.stdout.splitlines() if "/vendor/" not in line] == []
