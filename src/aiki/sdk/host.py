"""What a running workflow asks of the machinery beneath it: the seam of sdk and worker.

The rule: the sdk encodes what goes down and decodes what comes up; the host sees bytes and definitions, and decides
when each call is answered. The worker implements `RunHost`; tests may script one.
"""

import logging
from collections.abc import Callable, Coroutine
from datetime import datetime
from random import Random
from typing import Any, NoReturn, Protocol, Self, TypeVar
from uuid import UUID

from msgspec import Raw, Struct

from aiki.model.retry import Retry
from aiki.model.run import RunEnd
from aiki.model.wire import Assignment, RunOptions
from aiki.sdk.signature import CallShape

R = TypeVar("R")

__all__ = ["ChildCall", "ChildFacts", "EventAnswer", "RunFacts", "RunHost", "TaskCall", "TaskDefinition"]


class RunFacts(Struct, frozen=True):
    """What a run knows of itself from its claim on."""

    id: str
    namespace: str
    workflow: str
    version: str
    attempt: int
    chapter: int
    reference_id: str | None
    parent_id: str | None
    tags: dict[str, str]

    @classmethod
    def of(cls, assignment: Assignment) -> Self:
        """Return what a claim tells of its run."""
        return cls(
            id=assignment.run_id,
            namespace=assignment.namespace,
            workflow=assignment.workflow,
            version=assignment.version,
            attempt=assignment.attempt,
            chapter=assignment.chapter,
            reference_id=assignment.reference_id,
            parent_id=assignment.parent_id,
            tags=assignment.tags,
        )


class TaskDefinition(Protocol):
    """The parts of a task that its execution needs."""

    name: str
    retry: Retry
    timeout_ms: int | None
    retry_on: tuple[type[BaseException], ...]
    dont_retry_on: tuple[type[BaseException], ...]
    is_async: bool
    where: str  # file:line of the definition

    @property
    def function(self) -> Callable[..., Any]:
        """The author's function."""
        ...

    @property
    def shape(self) -> CallShape:
        """Its signature, with codecs."""
        ...


class TaskCall(Struct, frozen=True):
    """One call of a task: `payload` its arguments by name, `address` the hash of them, `label` for people."""

    task: TaskDefinition
    payload: bytes
    address: str
    label: str
    where: str | None


class ChildCall(Struct, frozen=True):
    """One start of a child. `address` names workflow, version and reference id or hash of the arguments."""

    workflow: str
    version: str
    payload: bytes
    input_hash: str
    address: str
    options: RunOptions
    label: str
    where: str | None


class ChildFacts(Struct, frozen=True):
    """A started child."""

    run_id: str
    version: str


class EventAnswer(Struct, frozen=True):
    """An event's payload, or that none came in time."""

    timed_out: bool
    payload: Raw


class RunHost(Protocol):
    """The machinery beneath one run.

    The methods that return a coroutine count the call when it is first stepped, not when it is made. A coroutine that
    is cancelled withdraws its call.

    The sdk hands these coroutines to the author as they are: another coroutine around one would not hash by the order
    of its creation. So each is told what its `await` gives: the host calls `decode` once, with the delivered answer,
    as the last thing before the code goes on, and what `decode` raises (`InvalidInput`, `RunFailed`, ...) is raised
    there. It neither waits nor calls the host. `call_task` decodes by `call.task.shape.returns` itself.
    """

    @property
    def facts(self) -> RunFacts:
        """What the run knows of itself."""
        ...

    @property
    def context(self) -> Any:  # noqa: ANN401 - whatever the worker's `context` gave
        """What the worker's `context` gave."""
        ...

    @property
    def random(self) -> Random:
        """The run's own source of chance."""
        ...

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that is silent on replay."""
        ...

    def now(self) -> datetime:
        """Return the run's logical time, aware, UTC."""
        ...

    def uuid4(self) -> UUID:
        """Return a random UUID, the same on replay."""
        ...

    def call_task(self, call: TaskCall) -> Coroutine[Any, Any, Any]:
        """Run a task; the answer is its decoded result. Raises `TaskFailed`."""
        ...

    def start_child(self, call: ChildCall, decode: Callable[[ChildFacts], R]) -> Coroutine[Any, Any, R]:
        """Start a child. Raises `ReferenceConflict` where it is refused."""
        ...

    def wait_child(
        self, run_id: str, timeout_ms: int | None, *, decode: Callable[[RunEnd | None], R]
    ) -> Coroutine[Any, Any, R]:
        """Wait for a run's end; the answer is None where it did not come in time.

        On what `decode` raises, the host notes the entry that delivered the end (`failures.mark_entry`).
        """
        ...

    def sleep(self, name: str, duration_ms: int, *, decode: Callable[[bool], R]) -> Coroutine[Any, Any, R]:
        """Sleep; the answer is whether it was woken early."""
        ...

    def wait_event(
        self, name: str, timeout_ms: int | None, *, decode: Callable[[EventAnswer], R]
    ) -> Coroutine[Any, Any, R]:
        """Wait for an event by its name on the wire."""
        ...

    def publish(self, name: str, payload: bytes) -> None:
        """Publish a value under a name (`run.set`)."""
        ...

    def cancel_child(self, run_id: str, reason: str | None) -> None:
        """Ask a child to cancel."""
        ...

    def send_event(self, run_id: str, name: str, payload: bytes, *, reference_id: str | None) -> None:
        """Send an event to a child, once for each reference id."""
        ...

    def continue_as_new(self, payload: bytes, input_hash: str) -> NoReturn:
        """Unwind the code; the run goes on with new input and an empty journal."""
        ...
