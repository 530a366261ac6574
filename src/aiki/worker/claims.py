"""What a worker holds: runs that it owns, runs that it is about to begin, and suspended ones whose code it keeps.

Told, and told again: what the server says of a run names an epoch. One older than the held one is passed over, and so
is what is held already, or was ended by this worker's own commit. What it held under that epoch and dropped, it never
resumes: it hands it back, once what it sent of it is answered, and the next claim has another epoch.

Heard of, before it is begun. A run may kill its process the moment that its code runs. The server counts a lost claim
as a crash only if the worker had heard of it, which shows by a later poll. So a run that has been claimed before and is
not parked here begins only when a poll that states it has been answered: whoever had it may have died of it. A run's
very first claim and a parked run begin at once; if it kills there, the next claim is the first to be counted. So the
usual path waits for nothing, and where code has to be replayed anyway it waits for one short poll.

The rule: nothing is begun, told or committed but under the epoch that was given with the claim.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from aiki.clock import Chance
from aiki.errors import Unavailable
from aiki.model.journal import Entry
from aiki.model.wire import Assignment, Commit, CommitAnswer, Executing, Held, JournalPage, Lost, NewMail
from aiki.sdk.transport import WorkerTransport
from aiki.sdk.workflow import Version
from aiki.worker.attempts import Attempts
from aiki.worker.execution import Execution
from aiki.worker.server_time import ServerTime
from aiki.worker.session import Session
from aiki.worker.stream import CommitStream
from aiki.worker.watchdog import Watchdog

__all__ = ["Claims"]

FIRST_EPOCH: Final = 1  # a run's very first claim
TOLD_MAX: Final = 10_000  # runs of which the last epoch is remembered; far more than one answer can be late for
PAGES_MAX: Final = 100_000
EXECUTING_MAX: Final = 1_000  # attempts told of in one poll
DECLINE_S: Final = 1.0
BACKOFF_S: Final = 0.05
BACKOFF_S_MAX: Final = 2.0

_log = logging.getLogger("aiki.worker")


class _Told(Struct):
    """The last claim of a run that the worker was told of. `is_ended`: by the worker's own commit."""

    epoch: int
    is_ended: bool = False


class _Pending(Struct):
    """A claim whose code does not run yet: its journal is being fetched, or the server is to hear of it first."""

    assignment: Assignment
    is_fetched: bool
    is_heard: bool

    def held(self) -> Held:
        return Held(self.assignment.run_id, self.assignment.epoch, self.assignment.last_mail)


