"""Fixtures of the tests over HTTP."""

from collections.abc import AsyncIterator

import pytest

from tests.http.world import World, served_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with served_world() as world:
        yield world
