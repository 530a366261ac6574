"""What holds after every transaction, as named checks over plain rows.

The rule: a check looks only at rows, never at how they came about, so that tests and simulation can call it after each
transaction of whatever store. Each bears the number of its sentence in the design:

    1   an open run has a next step, and none that is stale
    2   the journal only grows, without gaps, and answers no call twice
    3   epochs only grow, and within one there is one owner
    4   nothing accepted is lost; each event is taken at most once, in order of arrival per name
    5   a terminal status is final; every wait on a finished run is settled with its result
    6   no timer rings early
    7   a task with a recorded result is not executed again
    8   nothing is asked for before it is recorded what led to it
    9   namespaces never see one another

2, 3, 4 and 5 are about what was before, too: they say more when the previous snapshot is given.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from aiki.engine.inbox import concerns
from aiki.engine.moves import awaits_own_retry
from aiki.engine.retention import ATTEMPTS_KEPT, CHAPTERS_KEPT
from aiki.model.journal import Entry, EntryKind, Mail, MailKind, Wait
from aiki.model.lifecycle import SUSPENDED, Status
from aiki.model.run import Cascade, ParentClose, RunEnd, RunRow, SessionRow, Waiter

__all__ = ["CHECKS", "Snapshot", "Violation", "check"]

Place = tuple[str, int, int]  # run id, chapter, attempt


class Snapshot(Struct, frozen=True):
    """All rows of a store at one moment. Rows that a mapping lacks are none.

    `unread` holds messages in the order of their numbers, `entries` those of an attempt in the order of `seq`.
    """

    now_ms: int
    runs: Mapping[str, RunRow] = {}
    ends: Mapping[str, RunEnd] = {}
    entries: Mapping[Place, Sequence[Entry]] = {}
    waits: Mapping[str, Sequence[Wait]] = {}
    unread: Mapping[str, Sequence[Mail]] = {}
    waiters: Sequence[Waiter] = ()
    sessions: Mapping[str, SessionRow] = {}


class Violation(Struct, frozen=True):
    """A sentence of the design that does not hold, for which run, and what was found."""

    name: str
    run_id: str
    message: str


Found = Iterator[tuple[str, str]]  # run id, message


def check(snapshot: Snapshot, previous: Snapshot | None = None) -> list[Violation]:
    """Return every violation; `previous` is the snapshot before the last transaction, where there was one."""
    return [
        Violation(name, run_id, message)
        for name, found in CHECKS.items()
        for run_id, message in found(snapshot, previous or snapshot)
    ]


# ------------------------------------------------------------------------------------------------------ 1: next steps


def _has_next_step(now: Snapshot, _: Snapshot) -> Found:
    """1: a run that is not terminal is ready, owned, waits for something that can come, or stands with a person."""
    for row in now.runs.values():
        match row.status:
            case Status.QUEUED if row.due_at_ms is None:
                yield row.id, "queued, but not since any time"
            case Status.SCHEDULED if row.alarm_at_ms is None:
                yield row.id, "scheduled without an alarm"
            case Status.RUNNING if row.session_id not in now.sessions:
                yield row.id, f"owned by session {row.session_id}, which is not there"
            case status if status in SUSPENDED:
                if row.waits == 0 and not (awaits_own_retry(row) and row.deadline_ms is not None):
                    yield row.id, f"{row.status} without an open wait"
                if row.waits == 0 and row.alarm_at_ms is None:
                    yield row.id, f"{row.status} without an alarm"


def _has_no_stale_step(now: Snapshot, _: Snapshot) -> Found:
    """1: nothing is left over from where the run stood before."""
    for row in now.runs.values():
        if row.status is not Status.RUNNING and row.session_id is not None:
            yield row.id, f"{row.status}, but still owned by session {row.session_id}"
        if row.status not in SUSPENDED | {Status.QUEUED, Status.PAUSED} and row.parked_on is not None:
            yield row.id, f"{row.status}, but still parked on session {row.parked_on}"
        if row.is_terminal and (row.waits or now.waits.get(row.id)):
            yield row.id, f"{row.status} with open waits"
        if row.is_terminal and (row.alarm_at_ms is None) is not (row.cascade is Cascade.NONE):
            yield row.id, f"{row.status} with alarm {row.alarm_at_ms} and cascade {row.cascade}"
        if row.status in (Status.PAUSED, Status.STALLED) and row.alarm_at_ms is not None:
            yield row.id, f"{row.status}, but the clock would look at it"
        if row.pause_mail is not None and (row.status is not Status.RUNNING or row.cancel is not None):
            yield row.id, f"{row.status}, cancelled by {row.cancel}, with an unanswered pause request"
        if row.status is Status.PAUSED and row.cancel is not None:
            yield row.id, "paused, but it is to be cancelled"
        if row.failed_seq is not None and row.status is not Status.FAILED:
            yield row.id, f"{row.status}, but says what failed it: entry {row.failed_seq}"


def _has_right_alarm(now: Snapshot, _: Snapshot) -> Found:
    """1: the alarm of a run that nobody owns is its earliest deadline or its timeout, and its rows agree."""
    for row in now.runs.values():
        if row.status not in SUSPENDED:
            continue
        waits = now.waits.get(row.id, ())
        if len(waits) != row.waits:
            yield row.id, f"says {row.waits} open waits, there are {len(waits)}"
        deadlines_ms = [wait.deadline_ms for wait in waits if wait.deadline_ms is not None]
        if waits and row.deadline_ms != min(deadlines_ms, default=None):
            yield row.id, f"says its earliest deadline is {row.deadline_ms}, it is {min(deadlines_ms, default=None)}"
        candidates_ms = [row.deadline_ms, row.timeout_at_ms if row.cancel is None else None]
        earliest_ms = min((moment for moment in candidates_ms if moment is not None), default=None)
        if row.alarm_at_ms != earliest_ms:
            yield row.id, f"alarm at {row.alarm_at_ms}, it should be {earliest_ms}"


def _leaves_no_mail_waiting(now: Snapshot, _: Snapshot) -> Found:
    """1: no unread message that concerns an open wait lies in the inbox of a suspended run."""
    for row in now.runs.values():
        if row.status not in SUSPENDED:
            continue
        open_keys = {wait.key for wait in now.waits.get(row.id, ())}
        for mail in now.unread.get(row.id, ()):
            if concerns(mail, open_keys):
                yield row.id, f"{row.status} while message {mail.number} ({mail.kind} {mail.name}) lies unread"


# -------------------------------------------------------------------------------------------------- 2, 3: the journal


def _has_whole_journal(now: Snapshot, _: Snapshot) -> Found:
    """2: `seq` has no gaps and ends where the row says; no call is answered twice in an attempt."""
    for (run_id, chapter, attempt), entries in now.entries.items():
        if [entry.seq for entry in entries] != list(range(1, len(entries) + 1)):
            yield run_id, f"chapter {chapter}, attempt {attempt}: seq runs {[entry.seq for entry in entries]}"
        keys = [entry.key for entry in entries if entry.key.kind is not EntryKind.CANCEL]
        for key in {key for key in keys if keys.count(key) > 1} if len(set(keys)) < len(keys) else ():
            yield run_id, f"chapter {chapter}, attempt {attempt}: {key} stands twice"
    for row in now.runs.values():
        length = len(now.entries.get((row.id, row.chapter, row.attempt), ()))
        if length != row.seq:
            yield row.id, f"says its journal has {row.seq} entries, it has {length}"


def _keeps_entries(now: Snapshot, before: Snapshot) -> Found:
    """2: within an attempt an entry, once recorded, never changes, and goes only long after it."""
    for place, entries in before.entries.items():
        row = now.runs.get(place[0])
        is_old = row is None or place[1] <= row.chapter - CHAPTERS_KEPT or place[2] <= row.attempt - ATTEMPTS_KEPT
        if not is_old and list(now.entries.get(place, ())[: len(entries)]) != list(entries):
            yield place[0], f"chapter {place[1]}, attempt {place[2]}: what was recorded has changed"


def _has_one_writer(now: Snapshot, before: Snapshot) -> Found:
    """3: epochs only grow; within one, turns only grow and the owner stays the same."""
    for row, old in _pairs(now, before):
        if row.epoch < old.epoch:
            yield row.id, f"epoch {row.epoch} after {old.epoch}"
        if row.epoch != old.epoch:
            continue
        lost_claim = old.session_id is not None and row.session_id is None and row.status is not Status.STALLED
        if lost_claim and row.turn == old.turn:
            yield row.id, f"its claim ended without a turn of its owner, and epoch {row.epoch} stands"
        if row.turn < old.turn:
            yield row.id, f"turn {row.turn} after {old.turn} in epoch {row.epoch}"
        if row.session_id is not None and row.session_id != old.session_id:
            yield row.id, f"claimed by {row.session_id} in the epoch {row.epoch} of {old.session_id}"
        if row.turn == old.turn and (row.chapter, row.attempt, row.seq) != (old.chapter, old.attempt, old.seq):
            yield row.id, f"its journal changed without a turn of epoch {row.epoch}"


# ------------------------------------------------------------------------------------------------- 4, 5: what is sent


def _loses_nothing(now: Snapshot, before: Snapshot) -> Found:
    """4: a started run is there until long after its end; an event is unread until an entry has taken it, or the run has ended."""
    for run_id in before.runs.keys() - now.runs.keys():
        old = before.runs[run_id]
        if not old.is_terminal or any(waiter.target_id == run_id for waiter in before.waiters):
            yield run_id, f"it is gone, and was {old.status}, or waited for"
        if old.cascade is not Cascade.NONE:
            for child in now.runs.values():
                follows = old.cascade is Cascade.ALL or child.parent_close is ParentClose.CANCEL
                if child.parent_id == run_id and follows and child.cancel is None and not child.is_terminal:
                    yield run_id, f"it is gone, and its child {child.id} was not told"
        parent_id = old.parent_id or ""
        parents = [rows.runs[parent_id] for rows in (before, now) if parent_id in rows.runs]
        if parents and not any(parent.is_terminal for parent in parents):
            yield run_id, f"it is gone, and its parent {parent_id} goes on"
    for run_id, old_mail in before.unread.items():
        row = now.runs.get(run_id)
        if row is None or row.is_terminal:
            continue
        there = {mail.number for mail in now.unread.get(run_id, ())}
        gone = [mail for mail in old_mail if mail.kind is MailKind.EVENT and mail.number not in there]
        taken = {number for number, _ in _taken(now, run_id)} if gone else set()
        for mail in gone:
            if mail.number not in taken:
                yield run_id, f"event {mail.name}, message {mail.number}, was neither taken nor is it unread"


def _takes_events_in_order(now: Snapshot, _: Snapshot) -> Found:
    """4: within an attempt each event is taken once, in order of arrival per name; what is taken is not unread.

    The order is that of the first attempt: a later one may keep what took a later event, and take a cut one again.
    """
    for (run_id, chapter, attempt), entries in now.entries.items():
        taken: dict[str, list[int]] = {}
        for entry in entries:
            if entry.key.kind is EntryKind.EVENT and entry.mail:
                taken.setdefault(entry.key.address, []).append(entry.mail)
        for name, numbers in taken.items():
            if len(set(numbers)) < len(numbers) or (attempt == 1 and sorted(numbers) != numbers):
                yield run_id, f"event {name}: the messages taken are {numbers}"
        row = now.runs.get(run_id)
        if row is not None and (chapter, attempt) == (row.chapter, row.attempt):
            unread = {mail.number for mail in now.unread.get(run_id, ())}
            for number in sorted(unread & {entry.mail for entry in entries}):
                yield run_id, f"message {number} was taken, and lies unread"


def _keeps_ends(now: Snapshot, before: Snapshot) -> Found:
    """5: a terminal status is final, and so is what was left behind; `failed` alone may be tried again."""
    for row, old in _pairs(now, before):
        retried = old.status is Status.FAILED and row.attempt > old.attempt
        if old.is_terminal and row.status is not old.status and not retried:
            yield row.id, f"{row.status} after {old.status}"
        if old.is_terminal and row.is_terminal and not retried and now.ends.get(row.id) != before.ends.get(row.id):
            yield row.id, "its end has changed"
    for row in now.runs.values():
        if row.is_terminal and (row.id not in now.ends or now.ends[row.id].status is not row.status):
            yield row.id, f"{row.status}, but that is not how it is said to have ended"


def _settles_waits(now: Snapshot, _: Snapshot) -> Found:
    """5: a wait on a run has a waiter until that run ends, and then one message with its result; no more is left."""
    waiters = set(now.waiters)
    open_waits = {
        Waiter(wait.key.address, run_id, wait.key.ordinal)
        for run_id, waits in now.waits.items()
        for wait in waits
        if wait.key.kind is EntryKind.CHILD_RESULT
    }
    for waiter in sorted(waiters):
        target = now.runs.get(waiter.target_id)
        if target is None or target.is_terminal:
            yield waiter.run_id, f"waits for {waiter.target_id}, which is not open"
        if waiter not in open_waits:
            yield waiter.run_id, f"is to hear of {waiter.target_id}, and has no wait for it"
    results: dict[Waiter, Mail] = {}
    for run_id, unread in now.unread.items():
        for mail in unread:
            if mail.kind is not MailKind.CHILD_RESULT:
                continue
            waiter = Waiter(mail.name, run_id, mail.ordinal)
            if waiter in results or waiter not in open_waits:
                yield run_id, f"message {mail.number} is a result of {mail.name} for no wait, or once too often"
            results[waiter] = mail
    for waiter in sorted(open_waits):
        target, result = now.runs.get(waiter.target_id), results.get(waiter)
        if target is None:
            continue
        if result is not None and (target.attempt > 1 or _is_older(result, target)):
            continue  # as of an end that a retry has left behind, or from before a run was started under a free id
        if not target.is_terminal and waiter not in waiters:
            yield waiter.run_id, f"waits for {target.id}, which does not know of it"
        if target.is_terminal and (result is None or not _tells(result, now.ends, target)):
            yield waiter.run_id, f"waits for {target.id}, which is {target.status}, without its result"


def _is_older(result: Mail, target: RunRow) -> bool:
    """Whether a result is that of a run which was deleted since, or says that there was none yet."""
    is_gone = result.status is None
    return result.at_ms < target.created_at_ms or (is_gone and result.at_ms == target.created_at_ms)


def _tells(result: Mail, ends: Mapping[str, RunEnd], target: RunRow) -> bool:
    end = ends.get(target.id)
    return end is not None and (result.status, result.payload, result.error) == (end.status, end.output, end.error)


# -------------------------------------------------------------------------------------------------- 6 to 9: what is so


def _rings_no_timer_early(now: Snapshot, _: Snapshot) -> Found:
    """6: what ended because its time had come ended no earlier."""
    for (run_id, _chapter, _attempt), entries in now.entries.items():
        for entry in entries:
            sleeps = entry.key.kind in (EntryKind.SLEEP, EntryKind.TIMER) and not entry.woken
            if (sleeps or entry.timed_out) and (entry.deadline_ms or 0) > min(now.now_ms, entry.at_ms):
                yield run_id, f"entry {entry.seq} rang at {entry.at_ms}, it was due at {entry.deadline_ms}"


def _executes_nothing_twice(now: Snapshot, _: Snapshot) -> Found:
    """7: a task with a recorded result does not wait for another attempt, nor does any call that is answered wait."""
    for row in now.runs.values():
        waits = now.waits.get(row.id, ())
        answered = {entry.key for entry in now.entries.get((row.id, row.chapter, row.attempt), ())} if waits else set()
        for wait in waits:
            if wait.key in answered:
                yield row.id, f"{wait.key} is answered, and waits"


def _asks_only_for_what_follows(now: Snapshot, _: Snapshot) -> Found:
    """8: a call was made after a delivery that is recorded: no entry or wait knows of one to come."""
    for (run_id, _chapter, _attempt), entries in now.entries.items():
        for entry in entries:
            if not 0 <= entry.asked < entry.seq:
                yield run_id, f"entry {entry.seq} was asked after entry {entry.asked}"
    for row in now.runs.values():
        for wait in now.waits.get(row.id, ()):
            if wait.asked > row.seq:
                yield row.id, f"{wait.key} was asked after entry {wait.asked} of {row.seq}"


def _keeps_namespaces_apart(now: Snapshot, _: Snapshot) -> Found:
    """9: owner, parent and waiters of a run are of its namespace."""

    def namespace(run_id: str | None) -> str | None:
        row = now.runs.get(run_id or "")
        return None if row is None else row.namespace

    for row in now.runs.values():
        session = now.sessions.get(row.session_id or "")
        if session is not None and session.namespace != row.namespace:
            yield row.id, f"of namespace {row.namespace}, owned by a session of {session.namespace}"
        if namespace(row.parent_id) not in (None, row.namespace):
            yield row.id, f"of namespace {row.namespace}, child of {row.parent_id} of {namespace(row.parent_id)}"
    for waiter in now.waiters:
        if None not in (pair := {namespace(waiter.run_id), namespace(waiter.target_id)}) and len(pair) > 1:
            yield waiter.run_id, f"waits for {waiter.target_id} of another namespace"


CHECKS: Final[Mapping[str, Callable[[Snapshot, Snapshot], Found]]] = {
    "1 has a next step": _has_next_step,
    "1 has no stale step": _has_no_stale_step,
    "1 has the right alarm": _has_right_alarm,
    "1 leaves no mail waiting": _leaves_no_mail_waiting,
    "2 has a whole journal": _has_whole_journal,
    "2 keeps entries": _keeps_entries,
    "3 has one writer": _has_one_writer,
    "4 loses nothing": _loses_nothing,
    "4 takes events in order": _takes_events_in_order,
    "5 keeps ends": _keeps_ends,
    "5 settles waits": _settles_waits,
    "6 rings no timer early": _rings_no_timer_early,
    "7 executes nothing twice": _executes_nothing_twice,
    "8 asks only for what follows": _asks_only_for_what_follows,
    "9 keeps namespaces apart": _keeps_namespaces_apart,
}


def _pairs(now: Snapshot, before: Snapshot) -> Iterator[tuple[RunRow, RunRow]]:
    for run_id, old in before.runs.items():
        if run_id in now.runs:
            yield now.runs[run_id], old


def _taken(now: Snapshot, run_id: str) -> Iterator[tuple[int, Entry]]:
    for place, entries in now.entries.items():
        if place[0] == run_id:
            yield from ((entry.mail, entry) for entry in entries if entry.mail)
