"""The loop that drives bulk jobs: part after part, until nobody is left to ask.

The rule: what a job has done stands in the database with what it did, so this loop remembers nothing. It may die at any
moment, and another server may drive the same job: a part that is not the next one changes nothing.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from aiki.clock import Clock
from aiki.config import Config
from aiki.engine.commands import BeginJob, StepJob
from aiki.errors import AikiError, InvalidInput, Unavailable
from aiki.model.ids import derived_id
from aiki.model.many import MEANT, BulkJob, RunProblem, StartJob
from aiki.model.views import RunFilter, cursor_of
from aiki.model.wire import Control, Verb
from aiki.server.door import Door, problem_of
from aiki.server.pipeline import Pipeline
from aiki.store.base import Store

__all__ = ["Bulk"]

JOBS_AT_ONCE: Final = 10
PART_RUNS: Final = 100
RETRIED_RUNS: Final = 20  # each brings its journal into the transaction
PAGE_MAX: Final = 500
MS_PER_S: Final = 1_000
LOOK_MS: Final = 1_000  # at a job that another server drives
PARTS_MAX: Final = 1_000_000

_log = logging.getLogger("aiki.server")


class _Part(Struct, frozen=True):
    """Runs to ask next, each with the cursor after it; and whether that is all."""

    runs: tuple[tuple[str, str | None], ...]
    is_last: bool


class Bulk:
    """The bulk jobs of one server's database."""

    def __init__(self, store: Store, pipeline: Pipeline, *, door: Door, clock: Clock, config: Config) -> None:
        self._store = store
        self._pipeline = pipeline
        self._door = door
        self._clock = clock
        self._config = config
        self._begun = asyncio.Event()
        self._progressed = asyncio.Event()

    # --------------------------------------------------------------------------------------------------------- asking

    async def start(self, request: StartJob) -> BulkJob:
        """Begin a job, and return it once it is durable; repeated with its id, it is the same one.

        Raises:
            InvalidInput: it is not said which runs are meant, or its id is that of another job.
        """
        self._door.job(request)
        if request.filter is not None:
            request = replace(request, filter=self._meant(request.verb, request.filter))
        job = await self._pipeline.ask(BeginJob(replace(request, run_ids=tuple(dict.fromkeys(request.run_ids)))))
        self._begun.set()
        return job

    async def job(self, namespace: str, job_id: str, *, wait_ms: int = 0) -> BulkJob | None:
        """Return a job; where it is to be waited for, once it is done, or after `wait_ms`."""
        until_ms = self._clock.monotonic_ms() + min(wait_ms, self._config.result_wait_ms)
        while True:
            self._progressed.clear()
            job = await self._store.job(namespace, job_id)
            left_ms = until_ms - self._clock.monotonic_ms()
            if job is None or job.finished_at_ms is not None or left_ms <= 0:
                return job
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_ms, LOOK_MS) / MS_PER_S):
                    await self._progressed.wait()

    async def jobs(self, namespace: str, *, cursor: str | None, limit: int) -> tuple[list[BulkJob], str | None]:
        """Return a page of jobs, the newest first, and where the next begins.

        Raises:
            InvalidInput: the cursor or the limit is none.
        """
        if not 1 <= limit <= PAGE_MAX:
            raise InvalidInput(f"limit is {limit}: a page holds 1 to {PAGE_MAX} jobs", path="limit")
        return await self._store.jobs(namespace, cursor=cursor, limit=limit)

    def _meant(self, verb: Verb, runs: RunFilter) -> RunFilter:
        """Return what a filter means: runs that are there by now, in a status in which something can come of it."""
        before_ms = self._clock.now_ms() + 1
        return replace(
            runs,
            status=runs.status or tuple(sorted(MEANT[verb])),
            created_before_ms=min(before_ms, runs.created_before_ms or before_ms),
            cursor=None,
        )

    # -------------------------------------------------------------------------------------------------------- driving

    async def run(self) -> None:
        """Drive what there is until cancelled."""
        while True:
            self._begun.clear()
            try:
                if await self.step():
                    continue
            except Unavailable as error:
                _log.warning("bulk jobs wait for the database: %s", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._config.sweep_ms / MS_PER_S):
                    await self._begun.wait()

    async def step(self) -> bool:
        """Do the next part of each job, and return whether any was done. A job that cannot go on stops no other."""
        done = 0
        for job in await self._store.open_jobs(limit=JOBS_AT_ONCE):
            try:
                await self._do_part(job)
            except Unavailable:
                raise
            except AikiError as error:
                _log.error("bulk job %s cannot go on; it is tried again with the next sweep: %s", job.request.id, error)
            else:
                done += 1
        self._progressed.set()
        return done > 0

    async def _do_part(self, job: BulkJob) -> None:
        part = await self._next(job)
        for _ in range(PARTS_MAX):
            try:
                await self._ask(job, part)
            except Unavailable:
                raise
            except AikiError as error:
                if len(part.runs) > 1:  # one of them spoils the part: do a smaller one
                    part = _Part(part.runs[: len(part.runs) // 2], is_last=False)
                    continue
                await self._ask(job, part, refused=error)
            return

    async def _next(self, job: BulkJob) -> _Part:
        asked, rows = job.request, RETRIED_RUNS if job.request.verb == "retry" else PART_RUNS
        if asked.filter is None:
            seen = job.progress.seen
            ids = asked.run_ids[seen : seen + rows]
            return _Part(tuple((run_id, None) for run_id in ids), is_last=seen + rows >= len(asked.run_ids))
        try:
            page = await self._store.list_runs(replace(asked.filter, cursor=job.progress.cursor, limit=rows))
        except InvalidInput as error:  # too broad: nothing will come of it
            _log.error("bulk job %s ends: %s", asked.id, error)
            await self._pipeline.ask(
                StepJob(asked.id, job.progress.steps + 1, (), (RunProblem("", problem_of(error)),), is_last=True)
            )
            return _Part((), is_last=True)
        runs = tuple((run.id, cursor_of(run.created_at_ms, run.id)) for run in page.runs)
        return _Part(runs, is_last=page.next_cursor is None)

    async def _ask(self, job: BulkJob, part: _Part, *, refused: AikiError | None = None) -> None:
        cursor = part.runs[-1][1] if part.runs else job.progress.cursor
        ids = [run_id for run_id, _ in part.runs]
        if refused is None:
            await self._pipeline.ask(
                StepJob(
                    job.request.id,
                    job.progress.steps + 1,
                    _requests(job.request, ids),
                    cursor=cursor,
                    is_last=part.is_last,
                )
            )
        else:
            problems = tuple(RunProblem(run_id, problem_of(refused)) for run_id in ids)
            await self._pipeline.ask(
                StepJob(job.request.id, job.progress.steps + 1, (), problems, cursor=cursor, is_last=part.is_last)
            )


def _requests(asked: StartJob, run_ids: Sequence[str]) -> tuple[Control, ...]:
    return tuple(
        Control(asked.namespace, run_id, derived_id("bulk", asked.id, run_id), asked.verb, asked.reason)
        for run_id in run_ids
    )
