"""The tests of the embedded platform run in virtual time; whatever else stands here, in real time."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from aiki.testing import VirtualLoop


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the one loop that a test runs on."""
    if item.path.name.startswith("test_embedded_"):
        return {"virtual": VirtualLoop}
    return {"real": asyncio.new_event_loop}
