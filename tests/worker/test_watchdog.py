"""Workflow code that computes without an await is reported: by looks that tests take, and by the thread that takes them."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from aiki.clock import ManualClock
from aiki.worker.watchdog import Overrun, Watchdog
from tests.worker.loop_world import World


class Watched:
    """A watchdog under a clock that the test moves, and what it found."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.watchdog = Watchdog(self.clock)
        self.watchdog.is_attended = True  # the test takes the looks
        self.found: list[Overrun] = []

    def look(self, *, after_ms: float = 0) -> None:
        self.clock.advance(milliseconds=after_ms)
        self.found += self.watchdog.look()

    def run(self, *steps: Callable[[], object]) -> None:
        """Execute these as an activation: each one step of a loop."""
        world = World()
        for step in steps:
            world.loop.call_soon(step)
        with self.watchdog.watching("01J9", world.loop):
            world.loop.run_until_idle()
        assert world.failures == []


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_step_that_takes_a_second_is_reported_with_its_run_and_stack(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    def crunch_numbers() -> None:
        watched.look()
        watched.look(after_ms=999)
        assert watched.found == []
        watched.look(after_ms=1)

    watched.run(crunch_numbers)

    (overrun,) = watched.found
    assert (overrun.run_id, overrun.computed_ms) == ("01J9", 1000)
    assert "crunch_numbers" in overrun.stack
    assert "run_until_idle" not in overrun.stack, "the stack begins with the author's code"
    (record,) = caplog.records
    assert (record.name, record.levelname, record.__dict__["run_id"]) == ("aiki.worker", "WARNING", "01J9")
    assert "crunch_numbers" in record.getMessage()


def test_an_activation_is_reported_once(watched: Watched) -> None:
    def crunch_numbers() -> None:
        watched.look()
        watched.look(after_ms=5_000)
        watched.look(after_ms=5_000)

    watched.run(crunch_numbers, crunch_numbers)

    assert len(watched.found) == 1


def test_each_activation_is_reported(watched: Watched) -> None:
    def crunch_numbers() -> None:
        watched.look()
        watched.look(after_ms=1_000)

    watched.run(crunch_numbers)
    watched.run(crunch_numbers)

    assert len(watched.found) == 2


def test_many_short_steps_are_no_overrun(watched: Watched) -> None:
    watched.run(*[lambda: watched.look(after_ms=900)] * 10)

    assert watched.found == []


def test_time_between_activations_does_not_count(watched: Watched) -> None:
    watched.run(watched.look)
    watched.look(after_ms=10_000)
    watched.run(watched.look)

    assert watched.found == []


def test_an_activation_within_another_leaves_it_watched(watched: Watched) -> None:
    def crunch_numbers() -> None:
        watched.look()
        watched.run(watched.look)
        watched.look(after_ms=1_000)

    watched.run(crunch_numbers)

    assert [overrun.run_id for overrun in watched.found] == ["01J9"]


def test_a_watchdog_is_needed_while_activations_come(watched: Watched) -> None:
    assert not watched.watchdog.is_needed()
    watched.run(lambda: None)
    assert watched.watchdog.is_needed()
    assert not watched.watchdog.is_needed()


class StridingClock(ManualClock):
    """A second passes with each question."""

    def monotonic_ms(self) -> float:
        self.advance(seconds=1)
        return super().monotonic_ms()


@pytest.fixture
def told() -> Iterator[threading.Event]:
    """Set when something is reported."""
    event = threading.Event()

    class Tell(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            event.set()

    handler, log = Tell(), logging.getLogger("aiki.worker")
    log.addHandler(handler)
    yield event
    log.removeHandler(handler)


def test_one_thread_looks_for_all_watchdogs_and_ends_with_the_last(told: threading.Event) -> None:
    def threads() -> int:
        return [thread.name for thread in threading.enumerate()].count("aiki-watchdog")

    first, second, world = Watchdog(StridingClock()), Watchdog(StridingClock()), World()
    assert threads() == 0
    for watchdog in (first, second):
        told.clear()
        world.loop.call_soon(told.wait, 60)
        with watchdog.watching("01J9", world.loop):
            world.loop.run_until_idle()
        assert told.is_set()
        assert threads() == 1
    first.close()
    assert threads() == 1
    second.close()
    assert threads() == 0
    second.close()


def test_a_program_ends_cleanly_with_a_watchdog_open() -> None:
    program = (
        "from aiki.clock import SystemClock\n"
        "from aiki.worker.watchdog import Watchdog\n"
        "class Loop: steps = 0\n"
        "with Watchdog(SystemClock()).watching('01J9', Loop()): pass\n"
    )
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PYTHONPATH": "src"},
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_workflow_that_awaits_is_never_reported(watched: Watched) -> None:
    world = World()

    async def polite() -> None:
        for _ in range(10):
            watched.look(after_ms=900)
            await asyncio.sleep(0)

    with watched.watchdog.watching("01J9", world.loop):
        world.finish(polite())

    assert watched.found == []
