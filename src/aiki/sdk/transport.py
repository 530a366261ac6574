"""The road between client or worker and a server: in process today, over HTTP as well.

The rule: a transport carries the messages of `aiki.model.wire` and nothing else; each call can be repeated.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Raw

from aiki.model.many import JobView, Multicast, MulticastAnswer, StartJob
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

__all__ = ["ClientTransport", "Renewer", "Transport", "WorkerTransport"]


class ClientTransport(Protocol):
    """What a client asks of a server. Raises `Unavailable` where there is none."""

    async def start(self, starts: Sequence[StartRun]) -> list[Started]:
        """Start many runs; one answer for each, in order."""
        ...

    async def send(self, events: Sequence[SendEvent]) -> list[Standing]:
        """Send many events; one answer for each, in order."""
        ...

    async def multicast(self, request: Multicast) -> MulticastAnswer:
        """Send an event to many runs, and return what became of it at each."""
        ...

    async def start_job(self, request: StartJob) -> JobView:
        """Begin a bulk job."""
        ...

    async def job(self, namespace: str, job_id: str, *, wait_ms: int = 0) -> JobView | None:
        """Return a bulk job, or None; where it is to be waited for, once it is done, or after `wait_ms`."""
        ...

    async def control(self, requests: Sequence[Control]) -> list[Standing]:
        """Ask something of many runs: cancel, pause, retry, ...; one answer for each, in order."""
        ...

    async def wait(self, request: WaitRequest) -> WaitAnswer:
        """Wait for the end of any of many runs."""
        ...

    async def info(self, namespace: str, run_id: str) -> RunInfo | None:
        """Return a run with payloads and open waits, or None."""
        ...

    async def by_reference(self, namespace: str, workflow: str, reference_id: str) -> RunInfo | None:
        """Return the run that bears a reference id, or None."""
        ...

    async def list(self, runs: RunFilter) -> RunPage:
        """Return a page of runs."""
        ...

    async def count(self, runs: RunFilter) -> RunCount:
        """Return how many runs there are, by status."""
        ...

    async def workers(self, namespace: str) -> WorkersView:
        """Return the workers that are there."""
        ...

    async def workflows(self, namespace: str) -> WorkflowsView:
        """Return the versions of workflows that are known."""
        ...

    async def value(self, namespace: str, run_id: str, name: str) -> Raw | None:
        """Return what a run published under `name`, or None."""
        ...

    async def journal(self, namespace: str, run_id: str, after_seq: int) -> JournalPage:
        """Return a page of a run's journal, for people."""
        ...

    async def activate(self, request: ActivateSchedule) -> ScheduleStanding:
        """Make a schedule what is asked for."""
        ...

    async def ask_schedule(self, request: ScheduleRequest) -> ScheduleStanding:
        """Pause, resume, trigger or deactivate a schedule."""
        ...

    async def schedule(self, namespace: str, name: str) -> ScheduleInfo | None:
        """Return a schedule with its next ticks and what it has started last, or None."""
        ...

    async def schedules(self, namespace: str, cursor: str | None, limit: int) -> SchedulePage:
        """Return a page of schedules, by name."""
        ...


class Renewer(Protocol):
    """A road of its own for renewals, which needs no event loop: used by one thread."""

    def renew(self, request: PollRequest) -> PollAnswer:
        """Renew the session; block until the answer is there, for a short while at most. Raises `Unavailable`."""
        ...

    def close(self) -> None:
        """Close it. Nothing is asked after it."""
        ...


class WorkerTransport(Protocol):
    """What a worker asks of a server."""

    def renewer(self) -> Renewer | None:
        """Return a road that renews while the event loop is held up; None if the server shares that loop."""
        ...

    async def announce(self, announce: Announce) -> PollAnswer:
        """Open a session."""
        ...

    async def poll(self, request: PollRequest) -> PollAnswer:
        """Renew the session, state what is held, bring work."""
        ...

    async def commit(self, commits: Sequence[Commit]) -> list[CommitAnswer]:
        """Make turns durable; one answer for each, in order."""
        ...

    async def fetch(self, session_id: str, run_id: str, epoch: int, after_seq: int) -> JournalPage:
        """Return the next page of the journal of a run that the session owns."""
        ...

    async def hand_back(self, request: HandBack) -> None:
        """Give up claims."""
        ...

    async def goodbye(self, request: Goodbye) -> None:
        """End a session."""
        ...


class Transport(ClientTransport, WorkerTransport, Protocol):
    """Both, with an end."""

    async def close(self) -> None:
        """Release connections. Nothing is sent after it."""
        ...
