"""What happens because time has passed: due runs, ticks of schedules, and sessions that nobody renewed or that fell silent.

The rule: an alarm is a reason to ask the engine, which judges again under the lock; and time comes from the clock that
was handed in. The loop sleeps until the nearest alarm it knows of, which each transaction can bring nearer, and at most
one sweep: a sweep also finds what a lost hint should have told.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from aiki.clock import Clock
from aiki.config import Config
from aiki.engine.commands import Disable, ExpireSession, RingAlarm, StallUndelivered, Tick
from aiki.errors import AikiError, Unavailable
from aiki.model.schedule import ScheduleName, ScheduleStanding
from aiki.model.wire import Standing
from aiki.model.working_set import WorkingSet
from aiki.server.pipeline import Pipeline
from aiki.server.presence import Presence
from aiki.store.base import Store

__all__ = ["Alarms"]

MS_PER_S: Final = 1000
SESSIONS_AT_ONCE: Final = 10  # each gives back up to EXPIRY_ROWS runs in one transaction
SESSIONS_MAX: Final = 1_000
RETURNS_MAX: Final = 100_000  # transactions for the runs of one session
FRUITLESS_MAX: Final = 3  # rounds in a row in which nothing came of the same alarms: other servers are faster but once
MISSED_SWEEPS: Final = 3  # so many sweeps late, and it was the server that stood still, not its workers
OVERSLEPT_MS: Final = 500  # the same, for those who are silent: they are judged sooner
NOBODY: Final = ""  # a session that there is not
UNDELIVERED_ROWS: Final = 500  # looked at in one sweep
UNDELIVERED_SWEEPS: Final = 60  # after so many, runs are looked for that no worker takes
RETURN_SWEEPS: Final = 10  # after so many, runs are looked for whose return to the queue was interrupted

T = TypeVar("T")

_log = logging.getLogger("aiki.server")


class Alarms:
    """The loop that looks at the clock.

    Args:
        presence: who is silent.
        sweep: looked after at each sweep: whatever else must not rely on hints alone.
    """

    def __init__(
        self,
        store: Store,
        pipeline: Pipeline,
        *,
        presence: Presence,
        clock: Clock,
        config: Config,
        sweep: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._presence = presence
        self._clock = clock
        self._config = config
        self._sweep = sweep
        self._nearest_ms: int | None = 0  # the nearest alarm known of; 0: look
        self._next_sweep_ms = clock.monotonic_ms()
        self._sweeps = 0
        self._heard_from_ms = clock.monotonic_ms()  # since when renewals would have been heard, as far as we know
        self._counted_ms = clock.monotonic_ms()  # until when that time is counted
        self._heard_ms = 0.0  # how much of it there was, outages left out
        self._expired: dict[
            str, float
        ] = {}  # sessions that were not renewed in time, and `_heard_ms` when that was seen
        self._began_ms = clock.monotonic_ms()  # when the step under way began
        self._awake_by_ms = clock.monotonic_ms()  # when the loop steps again at the latest, unless it is held up
        self._nearer = asyncio.Event()
        self._fruitless = 0
        self._barren: set[object] = set()  # what was due in the last round, and nothing came of it

    def note(self, ws: WorkingSet) -> None:
        """Learn of the alarms that a transaction has set."""
        for changed in (ws.changed_runs, ws.new_runs):
            for run_id in changed:
                self.note_nearest(ws.runs[run_id].alarm_at_ms)
        for schedule in ws.changed_schedules.values():
            self.note_nearest(schedule.alarm_at_ms)

    async def run(self) -> None:
        """Ring and sweep until cancelled."""
        while True:
            wait_ms = await self.step()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_ms / MS_PER_S):
                    await self._nearer.wait()

    async def step(self) -> float:
        """Do what is due, and return how many milliseconds the loop may sleep unless an alarm comes nearer."""
        self._nearer.clear()
        wait_ms = await self._do_due()
        self._awake_by_ms = self._clock.monotonic_ms() + wait_ms
        return wait_ms

    async def _do_due(self) -> float:
        self._began_ms = self._clock.monotonic_ms()
        late_ms = self._began_ms - self._awake_by_ms
        if late_ms > OVERSLEPT_MS:
            self._presence.forgive()
        if late_ms > MISSED_SWEEPS * self._config.sweep_ms:
            self._heard_from_ms = self._began_ms  # we stood still, and so heard of no renewal
        try:
            await self._ring_due()
            await self._judge_the_silent()
            if self._clock.monotonic_ms() >= self._next_sweep_ms:
                await self._sweep_now()
        except Unavailable as error:
            _log.warning("alarms wait for the database: %s", error)
            self._nearest_ms = 0
            self._heard_from_ms = self._clock.monotonic_ms()
            return self._config.sweep_ms
        wait_ms = self._next_sweep_ms - self._clock.monotonic_ms()
        if self._nearest_ms is not None:
            wait_ms = min(wait_ms, self._nearest_ms - self._clock.now_ms())
        silent_ms = self._presence.next_ms()
        if silent_ms is not None:
            wait_ms = min(wait_ms, silent_ms - self._clock.monotonic_ms())
        return max(0.0, wait_ms)

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
        schedules = await self._store.due_schedules(now_ms=now_ms, limit=self._config.alarm_rows)
        changed += await self._tick(schedules)
        barren: set[object] = set() if changed else {*(run.id for run in due), *schedules}
        self._fruitless = self._fruitless + 1 if barren & self._barren else min(len(barren), 1)
        self._barren = barren
        if self._fruitless < FRUITLESS_MAX:
            await self._note_stored()
        else:
            _log.error("%d alarms are due and nothing comes of them; looking again with the next sweep", len(barren))

    async def _ring(self, run_ids: Sequence[str]) -> int:
        """Ring alarms together, and return of how many something came. One that the engine fails on stops no other."""
        answers = await _each(self._pipeline.submit(RingAlarm(run_id)) for run_id in run_ids)
        return sum(isinstance(answer, Standing) and answer.changed for answer in answers)

    async def _tick(self, schedules: Sequence[ScheduleName]) -> int:
        """Judge due ticks together, and return of how many something came. A schedule that fails is disabled, alone."""
        answers = await _each(self._pipeline.submit(Tick(*name)) for name in schedules)
        for (namespace, name), answer in zip(schedules, answers, strict=True):
            if isinstance(answer, AikiError):
                _log.error("schedule %s of namespace %s is disabled: %s", name, namespace, answer)
                await self._pipeline.ask(Disable(namespace, name, answer.message))
        return sum(not isinstance(answer, ScheduleStanding) or answer.changed for answer in answers)

    async def _note_stored(self) -> None:
        """Learn of the nearest alarms that are stored."""
        self.note_nearest(await self._store.next_alarm_ms())
        self.note_nearest(await self._store.next_tick_ms())

    def note_nearest(self, alarm_at_ms: int | None) -> None:
        """Learn of an alarm that is set, by whomever; None for none."""
        if alarm_at_ms is not None and (self._nearest_ms is None or alarm_at_ms < self._nearest_ms):
            self._nearest_ms = alarm_at_ms
            self._nearer.set()

    def sweep_soon(self) -> None:
        """Look at everything now rather than with the next sweep: more has happened than hints could tell."""
        self._next_sweep_ms = min(self._next_sweep_ms, self._clock.monotonic_ms())
        self._nearer.set()

    # ------------------------------------------------------------------------------------------------------- sessions

    async def open(self, *, is_embedded: bool) -> None:
        """End the sessions of the dead, and return their runs. Called once, before anything else.

        Args:
            is_embedded: all workers of before lived in the process that held the database, and so are dead.
        """
        for _ in range(RETURNS_MAX if is_embedded else 0):
            live = await self._store.live_sessions(limit=SESSIONS_MAX)
            await self._end(ExpireSession(session_id, at_opening=True) for session_id in live)
            if len(live) < SESSIONS_MAX:
                break
        await self._return_the_rest()

    async def _end(self, judged: Iterable[ExpireSession]) -> None:
        """End those sessions that are over, and return their runs."""
        commands = list(judged)
        for first in range(0, len(commands), SESSIONS_AT_ONCE):
            some = commands[first : first + SESSIONS_AT_ONCE]
            await _each(self._end_one(command) for command in some)

    async def _end_one(self, command: ExpireSession) -> None:
        """End a session if it is over, and return its runs, in as many transactions as that takes."""
        for _ in range(RETURNS_MAX):
            returned = await self._pipeline.ask(command)
            if not returned.more:
                return
        _log.error("session %s still owns runs after %d transactions", command.session_id, RETURNS_MAX)

    async def _return_the_rest(self) -> None:
        """Return what sessions that are over still own: their return was interrupted, as when the database went away."""
        unreturned = await self._store.unreturned_sessions(limit=SESSIONS_MAX)
        await self._end(ExpireSession(session_id) for session_id in unreturned)

    async def _judge_the_silent(self) -> None:
        """Have those judged who have been silent all the time that this server could have heard them."""
        if self._pipeline.able_since_ms is None:
            self._presence.forgive()
            return
        silent = self._presence.take_silent()
        if silent:
            _log.info("%d workers have fallen silent", len(silent))
            await self._end(ExpireSession(found.session_id, silent_after=found.poll) for found in silent)

    async def _judge_the_expired(self, now_ms: float) -> None:
        """Have those judged who were not renewed in time, although for a lease's time we would have heard of it.

        That is the last lease; or, where outages follow one another closely, as much time between them, since the end of
        the session's lease was first seen.
        """
        able_since_ms = self._pipeline.able_since_ms
        if able_since_ms is None:
            return
        heard_from_ms = max(able_since_ms, self._heard_from_ms)
        self._heard_ms += max(0.0, now_ms - max(heard_from_ms, self._counted_ms))
        self._counted_ms = now_ms
        expired = await self._store.expired_sessions(now_ms=self._clock.now_ms(), limit=SESSIONS_MAX)
        self._expired = {session_id: self._expired.get(session_id, self._heard_ms) for session_id in expired}
        lease_ms = self._config.lease_ms
        is_long = now_ms - heard_from_ms >= lease_ms
        await self._end(
            ExpireSession(session_id)
            for session_id, seen_ms in self._expired.items()
            if is_long or self._heard_ms - seen_ms >= lease_ms
        )

    async def _sweep_now(self) -> None:
        now_ms = self._clock.monotonic_ms()
        if now_ms - self._began_ms > self._config.lease_ms:
            self._heard_from_ms = (
                now_ms  # the same, in the middle of it; less is a database that is slow, and polls are heard
            )
        self._next_sweep_ms = now_ms + self._config.sweep_ms
        if self._pipeline.able_since_ms is None:
            await self._pipeline.ask(
                ExpireSession(NOBODY)
            )  # where nothing is asked, nothing shows that it could be done
        await self._judge_the_expired(now_ms)
        self._sweeps += 1
        if self._sweeps % RETURN_SWEEPS == 0:
            await self._return_the_rest()
        if self._sweeps % UNDELIVERED_SWEEPS == 0:
            await self._stall_undelivered(now_ms)
        await self._note_stored()
        await self._sweep()

    async def _stall_undelivered(self, now_ms: float) -> None:
        """Stall what nobody has taken for too long; a server that was not there all that time blames no worker."""
        able_since_ms, undelivered_ms = self._pipeline.able_since_ms, self._config.undelivered_ms
        if able_since_ms is None or now_ms - max(able_since_ms, self._heard_from_ms) < undelivered_ms:
            return
        due_before_ms = self._clock.now_ms() - undelivered_ms
        found = await self._store.undelivered(due_before_ms=due_before_ms, limit=UNDELIVERED_ROWS)
        await _each(self._pipeline.submit(StallUndelivered(run_id, undelivered_ms)) for run_id in found)


async def _each(asked: Iterable[Awaitable[T]]) -> list[T | BaseException]:
    """Return what all answer together. One that the engine fails on stops no other, and not the loop.

    Raises:
        Unavailable: the database is away, or there is no room.
    """
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, Unavailable):
            raise answer
    return answers
