"""The programs of `examples/` print what their headers say, started as the header says, and in virtual time.

A header is checked as it stands: below `$ python examples/NAME.py` is what that prints, to the letter.
"""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

import aiki
import aiki.testing
from aiki import Version
from tests.house.sources import ROOT

EXAMPLES: Final = ROOT / "examples"
INDEX: Final = EXAMPLES / "README.md"
COMMAND: Final = re.compile(r"^    \$ python (?P<path>examples/\w+\.py)\n(?P<output>(?:    .*\n)+)", re.MULTILINE)
PROGRAM_S_MAX: Final = 60

PROGRAMS: Final = {
    path.name: (path, COMMAND.search(text))
    for path in sorted(EXAMPLES.glob("*.py"))
    if "async def main()" in (text := path.read_text(encoding="utf-8"))
}
OUTSIDE: Final = {"blocking_script.py": "its client speaks HTTP from a thread, in real time"}


@pytest.mark.parametrize(("path", "header"), PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_prints_what_its_header_says(path: Path, header: re.Match[str] | None, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PROGRAM_S_MAX,
        check=False,
    )

    assert (done.stdout, done.stderr) == (_said(header), "")
    assert header is not None
    assert header["path"] == f"examples/{path.name}"
    assert list(tmp_path.iterdir()) == [], "it can be run again"


@pytest.mark.parametrize("name", sorted(set(PROGRAMS) - set(OUTSIDE)))
async def test_a_program_does_the_same_in_virtual_time(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, header = PROGRAMS[name]
    monkeypatch.setattr(aiki, "local", _virtual_local)

    await _imported(path).main()

    assert capsys.readouterr().out == _said(header)


def test_the_index_names_each_example_with_what_its_header_begins_with() -> None:
    index = INDEX.read_text(encoding="utf-8")

    assert [path.name for path in EXAMPLES.glob("*.py") if f"({path.name})" not in index] == []


def _virtual_local(
    database: str | Path = "aiki.db", workflows: Sequence[Version[..., Any, Any]] = (), **options: Any
) -> AbstractAsyncContextManager[aiki.Client]:
    return aiki.testing.local(workflows, database=database, **options)


def _imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where type hints are looked up
    spec.loader.exec_module(module)
    return module


def _said(header: re.Match[str] | None) -> str:
    assert header is not None, "a header shows the command, and indented below it what it prints"
    return re.sub(r"^    ", "", header["output"], flags=re.MULTILINE)
