"""A worker: it serves workflow versions, in the process and environment of who wrote them.

One session with a server, one stream of commits, and an execution for each run that it owns; those that are suspended
stay parked in memory for a while. The rule: a worker decides nothing about a run that the server has not told it; what
it loses, by crash or by eviction, costs a replay and nothing else.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager, suppress
from importlib import metadata
from types import TracebackType
from typing import Any, Final, Self

from aiki.errors import NameTaken, Unavailable
from aiki.model.retry import milliseconds
from aiki.sdk.client import Client
from aiki.sdk.convert import Seconds
from aiki.sdk.schedule import ScheduledVersion
from aiki.sdk.workflow import Version
from aiki.worker.attempts import AroundTask, Attempts
from aiki.worker.claims import Claims
from aiki.worker.finding import Subscriber
from aiki.worker.server_time import ServerTime
from aiki.worker.session import Session
from aiki.worker.watchdog import Watchdog

__all__ = ["Worker"]

RUNS_MAX: Final = 100_000
LOOK_S: Final = 0.02  # how often a worker that winds down looks whether its tasks are done
LEAVE_S: Final = 2.0  # how long commits and tidying up may take after that, and the goodbye
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
        subscriber: where it finds work by itself, such as a `RedisSubscriber`; by default the server's polls bring it.
        schedules: what it activates at start: `daily.of(report_v1, ...)`.
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
        subscriber: Subscriber | None = None,
        schedules: Sequence[ScheduledVersion] = (),
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
        self._subscriber = subscriber
        self._schedules = _checked_schedules(schedules)
        self._context_factory = context
        self._around_task = around_task
        self._grace_ms = milliseconds(shutdown_grace, "shutdown_grace")
        self._context: Any = None
        self._jobs: set[asyncio.Task[None]] = set()
        self._exits = AsyncExitStack()
        self._body: asyncio.Task[Any] | None = None
        self._fatal: BaseException | None = None
        self._has_cancelled_body = False
        self._is_hurried = False
        self.has_given_up = False  # it ended while tasks were under way: a `def` task's thread may still be at work

    @property
    def client(self) -> Client:
        """Where the server is."""
        return self._client

    @property
    def workflows(self) -> tuple[Version[..., Any, Any], ...]:
        """The versions that it serves."""
        return tuple(self._versions.values())

    @property
    def tasks(self) -> int:
        """How many tasks are under way."""
        return self._claims.tasks

    # ------------------------------------------------------------------------------------------------------ lifetime

    async def __aenter__(self) -> Self:
        """Announce it and serve until the body ends."""
        try:
            await self._open()
        except BaseException:
            await self._exits.aclose()
            raise
        self._body = asyncio.current_task()
        self._commits = self._start(self._claims.stream.run(), "commits")
        self._polls = self._start(self._session.run(), "polls")
        if self._subscriber is not None and self._session.finding is not None:
            self._exits.push_async_callback(self._subscriber.close)
            self._finder = self._start(self._session.finding.run(), "finding")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop claiming, let tasks finish for the grace, hand back the rest."""
        body, self._body = self._body, None
        try:
            if self._fatal is None:
                await self._wind_down()
        finally:
            self._claims.drop_all()
            await self._end_jobs(*self._jobs)
            self.attempts.close()
            await self._exits.__aexit__(kind, error, trace)
        if self._fatal is not None:
            if self._has_cancelled_body and body is not None:
                body.uncancel()
            raise self._fatal

    async def run(self, *, on_stopping: Callable[[int], None] | None = None) -> None:
        """Serve until SIGTERM or Ctrl-C; then stop claiming, let tasks finish, hand back the rest.

        A second one ends the grace at once. Where no signal can be caught (another thread than the main one, Windows),
        cancel it instead.

        Args:
            on_stopping: told, as it stops, how many tasks are under way; by default a line is logged.
        """
        stopped = asyncio.Event()

        def stop() -> None:
            if stopped.is_set():
                self.hurry()
                return
            stopped.set()
            (on_stopping or _log_stopping)(self.tasks)

        async with self:
            with _caught(stop):
                await stopped.wait()
                await self._wind_down()

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
        watchdog = Watchdog(clock)
        self._exits.callback(watchdog.close)
        self._clock = clock
        self._claims = Claims(
            connection.transport,
            versions=self._versions,
            attempts=self.attempts,
            server_time=self.server_time,
            watchdog=watchdog,
            chance=chance,
            context=self._context,
            runs_max=self._runs_max,
            parked_max=self._parked_max,
            start=self._start,
        )
        self._session = self._claims.session = Session(
            self._claims,
            connection.transport,
            clock=clock,
            chance=chance,
            namespace=connection.namespace,
            name=self.name,
            versions=versions,
            pools=self._pools,
            capacity=self._runs_max,
            sdk=f"python/{metadata.version('aiki')}",
            subscriber=self._subscriber,
        )
        await connection.repeat(self._session.announce)
        for scheduled in self._schedules:
            await scheduled.activate(connection)

    async def _wind_down(self) -> None:
        """Wait for running tasks, start none, and give everything back in one call. Done once."""
        if self._claims.is_leaving:
            return
        self._claims.is_leaving = True
        self._session.stop_claiming()
        until_ms = self._clock.monotonic_ms() + self._grace_ms
        while self._claims.is_executing and self._fatal is None:
            left_ms = until_ms - self._clock.monotonic_ms()
            if left_ms <= 0 or self._is_hurried:
                self.has_given_up = self.tasks > 0
                _log.warning("tasks not done at the end of the grace: %d; their runs go back", self.tasks)
                break
            await asyncio.sleep(min(left_ms / MS_PER_S, LOOK_S))
        if self._fatal is None:
            await self._leave()

    async def _leave(self) -> None:
        await self._end_jobs(self._polls)  # which would state nothing any more, and be told of everything again
        self._claims.drop_all()
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self.attempts.unwound()
                await self._claims.stream.drained()
        self._claims.stream.clear()
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._session.goodbye()
        except (Unavailable, TimeoutError) as error:
            _log.warning("worker %s could not say goodbye; its runs go back when its lease ends: %s", self.name, error)

    async def _end_jobs(self, *jobs: asyncio.Task[None]) -> None:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    def _start(self, coroutine: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
        job = asyncio.get_running_loop().create_task(coroutine, name=f"aiki-{what}")
        self._jobs.add(job)
        job.add_done_callback(self._job_ended)
        return job

    def _job_ended(self, job: asyncio.Task[None]) -> None:
        self._jobs.discard(job)
        if job.cancelled() or job.exception() is None:
            return
        if self._fatal is None:
            self._fatal = job.exception()
            _log.error("worker %s stops: %s", self.name, self._fatal, exc_info=self._fatal)
            if self._body is not None and not self._has_cancelled_body:
                self._has_cancelled_body = True
                self._body.cancel()


@contextmanager
def _caught(stop: Callable[[], None]) -> Iterator[None]:
    """Have `stop` called by SIGTERM and Ctrl-C, where signals can be caught."""
    loop = asyncio.get_running_loop()
    caught = []
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            with suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, stop)
                caught.append(number)
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


def _log_stopping(tasks: int) -> None:
    if tasks > 0:
        _log.warning("finishing %d task%s, Ctrl-C again to stop now", tasks, "" if tasks == 1 else "s")


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


def _checked_schedules(schedules: Sequence[ScheduledVersion]) -> tuple[ScheduledVersion, ...]:
    for found in schedules:
        if not isinstance(found, ScheduledVersion):
            raise TypeError(f"schedules holds {found!r}: say what it starts, as in daily.of(report_v1, ...)")
    return tuple(schedules)


def _bounded(value: int, what: str, *, least: int) -> int:
    if not least <= value <= RUNS_MAX:
        raise ValueError(f"{what} is {value!r}: it must be from {least} to {RUNS_MAX:,}")
    return value
