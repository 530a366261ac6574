"""A scripted host and a scripted transport: the two seams of the sdk, each answering what a test has written down.

The rule: they decide nothing. What is asked is kept in order; what was not scripted fails the test.
"""

import builtins
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any, NoReturn, TypeVar
from uuid import UUID

from msgspec import Raw

from aiki.clock import Chance, ManualClock
from aiki.model.lifecycle import Status
from aiki.model.many import JobView, Multicast, MulticastAnswer, StartJob
from aiki.model.run import RunEnd
from aiki.model.schedule import ActivateSchedule, ScheduleInfo, SchedulePage, ScheduleRequest, ScheduleStanding
from aiki.model.views import RunCount, RunFilter, RunInfo, RunPage, WorkersView, WorkflowsView
from aiki.model.wire import (
    Announce,
    Commit,
    CommitAnswer,
    Control,
    Finished,
    Goodbye,
    HandBack,
    JournalPage,
    PollAnswer,
    PollRequest,
    SendEvent,
    Standing,
    Started,
    StartRun,
    WaitAnswer,
    WaitRequest,
)
from aiki.sdk.client import Client
from aiki.sdk.control import ContinueAsNew
from aiki.sdk.host import ChildCall, ChildFacts, EventAnswer, RunFacts, TaskCall

R = TypeVar("R")

RUN_ID = "0190b7a4-0000-7000-8000-000000000001"


