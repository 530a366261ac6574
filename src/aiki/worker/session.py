"""A worker's session with a server: announced once, renewed by polls, given up with a goodbye.

Told, and told again: every poll states what the worker holds, and the answer brings whatever the server knows
otherwise. A poll lasts a fifth of the lease (2 s by default), is given up a little later, and the next number is sent:
an answer that got lost is told again. A second one is open only where the first asks for something else than the worker
wants by now (there is room, it leaves, a run is to be heard of): the server answers the older at once, and it is taken
first.

The rule: one session after another, and no id comes back. One that the server has ended, or that could not be renewed
within its lease by the worker's own clock, has let go of everything before the next is announced.
"""

import asyncio
import logging
import os
import platform
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Final, Protocol

from msgspec import Struct

from aiki.clock import Chance, Clock
from aiki.errors import Unavailable
from aiki.model.run import Queue
from aiki.model.wire import (
    Announce,
    Assignment,
    Executing,
    Goodbye,
    HandBack,
    Held,
    Lost,
    NewMail,
    PollAnswer,
    PollRequest,
    VersionInfo,
)
from aiki.sdk.transport import WorkerTransport
from aiki.worker.finding import Finding, Subscriber
from aiki.worker.renewal import Lease, Renewal
from aiki.worker.server_time import ServerTime

__all__ = ["Session", "SessionHost"]

POLLS_MAX: Final = 2  # open at once
REPORT_S: Final = 1.0  # how late the server may hear what is executed by now, and how far that is
DOUBLINGS_MAX: Final = 2  # of the patience, one after each poll that was given up: a slow server is not a dead one
BACKOFF_S: Final = 0.1
BACKOFF_S_MAX: Final = 2.0
MS_PER_S: Final = 1_000

_log = logging.getLogger("aiki.worker")


class SessionHost(Protocol):
    """What the worker holds, as its session sees it."""

    server_time: ServerTime

    def capacity(self) -> int:
        """Return how many more runs it takes."""
        ...

    def held(self) -> Sequence[Held]:
        """Return what it holds."""
        ...

    def executing(self) -> Sequence[Executing]:
        """Return what it executes."""
        ...

    def unheard(self) -> Collection[Held]:
        """Return what it begins only once a poll that states it has been answered."""
        ...

    def heard(self, stated: Collection[Held]) -> None:
        """The server has heard that the worker holds this."""
        ...

    def assigned(self, assignment: Assignment) -> None:
        """A run is the worker's."""
        ...

    def mailed(self, mail: NewMail) -> None:
        """New mail for a run that it holds."""
        ...

    def lost(self, lost: Lost) -> None:
        """A run is the worker's no longer."""
        ...

    def over(self) -> None:
        """The session has ended: drop everything."""
        ...


class _Poll(Struct, eq=False):
    """A poll that is open."""

    request: PollRequest
    sent_ms: float
    until_ms: float  # when it is given up
    answer: asyncio.Task[PollAnswer]


