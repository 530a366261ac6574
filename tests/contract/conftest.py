"""The tests of the contract run in virtual time: three days pass in a millisecond."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from aiki.testing import VirtualLoop


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the one loop that a test runs on."""
    assert item.name
    return {"virtual": VirtualLoop}
