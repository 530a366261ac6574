"""A durable call: what it asks for, where it stands, and the coroutine that an author awaits.

The rule: a call exists from the moment its coroutine is first stepped; then it is counted, matched with what the
journal holds, and stays open until it is answered by one entry, or withdrawn because its awaiting code was cancelled.
"""

import asyncio
from collections.abc import Callable, Generator
from enum import Enum, auto
from typing import Any, Final, Protocol

from aiki.errors import InvalidInput
from aiki.model.journal import EMPTY, CallKey, Entry, EntryKind, Failure, Tried, Wait
from aiki.sdk.host import ChildCall, TaskCall
from aiki.worker.loop import WorkflowLoop
from aiki.worker.ordered import OrderedCoroutine

__all__ = ["Call", "CallCoroutine", "CallHost", "CallState", "Request"]

Answer = Callable[[Entry], object]

TRIES_MAX: Final = 20  # attempts of a task that are told of: the first, and the last ones
TRIED_ERROR_CHARS_MAX: Final = 300

_FITTING: Final = frozenset({EntryKind.TASK, EntryKind.CHILD_RESULT})  # it fitted its type when it was recorded
_MORE: Final = "\tmore"  # no author's name holds a tab, so the rest of one sleep is never taken for another sleep


class CallState(Enum):
    """Where a call stands."""

    OPEN = auto()
    SETTLED = auto()
    WITHDRAWN = auto()


class Request:
    """What a call asks for, before it is counted.

    Attributes:
        answer: makes the value of the `await` from the entry that answers; what it raises is raised there.
        timeout_ms: how long an event or a child's end is waited for; None for ever.
        duration_ms: of a sleep.
        until_ms: when a timer rings, or the rest of a sleep is over, in logical time.
        task, child: what is called or started.
    """

    __slots__ = ("address", "answer", "child", "duration_ms", "kind", "task", "timeout_ms", "until_ms")

    def __init__(
        self,
        kind: EntryKind,
        address: str,
        *,
        answer: Answer | None = None,
        timeout_ms: int | None = None,
        duration_ms: int | None = None,
        until_ms: int | None = None,
        task: TaskCall | None = None,
        child: ChildCall | None = None,
    ) -> None:
        self.kind = kind
        self.address = address
        self.answer = answer
        self.timeout_ms = timeout_ms
        self.duration_ms = duration_ms
        self.until_ms = until_ms
        self.task = task
        self.child = child

    @property
    def described(self) -> TaskCall | ChildCall | None:
        """The call as people would write it, and where it is made; None for waits."""
        return self.task or self.child

    def deadline_ms(self, now_ms: int) -> int | None:
        """Return when a wait for it that is opened now is over by itself, in logical time; None for never."""
        if self.until_ms is not None:
            return self.until_ms
        return None if self.span_ms is None else now_ms + self.span_ms

    @property
    def span_ms(self) -> int | None:
        """How long it lasts at most, as the code says: a sleep's length, another wait's timeout; None for ever."""
        return self.duration_ms if self.kind is EntryKind.SLEEP else self.timeout_ms

    def remainder(self, entry: Entry) -> "Request | None":
        """Return what is left of a sleep or timer that has been lengthened since `entry` was recorded, as a call of its own.

        It has a length too, so one that is lengthened a second time leaves a remainder in its turn. Timers have no names
        of their own, so the entry may be that of another one, which the code has lost since: no timer rings early.
        """
        if self.kind is EntryKind.TIMER:
            is_early = self.until_ms is not None and self.until_ms > entry.at_ms
            return Request(EntryKind.TIMER, self.address + _MORE, until_ms=self.until_ms) if is_early else None
        if self.kind is not EntryKind.SLEEP or self.duration_ms is None or entry.woken:
            return None
        if entry.duration_ms is None or entry.deadline_ms is None or self.duration_ms <= entry.duration_ms:
            return None
        more_ms = self.duration_ms - entry.duration_ms
        return Request(
            EntryKind.SLEEP,
            self.address + _MORE,
            answer=self.answer,
            duration_ms=more_ms,
            until_ms=entry.deadline_ms + more_ms,
        )


