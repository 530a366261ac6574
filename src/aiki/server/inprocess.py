"""The road to a server in the same process: a call is a call.

The rule: the same messages as over any other road, and nothing else; what is frozen needs no copy.
"""

from collections.abc import Callable, Sequence

from msgspec import Raw

from aiki.model.many import JobView, Multicast, MulticastAnswer, StartJob, job_view
from aiki.model.schedule import ActivateSchedule, ScheduleInfo, SchedulePage, ScheduleRequest, ScheduleStanding
from aiki.model.views import RunCount, RunFilter, RunInfo, RunPage, WorkersView, WorkflowsView
from aiki.model.wire import (
    Announce,
    Commit,
    CommitAnswer,
    Control,
    Goodbye,
    HandBack,
    JournalPage,
    PollAnswer,
    PollRequest,
    SendEvent,
    Standing,
    Started,
    StartRun,
    WaitAnswer,
    WaitRequest,
)
from aiki.server.service import Service

__all__ = ["InProcessTransport"]


class InProcessTransport:
    """What `aiki.sdk.transport.Transport` asks for, given by a server in this process."""

    def __init__(self, service: Callable[[], Service]) -> None:
        self._service = service  # asked anew for each call: the road may be made before its server runs

    async def start(self, starts: Sequence[StartRun]) -> list[Started]:
        """Start many runs; one answer for each, in order."""
        return await self._service().start(starts)

    async def send(self, events: Sequence[SendEvent]) -> list[Standing]:
        """Send many events; one answer for each, in order."""
        return await self._service().send(events)

    async def multicast(self, request: Multicast) -> MulticastAnswer:
        """Send an event to many runs, and return what became of it at each."""
        return await self._service().many.multicast(request)

    async def start_job(self, request: StartJob) -> JobView:
        """Begin a bulk job."""
        return job_view(await self._service().bulk.start(request))

    async def job(self, namespace: str, job_id: str, *, wait_ms: int = 0) -> JobView | None:
        """Return a bulk job, or None; where it is to be waited for, once it is done, or after `wait_ms`."""
        job = await self._service().bulk.job(namespace, job_id, wait_ms=wait_ms)
        return None if job is None else job_view(job)

    async def control(self, requests: Sequence[Control]) -> list[Standing]:
        """Ask something of many runs: cancel, pause, retry, ...; one answer for each, in order."""
        return await self._service().control(requests)

    async def wait(self, request: WaitRequest) -> WaitAnswer:
        """Wait for the end of any of many runs."""
        return await self._service().wait(request)

    async def info(self, namespace: str, run_id: str) -> RunInfo | None:
        """Return a run with payloads and open waits, or None."""
        return await self._service().info(namespace, run_id)

    async def by_reference(self, namespace: str, workflow: str, reference_id: str) -> RunInfo | None:
        """Return the run that bears a reference id, or None."""
        return await self._service().by_reference(namespace, workflow, reference_id)

    async def count(self, runs: RunFilter) -> RunCount:
        """Return how many runs there are, by status."""
        return await self._service().count(runs)

    async def workers(self, namespace: str) -> WorkersView:
        """Return the workers that are there."""
        return await self._service().overview.workers(namespace)

    async def workflows(self, namespace: str) -> WorkflowsView:
        """Return the versions of workflows that are known."""
        return await self._service().overview.workflows(namespace)

    async def value(self, namespace: str, run_id: str, name: str) -> Raw | None:
        """Return what a run published under `name`, or None."""
        return await self._service().value(namespace, run_id, name)

    async def journal(self, namespace: str, run_id: str, after_seq: int) -> JournalPage:
        """Return a page of a run's journal, for people."""
        return await self._service().journal(namespace, run_id, after_seq)

    async def activate(self, request: ActivateSchedule) -> ScheduleStanding:
        """Make a schedule what is asked for."""
        return await self._service().schedules.activate(request)

    async def ask_schedule(self, request: ScheduleRequest) -> ScheduleStanding:
        """Pause, resume, trigger or deactivate a schedule."""
        return await self._service().schedules.ask(request)

    async def schedule(self, namespace: str, name: str) -> ScheduleInfo | None:
        """Return a schedule with its next ticks and what it has started last, or None."""
        return await self._service().schedules.get(namespace, name)

    async def schedules(self, namespace: str, cursor: str | None, limit: int) -> SchedulePage:
        """Return a page of schedules, by name."""
        return await self._service().schedules.list(namespace, cursor=cursor, limit=limit)

    def renewer(self) -> None:
        """Return none: who holds up the worker's loop holds up the server, which judges nobody for that time."""
        return

    async def announce(self, announce: Announce) -> PollAnswer:
        """Open a session."""
        return await self._service().announce(announce)

    async def poll(self, request: PollRequest) -> PollAnswer:
        """Renew the session, state what is held, bring work."""
        return await self._service().poll(request)

    async def commit(self, commits: Sequence[Commit]) -> list[CommitAnswer]:
        """Make turns durable; one answer for each, in order."""
        return await self._service().commit(commits)

    async def fetch(self, session_id: str, run_id: str, epoch: int, after_seq: int) -> JournalPage:
        """Return the next page of the journal of a run that the session owns."""
        return await self._service().fetch(session_id, run_id, epoch, after_seq)

    async def hand_back(self, request: HandBack) -> None:
        """Give up claims."""
        await self._service().hand_back(request)

    async def goodbye(self, request: Goodbye) -> None:
        """End a session."""
        await self._service().goodbye(request)

    async def list(self, runs: RunFilter) -> RunPage:
        """Return a page of runs."""
        return await self._service().list_runs(runs)

    async def close(self) -> None:
        """Do nothing: nothing is held open, and whoever had it closed may enter again."""
