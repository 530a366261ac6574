"""A scripted worker around one execution: it keeps the turns that it is sent, and answers them when a test says so."""

import asyncio
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from aiki.clock import Chance, SystemClock
from aiki.model import payload
from aiki.model.journal import CallKey, Entry, EntryKind, Mail, MailKind, Wait
from aiki.model.lifecycle import Status
from aiki.model.wire import Assignment, ChildStarted, Commit, CommitAnswer, Outcome, Verdict
from aiki.sdk.client import Client
from aiki.sdk.task import task
from aiki.sdk.workflow import workflow
from aiki.worker.attempts import AroundTask, Attempts
from aiki.worker.execution import Execution
from aiki.worker.server_time import ServerTime
from aiki.worker.watchdog import Watchdog
from tests.virtual import START_MS, virtual_clock
from tests.worker.shop import Signals

RUN_ID = "0190a000-0000-7000-8000-000000000002"
WAITED_FOR = {
    "sleep": Status.SLEEPING,
    "timer": Status.SLEEPING,
    "event": Status.AWAITING_EVENT,
    "child_result": Status.AWAITING_CHILD,
    "task": Status.AWAITING_RETRY,
}
ENDS = {
    Outcome.COMPLETED: Status.COMPLETED,
    Outcome.FAILED: Status.FAILED,
    Outcome.CANCELLED: Status.CANCELLED,
    Outcome.STALLED: Status.STALLED,
    Outcome.CONTINUED: Status.RUNNING,
    Outcome.RUNNING: Status.RUNNING,
}
WATCHDOG = Watchdog(SystemClock())
"""Of all claims. It is closed after each test, and attends again with the next activation."""


