"""A stage on which one run is played: the machine, and around it just enough of a server's memory.

Everything is authored: time moves when a test moves it, tasks end when the stage executes them, and a claim lasts until
the code waits for the outside. Each `play` is a new execution from the journal, so every test is a test of replay.
"""

import asyncio
import weakref
from collections.abc import Callable
from typing import Any

from msgspec import Raw

from aiki.model import payload
from aiki.model.journal import CallKey, Entry, EntryKind, Failure, Mail, MailKind, Wait
from aiki.model.lifecycle import Status
from aiki.model.wire import Assignment, ChildStarted, Commit, Outcome
from aiki.sdk.failures import failure_of
from aiki.worker.calls import Call, Request
from aiki.worker.machine import RunMachine

RUN_ID = "0190a000-0000-7000-8000-000000000001"
START_MS = 1_700_000_000_000
STEPS_MAX = 100_000


class Lost(Exception):
    """The worker died before it could commit."""


class WatchedMachine(RunMachine):
    """A machine that keeps the calls made of it, in order.

    Attributes:
        asked: kind and address of every call of the code, in the order in which it was made.
        calls: the open calls of tasks by their key.
    """

    def __init__(self, assignment: Assignment, version: Any) -> None:
        self.asked: list[tuple[EntryKind, str]] = []
        self.calls: dict[CallKey, Call] = {}
        super().__init__(assignment, version, context=None)

    def deadlines(self) -> dict[CallKey, int | None]:
        """Return the open waits with their deadlines."""
        return {key: call.deadline_ms for key, call in self.inbox.waits.items()}

    def make(self, request: Request, settle: Callable[[Entry], None]) -> Call:
        self.asked.append((request.kind, request.address))
        call = super().make(request, settle)
        self.calls[call.key] = call
        return call


