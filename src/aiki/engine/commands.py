"""Everything that can be asked of the engine, and what it answers: two closed unions.

The rule: a command says who wants what and carries ids made by its sender, so that it can be repeated; it is judged by
`decide` alone, on rows locked beforehand by what `keys_of` names. What waits for an answer gets one of the messages of
`model/wire.py`, or one of the outcomes below, which the server turns into them.

    from clients    Start · Send · Ask · Activate · AskSchedule · BeginJob
    from workers    Announced · Poll · CommitTurn · RefuseTurn · HandBackRuns · SayGoodbye
    from the clock  RingAlarm · StallUndelivered · ExpireSession · Tick · Disable · StepJob
                    DeleteRun · ForgetSession · ForgetJob · ForgetVersion
"""

from typing import TypeAlias

from msgspec import Struct

from aiki.model.many import BulkJob, RunProblem, StartJob
from aiki.model.schedule import ActivateSchedule, ScheduleRequest, ScheduleStanding
from aiki.model.wire import (
    Announce,
    Commit,
    CommitAnswer,
    Control,
    Goodbye,
    HandBack,
    Lost,
    NewMail,
    PollRequest,
    Problem,
    SendEvent,
    Standing,
    Started,
    StartRun,
)

__all__ = [
    "Activate",
    "Announced",
    "Answer",
    "Ask",
    "AskSchedule",
    "BeginJob",
    "Command",
    "CommitTurn",
    "DeleteRun",
    "Disable",
    "ExpireSession",
    "ForgetJob",
    "ForgetSession",
    "ForgetVersion",
    "HandBackRuns",
    "Poll",
    "PollOutcome",
    "RefuseTurn",
    "Returned",
    "RingAlarm",
    "SayGoodbye",
    "Send",
    "StallUndelivered",
    "Start",
    "StepJob",
    "Tick",
]


class Start(Struct, frozen=True):
    """Start a run. Answer: `Started`."""

    request: StartRun


class Send(Struct, frozen=True):
    """Send an event to a run. Answer: `Standing`."""

    event: SendEvent


class Ask(Struct, frozen=True):
    """Ask something of a run: cancel, terminate, pause, resume, wake, requeue, retry. Answer: `Standing`."""

    request: Control


class Activate(Struct, frozen=True):
    """Activate a schedule. Answer: `ScheduleStanding`."""

    request: ActivateSchedule


class AskSchedule(Struct, frozen=True):
    """Pause, resume, trigger or deactivate a schedule. Answer: `ScheduleStanding`."""

    request: ScheduleRequest


class Announced(Struct, frozen=True):
    """A worker opens a session, leased for `lease_ms`. Answer: `PollOutcome`."""

    announce: Announce
    lease_ms: int


class Poll(Struct, frozen=True):
    """A worker renews its session and states what it holds. Answer: `PollOutcome`.

    Work is not handed out by the poll but after the batch, by `dispatch.assign`, to the polls that wait.
    """

    request: PollRequest
    lease_ms: int


class CommitTurn(Struct, frozen=True):
    """The owner of a run makes a turn durable. Answer: `CommitAnswer`."""

    commit: Commit


class RefuseTurn(Struct, frozen=True):
    """The server cannot take a commit for good (too large, not storable): the run stalls. Answer: `CommitAnswer`."""

    run_id: str
    epoch: int
    turn: int
    problem: Problem


class HandBackRuns(Struct, frozen=True):
    """A worker gives up claims. Answer: `Returned`."""

    request: HandBack


class SayGoodbye(Struct, frozen=True):
    """A session ends by itself. Answer: `Returned`; while it says `more`, the command is to be repeated."""

    request: Goodbye


class RingAlarm(Struct, frozen=True):
    """A run's alarm may be due. Answer: `Standing`; a cascade that is not finished leaves the alarm due."""

    run_id: str


class StallUndelivered(Struct, frozen=True):
    """A run may have been queued for `undelivered_ms` without any worker taking it: it stalls. Answer: `Standing`."""

    run_id: str
    undelivered_ms: int


