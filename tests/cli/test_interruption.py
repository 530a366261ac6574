"""Ctrl-C, SIGTERM and worse, at any moment of the demo: no traceback, gone within two seconds, nothing left.

The moments are drawn from a seed. `AIKI_CTRL_C=20 pytest tests/cli` tries as many as the word of acceptance asks for.
"""

import os
import signal
import subprocess
import time
from pathlib import Path
from random import Random
from typing import Final

import psutil
import pytest

from tests.cli import shell
from tests.cli.shell import wait_for

MOMENTS: Final = int(os.environ.get("AIKI_CTRL_C", "6"))
AT_ONCE: Final = 5
DEMO_S: Final = 11.0
GONE_S_MAX: Final = 10.0  # on a machine that runs other tests meanwhile; alone, a tenth of a second

DRAWN: Final = [round(Random(moment).uniform(0, DEMO_S), 2) for moment in range(MOMENTS)]
BATCHES: Final = [sorted(DRAWN[first : first + AT_ONCE]) for first in range(0, MOMENTS, AT_ONCE)]


@pytest.mark.parametrize("moments", BATCHES, ids=str)
def test_ctrl_c_at_any_moment_leaves_nothing(moments: list[float], tmp_path: Path) -> None:
    began = time.monotonic()
    demos = [shell.Started(*shell.MAKE_DEMO, folder=tmp_path / f"{moment}") for moment in moments]
    try:
        for moment, demo in zip(moments, demos, strict=True):
            wait_until(began + moment, demo)
            demo.signal_group(signal.SIGINT)
            demo.process.wait(GONE_S_MAX)

            assert demo.process.returncode != 0
            assert "Traceback" not in demo.output
            assert "KeyboardInterrupt" not in demo.output
            assert demo.restaurants() == []
            assert list(demo.temporary.iterdir()) == []
    finally:
        for demo in demos:
            demo.end()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_exit_status_says_which_signal_it_was(number: signal.Signals, status: int, tmp_path: Path) -> None:
    demo = shell.Started(shell.SCRIPTS / "aiki", "demo", folder=tmp_path / "demo")
    try:
        wait_for("notify-customer", demo)
        demo.signal_group(number)

        assert demo.process.wait(GONE_S_MAX) == status
        assert demo.output.endswith("Stopped. Nothing is left running, and the folder is removed.\n")
        assert demo.restaurants() == []
        assert list(demo.temporary.iterdir()) == []
    finally:
        demo.end()


def test_a_second_ctrl_c_does_not_interrupt_the_tidying_up(tmp_path: Path) -> None:
    demo = shell.Started(shell.SCRIPTS / "aiki", "demo", folder=tmp_path / "demo")
    try:
        wait_for("notify-customer", demo)
        for _ in range(3):
            demo.signal_group(signal.SIGINT)

        assert demo.process.wait(GONE_S_MAX) == 130
        assert list(demo.temporary.iterdir()) == []
    finally:
        demo.end()


def test_the_restaurant_goes_when_the_demo_is_killed(tmp_path: Path) -> None:
    demo = shell.Started(shell.SCRIPTS / "aiki", "demo", folder=tmp_path / "demo")
    try:
        wait_for("notify-restaurant", demo)
        restaurants = demo.restaurants()
        demo.process.kill()
        _, alive = psutil.wait_procs(restaurants, timeout=GONE_S_MAX)

        assert len(restaurants) == 4, "server, kitchen, courier, application"
        assert alive == []
    finally:
        demo.end()


def wait_until(moment: float, demo: shell.Started) -> None:
    """Wait for a moment, by the machine's monotonic clock; the demo runs on meanwhile."""
    left_s = moment - time.monotonic()
    if left_s > 0:
        with pytest.raises(subprocess.TimeoutExpired):
            demo.process.wait(left_s)
