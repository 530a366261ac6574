"""What happens because time has passed: due runs, and sessions that nobody renewed.

The rule: an alarm is a reason to ask the engine, which judges again under the lock; and time comes from the clock that
was handed in. The loop sleeps until the nearest alarm it knows of, which each transaction can bring nearer, and at most
one sweep: a sweep also finds what a lost hint should have told.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from aiki.clock import Clock
from aiki.config import Config
from aiki.engine.commands import ExpireSession, RingAlarm
from aiki.errors import Unavailable
from aiki.model.wire import Standing
from aiki.model.working_set import WorkingSet
from aiki.server.pipeline import Pipeline
from aiki.store.base import Store

__all__ = ["Alarms"]

MS_PER_S: Final = 1000
SESSIONS_AT_ONCE: Final = 10  # each gives back up to EXPIRY_ROWS runs in one transaction
SESSIONS_MAX: Final = 1_000
RETURNS_MAX: Final = 100_000  # transactions for the runs of one session
FRUITLESS_MAX: Final = 3  # rounds in a row in which what seemed due was not: others may have been faster, once or twice
MISSED_SWEEPS: Final = 3  # so many sweeps late, and it was the server that stood still, not its workers

_log = logging.getLogger("aiki.server")


class Alarms:
    """The loop that looks at the clock.

    Args:
        sweep: looked after at each sweep: whatever else must not rely on hints alone.
    """

    def __init__(
        self, store: Store, pipeline: Pipeline, *, clock: Clock, config: Config, sweep: Callable[[], Awaitable[None]]
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._clock = clock
        self._config = config
        self._sweep = sweep
        self._nearest_ms: int | None = 0  # the nearest alarm known of; 0: look
        self._next_sweep_ms = clock.monotonic_ms()
        self._judged_from_ms = clock.monotonic_ms()  # sessions are judged a lease after this
        self._nearer = asyncio.Event()
        self._fruitless = 0

    def note(self, ws: WorkingSet) -> None:
        """Learn of the alarms that a transaction has set."""
        for changed in (ws.changed_runs, ws.new_runs):
            for run_id in changed:
                self._note_nearest(ws.runs[run_id].alarm_at_ms)

    async def run(self) -> None:
        """Ring and sweep until cancelled."""
        while True:
            wait_ms = await self.step()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._nearer.wait(), wait_ms / MS_PER_S)

    async def step(self) -> float:
        """Do what is due, and return how many milliseconds the loop may sleep unless an alarm comes nearer."""
        self._nearer.clear()
        try:
            await self._ring_due()
            if self._clock.monotonic_ms() >= self._next_sweep_ms:
                await self._sweep_now()
        except Unavailable as error:
            _log.warning("alarms wait for the database: %s", error)
            self._nearest_ms = 0
            return self._config.sweep_ms
        left_ms = max(0.0, self._next_sweep_ms - self._clock.monotonic_ms())
        if self._nearest_ms is None:
            return left_ms
        return max(0.0, min(left_ms, self._nearest_ms - self._clock.now_ms()))

    # ---------------------------------------------------------------------------------------------------------- runs

    async def _ring_due(self) -> None:
        """Ring whatever is due, a bounded number at a time."""
        now_ms = self._clock.now_ms()
        if self._nearest_ms is None or self._nearest_ms > now_ms:
            return
        self._nearest_ms = None  # what is set from here on is noted anew
        due = await self._store.due_runs(now_ms=now_ms, limit=self._config.alarm_rows)
        changed = await self._ring([run.id for run in due if not run.is_cascade])
        for run in due:
            if run.is_cascade:  # each brings up to CASCADE_ROWS children into its transaction
                changed += await self._ring([run.id])
        self._fruitless = self._fruitless + 1 if due and not changed else 0
        if self._fruitless < FRUITLESS_MAX:
            self._note_nearest(await self._store.next_alarm_ms())
        else:
            _log.error("%d alarms are due and nothing comes of them; looking again with the next sweep", len(due))

    async def _ring(self, run_ids: Sequence[str]) -> int:
        """Ring alarms together, and return of how many something came. One that the engine fails on stops no other."""
        answers = await asyncio.gather(
            *(self._pipeline.submit(RingAlarm(run_id)) for run_id in run_ids), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, Unavailable):
                raise answer
        return sum(isinstance(answer, Standing) and answer.changed for answer in answers)

    def _note_nearest(self, alarm_at_ms: int | None) -> None:
        if alarm_at_ms is not None and (self._nearest_ms is None or alarm_at_ms < self._nearest_ms):
            self._nearest_ms = alarm_at_ms
            self._nearer.set()

    # ------------------------------------------------------------------------------------------------------- sessions

    async def end_sessions_of_the_dead(self) -> None:
        """End the sessions that the last holder of the database had open, and return their runs. Called at opening."""
        for _ in range(RETURNS_MAX):
            live = await self._store.live_sessions(limit=SESSIONS_MAX)
            await self._end(live, at_opening=True)
            if len(live) < SESSIONS_MAX:
                break
        await self._end(await self._store.unreturned_sessions(limit=SESSIONS_MAX), at_opening=True)

    async def _end(self, session_ids: Sequence[str], *, at_opening: bool) -> None:
        for first in range(0, len(session_ids), SESSIONS_AT_ONCE):
            some = session_ids[first : first + SESSIONS_AT_ONCE]
            await asyncio.gather(*(self.end_session(session_id, at_opening=at_opening) for session_id in some))

    async def end_session(self, session_id: str, *, at_opening: bool = False) -> None:
        """End a session if it is over, and return its runs, in as many transactions as that takes."""
        for _ in range(RETURNS_MAX):
            returned = await self._pipeline.ask(ExpireSession(session_id, at_opening))
            if not returned.more:
                return
        _log.error("session %s still owns runs after %d transactions", session_id, RETURNS_MAX)

    async def _sweep_now(self) -> None:
        now_ms = self._clock.monotonic_ms()
        if now_ms - self._next_sweep_ms > MISSED_SWEEPS * self._config.sweep_ms:
            self._judged_from_ms = now_ms  # we stood still, and so heard of no renewal
        self._next_sweep_ms = now_ms + self._config.sweep_ms
        able_since_ms = self._pipeline.able_since_ms
        if able_since_ms is not None and now_ms - max(able_since_ms, self._judged_from_ms) >= self._config.lease_ms:
            expired = await self._store.expired_sessions(now_ms=self._clock.now_ms(), limit=SESSIONS_MAX)
            await self._end(expired, at_opening=False)
        self._note_nearest(await self._store.next_alarm_ms())
        await self._sweep()
