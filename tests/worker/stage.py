"""A stage on which one run is played: the machine, and around it just enough of a server's memory.

Everything is authored: time moves when a test moves it, tasks end when the stage executes them, and a claim lasts until
the code waits for the outside. Each `play` is a new execution from the journal, so every test is a test of replay.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec import Raw

from aiki.model import payload
from aiki.model.journal import CallKey, Entry, Mail, MailKind, Wait
from aiki.model.lifecycle import Status
from aiki.model.wire import Assignment, ChildStarted, Commit, Outcome
from aiki.sdk.failures import failure_of
from aiki.worker.calls import Call
from aiki.worker.machine import RunMachine

START_MS = 1_700_000_000_000
STEPS_MAX = 100_000


class Stage:
    """One run.

    Attributes:
        journal, waits, mail: what a server would hold.
        executed: the labels of the tasks that were executed, in order, over all plays.
        commits: all that was committed.
        machine: of the last play; still suspended, so that it can be gone on with (`parked`).
    """

    def __init__(self, version: Any, *args: Any, **kwargs: Any) -> None:
        self.version = version
        self.input = version.shape.encode_args(args, kwargs, what="the input").payload
        self.journal: list[Entry] = []
        self.waits: dict[CallKey, Wait] = {}
        self.mail: list[Mail] = []
        self.mail_count = 0
        self.now_ms = START_MS
        self.effects = 0
        self.values: dict[str, Any] = {}
        self.executed: list[str] = []
        self.started: list[str] = []
        self.commits: list[Commit] = []
        self.epoch = 0
        self.machine: RunMachine | None = None
        self.pick: Callable[[list[Call]], Call] = lambda calls: calls[0]
        self.hold: Callable[[Call], bool] = lambda call: False

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

    def _mail(self, kind: MailKind, **facts: Any) -> None:
        self.mail_count += 1
        self.mail.append(Mail(self.mail_count, f"m{self.mail_count}", kind, self.now_ms, **facts))

    # --------------------------------------------------------------------------------------------------- executions

    def play(self, version: Any = None) -> Commit:
        """Claim the run, replay it, go on until it waits for the outside or ends, and return the last commit."""
        if self.machine is not None:
            self.machine.drop()
        if version is not None:
            self.version = version
        self.epoch += 1
        machine = self.machine = RunMachine(self._assignment(), self.version, context=None)
        machine.begin(self.now_ms)
        return self._drive(machine)

    def parked(self) -> Commit:
        """Go on with the code as it stands in memory, under a new claim."""
        assert self.machine is not None
        self.epoch += 1
        self.machine.inbox.receive(tuple(self.mail), self.mail_count)
        self.machine.advance(self.now_ms)
        return self._drive(self.machine)

    def lost(self) -> None:
        """The process dies: what is in memory is gone."""
        if self.machine is not None:
            self.machine.drop()
            self.machine = None

    def _assignment(self) -> Assignment:
        return Assignment(
            run_id="0190a000-0000-7000-8000-000000000001",
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
            last_mail=self.mail_count,
            input=Raw(self.input),
            entries=tuple(self.journal),
            waits=tuple(self.waits.values()),
        )

    def _drive(self, machine: RunMachine) -> Commit:
        turn = 0
        for _ in range(STEPS_MAX):
            turn += 1
            held: list[Call] = []
            while machine.starts and machine.is_live:
                ready = [call for call in machine.starts if call.is_open and call not in held]
                ready = [call for call in ready if not self.hold(call)]
                if not ready:
                    break
                call = self.pick(ready)
                machine.starts.remove(call)
                self._execute(machine, call)
            if not machine.is_live:
                outcome = Outcome.STALLED if machine.ending is None else machine.ending.outcome
            elif machine.ledger.unsent.children or any(call.is_open for call in machine.starts):
                outcome = Outcome.RUNNING
            else:
                outcome = Outcome.SUSPENDED if machine.inbox.waits else Outcome.STALLED
            commit = machine.turn(outcome, epoch=self.epoch, number=turn, now_ms=self.now_ms, parks=True)
            self._apply(commit)
            if commit.outcome is not Outcome.RUNNING:
                return commit
            if not commit.children:
                return commit  # a task that the test holds back
            machine.settle_children(
                [ChildStarted(child.key, self._child_id(child.key)) for child in commit.children], self.now_ms
            )
        raise AssertionError("the play has no end")

    def _child_id(self, key: CallKey) -> str:
        self.started.append(key.address)
        return f"child of {key.address} {key.ordinal}"

    def _execute(self, machine: RunMachine, call: Call) -> None:
        task_call = call.request.task
        assert task_call is not None
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
        except Exception as error:  # noqa: BLE001
            machine.settle_task(call, self.now_ms, error=failure_of(error))
        else:
            machine.settle_task(call, self.now_ms, result=Raw(task_call.task.shape.returns.encode(value)))

    def _apply(self, commit: Commit) -> None:
        self.commits.append(commit)
        for entry in commit.entries:
            assert entry.seq == len(self.journal) + 1
            assert entry.key not in {known.key for known in self.journal}
            self.journal.append(entry)
        read = {entry.mail for entry in commit.entries} | set(commit.read)
        self.mail = [mail for mail in self.mail if mail.number not in read]
        if commit.replace_waits:
            self.waits = {}
        for key in commit.closed:
            self.waits.pop(key, None)
        for wait in commit.opened:
            self.waits[wait.key] = wait
        for effect in commit.effects:
            assert effect.number == self.effects + 1
            self.effects = effect.number
            if effect.kind == "set":
                self.values[effect.name] = effect.payload
        if commit.outcome in (Outcome.SUSPENDED, Outcome.RUNNING):
            assert commit.waits == len(self.waits)
