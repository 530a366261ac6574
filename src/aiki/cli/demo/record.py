"""What has been seen of the restaurant, step by step.

The rule: it is only told, never asks. How often a step ran is counted from what the outside saw, and not from the
journal, so that the one can be held against the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

__all__ = ["Change", "Record", "Step"]

OUTCOMES: Final = {
    "task": "recorded",
    "event": "received, recorded",
    "sleep": "over, recorded",
    "child": "completed, recorded",
}


@dataclass
class Step:
    """One thing that a run does: a task, a sleep, an event, a child.

    Attributes:
        run: the run that does it.
        of: task, sleep, event or child.
        name: the task's, sleep's, event's, or child's workflow.
        status: as people read it.
        changed_s: when that was seen, in seconds since the demo began.
        processes: those that executed it, one for each time (tasks only).
        keys: the idempotency keys that were used.
        began_s: when the last execution was seen to begin.
        due_s: when a sleep is to end, in seconds since the demo began.
        recorded: whether its outcome is in the journal.
    """

    run: str
    of: str
    name: str
    status: str = ""
    changed_s: float = 0.0
    processes: list[int] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    began_s: float = 0.0
    due_s: float | None = None
    recorded: bool = False

    @property
    def is_under_way(self) -> bool:
        """Whether a task has begun and its outcome is not in the journal."""
        return bool(self.processes) and not self.recorded

    @property
    def is_asleep(self) -> bool:
        """Whether a sleep is not over."""
        return self.of == "sleep" and not self.recorded


class Change(NamedTuple):
    """A step that came to stand otherwise than before."""

    step: Step
    status: str


class Record:
    """All steps, in the order in which they were first seen.

    Args:
        wall_ms: the machine's time when the demo began.

    Attributes:
        steps: by run, kind and name.
        result: what the order's run returned, once it has.
    """

    def __init__(self, *, wall_ms: int) -> None:
        self._wall_ms = wall_ms
        self.steps: dict[tuple[str, str, str], Step] = {}
        self.result: Any = None
        self._parents: dict[str, str | None] = {}
        self._workflows: dict[str, str] = {}
        self._requests = 0
        self._changes: list[Change] = []

    def step(self, name: str) -> Step | None:
        """Return the step of that name, if it has been seen."""
        return next((step for step in self.steps.values() if step.name == name), None)

    def tasks(self) -> list[Step]:
        """Return the steps that are tasks."""
        return [step for step in self.steps.values() if step.of == "task"]

    def is_of_child(self, step: Step) -> bool:
        """Return whether a step belongs to a run that another run has started."""
        return self._parents.get(step.run) is not None

    def take_changes(self) -> list[Change]:
        """Return what has changed since the last call, in that order."""
        changes, self._changes = self._changes, []
        return changes

    def see(self, line: dict[str, Any], *, now_s: float) -> None:
        """Take in a line of the reporter. The second process tells all from the beginning: twice changes nothing."""
        match line["kind"]:
            case "run":
                self._see_run(line, now_s=now_s)
            case "request":
                self._see_request(line, now_s=now_s)
            case "entry":
                self._see_entry(line, now_s=now_s)
            case "waits":
                for wait in line["waits"]:
                    self._see_wait(line["run"], wait, now_s=now_s)
            case "result":
                self.result = line["result"]
            case kind:
                raise ValueError(f"a line of an unknown kind: {kind}")

    def see_death(self, pid: int, *, now_s: float) -> None:
        """Take in that a process has died: what it ran was cut off, and what waited waits on in the file."""
        for step in self.steps.values():
            if step.is_under_way and step.processes[-1] == pid:
                self._change(step, "cut off by kill -9", now_s=now_s)

    def _see_run(self, line: dict[str, Any], *, now_s: float) -> None:
        if line["run"] in self._parents:
            return
        self._parents[line["run"]], self._workflows[line["run"]] = line["parent"], line["workflow"]
        if line["parent"] is not None:
            self._change(self._step(line["parent"], "child", line["workflow"]), "started", now_s=now_s)

    def _see_request(self, line: dict[str, Any], *, now_s: float) -> None:
        if line["number"] <= self._requests:
            return
        self._requests = line["number"]
        step = self._step(line["run"], "task", line["task"])
        step.processes.append(line["pid"])
        step.keys.add(line["key"])
        step.began_s = now_s
        times = len(step.processes)
        self._change(step, "running" if times == 1 else f"running, execution {times}", now_s=now_s)

    def _see_entry(self, line: dict[str, Any], *, now_s: float) -> None:
        of, name = line["of"], line["name"]
        if of == "child_result":
            of, name = "child", self._workflows[name]
        elif of not in {"task", "event", "sleep"}:
            return
        step = self._step(line["run"], of, name)
        step.recorded = True
        self._change(step, "failed, recorded" if line["failed"] else OUTCOMES[of], now_s=now_s)

    def _see_wait(self, run: str, wait: dict[str, Any], *, now_s: float) -> None:
        of = wait["of"]
        if of not in {"sleep", "event"}:
            return
        step = self._step(run, of, wait["name"])
        if not step.status:
            step.due_s = None if wait["due_ms"] is None else (wait["due_ms"] - self._wall_ms) / 1000
            self._change(step, "sleeping" if of == "sleep" else "waiting", now_s=now_s)

    def _step(self, run: str, of: str, name: str) -> Step:
        return self.steps.setdefault((run, of, name), Step(run=run, of=of, name=name))

    def _change(self, step: Step, status: str, *, now_s: float) -> None:
        if status != step.status:
            step.status, step.changed_s = status, now_s
            self._changes.append(Change(step, status))
