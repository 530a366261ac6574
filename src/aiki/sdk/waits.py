"""Waiting for runs to end: one subscription for a whole client, however many runs it waits for.

The server keeps the ids between requests, so each request carries only what is new and what is no longer wanted. The
rule: at most two requests are open, for a newer one makes the server answer the older; and whatever gets lost is told
again, so an answer may be dropped at any time.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Final

from aiki.errors import Unavailable
from aiki.model.wire import Finished, WaitAnswer, WaitRequest

__all__ = ["IDS_MAX", "OPEN_MAX", "WAIT_MS", "Waits"]

IDS_MAX: Final = 1_000
OPEN_MAX: Final = 2
WAIT_MS: Final = 30_000  # less than what lies between client and server may cut off


class Waits:
    """Who waits for which run.

    Args:
        send: sends one request; what it raises, everybody who waits gets.
        namespace: the client's.
        subscription: an id of its own, never used again.
        wait_ms: how long one request waits.
    """

    def __init__(
        self,
        send: Callable[[WaitRequest], Awaitable[WaitAnswer]],
        *,
        namespace: str,
        subscription: str,
        wait_ms: int = WAIT_MS,
    ) -> None:
        self._send = send
        self._namespace = namespace
        self._subscription = subscription
        self._wait_ms = wait_ms
        self._number = 0
        # A run that is waited for is either still to be told to the server, or told; one that was told and is no longer
        # waited for is to be dropped there.
        self._waiting: dict[str, list[asyncio.Future[Finished]]] = {}
        self._untold: dict[str, None] = {}
        self._dropped: dict[str, None] = {}
        self._changed = asyncio.Event()
        self._open: dict[asyncio.Task[WaitAnswer], tuple[str, ...]] = {}
        self._pump: asyncio.Task[None] | None = None
        self._is_closed = False

    async def end_of(self, run_id: str) -> Finished:
        """Return how a run ended, once it has.

        Raises:
            Unavailable: the server cannot be reached, or the client is closed.
        """
        if self._is_closed:
            raise Unavailable("the connection is closed")
        ended: asyncio.Future[Finished] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.get(run_id)
        if waiting is None:
            waiting = self._waiting[run_id] = []
            self._untold[run_id] = None
            self._changed.set()
        waiting.append(ended)
        if self._pump is None:
            self._pump = asyncio.create_task(self._keep_asking(), name="aiki-waits")
        try:
            return await ended
        finally:
            waiting.remove(ended)
            if not waiting and self._waiting.get(run_id) is waiting:
                self._drop(run_id)

    async def close(self) -> None:
        """Ask no more. Whoever still waits gets `Unavailable`."""
        self._is_closed = True
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            await asyncio.wait([pump])
        self._fail_all(Unavailable("the connection was closed while runs were waited for"))

    # ----------------------------------------------------------------------------------------------------------- asking

    async def _keep_asking(self) -> None:
        try:
            while self._waiting:
                if self._changed.is_set() and len(self._open) < OPEN_MAX:
                    self._ask()
                await self._until_something_happens()
        finally:
            for request in self._open:
                request.cancel()
            if self._open:
                await asyncio.wait(self._open)
            self._open.clear()
            self._pump = None

    def _ask(self) -> None:
        self._number += 1
        add = _taken(self._untold)
        # One that is waited for again is told anew with a later request: within one, to add and to remove would clash.
        remove = tuple(run_id for run_id in _taken(self._dropped) if run_id not in self._waiting)
        if not self._untold and not self._dropped:
            self._changed.clear()
        request = WaitRequest(
            namespace=self._namespace,
            subscription=self._subscription,
            number=self._number,
            add=add,
            remove=remove,
            wait_ms=self._wait_ms,
        )
        self._open[asyncio.create_task(_sent(self._send, request), name="aiki-wait")] = remove

    async def _until_something_happens(self) -> None:
        changed = asyncio.create_task(self._changed.wait()) if len(self._open) < OPEN_MAX else None
        try:
            await asyncio.wait({*self._open, *([changed] if changed else [])}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if changed is not None:
                changed.cancel()
        for request in [request for request in self._open if request.done()]:
            removed = self._open.pop(request)
            self._take(request, removed)
        if not self._open:
            self._changed.set()

    def _take(self, request: "asyncio.Task[WaitAnswer]", removed: tuple[str, ...]) -> None:
        error = request.exception()
        if error is not None:
            self._forget(removed)
            self._fail_all(error)
            return
        answer = request.result()
        if answer.forgotten:
            self._forget(removed)
        for finished in answer.finished:
            waiting = self._waiting.get(finished.run_id)
            if waiting is None:
                self._dropped[finished.run_id] = None
                continue
            self._drop(finished.run_id)
            for ended in waiting:
                if not ended.done():
                    ended.set_result(finished)

    # --------------------------------------------------------------------------------------------------------- keeping

    def _drop(self, run_id: str) -> None:
        del self._waiting[run_id]
        if run_id in self._untold:
            del self._untold[run_id]
        else:
            self._dropped[run_id] = None
            self._changed.set()

    def _forget(self, removed: tuple[str, ...]) -> None:
        """Tell everything anew: the server may have got none of it."""
        self._untold.update(dict.fromkeys(self._waiting))
        self._dropped.update(dict.fromkeys(removed))
        self._changed.set()

    def _fail_all(self, error: BaseException) -> None:
        waiting, self._waiting = self._waiting, {}
        self._dropped.update(dict.fromkeys(run_id for run_id in waiting if run_id not in self._untold))
        self._untold.clear()
        for ended in (ended for each in waiting.values() for ended in each):
            if not ended.done():
                ended.set_exception(error)


def _taken(ids: dict[str, None]) -> tuple[str, ...]:
    """Take up to IDS_MAX ids out, first in, first out."""
    taken = tuple(itertools.islice(ids, IDS_MAX))
    for run_id in taken:
        del ids[run_id]
    return taken


async def _sent(send: Callable[[WaitRequest], Awaitable[WaitAnswer]], request: WaitRequest) -> WaitAnswer:
    return await send(request)
