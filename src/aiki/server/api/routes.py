"""All addresses of the API, in one table.

The rule: the router, the OpenAPI document and the reference in the documentation are made from `ROUTES`; a path that is
not in it does not exist.
"""

from typing import Final

from msgspec import Raw

from aiki.model.changes import Changes
from aiki.model.many import JobsPage, JobView, MulticastAnswer
from aiki.model.schedule import ScheduleInfo, SchedulePage, ScheduleStanding
from aiki.model.views import (
    HistoryPage,
    InboxPage,
    RunCount,
    RunInfo,
    RunPage,
    Stats,
    ValuesPage,
    WorkersView,
    WorkflowsView,
)
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
    Standing,
    Started,
    WaitAnswer,
    WaitRequest,
)
from aiki.server.api import clients, many, operations, reading, schedules, streams, workers
from aiki.server.api.call import Route
from aiki.server.api.shapes import (
    AskedChildren,
    AskedCount,
    AskedEvent,
    AskedHistory,
    AskedInbox,
    AskedJob,
    AskedJobs,
    AskedJournal,
    AskedMulticast,
    AskedNamespace,
    AskedPage,
    AskedReference,
    AskedResult,
    AskedRun,
    AskedRuns,
    AskedSchedule,
    AskedSchedules,
    AskedStats,
    AskedStream,
    AskedValue,
    AskedValues,
    EventBody,
    Health,
    JobBody,
    MulticastBody,
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
        method="GET", path="/v1/runs", name="list_runs", handler=reading.list_runs, role=Role.VIEWER,
        asked=AskedRuns, answer=RunPage,
        summary="List runs, newest first, without payloads",
    ),
    Route(
        method="GET", path="/v1/runs/count", name="count_runs", handler=reading.count_runs, role=Role.VIEWER,
        asked=AskedCount, answer=RunCount,
        summary="Count runs by status",
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
        method="POST", path="/v1/runs/cancel", name="cancel_runs", handler=many.starting("cancel"), role=Role.OPERATOR,
        body=JobBody, answer=JobView, status=202,
        summary="Ask many runs to cancel: a bulk job",
    ),
    Route(
        method="POST", path="/v1/runs/terminate", name="terminate_runs", handler=many.starting("terminate"), role=Role.OPERATOR,
        body=JobBody, answer=JobView, status=202,
        summary="End many runs as cancelled, at once: a bulk job",
    ),
    Route(
        method="POST", path="/v1/runs/pause", name="pause_runs", handler=many.starting("pause"), role=Role.OPERATOR,
        body=JobBody, answer=JobView, status=202,
        summary="Hold many runs: a bulk job",
    ),
    Route(
        method="POST", path="/v1/runs/resume", name="resume_runs", handler=many.starting("resume"), role=Role.OPERATOR,
        body=JobBody, answer=JobView, status=202,
        summary="Let many paused runs go on: a bulk job",
    ),
    Route(
        method="POST", path="/v1/runs/wake", name="wake_runs", handler=many.starting("wake"), role=Role.OPERATOR,
        body=JobBody, answer=JobView, status=202,
        summary="End what many runs sleep in: a bulk job",
    ),
    Route(
        method="POST", path="/v1/runs/requeue", name="requeue_runs", handler=many.starting("requeue"), role=Role.OPERATOR,
        body=JobBody, answer=JobView, status=202,
        summary="Put many stalled runs back into their queues: a bulk job",
    ),
    Route(
        method="POST", path="/v1/runs/retry", name="retry_runs", handler=many.starting("retry"), role=Role.OPERATOR,
        body=JobBody, answer=JobView, status=202,
        summary="Try many failed runs again: a bulk job",
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
        method="GET", path="/v1/runs/{run_id}/history", name="run_history", handler=reading.run_history,
        role=Role.VIEWER, asked=AskedHistory, answer=HistoryPage,
        summary="Read how a run came to where it stands",
    ),
    Route(
        method="GET", path="/v1/runs/{run_id}/children", name="run_children", handler=reading.run_children,
        role=Role.VIEWER, asked=AskedChildren, answer=RunPage,
        summary="List the runs that a run has started, newest first",
    ),
    Route(
        method="GET", path="/v1/runs/{run_id}/inbox", name="run_inbox", handler=reading.run_inbox, role=Role.VIEWER,
        asked=AskedInbox, answer=InboxPage,
        summary="Read what a run was sent, and what of it the code has taken",
    ),
    Route(
        method="GET", path="/v1/runs/{run_id}/result", name="run_result", handler=clients.run_result,
        role=Role.VIEWER, asked=AskedResult, answer=Finished, others=_NOT_YET,
        summary="Read how a run ended, waiting for it if need be",
    ),
    Route(
        method="GET", path="/v1/runs/{run_id}/values", name="run_values", handler=reading.run_values, role=Role.VIEWER,
        asked=AskedValues, answer=ValuesPage,
        summary="Read all that a run has published, by name",
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
        method="GET", path="/v1/bulk-jobs", name="list_bulk_jobs", handler=many.bulk_jobs, role=Role.VIEWER,
        asked=AskedJobs, answer=JobsPage,
        summary="List bulk jobs, the newest first",
    ),
    Route(
        method="GET", path="/v1/bulk-jobs/{job_id}", name="bulk_job", handler=many.bulk_job, role=Role.VIEWER,
        asked=AskedJob, answer=JobView,
        summary="Read how far a bulk job is, waiting for its end if need be",
    ),
    Route(
        method="POST", path="/v1/controls", name="request_many", handler=clients.request_many, role=Role.OPERATOR,
        body=list[Control], answer=list[Standing],
        summary="Cancel, pause, retry, ... many runs: an answer for each, in order",
    ),
    Route(
        method="POST", path="/v1/events", name="send_events", handler=clients.send_events, role=Role.OPERATOR,
        body=list[EventBody], answer=list[Standing],
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
        method="POST", path="/v1/events/{name:path}", name="multicast", handler=many.multicast, role=Role.OPERATOR,
        asked=AskedMulticast, body=MulticastBody, answer=MulticastAnswer,
        summary="Send an event to many runs, by ids, reference ids or a filter: an outcome for each",
    ),
    Route(
        method="GET", path="/v1/workflows", name="list_workflows", handler=reading.list_workflows, role=Role.VIEWER,
        asked=AskedNamespace, answer=WorkflowsView,
        summary="List the versions of workflows: schemas, counts of runs, who serves them",
    ),
    Route(
        method="GET", path="/v1/workers", name="list_workers", handler=reading.list_workers, role=Role.VIEWER,
        asked=AskedNamespace, answer=WorkersView,
        summary="List the workers that are there, and what they execute now",
    ),
    Route(
        method="GET", path="/v1/stats", name="stats", handler=reading.stats, role=Role.VIEWER,
        asked=AskedStats, answer=Stats,
        summary="Counts by status, queues, and what happened lately",
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
