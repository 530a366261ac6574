"""Programs that do not await, in processes of their own: interrupted, forked, ended without a word.

Each runs with `-X dev -W error`, and says nothing on stderr: nothing is left open, unawaited or unhandled.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from aiki import Worker
from tests.http.world import World, served_world
from tests.sdk.blocking_shop import VERSIONS

ROOT: Final = Path(__file__).parents[2]
SHOP: Final = Path(__file__).with_name("blocking_shop.py")
STRICT: Final = ("-X", "dev", "-W", "error")
# From 3.12 on, Python warns of a fork beside threads. One that preforks knows; this program does not fork for fun.
FORKING: Final = ("-X", "dev", "-W", "error", "-W", "ignore::DeprecationWarning")
LIMIT_S: Final = 60


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with served_world() as world, world.client() as client, Worker(client, VERSIONS):
        yield world


async def begun(program: str, world: World, options: tuple[str, ...] = STRICT) -> Process:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = (sys.executable, *options, str(SHOP), program, world.url)
    return await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=environment)


async def ended(process: Process) -> list[str]:
    """Return the lines that the program printed, once it has ended well."""
    async with asyncio.timeout(LIMIT_S):
        out, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (0, "")
    return out.decode().splitlines()


async def test_ctrl_c_cancels_the_call_and_the_client_goes_on(world: World) -> None:
    process = await begun("interrupted", world)
    assert process.stdout is not None
    await process.stdout.readline()  # the run is started, and is waited for next
    while not world.api.requests["/v1/runs/wait"]:
        await asyncio.sleep(0)

    process.send_signal(signal.SIGINT)

    assert await ended(process) == ["interrupted Hello Ada True", ""]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
async def test_a_client_serves_both_sides_of_a_fork(world: World) -> None:
    assert await ended(await begun("forked", world, FORKING)) == [
        "the handle of RUN was made before this process was forked",
        "Hello child Hello first",
        "child ended with 0",
        "completed Hello again",
    ]


async def test_a_client_that_nobody_closes_ends_with_its_program_or_when_it_is_collected(world: World) -> None:
    assert await ended(await begun("left_open", world)) == ["Hello Ada", ""]