class Call:
    """One call that was made.

    Attributes:
        key: under which it is found again.
        asked: as the journal has it: the highest `seq` delivered before it was made, then or now.
        born: the highest `seq` delivered before it was made in this execution: what must be recorded before it acts.
        past: the highest `asked` of all that was matched before it was made: how far back it may excuse.
        order: its place among all calls of this execution.
        deadline_ms: when its wait is over by itself; None for never.
        attempt, error: of a task, the attempts made so far and what the last one raised; `tries` are they, for people.
        progress: of a task, what its attempt reported last.
        settle: hands the answering entry to the code.
    """

    __slots__ = (
        "asked",
        "attempt",
        "born",
        "deadline_ms",
        "error",
        "key",
        "order",
        "past",
        "progress",
        "request",
        "settle",
        "started_at_ms",
        "state",
        "tries",
    )

    def __init__(self, request: Request, key: CallKey, *, settle: Callable[[Entry], None], order: int) -> None:
        self.request = request
        self.key = key
        self.settle = settle
        self.order = order
        self.asked = 0
        self.born = 0
        self.past = 0
        self.deadline_ms: int | None = None
        self.attempt = 0
        self.error: Failure | None = None
        self.tries: tuple[Tried, ...] = ()
        self.started_at_ms: int | None = None
        self.progress = EMPTY
        self.state = CallState.OPEN

    @property
    def is_open(self) -> bool:
        """Whether it is neither answered nor withdrawn."""
        return self.state is CallState.OPEN

    @property
    def label(self) -> str:
        """The call as people would write it."""
        described = self.request.described
        return described.label if described is not None else f"{self.key.kind} {self.key.address}"

    @property
    def where(self) -> str | None:
        """File and line of the call, where known."""
        described = self.request.described
        return described.where if described is not None else None

    def tried(self, since_ms: int, until_ms: int, error: Failure | None) -> None:
        """Count an attempt that has ended."""
        self.attempt += 1
        said = "" if error is None else f"{error.type.rpartition('.')[2]}: {error.message}"[:TRIED_ERROR_CHARS_MAX]
        self.tries = (*self.tries[:1], *self.tries[1:][2 - TRIES_MAX :], Tried(self.attempt, since_ms, until_ms, said))

    def wait(self) -> Wait:
        """Return it as an open wait."""
        return Wait(
            key=self.key,
            asked=self.asked,
            order=self.order,
            deadline_ms=self.deadline_ms,
            duration_ms=self.request.span_ms,
            attempt=self.attempt,
            error=self.error,
            tries=self.tries,
            label=self.label if self.request.described is not None else "",
            where=self.where,
        )


class CallHost(Protocol):
    """Who takes calls: the run's machine."""

    loop: WorkflowLoop
    is_over: bool

    def make(self, request: Request, settle: Callable[[Entry], None]) -> Call:
        """Count a call and match it."""
        ...

    def withdraw(self, call: Call) -> None:
        """Take an open call back."""
        ...

    def misread(self, entry: Entry, error: InvalidInput) -> None:
        """The code cannot read a recorded result."""
        ...


class CallCoroutine(OrderedCoroutine[Any]):
    """What an author awaits. Its `await` makes the call; a cancelled one withdraws it.

    Args:
        host: who takes the call.
        request: what is asked for.
    """

    __slots__ = ("_host", "_request")

    def __init__(self, host: CallHost, request: Request) -> None:
        super().__init__(host.loop)
        self._host = host
        self._request = request

    def steps(self) -> Generator[Any, Any, Any]:
        """Make the call, wait for its entry, and return what it answers."""
        request = self._request
        entry = yield from self._ask(request)
        while (remainder := request.remainder(entry)) is not None:
            request = remainder
            entry = yield from self._ask(request)
        assert request.answer is not None, "what an author awaits has an answer"
        try:
            return request.answer(entry)
        except InvalidInput as error:
            if request.kind not in _FITTING:
                raise
            self._host.misread(entry, error)
        yield from self._host.loop.create_future()  # for ever: the code does not go on with what it cannot read

    def _ask(self, request: Request) -> Generator[Any, Any, Entry]:
        host = self._host
        future: asyncio.Future[Entry] = host.loop.create_future()
        if host.is_over:
            # The run has ended in memory, or is being unwound: the call records nothing and waits to be unwound too.
            yield from future
        call = host.make(request, future.set_result)
        try:
            return (yield from future)
        finally:
            if call.is_open:
                host.withdraw(call)
