"""Group commit: the one place where engine and store meet.

Every command goes into one bounded queue. The pipeline takes whatever is there (no timer, no minimum: while one
transaction is under way the next batch gathers), names the rows, has them loaded, decided, handed over and saved in one
transaction, and then answers. The rule: a command is answered only by what is durable, and one that fails fails alone.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Final, TypeVar, cast, overload

from msgspec import Struct

from aiki.clock import Clock
from aiki.config import Config
from aiki.engine.commands import (
    Activate,
    Announced,
    Answer,
    Ask,
    AskSchedule,
    BeginJob,
    Command,
    CommitTurn,
    DeleteRun,
    Disable,
    ExpireSession,
    ForgetJob,
    ForgetSession,
    ForgetVersion,
    HandBackRuns,
    Poll,
    PollOutcome,
    RefuseTurn,
    Returned,
    RingAlarm,
    SayGoodbye,
    Send,
    StallUndelivered,
    Start,
    StepJob,
    Tick,
)
from aiki.engine.decide import decide
from aiki.engine.dispatch import assign
from aiki.engine.keys import keys_of
from aiki.errors import AikiError, InvalidInput, Unavailable
from aiki.model.many import BulkJob
from aiki.model.schedule import ScheduleStanding
from aiki.model.wire import CommitAnswer, Problem, Standing, Started
from aiki.model.working_set import Keys, WorkingSet
from aiki.server.dispatch import Dispatch, Offering
from aiki.server.weight import weight_bytes
from aiki.store.base import Store, StoreRefused, Transaction

__all__ = ["Pipeline"]

ATTEMPTS_MAX: Final = 3  # of a transaction that the database could not do just now
RETRY_S: Final = 0.05
STANDSTILL_PART: Final = 0.3  # of the lease: a transaction that takes longer may never be answered

A = TypeVar("A", bound=Answer)

_log = logging.getLogger("aiki.server")


class _Waiting(Struct, frozen=True):
    """A command and who waits for its answer."""

    command: Command
    answer: asyncio.Future[Answer]
    size_bytes: int


class _Undecided(Exception):
    """A decision failed: that of one command of the batch, or (`place` is None) the handing over."""

    def __init__(self, place: int | None, error: Exception) -> None:
        super().__init__(str(error))
        self.place = place
        self.error = error


class Pipeline:
    """The queue of a server's commands, and the loop that takes them to the database.

    Args:
        store: where everything is remembered.
        dispatch: the polls that wait for work.
        on_durable: told of each transaction after it is durable, before anybody is answered.
        on_uncertain: told when a transaction may have been done although its outcome was lost.
    """

    def __init__(
        self,
        store: Store,
        dispatch: Dispatch,
        *,
        clock: Clock,
        config: Config,
        on_durable: Callable[[WorkingSet], None],
        on_uncertain: Callable[[], None],
    ) -> None:
        self._store = store
        self._dispatch = dispatch
        self._clock = clock
        self._config = config
        self._on_durable = on_durable
        self._on_uncertain = on_uncertain
        self._queue: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._closed: Unavailable | None = None
        self.able_since_ms: float | None = None  # monotonic: since when the database has been written to without fail
        self._is_away = False
        self._began_ms: float | None = None  # monotonic: since when an attempt at a transaction is under way
        self.transactions = 0
        dispatch.on_wanted(self.wake)

    # ----------------------------------------------------------------------------------------------------- asking

    @overload
    async def ask(self, command: Start) -> Started: ...
    @overload
    async def ask(self, command: Send | Ask | RingAlarm | StallUndelivered | DeleteRun) -> Standing: ...
    @overload
    async def ask(self, command: Announced | Poll) -> PollOutcome: ...
    @overload
    async def ask(self, command: CommitTurn | RefuseTurn) -> CommitAnswer: ...
    @overload
    async def ask(self, command: Activate | AskSchedule | Tick | Disable) -> ScheduleStanding: ...
    @overload
    async def ask(
        self, command: HandBackRuns | SayGoodbye | ExpireSession | ForgetSession | ForgetVersion
    ) -> Returned: ...
    @overload
    async def ask(self, command: BeginJob) -> BulkJob: ...
    @overload
    async def ask(self, command: StepJob | ForgetJob) -> BulkJob | None: ...
    async def ask(self, command: Command) -> Answer:
        """Return the answer to a command, once it is durable.

        A caller that is cancelled takes its command back only if it is not under way.

        Raises:
            Unavailable: too many commands wait, the database is away, or the server closes; ask again.
        """
        return await self.submit(command)

    def submit(self, command: Command) -> asyncio.Future[Answer]:
        """Put a command into the queue.

        Raises:
            Unavailable: too many commands wait, or the server closes; or it is a poll, and the database is away: a
                session stays as it is then, and its worker is told so rather than left waiting.
        """
        if self._closed is not None:
            raise self._closed
        if isinstance(command, Poll) and self._stands_still():
            self.able_since_ms = None  # as below
            raise Unavailable("the database is away; no session ends meanwhile", away="database")
        if len(self._queue) >= self._config.queued_commands_max:
            if isinstance(command, Poll):
                self.able_since_ms = None  # a session may end for want of a renewal that was refused
            raise Unavailable(f"the server is busy: {len(self._queue):,} commands wait. Come back in a moment.")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(command, answer, weight_bytes(command)))
        self._wake.set()
        return answer

    def submit_unasked(self, command: Command) -> None:
        """Put a command into the queue that nobody waits for, if there is room."""
        with suppress(Unavailable):
            self.submit(command).add_done_callback(_is_seen)

    def wake(self) -> None:
        """Look at what the dispatch wants, even if no command comes."""
        self._wake.set()

    # ------------------------------------------------------------------------------------------------------ working

    async def run(self) -> None:
        """Take batch after batch, until the pipeline is stopped and empty."""
        while self._closed is None or self._queue:
            await self._wake.wait()
            self._wake.clear()
            while await self.step():
                pass

    async def step(self) -> bool:
        """Take one batch, do its transaction, answer. Return whether there was anything to do."""
        batch = self._take()
        if not batch and not self._dispatch.is_wanted:
            return False
        await self._do(batch)
        return True

    def _stands_still(self) -> bool:
        """Whether the database is away, or so slow that it may be. Whoever sweeps finds out when it is back."""
        if self._began_ms is None:
            return self._is_away
        return self._is_away or self._clock.monotonic_ms() - self._began_ms > STANDSTILL_PART * self._config.lease_ms

    def stop(self, error: Unavailable) -> None:
        """Refuse whatever comes from now on; what waits is still done."""
        self._closed = self._closed or error
        self._wake.set()

    def fail(self, error: Unavailable) -> None:
        """Refuse whatever waits, and whatever comes."""
        self.stop(error)
        _refuse(self._queue, error)
        self._queue.clear()

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size_bytes = 0
        while self._queue and len(batch) < self._config.batch_commands_max:
            if batch and size_bytes + self._queue[0].size_bytes > self._config.batch_bytes_max:
                break
            waiting = self._queue.popleft()
            if not waiting.answer.cancelled():
                batch.append(waiting)
                size_bytes += waiting.size_bytes
        return batch

    async def _do(self, batch: list[_Waiting], *, hands_over: bool = True) -> None:
        """Do a batch in one transaction; if that is refused, in halves, until the culprit stands alone."""
        while True:  # bounded: each further turn leaves out a command, or makes a commit a refusal
            offering = self._dispatch.offering(w.command for w in batch) if hands_over else Offering()
            try:
                done, answers = await self._transact(batch, offering)
            except Unavailable as error:
                _refuse(batch, error)
            except _Undecided as undecided:
                if undecided.place is not None:
                    culprit, cause = batch[undecided.place], undecided.error
                    if isinstance(culprit.command, CommitTurn):
                        _log.error("a commit cannot be decided, its run stalls: %s", cause, exc_info=cause)
                        batch[undecided.place] = _refused_turn(culprit, cause)
                    else:
                        _refuse_for_good(batch.pop(undecided.place), cause)
                    continue
                await self._divide(batch, undecided.error, hands_over=hands_over)
            except StoreRefused as error:
                await self._divide(batch, error, hands_over=hands_over)
            except BaseException as error:
                _refuse(batch, Unavailable(f"the server failed while it worked on this: {error}"))
                raise
            else:
                self._settle(batch, answers, done, offering=offering)
            return

    async def _divide(self, batch: list[_Waiting], error: Exception, *, hands_over: bool) -> None:
        if len(batch) > 1:
            half = len(batch) // 2
            await self._do(batch[:half], hands_over=hands_over)
            await self._do(batch[half:], hands_over=hands_over)
        elif hands_over:  # it may be a run that was handed over
            if not batch:
                _log.error("no run can be handed over: %s", error, exc_info=error)
            else:
                await self._do(batch, hands_over=False)
        elif isinstance(batch[0].command, CommitTurn):
            await self._do([_refused_turn(batch[0], error)], hands_over=False)
        else:
            _refuse_for_good(batch[0], error)

    async def _transact(self, batch: Sequence[_Waiting], offering: Offering) -> tuple[Transaction, list[Answer]]:
        keys = Keys()
        for waiting in batch:
            keys_of(waiting.command, keys)
        offering.name_keys(keys)
        answers: list[Answer] = []

        def decide_all(ws: WorkingSet) -> None:
            answers.clear()  # the store may ask again
            ws.cancel_grace_ms = self._config.cancel_grace_ms
            for place, waiting in enumerate(batch):
                try:
                    answers.append(decide(ws, waiting.command, ws.now_ms))
                except Exception as error:
                    raise _Undecided(place, error) from error
            try:
                assign(
                    ws,
                    offering.offers(_refused_sessions(answers)),
                    ws.now_ms,
                    returning=offering.returning,
                    keeper_wait_ms=self._config.parked_wait_ms,
                )
            except Exception as error:
                raise _Undecided(None, error) from error

        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                self.transactions += 1
                self._began_ms = self._clock.monotonic_ms()
                done = await self._store.transaction(keys, decide_all)
            except Unavailable as error:
                self.able_since_ms, self._is_away = None, True
                self._on_uncertain()  # if it was done all the same, those who wait for ends have not been told
                if attempt == ATTEMPTS_MAX:
                    raise Unavailable(error.message, away="database") from error
                _log.warning("the database was away, trying again: %s", error)
                await asyncio.sleep(RETRY_S * attempt)
            else:
                self._is_away = False
                if self.able_since_ms is None:
                    self.able_since_ms = self._clock.monotonic_ms()
                return done, answers
            finally:
                self._began_ms = None
        raise AssertionError("the last attempt returns or raises")

    def _settle(
        self, batch: Sequence[_Waiting], answers: Sequence[Answer], done: Transaction, *, offering: Offering
    ) -> None:
        self._on_durable(done.ws)
        polled: list[tuple[Poll, PollOutcome]] = []
        for waiting, answer in zip(batch, answers, strict=True):
            if isinstance(waiting.command, Poll) and isinstance(answer, PollOutcome):
                polled.append((waiting.command, answer))
            if not waiting.answer.done():
                waiting.answer.set_result(answer)
        for command in self._dispatch.settle(done, offering, polled=polled):
            self.submit_unasked(command)  # without room its poll ends in time all the same
        if self._dispatch.is_wanted:
            self._wake.set()


def _refused_sessions(answers: Collection[Answer]) -> set[str]:
    return {
        answer.session_id for answer in answers if isinstance(answer, PollOutcome) and (answer.over or answer.stale)
    }


def _refused_turn(waiting: _Waiting, error: Exception) -> _Waiting:
    """Return what stalls the run of a commit that cannot be done; whoever waited for the commit gets its answer."""
    commit = cast(CommitTurn, waiting.command).commit
    problem = Problem(InvalidInput.code, f"the server cannot take the commit: {error}", {"run_id": commit.run_id})
    return _Waiting(RefuseTurn(commit.run_id, commit.epoch, commit.turn, problem), waiting.answer, 0)


def _is_seen(answer: asyncio.Future[Answer]) -> None:
    """Look at the outcome of a command that nobody waits for, so that asyncio does not complain of it."""
    if not answer.cancelled():
        answer.exception()


def _refuse(batch: Collection[_Waiting], error: AikiError) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)


def _refuse_for_good(waiting: _Waiting, error: Exception) -> None:
    kind = type(waiting.command).__name__
    if isinstance(error, AikiError):
        _refuse([waiting], error)
        return
    _log.error("the command %s cannot be done: %s", kind, error, exc_info=error)
    _refuse([waiting], InvalidInput(f"the server cannot do this: {error}", path=kind))
