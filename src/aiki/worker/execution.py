"""One claim of one run, from its assignment to the commit that ends it: the machine, driven.

**Output commit.** A result is not waited for; its effects are. When a task ends, the code goes on at once, in memory.
But a task starts only when everything that was delivered before its call is acknowledged (`Call.born` against
`recorded_seq`), and children, published values and the end travel in the commit of what caused them, or a later one.
A crash can lose progress in memory, never an effect's cause.

**When to commit.** At once where something waits for it: a task to start, a child, the end, a suspension. What nobody
waits for (a result, a wait, a published value while other tasks still run) is gathered for a moment. A run that is to
pause starts nothing more: once its tasks have ended, a turn says so, and its code is kept. One turn at a time: while it
is under way the code goes on, and the next turn takes all that has piled up. A turn that would end the claim is the
exception: until it is answered nothing is delivered, for the claim may be over.
"""

import asyncio
import functools
from collections.abc import Callable
from typing import Any, Final, Protocol

from msgspec import Raw, Struct
from msgspec.structs import replace

from aiki.model.journal import EMPTY, CallKey, Mail
from aiki.model.lifecycle import TERMINAL, Status
from aiki.model.wire import Assignment, Commit, CommitAnswer, Executing, Held, Outcome
from aiki.model.wire import Verdict as CommitVerdict
from aiki.sdk.failures import failure_of
from aiki.sdk.workflow import Version
from aiki.worker.attempts import Attempts, Verdict
from aiki.worker.calls import Call
from aiki.worker.machine import RunMachine
from aiki.worker.server_time import ServerTime
from aiki.worker.watchdog import Activation, Watchdog

__all__ = ["Execution", "ExecutionHost"]

IN_PLACE_MS: Final = 1_000  # a retry's delay up to this is waited for under the claim
GATHER_S: Final = 0.1  # how long what nobody waits for may stay uncommitted
RING_S_MAX: Final = 3_600.0
MS_PER_S: Final = 1000
PARKING: Final = frozenset({Outcome.SUSPENDED, Outcome.PAUSED})  # after these the code is kept


_CANCELLED_ITSELF: Final = asyncio.CancelledError("the task cancelled its own attempt")


class _Attempt(Struct, eq=False):
    """An attempt of a task that is under way."""

    call: Call
    task: asyncio.Task[Verdict]
    since_ms: int


class ExecutionHost(Protocol):
    """The worker, as an execution sees it."""

    attempts: Attempts
    server_time: ServerTime
    watchdog: Watchdog
    is_leaving: bool
    """No further task starts."""

    def send(self, commit: Commit, answered: Callable[[CommitAnswer], None]) -> None:
        """Send a turn."""
        ...

    def executing_changed(self) -> None:
        """An attempt has begun, reported how far it is, or ended. May be called from any thread."""
        ...

    def suspended(self, execution: "Execution") -> None:
        """The claim has ended by a suspension; the code may be kept."""
        ...

    def ended(self, execution: "Execution") -> None:
        """The claim has ended; nothing is kept."""
        ...


