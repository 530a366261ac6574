"""The one door of the engine: a working set, a command and a moment in, an answer out.

The rule: a pure function. No input or output, no clock, no chance: whatever it changes stands on the working set
afterwards, and equal arguments change it equally. The shell around it loads what `keys_of` names, calls it for each
command of a batch in turn, hands ready runs over (`dispatch.assign`), and saves all of it in one transaction.
"""

from typing import assert_never, overload

from aiki.engine import alarms, bulk, commits, requests, retention, schedules, sessions, starts
from aiki.engine.commands import (
    Activate,
    Announced,
    Answer,
    Ask,
    AskSchedule,
    BeginJob,
    Command,
    CommitTurn,
    DeleteRun,
    Disable,
    ExpireSession,
    ForgetJob,
    ForgetSession,
    ForgetVersion,
    HandBackRuns,
    Poll,
    PollOutcome,
    RefuseTurn,
    Returned,
    RingAlarm,
    SayGoodbye,
    Send,
    StallUndelivered,
    Start,
    StepJob,
    Tick,
)
from aiki.model.many import BulkJob
from aiki.model.schedule import ScheduleStanding
from aiki.model.wire import CommitAnswer, Standing, Started
from aiki.model.working_set import WorkingSet

__all__ = ["decide"]


@overload
def decide(ws: WorkingSet, command: Start, now_ms: int) -> Started: ...
@overload
def decide(ws: WorkingSet, command: Send | Ask | RingAlarm | StallUndelivered | DeleteRun, now_ms: int) -> Standing: ...
@overload
def decide(ws: WorkingSet, command: Announced | Poll, now_ms: int) -> PollOutcome: ...
@overload
def decide(ws: WorkingSet, command: CommitTurn | RefuseTurn, now_ms: int) -> CommitAnswer: ...
@overload
def decide(
    ws: WorkingSet, command: HandBackRuns | SayGoodbye | ExpireSession | ForgetSession | ForgetVersion, now_ms: int
) -> Returned: ...
@overload
def decide(ws: WorkingSet, command: Activate | AskSchedule | Tick | Disable, now_ms: int) -> ScheduleStanding: ...
@overload
def decide(ws: WorkingSet, command: BeginJob, now_ms: int) -> BulkJob: ...
@overload
def decide(ws: WorkingSet, command: StepJob | ForgetJob, now_ms: int) -> BulkJob | None: ...
@overload
def decide(ws: WorkingSet, command: Command, now_ms: int) -> Answer: ...


def decide(ws: WorkingSet, command: Command, now_ms: int) -> Answer:
    """Judge a command, change the working set accordingly, and return the answer to whoever asked.

    Args:
        ws: holds all that `keys_of(command)` names.
        command: what is asked.
        now_ms: the store's clock, taken after the locks; the working set was made for the same moment.
    """
    assert now_ms == ws.now_ms
    match command:
        case Start(request):
            return starts.start(ws, request)
        case Send(event):
            return requests.send(ws, event)
        case Ask(request):
            return requests.ask(ws, request)
        case Announced(request, lease_ms):
            return sessions.announce(ws, request, lease_ms=lease_ms)
        case Poll(request, lease_ms):
            return sessions.poll(ws, request, lease_ms=lease_ms)
        case CommitTurn(commit):
            return commits.apply_commit(ws, commit)
        case RefuseTurn():
            return commits.refuse_turn(ws, command)
        case HandBackRuns(request):
            return sessions.hand_back(ws, request)
        case SayGoodbye(request):
            return sessions.goodbye(ws, request)
        case RingAlarm(run_id):
            return alarms.ring(ws, run_id)
        case StallUndelivered(run_id, undelivered_ms):
            return alarms.stall_undelivered(ws, run_id, undelivered_ms=undelivered_ms)
        case ExpireSession(session_id, at_opening, silent_after):
            return sessions.expire(ws, session_id, at_opening=at_opening, silent_after=silent_after)
        case Activate(request):
            return schedules.activate(ws, request)
        case AskSchedule(request):
            return schedules.ask(ws, request)
        case Tick(namespace, name):
            return schedules.tick(ws, namespace, name)
        case Disable(namespace, name, error):
            return schedules.disable(ws, namespace, name, error=error)
        case DeleteRun():
            return retention.delete(ws, command)
        case ForgetSession(session_id, kept_ms):
            return retention.forget_session(ws, session_id, kept_ms=kept_ms)
        case ForgetJob(job_id, kept_ms):
            return retention.forget_job(ws, job_id, kept_ms=kept_ms)
        case ForgetVersion():
            return retention.forget_version(ws, command)
        case BeginJob(request):
            return bulk.start_job(ws, request)
        case StepJob():
            return bulk.step_job(ws, command)
        case _:
            assert_never(command)