class ScriptedHost:
    """Answers each durable call with the next of `answers`; an exception among them is raised."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[Any, ...]] = []
        self.facts = RunFacts(
            id=RUN_ID,
            namespace="default",
            workflow="order",
            version="1.0.0",
            attempt=2,
            chapter=1,
            reference_id="order-1",
            parent_id=None,
            tags={"team": "sales"},
        )
        self.context: Any = "the context"
        self.random = Random(7)
        self.logger = logging.LoggerAdapter(logging.getLogger("tests.sdk"), {})

    def now(self) -> datetime:
        return datetime(2030, 1, 1, tzinfo=UTC)

    def uuid4(self) -> UUID:
        return UUID(int=self.random.getrandbits(128), version=4)

    def call_task(self, call: TaskCall) -> Coroutine[Any, Any, Any]:
        self.asked.append(("task", call))
        return self._answer(call.task.shape.returns.decode)

    def start_child(self, call: ChildCall, decode: Callable[[ChildFacts], R]) -> Coroutine[Any, Any, R]:
        self.asked.append(("child", call))
        return self._answer(decode)

    def wait_child(
        self, run_id: str, timeout_ms: int | None, *, decode: Callable[[RunEnd | None], R]
    ) -> Coroutine[Any, Any, R]:
        self.asked.append(("child_result", run_id, timeout_ms))
        return self._answer(decode)

    def sleep(self, name: str, duration_ms: int, *, decode: Callable[[bool], R]) -> Coroutine[Any, Any, R]:
        self.asked.append(("sleep", name, duration_ms))
        return self._answer(decode)

    def wait_event(
        self, name: str, timeout_ms: int | None, *, decode: Callable[[EventAnswer], R]
    ) -> Coroutine[Any, Any, R]:
        self.asked.append(("event", name, timeout_ms))
        return self._answer(decode)

    def publish(self, name: str, payload: bytes) -> None:
        self.asked.append(("set", name, payload))

    def cancel_child(self, run_id: str, reason: str | None) -> None:
        self.asked.append(("cancel", run_id, reason))

    def send_event(self, run_id: str, name: str, payload: bytes, *, reference_id: str | None) -> None:
        self.asked.append(("send", run_id, name, payload, reference_id))

    def continue_as_new(self, payload: bytes, input_hash: str) -> NoReturn:
        raise ContinueAsNew(payload, input_hash)

    async def _answer(self, decode: Callable[[Any], R]) -> R:
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return decode(answer)


class ScriptedTransport:
    """Takes everything in; each kind of request is answered by a function that a test may replace."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.is_closed = False
        self.ends: dict[str, Finished] = {}
        self.infos: dict[str, RunInfo] = {}
        self.values: dict[str, Raw] = {}
        self.on_start: Callable[[StartRun], Started] = lambda start: Started(run_id=start.run_id, version=start.version)
        self.on_standing: Callable[[SendEvent | Control], Standing] = lambda asked: Standing(
            run_id=asked.run_id, status=Status.RUNNING, changed=True
        )
        self.before: Callable[[str], Awaitable[None]] = _at_once

    async def start(self, starts: Sequence[StartRun]) -> list[Started]:
        await self._ask("start", tuple(starts))
        return [self.on_start(start) for start in starts]

    async def send(self, events: Sequence[SendEvent]) -> list[Standing]:
        await self._ask("send", tuple(events))
        return [self.on_standing(event) for event in events]

    async def multicast(self, request: Multicast) -> MulticastAnswer:
        await self._ask("multicast", request)
        return MulticastAnswer(())

    async def start_job(self, request: StartJob) -> JobView:
        await self._ask("start_job", request)
        return JobView(request.id, request.namespace, request.verb, 0)

    async def job(self, namespace: str, job_id: str, *, wait_ms: int = 0) -> JobView | None:
        await self._ask("job", job_id)
        return None

    async def control(self, requests: Sequence[Control]) -> list[Standing]:
        await self._ask("control", tuple(requests))
        return [self.on_standing(request) for request in requests]

    async def wait(self, request: WaitRequest) -> WaitAnswer:
        await self._ask("wait", request)
        return WaitAnswer(finished=tuple(self.ends[run_id] for run_id in request.add if run_id in self.ends))

    async def info(self, namespace: str, run_id: str) -> RunInfo | None:
        await self._ask("info", (namespace, run_id))
        return self.infos.get(run_id)

    async def by_reference(self, namespace: str, workflow: str, reference_id: str) -> RunInfo | None:
        await self._ask("by_reference", (namespace, workflow, reference_id))
        found = [run for run in self.infos.values() if (run.workflow, run.reference_id) == (workflow, reference_id)]
        return found[0] if found else None

    async def list(self, runs: RunFilter) -> RunPage:
        await self._ask("list", runs)
        return RunPage(runs=tuple(self.infos.values()))

    async def count(self, runs: RunFilter) -> RunCount:
        await self._ask("count", runs)
        return RunCount(0)

    async def workers(self, namespace: str) -> WorkersView:
        return WorkersView(())

    async def workflows(self, namespace: str) -> WorkflowsView:
        return WorkflowsView(())

    async def value(self, namespace: str, run_id: str, name: str) -> Raw | None:
        await self._ask("value", (namespace, run_id, name))
        return self.values.get(name)

    async def journal(self, namespace: str, run_id: str, after_seq: int) -> JournalPage:
        raise AssertionError("not scripted")

    async def activate(self, request: ActivateSchedule) -> ScheduleStanding:
        """Make a schedule what is asked for."""
        raise AssertionError("not scripted")

    async def ask_schedule(self, request: ScheduleRequest) -> ScheduleStanding:
        """Pause, resume, trigger or deactivate a schedule."""
        raise AssertionError("not scripted")

    async def schedule(self, namespace: str, name: str) -> ScheduleInfo | None:
        """Return a schedule with its next ticks and what it has started last, or None."""
        raise AssertionError("not scripted")

    async def schedules(self, namespace: str, cursor: str | None, limit: int) -> SchedulePage:
        """Return a page of schedules, by name."""
        raise AssertionError("not scripted")

    def renewer(self) -> None:
        return

    async def announce(self, announce: Announce) -> PollAnswer:
        raise AssertionError("not scripted")

    async def poll(self, request: PollRequest) -> PollAnswer:
        raise AssertionError("not scripted")

    async def commit(self, commits: Sequence[Commit]) -> builtins.list[CommitAnswer]:
        raise AssertionError("not scripted")

    async def fetch(self, session_id: str, run_id: str, epoch: int, after_seq: int) -> JournalPage:
        raise AssertionError("not scripted")

    async def hand_back(self, request: HandBack) -> None:
        raise AssertionError("not scripted")

    async def goodbye(self, request: Goodbye) -> None:
        raise AssertionError("not scripted")

    async def close(self) -> None:
        self.is_closed = True

    async def _ask(self, kind: str, asked: object) -> None:
        self.asked.append((kind, asked))
        await self.before(kind)


def scripted_client(transport: ScriptedTransport, *, clock: ManualClock | None = None) -> Client:
    """Return a client on a scripted transport, with a clock that stands still and chance that repeats."""
    return Client(transport=transport, clock=clock or ManualClock(), chance=Chance(seed=7))


async def _at_once(_kind: str) -> None:
    return None
