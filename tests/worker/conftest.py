"""What holds for every test of a worker: none leaves a thread behind."""

from collections.abc import Iterator

import pytest

from tests.worker.claim import WATCHDOG


@pytest.fixture(autouse=True)
def the_watchdog_of_claims_goes_home() -> Iterator[None]:
    """Close it, so that its thread ends."""
    yield
    WATCHDOG.close()
