"""Calls that ride together: at most one request of a kind is on its way, and what is asked meanwhile rides in the next.

Alone, a call pays nothing for it; under load a thousand share one round trip. The rule: each call gets its own answer
or its own error, exactly once, and a caller who gives up takes no one else along.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from aiki.errors import Unavailable

__all__ = ["BATCH_BYTES_MAX", "BATCH_ITEMS_MAX", "PENDING_MAX", "Coalescer"]

BATCH_ITEMS_MAX: Final = 1_000
BATCH_BYTES_MAX: Final = 4 * 1024 * 1024
PENDING_MAX: Final = 100_000

T = TypeVar("T")
R = TypeVar("R")


class _Pending(NamedTuple, Generic[T, R]):
    item: T
    size_bytes: int
    answer: "asyncio.Future[R]"


class Coalescer(Generic[T, R]):
    """Sends items in batches, one batch at a time.

    Args:
        send: sends one batch; returns an answer for each item, in order. What it raises, each of the batch gets.
        size_bytes: the size of an item, to cut batches by. An item that is larger than a batch may be rides alone.
        items_max: how many items a batch holds.
        bytes_max: how many bytes a batch holds.

    >>> async def double(batch: Sequence[int]) -> list[int]:
    ...     return [number * 2 for number in batch]
    >>> async def example() -> list[int]:
    ...     coalescer = Coalescer(double)
    ...     return await asyncio.gather(*(coalescer.call(number) for number in (1, 2)))
    >>> asyncio.run(example())
    [2, 4]
    """

    def __init__(
        self,
        send: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        size_bytes: Callable[[T], int] | None = None,
        items_max: int = BATCH_ITEMS_MAX,
        bytes_max: int = BATCH_BYTES_MAX,
    ) -> None:
        self._send = send
        self._size_bytes = size_bytes
        self._items_max = items_max
        self._bytes_max = bytes_max
        self._pending: deque[_Pending[T, R]] = deque()
        self._under_way: list[_Pending[T, R]] = []
        self._pump: asyncio.Task[None] | None = None
        self._is_closed = False

    async def call(self, item: T) -> R:
        """Send an item with the next batch and return its answer.

        A cancelled call that is not yet on its way is not sent; one that is, is answered to nobody.

        Raises:
            Unavailable: the coalescer is closed, or PENDING_MAX calls wait already.
        """
        if self._is_closed:
            raise Unavailable("the connection is closed")
        if len(self._pending) >= PENDING_MAX:
            raise Unavailable(f"{PENDING_MAX:,} calls wait to be sent already: the server does not keep up, try later")
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        size_bytes = self._size_bytes(item) if self._size_bytes is not None else 0
        self._pending.append(_Pending(item, size_bytes, answer))
        if self._pump is None:
            self._pump = asyncio.create_task(self._send_all(), name="aiki-coalescer")
        return await answer

    async def close(self) -> None:
        """Send nothing more. Whoever still waits gets `Unavailable`; what is on its way may yet arrive."""
        self._is_closed = True
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            await asyncio.wait([pump])
        for waiting in (*self._under_way, *self._pending):
            _fail(waiting, Unavailable("the connection was closed before the answer came"))
        self._pending.clear()

    async def _send_all(self) -> None:
        try:
            while self._next_batch():
                await self._send_batch()
        finally:
            if not self._is_closed:
                self._pump = None

    def _next_batch(self) -> bool:
        batch: list[_Pending[T, R]] = []
        self._under_way = batch
        size_bytes = 0
        while self._pending and len(batch) < self._items_max:
            if batch and size_bytes + self._pending[0].size_bytes > self._bytes_max:
                break
            waiting = self._pending.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
                size_bytes += waiting.size_bytes
        return bool(batch)

    async def _send_batch(self) -> None:
        batch = self._under_way
        try:
            answers = await self._send([waiting.item for waiting in batch])
            if len(answers) != len(batch):
                raise AssertionError(f"{len(batch)} items were sent and {len(answers)} answers came")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the callers'
            for waiting in batch:
                _fail(waiting, error)
            return
        for waiting, answer in zip(batch, answers, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(answer)


def _fail(waiting: _Pending[T, R], error: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)
