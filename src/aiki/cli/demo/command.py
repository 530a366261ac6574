"""The command `aiki demo`: start the restaurant, kill it, start it again, and tell what became of the order.

The rule: every wait has its bound, so that the demo ends by itself within 30 seconds, whatever the restaurant does.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from aiki.cli.demo import restaurant
from aiki.cli.demo.record import Record
from aiki.cli.demo.report import Death, Seen, faults, sentences
from aiki.cli.demo.screen import Screen
from aiki.cli.demo.stage import Ended, Stage, open_stage
from aiki.cli.interruption import run_until_signalled
from aiki.clock import Clock, SystemClock

__all__ = ["demo"]

TICK_S: Final = 0.05
UNDER_WAY_S: Final = 1.2  # how long the courier is under way before the kill
AWAY_S: Final = 1.5  # how long nothing runs
KILL_S_MAX: Final = 12.0
END_S_MAX: Final = 14.0

TUTORIAL: Final = Path("docs/tutorial/1-first-workflow.md")


def demo(*, program: Annotated[bool, Parameter(negative=())] = False) -> int:
    """Watch a durable workflow whose process is killed with kill -9, and which goes on where it was.

    It takes ten seconds, works in a temporary folder, and leaves nothing behind.

    Args:
        program: Print the program that the demo runs, to keep and to change, and run nothing.
    """
    if program:
        sys.stdout.write(inspect.getsource(restaurant))
        return 0
    return run_until_signalled(_demo)


async def _demo() -> int:
    screen = Screen()
    screen.print(
        "An order at a restaurant, as a durable workflow. Its process will be killed with kill -9 while the courier is "
        "under way, and started again on the same file."
    )
    screen.print()
    try:
        with open_stage() as stage:
            seen = await _Play(stage, screen, clock=SystemClock()).play()
    except asyncio.CancelledError:
        with suppress(OSError):  # the terminal itself may be gone
            screen.print("Stopped. Nothing is left running, and the folder is removed.")
        raise
    except Ended as error:
        return _fail(f"the restaurant's process ended by itself: {error}")
    except TimeoutError as error:
        return _fail(f"{error}. If this machine is very busy, try again")
    except OSError as error:
        return _fail(
            f"no process, or no temporary folder for it: {error}. Set TMPDIR to a folder that can be written to"
        )
    screen.print()
    screen.print_pairs(sentences(seen))
    if wrong := faults(seen):
        return _fail(f"this should not have happened: {'; '.join(wrong)}")
    screen.print()
    screen.print("Next")
    screen.print_pairs(_next_steps())
    return 0


class _Play:
    """One performance."""

    def __init__(self, stage: Stage, screen: Screen, *, clock: Clock) -> None:
        self._stage = stage
        self._screen = screen
        self._clock = clock
        self._began_ms = clock.monotonic_ms()
        self._record = Record(wall_ms=clock.now_ms())

    async def play(self) -> Seen:
        """Perform it.

        Raises:
            Ended: a process ended that should not have.
            TimeoutError: something took too long.
        """
        with self._screen:
            self._stage.start()
            self._say(f"process {self._stage.pid} is started: server, worker and client on one file")
            await self._until(self._courier_is_under_way, seconds_max=KILL_S_MAX, what="the courier to be under way")

            death = self._kill()
            died_s = self._now_s()
            self._say(f"kill -9 {death.pid}: the courier is under way. Nothing runs now", style="bold red")
            await self._until(lambda: self._now_s() >= died_s + AWAY_S, seconds_max=AWAY_S * 2, what="time to pass")

            self._stage.start()
            away_s = self._now_s() - died_s
            self._say(f"process {self._stage.pid} is started: the same program on the same file", style="bold green")
            await self._until(lambda: self._record.result is not None, seconds_max=END_S_MAX, what="the order's end")
            self._say("the order has ended")
            self._look()
        return Seen(
            self._record,
            death,
            pid=self._stage.pid,
            away_s=away_s,
            bookings=len(list((self._stage.folder / restaurant.COURIERS).iterdir())),
        )

    async def _until(self, is_so: Callable[[], bool], *, seconds_max: float, what: str) -> None:
        until_s = self._now_s() + seconds_max
        while not is_so():
            if self._now_s() > until_s:
                raise TimeoutError(f"the demo waited {seconds_max:g} s for {what}")
            self._look()
            await asyncio.sleep(TICK_S)

    def _look(self) -> None:
        now_s = self._now_s()
        for line in self._stage.read():
            self._record.see(line, now_s=now_s)
        self._screen.draw(self._record, now_s=now_s)
        self._stage.check()

    def _courier_is_under_way(self) -> bool:
        courier, ride = self._record.step("send-courier"), self._record.step("ride")
        return (
            courier is not None
            and ride is not None
            and courier.is_under_way
            and self._now_s() >= courier.began_s + UNDER_WAY_S
        )

    def _kill(self) -> Death:
        pid, status = self._stage.pid, self._stage.kill()
        self._look()
        courier, ride = self._record.step("send-courier"), self._record.step("ride")
        assert courier is not None, "it was under way"
        assert ride is not None, "it was under way"
        assert ride.due_s is not None, "a sleep has its end"
        death = Death(
            pid=pid,
            status=status,
            cut_off=courier.name,
            cut_off_after_s=self._now_s() - courier.began_s,
            recorded=tuple(step.name for step in self._record.tasks() if step.recorded),
            ride_left_s=ride.due_s - self._now_s(),
        )
        self._record.see_death(now_s=self._now_s())
        return death

    def _say(self, text: str, *, style: str = "") -> None:
        self._screen.say(text, now_s=self._now_s(), style=style)

    def _now_s(self) -> float:
        return (self._clock.monotonic_ms() - self._began_ms) / 1000


def _next_steps() -> list[tuple[str, str]]:
    command = _typed(sys.argv[0], name="aiki")
    python = _typed(sys.executable, name="python")
    steps = [
        (f"  {command} demo --program > restaurant.py", "the program that you saw"),
        (f"  {python} restaurant.py", "run it, kill it, run it again"),
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
