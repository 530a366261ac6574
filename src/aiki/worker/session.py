"""A worker's session with a server: announced once, renewed by polls, given up with a goodbye.

Told, and told again: every poll states what the worker holds, and the answer brings whatever the server knows
otherwise. The rule: an answer is only a hint to what the database says; one of an older epoch than the held one is
passed over, and so is what is held already.
"""

import asyncio
import logging
import os
import platform
from collections.abc import Sequence
from typing import Final, Protocol

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
from aiki.worker.server_time import ServerTime

__all__ = ["Session", "SessionHost"]

POLLS_PER_LEASE: Final = 5  # so many polls, at least, renew it before it is over
BACKOFF_S: Final = 0.1
BACKOFF_S_MAX: Final = 2.0

_log = logging.getLogger("aiki.worker")


class SessionHost(Protocol):
    """The worker, as its session sees it."""

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


class Session:
    """Polls for one worker, one session after another.

    Args:
        versions: what the worker serves; the queues follow from it and `pools`.
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
        self._number = 0
        self._lease_ms = 0
        self._room = asyncio.Event()
        self._claims = True
        self._older: asyncio.Future[PollAnswer] | None = None
        self.id = ""

    async def announce(self) -> None:
        """Open a session.

        Raises:
            Unavailable: no server answers.
        """
        self.id = self._chance.uuid7(now_ms=self._clock.now_ms())
        self._number = 0
        answer = await self._transport.announce(
            Announce(
                session_id=self.id,
                namespace=self._namespace,
                worker=self._name,
                versions=self._versions,
                pools=self._pools,
                capacity=self._capacity,
                host=platform.node(),
                pid=os.getpid(),
                sdk=self._sdk,
            )
        )
        self._lease_ms = answer.lease_ms
        self._host.server_time.note(answer.now_ms)

    def room(self) -> None:
        """There is room for another run: a poll that asked for none is followed by one that does."""
        self._room.set()

    def stop_claiming(self) -> None:
        """Ask for no more runs; mail and news of lost claims still come."""
        self._claims = False
        self._room.set()

    async def run(self) -> None:
        """Poll until cancelled."""
        backoff_s = BACKOFF_S
        try:
            while True:
                try:
                    await self._poll()
                    backoff_s = BACKOFF_S
                except Unavailable as error:
                    self._older = None
                    _log.warning("no answer from the server, trying again: %s", error)
                    await asyncio.sleep(backoff_s * (0.5 + self._chance.random.random()))
                    backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
        finally:
            if self._older is not None:
                self._older.cancel()

    async def hand_back(self, runs: Sequence[Held]) -> None:
        """Give up claims; it counts as no crash."""
        if runs:
            await self._transport.hand_back(HandBack(self.id, tuple(runs)))

    async def goodbye(self) -> None:
        """End the session."""
        await self._transport.goodbye(Goodbye(self.id))

    async def _poll(self) -> None:
        """Make one poll and take its answer.

        If room comes up while one that asked for none is open, the next one follows at once, and the server answers
        the older one when it sees the newer.
        """
        self._room.clear()
        capacity = max(self._host.capacity(), 0) if self._claims else 0
        poll = asyncio.ensure_future(self._transport.poll(self._request(capacity)))
        room = asyncio.ensure_future(self._room.wait())
        try:
            if self._older is not None:
                await self._take(await self._older)
                self._older = None
            await asyncio.wait({poll} if capacity > 0 else {poll, room}, return_when=asyncio.FIRST_COMPLETED)
            if poll.done():
                await self._take(poll.result())
            else:
                self._older = poll
        finally:
            room.cancel()
            if not poll.done() and self._older is not poll:
                poll.cancel()

    def _request(self, capacity: int) -> PollRequest:
        self._number += 1
        return PollRequest(
            session_id=self.id,
            number=self._number,
            queues=self._queues() if capacity > 0 else (),
            capacity=capacity,
            held=tuple(self._host.held()),
            executing=tuple(self._host.executing()),
            wait_ms=self._lease_ms // POLLS_PER_LEASE,
        )

    async def _take(self, answer: PollAnswer) -> None:
        host = self._host
        host.server_time.note(answer.now_ms)
        if answer.session_over:
            _log.warning("the session of worker %s has ended; opening a new one", self._name)
            host.over()
            await self.announce()
            return
        for lost in answer.lost:
            host.lost(lost)
        for mail in answer.mail:
            host.mailed(mail)
        for assignment in answer.assignments:
            host.assigned(assignment)

    def _queues(self) -> tuple[Queue, ...]:
        return tuple(
            Queue(self._namespace, version.workflow, version.version, pool)
            for version in self._versions
            for pool in self._pools
        )