class Execution:
    """A run that this worker owns, or has parked.

    Attributes:
        epoch: of the current claim, or of the last one while parked.
        recorded_seq: the journal's length as acknowledged by the server.
    """

    def __init__(self, host: ExecutionHost, assignment: Assignment, version: Version[..., Any, Any], *, context: Any):  # noqa: ANN401 - whatever the worker's `context` gave
        self.run_id = assignment.run_id
        self.epoch = assignment.epoch
        self.recorded_seq = assignment.seq
        self.chapter = assignment.chapter
        self.attempt = assignment.attempt
        self._assignment = replace(assignment, input=EMPTY, entries=(), waits=(), mail=())  # for the next chapter
        self._version = version
        self._context = context
        self._host = host
        self._machine = RunMachine(assignment, version, context=context)
        self._turn = 0
        self._sent: Commit | None = None
        self._is_settling = False  # a turn that would end the claim is under way
        self._is_released = False
        self._executing: dict[CallKey, _Attempt] = {}
        self._in_place: set[CallKey] = set()  # tasks that wait for their next attempt under the claim
        self._loop = asyncio.get_running_loop()
        self._pump_handle: asyncio.Handle | None = None
        self._gather_handle: asyncio.TimerHandle | None = None
        self._ring_handle: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------------------------------------- the claim

    def begin(self) -> None:
        """Replay what is recorded and go on from there."""
        with self._watched():
            self._machine.begin()
        self._pump()

    def fits(self, assignment: Assignment) -> bool:
        """Return whether this parked execution stands where the server believes it does."""
        return (
            self._sent is None
            and self.epoch == assignment.parked_epoch
            and self.recorded_seq == assignment.seq
            and self.chapter == assignment.chapter
            and self.attempt == assignment.attempt
        )

    def resume(self, assignment: Assignment) -> None:
        """Go on, parked, under a new claim."""
        self.epoch = assignment.epoch
        self._turn = 0
        self._is_released = self._is_settling = False
        self._machine.inbox.forget_pause()
        self._machine.inbox.receive(assignment.mail, assignment.last_mail)
        self._pump()

    def receive(self, mail: tuple[Mail, ...], last_mail: int) -> None:
        """Take new mail for the claim."""
        self._machine.inbox.receive(mail, last_mail)
        self._pump_soon()

    def held(self) -> Held:
        """Return what this worker knows of the claim."""
        return Held(self.run_id, self.epoch, self._machine.inbox.last_mail)

    def executing(self) -> list[Executing]:
        """Return the attempts that are under way, for people."""
        return [
            Executing(self.run_id, found.call.label, found.call.attempt + 1, found.since_ms, found.call.progress)
            for found in self._executing.values()
        ]

    @property
    def is_executing(self) -> bool:
        """Whether an attempt of a task is under way, or the end of one is not committed yet."""
        return bool(self._executing) or self._sent is not None or not self._machine.ledger.is_empty

    def release(self) -> None:
        """Drop everything without a word: the claim is over, or the room is needed."""
        self._stop()
        self._machine.drop()

    # ---------------------------------------------------------------------------------------------------- driving

    def _pump_soon(self) -> None:
        if self._pump_handle is None:
            self._pump_handle = self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Deliver what there is, start what may start, commit what has to be."""
        self._pump_handle = None
        if self._is_released or self._is_settling:
            return
        with self._watched():
            is_all = self._machine.advance(self._host.server_time.now_ms())
        if not is_all:
            if not self._machine.is_replaying:
                self._commit_what_there_is()
            self._pump_soon()
            return
        self._cancel_withdrawn()
        if not self._machine.is_live:
            self._cancel_attempts()
        self._machine.ledger.keeps_children = self._machine.inbox.is_paused
        self._start_tasks()
        self._commit_what_is_due()
        self._set_alarm()

    def _watched(self) -> Activation:
        """Have the code watched while it has the thread."""
        return self._host.watchdog.watching(self.run_id, self._machine.loop)

    def _cancel_withdrawn(self) -> None:
        withdrawn, self._machine.withdrawn = self._machine.withdrawn, []
        for call in withdrawn:
            self._in_place.discard(call.key)
            attempt = self._executing.pop(call.key, None)
            if attempt is not None:
                attempt.task.cancel()

    def _start_tasks(self) -> None:
        if self._host.is_leaving or self._machine.inbox.is_paused:
            return  # they are another worker's, or those of another day
        starts = self._machine.starts
        while starts and (starts[0].born <= self.recorded_seq or not starts[0].is_open):
            call = starts.popleft()
            if call.is_open:
                self._in_place.discard(call.key)
                self._start(call)

    def _start(self, call: Call) -> None:
        now_ms = self._host.server_time.now_ms()
        call.started_at_ms = call.started_at_ms or now_ms
        call.progress = EMPTY
        report = functools.partial(self._progressed, call)
        attempt = self._host.attempts.execute(self._machine.facts, call, call.attempt + 1, report=report)
        task = self._loop.create_task(attempt, name=f"aiki-attempt-{call.key.address[:40]}")
        self._executing[call.key] = _Attempt(call, task, now_ms)
        task.add_done_callback(functools.partial(self._attempt_ended, call))
        self._host.executing_changed()

    def _progressed(self, call: Call, progress: bytes) -> None:
        call.progress = Raw(progress)
        self._host.executing_changed()

    def _attempt_ended(self, call: Call, done: asyncio.Task[Verdict]) -> None:
        attempt = self._executing.get(call.key)
        if attempt is None or attempt.task is not done:
            return  # it was given up: withdrawn, or of a claim or a chapter that is over
        del self._executing[call.key]
        self._host.executing_changed()
        verdict = Verdict(error=failure_of(_CANCELLED_ITSELF)) if done.cancelled() else done.result()
        now_ms = self._host.server_time.now_ms()
        call.tried(attempt.since_ms, now_ms, verdict.error)
        if verdict.error is not None and verdict.delay_ms is not None:
            if verdict.delay_ms <= IN_PLACE_MS:
                self._in_place.add(call.key)
            self._machine.retry_later(call, verdict.error, now_ms + verdict.delay_ms)
        else:
            with self._watched():
                self._machine.settle_task(call, now_ms, result=verdict.result, error=verdict.error)
        self._pump_soon()

    def _commit_what_is_due(self) -> None:
        machine = self._machine
        if self._sent is not None:
            return
        pauses = machine.inbox.is_paused
        is_idle = not self._executing and (pauses or not self._in_place)
        if not machine.is_live:
            self._commit(Outcome.STALLED if machine.ending is None else machine.ending.outcome)
        elif is_idle and machine.is_quiet:
            self._commit(Outcome.SUSPENDED if machine.inbox.waits else Outcome.STALLED)
        elif is_idle and pauses:
            self._commit(Outcome.PAUSED)
        elif not machine.is_quiet and not pauses:
            if not (self._host.is_leaving and machine.ledger.is_empty):
                self._commit(Outcome.RUNNING)
        elif not machine.ledger.is_empty and self._gather_handle is None:
            self._gather_handle = self._loop.call_later(GATHER_S, self._commit_gathered)

    def _commit_gathered(self) -> None:
        self._gather_handle = None
        self._commit_what_there_is()

    def _commit_what_there_is(self) -> None:
        if self._sent is None and not self._is_settling and self._machine.is_live and not self._machine.ledger.is_empty:
            self._commit(Outcome.RUNNING)

    def _commit(self, outcome: Outcome) -> None:
        if self._gather_handle is not None:
            self._gather_handle.cancel()
            self._gather_handle = None
        self._turn += 1
        now_ms = self._host.server_time.now_ms()
        parks = outcome in PARKING
        self._sent = self._machine.turn(outcome, epoch=self.epoch, number=self._turn, now_ms=now_ms, parks=parks)
        self._is_settling = self._sent.outcome is not Outcome.RUNNING
        self._host.send(self._sent, self._answered)

    def _answered(self, answer: CommitAnswer) -> None:
        commit, self._sent = self._sent, None
        assert commit is not None
        self._host.server_time.note(answer.now_ms)
        if self._is_released:
            return
        if answer.verdict is not CommitVerdict.APPLIED:
            self._leave()
            return
        self.recorded_seq += len(commit.entries)
        if answer.status is not Status.RUNNING:
            if commit.outcome in PARKING and answer.status not in TERMINAL:
                self._stop()
                self._host.suspended(self)
            else:
                self._leave()
            return
        self._is_settling = False
        if commit.outcome is Outcome.CONTINUED:
            self._next_chapter(commit)
        self._machine.inbox.receive(answer.mail, answer.last_mail)
        with self._watched():
            self._machine.settle_children(answer.children, self._host.server_time.now_ms())
        self._pump_soon()

    def _next_chapter(self, commit: Commit) -> None:
        """Begin anew with new input and an empty journal; the turn and the unread mail go on."""
        unread = self._machine.inbox.unread()
        self._cancel_attempts()
        self.recorded_seq = 0
        self.chapter += 1
        assignment = replace(
            self._assignment,
            chapter=self.chapter,
            seq=0,
            effects=0,
            clock_ms=commit.at_ms,
            input=commit.input,
            mail=unread,
            last_mail=self._machine.inbox.last_mail,
            cancel_delivered=self._machine.cancel_delivered,
        )
        self._machine = RunMachine(assignment, self._version, context=self._context)
        with self._watched():
            self._machine.begin()

    def _set_alarm(self) -> None:
        if self._ring_handle is not None:
            self._ring_handle.cancel()
            self._ring_handle = None
        deadline_ms = self._machine.inbox.deadline_ms()
        if deadline_ms is None or self._is_settling or not self._machine.is_live:
            return
        wait_s = (deadline_ms - self._host.server_time.now_ms()) / MS_PER_S
        self._ring_handle = self._loop.call_later(min(max(wait_s, 0.001), RING_S_MAX), self._pump_soon)

    def _leave(self) -> None:
        self.release()
        self._host.ended(self)

    def _stop(self) -> None:
        self._is_released = True
        for handle in (self._pump_handle, self._gather_handle, self._ring_handle):
            if handle is not None:
                handle.cancel()
        self._pump_handle = self._gather_handle = self._ring_handle = None
        self._cancel_attempts()

    def _cancel_attempts(self) -> None:
        attempts, self._executing = self._executing, {}
        for attempt in attempts.values():
            attempt.task.cancel()
        self._in_place.clear()
