"""Random commands over HTTP, and a small model that says beforehand what comes of each.

The machine draws what clients, people, workers and the clock do next; after each command every run stands where the model
says, and every invariant holds after every transaction. `make test` does more than a thousand commands, AIKI_FULL=1 a
hundred thousand. What is rare is counted: a search that never meets it says nothing.
"""

import os
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from tests.machine.clients import Clients
from tests.machine.ground import COMMANDS, met
from tests.machine.workers import Workers

IS_FULL: Final = bool(os.environ.get("AIKI_FULL"))
STEPS: Final = 50
EXAMPLES: Final = 2_400 if IS_FULL else 25
RARE: Final = (
    *("start existed", "start reference_conflict", "start invalid_input", "send run_ended", "send run_not_found"),
    *("cancel running", "cancel sleeping", "cancel paused", "cancel stalled", "terminate running", "wake sleeping"),
    *("pause running", "resume paused", "resume running", "requeue stalled", "retry failed", "read gone", "deleted"),
    *("claimed, parked", "fenced", "lost claim told", "repeated applied", "repeated fenced", "lost, now stalled"),
    *(
        "commit paused → paused",
        "commit suspended → paused",
        "commit suspended → running",
        "commit failed → awaiting_retry",
    ),
    *("commit cancelled → cancelled", "commit cancelled → failed", "scheduled run cancelled", "schedule trigger False"),
)
COMMANDS_LEAST: Final = 100_000 if IS_FULL else 800


def _commands() -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    names = [name for name, (weight, _, _) in COMMANDS.items() for _ in range(weight)]
    return st.sampled_from(names).flatmap(lambda name: st.tuples(st.just(name), COMMANDS[name][2]))


class Machine(Clients, Workers):
    """Everybody at once."""

    @rule(drawn=st.deferred(_commands))
    def do(self, *, drawn: tuple[str, dict[str, Any]]) -> None:
        """Do one of the commands, if what it needs is there."""
        name, arguments = drawn
        there: Any = self
        for part in COMMANDS[name][1].split("."):
            there = getattr(there, part) if part else True
        if there:
            getattr(self, name)(**arguments)

    @invariant()
    def stands(self) -> None:
        """Compare after each command."""
        self.agree()


@pytest.fixture(autouse=True)
def counted() -> Iterator[None]:
    met.clear()
    yield
    met.clear()


@pytest.mark.timeout(7_200 if IS_FULL else 300)
def test_whatever_is_asked_over_http_comes_out_as_the_model_says() -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate, *((Phase.shrink,) if IS_FULL else ())],  # to shrink takes longer than CI waits
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert met["commands"] >= COMMANDS_LEAST
    rare = RARE if IS_FULL else ()
    assert [fact for fact in rare if not met[fact]] == []
