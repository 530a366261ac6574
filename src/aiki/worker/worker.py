"""A worker: it serves workflow versions, in the process and environment of who wrote them.

One session with a server, one stream of commits, and an execution for each run that it owns; those that are suspended
stay parked in memory for a while. The rule: a worker decides nothing about a run that the server has not told it; what
it loses, by crash or by eviction, costs a replay and nothing else.
"""

import asyncio
import logging
import signal
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from importlib import metadata
from types import TracebackType
from typing import Any, Final, Self

from msgspec.structs import replace

from aiki.errors import NameTaken
from aiki.model.journal import Entry
from aiki.model.retry import milliseconds
from aiki.model.wire import Assignment, Commit, CommitAnswer, Executing, Held, JournalPage, Lost, NewMail
from aiki.sdk.client import Client
from aiki.sdk.convert import Seconds
from aiki.sdk.workflow import Version
from aiki.worker.attempts import AroundTask, Attempts
from aiki.worker.execution import Execution
from aiki.worker.server_time import ServerTime
from aiki.worker.session import Session
from aiki.worker.stream import CommitStream

__all__ = ["Worker"]

RUNS_MAX: Final = 100_000
PAGES_MAX: Final = 100_000
HEARD_MAX: Final = 10_000
MS_PER_S: Final = 1000

_log = logging.getLogger("aiki.worker")

Context = Callable[[], AbstractAsyncContextManager[Any]]


