"""What becomes of schedules: activated, paused, resumed, triggered, deactivated; and their ticks.

The rule: a tick is judged once. Under the schedule's lock, one transaction moves `next_at_ms` past it and inserts its
run, whose id follows from schedule and tick; a tick not after `last_tick_ms` is never judged again, whatever the
definition has become. One call judges one tick: what was missed is made good tick by tick, each in its own transaction.
"""

from itertools import islice, takewhile
from typing import assert_never

from msgspec.structs import replace

from aiki.engine import problems
from aiki.engine.requests import request_cancel
from aiki.engine.starts import start_scheduled
from aiki.model.ids import derived_id
from aiki.model.run import CancelKind, RunRow
from aiki.model.schedule import (
    CATCH_UP_MAX,
    ON_TIME_MS,
    ActivateSchedule,
    CatchUp,
    Overlap,
    ScheduleRequest,
    ScheduleRow,
    ScheduleStanding,
    ScheduleStatus,
)
from aiki.model.timing import last_tick, next_tick, ticks
from aiki.model.working_set import WorkingSet

__all__ = ["activate", "ask", "disable", "tick"]

NO_MORE = "it has no further tick"
OVERTAKEN = "the next tick of schedule {name} has come"


def activate(ws: WorkingSet, request: ActivateSchedule) -> ScheduleStanding:
    """Make a schedule what is asked for; the same again changes nothing.

    Ticks of the old definition that are due and not judged yet are its own: they are judged first.
    """
    row = ws.schedules.get((request.namespace, request.name))
    if row is None:
        row = ScheduleRow(
            namespace=request.namespace,
            name=request.name,
            definition=request.definition,
            status=ScheduleStatus.ACTIVE,
            next_at_ms=None,
            anchor_ms=ws.now_ms,
            created_at_ms=ws.now_ms,
            changed_at_ms=ws.now_ms,
        )
        return _standing(ws.put_schedule(_from_now(ws, row)), changed=True)
    if row.definition.is_same(request.definition):
        return _standing(row, changed=False)
    if request.on_change == "error":
        return replace(_standing(row, changed=False), problem=problems.schedule_conflict(row))
    if row.definition.timing != request.definition.timing:
        for _ in range(CATCH_UP_MAX):
            if row.status is not ScheduleStatus.ACTIVE or row.next_at_ms is None or row.next_at_ms > ws.now_ms:
                break
            row = _judge(ws, row)
        row = _from_now(ws, replace(row, definition=request.definition, anchor_ms=ws.now_ms))
    if row.status is ScheduleStatus.DISABLED:
        row = _from_now(ws, replace(row, definition=request.definition, status=ScheduleStatus.ACTIVE, error=None))
    row = ws.put_schedule(replace(row, definition=request.definition, changed_at_ms=ws.now_ms))
    return _standing(row, changed=True)


def ask(ws: WorkingSet, request: ScheduleRequest) -> ScheduleStanding:
    """Do what a person asks of a schedule, or answer that nothing was there to do."""
    row = ws.schedules.get((request.namespace, request.name))
    if row is None:
        if request.verb == "deactivate":  # a repeat gets the answer of the first, or nothing was there
            return ScheduleStanding(request.name)
        return ScheduleStanding(request.name, problem=problems.schedule_not_found(request.name))
    match request.verb:
        case "pause":
            if row.status is not ScheduleStatus.ACTIVE:
                return _standing(row, changed=False)
            return _standing(ws.put_schedule(replace(row, status=ScheduleStatus.PAUSED)), changed=True)
        case "resume":
            return _resume(ws, row)
        case "trigger":
            return _trigger(ws, row, request)
        case "deactivate":
            ws.remove_schedule(row)
            return ScheduleStanding(row.name, changed=True)
        case _:
            assert_never(request.verb)


def tick(ws: WorkingSet, namespace: str, name: str) -> ScheduleStanding:
    """Judge the tick of a schedule that may be due."""
    row = ws.schedules.get((namespace, name))
    if row is None:
        return ScheduleStanding(name)
    if row.alarm_at_ms is None or row.alarm_at_ms > ws.now_ms:
        return _standing(row, changed=False)
    return _standing(ws.put_schedule(_judge(ws, row)), changed=True)


def disable(ws: WorkingSet, namespace: str, name: str, *, error: str) -> ScheduleStanding:
    """Disable a schedule whose tick failed, with what it failed of."""
    row = ws.schedules.get((namespace, name))
    if row is None or row.status is ScheduleStatus.DISABLED:
        return ScheduleStanding(name)
    row = replace(row, status=ScheduleStatus.DISABLED, error=error)
    return _standing(ws.put_schedule(row), changed=True)


def _judge(ws: WorkingSet, row: ScheduleRow) -> ScheduleRow:
    """Judge the first due tick that counts, and move on to the next."""
    row, tick_ms = _counting(ws, row)
    if tick_ms is not None:
        run_id = derived_id("schedule", row.namespace, row.name, tick_ms)
        if _start(ws, row, run_id) is None:
            row = replace(row, skipped=row.skipped + 1)
        else:
            row = replace(row, fired=row.fired + 1)
        row = replace(row, last_tick_ms=tick_ms)
    following_ms = _next(row, after_ms=row.last_tick_ms)
    if following_ms is None:
        return replace(row, next_at_ms=None, status=ScheduleStatus.DISABLED, error=NO_MORE)
    return replace(row, next_at_ms=following_ms)


