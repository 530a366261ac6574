"""How what people ask is found among many finished runs: by which index, and without sorting what is no few."""

import re
from typing import Any, Final

import pytest

from aiki.model.lifecycle import Status
from aiki.model.views import RunFilter
from aiki.store.filtering import conditions
from aiki.store.opening import open_writer
from aiki.store.sql import with_filters
from aiki.store.sqlite import READ

COVERED: Final = {
    "begun": "SEARCH runs USING COVERING INDEX runs_newest (namespace=? AND created_at_ms>? AND created_at_ms<?)",
    "ended": "SEARCH runs USING COVERING INDEX runs_finished (namespace=? AND finished_at_ms>? AND finished_at_ms<?)",
}


@pytest.mark.parametrize("name", COVERED)
def test_what_is_counted_for_a_chart_is_found_in_one_index_and_reads_no_row(name: str) -> None:
    assert COVERED[name] in _plan(READ[name], {})


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (RunFilter(), "USING COVERING INDEX runs_newest (namespace=? AND (created_at_ms,id)<(?,?))"),
        (RunFilter(workflow="w"), "USING COVERING INDEX runs_of_workflow (namespace=? AND workflow=?"),
        (RunFilter(schedule="s"), "USING COVERING INDEX runs_of_schedule (namespace=? AND schedule=?"),
        (RunFilter(status=(Status.FAILED,)), "USING COVERING INDEX runs_in_status (namespace=? AND status=?"),
        (
            RunFilter(created_after_ms=1, created_before_ms=2),
            "USING COVERING INDEX runs_newest (namespace=? AND created_at_ms>?",
        ),
    ],
)
def test_a_list_of_runs_walks_an_index_from_the_newest_on_and_sorts_nothing(wanted: RunFilter, index: str) -> None:
    plan = _plan_of_list(wanted)

    assert index in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (
            RunFilter(workflow="w", reference_id="r"),
            "USING INDEX runs_reference (namespace=? AND workflow=? AND reference_id=?)",
        ),
        (RunFilter(reference_id="r"), "USING INDEX runs_named (namespace=? AND reference_id=?)"),
        (RunFilter(search="order-"), "USING INDEX runs_named (namespace=? AND reference_id>? AND reference_id<?)"),
        (RunFilter(search="0190a"), "MULTI-INDEX OR"),
        (RunFilter(parent_id="p"), "USING INDEX runs_children (parent_id=?)"),
    ],
)
def test_what_few_runs_have_is_found_by_its_index_and_then_sorted(wanted: RunFilter, index: str) -> None:
    assert index in _plan_of_list(wanted)


def test_a_tag_that_few_runs_bear_leads_the_search() -> None:
    plan = _plan_of_list(RunFilter(workflow="w", tags={"a": "1"}), leading_tag="a")

    assert "SEARCH runs USING INDEX sqlite_autoindex_runs_1 (id=?)" in plan


def _plan_of_list(wanted: RunFilter, *, leading_tag: str | None = None) -> str:
    found = conditions(wanted, leading_tag=leading_tag)
    statement = "newest_of_few" if found.are_few else "newest"
    return _plan(with_filters(READ, statement, found.names), found.values)


def _plan(statement: str, values: dict[str, Any]) -> str:
    connection = open_writer(None, now_ms=0)
    values = dict.fromkeys(re.findall(r":(\w+)", statement), "1") | values
    try:
        return "\n".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values))
    finally:
        connection.close()