class Worker:
    """Serves workflows for a server.

    Use it with `async with` (entered once it is announced; a fatal error cancels the body), or `await worker.run()`
    until SIGTERM or Ctrl-C.

    Args:
        client: where the server is; one that is not open is opened for as long as the worker serves.
        workflows: the versions to serve.
        name: what people see it as.
        pools: the pools it serves; by default the one without a name.
        max_concurrent_runs: how many runs it owns at a time.
        max_parked_runs: how many suspended runs it keeps in memory; the least recently used goes first.
        context: makes an async context manager that is entered once; what it gives is `run.context`, and
            `current_task().context`.
        around_task: makes an async context manager around each attempt of a task.
        shutdown_grace: seconds (or timedelta) that running tasks get at the end.

    Raises:
        NameTaken: two versions have the same name and number.
        TypeError: a type hint cannot be carried; the message names parameter, type and cure.
    """

    def __init__(
        self,
        client: Client,
        workflows: Sequence[Version[..., Any, Any]],
        *,
        name: str = "worker",
        pools: Sequence[str] = (),
        max_concurrent_runs: int = 100,
        max_parked_runs: int = 1000,
        context: Context | None = None,
        around_task: AroundTask | None = None,
        shutdown_grace: Seconds = 10.0,
    ) -> None:
        self.name = name
        self._client = client
        self._versions = _by_name(workflows)
        self._pools = tuple(pools)
        self._runs_max = _bounded(max_concurrent_runs, "max_concurrent_runs", least=1)
        self._parked_max = _bounded(max_parked_runs, "max_parked_runs", least=0)
        self._context_factory = context
        self._around_task = around_task
        self._grace_ms = milliseconds(shutdown_grace, "shutdown_grace")
        self._context: Any = None
        self._active: dict[str, Execution] = {}
        self._claiming: dict[str, int] = {}  # runs whose journal is being fetched, with their epoch
        self._parked: OrderedDict[str, Execution] = OrderedDict()
        self._heard: OrderedDict[str, int] = OrderedDict()  # the last epoch of each run that it was told of
        self._jobs: set[asyncio.Task[None]] = set()
        self._exits = AsyncExitStack()
        self._body: asyncio.Task[Any] | None = None
        self._fatal: BaseException | None = None
        self._is_hurried = False
        self.has_given_up = False  # it ended while tasks were under way: a `def` task's thread may still be at work

    @property
    def client(self) -> Client:
        """Where the server is."""
        return self._client

    # ------------------------------------------------------------------------------------------------------ lifetime

    async def __aenter__(self) -> Self:
        """Announce it and serve until the body ends."""
        try:
            await self._open()
        except BaseException:
            await self._exits.aclose()
            raise
        self._body = asyncio.current_task()
        self._start(self._stream.run(), "commits")
        self._start(self._session.run(), "polls")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop claiming, let tasks finish for the grace, hand back the rest."""
        self._body = None
        try:
            if self._fatal is None:
                await self._wind_down()
        finally:
            for execution in [*self._active.values(), *self._parked.values()]:
                execution.release()
            self._active.clear()
            self._parked.clear()
            for job in self._jobs:
                job.cancel()
            await asyncio.gather(*self._jobs, return_exceptions=True)
            self.attempts.close()
            await self._exits.__aexit__(kind, error, trace)
        if self._fatal is not None:
            raise self._fatal

    async def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C; then stop claiming, let tasks finish, hand back the rest."""
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        caught = [signal.SIGTERM, signal.SIGINT]
        for number in caught:
            loop.add_signal_handler(number, stopped.set)
        try:
            async with self:
                await stopped.wait()
        finally:
            for number in caught:
                loop.remove_signal_handler(number)

    def hurry(self) -> None:
        """While it winds down: end the grace now. Runs whose tasks are not done go back at once."""
        self._is_hurried = True

    async def _open(self) -> None:
        versions = [version.announced() for version in self._versions.values()]
        if not self._client.is_open:
            await self._exits.enter_async_context(self._client)
        connection = self._client.connection
        clock, chance = connection.clock, connection.chance
        if self._context_factory is not None:
            self._context = await self._exits.enter_async_context(self._context_factory())
        self.server_time = ServerTime(clock)
        self.attempts = Attempts(
            client=self._client, context=self._context, around_task=self._around_task, chance=chance
        )
        self._clock = clock
        self._transport = connection.transport
        self._stream = CommitStream(self._transport, chance=chance)
        self._session = Session(
            self,
            self._transport,
            clock=clock,
            chance=chance,
            namespace=connection.namespace,
            name=self.name,
            versions=versions,
            pools=self._pools,
            capacity=self._runs_max,
            sdk=f"python/{metadata.version('aiki')}",
        )
        await self._session.announce()

    async def _wind_down(self) -> None:
        self._session.stop_claiming()
        waited_until_ms = self._clock.monotonic_ms() + self._grace_ms
        while any(execution.is_executing for execution in self._active.values()):
            left_ms = waited_until_ms - self._clock.monotonic_ms()
            if left_ms <= 0 or self._is_hurried:
                self.has_given_up = True
                _log.warning("%d runs still execute tasks at the end of the grace; they go back", len(self._active))
                break
            await asyncio.sleep(min(left_ms / MS_PER_S, 0.02))
        held = self.held()
        for execution in self._active.values():
            execution.release()
        self._active.clear()
        await self._stream.drained()
        await self._session.hand_back(held)
        await self._session.goodbye()

    def _start(self, coroutine: Coroutine[Any, Any, None], what: str) -> None:
        job = asyncio.get_running_loop().create_task(coroutine, name=f"aiki-{what}")
        self._jobs.add(job)
        job.add_done_callback(self._job_ended)

    def _job_ended(self, job: asyncio.Task[None]) -> None:
        self._jobs.discard(job)
        if job.cancelled() or job.exception() is None:
            return
        if self._fatal is None:
            self._fatal = job.exception()
            _log.error("worker %s stops: %s", self.name, self._fatal, exc_info=self._fatal)
            if self._body is not None:
                self._body.cancel()

    # --------------------------------------------------------------------------------------- what the session brings

    def capacity(self) -> int:
        """Return how many more runs it takes."""
        return self._runs_max - len(self._active) - len(self._claiming)

    def held(self) -> list[Held]:
        """Return what it holds."""
        return [execution.held() for execution in self._active.values()]

    def executing(self) -> list[Executing]:
        """Return what it executes."""
        return [line for execution in self._active.values() for line in execution.executing()]

    def assigned(self, assignment: Assignment) -> None:
        """A run is this worker's."""
        run_id = assignment.run_id
        if self._heard.get(run_id, -1) >= assignment.epoch:
            return  # told again of what it holds, or held under that epoch and does no longer
        self._heard[run_id] = assignment.epoch
        self._heard.move_to_end(run_id)
        if len(self._heard) > HEARD_MAX:
            self._heard.popitem(last=False)
        if run_id in self._active:
            self._drop(run_id)
        parked = self._parked.pop(run_id, None)
        if parked is not None:
            if assignment.parked and parked.fits(assignment):
                self._active[run_id] = parked
                parked.resume(assignment)
                return
            parked.release()
        if assignment.parked or assignment.has_more:
            self._claiming[run_id] = assignment.epoch
            self._start(self._fetch_and_begin(assignment), f"fetch-{run_id}")
        else:
            self._begin(assignment)

    def mailed(self, mail: NewMail) -> None:
        """New mail for a run that it holds."""
        active = self._active.get(mail.run_id)
        if active is not None and active.epoch == mail.epoch:
            active.receive(mail.mail, mail.last_mail)

    def lost(self, lost: Lost) -> None:
        """A run is this worker's no longer."""
        active = self._active.get(lost.run_id)
        if active is not None and active.epoch == lost.epoch:
            self._drop(lost.run_id)

    def over(self) -> None:
        """The session has ended: drop everything."""
        for run_id in list(self._active):
            self._drop(run_id)
        for execution in self._parked.values():
            execution.release()
        self._parked.clear()
        self._claiming.clear()

    async def _fetch_and_begin(self, assignment: Assignment) -> None:
        """Fetch what an assignment left out, the rest of a long journal or all of a lost parked run, and begin."""
        run_id = assignment.run_id
        entries: list[Entry] = list(assignment.entries)
        for _ in range(PAGES_MAX):
            after = entries[-1].seq if entries else 0
            page: JournalPage = await self._transport.fetch(self._session.id, run_id, assignment.epoch, after)
            if page.problem is not None:
                self._claiming.pop(run_id, None)
                return
            entries.extend(page.entries)
            if after == 0:
                assignment = replace(assignment, input=page.input, waits=page.waits, parked=False)
            if not page.has_more:
                break
        if self._claiming.pop(run_id, None) == assignment.epoch:
            self._begin(replace(assignment, entries=tuple(entries), has_more=False))

    def _begin(self, assignment: Assignment) -> None:
        version = self._versions.get((assignment.workflow, assignment.version))
        if version is None:
            _log.error("run %s of %s %s is not served here", assignment.run_id, assignment.workflow, assignment.version)
            self._start(self._session.hand_back([Held(assignment.run_id, assignment.epoch, 0)]), "hand-back")
            return
        execution = Execution(self, assignment, version, context=self._context)
        self._active[assignment.run_id] = execution
        execution.begin()

    def _drop(self, run_id: str) -> None:
        execution = self._active.pop(run_id, None)
        if execution is not None:
            execution.release()
            self._session.room()

    # ----------------------------------------------------------------------------------- what its executions ask for

    def send(self, commit: Commit, answered: Callable[[CommitAnswer], None]) -> None:
        """Send a turn."""
        self._stream.send(commit, answered)

    def suspended(self, execution: Execution) -> None:
        """A claim has ended by a suspension: keep the code, and let the least recently used one go."""
        if self._active.get(execution.run_id) is execution:
            del self._active[execution.run_id]
        self._parked[execution.run_id] = execution
        while len(self._parked) > self._parked_max:
            _, oldest = self._parked.popitem(last=False)
            oldest.release()
        self._session.room()

    def ended(self, execution: Execution) -> None:
        """A claim has ended, and nothing is kept."""
        if self._active.get(execution.run_id) is execution:
            del self._active[execution.run_id]
        self._session.room()


def _by_name(workflows: Sequence[Version[..., Any, Any]]) -> dict[tuple[str, str], Version[..., Any, Any]]:
    found: dict[tuple[str, str], Version[..., Any, Any]] = {}
    for version in workflows:
        name = (version.workflow, version.version)
        if name in found:
            places = (found[name].where, version.where)
            raise NameTaken(
                f"two workflows are {name[0]} {name[1]}: one at {places[0]}, one at {places[1]}. Give one another"
                " version.",
                name=" ".join(name),
                places=places,
            )
        if version.is_of_one_run:
            raise ValueError(
                f"{name[0]} {name[1]} carries options of one single run; give the worker the version itself"
            )
        found[name] = version
    return found


def _bounded(value: int, what: str, *, least: int) -> int:
    if not least <= value <= RUNS_MAX:
        raise ValueError(f"{what} is {value!r}: it must be from {least} to {RUNS_MAX:,}")
    return value
