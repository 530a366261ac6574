"""A server: a store, the pipeline that writes to it, and the loops around that, with one beginning and one end.

The rule: everything that it runs on (clock, chance, database, settings) is handed in, its loops can be stepped by hand,
and a loop that fails takes the server down loudly: a server that looks alive and does nothing would be worse.
"""

import asyncio
import importlib
import logging
from collections.abc import Callable, Coroutine
from os import PathLike, fspath
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from aiki.clock import Chance, Clock, SystemClock
from aiki.config import Config
from aiki.errors import InvalidInput, Unavailable
from aiki.model.working_set import WorkingSet
from aiki.server.alarms import Alarms
from aiki.server.contracts import Contracts
from aiki.server.dispatch import Dispatch
from aiki.server.hints import Alone, Board, Hints
from aiki.server.inprocess import InProcessTransport
from aiki.server.live import Live
from aiki.server.neighbours import Neighbours
from aiki.server.pipeline import Pipeline
from aiki.server.presence import Presence
from aiki.server.retention import Retention
from aiki.server.roster import Roster
from aiki.server.service import Service
from aiki.server.waiting import Waiting
from aiki.store.base import Store
from aiki.store.opening import MEMORY
from aiki.store.postgres.address import SCHEMES, Address
from aiki.store.sqlite import SqliteStore

__all__ = ["Server"]

STEPS_MAX: Final = 1_000_000
POSTGRES: Final = "aiki.store.postgres.store"  # imported where it is asked for, with its driver (docs/why.md)
POSTGRES_ROAD: Final = "aiki.server.postgres_road"  # the same
REDIS_ROAD: Final = "aiki.server.redis_road"  # imported where it is asked for, with its driver (docs/why.md)
SHOWN_MS: Final = 500  # after so long a run that was shown may have been lost, and is shown again
SHOWN_ROWS: Final = 500  # of each queue, at once
NOT_RUNNING: Final = "the server does not run. Enter it first: `async with server:`, or lifespan=server.lifespan."

T = TypeVar("T")

_log = logging.getLogger("aiki.server")


