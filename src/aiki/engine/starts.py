"""How runs begin: from a client, as the child of another, or by a schedule.

The rule: a start that is repeated is the same start. The caller makes the run's id, so a copy finds the run that the
first one made; a reference id, unique per namespace and workflow across versions, finds the run that bears it, if its
input is the same or the caller takes what there is.
"""

from msgspec.structs import replace

from aiki.engine import problems
from aiki.engine.moves import NOT_CLAIMED, alarm_of
from aiki.model.lifecycle import Reason, Status
from aiki.model.run import Cascade, NewRun, ParentClose, RunRow
from aiki.model.schedule import ScheduleRow
from aiki.model.wire import ChildStart, ChildStarted, Problem, RunOptions, Started, StartRun
from aiki.model.working_set import History, WorkingSet

__all__ = ["start", "start_child", "start_scheduled"]


def start(ws: WorkingSet, request: StartRun) -> Started:
    """Start a run, or answer with the one that was meant."""
    found = _existing(ws, request)
    if isinstance(found, Problem):
        return Started(request.run_id, problem=found)
    if found is not None:
        return Started(found.id, found.version, existed=True)
    row = _insert(ws, request, parent=None)
    return Started(row.id, row.version)


def start_child(ws: WorkingSet, parent: RunRow, child: ChildStart, *, repeated: bool) -> ChildStarted:
    """Start a child of `parent`, or answer again what became of it (`repeated`: nothing is started)."""
    request = StartRun(
        child.run_id, parent.namespace, child.workflow, child.version, child.input, child.input_hash, child.options
    )
    found = _existing(ws, request)
    if found is None and repeated:
        found = problems.run_not_found(child.run_id)  # it has ended, and was deleted since
    if isinstance(found, Problem):
        return ChildStarted(child.key, child.run_id, refusal=problems.failure_of(found))
    row = found or _insert(ws, request, parent=parent)
    return ChildStarted(child.key, row.id, row.version)


def start_scheduled(ws: WorkingSet, row: ScheduleRow, run_id: str) -> RunRow:
    """Start a run of a schedule."""
    meant = row.definition
    request = StartRun(
        run_id=run_id,
        namespace=row.namespace,
        workflow=meant.workflow,
        version=meant.version,
        input=meant.input,
        input_hash=meant.input_hash,
        options=meant.options,
    )
    return _insert(ws, request, parent=None, schedule=row.name)


def _existing(ws: WorkingSet, request: StartRun) -> RunRow | Problem | None:
    """Return the run that a start means, if it is there, or why it cannot be meant."""
    named = ws.runs.get(request.run_id)
    if named is not None and _is_same(named, request):
        return named
    options = request.options
    taken = None if named is None else problems.run_id_taken(request.run_id)
    if options.reference_id is None:
        return taken
    run_id = ws.references.get((request.namespace, request.workflow, options.reference_id))
    if run_id is None:
        return taken
    row = ws.runs[run_id]
    if row.input_hash == request.input_hash or options.conflict == "return_existing":
        return row
    return problems.reference_conflict(row)


def _is_same(row: RunRow, request: StartRun) -> bool:
    return (row.namespace, row.workflow, row.input_hash) == (request.namespace, request.workflow, request.input_hash)


def _insert(ws: WorkingSet, request: StartRun, *, parent: RunRow | None, schedule: str | None = None) -> RunRow:
    options = request.options
    start_at_ms = _start_at_ms(options, now_ms=ws.now_ms)
    row = RunRow(
        id=request.run_id,
        namespace=request.namespace,
        workflow=request.workflow,
        version=request.version,
        pool=options.pool,
        reference_id=options.reference_id,
        input_hash=request.input_hash,
        parent_id=None if parent is None else parent.id,
        parent_close=ParentClose.ABANDON if parent is None else options.parent_close,
        root_id=request.run_id if parent is None else parent.root_id,
        status=Status.QUEUED if start_at_ms <= ws.now_ms else Status.SCHEDULED,
        version_no=1,
        epoch=0,
        turn=0,
        attempt=1,
        chapter=1,
        seq=0,
        mail=0,
        effects=0,
        waits=0,
        deadline_ms=None,
        alarm_at_ms=None,
        due_at_ms=start_at_ms,
        priority=options.priority,
        session_id=None,
        parked_on=None,
        claimed_poll=NOT_CLAIMED,
        crashes=0,
        cancel=None,
        cancel_reason=None,
        cancel_delivered=False,
        timeout_ms=options.timeout_ms,
        timeout_at_ms=None if options.timeout_ms is None else start_at_ms + options.timeout_ms,
        retry=options.retry,
        clock_ms=None,
        why=None,
        has_children=False,
        cascade=Cascade.NONE,
        created_at_ms=ws.now_ms,
        started_at_ms=None,
        finished_at_ms=None,
        schedule=schedule,
    )
    row = replace(row, alarm_at_ms=alarm_of(row, now_ms=ws.now_ms, grace_ms=ws.cancel_grace_ms))
    ws.insert_run(NewRun(row, request.input, options.tags))
    ws.history.append(History(row.id, ws.now_ms, None, row.status, Reason.STARTED))
    return row


def _start_at_ms(options: RunOptions, *, now_ms: int) -> int:
    """When it may begin, never before now: a run's own timeout counts from there."""
    if options.start_at_ms is not None:
        return max(options.start_at_ms, now_ms)
    return now_ms + max(options.delay_ms or 0, 0)
