"""The order in which a workflow asks for its tasks follows from its journal, not from hashes and addresses."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.worker import asking_program

PROGRAM = Path(asking_program.__file__)
SEEDS = range(20)
AT_A_TIME = 2


def test_under_twenty_hash_seeds_a_workflow_full_of_sets_asks_in_one_order() -> None:
    expected = asking_program.asked()

    for first in SEEDS[::AT_A_TIME]:
        programs = [
            subprocess.Popen(
                [sys.executable, PROGRAM],
                env={**os.environ, "PYTHONHASHSEED": str(seed)},
                stdout=subprocess.PIPE,
            )
            for seed in range(first, first + AT_A_TIME)
        ]
        for program in programs:
            said, _ = program.communicate()
            assert program.returncode == 0
            assert json.loads(said) == expected


def test_every_task_is_asked_for_in_the_order_in_which_its_coroutine_was_made() -> None:
    asked = asking_program.asked()

    assert asked[:9] == [f'alpha(value="set {number}")' for number in range(9)]
