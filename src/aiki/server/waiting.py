"""Clients that wait for runs to end: one subscription for a whole client, however many runs it waits for.

The rule: an end is told until the client says that it has it, so an answer may get lost. A newer request makes an older
one answered at once, so that none stands behind a long poll. Ends are heard of as transactions become durable; those
from before, and after an outcome was lost, are read. Those at other servers are found by each sweep, told or not: it
reads which runs have ended lately, and looks at some of those that are waited for, in turn, whenever they ended.
"""

import asyncio
from collections.abc import Collection, Iterable
from typing import Final

from aiki.clock import Clock
from aiki.config import Config
from aiki.errors import InvalidInput, RunNotFound, Unavailable
from aiki.model.wire import Finished, Problem, WaitAnswer, WaitRequest
from aiki.model.working_set import WorkingSet
from aiki.store.base import IDS_MAX, Store

__all__ = ["Waiting"]

MS_PER_S: Final = 1000
LATELY_MS: Final = 3_000  # how long the transaction of an end may take until it can be read
ENDED_ROWS: Final = 5_000  # read at once
ENDED_PAGES: Final = 10  # in one sweep; what is left is found in turn
TURN_ROWS: Final = 1_000  # looked at in one sweep

_Key = tuple[str, str]  # namespace, subscription


