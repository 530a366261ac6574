"""What was sent to a run and what is due, in the order in which it reaches the code.

The rule: news is delivered by time, then by number; a deadline that had passed when an event arrived counts first,
otherwise the event wins. An event goes to the oldest open wait for its name at the moment of delivery; with none it
stays, in order, for a later one.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator

from aiki.model.journal import CallKey, EntryKind, Mail, MailKind
from aiki.worker.calls import Call

__all__ = ["Inbox"]


class Inbox:
    """Unread mail and open waits with their deadlines, for one execution.

    Attributes:
        waits: all open waits, the oldest first.
        last_mail: the number up to which the mail is complete.
    """

    __slots__ = ("_by_event", "_deadlines", "_mail", "last_mail", "waits")

    def __init__(self) -> None:
        self.waits: dict[CallKey, Call] = {}
        self.last_mail = 0
        self._mail: dict[int, Mail] = {}  # by number, which is the order of arrival
        self._deadlines: list[tuple[int, int, Call]] = []
        self._by_event: dict[str, deque[Call]] = {}

    def receive(self, mail: Iterable[Mail], last_mail: int) -> None:
        """Take mail that is new; what is known already is passed over."""
        for message in mail:
            if message.number > self.last_mail:
                self._mail[message.number] = message
        self.last_mail = max(self.last_mail, last_mail)

    def open_wait(self, call: Call) -> None:
        """Add a wait, or take note of its new deadline."""
        if call.key not in self.waits and call.key.kind is EntryKind.EVENT:
            self._by_event.setdefault(call.key.address, deque()).append(call)
        self.waits[call.key] = call
        if call.deadline_ms is not None:
            heapq.heappush(self._deadlines, (call.deadline_ms, call.order, call))

    def close_wait(self, call: Call) -> bool:
        """Remove a wait, and the result that may have come for it; return whether it was there."""
        if self.waits.pop(call.key, None) is None:
            return False
        if call.key.kind is EntryKind.CHILD_RESULT:
            for number in [number for number, mail in self._mail.items() if self._answers(mail, call.key)]:
                del self._mail[number]
        return True

    def unread(self) -> tuple[Mail, ...]:
        """Return what has not been delivered, in order."""
        return tuple(self._mail.values())

    def take(self, number: int) -> None:
        """Remove a message that is delivered or void."""
        self._mail.pop(number, None)

    def deadline_ms(self) -> int | None:
        """Return the earliest deadline of the open waits, or None."""
        while self._deadlines:
            deadline_ms, _, call = self._deadlines[0]
            if call.is_open and call.deadline_ms == deadline_ms and call.key in self.waits:
                return deadline_ms
            heapq.heappop(self._deadlines)
        return None

    def pop_due(self, now_ms: int) -> Call | None:
        """Return the wait that was due first, with its deadline taken off the list, or None if none is due."""
        deadline_ms = self.deadline_ms()
        if deadline_ms is None or deadline_ms > now_ms:
            return None
        return heapq.heappop(self._deadlines)[2]

    def push_due(self, call: Call) -> None:
        """Put a wait back that `pop_due` returned: something else comes first."""
        assert call.deadline_ms is not None
        heapq.heappush(self._deadlines, (call.deadline_ms, call.order, call))

    def next_mail(self) -> tuple[Mail, Call | None] | None:
        """Return the first message that can be delivered, with the wait that it answers (None: a cancellation)."""
        for mail in self._mail.values():
            call: Call | None = None
            match mail.kind:
                case MailKind.CANCEL:
                    return mail, None
                case MailKind.EVENT:
                    call = self._oldest_event_wait(mail.name)
                case MailKind.CHILD_RESULT:
                    call = self.waits.get(CallKey(EntryKind.CHILD_RESULT, mail.name, mail.ordinal))
                case MailKind.WAKE:
                    call = next(self.sleeps(), None)
            if call is not None:
                return mail, call
        return None

    def sleeps(self) -> Iterator[Call]:
        """Yield what sleeps, the oldest first."""
        return (call for call in self.waits.values() if call.key.kind is EntryKind.SLEEP)

    def discard_wakes(self) -> list[int]:
        """Remove the wake-ups that found nobody asleep, and return their numbers."""
        numbers = [number for number, mail in self._mail.items() if mail.kind is MailKind.WAKE]
        for number in numbers:
            del self._mail[number]
        return numbers

    def _oldest_event_wait(self, name: str) -> Call | None:
        queue = self._by_event.get(name)
        while queue and not queue[0].is_open:
            queue.popleft()
        return queue[0] if queue else None

    @staticmethod
    def _answers(mail: Mail, key: CallKey) -> bool:
        return mail.kind is MailKind.CHILD_RESULT and mail.name == key.address and mail.ordinal == key.ordinal