class Session:
    """Polls for one worker, one session after another.

    Args:
        versions: what the worker serves; the queues follow from it and `pools`.
        subscriber: where the worker finds work by itself; None to be handed it by polls.

    Attributes:
        id: of the session that is open now, or was last.
    """

    def __init__(
        self,
        host: SessionHost,
        transport: WorkerTransport,
        *,
        clock: Clock,
        chance: Chance,
        namespace: str,
        name: str,
        versions: Sequence[VersionInfo],
        pools: Sequence[str],
        capacity: int,
        sdk: str,
        subscriber: Subscriber | None = None,
    ) -> None:
        self._host = host
        self._transport = transport
        self._clock = clock
        self._chance = chance
        self._namespace = namespace
        self._name = name
        self._versions = tuple(versions)
        self._pools = tuple(pools) or ("",)
        self._capacity = capacity
        self._sdk = sdk
        renewer = transport.renewer()
        self._lease = Lease(clock, is_judged=renewer is not None)
        self._renewal = None if renewer is None else Renewal(renewer, self._lease, clock=clock)
        self._open: list[_Poll] = []
        self._news = asyncio.Event()  # an answer has come, or what is wanted has changed
        self._claims = True
        self._is_published = False
        self._is_over = True
        self._is_away = False
        self._unanswered = 0
        self._report: asyncio.TimerHandle | None = None
        self._has_report = False
        self._forsaken = ""  # a session that the server may believe to be alive
        self.id = ""
        self.finding = None if subscriber is None else self._finding(subscriber)

    async def announce(self) -> None:
        """Open a session.

        Raises:
            Unavailable: no server answers, or it refuses this id.
        """
        session_id = self._chance.uuid7(now_ms=self._clock.now_ms())
        sent_ms = self._clock.monotonic_ms()
        answer = await self._transport.announce(self._introduction(session_id))
        if answer.session_over:
            raise Unavailable(f"the server does not take the session {session_id}")
        self.id = session_id
        self._lease.begin(session_id, sent_ms=sent_ms, lease_ms=answer.lease_ms)
        self._is_over = False
        self._unanswered = 0
        self._host.server_time.note(answer.now_ms)

    def _introduction(self, session_id: str) -> Announce:
        return Announce(
            session_id=session_id,
            namespace=self._namespace,
            worker=self._name,
            versions=self._versions,
            pools=self._pools,
            capacity=self._capacity,
            host=platform.node(),
            pid=os.getpid(),
            sdk=self._sdk,
        )

    def room(self) -> None:
        """There is room for another run: a poll that asked for none is followed by one that does."""
        if self._open and self._open[-1].request.capacity == 0:
            self._news.set()
        if self.finding is not None:
            self.finding.look()

    def report(self) -> None:
        """What is executed has changed, or how far it is: the server hears of it soon, also while a poll is open."""
        if self._report is None:
            self._report = asyncio.get_running_loop().call_later(REPORT_S, self._report_is_due)

    def stop_claiming(self) -> None:
        """Ask for no more runs; mail and news of lost claims still come."""
        self._claims = False
        self._news.set()

    def holds(self) -> bool:
        """Return whether the session is open. One that could not be renewed in time is over from this moment on."""
        if not self._is_over and self._lease.is_over():
            self._forsaken = self.id
            self._end("could not be renewed in time")
        return not self._is_over

    async def run(self) -> None:
        """Poll until cancelled, in one session after another."""
        backoff_s = BACKOFF_S
        if self._renewal is not None:
            self._renewal.start()
        try:
            while True:
                try:
                    if not self.holds():
                        await self._begin_anew()
                    await self._poll()
                    backoff_s = BACKOFF_S
                except Unavailable as error:
                    self._close_polls()
                    self._tell_away(error)
                    await asyncio.sleep(self._pause_s(backoff_s))
                    backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
        finally:
            self._close_polls()
            if self._report is not None:
                self._report.cancel()
            if self._renewal is not None:
                self._renewal.close()

    async def hand_back(self, runs: Sequence[Held]) -> None:
        """Give up claims; it counts as no crash.

        Raises:
            Unavailable: no server answers.
        """
        await self._transport.hand_back(HandBack(self.id, tuple(runs)))

    async def goodbye(self) -> None:
        """End the session, and give up all of its claims at once; it counts as no crash.

        Raises:
            Unavailable: no server answers.
        """
        if self.holds():
            self._is_over = True
            await self._transport.goodbye(Goodbye(self.id))

    # ---------------------------------------------------------------------------------------------------------- polls

    async def _poll(self) -> None:
        """Send a poll, take its answer, or give it up; the same for those that follow while it is open."""
        self._ask()
        while self._open:
            self._news.clear()
            if len(self._open) < POLLS_MAX and self._is_outdated(self._open[-1].request):
                self._overtake(self._open[-1])
            oldest = self._open[0]
            if not oldest.answer.done():
                await self._until_news(min(oldest.until_ms - self._clock.monotonic_ms(), self._lease.left_ms()))
            if not self.holds():
                return
            if oldest.answer.done():
                self._open.remove(oldest)
                self._take(oldest)
                if oldest.answer.result().introduce:
                    await self._introduce_again()
            elif oldest.until_ms <= self._clock.monotonic_ms():
                self._open.remove(oldest)
                self._give_up(oldest)

    async def _introduce_again(self) -> None:
        """Tell a server that was started anew who polls. Should that fail, the next answer asks for it again."""
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(self._lease.patience_ms / MS_PER_S):
                await self._transport.announce(self._introduction(self.id))

    async def _until_news(self, wait_ms: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(wait_ms, 0) / MS_PER_S):
                await self._news.wait()

    def _ask(self) -> _Poll:
        """Send the next poll."""
        capacity = self._wanted()
        found: tuple[str, ...] = ()
        if self._finds and self.finding is not None:
            found = self.finding.take(max(self._host.capacity(), 0) if self._claims else 0)
            capacity = len(found)
        wait_ms = 0 if found or self._host.unheard() else self._lease.poll_ms
        request = PollRequest(
            session_id=self.id,
            number=self._lease.next_number(),
            queues=self._queues() if capacity > 0 else (),
            capacity=capacity,
            held=tuple(self._host.held()),
            executing=tuple(self._host.executing()),
            wait_ms=wait_ms,
            found=found,
        )
        sent_ms = self._clock.monotonic_ms()
        answer = asyncio.ensure_future(self._transport.poll(request))
        answer.add_done_callback(self._answered)
        poll = _Poll(request, sent_ms, sent_ms + wait_ms + self._patience_ms(), answer)
        self._open.append(poll)
        self._has_report = False
        if self._renewal is not None:
            self._renewal.polled(request, sent_ms=sent_ms, until_ms=poll.until_ms)
        return poll

    def _overtake(self, older: _Poll) -> None:
        """Send the next poll while one is open. The server answers that when it sees the newer."""
        newer = self._ask()
        older.until_ms = min(older.until_ms, newer.sent_ms + self._patience_ms())

    def _answered(self, answer: asyncio.Task[PollAnswer]) -> None:
        if not answer.cancelled():
            answer.exception()  # looked at, also where nobody waits any more
        self._news.set()

    def _report_is_due(self) -> None:
        self._report = None
        self._has_report = True
        self._news.set()

    def _is_outdated(self, asked: PollRequest) -> bool:
        """Whether the worker would say something else by now, which cannot wait for the end of this poll."""
        if self._has_report:
            self._has_report = False
            if tuple(self._host.executing()) != asked.executing:
                return True
        if (asked.capacity > 0) is not (self._wanted() > 0) and (asked.capacity == 0 or not self._claims):
            return True
        if self._finds and self.finding is not None and self.finding.has_found and not asked.found:
            return True
        unheard = self._host.unheard()
        return bool(unheard) and not {_claim(held) for held in unheard} <= {_claim(held) for held in asked.held}

    def _wanted(self) -> int:
        """Return how many runs the poll is to bring from the queues: none while the worker finds them by itself."""
        return max(self._host.capacity(), 0) if self._claims and not self._finds else 0

    @property
    def _finds(self) -> bool:
        return self.finding is not None and self.finding.is_up and self._is_published

    def _finding(self, subscriber: Subscriber) -> Finding:
        return Finding(
            subscriber,
            queues=self._queues(),
            session_id=lambda: "" if self._is_over or not self._claims else self.id,
            room=self._host.capacity,
            found=self._news.set,
        )

    def _patience_ms(self) -> int:
        """Return how long an answer that is due is waited for; so that even a slow server renews a lease in time."""
        return int(self._lease.patience_ms << min(self._unanswered, DOUBLINGS_MAX))

    def _give_up(self, poll: _Poll) -> None:
        poll.answer.cancel()
        self._unanswered += 1
        _log.info("poll %d of worker %s was not answered in time; asking anew", poll.request.number, self._name)

    def _take(self, poll: _Poll) -> None:
        try:
            answer = poll.answer.result()
        except Unavailable as error:
            if error.away == "database":
                self._lease.stand_still(self.id, sent_ms=poll.sent_ms)
            raise
        host = self._host
        self._unanswered = 0
        if self._is_away:
            self._is_away = False
            _log.warning("the server is back")
        host.server_time.note(answer.now_ms)
        self._is_published = answer.is_published
        if answer.session_over:
            self._end("was ended by the server")
            return
        self._lease.renew(self.id, sent_ms=poll.sent_ms, lease_ms=answer.lease_ms)
        for lost in answer.lost:
            host.lost(lost)
        for mail in answer.mail:
            host.mailed(mail)
        host.heard(poll.request.held)
        for assignment in answer.assignments:
            host.assigned(assignment)

    def _close_polls(self) -> None:
        if self._renewal is not None:
            self._renewal.paused()
        polls, self._open = self._open, []
        for poll in polls:
            poll.answer.cancel()

    def _pause_s(self, backoff_s: float) -> float:
        """Return how long to wait before the server is asked again: so that the lease can be renewed in time."""
        wait_s = backoff_s * (0.5 + self._chance.random.random())
        if self._is_over:
            return wait_s
        return min(wait_s, self._lease.poll_ms / MS_PER_S, max(self._lease.left_ms(), 0) / MS_PER_S)

    def _tell_away(self, error: Unavailable) -> None:
        if not self._is_away:
            _log.warning("no answer from the server, trying again: %s", error)
        self._is_away = True

    # ------------------------------------------------------------------------------------------------------- sessions

    def _end(self, why: str) -> None:
        """Let go of everything."""
        self._is_over = True
        _log.warning("the session of worker %s %s; opening a new one", self._name, why, extra={"session_id": self.id})
        self._close_polls()
        self._host.over()
        self._news.set()

    async def _begin_anew(self) -> None:
        await self.announce()
        if self._forsaken:
            # The server may not have judged it yet, and would keep its runs for the rest of the lease.
            forsaken, self._forsaken = self._forsaken, ""
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(self._lease.patience_ms / MS_PER_S):
                    await self._transport.goodbye(Goodbye(forsaken))

    def _queues(self) -> tuple[Queue, ...]:
        return tuple(
            Queue(self._namespace, version.workflow, version.version, pool)
            for version in self._versions
            for pool in self._pools
        )


def _claim(held: Held) -> tuple[str, int]:
    return held.run_id, held.epoch
