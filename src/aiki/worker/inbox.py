"""What was sent to a run and what is due, in the order in which it reaches the code.

The rule: news is delivered by time, then by number; a deadline that had passed when an event arrived counts first,
otherwise the event wins. An event goes to the oldest open wait for its name at the moment of delivery; with none it
stays, in order, for a later one.

Mail stands in lines, one for each whom it can answer, and only the head of a line that is waited for is looked at: a
thousand unread events of a name that nobody waits for cost nothing.
"""

import heapq
from collections import deque
from collections.abc import Iterable
from typing import Final

from aiki.model.journal import CallKey, EntryKind, Mail, MailKind
from aiki.worker.calls import Call

__all__ = ["Inbox"]


class Inbox:
    """Unread mail and open waits with their deadlines, for one execution.

    Attributes:
        waits: all open waits, the oldest first.
        last_mail: the number up to which the mail is complete.
    """

    __slots__ = ("_asking", "_deadlines", "_heads", "_lines", "_mail", "last_mail", "waits")

    def __init__(self) -> None:
        self.waits: dict[CallKey, Call] = {}
        self.last_mail = 0
        self._mail: dict[int, Mail] = {}  # by number, which is the order of arrival
        self._lines: dict[CallKey, deque[int]] = {}  # the numbers again, by whom the mail is for
        self._heads: list[int] = []  # a heap: every head of a line that is waited for, and some that are not
        self._asking: dict[CallKey, dict[CallKey, Call]] = {}  # open waits, by what mail they ask for
        self._deadlines: list[tuple[int, int, Call]] = []

    # ---------------------------------------------------------------------------------------------------------- mail

    def receive(self, mail: Iterable[Mail], last_mail: int) -> None:
        """Take mail that is new; what is known already is passed over."""
        for message in mail:
            if message.number > self.last_mail:
                self._mail[message.number] = message
                line = self._lines.setdefault(_addressee_of_mail(message), deque())
                line.append(message.number)
                if line[0] == message.number:
                    heapq.heappush(self._heads, message.number)
                if message.kind is MailKind.CANCEL or _addressee_of_mail(message) == _RESUME:
                    self.forget_pause()
        self.last_mail = max(self.last_mail, last_mail)

    def unread(self) -> tuple[Mail, ...]:
        """Return what has not been delivered, in order."""
        return tuple(self._mail.values())

    def next_mail(self) -> tuple[Mail, Call | None] | None:
        """Return the first message that can be delivered, with the wait that it answers (None: a cancellation)."""
        while self._heads:
            mail = self._mail.get(self._heads[0])
            if mail is not None:
                asking = self._asking.get(_addressee_of_mail(mail))
                if asking:
                    return mail, next(iter(asking.values()))
                if mail.kind is MailKind.CANCEL:
                    return mail, None
            heapq.heappop(self._heads)  # it comes back when somebody waits for it
        return None

    def take(self, mail: Mail) -> None:
        """Remove a message that is delivered or void: the first one of its line."""
        del self._mail[mail.number]
        addressee = _addressee_of_mail(mail)
        line = self._lines[addressee]
        assert line[0] == mail.number, "a line is served from its head"
        line.popleft()
        if line:
            heapq.heappush(self._heads, line[0])
        else:
            del self._lines[addressee]

    def discard_wakes(self) -> list[int]:
        """Remove the wake-ups that found nobody asleep, and return their numbers."""
        return self._discard(_SLEEPERS)

    @property
    def is_paused(self) -> bool:
        """Whether the run is asked to pause."""
        return _PAUSE in self._lines

    def forget_pause(self) -> None:
        """Remove the request to pause: it was lifted, or answered by the end of the claim."""
        self._discard(_PAUSE)

    def discard_resumes(self) -> list[int]:
        """Remove what lifted a pause, and return its numbers."""
        return self._discard(_RESUME)

    def _discard(self, addressee: CallKey) -> list[int]:
        numbers = list(self._lines.pop(addressee, ()))
        for number in numbers:
            del self._mail[number]
        return numbers

    # --------------------------------------------------------------------------------------------------------- waits

    def open_wait(self, call: Call) -> None:
        """Add a wait, or take note of its new deadline."""
        self.waits[call.key] = call
        if call.deadline_ms is not None:
            heapq.heappush(self._deadlines, (call.deadline_ms, call.order, call))
        addressee = _addressee_of_wait(call.key)
        if addressee is not None:
            self._asking.setdefault(addressee, {})[call.key] = call
            if addressee in self._lines:
                heapq.heappush(self._heads, self._lines[addressee][0])

    def close_wait(self, call: Call) -> bool:
        """Remove a wait, and the result that may have come for it; return whether it was there."""
        if self.waits.pop(call.key, None) is None:
            return False
        addressee = _addressee_of_wait(call.key)
        if addressee is not None:
            asking = self._asking[addressee]
            del asking[call.key]
            if not asking:
                del self._asking[addressee]
        if call.key.kind is EntryKind.CHILD_RESULT:
            self._discard(call.key)
        return True

    def sleepers(self) -> list[Call]:
        """Return what sleeps, the oldest first."""
        return list(self._asking.get(_SLEEPERS, {}).values())

    # ----------------------------------------------------------------------------------------------------- deadlines

    def deadline_ms(self) -> int | None:
        """Return the earliest deadline of the open waits, or None."""
        while self._deadlines:
            deadline_ms, _, call = self._deadlines[0]
            if call.is_open and call.deadline_ms == deadline_ms and call.key in self.waits:
                return deadline_ms
            heapq.heappop(self._deadlines)
        return None

    def due(self, now_ms: int) -> Call | None:
        """Return the wait that was due first, or None if none is due."""
        deadline_ms = self.deadline_ms()
        return None if deadline_ms is None or deadline_ms > now_ms else self._deadlines[0][2]

    def pop_due(self) -> Call:
        """Take the earliest deadline off the list, and return the wait that has it."""
        return heapq.heappop(self._deadlines)[2]


_SLEEPERS: Final = CallKey(EntryKind.SLEEP, "")
_CANCEL: Final = CallKey(EntryKind.CANCEL, "")
_PAUSE: Final = CallKey(EntryKind.CANCEL, "pause")
_RESUME: Final = CallKey(EntryKind.CANCEL, "resume")


def _addressee_of_mail(mail: Mail) -> CallKey:
    """Return whom a message can answer: one child's waiter, the waits for an event, whatever sleeps, or the run.

    A pause and its end answer nobody: they are for who drives the code.
    """
    match mail.kind:
        case MailKind.EVENT:
            return CallKey(EntryKind.EVENT, mail.name)
        case MailKind.CHILD_RESULT:
            return CallKey(EntryKind.CHILD_RESULT, mail.name, mail.ordinal)
        case MailKind.WAKE:
            return _SLEEPERS
        case MailKind.CANCEL:
            return _CANCEL
        case MailKind.CONTROL:
            return CallKey(EntryKind.CANCEL, mail.name)


def _addressee_of_wait(key: CallKey) -> CallKey | None:
    """Return by what name its mail would come, or None where no mail can answer."""
    match key.kind:
        case EntryKind.EVENT:
            return CallKey(EntryKind.EVENT, key.address)
        case EntryKind.CHILD_RESULT:
            return key
        case EntryKind.SLEEP:
            return _SLEEPERS
        case _:
            return None
