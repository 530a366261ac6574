"""The one stream of commits that all runs of a worker share.

While a request is on its way, finished turns pile up; the next request takes them all, cut by number and bytes. The
rule: one request at a time, and a turn that was sent is sent again unchanged until it is answered.
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


class CommitStream:
    """Sends commits, many at once, and hands each answer to who sent it."""

    def __init__(self, transport: WorkerTransport, *, chance: Chance) -> None:
        self._transport = transport
        self._chance = chance
        self._waiting: deque[tuple[Commit, Answered]] = deque()
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def send(self, commit: Commit, answered: Answered) -> None:
        """Send a turn with the next request; `answered` is called with its answer."""
        self._waiting.append((commit, answered))
        self._arrived.set()
        self._idle.clear()

    async def drained(self) -> None:
        """Wait until everything that was sent is answered."""
        await self._idle.wait()

    async def run(self) -> None:
        """Send what there is, again and again, until cancelled."""
        while True:
            await self._arrived.wait()
            batch = self._next_batch()
            answers = await self._answers([commit for commit, _ in batch])
            for (_, answered), answer in zip(batch, answers, strict=True):
                answered(answer)
            if not self._waiting:
                self._arrived.clear()
                self._idle.set()

    def _next_batch(self) -> list[tuple[Commit, Answered]]:
        batch: list[tuple[Commit, Answered]] = []
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
                return await self._transport.commit(commits)
            except Unavailable as error:
                _log.warning("the server does not take commits, trying again: %s", error)
            await asyncio.sleep(backoff_s * (0.5 + self._chance.random.random()))
            backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)


def _payload_bytes(commit: Commit) -> int:
    entries = sum(len(bytes(entry.result)) for entry in commit.entries)
    children = sum(len(bytes(child.input)) for child in commit.children)
    effects = sum(len(bytes(effect.payload)) for effect in commit.effects)
    return entries + children + effects + len(bytes(commit.output))
