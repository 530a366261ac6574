"""The documentation tells the truth: its examples run, its commands and links exist, its reasons are given.

Pages are found, not listed; a new one is held to all of this from its first commit.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

from tests.house import page
from tests.house.sources import ROOT

PAGES: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])
PAGE_TIMEOUT_S: Final = 60
LINK: Final = re.compile(r"\]\((?P<target>[^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("path", PAGES, ids=[str(path.relative_to(ROOT)) for path in PAGES])
def test_every_python_block_of_a_page_runs(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", page.__file__, str(path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PAGE_TIMEOUT_S,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {
        (str(path.relative_to(ROOT)), target)
        for path in PAGES
        for block in page.blocks(path.read_text(encoding="utf-8"), "console")
        for target in re.findall(r"^\$ make +([a-z]+)", block, flags=re.MULTILINE)
    }

    assert {(path, target) for path, target in named if target not in targets} == set()


def test_every_relative_link_leads_somewhere() -> None:
    assert [
        f"{path.relative_to(ROOT)} → {target}"
        for path in PAGES
        for target in LINK.findall(path.read_text(encoding="utf-8"))
        if "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists()
    ] == []


def test_every_dependency_has_its_reason_in_why() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    titles = " ".join(title for title, _ in _sections(ROOT / "docs/why.md"))

    assert [
        name
        for text in project["dependencies"]
        if (name := Requirement(text).name) not in re.findall(r"[\w-]+", titles)
    ] == []


def test_every_reason_ends_with_what_would_change_our_mind() -> None:
    assert [
        title
        for title, body in _sections(ROOT / "docs/why.md")
        if not body.strip().split("\n\n")[-1].startswith("We would change our mind if ")
    ] == []


def test_a_block_keeps_the_line_of_its_page() -> None:
    text = "# Title\n\n```python\nx = 1\n```\n\n- a point\n\n  ```python\n  y = x\n  ```\n\n```console\n$ ls\n```\n"

    assert list(page.blocks(text, "python")) == ["\n\n\nx = 1\n", "\n" * 9 + "y = x\n"]


def test_blocks_of_a_page_are_one_program_that_may_await(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "page.md"
    path.write_text(
        "```python\nx = 1\n```\n\n```python\nimport asyncio\n\nawait asyncio.sleep(0)\nprint(x, __name__)\n```\n"
    )

    page.run(path)

    assert capsys.readouterr().out == "1 __main__\n"


def test_a_block_that_fails_names_the_line_of_its_page(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("# Title\n\n```python\nx = 1\nassert x == 2\n```\n")

    with pytest.raises(AssertionError) as failure:
        page.run(path)

    assert (failure.traceback[-1].path, failure.traceback[-1].lineno + 1) == (path, 5)


def _sections(path: Path) -> list[tuple[str, str]]:
    """Return the (title, body) of each second-level section."""
    parts = re.split(r"^## (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))