class Claims:
    """The runs of one worker: the host of its session and of its executions.

    Args:
        versions: what the worker serves, by name and number.
        context: whatever the worker's `context` gave.
        runs_max, parked_max: how many it owns, and keeps suspended.
        start: has a coroutine run beside everything else, under a name; what it raises is fatal.

    Attributes:
        is_leaving: the worker is about to end: no run begins, and no further task starts.
    """

    session: Session

    def __init__(
        self,
        transport: WorkerTransport,
        *,
        versions: Mapping[tuple[str, str], Version[..., Any, Any]],
        attempts: Attempts,
        server_time: ServerTime,
        watchdog: Watchdog,
        chance: Chance,
        context: Any,  # noqa: ANN401 - whatever the worker's `context` gave
        runs_max: int,
        parked_max: int,
        start: Callable[[Coroutine[Any, Any, None], str], object],
    ) -> None:
        self.attempts = attempts
        self.server_time = server_time
        self.watchdog = watchdog
        self.stream = CommitStream(transport, chance=chance, may_send=self._may_send)
        self.is_leaving = False
        self._transport = transport
        self._versions = versions
        self._chance = chance
        self._context = context
        self._runs_max = runs_max
        self._parked_max = parked_max
        self._start = start
        self._loop = asyncio.get_running_loop()
        self._is_reporting = False
        self._active: dict[str, Execution] = {}
        self._pending: dict[str, _Pending] = {}
        self._parked: OrderedDict[str, Execution] = OrderedDict()
        self._returning: dict[str, Held] = {}  # on their way back: stated until then, or they would be told of again
        self._told: OrderedDict[str, _Told] = OrderedDict()

    @property
    def tasks(self) -> int:
        """How many attempts of tasks are under way."""
        return sum(len(execution.executing()) for execution in self._active.values())

    @property
    def is_executing(self) -> bool:
        """Whether an attempt of a task is under way, or something that a run did is not committed yet."""
        return any(execution.is_executing for execution in self._active.values())

    def drop_all(self) -> None:
        """Let go of everything, without a word. What was sent of it is on its way."""
        for execution in self._active.values():
            execution.release()
        self._active.clear()
        self._pending.clear()
        for execution in self._parked.values():
            execution.release()
        self._parked.clear()

    # --------------------------------------------------------------------------------------- what the session is told

    def capacity(self) -> int:
        """Return how many more runs it takes."""
        return self._runs_max - len(self._active) - len(self._pending)

    def held(self) -> list[Held]:
        """Return what it holds."""
        claims: dict[str, Execution | _Pending] = {**self._active, **self._pending}  # of a run, the newer one
        held = {run_id: claim.held() for run_id, claim in claims.items()}
        return list({**self._returning, **held}.values())

    def executing(self) -> list[Executing]:
        """Return what it executes, as much as people can look at."""
        lines = (line for execution in self._active.values() for line in execution.executing())
        return list(islice(lines, EXECUTING_MAX))

    def unheard(self) -> list[Held]:
        """Return what it begins only once a poll that states it has been answered."""
        if self.is_leaving:
            return []
        return [pending.held() for pending in self._pending.values() if not pending.is_heard]

    # --------------------------------------------------------------------------------------- what the session brings

    def assigned(self, assignment: Assignment) -> None:
        """A run is this worker's."""
        run_id, epoch = assignment.run_id, assignment.epoch
        if not self._is_news(assignment):
            return
        self._told[run_id] = _Told(epoch)
        self._told.move_to_end(run_id)
        if len(self._told) > TOLD_MAX:
            self._told.popitem(last=False)
        is_whole = not (assignment.parked or assignment.has_more)
        pending = self._pending[run_id] = _Pending(assignment, is_fetched=is_whole, is_heard=True)
        active = self._active.get(run_id)
        if assignment.parked and active is not None and active.epoch == assignment.parked_epoch:
            # The server knows that it is suspended: the answer to the commit that said so comes by another road.
            self._start(self._claim_once_settled(pending), f"settle-{run_id}")
        else:
            self._claim(pending)

    def heard(self, stated: Collection[Held]) -> None:
        """The server has heard that the worker holds this."""
        if not self._pending:
            return
        for held in stated:
            pending = self._pending.get(held.run_id)
            if pending is not None and pending.assignment.epoch == held.epoch and not pending.is_heard:
                pending.is_heard = True
                self._begin_if_ready(pending)

    def mailed(self, mail: NewMail) -> None:
        """New mail for a run that it holds."""
        active, pending = self._active.get(mail.run_id), self._pending.get(mail.run_id)
        if active is not None and active.epoch == mail.epoch:
            active.receive(mail.mail, mail.last_mail)
        elif pending is not None and pending.assignment.epoch == mail.epoch:
            known = pending.assignment
            if mail.last_mail > known.last_mail:
                new = tuple(message for message in mail.mail if message.number > known.last_mail)
                pending.assignment = replace(known, mail=(*known.mail, *new), last_mail=mail.last_mail)
        elif mail.run_id in self._returning:
            self._returning[mail.run_id] = Held(mail.run_id, mail.epoch, mail.last_mail)

    def lost(self, lost: Lost) -> None:
        """A run is this worker's no longer."""
        active, pending = self._active.get(lost.run_id), self._pending.get(lost.run_id)
        if active is not None and active.epoch == lost.epoch:
            self._drop(lost.run_id)
        elif pending is not None and pending.assignment.epoch == lost.epoch:
            del self._pending[lost.run_id]
        elif self._returning.get(lost.run_id) is not None:
            del self._returning[lost.run_id]

    def over(self) -> None:
        """The session has ended: drop everything, and send nothing of it."""
        self.stream.clear()
        self.drop_all()

    def _is_news(self, assignment: Assignment) -> bool:
        """Whether an assignment is to be taken. What was dropped under its epoch goes back."""
        run_id, epoch = assignment.run_id, assignment.epoch
        active, pending, told = self._active.get(run_id), self._pending.get(run_id), self._told.get(run_id)
        held = max(active.epoch if active is not None else 0, pending.assignment.epoch if pending is not None else 0)
        if epoch <= held or (told is not None and epoch < told.epoch):
            return False
        if told is None or epoch > told.epoch:
            return True
        if not told.is_ended:
            self._hand_back(Held(run_id, epoch, assignment.last_mail))
        return False

    # ------------------------------------------------------------------------------------------------------ beginning

    async def _claim_once_settled(self, pending: _Pending) -> None:
        await self.stream.settled(pending.assignment.run_id)
        if self._is_pending(pending):
            self._claim(pending)

    def _claim(self, pending: _Pending) -> None:
        """Go on with the code that is parked here, or have it replayed."""
        assignment = pending.assignment
        run_id = assignment.run_id
        self._drop(run_id)
        if self.is_leaving:
            return
        parked = self._parked.pop(run_id, None)
        if parked is not None and assignment.parked and parked.fits(assignment):
            del self._pending[run_id]
            self._active[run_id] = parked
            parked.resume(assignment)
            return
        if parked is not None:
            parked.release()
        pending.is_heard = assignment.epoch == FIRST_EPOCH
        if not pending.is_fetched:
            self._start(self._fetch(pending), f"fetch-{run_id}")
        self._begin_if_ready(pending)

    def _is_pending(self, pending: _Pending) -> bool:
        return self._pending.get(pending.assignment.run_id) is pending

    def _begin_if_ready(self, pending: _Pending) -> None:
        if not (pending.is_fetched and pending.is_heard) or self.is_leaving:
            return
        assignment = pending.assignment
        version = self._versions.get((assignment.workflow, assignment.version))
        if version is None:
            _log.error("run %s of %s %s is not served here", assignment.run_id, assignment.workflow, assignment.version)
            self._start(self._decline(pending), f"decline-{assignment.run_id}")
            return
        del self._pending[assignment.run_id]
        execution = Execution(self, assignment, version, context=self._context)
        self._active[assignment.run_id] = execution
        execution.begin()

    async def _decline(self, pending: _Pending) -> None:
        """Give back what was not asked for; not at once, for it may come again at once."""
        await asyncio.sleep(DECLINE_S)
        if self._is_pending(pending):
            del self._pending[pending.assignment.run_id]
            self._hand_back(pending.held())

    async def _fetch(self, pending: _Pending) -> None:
        """Fetch what of its journal the assignment did not bring, then begin it; unless the claim is lost meanwhile."""
        run_id = pending.assignment.run_id
        entries: list[Entry] = list(pending.assignment.entries)
        for _ in range(PAGES_MAX):
            after = entries[-1].seq if entries else 0
            page = await self._page(pending, after)
            if not self._is_pending(pending):
                return
            if page is None or page.problem is not None:
                del self._pending[run_id]
                return
            entries.extend(page.entries)
            if after == 0:
                pending.assignment = replace(pending.assignment, input=page.input, waits=page.waits)
            if not page.has_more:
                break
        pending.assignment = replace(pending.assignment, entries=tuple(entries), has_more=False, parked=False)
        pending.is_fetched = True
        self._begin_if_ready(pending)

    async def _page(self, pending: _Pending, after_seq: int) -> JournalPage | None:
        """Return a page of the journal, asked for until it comes; None once the claim is lost."""
        run_id, epoch, backoff_s = pending.assignment.run_id, pending.assignment.epoch, BACKOFF_S
        while self._is_pending(pending):
            try:
                return await self._transport.fetch(self.session.id, run_id, epoch, after_seq)
            except Unavailable:
                await asyncio.sleep(backoff_s * (0.5 + self._chance.random.random()))
                backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
        return None

    def _may_send(self) -> bool:
        return self.session.holds()

    def _drop(self, run_id: str) -> None:
        execution = self._active.pop(run_id, None)
        if execution is not None:
            execution.release()
            self.stream.withdraw(run_id)
            self.session.room()

    def _hand_back(self, held: Held) -> None:
        if self.is_leaving or held.run_id in self._returning:
            return  # all goes back in one call; or it does already
        self._returning[held.run_id] = held
        self._start(self._hand_back_once_settled(held), f"hand-back-{held.run_id}")

    async def _hand_back_once_settled(self, held: Held) -> None:
        try:
            await self.stream.settled(held.run_id)
            if held.run_id in self._returning:
                with suppress(Unavailable):  # the server tells of it again, and then it is handed back again
                    await self.session.hand_back([held])
        finally:
            self._returning.pop(held.run_id, None)

    # ------------------------------------------------------------------------------------- what its executions ask for

    def send(self, commit: Commit, answered: Callable[[CommitAnswer], None]) -> None:
        """Send a turn."""
        self.stream.send(commit, answered)

    def executing_changed(self) -> None:
        """What is executed has changed. May be called from any thread, and often."""
        if not self._is_reporting:
            self._is_reporting = True
            with suppress(RuntimeError):  # the loop is closed: a thread has outlived it
                self._loop.call_soon_threadsafe(self._report)

    def _report(self) -> None:
        self._is_reporting = False
        self.session.report()

    def suspended(self, execution: Execution) -> None:
        """A claim has ended by a suspension: keep the code, and let the least recently used one go."""
        self._end(execution)
        self._parked[execution.run_id] = execution
        while len(self._parked) > self._parked_max:
            _, oldest = self._parked.popitem(last=False)
            oldest.release()

    def ended(self, execution: Execution) -> None:
        """A claim has ended, and nothing is kept."""
        self._end(execution)

    def _end(self, execution: Execution) -> None:
        if self._active.get(execution.run_id) is execution:
            del self._active[execution.run_id]
        told = self._told.get(execution.run_id)
        if told is not None and told.epoch == execution.epoch:
            told.is_ended = True
        self.session.room()
