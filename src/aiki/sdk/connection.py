"""The road that everything of one client travels: coalesced, repeated while the server is away, answered or raised.

The rule: each request can be repeated (its id is made here), so `Unavailable` is tried again until the client's
timeout is over; any other refusal is raised at once, as the error that its code names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal, TypeVar

from msgspec import Raw

from aiki.clock import Chance, Clock
from aiki.errors import RunNotFound, ScheduleNotFound, Unavailable
from aiki.model.ids import event_id
from aiki.model.many import JobView, Multicast, MulticastAnswer, StartJob
from aiki.model.run import RunEnd
from aiki.model.schedule import (
    ActivateSchedule,
    Definition,
    ScheduleInfo,
    SchedulePage,
    ScheduleRequest,
    ScheduleStanding,
    ScheduleVerb,
)
from aiki.model.views import RunCount, RunFilter, RunInfo, RunPage, WorkersView, WorkflowsView
from aiki.model.wire import (
    Control,
    Finished,
    JournalPage,
    RunOptions,
    SendEvent,
    Standing,
    Started,
    StartRun,
    Verb,
    WaitAnswer,
    WaitRequest,
)
from aiki.sdk.coalesce import Coalescer
from aiki.sdk.failures import error_of_problem
from aiki.sdk.here import refuse_in_workflow
from aiki.sdk.transport import Transport
from aiki.sdk.waits import WAIT_MS, Waits

__all__ = ["Connection"]

RETRY_FIRST_MS: Final = 50
RETRY_MOST_MS: Final = 2_000

T = TypeVar("T")
R = TypeVar("R")


class Connection:
    """A transport, with everything that is shared by those who use it.

    Args:
        transport: the road.
        namespace: of all requests.
        timeout_ms: how long a request is tried again while the server is away.
        clock: tells when that is over.
        chance: makes ids and jitter.
        wait_ms: how long one request waits for the end of runs.
        pause: waits for so many seconds.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        namespace: str,
        timeout_ms: int,
        clock: Clock,
        chance: Chance,
        wait_ms: int = WAIT_MS,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.transport = transport
        self.namespace = namespace
        self._timeout_ms = timeout_ms
        self.clock = clock
        self.chance = chance
        self._wait_ms = wait_ms
        self._pause = pause
        self._starts = Coalescer(self._repeated(transport.start), size_bytes=lambda start: len(start.input))
        self._sends = Coalescer(self._repeated(transport.send), size_bytes=lambda event: len(event.payload))
        self._controls = Coalescer(self._repeated(transport.control))
        self._waits = Waits(self._wait, namespace=namespace, subscription=self.new_id(), wait_ms=wait_ms)

    def new_id(self) -> str:
        """Return an id that nobody else has: a UUIDv7."""
        return self.chance.uuid7(now_ms=self.clock.now_ms())

    async def start(
        self, workflow: str, version: str, *, payload: bytes, input_hash: str, options: RunOptions
    ) -> Started:
        """Start a run.

        Raises:
            ReferenceConflict: its reference id names a run with other input.
            InvalidInput: the server knows the version, and the input does not fit it.
            Unavailable: the server cannot be reached.
        """
        start = StartRun(
            run_id=self.new_id(),
            namespace=self.namespace,
            workflow=workflow,
            version=version,
            input=Raw(payload),
            input_hash=input_hash,
            options=options,
        )
        _refuse_in_workflow()
        started = await self._starts.call(start)
        if started.problem is not None:
            raise error_of_problem(started.problem)
        return started

    async def send(self, run_id: str, name: str, *, payload: bytes, reference_id: str | None) -> Standing:
        """Send an event; with a reference id its message id follows from that, so a second one is ignored.

        Raises:
            RunEnded: the run takes no more events.
            RunNotFound: there is no such run.
            InvalidInput: its version knows no such event.
        """
        message_id = self.new_id() if reference_id is None else event_id(run_id, name, reference_id)
        event = SendEvent(
            namespace=self.namespace, run_id=run_id, message_id=message_id, name=name, payload=Raw(payload)
        )
        _refuse_in_workflow()
        return _standing(await self._sends.call(event))

    async def multicast(self, request: Multicast) -> MulticastAnswer:
        """Send an event to many runs, and return what became of it at each."""
        _refuse_in_workflow()
        return await self.repeat(lambda: self.transport.multicast(request))

    async def start_job(self, request: StartJob) -> JobView:
        """Begin a bulk job."""
        _refuse_in_workflow()
        return await self.repeat(lambda: self.transport.start_job(request))

    async def job(self, job_id: str, *, wait_ms: int = 0) -> JobView:
        """Return a bulk job; where it is to be waited for, once it is done, or after `wait_ms`.

        Raises:
            RunNotFound: there is no such job.
        """
        _refuse_in_workflow()
        found = await self.repeat(
            lambda: self.transport.job(self.namespace, job_id, wait_ms=wait_ms), answer_ms=wait_ms
        )
        if found is None:
            raise RunNotFound(f"there is no bulk job {job_id} in namespace {self.namespace}", job_id=job_id)
        return found

    async def control(self, run_id: str, verb: Verb, *, reason: str | None = None) -> Standing:
        """Ask something of a run (cancel, pause, retry, ...); where nothing is there to do it changes nothing.

        Raises:
            RunNotFound: there is no such run.
        """
        request = Control(namespace=self.namespace, run_id=run_id, message_id=self.new_id(), verb=verb, reason=reason)
        _refuse_in_workflow()
        return _standing(await self._controls.call(request))

    async def end_of(self, run_id: str, timeout_ms: int | None) -> RunEnd | None:
        """Return how a run ended, once it has; None if it has not within `timeout_ms`.

        Raises:
            RunNotFound: there is no such run.
        """
        _refuse_in_workflow()
        try:
            async with asyncio.timeout(None if timeout_ms is None else timeout_ms / 1000):
                finished: Finished = await self._waits.end_of(run_id)
        except TimeoutError:
            return None
        if finished.problem is not None:
            raise error_of_problem(finished.problem)
        assert finished.status is not None, "what has no problem has ended"
        return RunEnd(status=finished.status, output=finished.output, error=finished.error)

    async def info(self, run_id: str) -> RunInfo:
        """Return a run as it stands.

        Raises:
            RunNotFound: there is no such run.
        """
        _refuse_in_workflow()
        found = await self.repeat(lambda: self.transport.info(self.namespace, run_id))
        if found is None:
            raise RunNotFound(f"there is no run {run_id} in namespace {self.namespace}", run_id=run_id)
        return found

    async def by_reference(self, workflow: str, reference_id: str) -> RunInfo:
        """Return the run of a workflow that bears a reference id.

        Raises:
            RunNotFound: there is none.
        """
        _refuse_in_workflow()
        found = await self.repeat(lambda: self.transport.by_reference(self.namespace, workflow, reference_id))
        if found is None:
            raise RunNotFound(
                f"no run of {workflow} bears the reference id {reference_id!r} in namespace {self.namespace}",
                reference_id=reference_id,
                workflow=workflow,
            )
        return found

    async def runs(self, wanted: RunFilter) -> RunPage:
        """Return a page of runs, newest first."""
        _refuse_in_workflow()
        return await self.repeat(lambda: self.transport.list(wanted))

    async def count(self, wanted: RunFilter) -> RunCount:
        """Return how many runs there are, by status."""
        _refuse_in_workflow()
        return await self.repeat(lambda: self.transport.count(wanted))

    async def workers(self) -> WorkersView:
        """Return the workers that are there."""
        _refuse_in_workflow()
        return await self.repeat(lambda: self.transport.workers(self.namespace))

    async def workflows(self) -> WorkflowsView:
        """Return the versions of workflows that are known."""
        _refuse_in_workflow()
        return await self.repeat(lambda: self.transport.workflows(self.namespace))

    async def value(self, run_id: str, name: str) -> Raw | None:
        """Return what a run published under a name, or None."""
        _refuse_in_workflow()
        return await self.repeat(lambda: self.transport.value(self.namespace, run_id, name))

    async def journal(self, run_id: str, after_seq: int) -> JournalPage:
        """Return a page of a run's journal, for people."""
        _refuse_in_workflow()
        return await self.repeat(lambda: self.transport.journal(self.namespace, run_id, after_seq))

    async def activate(
        self, name: str, definition: Definition, *, on_change: Literal["replace", "error"]
    ) -> ScheduleStanding:
        """Activate a schedule.

        Raises:
            ScheduleConflict: it is active as something else, and `on_change` is "error".
            InvalidInput: the server cannot take it.
        """
        request = ActivateSchedule(self.namespace, name, definition, on_change)
        _refuse_in_workflow()
        return _unrefused(await self.repeat(lambda: self.transport.activate(request)))

    async def ask_schedule(self, name: str, verb: ScheduleVerb) -> ScheduleStanding:
        """Pause, resume, trigger or deactivate a schedule.

        Raises:
            ScheduleNotFound: there is no such schedule.
        """
        request = ScheduleRequest(self.namespace, name, verb, run_id=self.new_id() if verb == "trigger" else "")
        _refuse_in_workflow()
        return _unrefused(await self.repeat(lambda: self.transport.ask_schedule(request)))

    async def schedule(self, name: str) -> ScheduleInfo:
        """Return a schedule as it stands.

        Raises:
            ScheduleNotFound: there is no such schedule.
        """
        _refuse_in_workflow()
        found = await self.repeat(lambda: self.transport.schedule(self.namespace, name))
        if found is None:
            raise ScheduleNotFound(f"there is no schedule {name} in namespace {self.namespace}", name=name)
        return found

    async def schedules(self, cursor: str | None, limit: int) -> SchedulePage:
        """Return a page of schedules, by name."""
        _refuse_in_workflow()
        return await self.repeat(lambda: self.transport.schedules(self.namespace, cursor, limit))

    async def close(self) -> None:
        """End it: whoever still waits gets `Unavailable`, and the transport is closed."""
        for part in (self._waits, self._starts, self._sends, self._controls):
            await part.close()
        await self.transport.close()

    # -------------------------------------------------------------------------------------------------------- repeating

    def _repeated(
        self, send: Callable[[Sequence[T]], Awaitable[list[R]]]
    ) -> Callable[[Sequence[T]], Awaitable[list[R]]]:
        async def send_until_answered(items: Sequence[T]) -> list[R]:
            return await self.repeat(lambda: send(items))

        return send_until_answered

    async def _wait(self, request: WaitRequest) -> WaitAnswer:
        return await self.repeat(lambda: self.transport.wait(request), answer_ms=self._wait_ms)

    async def repeat(self, call: Callable[[], Awaitable[R]], *, answer_ms: int = 0) -> R:
        """Make a call until it is answered, or the timeout is over.

        Its answer may take `answer_ms` by design; then the timeout counts from when the server was first away, for a
        server that dies at the end of a long wait is as new a trouble as one that dies at its beginning.

        Raises:
            Unavailable: the server was away for all of the timeout.
        """
        until_ms = self.clock.monotonic_ms() + self._timeout_ms if not answer_ms else None
        left_ms: float = self._timeout_ms
        delay_ms = RETRY_FIRST_MS
        away: Unavailable | None = None
        while True:
            try:
                async with asyncio.timeout((left_ms + answer_ms) / 1000):
                    return await call()
            except Unavailable as error:
                away = error
                if until_ms is None:
                    until_ms = self.clock.monotonic_ms() + self._timeout_ms
                left_ms = until_ms - self.clock.monotonic_ms()
                if left_ms <= 0:
                    raise
            except TimeoutError as error:
                if away is not None:  # what was said before says more
                    raise away from None
                seconds = (self._timeout_ms + answer_ms) / 1000
                raise Unavailable(f"the server has not answered within {seconds:g} s") from error
            # Half of the delay is fixed and half is chance, so that clients that lost a server do not return as one.
            jittered_ms = delay_ms * (0.5 + 0.5 * self.chance.random.random())
            await self._pause(min(jittered_ms, left_ms) / 1000)
            left_ms = max(until_ms - self.clock.monotonic_ms(), 1)
            delay_ms = min(delay_ms * 2, RETRY_MOST_MS)


def _refuse_in_workflow() -> None:
    refuse_in_workflow(
        "a client is used",
        "Use it in a task, where current_task().client is one; from workflow code, start children: start_as_child(run, ...)",
    )


def _standing(standing: Standing) -> Standing:
    if standing.problem is not None:
        raise error_of_problem(standing.problem)
    return standing


def _unrefused(standing: ScheduleStanding) -> ScheduleStanding:
    if standing.problem is not None:
        raise error_of_problem(standing.problem)
    return standing
