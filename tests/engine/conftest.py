"""What the engine's tests are given: a world of their own."""

import pytest

from tests.engine.world import World


@pytest.fixture
def world() -> World:
    return World()
