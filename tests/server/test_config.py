"""The table of settings: bounds, environment, and names that tell their units."""

from typing import Any

import pytest

from aiki.config import SETTINGS, Config

UNITS = ("_ms", "_bytes", "_rows", "_max")


def test_every_setting_tells_its_unit_bounds_and_purpose() -> None:
    for setting in SETTINGS:
        assert setting.name.endswith(UNITS), setting.name
        assert setting.least <= setting.default <= setting.most, setting.name
        assert setting.variable == f"AIKI_{setting.name.upper()}"
        assert setting.description.endswith(".")
    assert {setting.name for setting in SETTINGS} == set(Config.__struct_fields__)


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        ({"lease_ms": 5}, ValueError),
        ({"lease_ms": 100_000_000}, ValueError),
        ({"lease_ms": True}, TypeError),
        ({"lease_ms": 5.5}, TypeError),
        ({"poll_wait_ms": 6_000}, ValueError),
    ],
)
def test_a_setting_out_of_its_bounds_is_named(broken: dict[str, Any], error: type[Exception]) -> None:
    (name,) = broken
    with pytest.raises(error, match=name):
        Config(**broken)


def test_the_environment_sets_what_it_names_and_nothing_else() -> None:
    assert Config.from_environment({"AIKI_SWEEP_MS": "500", "OTHER": "1"}) == Config(sweep_ms=500)
    with pytest.raises(ValueError, match="AIKI_SWEEP_MS"):
        Config.from_environment({"AIKI_SWEEP_MS": "soon"})
