"""The ground of the machine: the platform, the model, and how the two are compared.

The rule: after each command, server and model do what is due, and then every run stands where the model says.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from aiki.model.ids import derived_id
from aiki.model.wire import Commit
from tests.machine.hand import Hand
from tests.machine.model import KEPT_AFTER_DUE_MS, Model, Run
from tests.machine.platform import Platform

__all__ = ["COMMANDS", "EVENTS", "PICK", "WORKFLOWS", "Ground", "command", "met"]

WORKFLOWS: Final = ("order", "ride")
EVENTS: Final = ("go", "stop")
PICK: Final = st.integers(0, 1_000)

F = TypeVar("F", bound=Callable[..., None])

COMMANDS: Final[dict[str, tuple[int, str, Any]]] = {}
"""How often each command is drawn, what must be there, and with which arguments."""

met: Counter[str] = Counter()
"""What has happened, in all machines of this process."""


def command(weight: int, *, needs: str = "", **drawn: Any) -> Callable[[F], F]:
    """Make a method one of the machine's commands, drawn so often, if what it needs is there."""

    def enlist(method: F) -> F:
        COMMANDS[method.__name__] = (weight, needs, st.fixed_dictionaries(drawn))
        return method

    return enlist


class Ground(RuleBasedStateMachine):
    """What all that act have in common."""

    def __init__(self) -> None:
        super().__init__()
        self.platform = Platform()
        self.model = Model(self.platform.now_ms)
        self.hands: dict[str, Hand] = {}
        self.commits: list[Commit] = []
        self.drawn = 0

    def teardown(self) -> None:
        self.platform.close()

    def agree(self) -> None:
        """Let server and model do what is due, and compare where every run stands."""
        self.platform.step()
        self.model.ring()
        self._compare()

    def _compare(self) -> None:
        _, page = self.platform.get("/v1/runs", limit=500)
        stands = {info["id"]: info for info in page["runs"]}
        for run_id in [run_id for run_id in stands if run_id not in self.model.runs]:
            self._adopt(stands[run_id]["schedule"], run_id, status=stands[run_id]["status"])
        assert self.model.expected == []
        for run in [run for run in self.model.runs.values() if run.id not in stands]:
            assert run.deletable_since_ms is not None
            del self.model.runs[run.id]
            self.model.gone.add(run.id)
            met["deleted"] += 1
        assert {run_id: info["status"] for run_id, info in stands.items()} == {
            run.id: run.status for run in self.model.runs.values()
        }
        overdue_ms = self.platform.now_ms - KEPT_AFTER_DUE_MS
        assert [run.id for run in self.model.runs.values() if (run.deletable_since_ms or overdue_ms) < overdue_ms] == []

    def _adopt(self, name: str, run_id: str, *, status: str) -> None:
        """Learn the id of a run that a schedule has started."""
        expected = next(found for found in self.model.expected if (found[0], found[2]) == (name, status))
        self.model.expected.remove(expected)
        run = Run(run_id, "order", expected[1], status, schedule=name, due_ms=self.platform.now_ms)
        if status == "cancelled":
            run.cancel, run.finished_ms = "person", self.platform.now_ms
        self.model.runs[run_id] = run
        met[f"scheduled run {status}"] += 1

    def _any_run(self, pick: int) -> str:
        """Return a run: one that a worker has, one that is open, or any."""
        still_open = [run.id for run in self.model.runs.values() if not run.is_over]
        known = ([*self.hands], still_open, [*self.model.runs])[pick % 3] or [*self.model.runs]
        return known[pick % len(known)]

    def _new_id(self) -> str:
        self.drawn += 1
        return derived_id("machine", self.drawn)
