"""Work that a worker finds by itself, where servers publish what is ready, rather than being handed it by its poll.

The rule: what is found is a hint. It is claimed from the server like all else, which knows whether it still waits; and
what was found and is not claimed is published again. While the place where it is published is away, or the server does
not publish there, the poll brings work as ever.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from aiki.errors import Unavailable
from aiki.model.run import Queue

__all__ = ["Finding", "Subscriber"]

BACKOFF_S: Final = 0.1
BACKOFF_S_MAX: Final = 1.0
FULL_S: Final = 0.25  # how often a worker without room looks whether it has some
FOUND_MAX: Final = 500  # claimed with one poll

_log = logging.getLogger("aiki.worker")


class Subscriber(Protocol):
    """A place where servers publish which runs are ready."""

    async def find(self, queues: Sequence[Queue], *, session_id: str, limit: int) -> list[str]:
        """Return the ids of at most `limit` runs that are ready, waiting for the first of them for a second at most.

        Raises:
            Unavailable: the place cannot be reached.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Nothing is asked after it."""
        ...


class Finding:
    """What one worker has found and not claimed yet, and the loop that finds more.

    Args:
        subscriber: where to look.
        queues: what the worker serves.
        session_id: tells the session that is open now.
        room: tells how many more runs the worker takes.
        found: called when there is something to claim, or when it becomes known whether anything can be found.

    Attributes:
        is_up: whether what is published can be read just now.
    """

    def __init__(
        self,
        subscriber: Subscriber,
        *,
        queues: Sequence[Queue],
        session_id: Callable[[], str],
        room: Callable[[], int],
        found: Callable[[], None],
    ) -> None:
        self._subscriber = subscriber
        self._queues = tuple(queues)
        self._session_id = session_id
        self._room = room
        self._told = found
        self._found: deque[str] = deque()
        self._has_room = asyncio.Event()
        self._turn = 0
        self.is_up = False

    @property
    def has_found(self) -> bool:
        """Whether there is something to claim."""
        return bool(self._found)

    def take(self, limit: int) -> tuple[str, ...]:
        """Return at most `limit` runs to be claimed now. They are not kept."""
        taken = tuple(self._found.popleft() for _ in range(min(limit, FOUND_MAX, len(self._found))))
        self._has_room.set()
        return taken

    def look(self) -> None:
        """There may be room again."""
        self._has_room.set()

    async def run(self) -> None:
        """Find work until cancelled."""
        backoff_s = BACKOFF_S
        task = asyncio.current_task()
        while task is None or not task.cancelling():  # a driver may have swallowed the error
            limit = self._room() - len(self._found)
            if limit <= 0 or not self._session_id():
                self._has_room.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(FULL_S):
                        await self._has_room.wait()
                continue
            try:
                found = await self._subscriber.find(
                    self._turned(), session_id=self._session_id(), limit=min(limit, FOUND_MAX)
                )
            except Unavailable as error:
                if self.is_up:
                    _log.warning("work cannot be found by itself, the server brings it: %s", error)
                self._set_up(is_up=False)
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
                continue
            backoff_s = BACKOFF_S
            self._found.extend(found)
            if found:
                self._told()
            self._set_up(is_up=True)

    def _set_up(self, *, is_up: bool) -> None:
        if is_up is not self.is_up:
            self.is_up = is_up
            self._told()

    def _turned(self) -> Sequence[Queue]:
        """Return the queues, each time with another one first, so that a busy one does not starve a quiet one."""
        self._turn = (self._turn + 1) % max(1, len(self._queues))
        return self._queues[self._turn :] + self._queues[: self._turn]
