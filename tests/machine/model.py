"""What the platform should do, written once more and much smaller: runs as plain objects, and no rows, locks or batches.

The rule: it is written from the design's pages, not from the engine, and knows nothing that a client or worker over HTTP
cannot know. It predicts the status and the outcome of every request; ids that others make, and the order of messages
of different kinds, it learns from the answers.
"""

from dataclasses import dataclass, field
from typing import Final

__all__ = [
    "KEPT_AFTER_DUE_MS",
    "LEASE_MS",
    "RETENTION_MS",
    "SUSPENDED",
    "TERMINAL",
    "Mail",
    "Model",
    "Run",
    "Schedule",
    "Wait",
]

TERMINAL: Final = frozenset({"completed", "failed", "cancelled"})
SUSPENDED: Final = frozenset({"sleeping", "awaiting_event", "awaiting_child", "awaiting_retry"})
STATUS_OF: Final = {"sleep": "sleeping", "event": "awaiting_event", "child_result": "awaiting_child"}
LEASE_MS: Final = 60_000
GRACE_MS: Final = 30_000
CRASHES_MAX: Final = 5
RETENTION_MS: Final = 60_000
RETRY_MS: Final = 5_000
ON_TIME_MS: Final = 30_000
KEPT_AFTER_DUE_MS: Final = 150_000  # what may be deleted is deleted within that


@dataclass
class Wait:
    """An open wait: `name` is the event's, the sleep's, or the id of the run that is waited for."""

    kind: str
    name: str
    ordinal: int
    deadline_ms: int | None


@dataclass
class Mail:
    kind: str
    name: str = ""
    ordinal: int = 0
    value: int | None = None


@dataclass
class Run:
    id: str
    workflow: str
    value: int
    status: str
    reference: str | None = None
    parent: str | None = None
    schedule: str | None = None
    follows: bool = False
    priority: int = 0
    timeout_ms: int | None = None
    timeout_at_ms: int | None = None
    attempts_max: int = 1
    due_ms: int | None = None  # since when it is ready, or when it starts
    retry_at_ms: int | None = None  # when its next attempt is due
    attempt: int = 1
    chapter: int = 1
    epoch: int = 0
    turn: int = 0
    begun: bool = False
    owner: str | None = None
    heard_of: bool = False
    parked_on: str | None = None
    crashes: int = 0
    cancel: str | None = None
    cancel_delivered: bool = False
    is_cancel_here: bool = False  # delivered in this chapter
    grace_at_ms: int | None = None
    pausing: bool = False
    waits: list[Wait] = field(default_factory=list)
    mail: list[Mail] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    values: dict[str, int] = field(default_factory=dict)
    output: int | None = None
    children: list[str] = field(default_factory=list)
    telling: str = ""  # which children are still to be told of its end: all, following
    finished_ms: int | None = None
    deletable_since_ms: int | None = None

    @property
    def is_over(self) -> bool:
        return self.status in TERMINAL

    @property
    def deadline_ms(self) -> int | None:
        if self.retry_at_ms is not None:
            return self.retry_at_ms
        return min((wait.deadline_ms for wait in self.waits if wait.deadline_ms is not None), default=None)

    def awaits(self, mail: Mail) -> bool:
        """Whether a message is for something that it waits for now."""
        if mail.kind == "cancel":
            return True
        return any(
            (wait.kind == "sleep" and mail.kind == "wake")
            or (wait.kind == mail.kind == "event" and wait.name == mail.name)
            or (wait.kind == mail.kind == "child_result" and (wait.name, wait.ordinal) == (mail.name, mail.ordinal))
            for wait in self.waits
        )


@dataclass
class Schedule:
    every_ms: int
    overlap: str
    catch_up: str
    value: int
    anchor_ms: int
    next_ms: int
    is_paused: bool = False

    @property
    def definition(self) -> tuple[int, str, str, int]:
        return self.every_ms, self.overlap, self.catch_up, self.value


