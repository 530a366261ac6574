"""Every row of the contract is held by a test that exists, and every test of the contract's folder holds a row."""

import ast
from typing import Final

import pytest

from tests.contract.rows import ROWS
from tests.house.sources import sources

LISTED: Final = [
    (f"{section}: {row}", test) for section, rows in ROWS.items() for row, tests in rows.items() for test in tests
]


def _found_in(folder: str) -> set[str]:
    """Return the tests below a folder as `file::name`, from `tests/` on."""
    return {
        f"{source.path.removeprefix('tests/')}::{node.name}"
        for source in sources(folder)
        for node in source.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_each_test_that_a_row_names_exists() -> None:
    existing = _found_in("tests")
    assert [(row, test) for row, test in LISTED if test not in existing] == []


def test_each_test_of_the_contract_holds_a_row() -> None:
    assert _found_in("tests/contract") - {test for _, test in LISTED} == set()


@pytest.mark.parametrize("section", ROWS)
def test_each_row_is_held_by_a_test(section: str) -> None:
    assert [row for row, tests in ROWS[section].items() if not tests] == []
