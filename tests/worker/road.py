"""A real server, real workers, virtual time, and between them roads on which things happen to messages."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, Literal, NoReturn, ParamSpec

from aiki.clock import Chance
from aiki.config import Config
from aiki.errors import Unavailable
from aiki.model.views import RunInfo
from aiki.model.wire import Announce, Commit, CommitAnswer, Goodbye, HandBack, JournalPage, PollAnswer, PollRequest
from aiki.sdk.client import Client
from aiki.sdk.transport import Renewer
from aiki.server.inprocess import InProcessTransport
from aiki.server.server import Server
from aiki.testing import VirtualClock, VirtualLoop
from aiki.worker.worker import Worker

PATIENCE_S: Final = 2.0
SLOW_S: Final = 0.5
Fault = Literal["lost", "broken", "refused", "doubled", "slow"]
Call = Literal["announce", "poll", "commit", "fetch", "hand_back", "goodbye"]


P = ParamSpec("P")


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make an async test one that runs on a virtual loop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


class NoRenewer:
    """The road of a thread that never gets through."""

    def renew(self, request: PollRequest) -> PollAnswer:
        raise Unavailable("no road")

    def close(self) -> None:
        pass


class Road(InProcessTransport):
    """A worker's road to a server in the same process. Leases are judged as if there were a network between them.

    Attributes:
        faults: what happens to the next calls of a kind, in their order: `lost` is done, and its answer never comes;
            `broken` is done, and the connection breaks before its answer; `refused` does not arrive; `doubled` arrives
            twice; to `slow` the answer takes half a second.
        said: all that was said, with the time.
        is_silent: nothing gets through any more, and nothing says so.
        is_cut: nothing gets through any more: connections break.
        heard: each answer to a poll; `alter` makes another of it.
    """

    def __init__(self, server: Server) -> None:
        super().__init__(lambda: server.service)
        self._clock = server.clock
        self._under_way: set[asyncio.Future[Any]] = set()
        self.faults: dict[Call, list[Fault | None]] = {}
        self.said: list[tuple[float, Call, Any]] = []
        self.heard: list[PollAnswer] = []
        self.alter: Callable[[PollAnswer], PollAnswer] = lambda answer: answer
        self.is_silent = False
        self.is_cut = False

    def die(self) -> None:
        """Break all connections, for good: so it is when a process is killed."""
        self.is_cut = True
        for call in self._under_way:
            call.cancel()

    def told(self, kind: Call) -> list[Any]:
        """Return what was said in calls of a kind."""
        return [message for _, said, message in self.said if said == kind]

    def renewer(self) -> Renewer:  # type: ignore[override]  # a server in this process has none
        return NoRenewer()

    async def announce(self, announce: Announce) -> PollAnswer:
        answer: PollAnswer = await self._say("announce", announce)
        return answer

    async def poll(self, request: PollRequest) -> PollAnswer:
        answer: PollAnswer = await self._say("poll", request)
        self.heard.append(answer)
        return self.alter(answer)

    async def commit(self, commits: Sequence[Commit]) -> list[CommitAnswer]:
        answer: list[CommitAnswer] = await self._say("commit", commits)
        return answer

    async def fetch(self, session_id: str, run_id: str, epoch: int, after_seq: int) -> JournalPage:
        answer: JournalPage = await self._say("fetch", session_id, run_id, epoch, after_seq)
        return answer

    async def hand_back(self, request: HandBack) -> None:
        await self._say("hand_back", request)

    async def goodbye(self, request: Goodbye) -> None:
        await self._say("goodbye", request)

    async def _say(self, kind: Call, *message: Any) -> Any:
        self.said.append((self._clock.monotonic_ms(), kind, message[0] if len(message) == 1 else message))
        faults = self.faults.get(kind, [])
        fault = faults.pop(0) if faults else None
        if self.is_silent:
            await self._never(kind)
        if self.is_cut or fault == "refused":
            raise Unavailable("cut")
        call = getattr(super(), kind)
        done = asyncio.ensure_future(call(*message))
        self._under_way.add(done)
        done.add_done_callback(self._under_way.discard)
        if fault == "doubled":
            copy = asyncio.ensure_future(call(*message))
            copy.add_done_callback(lambda copy: copy.cancelled() or copy.exception())
        try:
            answer = await asyncio.shield(done)
        except asyncio.CancelledError:
            if self._is_broken() and not _is_cancelling():
                raise Unavailable("cut") from None
            if not self.is_silent:
                done.cancel()
            raise
        if fault == "lost" or self.is_silent:
            await self._never(kind)
        if fault == "slow":
            await asyncio.sleep(SLOW_S)
        if fault == "broken" or self._is_broken():
            raise Unavailable("broken")
        return answer

    def _is_broken(self) -> bool:
        return self.is_cut

    async def _never(self, kind: Call) -> NoReturn:
        """Wait for what does not come, as long as a transport has patience; a poll's is its session's."""
        await asyncio.sleep(3_600 if kind == "poll" else PATIENCE_S)
        raise Unavailable("silent")


def _is_cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Fleet:
    """A server, and workers that come and go.

    Attributes:
        client: for those who start runs; its own road is good.
    """

    def __init__(self, server: Server, client: Client, chance: Chance) -> None:
        self.server = server
        self.client = client
        self._chance = chance

    @property
    def now_s(self) -> float:
        """The virtual time in seconds."""
        return self.server.clock.monotonic_ms() / 1000

    @asynccontextmanager
    async def worker(
        self, *workflows: Any, road: Road | None = None, **options: Any
    ) -> AsyncIterator[tuple[Worker, Road]]:
        """A worker and its road."""
        road = road or Road(self.server)
        async with Client(transport=road, clock=self.server.clock, chance=self._chance) as client:
            options.setdefault("shutdown_grace", 0)
            async with Worker(client, workflows, **options) as worker:
                yield worker, road

    async def info(self, run_id: str) -> RunInfo:
        """Return a run as it stands."""
        info = await self.server.transport().info("default", run_id)
        assert info is not None
        return info

    async def moves(self, run_id: str) -> list[str]:
        """Return how a run came to where it stands."""
        return [f"{move.new} ({move.reason})" for move in await self.server.store.history(run_id)]


@asynccontextmanager
async def fleet(**settings: int) -> AsyncIterator[Fleet]:
    """A fleet without workers, on the running virtual loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock, chance = VirtualClock(loop), Chance(seed=7)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            Server(":memory:", clock=clock, chance=chance, config=Config(**settings), inline=True)
        )
        client = await stack.enter_async_context(Client(transport=server.transport(), clock=clock, chance=chance))
        yield Fleet(server, client, chance)


async def settle() -> None:
    """Wait until nothing can happen without time passing."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    await loop.settle()
