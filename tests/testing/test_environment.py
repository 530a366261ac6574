"""`aiki.testing.local` in tests as authors write them: on whatever runs their coroutines, with and without plugins."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

import aiki.testing
from aiki import Run, workflow
from tests.house.sources import ROOT

HEAD: Final = """
import asyncio, unittest
import pytest
import aiki.testing
from aiki import Run, workflow

@workflow("nap").version("1")
async def nap_v1(run: Run) -> str:
    await run.sleep("nap", days=3)
    return "rested"

async def naps() -> None:
    async with aiki.testing.local(workflows=[nap_v1]) as env:
        handle = await nap_v1.start(env)
        await env.advance(days=2)
        assert (await handle.info()).status == "sleeping"
        assert await handle.result() == "rested"
"""
PROGRAMS: Final = {
    "pytest alone": "def test_a_nap():\n    asyncio.run(naps())",
    "pytest-asyncio": "@pytest.mark.asyncio\nasync def test_a_nap():\n    await naps()",
    "a fixture": """
import pytest_asyncio

@pytest_asyncio.fixture
async def env():
    async with aiki.testing.local(workflows=[nap_v1]) as env:
        yield env

@pytest.mark.asyncio
async def test_a_nap(env):
    assert await (await nap_v1.start(env)).result() == "rested"
""",
    "anyio": "@pytest.mark.anyio\n@pytest.mark.parametrize('anyio_backend', ['asyncio'])\n"
    "async def test_a_nap():\n    await naps()",
    "unittest": "class Test(unittest.IsolatedAsyncioTestCase):\n    async def test_a_nap(self):\n        await naps()",
}


@workflow("clock").version("1")
async def clock_v1(run: Run) -> datetime:
    return run.now()


def test_days_pass_in_tests_of_any_kind(tmp_path: Path) -> None:
    for name, program in PROGRAMS.items():
        (tmp_path / f"test_{name.replace(' ', '_')}.py").write_text(HEAD + program)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
    )

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", f"pythonpath={ROOT / 'src'}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert f"{len(PROGRAMS)} passed" in done.stdout


async def test_it_begins_at_the_moment_that_is_given() -> None:
    now = datetime(2025, 3, 1, 9, 30, tzinfo=UTC)

    async with aiki.testing.local(workflows=[clock_v1], now=now) as env:
        assert timedelta(0) <= await (await clock_v1.start(env)).result() - now < timedelta(seconds=1)
        await env.advance(days=400)
        assert await (await clock_v1.start(env)).result() - now >= timedelta(days=400)


async def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="now"):
        async with aiki.testing.local(now=datetime(2025, 3, 1)):  # noqa: DTZ001 - that is what is refused
            pass


async def test_a_second_environment_on_the_loop_goes_on_where_the_first_has_got_to(tmp_path: Path) -> None:
    path = tmp_path / "aiki.db"
    async with aiki.testing.local(workflows=[clock_v1], database=path) as env:
        await env.advance(days=3)
        first = await (await clock_v1.start(env)).result()

    async with aiki.testing.local(workflows=[clock_v1], database=path) as env:
        second = await (await clock_v1.start(env)).result()

    assert timedelta(0) <= second - first < timedelta(hours=1)