class Model:
    """All runs and schedules, and what each request does to them."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.runs: dict[str, Run] = {}
        self.gone: set[str] = set()
        self.schedules: dict[str, Schedule] = {}
        self.expected: list[tuple[str, int, str]] = []  # started by schedules: name, value and status; ids are learnt

    # -------------------------------------------------------------------------------------------------------- starts

    def named(self, workflow: str, reference: str | None) -> Run | None:
        found = [run for run in self.runs.values() if (run.workflow, run.reference) == (workflow, reference)]
        return found[0] if reference is not None and found else None

    def start(self, run: Run, *, delay_ms: int = 0, takes_existing: bool = False) -> tuple[str, str]:
        """Return what comes of a start, `started`, `existed` or the code of a problem, and the run that is meant."""
        named, taken = self.runs.get(run.id), self.named(run.workflow, run.reference)
        if named is not None and (named.workflow, named.value) == (run.workflow, run.value):
            return "existed", named.id
        if taken is not None:
            same = taken.value == run.value or takes_existing
            return ("existed", taken.id) if same else ("reference_conflict", taken.id)
        if named is not None:
            return "invalid_input", run.id
        run.due_ms = self.now_ms + delay_ms
        run.status = "scheduled" if delay_ms else "queued"
        run.timeout_at_ms = None if run.timeout_ms is None else run.due_ms + run.timeout_ms
        self.runs[run.id] = run
        self.gone.discard(run.id)
        return "started", run.id

    # ------------------------------------------------------------------------------------------------------ requests

    def send(self, run: Run, name: str, value: int, *, message_id: str) -> str:
        if message_id in run.seen:
            return "ok"
        if run.is_over:
            return "run_ended"
        run.seen.add(message_id)
        self.put(run, Mail("event", name, value=value))
        return "ok"

    def ask(self, run: Run, verb: str, message_id: str) -> bool:
        """Do what a person asks, and return whether that changed anything."""
        if message_id in run.seen:
            return True
        changed: bool = getattr(self, f"_{verb}")(run)
        if changed:
            run.seen.add(message_id)
        return changed

    def _cancel(self, run: Run) -> bool:
        return self.cancel(run, "person")

    def cancel(self, run: Run, who: str) -> bool:
        if run.is_over:
            return False
        has_no_code = (
            run.status in ("scheduled", "stalled")
            or (run.status in ("queued", "paused") and not run.begun)
            or (run.status == "awaiting_retry" and run.retry_at_ms is not None)
        )
        if has_no_code:
            if run.cancel is None or run.status == "stalled":
                run.cancel = who
            self.end_cancelled(run)
            return True
        if run.cancel is not None:
            return False
        run.cancel, run.pausing = who, False
        if run.status == "paused":
            self.queue(run)
        self.put(run, Mail("cancel"))
        return True

    def _terminate(self, run: Run) -> bool:
        if run.is_over:
            return False
        self.release(run)
        run.cancel = "person"
        self.finish(run, "cancelled")
        return True

    def _wake(self, run: Run) -> bool:
        if run.status == "scheduled" or (run.status == "awaiting_retry" and run.retry_at_ms is not None):
            self.queue(run)
            return True
        sleeps = any(wait.kind == "sleep" for wait in run.waits) and run.status in SUSPENDED | {"queued"}
        if run.status != "running" and not sleeps:
            return False
        self.put(run, Mail("wake"))
        return True

    def _pause(self, run: Run) -> bool:
        if run.cancel is not None or run.pausing or run.is_over or run.status in ("paused", "stalled"):
            return False
        if run.status == "running":
            run.pausing = True
        else:
            run.status = "paused"
        return True

    def _resume(self, run: Run) -> bool:
        if run.pausing:
            run.pausing = False
            run.mail.append(Mail("control", "resume"))  # for the owner
        elif run.status != "paused":
            return False
        else:
            run.status = self._before_pause(run)
            if run.status == "queued":
                self.queue(run)
        return True

    def _before_pause(self, run: Run) -> str:
        if run.due_ms is not None:
            return "scheduled" if run.due_ms > self.now_ms else "queued"
        if run.deadline_ms is not None and run.deadline_ms <= self.now_ms:
            return "queued"
        if run.retry_at_ms is not None:
            return "awaiting_retry"
        return "queued" if any(map(run.awaits, run.mail)) else STATUS_OF[run.waits[0].kind]

    def _requeue(self, run: Run) -> bool:
        if run.status != "stalled":
            return False
        run.crashes = 0
        self.queue(run)
        return True

    def _retry(self, run: Run) -> bool:
        if run.status != "failed":
            return False
        if run.cancel == "timeout" or not run.is_cancel_here:
            run.cancel, run.cancel_delivered, run.is_cancel_here = None, False, False
        self.next_attempt(run)
        run.epoch += 1
        run.crashes, run.telling, run.finished_ms, run.deletable_since_ms = 0, "", None, None
        run.timeout_at_ms = None if run.timeout_ms is None else self.now_ms + run.timeout_ms
        self.queue(run)
        return True

    # -------------------------------------------------------------------------------------------------- what follows

    def put(self, run: Run, mail: Mail) -> None:
        run.mail.append(mail)
        if run.status in SUSPENDED and run.awaits(mail):
            self.queue(run)

    def queue(self, run: Run) -> None:
        run.due_ms, run.retry_at_ms = self.now_ms, None
        run.status = "queued"
        if run.pausing:
            run.status, run.pausing = "paused", False

    def release(self, run: Run) -> None:
        if run.owner is not None:
            run.owner, run.parked_on, run.grace_at_ms = None, None, None
            run.epoch += 1

    def next_attempt(self, run: Run) -> None:
        run.attempt += 1
        run.begun, run.waits = False, []
        run.mail = [mail for mail in run.mail if mail.kind == "event"]

    def finish(self, run: Run, status: str) -> None:
        run.status, run.finished_ms = status, self.now_ms
        run.owner, run.parked_on, run.due_ms, run.retry_at_ms, run.grace_at_ms = None, None, None, None, None
        run.waits, run.pausing = [], False
        run.mail = [mail for mail in run.mail if mail.kind != "child_result"]
        cancels_all = status == "cancelled" or (status == "failed" and run.cancel is not None)
        run.telling = "" if not run.children else "all" if cancels_all else "following"
        for other in list(self.runs.values()):
            for wait in list(other.waits):
                result = Mail("child_result", run.id, wait.ordinal)
                if (wait.kind, wait.name) == ("child_result", run.id) and result not in other.mail:
                    self.put(other, result)  # the first end counts, whatever a retry makes of it later

    def end_cancelled(self, run: Run) -> None:
        self.finish(run, "failed" if run.cancel == "timeout" else "cancelled")

    # ------------------------------------------------------------------------------------------------------- workers

    def ready(self, workflow: str) -> list[Run]:
        found = [run for run in self.runs.values() if (run.status, run.workflow) == ("queued", workflow)]
        return sorted(found, key=lambda run: (-run.priority, run.due_ms or 0, run.id))

    def is_suspect_held(self, session: str) -> bool:
        return any(run.owner == session and run.crashes >= 2 for run in self.runs.values())

    def claim(self, run: Run, session: str) -> None:
        run.status, run.owner, run.begun, run.heard_of = "running", session, True, False
        run.epoch, run.turn, run.due_ms, run.parked_on = run.epoch + 1, 0, None, None
        run.grace_at_ms = self.now_ms + GRACE_MS if run.cancel_delivered else None

    def settle_commit(self, run: Run, outcome: str, *, delivered: int, has_news: bool, parks: bool) -> None:
        """Leave a run as its owner's turn does; its waits, mail and values are what the turn has made them."""
        run.turn += 1
        if delivered:
            run.crashes = 0
        owner = run.owner if parks else None
        match outcome:
            case "running":
                pass
            case "suspended" if run.pausing or not has_news:
                run.mail = [mail for mail in run.mail if mail.kind != "wake" or run.pausing]
                run.owner, run.parked_on, run.grace_at_ms = None, owner, None
                run.status = "paused" if run.pausing else STATUS_OF[run.waits[0].kind]
                run.pausing = False
            case "paused" if run.pausing:
                run.owner, run.parked_on, run.grace_at_ms = None, owner, None
                run.status, run.pausing, run.due_ms = "paused", False, self.now_ms
            case "completed":
                self.finish(run, "completed")
            case "failed" if run.cancel is None and run.attempt < run.attempts_max:
                run.owner, run.parked_on = None, None
                self.next_attempt(run)
                run.status, run.retry_at_ms = "awaiting_retry", self.now_ms + RETRY_MS
                if run.pausing:
                    run.status, run.pausing = "paused", False
            case "failed":
                self.finish(run, "failed")
            case "cancelled":
                self.end_cancelled(run)
            case "stalled" if run.cancel is not None:
                self.end_cancelled(run)
            case "stalled":
                run.status, run.owner, run.parked_on, run.pausing = "stalled", None, None, False
            case "continued":
                run.chapter += 1
                run.waits, run.is_cancel_here = [], False
                run.mail = [mail for mail in run.mail if mail.kind != "child_result"]

    def give_back(self, run: Run) -> None:
        self.release(run)
        self.queue(run)

    def lose(self, run: Run, *, heard_of: bool) -> None:
        """Take a run from a worker that is dead."""
        run.crashes += heard_of or run.turn > 0
        self.release(run)
        if run.crashes < CRASHES_MAX:
            self.queue(run)
        elif run.cancel is not None:
            self.end_cancelled(run)
        else:
            run.status, run.pausing = "stalled", False

    # --------------------------------------------------------------------------------------------------------- clock

    def ring(self) -> None:
        """Do everything that is due now."""
        changed = True
        while changed:
            due = [run for run in self.runs.values() if not run.telling]
            telling = [run for run in self.runs.values() if run.telling]
            rung = [self._ring(run) for run in (*due, *telling)]
            ticked = [self._tick(name, schedule) for name, schedule in sorted(self.schedules.items())]
            changed = any(rung) or any(ticked)
        for run in self.runs.values():
            parent = self.runs.get(run.parent or "")
            is_kept = run.finished_ms is None or (parent is not None and not parent.is_over)
            if is_kept or (run.finished_ms or 0) + RETENTION_MS > self.now_ms:
                run.deletable_since_ms = None
            elif run.deletable_since_ms is None:
                run.deletable_since_ms = self.now_ms

    def _ring(self, run: Run) -> bool:
        if run.telling:
            telling, run.telling = run.telling, ""
            for child in [self.runs[child_id] for child_id in run.children if child_id in self.runs]:
                if child.parent == run.id and (telling == "all" or child.follows) and child.cancel is None:
                    self.cancel(child, "parent")
            return True
        if run.is_over or run.status in ("paused", "stalled"):
            return False
        if run.grace_at_ms is not None and run.grace_at_ms <= self.now_ms:
            self.release(run)
            self.end_cancelled(run)
            return True
        if run.cancel is None and run.timeout_at_ms is not None and run.timeout_at_ms <= self.now_ms:
            if run.status == "scheduled" or run.retry_at_ms is not None or not run.begun:
                run.cancel = "timeout"
                self.finish(run, "failed")
            else:
                self.cancel(run, "timeout")
            return True
        due_ms = run.due_ms if run.status == "scheduled" else run.deadline_ms
        if run.status in SUSPENDED | {"scheduled"} and due_ms is not None and due_ms <= self.now_ms:
            self.queue(run)
            return True
        return False

    # ----------------------------------------------------------------------------------------------------- schedules

    def _tick(self, name: str, schedule: Schedule) -> bool:
        if schedule.is_paused or schedule.next_ms > self.now_ms:
            return False
        newest_ms = schedule.next_ms + (self.now_ms - schedule.next_ms) // schedule.every_ms * schedule.every_ms
        judged_ms = schedule.next_ms if schedule.catch_up == "all" else newest_ms
        schedule.next_ms = judged_ms + schedule.every_ms
        if schedule.catch_up != "none" or self.now_ms - newest_ms <= ON_TIME_MS:
            self.fire(name, schedule)
        return True

    def fire(self, name: str, schedule: Schedule) -> bool:
        """Start what a schedule starts, unless its overlap rule forbids it."""
        still_open = [run for run in self.runs.values() if run.schedule == name and not run.is_over]
        if schedule.overlap == "skip" and (still_open or self._is_expected(name)):
            return False
        if schedule.overlap == "cancel_previous":
            for run in still_open:
                self.cancel(run, "person")
            self.expected = [
                (other, value, "cancelled" if other == name else status) for other, value, status in self.expected
            ]
        self.expected.append((name, schedule.value, "queued"))
        return True

    def _is_expected(self, name: str) -> bool:
        return any((other, status) == (name, "queued") for other, _, status in self.expected)