def _counting(ws: WorkingSet, row: ScheduleRow) -> tuple[ScheduleRow, int | None]:
    """Return which of the due ticks is to be judged now, None if none is; those before it are passed over."""
    first_ms = row.next_at_ms
    assert first_ms is not None
    timing, anchor_ms, now_ms = row.definition.timing, row.anchor_ms, ws.now_ms
    if row.definition.catch_up is CatchUp.ALL:
        return row, _first_of_newest(row, first_ms, now_ms=now_ms)
    newest_ms = last_tick(timing, after_ms=first_ms, until_ms=now_ms, anchor_ms=anchor_ms) or first_ms
    if row.definition.catch_up is CatchUp.NONE and now_ms - newest_ms > ON_TIME_MS:
        return replace(row, last_tick_ms=newest_ms), None
    return row, newest_ms


def _first_of_newest(row: ScheduleRow, first_ms: int, *, now_ms: int) -> int:
    """Return the first of the newest `CATCH_UP_MAX` ticks that are due."""
    if _due(row, first_ms - 1, now_ms=now_ms) <= CATCH_UP_MAX:
        return first_ms
    low_ms, high_ms = first_ms, now_ms  # after low there are too many, after high there are none
    while high_ms - low_ms > 1:  # bounded: each step halves what lies between
        middle_ms = (low_ms + high_ms) // 2
        if _due(row, middle_ms, now_ms=now_ms) > CATCH_UP_MAX:
            low_ms = middle_ms
        else:
            high_ms = middle_ms
    return _next(row, after_ms=high_ms) or first_ms


def _due(row: ScheduleRow, after_ms: int, *, now_ms: int) -> int:
    """Return how many ticks are due after a moment; counting stops where there are too many."""
    found = ticks(row.definition.timing, after_ms=after_ms, anchor_ms=row.anchor_ms)
    due = takewhile(lambda tick_ms: tick_ms <= now_ms, found)
    return sum(1 for _ in islice(due, CATCH_UP_MAX + 1))


def _resume(ws: WorkingSet, row: ScheduleRow) -> ScheduleStanding:
    """Let it go on. What it missed while paused is made good, as its rule says; what it missed while disabled is not."""
    if row.status is ScheduleStatus.ACTIVE:
        return _standing(row, changed=False)
    if row.status is ScheduleStatus.DISABLED or row.definition.catch_up is CatchUp.NONE:
        row = _from_now(ws, row)
    row = replace(row, status=ScheduleStatus.ACTIVE, error=None)
    return _standing(ws.put_schedule(row), changed=True)


def _trigger(ws: WorkingSet, row: ScheduleRow, request: ScheduleRequest) -> ScheduleStanding:
    """Start a run now, beside its ticks; its overlap rule counts here, too."""
    named = ws.runs.get(request.run_id)
    if named is not None:
        if (named.namespace, named.schedule) != (row.namespace, row.name):
            return replace(_standing(row, changed=False), problem=problems.run_id_taken(request.run_id))
        return replace(_standing(row, changed=True), run_id=named.id)
    started = _start(ws, row, request.run_id)
    return replace(_standing(row, changed=started is not None), run_id=None if started is None else started.id)


def _start(ws: WorkingSet, row: ScheduleRow, run_id: str) -> RunRow | None:
    """Start a run of the schedule; None where its overlap rule passes the tick over."""
    open_ids = ws.open_of.get((row.namespace, row.name), [])
    still_open = [ws.runs[open_id] for open_id in open_ids if not ws.runs[open_id].is_terminal]
    match row.definition.overlap:
        case Overlap.ALLOW:
            pass
        case Overlap.SKIP:
            if still_open:
                return None
        case Overlap.CANCEL_PREVIOUS:
            for previous in still_open:
                reason = OVERTAKEN.format(name=row.name)
                message_id = derived_id("overlap", run_id, previous.id)
                request_cancel(ws, previous, CancelKind.PERSON, reason=reason, message_id=message_id)
        case _:
            assert_never(row.definition.overlap)
    started = start_scheduled(ws, row, run_id)
    ws.open_of.setdefault((row.namespace, row.name), []).append(started.id)
    return started


def _from_now(ws: WorkingSet, row: ScheduleRow) -> ScheduleRow:
    """Return it with its next tick after now; `activate` has seen to it that there is one."""
    return replace(row, next_at_ms=_next(row, after_ms=max(ws.now_ms, row.last_tick_ms)))


def _next(row: ScheduleRow, *, after_ms: int) -> int | None:
    return next_tick(row.definition.timing, after_ms=after_ms, anchor_ms=row.anchor_ms)


def _standing(row: ScheduleRow, *, changed: bool) -> ScheduleStanding:
    return ScheduleStanding(row.name, row.status, changed=changed, next_at_ms=row.alarm_at_ms)