class Server:
    """Serves runs from one database. Use it with `async with`; a fatal error cancels the body and is raised at its end.

    Args:
        database: a path, `sqlite:///path`, `:memory:` for a throw-away, or `postgresql://user@host/name`.
        clock: where the time comes from. Postgres tells its own, and of this one only how much of it has passed.
        chance: where the server's own id comes from.
        config: the settings.
        inline: use the database without threads, as in memory in any case.
        is_embedded: all its workers live in this process, so sessions of before are of the dead: they end at once. Else
            they have a lease's time to be renewed.
        is_stepped: run no loops; whoever made the server drives it with `step` and `complete`.
        store: a store that is open already, and that others may use too; it is left open. `database` then says nothing.
        redis: the URL of the Redis in which ready runs are shown to workers, and news to other servers.
        hints: another road to the other servers of the same database.

    Raises:
        DatabaseInUse: another process serves the file.
        InvalidInput: the database cannot be used; or it waits for `aiki migrate apply`.
        Unavailable: Postgres cannot be reached.

    >>> from aiki.model.views import RunFilter
    >>> async def example() -> int:
    ...     async with Server(":memory:") as server:
    ...         return len((await server.transport().list(RunFilter())).runs)
    >>> asyncio.run(example())
    0
    """

    def __init__(
        self,
        database: str | PathLike[str] = "sqlite:///aiki.db",
        *,
        clock: Clock | None = None,
        chance: Chance | None = None,
        config: Config | None = None,
        inline: bool = False,
        is_embedded: bool = False,
        is_stepped: bool = False,
        store: Store | None = None,
        redis: str | None = None,
        hints: Hints | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()  # once the server runs, that of its store
        self.chance = chance or Chance()
        self.config = config or Config()
        self._machine = self.clock
        self._database = _database_of(database)
        self._given_store = store
        self._redis = redis
        self._given_hints = hints
        self._hints: Hints = Alone()
        self._board: Board | None = None
        self._inline = inline
        self._is_embedded = is_embedded
        self._is_stepped = is_stepped
        self._loops: list[asyncio.Task[None]] = []
        self._body: asyncio.Task[Any] | None = None
        self._service: Service | None = None
        self._failure: BaseException | None = None
        self.observers: list[Callable[[WorkingSet], None]] = []  # told of each transaction once it is durable

    async def __aenter__(self) -> Self:
        """Open the database, end the sessions of the dead, and serve."""
        self._loops, self._failure = [], None
        self.store = self._given_store or await self._open_store()
        self.clock = clock = self.store.clock
        config = self.config
        self.id = self.chance.uuid7(now_ms=clock.now_ms())
        self._hints, self._board = self._roads()
        self.presence = Presence(clock=clock, config=config)
        self.dispatch = Dispatch(presence=self.presence, clock=clock, config=config, board=self._board)
        self.waiting = Waiting(self.store, clock=clock, config=config)
        self.roster = Roster(clock=clock, config=config)
        self.contracts = Contracts(self.store)
        self.live = Live(self.id, clock=clock, config=config)
        self.pipeline = Pipeline(
            self.store,
            self.dispatch,
            clock=clock,
            config=config,
            on_durable=self._note,
            on_uncertain=self._note_uncertainty,
        )
        self.alarms = Alarms(
            self.store, self.pipeline, presence=self.presence, clock=clock, config=config, sweep=self._sweep
        )
        self.retention = Retention(self.store, self.pipeline, clock=clock, config=config)
        self.neighbours = Neighbours(
            self._hints,
            origin=self.id,
            dispatch=self.dispatch,
            waiting=self.waiting,
            contracts=self.contracts,
            alarms=self.alarms,
            pipeline=self.pipeline,
        )
        self._service = Service(
            self.store,
            self.pipeline,
            dispatch=self.dispatch,
            waiting=self.waiting,
            roster=self.roster,
            contracts=self.contracts,
            live=self.live,
            clock=clock,
            config=config,
        )
        try:
            await self._begin()
        except BaseException:
            await self._end()
            raise
        self._body = asyncio.current_task()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Answer who waits, finish what is under way, close the database."""
        body, self._body = self._body, None
        await self._end()
        if self._failure is not None:
            if kind is asyncio.CancelledError and body is not None:
                body.uncancel()
            raise self._failure

    @property
    def is_shared(self) -> bool:
        """Whether other servers may use the same database."""
        return self._given_hints is not None or self.store.is_shared

    @property
    def service(self) -> Service:
        """What serves calls.

        Raises:
            Unavailable: the server does not run.
        """
        if self._service is None:
            raise Unavailable(NOT_RUNNING)
        return self._service

    def transport(self) -> InProcessTransport:
        """Return a road to this server for a client or worker in the same process."""
        return InProcessTransport(lambda: self.service)

    # ------------------------------------------------------------------------------------------------ driven by hand

    async def step(self) -> None:
        """Do everything that is due and everything that waits, until nothing is. For servers made with `is_stepped`."""
        for _ in range(STEPS_MAX):
            has_jobs = await self.complete(self.service.bulk.step())
            if await self.complete(self.alarms.step()) > 0 and not has_jobs:
                await self.complete(self.retention.step())
                return
        raise AssertionError(f"alarms are still due after {STEPS_MAX:,} steps")

    async def complete(self, asked: Coroutine[Any, Any, T] | asyncio.Future[T]) -> T:
        """Return what a call of this server returns, stepping its pipeline until it does, and until that is empty."""
        call = asyncio.ensure_future(asked)
        for _ in range(STEPS_MAX):
            await asyncio.sleep(0)
            if not await self.pipeline.step() and call.done():
                return call.result()
        raise AssertionError(f"a call was not answered in {STEPS_MAX:,} steps: it waits for time to pass")

    # ------------------------------------------------------------------------------------------------------- lifetime

    async def _begin(self) -> None:
        await self.contracts.open()
        is_embedded = self._is_embedded and not self.store.is_shared  # other servers' workers are not of the dead
        if self._is_stepped:
            await self.complete(self.alarms.open(is_embedded=is_embedded))
            return
        self._start(self.pipeline.run(), "pipeline")
        await self.alarms.open(is_embedded=is_embedded)
        self._start(self.alarms.run(), "alarms")
        self._start(self.retention.run(), "retention")
        self._start(self.service.bulk.run(), "bulk")
        self._start(self.neighbours.listen(), "hints")
        self._start(self.neighbours.look(), "neighbours")
        _log.info("server %s serves %s", self.id, self.store.name)

    async def _end(self) -> None:
        closing = Unavailable("the server closes")
        self.waiting.close()
        self.dispatch.close()
        try:
            for loop in self._loops:
                if loop.get_name() != "aiki-pipeline":
                    loop.cancel()
            self.pipeline.stop(closing)
            if self._is_stepped:
                while await self.pipeline.step():
                    pass
            await asyncio.gather(*self._loops, return_exceptions=True)
        finally:
            self.pipeline.fail(closing)
            await self._hints.close()
            if self._given_store is None:
                await self.store.close()
            self._service = None

    async def _open_store(self) -> Store:
        """Open the database.

        Raises:
            InvalidInput: it cannot be used, or its driver is not installed.
        """
        if not isinstance(self._database, Address):
            return await SqliteStore.open(self._database, clock=self._machine, inline=self._inline)
        try:
            postgres = importlib.import_module(POSTGRES)
        except ModuleNotFoundError as error:
            raise InvalidInput("Postgres needs its driver: pip install 'aiki[postgres]'", path="database") from error
        ruling = self._machine if self._is_stepped else None  # who steps a server moves its clock too
        store: Store = await postgres.PostgresStore.open(self._database, machine=self._machine, clock=ruling)
        return store

    def _roads(self) -> tuple[Hints, Board | None]:
        """Return the road to other servers, and where what is ready is shown. Redis is both.

        Raises:
            InvalidInput: the URL is none of Redis, or the driver is not installed.
        """
        if self._redis is None:
            if self._given_hints is None and isinstance(self._database, Address) and not self._is_stepped:
                return importlib.import_module(POSTGRES_ROAD).PostgresRoad(self._database), None
            return self._given_hints or Alone(), None
        try:
            road = importlib.import_module(REDIS_ROAD)
        except ModuleNotFoundError as error:
            raise InvalidInput("redis needs its driver: pip install 'aiki[redis]'", path="redis") from error
        made = road.RedisRoad(self._redis, kept_s=self.config.parked_wait_ms / 1000)
        return made, made

    def _start(self, loop: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(loop, name=f"aiki-{name}")
        task.add_done_callback(self._loop_ended)
        self._loops.append(task)

    def _loop_ended(self, loop: asyncio.Task[None]) -> None:
        if loop.cancelled() or loop.exception() is None or self._failure is not None:
            return
        self._failure = loop.exception()
        _log.critical("the server stops: its loop %s failed", loop.get_name(), exc_info=self._failure)
        self.pipeline.fail(Unavailable(f"the server has failed: {self._failure}"))
        self.waiting.close()
        self.dispatch.close()
        if self._body is not None:
            self._body.cancel()

    def _note(self, ws: WorkingSet) -> None:
        self.alarms.note(ws)
        self.waiting.note(ws)
        self.neighbours.tell(ws)
        if self._board is not None:
            self._board.show(ws)
        self.live.note(ws)
        for observe in self.observers:
            observe(ws)

    def _note_uncertainty(self) -> None:
        self.waiting.note_uncertainty()
        self.live.note_uncertainty()

    async def _sweep(self) -> None:
        """Look for what lost hints should have told."""
        self.roster.sweep()
        queues = self.dispatch.served_queues()  # first: a poll that is decided again does not wait meanwhile
        if queues:
            self.dispatch.may_hold_runs(await self.store.ready_queues(queues))
        if self.dispatch.is_wanted:
            self.pipeline.wake()
        if self.is_shared:
            await self.neighbours.sweep()
            self.live.note_uncertainty()  # of what other servers do, readers are told that they may have missed it
        self.live.sweep()
        await self.waiting.sweep()
        if self._board is not None and self._board.is_up:
            due_before_ms = self.clock.now_ms() - SHOWN_MS
            self._board.show_again(await self.store.waiting_runs(due_before_ms=due_before_ms, limit=SHOWN_ROWS))


def _database_of(database: str | PathLike[str]) -> Address | Path | None:
    """Return where a database is: on Postgres, in a file, or, None, in memory.

    Raises:
        InvalidInput: it is the URL of something else, or an option in it cannot be taken.
    """
    text = fspath(database)
    scheme, is_url, rest = text.partition("://")
    if is_url and scheme in SCHEMES:
        return Address.of(text)
    if is_url and scheme != "sqlite":
        raise InvalidInput(
            f"database is {scheme}://...: give a path, sqlite:///path, {MEMORY} or postgresql://user@host/name",
            path="database",
        )
    path = rest.removeprefix("/") if is_url else text
    if not path:
        raise InvalidInput(f"database is {text!r}: give a path, sqlite:///path or {MEMORY}", path="database")
    return None if path == MEMORY else Path(path)
