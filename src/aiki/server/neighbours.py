"""The other servers of the same database: what this one tells them, and what it does when it hears of them.

The rule: nothing is decided by news. Each piece of it makes this server look where it would have looked with its next
sweep: at queues that somebody polls for, at ends that a client waits for, at the mail of runs whose owner polls here,
at the nearest alarm, and at what workers have announced.
"""

import asyncio
import logging
from typing import Final

from aiki.errors import Unavailable
from aiki.model.working_set import WorkingSet
from aiki.server.alarms import Alarms
from aiki.server.contracts import Contracts
from aiki.server.dispatch import Dispatch
from aiki.server.hints import Hints, News, news_of
from aiki.server.pipeline import Pipeline
from aiki.server.waiting import Waiting

__all__ = ["Neighbours"]

RETRY_S: Final = 0.5  # after the database was away

_log = logging.getLogger("aiki.server")


class Neighbours:
    """One server's part in a fleet.

    Args:
        hints: the road to the others.
        origin: this server's id.
    """

    def __init__(
        self,
        hints: Hints,
        *,
        origin: str,
        dispatch: Dispatch,
        waiting: Waiting,
        contracts: Contracts,
        alarms: Alarms,
        pipeline: Pipeline,
    ) -> None:
        self._hints = hints
        self._origin = origin
        self._dispatch = dispatch
        self._waiting = waiting
        self._contracts = contracts
        self._alarms = alarms
        self._pipeline = pipeline
        self._has_announced = False
        self._has_to_look = asyncio.Event()

    def tell(self, ws: WorkingSet) -> None:
        """Tell the others what a durable transaction has changed."""
        news = news_of(ws, origin=self._origin)
        if not news.is_empty:
            self._hints.publish(news)

    async def listen(self) -> None:
        """Hear what others tell, until cancelled."""
        await self._hints.listen(self.heard)

    def heard(self, news: News) -> None:
        """Look where another server has changed something."""
        if news.origin == self._origin:
            return
        if news.queues:
            self._dispatch.may_hold_runs(news.queues)
            if self._dispatch.is_wanted:
                self._pipeline.wake()
        for command in self._dispatch.poll_again(news.sessions):
            self._pipeline.submit_unasked(command)
        self._alarms.note_nearest(news.alarm_at_ms)
        self._waiting.note_ended_elsewhere(news.ended)
        self._has_announced = self._has_announced or news.has_announced
        if news.is_cut:
            self._alarms.sweep_soon()
        if news.ended or news.has_announced:
            self._has_to_look.set()

    async def sweep(self) -> None:
        """Look at what lost news would have told: whatever a caller here may have missed that happened elsewhere."""
        await self._waiting.sweep_elsewhere()
        for command in self._dispatch.poll_again(self._dispatch.holding()):
            self._pipeline.submit_unasked(command)

    async def look(self) -> None:
        """Read what others have told of and nobody asks for by itself, until cancelled."""
        while True:
            await self._has_to_look.wait()
            self._has_to_look.clear()
            try:
                await self._waiting.read_ended_elsewhere()
                if self._has_announced:
                    await self._contracts.open()
                    self._has_announced = False
            except Unavailable as error:  # the sweep finds the same, once the database is back
                _log.warning("news of other servers waits for the database: %s", error)
                self._waiting.note_uncertainty()
                await asyncio.sleep(RETRY_S)
