"""One execution of one run: its code on its loop, fed with deliveries one at a time.

Everything that reaches the code is a delivery: an entry of the journal on replay, and in the same way what is new (a
task's end, a message, a passed deadline). After each single one the code runs until it is idle. The machine does no
I/O and knows no clock: who drives it hands in results, mail and the time, starts the tasks that it asks for, and sends
the turns that it makes.

The rule: what the code sees follows from the deliveries alone, and their order is written down as it happens.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextvars import copy_context
from datetime import UTC, datetime
from random import Random
from typing import Any, Final, NoReturn, TypeVar
from uuid import UUID

from msgspec import Raw
from msgspec.structs import replace

from aiki.clock import seeded_random
from aiki.errors import InvalidInput, NameTaken
from aiki.model.journal import EMPTY, CallKey, Entry, EntryKind, Failure, Mail, MailKind
from aiki.model.run import RunEnd
from aiki.model.wire import Assignment, ChildStarted, Commit, Effect, Outcome
from aiki.sdk.control import ContinueAsNew
from aiki.sdk.current import enter_run
from aiki.sdk.host import ChildCall, ChildFacts, EventAnswer, RunFacts, TaskCall, TaskDefinition
from aiki.sdk.run import Run
from aiki.sdk.workflow import Version
from aiki.worker.calls import Call, CallCoroutine, CallState, Request
from aiki.worker.ending import Ending, ending_of
from aiki.worker.eviction import evict
from aiki.worker.inbox import Inbox
from aiki.worker.ledger import Ledger
from aiki.worker.loop import WorkflowLoop, WorkflowTimer
from aiki.worker.ordered import OrderedTask, base_of
from aiki.worker.replay import CANCEL_KEY, Replay
from aiki.worker.requests import child_end_request, child_request, event_request, sleep_request, task_request
from aiki.worker.telling import WAITS_FOR_NOTHING, RunLogger, conviction_text, misreading_text
from aiki.worker.timers import MS_PER_S, Timers

__all__ = ["RunMachine"]

R = TypeVar("R")

DELIVERIES_MAX: Final = 500  # in one go, before other runs get their turn


class RunMachine:
    """The host of one run's code.

    Attributes:
        starts: tasks to start in this order, each once what led to it is recorded (`Call.born`, which never falls).
        withdrawn: tasks whose calls were taken back: cancel their attempts.
        conviction: why the code diverged from the journal; None while it has not. Nothing goes on then.
        ending: how the code ended; None while it has not.
        delivered: the highest `seq` delivered.
        seq: the journal's length, with what is not committed yet.
        cancel_delivered: whether the code has been told to cancel, in this chapter or an earlier one.
    """

    def __init__(self, assignment: Assignment, version: Version[..., Any, Any], *, context: Any) -> None:  # noqa: ANN401 - whatever the worker's `context` gave
        self.facts = RunFacts.of(assignment)
        self.context = context
        self.loop = WorkflowLoop(self, base=base_of(assignment.run_id))
        self.is_replaying = assignment.seq > 0 or bool(assignment.waits)
        self.is_over = False
        self.logger = RunLogger(logging.getLogger("aiki.run"), self)
        self.starts: deque[Call] = deque()
        self.withdrawn: list[Call] = []
        self.conviction: str | None = None
        self.ending: Ending | None = None
        self.delivered = 0
        self.seq = assignment.seq
        self.logical_ms = assignment.clock_ms
        self.cancel_delivered = assignment.cancel_delivered
        self.ledger = Ledger(knows_waits=not self.is_replaying)
        self.inbox = Inbox()
        self._version = version
        self._input = assignment.input
        self._replay: Replay | None = Replay(assignment.entries, assignment.waits)
        self._counts: dict[tuple[EntryKind, str], int] = {}
        self._calls_made = 0
        self._fresh: deque[Call] = deque()
        self._children: dict[CallKey, Call] = {}
        self._timers = Timers(self)
        self._tasks_by_name: dict[str, TaskDefinition] = {}
        self._continuation: Ending | None = None
        self._effects = 0
        self._effects_applied = assignment.effects
        self._random: Random | None = None
        self._main: OrderedTask[bytes] | None = None
        self._run: Run[Any] = version.run_on(self)
        self.inbox.receive(assignment.mail, assignment.last_mail)

    # ------------------------------------------------------------------------------------------ driven from outside

    @property
    def is_live(self) -> bool:
        """Whether the code can still go on."""
        return self.ending is None and self.conviction is None

    @property
    def is_quiet(self) -> bool:
        """Whether the code waits for nothing that this worker has to do (attempts under way not counted)."""
        return not (self.starts or self._children or self.ledger.unsent.children)

    def begin(self) -> None:
        """Start the code; it runs until it waits for a first delivery."""
        context = copy_context()
        context.run(enter_run, self._run)
        self._main = self.loop.create_task(self._handler(), name="main", context=context)
        self._run_until_idle()

    def advance(self, now_ms: int) -> bool:
        """Deliver what can be delivered: first what is recorded, then mail and passed deadlines, one by one.

        Returns:
            Whether that was all. If not, it is enough for now: others want their turn, and then call it again.
        """
        deliveries = 0
        while self.is_live and self._deliver_next(now_ms):
            deliveries += 1
            if deliveries == DELIVERIES_MAX:
                return False
        return True

    def settle_task(self, call: Call, now_ms: int, *, result: Raw = EMPTY, error: Failure | None = None) -> None:
        """Deliver a task's end: its result, or the error after its last attempt. A late one is dropped."""
        if call.is_open and self.is_live:
            self._news(
                call,
                now_ms,
                result=result,
                error=error,
                attempts=call.attempt,
                tries=call.tries if call.attempt > 1 else (),
                started_at_ms=call.started_at_ms,
                finished_at_ms=now_ms,
                label=call.label,
                where=call.where,
            )

    def retry_later(self, call: Call, error: Failure, due_ms: int) -> None:
        """An attempt of a task failed, and the next is due later: until then the call is a wait."""
        if call.is_open and self.is_live:
            call.error = error
            call.deadline_ms = due_ms
            self.inbox.open_wait(call)
            self.ledger.open_wait(call)

    def settle_children(self, answers: Iterable[ChildStarted], now_ms: int) -> None:
        """Deliver what became of the children that a commit started."""
        for answer in answers:
            call = self._children.pop(answer.key, None)
            if call is not None and call.is_open and self.is_live:
                refused = answer.refusal is not None
                self._news(
                    call,
                    now_ms,
                    child_id=None if refused else answer.run_id,
                    child_version=None if refused else answer.version or None,
                    error=answer.refusal,
                    label=call.label,
                    where=call.where,
                )

    def turn(self, outcome: Outcome, *, epoch: int, number: int, now_ms: int, parks: bool = False) -> Commit:
        """Return what is not committed yet as one frozen commit.

        Where that is too much for one, the commit carries the first part and leaves the run running, whatever was asked
        for; the next turn carries on.

        Of what code that went astray did since the last commit only the results of tasks are recorded, for these are
        not to run again; the mail that it took stays unread, and the code that is right will see it.
        """
        commit = Commit(
            run_id=self.facts.id,
            epoch=epoch,
            turn=number,
            outcome=outcome,
            at_ms=max(self.logical_ms, now_ms),
            last_mail=self.inbox.last_mail,
            parks=parks,
        )
        if outcome is Outcome.STALLED and self.conviction is not None:
            results = self.ledger.unsent.results()
            closed = tuple(entry.key for entry in results)
            return replace(commit, entries=results, closed=closed, why=self.conviction, stall_reason="diverged")
        if outcome is Outcome.STALLED:
            commit = replace(commit, why=WAITS_FOR_NOTHING, stall_reason="waits_for_nothing")
        unsent = self.ledger.take(self.inbox.waits)
        if unsent.replaces and self._replay is not None:
            self._replay.forget_waits()  # the server forgets those that the code has not asked for, and so do we
        self._children.update(unsent.children)
        if unsent.is_all:
            unsent.read.extend(self.inbox.discard_resumes())
        if unsent.is_all and outcome in (Outcome.SUSPENDED, Outcome.FAILED):  # failed, it may wait for its next attempt
            unsent.read.extend(self.inbox.discard_wakes())
        commit = unsent.added_to(commit, self.facts)
        if not unsent.is_all:
            waits = self.ledger.waits
            return replace(commit, outcome=Outcome.RUNNING, why=None, stall_reason=None, parks=False, waits=waits)
        if self.ending is not None:
            return self.ending.added_to(commit)
        open_waits = self.inbox.waits
        return replace(
            commit,
            waits=len(open_waits),
            deadline_ms=self.inbox.deadline_ms(),
            waits_for=next(iter(open_waits)).kind if open_waits else None,
        )

    def drop(self) -> None:
        """Unwind the code without a trace: the claim is over, or another one needs the room."""
        self.is_over = True
        evict(self.loop)
        self._main = None

    # ------------------------------------------------------------------------------------------------- deliveries

    async def _handler(self) -> bytes:
        version, given = self._version, bytes(self._input)
        self._input = EMPTY
        try:
            code: Awaitable[Any] = version.call(self._run, given)
        except InvalidInput as error:
            if not self.is_replaying:
                raise
            self.misread(None, error)
            code = self.loop.create_future()  # for ever
        output = await code
        return version.shape.returns.encode_fitting(output, what=f"the output of {version.workflow} {version.version}")

    def _deliver_next(self, now_ms: int) -> bool:
        """Make the next delivery; return whether there was one."""
        if self._replay is not None:
            recorded = self._replay.next_delivery()
            if recorded is not None:
                self._deliver(*recorded)
                return True
        self._judge()
        self.is_replaying = False
        return self.conviction is None and self._deliver_news(now_ms)

    def _deliver(self, entry: Entry, call: Call | None) -> None:
        self.delivered = max(self.delivered, entry.seq)
        self.logical_ms = max(self.logical_ms, entry.at_ms)
        if call is None:
            assert self._main is not None, "a cancellation is delivered to code that has begun"
            self.cancel_delivered = True
            self._main.cancel(entry.reason)
        else:
            call.state = CallState.SETTLED
            self._close(call)
            call.settle(entry)
        self._run_until_idle()

    def _news(self, call: Call | None, now_ms: int, **facts: Any) -> None:
        """Write down a delivery that is not recorded yet, and make it."""
        self.seq += 1
        entry = Entry(
            seq=self.seq,
            key=CANCEL_KEY if call is None else call.key,
            asked=0 if call is None else call.asked,
            at_ms=max(self.logical_ms, now_ms),
            **facts,
        )
        self.ledger.unsent.entries.append(entry)
        self._deliver(entry, call)

    def _deliver_news(self, now_ms: int) -> bool:
        """Deliver the first of what has come and what is due; return whether there was any."""
        due = self._first_due(now_ms)
        found = self.inbox.next_mail()
        if due is not None and due.deadline_ms is not None and (found is None or due.deadline_ms <= found[0].at_ms):
            self._ring(self.inbox.pop_due(), now_ms)
            return True
        if found is None:
            return False
        self._open_mail(*found, now_ms=now_ms)
        return True

    def _first_due(self, now_ms: int) -> Call | None:
        while (call := self.inbox.due(now_ms)) is not None and call.key.kind is EntryKind.TASK:
            # Its next attempt is due. That is no delivery, and it stays a wait until it is answered. It goes first:
            # what led to it has long been recorded, while those that stand there may be held back.
            self.starts.appendleft(self.inbox.pop_due())
        return call

    def _ring(self, call: Call, now_ms: int) -> None:
        match call.key.kind:
            case EntryKind.EVENT | EntryKind.CHILD_RESULT:
                self._news(call, now_ms, timed_out=True, deadline_ms=call.deadline_ms)
            case _:
                self._news(call, now_ms, duration_ms=call.request.duration_ms, deadline_ms=call.deadline_ms)

    def _open_mail(self, mail: Mail, call: Call | None, *, now_ms: int) -> None:
        self.inbox.take(mail)
        match mail.kind:
            case MailKind.CANCEL if self.cancel_delivered:
                self.ledger.unsent.read.append(mail.number)
            case MailKind.CANCEL:
                self._news(None, now_ms, mail=mail.number, reason=mail.reason, timed_out=mail.timed_out)
            case MailKind.WAKE:
                for sleeper in self.inbox.sleepers():
                    if sleeper.is_open and self.is_live:
                        duration_ms = sleeper.request.duration_ms
                        self._news(sleeper, now_ms, mail=mail.number, woken=True, duration_ms=duration_ms)
            case MailKind.EVENT:
                self._news(call, now_ms, mail=mail.number, result=mail.payload)
            case MailKind.CHILD_RESULT:
                self._news(call, now_ms, mail=mail.number, result=mail.payload, status=mail.status, error=mail.error)

    def _run_until_idle(self) -> None:
        self.loop.run_until_idle()
        main = self._main
        if main is None or not self.is_live:
            return
        if self._continuation is None and not main.done():
            return
        self.is_over = True  # from here on no call of what is left is taken
        for task in self.loop.unfinished():
            task.cancel()
        self.loop.run_until_idle()
        self.ending = self._continuation or ending_of(main, cancel_delivered=self.cancel_delivered)
        self.starts.clear()
        self.ledger.unsent.children.clear()
        self.drop()

    def _judge(self) -> None:
        """Let the new tasks and children go ahead, or find that the code has diverged."""
        while self._fresh:
            call = self._fresh[0]
            if call.is_open:
                convicting = None if self._replay is None else self._replay.convicting(call)
                if convicting is not None:
                    self.conviction = conviction_text(self.facts, call, convicting)
                    return
                if call.key.kind is EntryKind.CHILD:
                    self.ledger.unsent.children[call.key] = call
                else:
                    self.starts.append(call)
            self._fresh.popleft()
        if self._replay is not None and self._replay.is_spent:
            self._replay = None

    # ----------------------------------------------------------------------------------------------------- calls

    def make(self, request: Request, settle: Callable[[Entry], None]) -> Call:
        """Count a call and match it with what is recorded; open a wait, or queue it to be judged."""
        name = (request.kind, request.address)
        ordinal = self._counts.get(name, 0)
        self._counts[name] = ordinal + 1
        self._calls_made += 1
        call = Call(request, CallKey(*name, ordinal), settle=settle, order=self._calls_made)
        call.born = self.delivered
        call.asked = self.delivered
        call.deadline_ms = request.deadline_ms(self.logical_ms)
        matched = None if self._replay is None else self._replay.match(call)
        if matched is None and request.kind in (EntryKind.TASK, EntryKind.CHILD):
            self._fresh.append(call)
            return call
        if matched != "entry":
            self.inbox.open_wait(call)
            self.ledger.open_wait(call)
        return call

    def withdraw(self, call: Call) -> None:
        """Take an open call back: its wait is closed, and a late result of it is dropped."""
        call.state = CallState.WITHDRAWN
        if self.is_over or self.loop.is_evicting:
            return
        self._close(call)
        if call.key.kind is EntryKind.TASK:
            self.withdrawn.append(call)
        elif call.key.kind is EntryKind.CHILD:
            self.ledger.unsent.children.pop(call.key, None)

    def misread(self, entry: Entry | None, error: InvalidInput) -> None:
        """The code cannot read a recorded result (None: its input): it goes no further."""
        self.conviction = self.conviction or misreading_text(self.facts, entry, error)

    def _close(self, call: Call) -> None:
        if self.inbox.close_wait(call):
            self.ledger.close_wait(call.key)

    # --------------------------------------------------------------------------------------- what the loop asks for

    def now_s(self) -> float:
        """Return the run's logical time in seconds."""
        return self.logical_ms / MS_PER_S

    def timer_opened(self, timer: WorkflowTimer) -> None:
        """An asyncio timer becomes a durable wait."""
        self._timers.open(timer)

    def timer_closed(self, timer: WorkflowTimer) -> None:
        """An asyncio timer was cancelled."""
        self._timers.close(timer)

    def callback_failed(self, context: dict[str, Any]) -> None:
        """An error that nobody waits for is logged, once the code runs anew. (No error: what a dropped loop leaves.)"""
        error = context.get("exception")
        if error is not None and not self.is_over:
            self.logger.error("error in workflow code that nobody awaited: %s", context.get("message"), exc_info=error)

    # ----------------------------------------------------------------------------------------- what the sdk asks for

    @property
    def random(self) -> Random:
        """The run's own source of chance, the same on replay."""
        if self._random is None:
            self._random = seeded_random(f"{self.facts.id}:{self.facts.chapter}")
        return self._random

    def now(self) -> datetime:
        """Return the run's logical time."""
        return datetime.fromtimestamp(self.logical_ms / MS_PER_S, UTC)

    def uuid4(self) -> UUID:
        """Return a random UUID."""
        return UUID(int=self.random.getrandbits(128), version=4)

    def call_task(self, call: TaskCall) -> Coroutine[Any, Any, Any]:
        """Run a task."""
        task = call.task
        known = self._tasks_by_name.setdefault(task.name, task)
        if known.function is not task.function:
            raise NameTaken(
                f"two tasks of this run are named {task.name!r}: one at {known.where}, one at {task.where}. Their"
                " results could not be told apart. Give one another name: @task(name=...).",
                name=task.name,
                places=(known.where, task.where),
            )
        return CallCoroutine(self, task_request(call))

    def start_child(self, call: ChildCall, decode: Callable[[ChildFacts], R]) -> Coroutine[Any, Any, R]:
        """Start a child."""
        return CallCoroutine(self, child_request(call, decode))

    def wait_child(
        self, run_id: str, timeout_ms: int | None, *, decode: Callable[[RunEnd | None], R]
    ) -> Coroutine[Any, Any, R]:
        """Wait for a child's end."""
        return CallCoroutine(self, child_end_request(run_id, timeout_ms, decode=decode))

    def sleep(self, name: str, duration_ms: int, *, decode: Callable[[bool], R]) -> Coroutine[Any, Any, R]:
        """Sleep."""
        return CallCoroutine(self, sleep_request(name, duration_ms, decode=decode))

    def wait_event(
        self, name: str, timeout_ms: int | None, *, decode: Callable[[EventAnswer], R]
    ) -> Coroutine[Any, Any, R]:
        """Wait for an event."""
        return CallCoroutine(self, event_request(name, timeout_ms, decode=decode))

    def publish(self, name: str, payload: bytes) -> None:
        """Publish a value."""
        self._effect(Effect(number=0, kind="set", name=name, payload=Raw(payload)))

    def cancel_child(self, run_id: str, reason: str | None) -> None:
        """Ask a child to cancel."""
        self._effect(Effect(number=0, kind="cancel", target=run_id, reason=reason))

    def send_event(self, run_id: str, name: str, payload: bytes, *, reference_id: str | None) -> None:
        """Send an event to a child."""
        given = Raw(payload)
        self._effect(Effect(0, kind="send", target=run_id, name=name, payload=given, reference_id=reference_id))

    def continue_as_new(self, payload: bytes, input_hash: str) -> NoReturn:
        """Unwind the code; the run goes on with new input.

        The chapter is over with the call, whoever makes it: what the code does while it is unwound, and whatever
        swallows the unwinding (`gather(return_exceptions=True)`, a bare `except`), changes nothing any more.
        """
        if not self.is_over:
            self._continuation = Ending(Outcome.CONTINUED, input=Raw(payload), input_hash=input_hash)
            self.is_over = True
        raise ContinueAsNew(payload, input_hash)

    def _effect(self, effect: Effect) -> None:
        if self.is_over:
            return
        self._effects += 1
        if self._effects > self._effects_applied:
            self.ledger.unsent.effects.append(replace(effect, number=self._effects))
