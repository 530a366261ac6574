"""All addresses of the API, in one table.

The rule: the router, the OpenAPI document and the reference in the documentation are made from `ROUTES`; a path that is
not in it does not exist.
"""

from typing import Final

from msgspec import Raw

from aiki.model.changes import Changes
from aiki.model.schedule import ScheduleInfo, SchedulePage, ScheduleStanding
from aiki.model.views import RunInfo, RunPage
from aiki.model.wire import (
    Announce,
    Commit,
    CommitAnswer,
    Control,
    Finished,
    Goodbye,
    HandBack,
    JournalPage,
    PollAnswer,
    PollRequest,
    SendEvent,
    Standing,
    Started,
    WaitAnswer,
    WaitRequest,
)
from aiki.server.api import clients, operations, schedules, streams, workers
from aiki.server.api.call import Route
from aiki.server.api.shapes import (
    AskedEvent,
    AskedJournal,
    AskedPage,
    AskedReference,
    AskedResult,
    AskedRun,
    AskedRuns,
    AskedSchedule,
    AskedSchedules,
    AskedStream,
    AskedValue,
    Health,
    RequestBody,
    ScheduleBody,
    StartBody,
    TriggerBody,
)
from aiki.server.principals import Role

__all__ = ["ROUTES"]

_NOT_YET: Final = {202: "It has not ended within the time: where it stands."}

