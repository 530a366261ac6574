"""Everything that clients and workers can ask of a server, whichever road they come by.

The rule: what comes in is judged at the door, then becomes commands for the pipeline or plain reads of the store; one
item that is refused never spoils its neighbours, and a call of many items has an answer for each, in order.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from msgspec import Raw
from msgspec.structs import replace

from aiki.clock import Clock
from aiki.config import Config
from aiki.engine.commands import (
    Announced,
    Answer,
    Ask,
    Command,
    CommitTurn,
    HandBackRuns,
    Poll,
    RefuseTurn,
    SayGoodbye,
    Send,
    Start,
)
from aiki.errors import AikiError, Fenced, RunNotFound, Unavailable
from aiki.model.lifecycle import TERMINAL, Status
from aiki.model.views import RunCount, RunFilter, RunInfo, RunPage
from aiki.model.wire import (
    Announce,
    Commit,
    CommitAnswer,
    Control,
    Goodbye,
    HandBack,
    JournalPage,
    PollAnswer,
    PollRequest,
    Problem,
    SendEvent,
    Standing,
    Started,
    StartRun,
    Verdict,
    WaitAnswer,
    WaitRequest,
)
from aiki.server.bulk import Bulk
from aiki.server.contracts import Contracts
from aiki.server.dispatch import Dispatch
from aiki.server.door import Door, problem_of
from aiki.server.live import Live, Reader
from aiki.server.many import Many
from aiki.server.overview import Overview
from aiki.server.pipeline import Pipeline
from aiki.server.roster import Roster
from aiki.server.schedules import ScheduleService
from aiki.server.waiting import Waiting
from aiki.store.base import Store

__all__ = ["Service"]

RETURNS_MAX: Final = 100_000  # transactions for the runs of one session

T = TypeVar("T")
A = TypeVar("A")
Misfits = Callable[[Mapping[int, T]], Awaitable[Mapping[int, AikiError]]]


async def _none_misfits(_items: Mapping[int, object]) -> Mapping[int, AikiError]:
    return {}


class Service:
    """The calls of a server: those of `aiki.model.wire`, in its messages."""

    def __init__(
        self,
        store: Store,
        pipeline: Pipeline,
        *,
        dispatch: Dispatch,
        waiting: Waiting,
        roster: Roster,
        contracts: Contracts,
        live: Live,
        clock: Clock,
        config: Config,
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._dispatch = dispatch
        self._waiting = waiting
        self._roster = roster
        self._contracts = contracts
        self._live = live
        self._clock = clock
        self._config = config
        self._door = Door(config)
        self.schedules = ScheduleService(store, pipeline, contracts=contracts, config=config)
        self.bulk = Bulk(store, pipeline, door=self._door, clock=clock, config=config)
        self.many = Many(store, self._door, send=self.send)
        self.overview = Overview(store, roster=roster, clock=clock)

    # -------------------------------------------------------------------------------------------------------- clients

    async def start(self, starts: Sequence[StartRun]) -> list[Started]:
        """Start many runs; one answer for each, in order."""
        self._door.count(starts, "starts")

        def command(request: StartRun) -> Command:
            self._door.start(request)
            return Start(request)

        answers = await self._each(
            starts,
            command,
            kind=Started,
            refused=lambda start, problem: Started(start.run_id, problem=problem),
            misfits=self._contracts.misfits_of_starts,
        )
        return [await self._warned(started, request) for started, request in zip(answers, starts, strict=True)]

    async def send(self, events: Sequence[SendEvent]) -> list[Standing]:
        """Send many events; one answer for each, in order."""
        self._door.count(events, "events")

        def command(event: SendEvent) -> Command:
            self._door.event(event)
            return Send(event)

        return await self._each(
            events,
            command,
            kind=Standing,
            refused=lambda event, problem: Standing(event.run_id, problem=problem),
            misfits=self._contracts.misfits_of_events,
        )

    async def control(self, requests: Sequence[Control]) -> list[Standing]:
        """Ask something of many runs: cancel, pause, retry, ...; one answer for each, in order."""
        self._door.count(requests, "requests")

        def command(request: Control) -> Command:
            self._door.control(request)
            return Ask(request)

        return await self._each(
            requests, command, kind=Standing, refused=lambda asked, problem: Standing(asked.run_id, problem=problem)
        )

    async def wait(self, request: WaitRequest) -> WaitAnswer:
        """Wait for the end of any of many runs."""
        return await self._waiting.wait(request)

    async def info(self, namespace: str, run_id: str) -> RunInfo | None:
        """Return a run with payloads and open waits, or None."""
        return await self._noted(await self._store.info(namespace, run_id))

    async def by_reference(self, namespace: str, workflow: str, reference_id: str) -> RunInfo | None:
        """Return the run that bears a reference id, or None."""
        return await self._noted(await self._store.by_reference(namespace, workflow, reference_id))

    async def list_runs(self, runs: RunFilter) -> RunPage:
        """Return a page of runs."""
        self._door.filter(runs)
        return await self._store.list_runs(runs)

    async def count(self, runs: RunFilter) -> RunCount:
        """Return how many runs there are, by status."""
        self._door.filter(runs)
        by_status = await self._store.count(runs)
        return RunCount(sum(by_status.values()), by_status)

    async def value(self, namespace: str, run_id: str, name: str) -> Raw | None:
        """Return what a run published under `name`, or None."""
        return await self._store.value(namespace, run_id, name)

    async def journal(
        self, namespace: str, run_id: str, after_seq: int, *, chapter: int | None = None, attempt: int | None = None
    ) -> JournalPage:
        """Return a page of a run's journal, for people: of its current chapter and attempt, or of others."""
        page = await self._store.journal(namespace, run_id, after_seq=after_seq, chapter=chapter, attempt=attempt)
        if page is None:
            why = f"there is no run {run_id} in this namespace"
            return JournalPage(run_id, 0, problem=Problem(RunNotFound.code, why, {"run_id": run_id}))
        return page

    def changes(self, namespace: str, *, after: str | None = None) -> Reader:
        """Return a reader of what changes in a namespace, to be closed."""
        return self._live.open(namespace, after=after)

    # -------------------------------------------------------------------------------------------------------- workers

    async def announce(self, announce: Announce) -> PollAnswer:
        """Open a session."""
        self._door.announce(announce)
        outcome = await self._pipeline.ask(Announced(announce, self._config.lease_ms))
        if not outcome.over:
            self._roster.add(announce)
            self.overview.workers_changed()
            self._contracts.add(announce)
        return PollAnswer(self._clock.now_ms(), self._config.lease_ms, session_over=outcome.over)

    async def poll(self, request: PollRequest) -> PollAnswer:
        """Renew a session, compare what is held, wait for work."""
        self._door.count(request.found, "found runs")
        is_known = self._roster.heard(request)
        poll = self._dispatch.open(request)
        try:
            if not poll.answer.done():
                decided = self._pipeline.submit(Poll(request, self._config.lease_ms))
                decided.add_done_callback(lambda decided: self._dispatch.fail(poll, decided))
            answer = await poll.answer
            return answer if is_known else replace(answer, introduce=True)
        finally:
            self._dispatch.forget(poll)

    async def commit(self, commits: Sequence[Commit]) -> list[CommitAnswer]:
        """Make turns durable; one answer for each, in order. What cannot be stored stalls its run."""
        self._door.count(commits, "commits")

        def command(commit: Commit) -> Command:
            try:
                self._door.commit(commit)
            except AikiError as error:
                return RefuseTurn(commit.run_id, commit.epoch, commit.turn, problem_of(error))
            return CommitTurn(commit)

        asked = self._submit([command(commit) for commit in commits])
        answers = await asyncio.gather(*asked, return_exceptions=True)
        return [self._commit_answer(commit, answer) for commit, answer in zip(commits, answers, strict=True)]

    async def fetch(self, session_id: str, run_id: str, epoch: int, after_seq: int) -> JournalPage:
        """Return the next page of the journal of a run that the session owns."""
        page = await self._store.fetch(run_id, session_id=session_id, epoch=epoch, after_seq=after_seq)
        if page is None:
            why = f"run {run_id} is not held by session {session_id} under epoch {epoch}: drop it"
            return JournalPage(run_id, epoch, problem=Problem(Fenced.code, why, {"run_id": run_id}))
        return page

    async def hand_back(self, request: HandBack) -> None:
        """Give up claims."""
        await self._pipeline.ask(HandBackRuns(request))

    async def goodbye(self, request: Goodbye) -> None:
        """End a session, and return what it holds in as many transactions as that takes."""
        self._roster.remove(request.session_id)
        for _ in range(RETURNS_MAX):
            returned = await self._pipeline.ask(SayGoodbye(request))
            self.overview.workers_changed()
            if not returned.more:
                return

    # ---------------------------------------------------------------------------------------------------------- parts

    async def _each(
        self,
        items: Sequence[T],
        command: Callable[[T], Command],
        *,
        kind: type[A],
        refused: Callable[[T, Problem], A],
        misfits: Misfits[T] = _none_misfits,
    ) -> list[A]:
        """Judge and ask each item; a refusal takes the place of its answer."""
        found: dict[int, A] = {}
        commands: dict[int, Command] = {}
        for place, item in enumerate(items):
            try:
                commands[place] = command(item)
            except AikiError as error:
                found[place] = refused(item, problem_of(error))
        for place, why in (await misfits({place: items[place] for place in commands})).items():
            del commands[place]
            found[place] = refused(items[place], problem_of(why))
        answers = await asyncio.gather(*self._submit(commands.values()), return_exceptions=True)
        for place, answer in zip(commands, answers, strict=True):
            if isinstance(answer, kind):
                found[place] = answer
            elif isinstance(answer, AikiError) and not isinstance(answer, Unavailable):
                found[place] = refused(items[place], problem_of(answer))
            elif isinstance(answer, BaseException):
                raise answer
        return [found[place] for place in range(len(items))]

    def _commit_answer(self, commit: Commit, answer: Answer | BaseException) -> CommitAnswer:
        """Return the answer to a commit; where not even the stalling of its run could be done, the worker drops it."""
        if isinstance(answer, CommitAnswer):
            return answer
        if isinstance(answer, AikiError) and not isinstance(answer, Unavailable):
            now_ms, problem = self._clock.now_ms(), problem_of(answer)
            return CommitAnswer(commit.run_id, commit.epoch, commit.turn, Verdict.REFUSED, now_ms, problem=problem)
        raise answer if isinstance(answer, BaseException) else TypeError(f"a commit was answered with {answer}")

    def _submit(self, commands: Iterable[Command]) -> list[asyncio.Future[Answer]]:
        """Put commands into the queue, all or none.

        Raises:
            Unavailable: there is no room for all of them, or the server closes.
        """
        submitted: list[asyncio.Future[Answer]] = []
        try:
            for command in commands:
                submitted.append(self._pipeline.submit(command))  # noqa: PERF401 - what was taken is given back
        except Unavailable:
            for answer in submitted:
                answer.cancel()
            raise
        return submitted

    async def _warned(self, started: Started, request: StartRun) -> Started:
        if started.problem is not None:
            return started
        version = started.version or request.version
        self._contracts.note(started.run_id, (request.namespace, request.workflow, version))
        warnings = await self.overview.warnings(
            request.namespace,
            request.workflow,
            version=version,
            pool=request.options.pool,
        )
        return replace(started, warnings=warnings) if warnings else started

    async def _noted(self, info: RunInfo | None) -> RunInfo | None:
        """Add what people should know of a run: that nobody serves it, or what is executed for it."""
        if info is not None and info.status is Status.RUNNING:
            executing = self._roster.executing(info.id)
            return replace(info, executing=executing) if executing else info
        if info is None or info.status in TERMINAL or info.status is Status.PAUSED:
            return info
        warnings = await self.overview.warnings(info.namespace, info.workflow, version=info.version, pool=info.pool)
        return replace(info, warnings=warnings) if warnings else info
