"""Workers that wait for work, mail and news: their open polls, and which queues are worth a look.

The rule: the database is the truth, and everything here is a hint. A lost hint costs at most one sweep; an answer that is
lost is told again, because the next poll states what its worker holds. A poll is answered as soon as there is anything
to say, and otherwise offered what becomes ready, in the transaction that made it ready.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from aiki.clock import Clock
from aiki.config import Config
from aiki.engine.commands import Answer, Command, Poll, PollOutcome
from aiki.engine.dispatch import Offer
from aiki.errors import Unavailable
from aiki.model.lifecycle import Status
from aiki.model.run import Queue, RunRow
from aiki.model.wire import Assignment, Lost, NewMail, PollAnswer, PollRequest
from aiki.model.working_set import MAIL_ROWS, Claim, Keys, WorkingSet
from aiki.server.hints import Board
from aiki.server.presence import Presence
from aiki.store.base import ClaimRows, Transaction

__all__ = ["Dispatch", "Offering", "OpenPoll"]

MS_PER_S: Final = 1000
READY_SPARE_ROWS: Final = 16  # looked at beyond what is wanted: a suspect at the head of a queue must not block it
EMPTY_QUEUES_MAX: Final = 100_000
LEFT_MAX: Final = 100_000


class OpenPoll:
    """A poll that is not answered yet. It waits once its own command is decided; before that it is only asked."""

    def __init__(self, request: PollRequest, opened_ms: float) -> None:
        self.request = request
        self.opened_ms = opened_ms
        self.answer: asyncio.Future[PollAnswer] = asyncio.get_running_loop().create_future()
        self.is_waiting = False
        self.timer: asyncio.TimerHandle | None = None

        self.only = frozenset(request.found) if request.found else None

    @property
    def wants_runs(self) -> bool:
        """Whether it takes runs."""
        return self.request.capacity > 0 and bool(self.request.queues) and not self.answer.done()

    @property
    def is_served_from_queues(self) -> bool:
        """Whether it takes whatever is ready, and not only what its worker has found."""
        return self.wants_runs and self.only is None


class Offering(Struct, frozen=True):
    """What one transaction may hand out: to whom, and how many runs of each queue are looked up for that."""

    polls: tuple[OpenPoll, ...] = ()
    looked_up: Mapping[Queue, int] = {}
    returning: frozenset[str] = frozenset()  # sessions that take no runs now and are thought to in a moment

    def name_keys(self, keys: Keys) -> None:
        """Add the rows that handing over needs."""
        keys.sessions.update(poll.request.session_id for poll in self.polls)
        keys.ready.update(self.looked_up)

    def offers(self, refused: Collection[str]) -> list[Offer]:
        """Return fresh offers, but for sessions whose own poll was refused in the same batch."""
        return [
            Offer(poll.request.session_id, poll.request.queues, poll.request.capacity, only=poll.only)
            for poll in self.polls
            if poll.request.session_id not in refused
        ]


class Dispatch:
    """The open polls of a server.

    Attributes:
        is_wanted: a transaction is wanted though no command is: runs may be ready that somebody waits for.
    """

    def __init__(self, *, presence: Presence, clock: Clock, config: Config, board: Board | None = None) -> None:
        self._presence = presence
        self._board = board
        self._clock = clock
        self._config = config
        self._open: dict[str, OpenPoll] = {}
        self._empty: set[Queue] = set()  # queues that the database is known to hold nothing in; any other may
        self.is_wanted = False
        self._is_closed = False
        self._left: dict[str, float] = {}  # sessions without an open poll, and since when (monotonic), oldest first
        self._kept_timer: asyncio.TimerHandle | None = None
        self._wake = _no_one

    def on_wanted(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when a transaction becomes wanted while none is under way."""
        self._wake = wake

    # ---------------------------------------------------------------------------------------------------------- polls

    def open(self, request: PollRequest) -> OpenPoll:
        """Take in a poll; an older one of its session is answered at once. One that comes too late is, too.

        Raises:
            Unavailable: the server closes.
        """
        if self._is_closed:
            raise Unavailable("the server closes")
        self._presence.heard(request.session_id)
        poll = OpenPoll(request, self._clock.monotonic_ms())
        older = self._open.get(request.session_id)
        if older is not None and older.request.number > request.number:
            self._answer(poll)
            return poll
        if older is not None:
            self._answer(older)
        self._open[request.session_id] = poll
        self._left.pop(request.session_id, None)
        return poll

    def fail(self, poll: OpenPoll, decided: asyncio.Future[Answer]) -> None:
        """Raise for whoever waits for a poll what its command raised, if it did."""
        error = None if decided.cancelled() else decided.exception()
        if error is not None and not poll.answer.done():
            poll.answer.set_exception(error)

    def forget(self, poll: OpenPoll) -> None:
        """Drop a poll whose caller has its answer, or has gone."""
        if poll.timer is not None:
            poll.timer.cancel()
        session_id = poll.request.session_id
        if self._open.get(session_id) is poll:
            del self._open[session_id]
            note = self._presence.broken if poll.answer.cancelled() else self._presence.answered
            note(session_id, poll.request.number)
            self._left.pop(session_id, None)  # to the end of the order
            self._left[session_id] = self._clock.monotonic_ms()

    def close(self) -> None:
        """Answer every open poll, and refuse those that come."""
        self._is_closed = True
        if self._kept_timer is not None:
            self._kept_timer.cancel()
        for poll in list(self._open.values()):
            self._answer(poll)

    # ------------------------------------------------------------------------------------------------ one transaction

    def offering(self, commands: Iterable[Command]) -> Offering:
        """Return what the transaction of `commands` may hand out: to their polls, and to those that wait."""
        self.is_wanted = False
        asked = {id(command.request) for command in commands if isinstance(command, Poll)}
        polls = [
            poll for poll in self._open.values() if poll.wants_runs and (poll.is_waiting or id(poll.request) in asked)
        ][: self._config.offered_polls_max]
        capacity: dict[Queue, int] = defaultdict(int)
        for poll in polls:
            for queue in poll.request.queues if poll.only is None else ():
                if queue not in self._empty:
                    capacity[queue] += poll.request.capacity
        most = max(1, self._config.claimed_rows_max // max(1, len(capacity)))
        looked_up = {queue: min(wanted, most) + READY_SPARE_ROWS for queue, wanted in capacity.items()}
        return Offering(tuple(polls), looked_up, self._returning())

    def settle(
        self, done: Transaction, offering: Offering, *, polled: Sequence[tuple[Poll, PollOutcome]]
    ) -> list[Command]:
        """Answer the polls that a durable transaction has something for, and let the others wait.

        Returns:
            Polls to decide again: of sessions with new mail.
        """
        ws = done.ws
        self._note_queues(ws, offering)
        offered = {poll.request.session_id: poll for poll in offering.polls}
        claimed = _by_session(done)
        for command, outcome in polled:
            poll = self._open.get(outcome.session_id)
            if poll is not None and poll.request is command.request:
                self._decided(poll, outcome, claimed.pop(outcome.session_id, ()))
        for session_id, assignments in claimed.items():
            if session_id in offered:  # else its poll has come after this batch began, and will be told
                self._answer(offered[session_id], assignments=assignments)
        for session_id, run_id, epoch in ws.released:
            poll = self._waiting(session_id)
            if poll is not None:
                self._answer(poll, lost=(Lost(run_id, epoch),))
        self._look_again_for_kept(ws, offering)
        if ws.claims and any(poll.is_waiting and self._may_be_served(poll) for poll in self._open.values()):
            self.is_wanted = True
        return self._mailed(ws)

    def _note_queues(self, ws: WorkingSet, offering: Offering) -> None:
        """Learn which queues are empty now: those of which fewer runs were there than were looked for."""
        if len(self._empty) > EMPTY_QUEUES_MAX:
            self._empty.clear()
        self._empty.update(queue for queue, limit in offering.looked_up.items() if len(ws.ready.get(queue, ())) < limit)
        self._empty.difference_update(row.queue for row in ws.runs.values() if row.status is Status.QUEUED)

    def _returning(self) -> frozenset[str]:
        """Sessions whose worker is full, or between two polls: a run that one of them keeps waits for it a moment."""
        since_ms = self._clock.monotonic_ms() - self._config.parked_wait_ms
        while self._left and (next(iter(self._left.values())) < since_ms or len(self._left) > LEFT_MAX):
            del self._left[next(iter(self._left))]
        full = {session_id for session_id, poll in self._open.items() if not poll.wants_runs}
        return frozenset(full.union(self._left))

    def _look_again_for_kept(self, ws: WorkingSet, offering: Offering) -> None:
        """See to it that runs which wait for their keeper are offered to all when that moment is over."""
        kept = {
            row.queue for row in ws.runs.values() if row.status is Status.QUEUED and row.parked_on in offering.returning
        }
        if kept and self._kept_timer is None and any(poll.is_waiting for poll in self._open.values()):
            wait_s = self._config.parked_wait_ms / MS_PER_S
            self._kept_timer = asyncio.get_running_loop().call_later(wait_s, self._release_kept, kept)

    def _release_kept(self, queues: Collection[Queue]) -> None:
        self._kept_timer = None
        self.may_hold_runs(queues)
        if self.is_wanted:
            self._wake()

    def _decided(self, poll: OpenPoll, outcome: PollOutcome, assignments: Sequence[Assignment]) -> None:
        if outcome.over or outcome.stale or outcome.lost or outcome.mail or assignments:
            self._answer(poll, lost=outcome.lost, mail=outcome.mail, assignments=assignments, is_over=outcome.over)
            return
        poll.is_waiting = True
        if poll.timer is None:
            # From its arrival on: whoever asked counts from there, and gives it up not much later.
            waited_ms = self._clock.monotonic_ms() - poll.opened_ms
            wait_ms = max(0.0, min(poll.request.wait_ms, self._config.poll_wait_ms) - waited_ms)
            poll.timer = asyncio.get_running_loop().call_later(wait_ms / MS_PER_S, self._answer, poll)

    def _mailed(self, ws: WorkingSet) -> list[Command]:
        """Tell owners of new mail. Where more than the last of it is missing there, the rows say what."""
        again: dict[str, Command] = {}
        for run_id in sorted(ws.mailed):
            row = ws.runs[run_id]
            poll = self._waiting(row.session_id or "")
            if poll is None or row.status is not Status.RUNNING:
                continue
            known = next((held for held in poll.request.held if (held.run_id, held.epoch) == (run_id, row.epoch)), None)
            mail = tuple(mail for owner, mail in ws.new_mail if owner == run_id)
            if known is not None and mail and mail[0].number == known.mail + 1 and mail[-1].number == row.mail:
                self._answer(poll, mail=(NewMail(run_id, row.epoch, mail, row.mail),))
            else:
                poll.is_waiting = False
                again[poll.request.session_id] = Poll(poll.request, self._config.lease_ms)
        return [command for session_id, command in again.items() if not self._open[session_id].answer.done()]

    # ---------------------------------------------------------------------------------------------------------- hints

    def served_queues(self) -> list[Queue]:
        """Return the queues that somebody waits for and that are thought to be empty."""
        return sorted(
            {
                queue
                for poll in self._open.values()
                if poll.is_waiting and poll.is_served_from_queues
                for queue in poll.request.queues
                if queue in self._empty
            }
        )

    def may_hold_runs(self, queues: Collection[Queue]) -> None:
        """Learn that queues are not empty; who waits for them is served with the next transaction."""
        self._empty.difference_update(queues)
        self.is_wanted = self.is_wanted or any(
            poll.is_waiting and self._may_be_served(poll) for poll in self._open.values()
        )

    def holding(self) -> list[str]:
        """Return the sessions whose polls wait and state runs that they hold."""
        return [session_id for session_id, poll in self._open.items() if poll.is_waiting and poll.request.held]

    def poll_again(self, sessions: Iterable[str]) -> list[Command]:
        """Return the polls to decide again of sessions that the rows may have something new for."""
        again: list[Command] = []
        for session_id in sessions:
            poll = self._waiting(session_id)
            if poll is not None:
                poll.is_waiting = False
                again.append(Poll(poll.request, self._config.lease_ms))
        return again

    def _may_be_served(self, poll: OpenPoll) -> bool:
        return poll.is_served_from_queues and any(queue not in self._empty for queue in poll.request.queues)

    def _waiting(self, session_id: str) -> OpenPoll | None:
        poll = self._open.get(session_id)
        return poll if poll is not None and poll.is_waiting and not poll.answer.done() else None

    def _answer(
        self,
        poll: OpenPoll,
        assignments: Sequence[Assignment] = (),
        *,
        mail: tuple[NewMail, ...] = (),
        lost: tuple[Lost, ...] = (),
        is_over: bool = False,
    ) -> None:
        poll.is_waiting = False
        if not poll.answer.done():
            poll.answer.set_result(
                PollAnswer(
                    now_ms=self._clock.now_ms(),
                    lease_ms=self._config.lease_ms,
                    assignments=tuple(assignments),
                    mail=mail,
                    lost=lost,
                    session_over=is_over,
                    is_published=self._board is not None and self._board.is_up,
                )
            )


def _no_one() -> None:
    """Stand in until somebody wants to be woken."""


def _by_session(done: Transaction) -> dict[str, Sequence[Assignment]]:
    """Return the assignments of a transaction for each session, those that still hold at its end."""
    found: dict[str, list[Assignment]] = defaultdict(list)
    for claim in done.ws.claims.values():
        row = done.ws.runs[claim.run_id]
        read = done.claimed.get(claim.run_id)
        if read is not None and row.status is Status.RUNNING and row.session_id == claim.session_id:
            found[claim.session_id].append(_assignment(row, claim, read))
    return dict(found)


def _assignment(row: RunRow, claim: Claim, read: ClaimRows) -> Assignment:
    is_parked = claim.parked_epoch is not None
    return Assignment(
        run_id=row.id,
        epoch=row.epoch,
        namespace=row.namespace,
        workflow=row.workflow,
        version=row.version,
        attempt=row.attempt,
        chapter=row.chapter,
        seq=row.seq,
        effects=row.effects,
        clock_ms=row.clock_ms or 0,
        mail=read.mail,
        last_mail=read.mail[-1].number if len(read.mail) >= MAIL_ROWS else row.mail,
        parked=is_parked,
        parked_epoch=claim.parked_epoch or 0,
        input=read.input,
        entries=read.entries,
        has_more=read.has_more,
        waits=read.waits,
        reference_id=row.reference_id,
        parent_id=row.parent_id,
        tags=read.tags,
        retry=row.retry,
        crashes=row.crashes,
        cancel_delivered=row.cancel_delivered,
    )
