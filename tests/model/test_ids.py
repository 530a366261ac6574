"""Ids that follow from facts: the same when they are repeated, and nobody else's."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiki.errors import InvalidInput
from aiki.model.ids import check_id, child_run_id, derived_id, draw_of


def test_a_derived_id_is_a_uuid_of_version_8() -> None:
    made = UUID(derived_id("a", 1))

    assert (made.version, made.variant) == (8, "specified in RFC 4122")


def test_a_derived_id_is_the_same_tomorrow() -> None:
    assert derived_id("child", "p", 1) == "eafea0a2-0251-86e2-935d-1c4164d4a649"


@given(st.lists(st.text(st.characters(blacklist_characters="\x1f")), max_size=4))
def test_parts_do_not_run_into_one_another(parts: list[str]) -> None:
    assert derived_id("x", "", *parts) != derived_id("x", *parts)


def test_a_child_is_another_for_another_place_in_its_parents_life() -> None:
    ids = {
        child_run_id("p", 1, attempt=1, address="a", ordinal=0),
        child_run_id("p", 2, attempt=1, address="a", ordinal=0),
        child_run_id("p", 1, attempt=2, address="a", ordinal=0),
        child_run_id("p", 1, attempt=1, address="b", ordinal=0),
        child_run_id("p", 1, attempt=1, address="a", ordinal=1),
        child_run_id("q", 1, attempt=1, address="a", ordinal=0),
    }

    assert len(ids) == 6


@given(st.text(), st.integers())
def test_a_draw_is_a_fraction_that_follows_from_its_parts(text: str, number: int) -> None:
    assert 0 <= draw_of(text, number) < 1
    assert draw_of(text, number) == draw_of(text, number)


def test_draws_are_spread_evenly() -> None:
    draws = [draw_of("retry", number) for number in range(2_000)]

    assert all(140 < sum(low / 10 <= draw < (low + 1) / 10 for draw in draws) < 260 for low in range(10))


@pytest.mark.parametrize(
    "value", ["", "x", "0197C2A0-0000-7000-8000-000000000000", "0197c2a0000070008000000000000000", "{" + "0" * 34 + "}"]
)
def test_what_is_no_uuid_in_its_usual_form_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput, match="run id"):
        check_id(value, "run id")


def test_a_uuid_is_taken_as_it_is() -> None:
    assert check_id("0197c2a0-0000-7000-8000-000000000000", "run id") == "0197c2a0-0000-7000-8000-000000000000"