class Stage:
    """One run.

    Attributes:
        journal, waits, mail: what a server would hold.
        executed: the labels of the tasks that were executed, in order, over all plays.
        started: the addresses of the children that were started, the same.
        commits: all that was committed.
        machine: of the last play; still suspended, so that it can be gone on with (`parked`).
        pick: chooses which of the tasks that may run ends next; by default the first.
        hold: tells which tasks do not end for now; by default none.
        dies: asked after each task: whether the worker dies before it commits (`Lost` comes out of the play).
        commits_early: asked after each task: whether what there is so far is committed.
    """

    def __init__(self, version: Any, *args: Any, **kwargs: Any) -> None:
        self.version = version
        self.input = version.shape.encode_args(args, kwargs, what="the input").payload
        self.journal: list[Entry] = []
        self.waits: dict[CallKey, Wait] = {}
        self.mail: list[Mail] = []
        self.mail_at_hand: list[int] = []  # the number of the last message that the worker had, for each entry
        self.sent: list[Mail] = []
        self.recorded: set[CallKey] = set()
        self.void: set[int] = set()  # numbers of messages that were read and not delivered
        self.now_ms = START_MS
        self.effects = 0
        self.values: dict[str, Any] = {}
        self.executed: list[str] = []
        self.started: list[str] = []
        self.commits: list[Commit] = []
        self.epoch = 0
        self.turn = 0
        self.machine: WatchedMachine | None = None
        self.pick: Callable[[list[Call]], Call] | None = None
        self.hold: Callable[[Call], bool] | None = None
        self.dies: Callable[[], bool] = lambda: False
        self.commits_early: Callable[[], bool] = lambda: False

    # -------------------------------------------------------------------------------------------------- the outside

    def advance(self, seconds: float) -> None:
        """Move time."""
        self.now_ms += int(seconds * 1000)

    def send(self, name: str, value: Any = None) -> None:
        """Send an event."""
        self._mail(MailKind.EVENT, name=name, payload=Raw(payload.encode(value)))

    def cancel(self, reason: str | None = None) -> None:
        """Ask it to cancel."""
        self._mail(MailKind.CANCEL, reason=reason)

    def wake(self) -> None:
        """End its sleep."""
        self._mail(MailKind.WAKE)

    def child_ends(self, child_id: str, value: Any, *, status: Status = Status.COMPLETED, ordinal: int = 0) -> None:
        """A child ends."""
        self._mail(
            MailKind.CHILD_RESULT,
            name=child_id,
            ordinal=ordinal,
            status=status,
            payload=Raw(payload.encode(value)),
        )

    def child_is_gone(self, child_id: str, error: Failure) -> None:
        """A child is not there any more."""
        self._mail(MailKind.CHILD_RESULT, name=child_id, error=error)

    def _mail(self, kind: MailKind, **facts: Any) -> None:
        number = len(self.sent) + 1
        self.sent.append(Mail(number, f"m{number}", kind, self.now_ms, **facts))
        self.mail.append(self.sent[-1])

    # --------------------------------------------------------------------------------------------------- executions

    def play(self, version: Any = None) -> Commit:
        """Claim the run, replay it, go on until it waits for the outside or ends, and return the last commit."""
        if version is not None:
            self.version = version
        return self._drive(self._claim())

    def parked(self) -> Commit:
        """Go on with the code as it stands in memory, under a new claim."""
        assert self.machine is not None
        self.epoch += 1
        self.turn = 0
        self.machine.inbox.receive(tuple(self.mail), len(self.sent))
        return self._drive(self.machine)

    def lost(self) -> None:
        """The process dies: what is in memory is gone."""
        if self.machine is not None:
            self.machine.drop()
            self.machine = None

    def retold(self, seq: int) -> "Stage":
        """Play the run anew from the first `seq` entries of its journal, and make the other deliveries as they were.

        Returns:
            The other stage, after the last delivery.
        """
        other = Stage(self.version)
        other.input = self.input
        other.journal = self.journal[:seq]
        other.recorded = {entry.key for entry in other.journal}
        taken = {entry.mail for entry in other.journal} | self.void
        machine = other._claim()
        assert machine.advance(0)  # nothing is due yet: what is recorded, no more
        for entry, at_hand in zip(self.journal[seq:], self.mail_at_hand[seq:], strict=True):
            if machine.seq >= entry.seq:
                continue  # one message woke it with the one before
            match entry.key.kind:
                case EntryKind.TASK:
                    call = machine.calls[entry.key]
                    call.attempt, call.started_at_ms = entry.attempts, entry.started_at_ms
                    machine.settle_task(call, entry.at_ms, result=entry.result, error=entry.error)
                case EntryKind.CHILD:
                    other._apply(machine.turn(Outcome.RUNNING, epoch=1, number=1, now_ms=entry.at_ms))
                    machine.settle_children([ChildStarted(entry.key, entry.child_id or "")], entry.at_ms)
                case _:
                    known = [mail for mail in self.sent[:at_hand] if mail.number not in taken]
                    machine.inbox.receive(known, at_hand)
                    assert machine._deliver_next(entry.at_ms)
            machine._judge()
        other.journal.extend(machine.ledger.unsent.entries)
        return other

    def assert_the_same_on_every_replay(self) -> None:
        """Play the run anew from every prefix of its journal: what the code asks for and comes to is the same."""
        assert self.machine is not None
        for seq in range(len(self.journal) + 1):
            if 0 < seq < len(self.journal) and 0 < self.journal[seq - 1].mail == self.journal[seq].mail:
                continue  # one message, one commit: no claim begins in between
            for _ in range(2):
                other = self.retold(seq)
                machine = other.machine
                assert machine is not None
                assert other.journal == self.journal
                assert machine.asked == self.machine.asked
                assert machine.ending == self.machine.ending
                assert machine.conviction == self.machine.conviction
                if machine.is_live:
                    assert machine.deadlines() == self.machine.deadlines()
                other.lost()

    def _claim(self) -> WatchedMachine:
        self.lost()
        self.epoch += 1
        self.turn = 0
        machine = self.machine = WatchedMachine(self._assignment(), self.version)
        weakref.finalize(self, machine.drop)  # what a test leaves suspended ends without a word
        machine.begin()
        return machine

    def _assignment(self) -> Assignment:
        return Assignment(
            run_id=RUN_ID,
            epoch=self.epoch,
            namespace="default",
            workflow=self.version.workflow,
            version=self.version.version,
            attempt=1,
            chapter=1,
            seq=len(self.journal),
            effects=self.effects,
            clock_ms=START_MS,
            mail=tuple(self.mail),
            last_mail=len(self.sent),
            input=Raw(self.input),
            entries=tuple(self.journal),
            waits=tuple(self.waits.values()),
            cancel_delivered=any(entry.key.kind is EntryKind.CANCEL for entry in self.journal),
        )

    def _drive(self, machine: RunMachine) -> Commit:
        for _ in range(STEPS_MAX):
            while not machine.advance(self.now_ms):
                pass
            call = self._next_to_end(machine) if machine.is_live else None
            if call is not None:
                self._execute(machine, call)
                if self.dies():
                    self.lost()
                    raise Lost
                if self.commits_early() and machine.is_live:
                    self._commit(machine, Outcome.RUNNING)
                continue
            commit = self._commit(machine, self._outcome(machine))
            if commit.outcome is not Outcome.RUNNING or not commit.children:
                return commit  # it has ended, waits for the outside, or for a task that the test holds back
        raise AssertionError("the play has no end")

    def _next_to_end(self, machine: RunMachine) -> Call | None:
        if self.pick is None and self.hold is None:
            call = machine.starts.popleft() if machine.starts else None
            return call if call is None or call.is_open else self._next_to_end(machine)
        ready = [call for call in machine.starts if call.is_open and not (self.hold and self.hold(call))]
        if not ready:
            return None
        call = self.pick(ready) if self.pick else ready[0]
        machine.starts.remove(call)
        return call

    @staticmethod
    def _outcome(machine: RunMachine) -> Outcome:
        if machine.ending is not None:
            return machine.ending.outcome
        if machine.conviction is not None:
            return Outcome.STALLED
        if machine.ledger.unsent.children or any(call.is_open for call in machine.starts):
            return Outcome.RUNNING
        return Outcome.SUSPENDED if machine.inbox.waits else Outcome.STALLED

    def _commit(self, machine: RunMachine, outcome: Outcome) -> Commit:
        self.turn += 1
        commit = machine.turn(outcome, epoch=self.epoch, number=self.turn, now_ms=self.now_ms, parks=True)
        self._apply(commit)
        answers = [ChildStarted(child.key, self._child_id(child.key)) for child in commit.children]
        machine.settle_children(answers, self.now_ms)
        return commit

    def _child_id(self, key: CallKey) -> str:
        self.started.append(key.address)
        return f"child of {key.address} {key.ordinal}"

    def _execute(self, machine: RunMachine, call: Call) -> None:
        task_call = call.request.task
        assert task_call is not None
        assert call.key not in self.recorded, "a recorded task runs again"
        self.executed.append(call.label)
        args, kwargs = task_call.task.shape.decode_args(task_call.payload)
        call.attempt += 1
        try:
            value = task_call.task.function(*args, **kwargs)
            if asyncio.iscoroutine(value):
                try:
                    value.send(None)
                except StopIteration as done:
                    value = done.value
                else:
                    value.close()
                    raise AssertionError("a task on the stage may not wait")
        except Exception as error:  # noqa: BLE001  # data for the workflow
            machine.settle_task(call, self.now_ms, error=failure_of(error))
        else:
            machine.settle_task(call, self.now_ms, result=Raw(task_call.task.shape.returns.encode(value)))

    def _apply(self, commit: Commit) -> None:
        self.commits.append(commit)
        for entry in commit.entries:
            assert entry.seq == len(self.journal) + 1
            assert entry.key not in self.recorded
            assert 0 <= entry.asked < entry.seq
            assert not self.journal or entry.at_ms >= self.journal[-1].at_ms
            self.recorded.add(entry.key)
            self.journal.append(entry)
            self.mail_at_hand.append(commit.last_mail)
        self.void.update(commit.read)
        read = {entry.mail for entry in commit.entries} | self.void
        self.mail = [mail for mail in self.mail if mail.number not in read]
        if commit.replace_waits:
            self.waits = {}
        for key in commit.closed:
            del self.waits[key]
        for wait in commit.opened:
            self.waits[wait.key] = wait
        for effect in commit.effects:
            assert effect.number == self.effects + 1
            self.effects = effect.number
            if effect.kind == "set":
                self.values[effect.name] = effect.payload
        if commit.outcome in (Outcome.SUSPENDED, Outcome.RUNNING):
            assert commit.waits == len(self.waits)
            deadlines = [wait.deadline_ms for wait in self.waits.values() if wait.deadline_ms is not None]
            assert commit.deadline_ms == min(deadlines, default=None)
