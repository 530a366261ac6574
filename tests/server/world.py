"""A small world around a real server: engine, store in memory, a clock moved by hand, loops stepped by hand.

Its workers are played: they say what a worker says, and execute nothing.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from msgspec import Raw

from aiki.clock import Chance, ManualClock
from aiki.model.journal import CallKey, EntryKind, Wait
from aiki.model.run import Queue
from aiki.model.views import RunInfo
from aiki.model.wire import (
    Announce,
    Assignment,
    Commit,
    CommitAnswer,
    Control,
    Goodbye,
    HandBack,
    Held,
    Outcome,
    PollAnswer,
    PollRequest,
    RunOptions,
    SendEvent,
    Standing,
    Started,
    StartRun,
    VersionInfo,
)
from aiki.server.server import Server

T = TypeVar("T")

SETTLED_S: Final = 5.0
QUEUE: Final = Queue("default", "order", "1.0.0")


class ServerWorld:
    def __init__(self, server: Server, clock: ManualClock) -> None:
        self.server = server
        self.clock = clock
        self.chance = Chance(seed=2)
        self.calls = server.transport()

    def new_id(self) -> str:
        return self.chance.uuid7(now_ms=self.clock.now_ms())

    async def do(self, asked: Coroutine[Any, Any, T] | asyncio.Future[T]) -> T:
        return await self.server.complete(asked)

    async def step(self) -> None:
        await self.server.step()

    async def until_quiet(self) -> None:
        """Let the pipeline do what waits for it, while open polls stay open."""
        await self.server.complete(asyncio.sleep(0))

    # ------------------------------------------------------------------------------------------------------- clients

    def start_request(self, *, workflow: str = "order", payload: bytes = b"{}", **options: Any) -> StartRun:
        return StartRun(self.new_id(), "default", workflow, "1.0.0", Raw(payload), "hash", RunOptions(**options))

    async def start(self, **asked: Any) -> Started:
        (started,) = await self.do(self.calls.start([self.start_request(**asked)]))
        return started

    async def run(self, **asked: Any) -> str:
        started = await self.start(**asked)
        assert started.problem is None
        return started.run_id

    async def send(self, run_id: str, name: str, payload: bytes = b"1") -> Standing:
        event = SendEvent("default", run_id, self.new_id(), name, Raw(payload))
        return (await self.do(self.calls.send([event])))[0]

    async def control(self, run_id: str, verb: Any) -> Standing:
        return (await self.do(self.calls.control([Control("default", run_id, self.new_id(), verb)])))[0]

    async def info(self, run_id: str) -> RunInfo:
        info = await self.do(self.calls.info("default", run_id))
        assert info is not None
        return info

    async def worker(self, *, capacity: int = 10, workflows: tuple[str, ...] = ("order",)) -> "PlayedWorker":
        worker = PlayedWorker(self, capacity=capacity, workflows=workflows)
        versions = tuple(VersionInfo(workflow, "1.0.0") for workflow in workflows)
        await self.do(self.calls.announce(Announce(worker.session_id, "default", "played", versions, ("",), capacity)))
        return worker


class PlayedWorker:
    def __init__(self, world: ServerWorld, *, capacity: int, workflows: tuple[str, ...]) -> None:
        self.world = world
        self.session_id = world.new_id()
        self.capacity = capacity
        self.queues = tuple(Queue("default", workflow, "1.0.0") for workflow in workflows)
        self.number = 0
        self.held: dict[str, Held] = {}

    def request(self, *, wait_ms: int = 0, capacity: int | None = None) -> PollRequest:
        self.number += 1
        capacity = self.capacity if capacity is None else capacity
        queues = self.queues if capacity else ()
        return PollRequest(self.session_id, self.number, queues, capacity, tuple(self.held.values()), wait_ms=wait_ms)

    async def poll(self, **asked: Any) -> PollAnswer:
        return self.take(await self.world.do(self.world.calls.poll(self.request(**asked))))

    async def wait(self, **asked: Any) -> asyncio.Task[PollAnswer]:
        """Leave a poll open, and return once it waits."""
        task = asyncio.create_task(self.world.calls.poll(self.request(wait_ms=2_000, **asked)))
        await self.world.until_quiet()
        return task

    def take(self, answer: PollAnswer) -> PollAnswer:
        for assignment in answer.assignments:
            self.held[assignment.run_id] = Held(assignment.run_id, assignment.epoch, assignment.last_mail)
        for lost in answer.lost:
            self.held.pop(lost.run_id, None)
        return answer

    async def claim(self) -> Assignment:
        (assignment,) = (await self.poll()).assignments
        return assignment

    async def commit(self, *commits: Commit) -> list[CommitAnswer]:
        answers = await self.world.do(self.world.calls.commit(commits))
        for answer in answers:
            if answer.status != "running":
                self.held.pop(answer.run_id, None)
        return answers

    async def complete(self, assignment: Assignment, output: bytes = b"7") -> CommitAnswer:
        return (await self.commit(turn(assignment, Outcome.COMPLETED, output=Raw(output))))[0]

    async def suspend(self, assignment: Assignment, wait: Wait, **changed: Any) -> CommitAnswer:
        suspended = {"waits": 1, "deadline_ms": wait.deadline_ms, "waits_for": wait.key.kind, "opened": (wait,)}
        answers = await self.commit(turn(assignment, Outcome.SUSPENDED, **suspended | changed))
        return answers[0]

    async def hand_back(self) -> None:
        await self.world.do(self.world.calls.hand_back(HandBack(self.session_id, tuple(self.held.values()))))
        self.held.clear()

    async def goodbye(self) -> None:
        await self.world.do(self.world.calls.goodbye(Goodbye(self.session_id)))


def turn(assignment: Assignment, outcome: Outcome, **changed: Any) -> Commit:
    asked: dict[str, Any] = {"last_mail": assignment.last_mail, "turn": 1} | changed
    return Commit(run_id=assignment.run_id, epoch=assignment.epoch, outcome=outcome, at_ms=assignment.clock_ms, **asked)


def nap(until_ms: int) -> Wait:
    return Wait(CallKey(EntryKind.SLEEP, "nap"), asked=0, order=1, deadline_ms=until_ms)


def event(name: str) -> Wait:
    return Wait(CallKey(EntryKind.EVENT, name), asked=0, order=1)


async def settled(task: asyncio.Task[T]) -> T:
    """Return what a task returns that nothing holds up any more but the database."""
    async with asyncio.timeout(SETTLED_S):
        return await task