class Claim:
    """One run, executed by a worker of which there is only this.

    Attributes:
        answers_in_s: how long an answer takes; None: a turn is answered when a test does so (`answer`).
        commits: all turns that were sent, in order.
        under_way: those that are not answered.
        journal, waits: what a server would hold.
        is_parked, is_over: whether the execution said that its claim has ended, and how.
    """

    def __init__(
        self,
        code: Callable[..., Coroutine[Any, Any, Any]],
        *args: Any,
        answers_in_s: float | None = 0.001,
        around_task: AroundTask | None = None,
    ) -> None:
        self.clock = virtual_clock()
        self.attempts = Attempts(
            client=Client("http://localhost:1"), context="the context", around_task=around_task, chance=Chance(seed=7)
        )
        self.server_time = ServerTime(self.clock)
        self.server_time.note(self.clock.now_ms())
        self.watchdog = WATCHDOG
        weakref.finalize(self, self.attempts.close)
        self.is_leaving = False
        self.version = workflow("claimed").version("1.0.0", events=Signals)(code)
        self.input = self.version.shape.encode_args(args, {}, what="the input").payload
        self.answers_in_s = answers_in_s
        self.commits: list[Commit] = []
        self.under_way: deque[tuple[Commit, Callable[[CommitAnswer], None]]] = deque()
        self.journal: list[Entry] = []
        self.waits: dict[CallKey, Wait] = {}
        self.mail: list[Mail] = []
        self.mail_count = 0
        self.epoch = 1
        self.is_parked = self.is_over = False
        self.changed = asyncio.Event()
        self.reports = 0
        self.execution = Execution(self, self._assignment(), self.version, context=None)

    # ------------------------------------------------------------------------------------- what an execution asks for

    def send(self, commit: Commit, answered: Callable[[CommitAnswer], None]) -> None:
        assert not self.under_way, "one turn at a time"
        self.commits.append(commit)
        self.under_way.append((commit, answered))
        self.changed.set()
        if self.answers_in_s is not None:
            asyncio.get_running_loop().call_later(self.answers_in_s, self.answer)

    def executing_changed(self) -> None:
        self.reports += 1

    def suspended(self, execution: Execution) -> None:
        assert execution is self.execution
        self.is_parked = True
        self.changed.set()

    def ended(self, execution: Execution) -> None:
        assert execution is self.execution
        self.is_over = True
        self.changed.set()

    # ------------------------------------------------------------------------------------------------ what a test does

    async def play(self) -> Commit:
        """Begin, go on until the claim ends, and return the last turn."""
        self.execution.begin()
        return await self.end()

    async def end(self) -> Commit:
        """Wait for the end of the claim, and return the last turn."""
        while not (self.is_parked or self.is_over):
            await self.next_change()
        return self.commits[-1]

    async def next_change(self) -> None:
        """Wait until a turn is sent, or the claim ends."""
        self.changed.clear()
        await self.changed.wait()

    def post(self, name: str, value: Any) -> None:
        """Send an event; a worker that owns the run has it at once."""
        self.mail_count += 1
        raw = Raw(payload.encode(value))
        self.mail.append(
            Mail(self.mail_count, f"m{self.mail_count}", MailKind.EVENT, self.clock.now_ms(), name=name, payload=raw)
        )
        if not self.is_parked:
            self.execution.receive(tuple(self.mail), self.mail_count)

    def answer(self, verdict: Verdict = Verdict.APPLIED, **facts: Any) -> None:
        """Answer the turn that is under way, as a server would; `facts` replace what it would say."""
        commit, answered = self.under_way.popleft()
        if verdict is Verdict.APPLIED:
            self._apply(commit)
        status = WAITED_FOR[commit.waits_for or ""] if commit.outcome is Outcome.SUSPENDED else ENDS[commit.outcome]
        answer = CommitAnswer(
            run_id=RUN_ID,
            epoch=commit.epoch,
            turn=commit.turn,
            verdict=verdict,
            now_ms=self.clock.now_ms(),
            status=status,
            mail=tuple(mail for mail in self.mail if mail.number > commit.last_mail),
            last_mail=self.mail_count,
            children=tuple(ChildStarted(child.key, child.run_id) for child in commit.children),
        )
        answered(replace(answer, **facts))

    def claimed_again(self, *, parked: bool) -> None:
        """Assign the run anew: to the execution that is parked, or to a new one."""
        self.epoch += 1
        self.is_parked = self.is_over = False
        if parked:
            assignment = replace(self._assignment(), parked=True, parked_epoch=self.epoch - 1, entries=(), waits=())
            assert self.execution.fits(assignment)
            self.execution.resume(assignment)
        else:
            self.execution.release()
            self.execution = Execution(self, self._assignment(), self.version, context=None)

    @staticmethod
    def journal_start_ms() -> int:
        """Return the time at which the chapter began."""
        return START_MS

    def _apply(self, commit: Commit) -> None:
        for entry in commit.entries:
            assert entry.seq == len(self.journal) + 1
            self.journal.append(entry)
        if commit.replace_waits:
            self.waits = {}
        for key in commit.closed:
            del self.waits[key]
        for wait in commit.opened:
            self.waits[wait.key] = wait
        read = {entry.mail for entry in commit.entries} | set(commit.read)
        self.mail = [mail for mail in self.mail if mail.number not in read]
        if commit.outcome is Outcome.CONTINUED:
            self.journal, self.waits = [], {}

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
            effects=0,
            clock_ms=START_MS,
            mail=tuple(self.mail),
            last_mail=self.mail_count,
            input=Raw(self.input),
            entries=tuple(self.journal),
            waits=tuple(self.waits.values()),
        )


def tasks_in(commit: Commit) -> list[str]:
    """Return the labels of the tasks whose results a turn carries, in order."""
    return [entry.label for entry in commit.entries if entry.key.kind is EntryKind.TASK]


def outcomes(claim: Claim) -> list[str]:
    """Return how each turn left the run."""
    return [commit.outcome.value for commit in claim.commits]


log: list[str] = []
"""What tasks have to say of themselves."""


@task
async def work(name: str, seconds: float = 1.0) -> str:
    """Take some time, and log it."""
    log.append(f"{name} begins")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        log.append(f"{name} cancelled")
        raise
    log.append(f"{name} ends")
    return name