# fmt: off
ROUTES: Final = (
    Route(
        method="POST", path="/v1/runs", name="start_runs", handler=clients.start_runs, role=Role.OPERATOR,
        body=StartBody | list[StartBody], answer=Started | list[Started], status=201,
        others={200: "It had been started before; or, for many: an answer for each, in order, with its problem."},
        summary="Start a run, or many",
    ),
    Route(
        method="GET", path="/v1/runs", name="list_runs", handler=clients.list_runs, role=Role.VIEWER,
        asked=AskedRuns, answer=RunPage,
        summary="List runs, newest first, without payloads",
    ),
    Route(
        method="POST", path="/v1/runs/wait", name="wait_for_runs", handler=clients.wait_for_runs, role=Role.VIEWER,
        body=WaitRequest, answer=WaitAnswer,
        summary="Wait until any of many runs has ended",
    ),
    Route(
        method="GET", path="/v1/runs/by-reference", name="find_run", handler=clients.find_run, role=Role.VIEWER,
        asked=AskedReference, answer=RunInfo,
        summary="Find the run that bears a reference id",
    ),
    Route(
        method="GET", path="/v1/runs/{run_id}", name="run_info", handler=clients.run_info, role=Role.VIEWER,
        asked=AskedRun, answer=RunInfo,
        summary="Read a run, with payloads and open waits",
    ),
    Route(
        method="GET", path="/v1/runs/{run_id}/journal", name="run_journal", handler=clients.run_journal,
        role=Role.VIEWER, asked=AskedJournal, answer=JournalPage,
        summary="Read what a run has done",
    ),
    Route(
        method="GET", path="/v1/runs/{run_id}/result", name="run_result", handler=clients.run_result,
        role=Role.VIEWER, asked=AskedResult, answer=Finished, others=_NOT_YET,
        summary="Read how a run ended, waiting for it if need be",
    ),
    Route(
        method="GET", path="/v1/runs/{run_id}/values/{name:path}", name="run_value", handler=clients.run_value,
        role=Role.VIEWER, asked=AskedValue, answer=Raw,
        summary="Read what a run published with run.set",
    ),
    Route(
        method="POST", path="/v1/runs/{run_id}/cancel", name="cancel_run", handler=clients.asking("cancel"),
        role=Role.OPERATOR, asked=AskedRun, body=RequestBody, answer=Standing,
        summary="Ask a run to cancel; its code may clean up",
    ),
    Route(
        method="POST", path="/v1/runs/{run_id}/terminate", name="terminate_run", handler=clients.asking("terminate"),
        role=Role.OPERATOR, asked=AskedRun, body=RequestBody, answer=Standing,
        summary="End a run as cancelled, at once",
    ),
    Route(
        method="POST", path="/v1/runs/{run_id}/pause", name="pause_run", handler=clients.asking("pause"),
        role=Role.OPERATOR, asked=AskedRun, body=RequestBody, answer=Standing,
        summary="Hold a run; one that is running stops after its current tasks",
    ),
    Route(
        method="POST", path="/v1/runs/{run_id}/resume", name="resume_run", handler=clients.asking("resume"),
        role=Role.OPERATOR, asked=AskedRun, body=RequestBody, answer=Standing,
        summary="Let a paused run go on",
    ),
    Route(
        method="POST", path="/v1/runs/{run_id}/wake", name="wake_run", handler=clients.asking("wake"),
        role=Role.OPERATOR, asked=AskedRun, body=RequestBody, answer=Standing,
        summary="End what a run sleeps in now",
    ),
    Route(
        method="POST", path="/v1/runs/{run_id}/requeue", name="requeue_run", handler=clients.asking("requeue"),
        role=Role.OPERATOR, asked=AskedRun, body=RequestBody, answer=Standing,
        summary="Put a stalled run back into its queue",
    ),
    Route(
        method="POST", path="/v1/runs/{run_id}/retry", name="retry_run", handler=clients.asking("retry"),
        role=Role.OPERATOR, asked=AskedRun, body=RequestBody, answer=Standing,
        summary="Try a failed run again; what it completed is kept",
    ),
    Route(
        method="POST", path="/v1/runs/{run_id}/events/{name:path}", name="send_event", handler=clients.send_event,
        role=Role.OPERATOR, asked=AskedEvent, body=Raw, answer=Standing,
        summary="Send a run an event; the body is what it carries",
    ),
    Route(
        method="POST", path="/v1/controls", name="request_many", handler=clients.request_many, role=Role.OPERATOR,
        body=list[Control], answer=list[Standing],
        summary="Cancel, pause, retry, ... many runs: an answer for each, in order",
    ),
    Route(
        method="POST", path="/v1/events", name="send_events", handler=clients.send_events, role=Role.OPERATOR,
        body=list[SendEvent], answer=list[Standing],
        summary="Send many events: an answer for each, in order",
    ),
    Route(
        method="GET", path="/v1/schedules", name="list_schedules", handler=schedules.list_schedules, role=Role.VIEWER,
        asked=AskedSchedules, answer=SchedulePage,
        summary="List schedules, by name",
    ),
    Route(
        method="GET", path="/v1/schedules/{name}", name="schedule_info", handler=schedules.schedule_info,
        role=Role.VIEWER, asked=AskedSchedule, answer=ScheduleInfo,
        summary="Read a schedule, with its next ticks and what it started last",
    ),
    Route(
        method="PUT", path="/v1/schedules/{name}", name="activate_schedule", handler=schedules.activate_schedule,
        role=Role.OPERATOR, asked=AskedSchedule, body=ScheduleBody, answer=ScheduleStanding,
        summary="Activate a schedule; the same again changes nothing",
    ),
    Route(
        method="POST", path="/v1/schedules/{name}/pause", name="pause_schedule",
        handler=schedules.asking("pause"), role=Role.OPERATOR, asked=AskedSchedule, body=TriggerBody,
        answer=ScheduleStanding,
        summary="Let a schedule rest",
    ),
    Route(
        method="POST", path="/v1/schedules/{name}/resume", name="resume_schedule",
        handler=schedules.asking("resume"), role=Role.OPERATOR, asked=AskedSchedule, body=TriggerBody,
        answer=ScheduleStanding,
        summary="Let a schedule go on; what it missed is made good as it says",
    ),
    Route(
        method="POST", path="/v1/schedules/{name}/trigger", name="trigger_schedule",
        handler=schedules.asking("trigger"), role=Role.OPERATOR, asked=AskedSchedule, body=TriggerBody,
        answer=ScheduleStanding,
        summary="Start a run of a schedule now",
    ),
    Route(
        method="POST", path="/v1/schedules/{name}/deactivate", name="deactivate_schedule",
        handler=schedules.asking("deactivate"), role=Role.OPERATOR, asked=AskedSchedule, body=TriggerBody,
        answer=ScheduleStanding,
        summary="Remove a schedule; its runs stay",
    ),
    Route(
        method="POST", path="/v1/worker/announce", name="announce", handler=workers.announce, role=Role.WORKER,
        body=Announce, answer=PollAnswer,
        summary="Open a worker's session",
    ),
    Route(
        method="POST", path="/v1/worker/poll", name="poll", handler=workers.poll, role=Role.WORKER,
        body=PollRequest, answer=PollAnswer,
        summary="Renew a session, state what is held, bring work",
    ),
    Route(
        method="POST", path="/v1/worker/commit", name="commit", handler=workers.commit, role=Role.WORKER,
        body=list[Commit], answer=list[CommitAnswer],
        summary="Make turns durable: an answer for each, in order",
    ),
    Route(
        method="GET", path="/v1/worker/journal", name="journal_page", handler=workers.journal_page, role=Role.WORKER,
        asked=AskedPage, answer=JournalPage,
        summary="Read on in the journal of a run that the session owns",
    ),
    Route(
        method="POST", path="/v1/worker/hand-back", name="hand_back", handler=workers.hand_back, role=Role.WORKER,
        body=HandBack, status=204,
        summary="Give up claims",
    ),
    Route(
        method="POST", path="/v1/worker/goodbye", name="goodbye", handler=workers.goodbye, role=Role.WORKER,
        body=Goodbye, status=204,
        summary="End a worker's session",
    ),
    Route(
        method="GET", path="/v1/stream", name="run_changes", handler=streams.run_changes, role=Role.VIEWER,
        asked=AskedStream, answer=Changes, is_stream=True,
        summary="Be told of runs as they change: server-sent events",
    ),
    Route(
        method="GET", path="/healthz", name="health", handler=operations.health, role=None, is_for_probes=True,
        answer=Health,
        summary="Whether the process answers",
    ),
    Route(
        method="GET", path="/readyz", name="readiness", handler=operations.readiness, role=None, is_for_probes=True,
        answer=Health,
        summary="Whether the server takes requests",
    ),
    Route(
        method="GET", path="/openapi.json", name="document", handler=operations.document, role=None, answer=Raw,
        summary="This description of the API",
    ),
)
# fmt: on