class ExpireSession(Struct, frozen=True):
    """A session may be over: its lease has passed, its process held this database before us, or it is silent.

    Answer: `Returned`; while it says `more`, the command is to be repeated.

    Attributes:
        at_opening: its process is gone for sure.
        silent_after: it has been silent since the poll of this number, unless a newer one has come.
    """

    session_id: str
    at_opening: bool = False
    silent_after: int | None = None


class Tick(Struct, frozen=True):
    """A schedule's tick may be due. Answer: `ScheduleStanding`; while more are due, its alarm stays due."""

    namespace: str
    name: str


class Disable(Struct, frozen=True):
    """A schedule's tick could not be judged or stored: it is disabled with why. Answer: `ScheduleStanding`."""

    namespace: str
    name: str
    error: str


class DeleteRun(Struct, frozen=True):
    """A run may have been over for `retention_ms`: it is deleted with all that belongs to it. Answer: `Standing`.

    Attributes:
        parent_id: its parent, which never changes: whoever found the run names it, so that it is locked as well.
    """

    run_id: str
    parent_id: str | None
    retention_ms: int


class ForgetSession(Struct, frozen=True):
    """A session may have been over for `kept_ms` and own nothing: its row is deleted. Answer: `Returned`."""

    session_id: str
    kept_ms: int


class ForgetJob(Struct, frozen=True):
    """A bulk job may have been done for `kept_ms`: it is deleted. Answer: `BulkJob` as it was, None if it is not there."""

    job_id: str
    kept_ms: int


class ForgetVersion(Struct, frozen=True):
    """A version that nobody serves or uses any more goes, unless it was announced anew meanwhile. Answer: `Returned`."""

    namespace: str
    workflow: str
    version: str
    announced_at_ms: int


class BeginJob(Struct, frozen=True):
    """Begin a bulk job. Answer: `BulkJob`."""

    request: StartJob


class StepJob(Struct, frozen=True):
    """Do the next part of a bulk job. Answer: `BulkJob` as it stands after it, None if it is not there.

    Attributes:
        step: the number of the part; another than the next changes nothing.
        requests: what is asked of the runs of this part; `refused` are runs that could not be asked.
        cursor: where the part after it begins; `is_last`: there is none.
    """

    job_id: str
    step: int
    requests: tuple[Control, ...]
    refused: tuple[RunProblem, ...] = ()
    cursor: str | None = None
    is_last: bool = False


Command: TypeAlias = (
    Start
    | Send
    | Ask
    | Announced
    | Poll
    | CommitTurn
    | RefuseTurn
    | HandBackRuns
    | SayGoodbye
    | RingAlarm
    | StallUndelivered
    | ExpireSession
    | Activate
    | AskSchedule
    | Tick
    | Disable
    | DeleteRun
    | ForgetSession
    | ForgetJob
    | ForgetVersion
    | BeginJob
    | StepJob
)


class PollOutcome(Struct, frozen=True):
    """What a poll, or an announcement, found.

    Attributes:
        over: the session has ended, or was never announced: the worker opens a new one.
        stale: a copy of a poll that a later one has overtaken: it renews nothing and is handed nothing.
        lost: held runs whose claim has ended.
        mail: new messages for held runs.
        retold: runs assigned to this session that it does not know of; each stands in `ws.claims`, with the epoch that
            it has, so their assignments are read like those of new claims.
    """

    session_id: str
    over: bool = False
    stale: bool = False
    lost: tuple[Lost, ...] = ()
    mail: tuple[NewMail, ...] = ()
    retold: tuple[str, ...] = ()


class Returned(Struct, frozen=True):
    """Runs that went back to the queue (or stalled), and whether the session may hold more of them."""

    session_id: str
    runs: tuple[str, ...] = ()
    more: bool = False


Answer: TypeAlias = Started | Standing | CommitAnswer | PollOutcome | Returned | ScheduleStanding | BulkJob | None
