"""A worker that commits random legal turns: what some code could have done next, as hypothesis draws it.

The rule: a turn is legal in the sense of the design. It delivers only mail that the owner has and waits that are due,
opens only new waits, states count, deadline and oldest kind of what is open then, and is frozen once it is made.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec import Raw
from msgspec.structs import replace

from aiki.model.journal import CallKey, Entry, EntryKind, Failure, Mail, MailKind, Wait
from aiki.model.run import RunRow
from aiki.model.wire import ChildStart, Commit, Effect, Outcome
from tests.engine.world import World, child_of, child_wait, event_wait, sleep, task_wait

__all__ = ["Choose", "legal_turn"]

T = TypeVar("T")
Choose = Callable[[Sequence[T]], T]

OUTCOMES = (
    *[Outcome.RUNNING] * 4,
    *[Outcome.SUSPENDED] * 8,
    *[Outcome.COMPLETED] * 2,
    Outcome.FAILED,
    Outcome.CANCELLED,
    Outcome.CONTINUED,
    Outcome.STALLED,
    *[Outcome.PAUSED] * 2,
)
STEPS = (
    "task",
    "failed task",
    "mail",
    "due",
    "open sleep",
    "open event",
    "open child",
    "open child",
    "open task",
    "withdraw",
    "start",
)
OPENINGS = ("open sleep", "open event", "open child", "open child", "open task")
STEPS_MAX = 4
CHILDREN_MAX = 3
ERROR = Failure("builtins.ValueError", "no")


class _Turn:
    """One turn in the making, on a copy of what the owner knows."""

    def __init__(self, world: World, row: RunRow) -> None:
        self.row = row
        self.now_ms = world.now_ms
        self.waits = dict(world.waits.get(row.id, {}))
        self.mail = world.unread(row.id)
        self.recorded = {entry.key for entry in world.journal(row.id)}
        self.child_ids = [entry.child_id for entry in world.journal(row.id) if entry.child_id is not None]
        self.entries: list[Entry] = []
        self.opened: dict[CallKey, Wait] = {}
        self.closed: list[CallKey] = []
        self.withdrawn: set[CallKey] = set()
        self.children: list[ChildStart] = []
        self.cancelled = row.cancel_delivered
        for child in (child_of(row, ordinal=ordinal) for ordinal in range(CHILDREN_MAX)):
            if child.run_id in world.runs and child.key not in self.recorded:
                self.deliver(child.key, child_id=child.run_id)
                self.child_ids.append(child.run_id)

    def deliver(self, key: CallKey, *, closes: bool = True, **parts: object) -> None:
        """Add a delivery, and close the wait that it answers."""
        seq = self.row.seq + len(self.entries) + 1
        self.entries.append(replace(Entry(seq, key, asked=0, at_ms=self.now_ms), **parts))
        self.recorded.add(key)
        if closes and self.waits.pop(key, None) is not None and self.opened.pop(key, None) is None:
            self.closed.append(key)

    def withdraw(self, key: object) -> None:
        """Close a wait that nobody awaits any more, and forget a result that has come for it."""
        assert isinstance(key, CallKey)
        del self.waits[key]
        if self.opened.pop(key, None) is None:
            self.closed.append(key)
        self.withdrawn.add(key)
        self.mail = [
            mail for mail in self.mail if CallKey(EntryKind.CHILD_RESULT, mail.name, mail.ordinal) not in self.withdrawn
        ]

    def open(self, wait: Wait) -> None:
        """Open a wait under the next free ordinal of its address."""
        ordinal = 0
        while (
            (key := replace(wait.key, ordinal=ordinal)) in self.recorded or key in self.waits or key in self.withdrawn
        ):
            ordinal += 1
        wait = replace(wait, key=key, order=len(self.recorded) + len(self.waits), asked=self.row.seq)
        self.waits[key] = self.opened[key] = wait


def legal_turn(world: World, run_id: str, choose: Choose[object]) -> Commit:
    """Return a legal next commit of a run that somebody owns."""
    row = world.row(run_id)
    turn = _Turn(world, row)
    for _ in range(int(str(choose(range(STEPS_MAX))))):
        _step(turn, str(choose(STEPS)), choose)
    outcome = Outcome(str(choose(OUTCOMES)))
    if outcome is Outcome.CANCELLED and not turn.cancelled:
        outcome = Outcome.RUNNING
    if outcome is Outcome.SUSPENDED:
        _deliver_mail(turn)
        _deliver_due(turn)
        if not turn.waits:
            _step(turn, str(choose(OPENINGS)), choose)
            _deliver_mail(turn)
        if not turn.waits:
            outcome = Outcome.COMPLETED
    return _commit(turn, outcome, choose)


def _step(turn: _Turn, step: str, choose: Choose[object]) -> None:
    now_ms = turn.now_ms
    match step:
        case "task" | "failed task":
            ordinal = 0
            while (key := CallKey(EntryKind.TASK, "task", ordinal)) in turn.recorded:
                ordinal += 1
            turn.deliver(key, error=ERROR if step == "failed task" else None)
        case "mail":
            _deliver_mail(turn)
        case "due":
            _deliver_due(turn)
        case "open sleep":
            turn.open(sleep(now_ms + int(str(choose((1, 500, 5_000, 60_000))))))
        case "open event":
            deadline = choose((None, now_ms + 700))
            turn.open(event_wait(str(choose(("go", "stop"))), deadline_ms=None if deadline is None else now_ms + 700))
        case "open task":
            turn.open(task_wait(now_ms + 2_000, name="charge"))
        case "open child":
            if turn.child_ids:
                turn.open(child_wait(str(choose(turn.child_ids)), deadline_ms=now_ms + 9_000))
        case "withdraw":
            if turn.waits:
                turn.withdraw(choose(list(turn.waits)))
        case "start":
            _start(turn)


def _start(turn: _Turn) -> None:
    ordinal = len(turn.children) + len([key for key in turn.recorded if key.kind is EntryKind.CHILD])
    if ordinal < CHILDREN_MAX:
        turn.children.append(child_of(turn.row, ordinal=ordinal))


def _deliver_mail(turn: _Turn) -> None:
    """Deliver all that the code waits for, in order; the rest stays."""
    for mail in list(turn.mail):
        key = _answered(turn, mail)
        if key is None:
            continue
        turn.mail.remove(mail)
        if key.kind is EntryKind.CANCEL:
            turn.cancelled = True
        woken = mail.kind is MailKind.WAKE
        turn.deliver(key, mail=mail.number, woken=woken, status=mail.status, error=mail.error, result=mail.payload)


def _answered(turn: _Turn, mail: Mail) -> CallKey | None:
    fitting: list[Wait] = []
    match mail.kind:
        case MailKind.CANCEL:
            return CallKey(EntryKind.CANCEL, "")
        case MailKind.CHILD_RESULT:
            key = CallKey(EntryKind.CHILD_RESULT, mail.name, mail.ordinal)
            return key if key in turn.waits else None
        case MailKind.EVENT:
            fitting = [w for w in turn.waits.values() if (w.key.kind, w.key.address) == (EntryKind.EVENT, mail.name)]
        case MailKind.WAKE:
            fitting = [w for w in turn.waits.values() if w.key.kind is EntryKind.SLEEP]
    return min(fitting, key=lambda wait: wait.order).key if fitting else None


def _deliver_due(turn: _Turn) -> None:
    for wait in list(turn.waits.values()):
        if wait.deadline_ms is not None and wait.deadline_ms <= turn.now_ms:
            timed_out = wait.key.kind in (EntryKind.EVENT, EntryKind.CHILD_RESULT)
            turn.deliver(wait.key, timed_out=timed_out, deadline_ms=wait.deadline_ms)


def _commit(turn: _Turn, outcome: Outcome, choose: Choose[object]) -> Commit:
    row = turn.row
    waits = sorted(turn.waits.values(), key=lambda wait: wait.order)
    if outcome not in (Outcome.RUNNING, Outcome.SUSPENDED, Outcome.PAUSED):
        waits = []
    replaces = row.turn == 0
    deadlines = [wait.deadline_ms for wait in waits if wait.deadline_ms is not None]
    failed = [entry.seq for entry in turn.entries if entry.error is not None]
    wakes = [mail.number for mail in turn.mail if mail.kind is MailKind.WAKE]
    effects = Effect(row.effects + 1, "set", "progress", Raw(b"1"))
    if turn.child_ids and choose((True, False, False, False)):
        effects = Effect(row.effects + 1, "cancel", target=turn.child_ids[-1])
    return Commit(
        run_id=row.id,
        epoch=row.epoch,
        turn=row.turn + 1,
        outcome=outcome,
        at_ms=turn.now_ms,
        entries=tuple(turn.entries),
        opened=tuple(waits) if replaces else tuple(turn.opened.values()) if waits else (),
        closed=() if replaces else tuple(turn.closed),
        replace_waits=replaces,
        waits=len(waits),
        deadline_ms=min(deadlines, default=None),
        waits_for=waits[0].key.kind if waits else None,
        read=tuple(wakes) if outcome is Outcome.SUSPENDED else (),
        last_mail=row.mail,
        children=tuple(turn.children),
        effects=(effects,),
        output=Raw(b"1") if outcome is Outcome.COMPLETED else Raw(),
        error=ERROR if outcome is Outcome.FAILED else None,
        failed_seq=failed[-1] if failed and outcome is Outcome.FAILED else None,
        input=Raw(b"{}") if outcome is Outcome.CONTINUED else Raw(),
        why="no" if outcome is Outcome.STALLED else None,
        stall_reason="waits_for_nothing" if outcome is Outcome.STALLED else None,
        parks=bool(choose((True, False))),
    )
