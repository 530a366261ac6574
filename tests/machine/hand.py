"""The hand of a worker: what it holds of a run, and turns made of it.

The rule: a turn is legal. It delivers only what the worker has, in the order of the design, and states what is open after
it; what the code does next is told by the machine.
"""

from dataclasses import dataclass, field
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from aiki.model.ids import child_run_id
from aiki.model.journal import EMPTY, CallKey, Entry, EntryKind, Failure, Mail, MailKind, Wait
from aiki.model.wire import Assignment, ChildStart, Commit, Effect, Outcome

__all__ = ["ERROR", "Hand", "Turn"]

ERROR: Final = Failure("builtins.ValueError", "no")


@dataclass
class Hand:
    """A claim: the run, and what the worker knows of it."""

    run_id: str
    session: str
    epoch: int = 0
    turn: int = 0
    seq: int = 0
    effects: int = 0
    attempt: int = 1
    chapter: int = 1
    last_mail: int = 0
    is_replayed: bool = True  # its first turn replaces the stored waits
    cancelled: bool = False
    waits: list[Wait] = field(default_factory=list)
    mail: list[Mail] = field(default_factory=list)
    used: set[CallKey] = field(default_factory=set)
    orders: int = 0

    def take(self, assignment: Assignment) -> None:
        """Begin anew, or go on where it was parked."""
        self.epoch, self.turn, self.seq, self.effects = assignment.epoch, 0, assignment.seq, assignment.effects
        self.attempt, self.chapter = assignment.attempt, assignment.chapter
        self.mail, self.last_mail = list(assignment.mail), assignment.last_mail
        self.cancelled = assignment.cancel_delivered
        self.is_replayed = not assignment.parked
        if not assignment.parked:
            self.waits = list(assignment.waits)
            self.used = {entry.key for entry in assignment.entries} | {wait.key for wait in self.waits}
            self.orders = max((wait.order for wait in self.waits), default=0)

    def hear(self, mail: tuple[Mail, ...], last_mail: int) -> None:
        self.mail += [new for new in mail if new.number > self.last_mail]
        self.last_mail = max(self.last_mail, last_mail)


class Turn:
    """One turn in the making."""

    def __init__(self, hand: Hand, *, now_ms: int) -> None:
        self.hand = hand
        self.now_ms = now_ms
        self.entries: list[Entry] = []
        self.taken: list[Mail] = []
        self.opened: list[Wait] = []
        self.closed: list[CallKey] = []
        self.lifted = [mail for mail in hand.mail if mail.kind is MailKind.CONTROL and mail.name == "resume"]
        hand.mail = [mail for mail in hand.mail if mail.kind is not MailKind.CONTROL]

    def deliver_all(self) -> None:
        """Deliver what has come for the code, each deadline that had passed before a message ahead of it."""
        for mail in list(self.hand.mail):
            self._deliver_due(before_ms=mail.at_ms)
            self._deliver_mail(mail)
        self._deliver_due(before_ms=self.now_ms)

    def open(self, kind: EntryKind, address: str, *, deadline_ms: int | None = None) -> None:
        """Wait for something."""
        hand = self.hand
        ordinal = sum((key.kind, key.address) == (kind, address) for key in hand.used)
        hand.orders += 1
        wait = Wait(CallKey(kind, address, ordinal), asked=0, order=hand.orders, deadline_ms=deadline_ms)
        hand.used.add(wait.key)
        hand.waits.append(wait)
        self.opened.append(wait)

    def child(self, workflow: str, ordinal: int, *, value: int) -> ChildStart:
        """Return the start of a child."""
        hand, address = self.hand, f"{workflow}#{value}"
        key = CallKey(EntryKind.CHILD, address, ordinal)
        run_id = child_run_id(hand.run_id, hand.chapter, attempt=hand.attempt, address=address, ordinal=ordinal)
        return ChildStart(key, run_id, "default", workflow, "1.0.0", Raw(b"%d" % value), str(value))

    def commit(
        self, outcome: Outcome, *, parks: bool, effect: int | None = None, child: ChildStart | None = None
    ) -> Commit:
        """Return the turn as it is sent."""
        hand = self.hand
        ends = outcome in (Outcome.COMPLETED, Outcome.FAILED, Outcome.CANCELLED, Outcome.CONTINUED)
        read = [mail.number for mail in self.lifted]
        if outcome is Outcome.SUSPENDED:
            read += [mail.number for mail in hand.mail if mail.kind is MailKind.WAKE]
        effects = () if effect is None else (Effect(hand.effects + 1, "set", "progress", Raw(b"%d" % effect)),)
        return Commit(
            run_id=hand.run_id,
            epoch=hand.epoch,
            turn=hand.turn + 1,
            outcome=outcome,
            at_ms=self.now_ms,
            entries=tuple(self.entries),
            opened=() if ends else tuple(hand.waits) if hand.is_replayed else tuple(self.opened),
            closed=() if hand.is_replayed else tuple(self.closed),
            replace_waits=hand.is_replayed,
            waits=0 if ends else len(hand.waits),
            deadline_ms=min((w.deadline_ms for w in hand.waits if w.deadline_ms is not None), default=None),
            waits_for=str(hand.waits[0].key.kind) if hand.waits else None,
            read=tuple(read),
            last_mail=hand.last_mail,
            children=() if child is None else (child,),
            effects=effects,
            output=Raw(b"%d" % hand.seq) if outcome is Outcome.COMPLETED else EMPTY,
            error=ERROR if outcome is Outcome.FAILED else None,
            input=Raw(b"0") if outcome is Outcome.CONTINUED else EMPTY,
            why="told to" if outcome is Outcome.STALLED else None,
            stall_reason="waits_for_nothing" if outcome is Outcome.STALLED else None,
            parks=parks,
        )

    def _deliver_mail(self, mail: Mail) -> None:
        hand = self.hand
        if mail.kind is MailKind.CANCEL:
            hand.cancelled = True
            self._deliver(CallKey(EntryKind.CANCEL, ""), mail)
            return
        wanted = {
            MailKind.EVENT: (EntryKind.EVENT, mail.name),
            MailKind.CHILD_RESULT: (EntryKind.CHILD_RESULT, mail.name),
            MailKind.WAKE: (EntryKind.SLEEP, "nap"),
        }[mail.kind]
        for wait in hand.waits:
            if (wait.key.kind, wait.key.address) == wanted and (
                mail.kind is not MailKind.CHILD_RESULT or wait.key.ordinal == mail.ordinal
            ):
                self._deliver(wait.key, mail, wait=wait)
                return

    def _deliver_due(self, *, before_ms: int) -> None:
        for wait in list(self.hand.waits):
            if wait.deadline_ms is not None and wait.deadline_ms <= before_ms:
                self._deliver(wait.key, None, wait=wait)

    def _deliver(self, key: CallKey, mail: Mail | None, *, wait: Wait | None = None) -> None:
        hand = self.hand
        entry = Entry(hand.seq + len(self.entries) + 1, key, asked=0, at_ms=self.now_ms)
        if mail is not None:
            entry = replace(entry, mail=mail.number, result=mail.payload, status=mail.status, error=mail.error)
            entry = replace(entry, woken=mail.kind is MailKind.WAKE)
            hand.mail.remove(mail)
            self.taken.append(mail)
        elif wait is not None:
            entry = replace(entry, deadline_ms=wait.deadline_ms, timed_out=key.kind is EntryKind.EVENT)
        self.entries.append(entry)
        hand.used.add(key)
        if wait is not None:
            hand.waits.remove(wait)
            if wait in self.opened:
                self.opened.remove(wait)
            else:
                self.closed.append(key)
