"""What a run has recorded, found again by its address; and the judgement on code that asks for something else.

**Matching.** An entry is found by its key (kind, address, ordinal), never by its position. When the code makes a call
whose entry is recorded, the entry becomes deliverable; deliveries follow the recorded order, lowest `seq` first. A
race therefore falls out as it did the first time, and code that was reordered still finds its results.

**Divergence.** Code may be reordered, may drop calls, and may go on differently after its recorded past; it may not
put a new task or child *into* that past, where it would act on decisions that were taken without it. Take a new call
N and a recorded task or child L that the code has not asked for. Two stories fit: L was removed, or N stands in L's
place. What tells them apart is whether the code is past the place where L was. Each recorded call remembers `asked`,
the highest `seq` delivered before it was made; so if something that the code asked for *before* N has `asked` ≥ L's
`seq`, the code that made it had seen L's result, hence L's place lies behind, and L was merely removed. If not, L
convicts N: no new work starts, and a person is told of both.

The rule: the judgement follows from the journal and the order of the calls alone; waits never convict and are never
convicted.
"""

import heapq
from collections.abc import Iterable
from typing import Final, Literal

from aiki.model.journal import CallKey, Entry, EntryKind, Wait
from aiki.worker.calls import Call

__all__ = ["CANCEL_KEY", "Replay"]

_JUDGED: Final = frozenset({EntryKind.TASK, EntryKind.CHILD})
CANCEL_KEY: Final = CallKey(EntryKind.CANCEL, "")


class Replay:
    """The recorded past of one execution: its journal, and the waits that were open when it was stored."""

    __slots__ = ("_deliverable", "_entries", "_past", "_unasked", "_waits")

    def __init__(self, entries: Iterable[Entry], waits: Iterable[Wait]) -> None:
        self._entries = {entry.key: entry for entry in entries}
        self._waits = {wait.key: wait for wait in waits}
        self._deliverable: list[tuple[int, Entry, Call | None]] = []
        self._past = -1
        self._unasked = sorted(
            (entry for entry in self._entries.values() if entry.key.kind in _JUDGED), key=lambda entry: entry.seq
        )
        cancel = self._entries.pop(CANCEL_KEY, None)
        if cancel is not None:  # a request counts as called from the start
            heapq.heappush(self._deliverable, (cancel.seq, cancel, None))

    @property
    def is_spent(self) -> bool:
        """Whether nothing recorded is left: no call can be matched, delivered or convicted any more."""
        return not (self._entries or self._waits or self._deliverable)

    def match(self, call: Call) -> Literal["entry", "wait"] | None:
        """Find what is recorded of a call, and say as what. Its `past` becomes what was matched before it.

        The call's `deadline_ms` is as if its wait was opened now; of a stored wait, it becomes what is left of that.
        """
        call.past = self._past
        entry = self._entries.pop(call.key, None)
        if entry is not None:
            call.asked = entry.asked
            heapq.heappush(self._deliverable, (entry.seq, entry, call))
        else:
            wait = self._waits.pop(call.key, None)
            if wait is None:
                return None
            call.asked = wait.asked
            call.attempt = wait.attempt
            call.error = wait.error
            call.tries = wait.tries
            call.started_at_ms = wait.tries[0].started_at_ms if wait.tries else None
            call.deadline_ms = _deadline_ms(wait, call)
        self._past = max(self._past, call.asked)
        return "wait" if entry is None else "entry"

    def forget_waits(self) -> None:
        """Forget the stored waits that the code has not asked for: a new set has taken their place."""
        self._waits.clear()

    def next_delivery(self) -> tuple[Entry, Call | None] | None:
        """Return the recorded entry that is to be delivered next, with its call (None for the cancellation)."""
        while self._deliverable:
            _, entry, call = heapq.heappop(self._deliverable)
            if call is None or call.is_open:
                return entry, call
        return None

    def convicting(self, call: Call) -> Entry | None:
        """Return the recorded task or child that convicts a new call, or None: it may go ahead."""
        while self._unasked and self._unasked[-1].key not in self._entries:
            self._unasked.pop()
        if not self._unasked or call.past >= self._unasked[-1].seq:
            return None
        return next(entry for entry in self._unasked if entry.seq > call.past and entry.key in self._entries)


def _deadline_ms(wait: Wait, call: Call) -> int | None:
    """Return a stored wait's deadline, moved by what the code has added to its length since, or taken from it.

    Where it had no length then, or has none now, and of a timer, which says when and not how long, what the code says
    now counts from where it says it.
    """
    if call.key.kind is EntryKind.TASK:
        return wait.deadline_ms
    span_ms = call.request.span_ms
    if wait.deadline_ms is None or wait.duration_ms is None or span_ms is None:
        return call.deadline_ms
    return wait.deadline_ms + span_ms - wait.duration_ms
