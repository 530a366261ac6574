"""The one stream of commits that all runs of a worker share.

While a request is on its way, finished turns pile up; the next request takes them all, cut by number and bytes. The
rule: one request at a time, and a turn that was sent is sent again unchanged until it is answered; but nothing is sent
once the session is over, nor, if it was not yet, of a run that was dropped.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from aiki.clock import Chance
from aiki.errors import Unavailable
from aiki.model.wire import Commit, CommitAnswer
from aiki.sdk.transport import WorkerTransport

__all__ = ["CommitStream"]

COMMITS_MAX: Final = 500  # in one request
BYTES_MAX: Final = 8 * 1024 * 1024  # in one request, payloads alone; a single commit may be more
BACKOFF_S: Final = 0.05
BACKOFF_S_MAX: Final = 2.0

_log = logging.getLogger("aiki.worker")

Answered = Callable[[CommitAnswer], None]
_Item = tuple[Commit, Answered]


class CommitStream:
    """Sends commits, many at once, and hands each answer to who sent it.

    Args:
        may_send: asked before each request: whether the session still holds. Where it does not, whoever answers has
            cleared this stream.
    """

    def __init__(
        self, transport: WorkerTransport, *, chance: Chance, may_send: Callable[[], bool] = lambda: True
    ) -> None:
        self._transport = transport
        self._chance = chance
        self._may_send = may_send
        self._waiting: deque[_Item] = deque()
        self._under_way: list[_Item] = []
        self._request: asyncio.Future[list[CommitAnswer]] | None = None
        self._arrived = asyncio.Event()
        self._turned = asyncio.Event()  # something has left the stream
        self._is_away = False

    def send(self, commit: Commit, answered: Answered) -> None:
        """Send a turn with the next request; `answered` is called with its answer."""
        self._waiting.append((commit, answered))
        self._arrived.set()

    def withdraw(self, run_id: str) -> None:
        """Send nothing of a run that was dropped, unless it is on its way already."""
        if any(commit.run_id == run_id for commit, _ in self._waiting):
            self._waiting = deque(item for item in self._waiting if item[0].run_id != run_id)
            self._turned.set()

    def clear(self) -> None:
        """Send nothing of all that waits, and wait for no answer: the session is over."""
        self._waiting.clear()
        if self._request is not None:
            self._request.cancel()
        self._turned.set()

    async def drained(self) -> None:
        """Wait until everything that was sent is answered."""
        while self._waiting or self._under_way:
            await self._turn()

    async def settled(self, run_id: str) -> None:
        """Wait until everything that was sent of a run is answered."""
        while any(commit.run_id == run_id for commit, _ in (*self._waiting, *self._under_way)):
            await self._turn()

    async def run(self) -> None:
        """Send what there is, again and again, until cancelled."""
        while True:
            await self._arrived.wait()
            if self._waiting and self._may_send():
                await self._send_some()
            if not self._waiting:
                self._arrived.clear()

    async def _turn(self) -> None:
        self._turned.clear()
        await self._turned.wait()

    async def _send_some(self) -> None:
        batch = self._under_way = self._next_batch()
        request = self._request = asyncio.ensure_future(self._answers([commit for commit, _ in batch]))
        try:
            await asyncio.wait({request})
            if not request.cancelled():
                for (_, answered), answer in zip(batch, request.result(), strict=True):
                    answered(answer)
        finally:
            request.cancel()
            self._request, self._under_way = None, []
            self._turned.set()

    def _next_batch(self) -> list[_Item]:
        batch: list[_Item] = []
        size_bytes = 0
        while self._waiting and len(batch) < COMMITS_MAX:
            size_bytes += _payload_bytes(self._waiting[0][0])
            if batch and size_bytes > BYTES_MAX:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _answers(self, commits: list[Commit]) -> list[CommitAnswer]:
        backoff_s = BACKOFF_S
        while True:
            try:
                answers = await self._transport.commit(commits)
            except Unavailable as error:
                if not self._is_away:
                    _log.warning("the server does not take commits, trying again: %s", error)
                self._is_away = True
            else:
                self._is_away = False
                return answers
            await asyncio.sleep(backoff_s * (0.5 + self._chance.random.random()))
            backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
            if not self._may_send():
                raise asyncio.CancelledError


def _payload_bytes(commit: Commit) -> int:
    entries = sum(len(bytes(entry.result)) for entry in commit.entries)
    children = sum(len(bytes(child.input)) for child in commit.children)
    effects = sum(len(bytes(effect.payload)) for effect in commit.effects)
    return entries + children + effects + len(bytes(commit.output))
