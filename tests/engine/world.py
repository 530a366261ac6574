"""A small world for the engine: rows in dictionaries, and verbs for those who act on them.

The rule: it loads exactly what the keys name, applies exactly what the working set says, and checks every invariant
after each transaction. It is no store: it keeps what one keeps, to see whether the engine decides rightly.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from aiki.engine.commands import (
    Announced,
    Answer,
    Ask,
    Command,
    CommitTurn,
    ExpireSession,
    Poll,
    PollOutcome,
    Returned,
    RingAlarm,
    Send,
    Start,
)
from aiki.engine.decide import decide
from aiki.engine.dispatch import Offer, assign
from aiki.engine.invariants import Snapshot, check
from aiki.engine.keys import keys_of
from aiki.model.ids import child_run_id, derived_id
from aiki.model.journal import EMPTY, CallKey, Entry, EntryKind, Mail, MailKind, Wait
from aiki.model.lifecycle import Status
from aiki.model.run import Cascade, ParentClose, Queue, RunEnd, RunRow, SessionRow, Waiter
from aiki.model.wire import (
    Announce,
    ChildStart,
    Commit,
    CommitAnswer,
    Control,
    Held,
    Outcome,
    PollRequest,
    RunOptions,
    SendEvent,
    Standing,
    Started,
    StartRun,
)
from aiki.model.working_set import CASCADE_ROWS, EXPIRY_ROWS, MAIL_ROWS, Claim, History, Keys, WorkingSet

LEASE_MS: Final = 10_000
START_MS: Final = 1_000_000
QUEUE: Final = Queue("default", "order", "1.0.0", "")
INPUT: Final = Raw(b"{}")
PLAIN: Final = RunOptions()
DAY_MS: Final = 86_400_000


class World:
    """All rows, a clock, and what was done last."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.runs: dict[str, RunRow] = {}
        self.inputs: dict[str, Raw] = {}
        self.ends: dict[str, RunEnd] = {}
        self.entries: dict[tuple[str, int, int], list[Entry]] = {}
        self.waits: dict[str, dict[CallKey, Wait]] = {}
        self.mail: dict[str, dict[int, Mail]] = {}
        self.read: set[tuple[str, int]] = set()
        self.waiters: dict[Waiter, None] = {}
        self.sessions: dict[str, SessionRow] = {}
        self.values: dict[tuple[str, str], Raw] = {}
        self.history: list[History] = []
        self.ws = WorkingSet(now_ms=self.now_ms)  # of the last transaction
        self.transactions = 0
        self._drawn = 0

    # ---------------------------------------------------------------------------------------------- transactions

    def do(
        self, *commands: Command, offers: Sequence[Offer] = (), ready: int = 0, touched: Sequence[str] = ()
    ) -> list[Answer]:
        """Run one batch as one transaction and return the answers.

        `ready`: how many queued runs of each offered queue are looked for; `touched`: runs that are loaded besides.
        """
        keys = Keys()
        keys.runs.update(touched)
        for command in commands:
            keys_of(command, keys)
        for offer in offers:
            keys.sessions.add(offer.session_id)
            if ready:
                keys.ready.update(dict.fromkeys(offer.queues, ready))
        before = self.snapshot()
        self.ws = ws = self.load(keys)
        answers = [decide(ws, command, ws.now_ms) for command in commands]
        if offers:
            assign(ws, offers, ws.now_ms)
        self.apply(ws)
        self.transactions += 1
        violations = check(self.snapshot(), before)
        assert not violations, violations
        return answers

    def load(self, keys: Keys) -> WorkingSet:
        """Load what the keys name, and nothing else."""
        ws = WorkingSet(now_ms=self.now_ms)
        wanted = keys.runs | keys.finishing | keys.cascading
        for row in self.runs.values():
            name = (row.namespace, row.workflow, row.reference_id or "")
            if row.reference_id is not None and name in keys.references:
                ws.references[name] = row.id
                wanted.add(row.id)
        for ids, picked, limit in ((keys.owned, ws.owned, 10**6), (keys.expiring, ws.expiring, EXPIRY_ROWS)):
            for session_id in ids:
                picked[session_id] = [r.id for r in self.runs.values() if r.session_id == session_id][:limit]
                wanted.update(picked[session_id])
        for queue, limit in keys.ready.items():
            queued = [r for r in self.runs.values() if r.status is Status.QUEUED and r.queue == queue]
            queued.sort(key=lambda r: (-r.priority, r.due_at_ms or 0, r.id))
            ws.ready[queue] = [r.id for r in queued[:limit]]
            wanted.update(ws.ready[queue])
        for run_id in keys.cascading & self.runs.keys():
            if self.runs[run_id].cascade is Cascade.NONE:
                continue
            ws.cascading[run_id] = self._children_to_tell(self.runs[run_id])
            wanted.update(ws.cascading[run_id])
        lost = {
            run_id for run_ids in ws.expiring.values() for run_id in run_ids if self.runs[run_id].cancel is not None
        }
        for target_id in keys.finishing.union(lost, *ws.cascading.values()):
            ws.waiters[target_id] = [w for w in self.waiters if w.target_id == target_id]
            wanted.update(w.run_id for w in ws.waiters[target_id])
        ws.runs = {run_id: self.runs[run_id] for run_id in wanted if run_id in self.runs}
        ws.ends = {run_id: self.ends[run_id] for run_id in keys.ends if run_id in self.ends}
        ws.sessions = {s: self.sessions[s] for s in keys.sessions if s in self.sessions}
        ws.unread = {r: [m for m in self.unread(r) if m.number > n][:MAIL_ROWS] for r, n in keys.mail_after.items()}
        known = {(run_id, m.id) for run_id, inbox in self.mail.items() for m in inbox.values()}
        ws.messages = keys.messages & known
        for name in keys.waits:
            there = self.waits.get(name[0], {}).values()
            ws.waits[name] = [w for w in there if w.key.kind is name[1] and name[2] in ("", w.key.address)]
        for run_id in keys.journals & self.runs.keys():
            ws.journals[run_id] = list(self.journal(run_id))
        return ws

    def _children_to_tell(self, row: RunRow) -> list[str]:
        all_of_them = row.cascade is Cascade.ALL
        return [
            child.id
            for child in self.runs.values()
            if child.parent_id == row.id
            and not child.is_terminal
            and child.cancel is None
            and (all_of_them or child.parent_close is ParentClose.CANCEL)
        ][:CASCADE_ROWS]

    def apply(self, ws: WorkingSet) -> None:
        """Keep what changed: what was there goes before what comes."""
        self._apply_removals(ws)
        for run_id, new in ws.new_runs.items():
            assert run_id not in self.runs
            self.runs[run_id], self.inputs[run_id] = new.row, new.input
        for run_id, row in ws.changed_runs.items():
            assert row.version_no > self.runs[run_id].version_no
            self.runs[run_id] = row
        self.inputs.update(ws.new_inputs)
        self.ends.update(ws.new_ends)
        for run_id, chapter, attempt, entry in ws.new_entries:
            self.entries.setdefault((run_id, chapter, attempt), []).append(entry)
        for run_id in ws.cleared_waits:
            self.waits.pop(run_id, None)
        for run_id, key in ws.removed_waits:
            self.waits.get(run_id, {}).pop(key, None)
        for (run_id, key), wait in ws.new_waits.items():
            self.waits.setdefault(run_id, {})[key] = wait
        for waiter in [w for w in self.waiters if w.run_id in ws.cleared_waiters] + ws.removed_waiters:
            self.waiters.pop(waiter, None)
        self.waiters.update(ws.new_waiters)
        self._apply_mail(ws)
        self.sessions.update(ws.changed_sessions)
        self.values.update({(value.run_id, value.name): value.payload for value in ws.new_values})
        self.history.extend(ws.history)

    def _apply_removals(self, ws: WorkingSet) -> None:
        """Delete runs, but not what tests count: their history."""
        for run_id in ws.removed_runs:
            for of_runs in (self.runs, self.inputs, self.ends, self.waits, self.mail):
                of_runs.pop(run_id, None)
            self.entries = {place: entries for place, entries in self.entries.items() if place[0] != run_id}
            self.read = {read for read in self.read if read[0] != run_id}
            self.waiters = {waiter: None for waiter in self.waiters if waiter.run_id != run_id}
            self.values = {at: value for at, value in self.values.items() if at[0] != run_id}
        for session_id in ws.removed_sessions:
            del self.sessions[session_id]
        gone = {*ws.dropped_chapters, *ws.dropped_attempts}
        self.entries = {at: kept for at, kept in self.entries.items() if at not in gone and at[:2] not in gone}

    def _apply_mail(self, ws: WorkingSet) -> None:
        for run_id in ws.cleared_waiters:
            for mail in self.unread(run_id):
                if mail.kind is MailKind.CHILD_RESULT:
                    del self.mail[run_id][mail.number]
        for run_id, target_id, ordinal in ws.removed_mail:
            for mail in self.unread(run_id):
                if (mail.kind, mail.name, mail.ordinal) == (MailKind.CHILD_RESULT, target_id, ordinal):
                    del self.mail[run_id][mail.number]
        for run_id in ws.voided_requests:
            void = [mail for mail in self.unread(run_id) if mail.kind in (MailKind.WAKE, MailKind.CANCEL)]
            self.read.update((run_id, mail.number) for mail in void)
        for run_id, mail in ws.new_mail:
            inbox = self.mail.setdefault(run_id, {})
            assert mail.number not in inbox
            assert mail.id not in {known.id for known in inbox.values()}
            inbox[mail.number] = mail
        self.read.update(ws.read_mail)
        self.read.difference_update(ws.unread_mail)

    def snapshot(self) -> Snapshot:
        """Return all rows as they are."""
        return Snapshot(
            now_ms=self.now_ms,
            runs=dict(self.runs),
            ends=dict(self.ends),
            entries={place: tuple(entries) for place, entries in self.entries.items()},
            waits={run_id: tuple(waits.values()) for run_id, waits in self.waits.items() if waits},
            unread={run_id: tuple(self.unread(run_id)) for run_id in self.mail},
            waiters=tuple(self.waiters),
            sessions=dict(self.sessions),
        )

    # ----------------------------------------------------------------------------------------------------- reading

    def unread(self, run_id: str) -> list[Mail]:
        """Return the unread messages of a run in order."""
        inbox = self.mail.get(run_id, {})
        return [inbox[number] for number in sorted(inbox) if (run_id, number) not in self.read]

    def journal(self, run_id: str) -> list[Entry]:
        """Return the journal of the current attempt."""
        row = self.runs[run_id]
        return self.entries.get((run_id, row.chapter, row.attempt), [])

    def row(self, run_id: str) -> RunRow:
        return self.runs[run_id]

    def status(self, run_id: str) -> Status:
        return self.runs[run_id].status

    def moves(self, run_id: str) -> list[str]:
        """Return a run's history as text: `queued (started)`."""
        return [f"{entry.new} ({entry.reason})" for entry in self.history if entry.run_id == run_id]

    def due(self) -> list[str]:
        """Return the runs whose alarm is due."""
        alarms = [(r.alarm_at_ms, r.id) for r in self.runs.values() if r.alarm_at_ms is not None]
        return [run_id for alarm_ms, run_id in sorted(alarms) if alarm_ms <= self.now_ms]

    def new_id(self) -> str:
        """Return an id that nothing bears yet."""
        self._drawn += 1
        return derived_id("world", self._drawn)

    # ------------------------------------------------------------------------------------------------------- verbs

    def advance(self, ms: int) -> None:
        self.now_ms += ms

    def start(self, options: RunOptions = PLAIN, *, input_hash: str = "h", run_id: str | None = None) -> str:
        """Start a run and return its id."""
        request = start_run(run_id or self.new_id(), options, input_hash=input_hash)
        (answer,) = self.do(Start(request))
        assert isinstance(answer, Started)
        assert answer.problem is None
        return answer.run_id

    def session(self, namespace: str = "default") -> str:
        """Announce a session and return its id."""
        session_id = self.new_id()
        self.do(Announced(Announce(session_id, namespace, "w", (), (), 10), LEASE_MS))
        return session_id

    def poll(self, session_id: str, *held: Held, capacity: int = 0, number: int | None = None) -> PollOutcome:
        """Poll, asking for up to `capacity` queued runs."""
        known = self.sessions.get(session_id)
        number = number or (known.poll + 1 if known else 1)
        request = PollRequest(session_id, number, (QUEUE,), capacity, held)
        (outcome,) = self.do(
            Poll(request, LEASE_MS), offers=[Offer(session_id, (QUEUE,), capacity)], ready=max(capacity, 1)
        )
        assert isinstance(outcome, PollOutcome)
        return outcome

    def poll_for(self, session_id: str, held: Sequence[RunRow], *queues: Queue) -> None:
        """Poll for one run of any of these queues."""
        number = self.sessions[session_id].poll + 1
        request = PollRequest(session_id, number, queues, 1, tuple(held_of(row) for row in held))
        self.do(Poll(request, LEASE_MS), offers=[Offer(session_id, queues, 1)], ready=1)

    def claims(self) -> list[Claim]:
        """Return what the last transaction handed out."""
        return list(self.ws.claims.values())

    def running(self, options: RunOptions = PLAIN, *, session_id: str | None = None) -> str:
        """Start a run and hand it to a session (a new one, unless told)."""
        session_id = session_id or self.session()
        run_id = self.start(options)
        self.claim(run_id, session_id)
        return run_id

    def claim(self, run_id: str, session_id: str) -> None:
        """Hand one queued run to a session that has just polled with what it holds."""
        held = [held_of(r) for r in self.runs.values() if r.session_id == session_id]
        self.poll(session_id, *held)
        request = PollRequest(session_id, self.sessions[session_id].poll + 1, (QUEUE,), 1, tuple(held))
        self.do(Poll(request, LEASE_MS), offers=[Offer(session_id, (self.row(run_id).queue,), 1)], touched=[run_id])
        assert self.status(run_id) is Status.RUNNING

    def commit(self, run_id: str, outcome: Outcome = Outcome.RUNNING, **parts: object) -> CommitAnswer:
        """Commit the next turn of a run as its owner."""
        return self.apply_turn(self.turn(run_id, outcome, **parts))

    def apply_turn(self, commit: Commit) -> CommitAnswer:
        """Commit a turn as it is."""
        (answer,) = self.do(CommitTurn(commit))
        assert isinstance(answer, CommitAnswer)
        return answer

    def turn(self, run_id: str, outcome: Outcome = Outcome.RUNNING, **parts: object) -> Commit:
        """Return the next commit of a run; whatever is not told follows from its row."""
        row = self.runs[run_id]
        commit = Commit(row.id, row.epoch, row.turn + 1, outcome, at_ms=self.now_ms, last_mail=row.mail)
        return replace(commit, **parts)

    def suspend(self, run_id: str, *waits: Wait, **parts: object) -> CommitAnswer:
        """Suspend a run for these waits, the oldest first."""
        deadlines = [wait.deadline_ms for wait in waits if wait.deadline_ms is not None]
        return self.commit(
            run_id,
            Outcome.SUSPENDED,
            **{
                "opened": waits,
                "waits": len(waits),
                "deadline_ms": min(deadlines, default=None),
                "waits_for": waits[0].key.kind,
                **parts,
            },
        )

    def sleeping(self, ms: int = DAY_MS, options: RunOptions = PLAIN, *, session_id: str | None = None) -> str:
        """Return a run that sleeps."""
        run_id = self.running(options, session_id=session_id)
        self.suspend(run_id, sleep(self.now_ms + ms))
        return run_id

    def with_child(self, parent_id: str, options: RunOptions = PLAIN, *, ordinal: int = 0) -> str:
        """Let a running run start a child, and return its id."""
        self.commit(parent_id, children=(child_of(self.runs[parent_id], options, ordinal=ordinal),))
        return child_of(self.runs[parent_id], options, ordinal=ordinal).run_id

    def send(self, run_id: str, name: str = "go", *, message_id: str | None = None) -> Standing:
        """Send an event to a run."""
        (answer,) = self.do(self.sending(run_id, name, message_id=message_id))
        assert isinstance(answer, Standing)
        return answer

    def sending(self, run_id: str, name: str = "go", *, message_id: str | None = None) -> Send:
        """Return the command of an event to a run."""
        return Send(SendEvent("default", run_id, message_id or self.new_id(), name, Raw(b"1")))

    def ask(self, run_id: str, verb: str, *, message_id: str | None = None, reason: str | None = None) -> Standing:
        """Ask something of a run."""
        (answer,) = self.do(self.asking(run_id, verb, message_id=message_id, reason=reason))
        assert isinstance(answer, Standing)
        return answer

    def asking(self, run_id: str, verb: str, *, message_id: str | None = None, reason: str | None = None) -> Ask:
        """Return the command of a request to a run."""
        request = Control("default", run_id, message_id or self.new_id(), "wake", reason)
        return Ask(replace(request, verb=verb))

    def ring(self, run_id: str) -> Standing:
        """Let a run's alarm be judged."""
        (answer,) = self.do(RingAlarm(run_id))
        assert isinstance(answer, Standing)
        return answer

    def expire(self, session_id: str, *, at_opening: bool = False) -> Returned:
        """Let a session be judged."""
        (answer,) = self.do(self.expiring(session_id, at_opening=at_opening))
        assert isinstance(answer, Returned)
        return answer

    def expiring(self, session_id: str, *, at_opening: bool = False) -> ExpireSession:
        """Return the command that judges a session."""
        return ExpireSession(session_id, at_opening)

    def lose(self, session_id: str) -> None:
        """Let a session's lease pass, and all of its runs return."""
        self.now_ms = max(self.now_ms, self.sessions[session_id].expires_at_ms)
        while self.expire(session_id).more:
            pass


