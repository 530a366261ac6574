"""The command `aiki demo`: kill a process in the middle of an order, and tell what became of both.

The rule: it ends by itself within 30 seconds, and leaves neither process nor file; with `--keep`, at Ctrl-C.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from aiki.cli.demo import restaurant
from aiki.cli.demo.fleet import keep_shop
from aiki.cli.demo.play import FleetPlay, OneProcessPlay, Play
from aiki.cli.demo.report import faults, sentences
from aiki.cli.demo.screen import Screen
from aiki.cli.demo.stage import Ended, Stage, open_stage
from aiki.cli.interruption import run_until_signalled
from aiki.cli.refusal import Refusal
from aiki.clock import SystemClock

__all__ = ["demo"]

FLAG: Final = Parameter(negative=())
DEMO_S_MAX: Final = 90.0
PORT: Final = 9850
TUTORIAL: Final = Path("docs/tutorial/1-first-workflow.md")
FLEET: Final = (
    "An order at a restaurant, as a durable workflow: a server and two workers, each a process. The worker that has the "
    "delivery will be killed with kill -9 while the courier is under way; watch the other one go on with it."
)
ONE_PROCESS: Final = (
    "An order at a restaurant, as a durable workflow. Its process will be killed with kill -9 while the courier is "
    "under way, and started again on the same file."
)


def demo(
    *,
    embedded: Annotated[bool, FLAG] = False,
    keep: Annotated[bool, FLAG] = False,
    program: Annotated[bool, FLAG] = False,
    fleet: Annotated[bool, FLAG] = False,
    port: int = PORT,
) -> int:
    """Watch a durable workflow whose worker is killed with kill -9, and which goes
    on where it was.

    It takes fifteen seconds, works in a temporary folder, and leaves nothing
    behind.

    Args:
        embedded: All in one process, on one file: it is killed, and started again.
        keep: Leave server and worker running at the end, to look around, until Ctrl-C.
        program: Print the program that the demo runs, to keep and to change, and run nothing.
        fleet: Something else: a shop with three workers, for looking around in the dashboard, until Ctrl-C.
        port: Where the shop's dashboard is served; 0 for a port that is free.
    """
    if program:
        sys.stdout.write(inspect.getsource(restaurant))
        return 0
    if embedded and keep:
        return _fail("--keep is for a server and its workers: leave --embedded away")

    if fleet:
        if embedded or keep:
            return _fail("--fleet is a demo of its own: leave --embedded and --keep away")
        return _keep_shop(port)

    async def perform() -> int:
        return await _demo(OneProcessPlay if embedded else FleetPlay, ONE_PROCESS if embedded else FLEET, keep=keep)

    return run_until_signalled(perform)


def _keep_shop(port: int) -> int:
    def told(url: str) -> None:
        print(f"A shop is open, until Ctrl-C. Look around: {url}", flush=True)

    # Its tasks take minutes, and nobody minds that they are not finished: nothing is kept.
    logging.getLogger("aiki").addHandler(logging.NullHandler())

    async def perform() -> int:
        await keep_shop(port=port, told=told)
        return 0

    try:
        return run_until_signalled(perform)
    except Refusal as error:
        return _fail(str(error))


async def _demo(kind: type[Play], subject: str, *, keep: bool) -> int:
    screen = Screen()
    screen.print(subject)
    screen.print()
    try:
        with open_stage() as stage:
            async with asyncio.timeout(DEMO_S_MAX):
                seen = await kind(stage, screen, clock=SystemClock()).perform()
            screen.print()
            screen.print_pairs(sentences(seen))
            if wrong := faults(seen):
                return _fail(f"this should not have happened: {'; '.join(wrong)}")
            if keep:
                await _keep(stage, screen)
    except asyncio.CancelledError:
        with suppress(OSError):  # the terminal itself may be gone
            screen.print("Stopped. Nothing is left running, and the folder is removed.")
        raise
    except Ended as error:
        return _fail(str(error))
    except TimeoutError as error:
        return _fail(f"{str(error) or 'it took too long'}. If this machine is very busy, try again")
    except OSError as error:
        return _fail(
            f"no process, or no temporary folder for it: {error}. Set TMPDIR to a folder that can be written to"
        )
    screen.print()
    screen.print("Next")
    screen.print_pairs(_next_steps())
    return 0


async def _keep(stage: Stage, screen: Screen) -> None:
    """Leave all as it is until cancelled."""
    screen.print()
    screen.print("The server and the worker kitchen still run, until Ctrl-C. In another terminal:")
    command = _typed(sys.argv[0], name="aiki")
    screen.print_pairs(
        [
            (f"  export AIKI_URL={stage.url}", "so that what you type finds the server"),
            (f"  {command} runs list", "the order and its delivery"),
            (f"  {command} runs show RUN_ID", "what a run has done"),
        ]
    )
    await asyncio.Event().wait()


def _next_steps() -> list[tuple[str, str]]:
    command = _typed(sys.argv[0], name="aiki")
    python = _typed(sys.executable, name="python")
    steps = [
        (f"  {command} demo --program > restaurant.py", "the program that you saw"),
        (f"  {python} restaurant.py", "run it, kill it, run it again"),
        (f"  {command} dev restaurant.py", "with a server, and reload when you change it"),
    ]
    if TUTORIAL.exists():
        steps.append((f"  {TUTORIAL}", "write your own, step by step"))
    return steps


def _typed(path: str, *, name: str) -> str:
    """Return what to type for a program: its name where the shell finds it under that, else the shorter way to it."""
    found = shutil.which(name)
    if not Path(path).exists() or (found is not None and Path(found).absolute() == Path(path).absolute()):
        return name
    return min(path, os.path.relpath(path), key=len)


def _fail(message: str) -> int:
    print(f"aiki demo: {message}.", file=sys.stderr)
    return 1