class _Subscription:
    """What one client waits for: `pending` runs, and those that ended and may not have reached it yet."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.pending: set[str] = set()
        self.finished: dict[str, Finished] = {}
        self.number = 0
        self.request: asyncio.Future[None] | None = None
        self.used_ms = 0.0

    def stir(self) -> None:
        """Have the open request answered."""
        if self.request is not None and not self.request.done():
            self.request.set_result(None)


class Waiting:
    """The subscriptions of a server."""

    def __init__(self, store: Store, *, clock: Clock, config: Config) -> None:
        self._store = store
        self._clock = clock
        self._config = config
        self._subscriptions: dict[_Key, _Subscription] = {}
        self._watchers: dict[str, set[_Key]] = {}
        self._ended_elsewhere: set[str] = set()
        self._swept_ms: int | None = None  # until when it is known what has ended at other servers
        self._turn: list[str] = []  # who are waited for, and still to be looked at in turn
        self._is_uncertain = False
        self._is_closed = False

    async def wait(self, request: WaitRequest) -> WaitAnswer:
        """Answer as soon as any of the client's runs has ended, or after the time that it waits.

        Raises:
            InvalidInput: it waits for too many runs.
            Unavailable: too many clients wait, or the server closes.
        """
        if self._is_closed:
            raise Unavailable("the server closes")
        key = (request.namespace, request.subscription)
        subscription = self._subscriptions.get(key)
        is_forgotten = subscription is None and request.number > 1
        if subscription is None:
            subscription = self._subscribe(key)
        if request.number < subscription.number:  # overtaken on its way: what it adds is wanted all the same
            await self._add(key, subscription, request.add)
            return WaitAnswer()
        subscription.number = request.number
        subscription.stir()
        answered = subscription.request = asyncio.get_running_loop().create_future()
        try:
            self._remove(key, subscription, request.remove)
            await self._add(key, subscription, request.add)
            if not (subscription.finished or is_forgotten or answered.done()):
                await _wait_for(answered, min(request.wait_ms, self._config.result_wait_ms))
            is_newest = subscription.request is answered
        finally:
            subscription.used_ms = self._clock.monotonic_ms()
            if subscription.request is answered:
                subscription.request = None
        finished = tuple(subscription.finished.values()) if is_newest else ()
        return WaitAnswer(finished, is_forgotten)

    def note(self, ws: WorkingSet) -> None:
        """Learn of the ends in a transaction that is durable."""
        for run_id in ws.ended:
            if run_id in self._watchers:
                end = ws.ends[run_id]
                self._tell(ws.runs[run_id].namespace, Finished(run_id, end.status, end.output, end.error))

    def note_uncertainty(self) -> None:
        """Learn that ends may have been missed: they are read with the next sweep."""
        self._is_uncertain = True

    def note_ended_elsewhere(self, run_ids: Iterable[str]) -> None:
        """Learn that another server has ended runs; `read_ended_elsewhere` reads those that somebody waits for here."""
        self._ended_elsewhere.update(run_id for run_id in run_ids if run_id in self._watchers)

    async def read_ended_elsewhere(self) -> None:
        """Read the ends that others have told of."""
        run_ids, self._ended_elsewhere = self._ended_elsewhere, set()
        watched: dict[str, dict[str, None]] = {}  # by namespace
        for run_id in run_ids:
            for namespace, _ in self._watchers.get(run_id, ()):
                watched.setdefault(namespace, {})[run_id] = None
        for namespace, asked in watched.items():
            for finished in await self._ends(namespace, list(asked)):
                self._tell(namespace, finished)

    async def sweep(self) -> None:
        """Forget clients that ask no more, and read what may have been missed."""
        idle_since_ms = self._clock.monotonic_ms() - self._config.subscription_idle_ms
        for key, subscription in list(self._subscriptions.items()):
            if subscription.request is None and subscription.used_ms < idle_since_ms:
                self._remove(key, subscription, [*subscription.pending, *subscription.finished])
                del self._subscriptions[key]
        if self._is_uncertain:
            self._is_uncertain = False
            for key, subscription in list(self._subscriptions.items()):
                await self._read(key, subscription, subscription.pending)

    async def sweep_elsewhere(self) -> None:
        """Find the ends at other servers that nobody has told of."""
        now_ms = self._clock.now_ms()
        since_ms = now_ms if self._swept_ms is None else min(self._swept_ms, now_ms)  # a clock may be set back
        after = (since_ms - LATELY_MS, "")
        if self._watchers:
            for _ in range(ENDED_PAGES):
                ended = await self._store.ended_runs(until_ms=now_ms, after=after, limit=ENDED_ROWS)
                self.note_ended_elsewhere(run.id for run in ended)
                if len(ended) < ENDED_ROWS:
                    break
                after = (ended[-1].finished_at_ms, ended[-1].id)
            self._turn = self._turn or list(self._watchers)
            self.note_ended_elsewhere(self._turn[:TURN_ROWS])
            del self._turn[:TURN_ROWS]
        await self.read_ended_elsewhere()
        self._swept_ms = now_ms

    def close(self) -> None:
        """Answer every open request."""
        self._is_closed = True
        for subscription in self._subscriptions.values():
            subscription.stir()

    # -------------------------------------------------------------------------------------------------- subscriptions

    def _subscribe(self, key: _Key) -> _Subscription:
        if len(self._subscriptions) >= self._config.subscriptions_max:
            raise Unavailable(f"{len(self._subscriptions):,} clients wait for results. Come back in a moment.")
        subscription = self._subscriptions[key] = _Subscription(key[0])
        return subscription

    async def _add(self, key: _Key, subscription: _Subscription, run_ids: Collection[str]) -> None:
        self._remove(key, subscription, [run_id for run_id in run_ids if run_id in subscription.finished])
        # What has been told, and is waited for anew, is looked at anew: a failed run may have been tried again since.
        new = [run_id for run_id in run_ids if run_id not in subscription.pending]
        total = len(subscription.pending) + len(subscription.finished) + len(new)
        if total > self._config.subscribed_runs_max:
            raise InvalidInput(
                f"one client would wait for {total:,} runs; the limit is {self._config.subscribed_runs_max:,}",
                path="add",
            )
        subscription.pending.update(new)
        for run_id in new:  # before they are read, so that an end in between is heard of
            self._watchers.setdefault(run_id, set()).add(key)
        await self._read(key, subscription, new)

    def _remove(self, key: _Key, subscription: _Subscription, run_ids: Iterable[str]) -> None:
        for run_id in run_ids:
            subscription.pending.discard(run_id)
            subscription.finished.pop(run_id, None)
            watchers = self._watchers.get(run_id)
            if watchers is not None:
                watchers.discard(key)
                if not watchers:
                    del self._watchers[run_id]

    async def _read(self, key: _Key, subscription: _Subscription, run_ids: Collection[str]) -> None:
        try:
            ends = await self._ends(subscription.namespace, list(run_ids))
        except BaseException:  # they are waited for by now, and whoever asks again does not know that nobody has looked
            self._is_uncertain = True
            raise
        for finished in ends:
            self._settle(key, subscription, finished)

    async def _ends(self, namespace: str, run_ids: list[str]) -> list[Finished]:
        """Return how those runs ended that have ended, or are not there."""
        found: list[Finished] = []
        for first in range(0, len(run_ids), IDS_MAX):
            asked = run_ids[first : first + IDS_MAX]
            ends = await self._store.ends(namespace, asked)
            found += [end for run_id in asked if (end := ends.get(run_id, _not_found(run_id))) is not None]
        return found

    def _tell(self, namespace: str, finished: Finished) -> None:
        for key in list(self._watchers.get(finished.run_id, ())):
            if key[0] == namespace:
                self._settle(key, self._subscriptions[key], finished)

    def _settle(self, key: _Key, subscription: _Subscription, finished: Finished) -> None:
        if finished.run_id not in subscription.pending:  # taken back meanwhile, or heard of already
            return
        self._remove(key, subscription, [finished.run_id])
        subscription.finished[finished.run_id] = finished
        subscription.stir()


async def _wait_for(answered: asyncio.Future[None], wait_ms: int) -> None:
    timer = asyncio.get_running_loop().call_later(wait_ms / MS_PER_S, _stir, answered)
    try:
        await answered
    finally:
        timer.cancel()


def _stir(answered: asyncio.Future[None]) -> None:
    if not answered.done():
        answered.set_result(None)


def _not_found(run_id: str) -> Finished:
    message = f"there is no run {run_id} in this namespace"
    return Finished(run_id, problem=Problem(RunNotFound.code, message, {"run_id": run_id}))