# ------------------------------------------------------------------------------------------------------------ makers


def start_run(run_id: str, options: RunOptions = PLAIN, *, input_hash: str = "h") -> StartRun:
    return StartRun(run_id, "default", "order", "1.0.0", INPUT, input_hash, options)


def held_of(row: RunRow) -> Held:
    return Held(row.id, row.epoch, row.mail)


def child_of(parent: RunRow, options: RunOptions = PLAIN, *, ordinal: int = 0, input_hash: str = "h") -> ChildStart:
    key = CallKey(EntryKind.CHILD, "order:1.0.0:hash", ordinal)
    run_id = child_run_id(parent.id, parent.chapter, attempt=parent.attempt, address=key.address, ordinal=key.ordinal)
    return ChildStart(key, run_id, parent.namespace, "order", "1.0.0", INPUT, input_hash, options)


def sleep(deadline_ms: int, *, name: str = "nap", ordinal: int = 0, order: int = 1) -> Wait:
    return Wait(CallKey(EntryKind.SLEEP, name, ordinal), 0, order, deadline_ms=deadline_ms)


def event_wait(name: str = "go", *, deadline_ms: int | None = None, ordinal: int = 0, order: int = 1) -> Wait:
    return Wait(CallKey(EntryKind.EVENT, name, ordinal), 0, order, deadline_ms=deadline_ms)


def child_wait(child_id: str, *, deadline_ms: int | None = None, ordinal: int = 0, order: int = 1) -> Wait:
    return Wait(CallKey(EntryKind.CHILD_RESULT, child_id, ordinal), 0, order, deadline_ms=deadline_ms)


def task_wait(deadline_ms: int, *, name: str = "pay", order: int = 1) -> Wait:
    return Wait(CallKey(EntryKind.TASK, name), 0, order, deadline_ms=deadline_ms, attempt=1)


def entry(seq: int, kind: EntryKind = EntryKind.TASK, address: str = "", **parts: object) -> Entry:
    """Return an entry; a task of its own unless told."""
    made = Entry(seq, CallKey(kind, address or f"task-{seq}"), asked=seq - 1, at_ms=START_MS, result=EMPTY)
    return replace(made, **parts)
