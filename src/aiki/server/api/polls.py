"""Requests that are kept open: until there is an answer, whoever asked has gone, or the server closes.

The rule: nothing here outlives its caller, and a server that closes waits for none of them.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from msgspec import Struct
from starlette.requests import ClientDisconnect, Request

from aiki.clock import Chance, Clock
from aiki.errors import Unavailable
from aiki.model.wire import Finished, WaitRequest
from aiki.server.service import Service

__all__ = ["CLOSES", "Closing", "LongPolls", "Waiters"]

FORGOTTEN_MAX: Final = 3  # a subscription that was idle for long is forgotten; the request that hears so is made again
NAMESPACES_MAX: Final = 1_000
CLOSES: Final = "the server closes. Ask again: it may be back in a moment."

T = TypeVar("T")


class Closing(Unavailable):
    """The server closes while a request is open."""


class LongPolls:
    """The open requests of one server."""

    def __init__(self) -> None:
        self._open: set[asyncio.Future[None]] = set()
        self.is_closing = False

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._open)

    def shut_down(self) -> None:
        """Answer all open requests at once, and refuse those that come yet."""
        self.is_closing = True
        for closing in self._open:
            if not closing.done():
                closing.set_result(None)

    async def answer(self, asked: Coroutine[Any, Any, T], request: Request) -> T:
        """Return what `asked` returns, unless something else comes first; then it is cancelled.

        Raises:
            Closing: the server closes, and the request was open before.
            Unavailable: the server closes already.
            ClientDisconnect: whoever asked has gone.
        """
        if self.is_closing:
            asked.close()
            raise Unavailable(CLOSES)
        closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open.add(closing)
        answered = asyncio.ensure_future(asked)
        gone = asyncio.ensure_future(_gone(request))
        first: set[asyncio.Future[Any]] = {answered, gone, closing}
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if answered.done():
                return answered.result()
            if closing.done():
                raise Closing(CLOSES)
            raise ClientDisconnect
        finally:
            self._open.discard(closing)
            gone.cancel()
            answered.cancel()
            await asyncio.wait(first - {closing})


async def _gone(request: Request) -> None:
    """Return once whoever sent the request, whose body has been received, has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _Waiter(Struct):
    """A subscription that one request at a time uses, and the run that the last one waited for."""

    subscription: str
    number: int = 0
    run_id: str | None = None


class Waiters:
    """Waits for the end of one run each; their subscriptions are used again, so there are no more than requests."""

    def __init__(self, *, clock: Clock, chance: Chance) -> None:
        self._clock = clock
        self._chance = chance
        self._free: dict[str, deque[_Waiter]] = {}

    async def end_of(self, service: Service, run_id: str, *, namespace: str, wait_ms: int) -> Finished | None:
        """Return how a run ended, or None if it has not within `wait_ms`."""
        if len(self._free) >= NAMESPACES_MAX:
            self._free.clear()  # the server forgets their subscriptions in its time
        free = self._free.setdefault(namespace, deque())
        waiter = free.pop() if free else _Waiter(self._chance.uuid7(now_ms=self._clock.now_ms()))
        try:
            return await self._wait(service, waiter, run_id, namespace=namespace, wait_ms=wait_ms)
        finally:
            free.append(waiter)

    async def _wait(
        self, service: Service, waiter: _Waiter, run_id: str, *, namespace: str, wait_ms: int
    ) -> Finished | None:
        removed, waiter.run_id = waiter.run_id, run_id
        until_ms = self._clock.monotonic_ms() + wait_ms
        for _ in range(FORGOTTEN_MAX):
            waiter.number += 1
            answer = await service.wait(
                WaitRequest(
                    namespace=namespace,
                    subscription=waiter.subscription,
                    number=waiter.number,
                    add=(run_id,),
                    remove=() if removed in (None, run_id) else (str(removed),),
                    wait_ms=max(0, round(until_ms - self._clock.monotonic_ms())),
                )
            )
            found = next((finished for finished in answer.finished if finished.run_id == run_id), None)
            if found is not None or not answer.forgotten:
                return found
        return None
