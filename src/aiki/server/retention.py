"""What has been over for long is deleted, a little at a time.

The rule: the loop finds, the engine judges under the lock; and what is deleted waits in the pipeline like all else, in
batches that are small, and between two of them as long as the one before took. So a database that was never tidied up is
tidied beside its load, and what ends at a steady rate leaves at that rate.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from aiki.clock import Clock
from aiki.config import Config
from aiki.engine.commands import Command, DeleteRun, ForgetJob, ForgetSession, ForgetVersion
from aiki.errors import Unavailable
from aiki.model.wire import Standing
from aiki.server.pipeline import Pipeline
from aiki.store.base import EndedRun, Store

__all__ = ["Retention"]

MS_PER_S: Final = 1000
BATCH_RUNS: Final = 50  # deleted in one transaction
BATCH_ROWS: Final = 5_000  # of them, unless one run has more
LOOKED_AT_ROWS: Final = 500  # at once, outside of any transaction
FORGOTTEN_AT_ONCE: Final = 100  # sessions, jobs or versions
SESSION_KEPT_MS: Final = 3_600_000  # a copy of its announcement that comes later would open it again
VERSION_KEPT_MS: Final = 7 * 86_400_000  # at least: a deploy that went wrong is looked at a few days later
PASS_MS_LEAST: Final = 60_000  # from the end of one look at everything that is due to the beginning of the next
PASS_MS_MOST: Final = 3_600_000
FORGETTINGS: Final = 100  # of each kind, in one pass
BEFORE_ALL: Final = (-1, "")

_log = logging.getLogger("aiki.server")


class Retention:
    """The loop that deletes.

    A pass goes once over everything that has been over for long enough, in the order of the ends: what cannot be deleted
    yet, as its parent goes on, is passed over and looked at again in the next one.
    """

    def __init__(self, store: Store, pipeline: Pipeline, *, clock: Clock, config: Config) -> None:
        self._store = store
        self._pipeline = pipeline
        self._clock = clock
        self._retention_ms = config.retention_ms
        self._pass_ms_most = max(PASS_MS_MOST, config.sweep_ms)
        self._next_pass_ms = clock.monotonic_ms() + PASS_MS_LEAST
        self.deleted = 0

    async def run(self) -> None:
        """Delete what is due until cancelled."""
        while True:
            await asyncio.sleep(max(0.0, self._next_pass_ms - self._clock.monotonic_ms()) / MS_PER_S)
            await self.step()

    async def step(self) -> None:
        """Make a pass if it is time for one."""
        if self._clock.monotonic_ms() < self._next_pass_ms:
            return
        try:
            await self._forget(self._over_sessions)
            after_ms = await self._delete_runs() if self._retention_ms else None
            if self._retention_ms:
                await self._forget(self._done_jobs)
                await self._forget(self._unused_versions)
            self._next_pass_ms = self._clock.monotonic_ms() + await self._until_next_ms(after_ms)
        except Unavailable as error:
            _log.warning("what is over for long cannot be deleted just now: %s", error)
            self._next_pass_ms = self._clock.monotonic_ms() + PASS_MS_LEAST

    async def _delete_runs(self) -> int:
        """Delete what has been over for long enough, and return up to when that ended."""
        until_ms = self._clock.now_ms() - self._retention_ms
        after = BEFORE_ALL
        while True:  # bounded: each turn goes on from where the last one ended
            found = await self._store.ended_runs(until_ms=until_ms, after=after, limit=LOOKED_AT_ROWS)
            for batch in _batches(run for run in found if not run.is_kept):
                await self._do([DeleteRun(run.id, run.parent_id, self._retention_ms) for run in batch])
            if len(found) < LOOKED_AT_ROWS:
                return until_ms
            after = (found[-1].finished_at_ms, found[-1].id)

    async def _until_next_ms(self, after_ms: int | None) -> float:
        """Return how long there is nothing new to delete, within bounds: clocks are set, and parents end."""
        if after_ms is None:
            return self._pass_ms_most
        oldest_ms = await self._store.oldest_end_ms(after_ms=after_ms)
        if oldest_ms is None:
            return max(PASS_MS_LEAST, min(self._retention_ms, self._pass_ms_most))
        return max(PASS_MS_LEAST, min(oldest_ms + self._retention_ms - self._clock.now_ms(), self._pass_ms_most))

    async def _forget(self, due: Callable[[int], Awaitable[Sequence[Command]]]) -> None:
        """Forget all that is due of one kind, as `due` tells it, at most so much at once."""
        for _ in range(FORGETTINGS):
            commands = await due(self._clock.now_ms())
            await self._do(commands)
            if len(commands) < FORGOTTEN_AT_ONCE:
                return

    async def _over_sessions(self, now_ms: int) -> Sequence[Command]:
        over = await self._store.over_sessions(until_ms=now_ms - SESSION_KEPT_MS, limit=FORGOTTEN_AT_ONCE)
        return [ForgetSession(session_id, SESSION_KEPT_MS) for session_id in over]

    async def _done_jobs(self, now_ms: int) -> Sequence[Command]:
        done = await self._store.done_jobs(until_ms=now_ms - self._retention_ms, limit=FORGOTTEN_AT_ONCE)
        return [ForgetJob(job_id, self._retention_ms) for job_id in done]

    async def _unused_versions(self, now_ms: int) -> Sequence[Command]:
        """Return the versions that nobody serves or uses."""
        until_ms = now_ms - max(self._retention_ms, VERSION_KEPT_MS)
        return [
            ForgetVersion(*version)
            for version in await self._store.unused_versions(until_ms=until_ms, limit=FORGOTTEN_AT_ONCE)
        ]

    async def _do(self, commands: Sequence[Command]) -> None:
        """Do so much in one transaction, or a few, and then give way for as long as that took."""
        if not commands:
            return
        began_ms = self._clock.monotonic_ms()
        answers = await asyncio.gather(*map(self._pipeline.submit, commands), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, Unavailable):
                raise answer
            self.deleted += isinstance(answer, Standing) and answer.changed
        await asyncio.sleep((self._clock.monotonic_ms() - began_ms) / MS_PER_S)


def _batches(runs: Iterable[EndedRun]) -> Iterable[list[EndedRun]]:
    """Cut runs by number and by rows; one that has more rows than that stands alone."""
    batch: list[EndedRun] = []
    rows = 0
    for run in runs:
        if batch and (len(batch) >= BATCH_RUNS or rows + run.rows > BATCH_ROWS):
            yield batch
            batch, rows = [], 0
        batch.append(run)
        rows += run.rows
    if batch:
        yield batch
