"""What an author's code can ask without being handed it: the run, or the task's attempt, that it belongs to.

The rule: code belongs to one of them or to neither, never to both (`aiki.sdk.here`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from aiki.model.payload import Json
from aiki.model.wire import PROGRESS_BYTES_MAX
from aiki.sdk.client import Client
from aiki.sdk.here import owner, set_owner
from aiki.sdk.run import Run
from aiki.sdk.serial import ANY

__all__ = ["TaskContext", "current_run", "current_task", "enter_run", "enter_task"]


class TaskContext:
    """An attempt of a task, as the task's own code sees it (`aiki.current_task()`).

    Attributes:
        run_id: the run that called the task.
        name: the task's name.
        attempt: which attempt this is; the first is 1.
        idempotency_key: stable across the task's attempts and crashes; new in each attempt of the run.
        logger: a logger that knows run, task and attempt.
        client: the worker's client, to start runs and send events from within the task.
        context: what the worker's `context` was entered with; None where it has none.
    """

    __slots__ = ("_report", "attempt", "client", "context", "idempotency_key", "logger", "name", "run_id")

    def __init__(
        self,
        run_id: str,
        name: str,
        *,
        attempt: int,
        idempotency_key: str,
        logger: logging.LoggerAdapter[logging.Logger],
        client: Client,
        context: Any = None,  # noqa: ANN401 - whatever the worker's `context` gave
        report: Callable[[bytes], None],
    ) -> None:
        self.run_id = run_id
        self.name = name
        self.attempt = attempt
        self.idempotency_key = idempotency_key
        self.logger = logger
        self.client = client
        self.context = context
        self._report = report

    def heartbeat(self, progress: Json = None) -> None:
        """Report how far the attempt is. People see it while it runs; it is not stored.

        Args:
            progress: anything that JSON can say, in at most 16 KiB.

        Raises:
            NotSerializable: JSON cannot say it.
            PayloadTooLarge: it is longer.
        """
        self._report(ANY.encode(progress, limit_bytes=PROGRESS_BYTES_MAX, what="the progress"))

    def __repr__(self) -> str:
        return f"<attempt {self.attempt} of task {self.name} in run {self.run_id}>"


def current_run() -> Run:
    """Return the run whose workflow code is running, where `run` cannot be passed.

    Raises:
        RuntimeError: no workflow code is running here.
    """
    here = owner()
    if isinstance(here, Run):
        return here
    if here is not None:
        raise RuntimeError(f"this is {here!r}, not workflow code: in a task, use aiki.current_task()")
    raise RuntimeError("no workflow code is running here: aiki.current_run() answers only inside a run")


def current_task() -> TaskContext:
    """Return the task's attempt that is running: its run, attempt, idempotency key, logger and client.

    Raises:
        RuntimeError: no task is running here; a task that is called as a plain function is none.
    """
    here = owner()
    if isinstance(here, TaskContext):
        return here
    if here is not None:
        raise RuntimeError(f"this is workflow code of {here!r}, not a task: use `run`, or aiki.current_run()")
    raise RuntimeError("no task is running here: aiki.current_task() answers only inside a task that a run has started")


def enter_run(run: Run) -> None:
    """Let the current context be that of a run's code. Call it inside a context made for it: `context.run(...)`."""
    set_owner(run, is_workflow_code=True)


def enter_task(task: TaskContext) -> None:
    """Let the current context be that of a task's attempt. Call it inside a context made for it."""
    set_owner(task, is_workflow_code=False)
