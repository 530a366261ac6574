"""A worker's lease as its own clock sees it, and the thread that renews it while the event loop is held up.

The lease counts from the moment that an answered poll was *sent*, so it is over here before it is over at the server.
What can be renewed without the loop is the session, nothing else: the thread repeats what the last poll stated, asks
for no work, passes over what the answer brings (the next poll is told again), and names who holds the loop up. The
rule: a busy worker is not taken for a dead one, and a hung worker is not taken for a busy one. So the thread renews up
to a bound, and never a lease that is over: whoever was stopped and wakes up finds it so, and drops its runs.

A transport whose server shares this very loop has no renewer: there both stand still together, and the server judges
nobody for the time that it has not been able to hear anyone.
"""

from __future__ import annotations

import logging
import math
import sys
import threading
import traceback
from typing import Final

from msgspec.structs import replace

from aiki.clock import Clock
from aiki.errors import AikiError
from aiki.model.wire import PollRequest
from aiki.sdk.transport import Renewer

__all__ = ["HELD_UP_MS_MAX", "STANDSTILL_LEASES", "Lease", "Renewal"]

HELD_UP_MS_MAX: Final = 60_000
"""For how long a loop that is held up is renewed for."""

STANDSTILL_LEASES: Final = 10
"""For how many leases a session holds that nobody could renew, since its servers say that they have no database."""

POLL_PART: Final = 5  # a poll lasts this part of the lease: so many of them, at least, renew it before it is over
PATIENCE_PART: Final = 20  # and is waited for by this part longer
LATE_PART: Final = 40  # a poll that is late by this part of the lease was not sent because nothing runs
_MS_PER_S: Final = 1_000

_log = logging.getLogger("aiki.worker")


class Lease:
    """Until when a session holds, and the numbers of its polls. Shared by the loop and the renewing thread.

    Args:
        is_judged: whether it can be over while its worker lives: not where the server shares the worker's loop.

    >>> from aiki.clock import ManualClock
    >>> clock = ManualClock()
    >>> lease = Lease(clock, is_judged=True)
    >>> lease.begin("0190", sent_ms=clock.monotonic_ms(), lease_ms=10_000)
    >>> clock.advance(milliseconds=9_999)
    >>> lease.is_over()
    False
    >>> clock.advance(milliseconds=1)
    >>> lease.is_over()
    True
    """

    def __init__(self, clock: Clock, *, is_judged: bool) -> None:
        self._clock = clock
        self._is_judged = is_judged
        self._lock = threading.Lock()
        self._session_id = ""
        self._number = 0
        self._until_ms = -math.inf
        self._renewed_ms = -math.inf  # when the poll was sent that renewed it last
        self.lease_ms = 0

    def begin(self, session_id: str, *, sent_ms: float, lease_ms: int) -> None:
        """A session was announced."""
        with self._lock:
            self._session_id = session_id
            self._number = 0
            self.lease_ms = lease_ms
            self._until_ms = sent_ms + lease_ms
            self._renewed_ms = sent_ms

    def renew(self, session_id: str, *, sent_ms: float, lease_ms: int) -> None:
        """A poll that was sent then has been answered."""
        with self._lock:
            if session_id == self._session_id:
                self.lease_ms = lease_ms
                self._until_ms = max(self._until_ms, sent_ms + lease_ms)
                self._renewed_ms = max(self._renewed_ms, sent_ms)

    def stand_still(self, session_id: str, *, sent_ms: float) -> None:
        """A poll that was sent then has been answered by a server without a database: it ends no session now.

        Another server may have one, and end it all the same. That is what epochs are for; so the patience is bounded.
        """
        with self._lock:
            if session_id == self._session_id:
                last_ms = self._renewed_ms + STANDSTILL_LEASES * self.lease_ms
                self._until_ms = max(self._until_ms, min(sent_ms + self.lease_ms, last_ms))

    def next_number(self) -> int:
        """Return the number of the session's next poll."""
        with self._lock:
            self._number += 1
            return self._number

    def left_ms(self) -> float:
        """Return for how long it holds; nothing is left once it is over."""
        return self._until_ms - self._clock.monotonic_ms() if self._is_judged else math.inf

    def is_over(self) -> bool:
        """Whether it could not be renewed in time."""
        return self.left_ms() <= 0

    @property
    def poll_ms(self) -> int:
        """How long a poll lasts at most."""
        return self.lease_ms // POLL_PART

    @property
    def patience_ms(self) -> int:
        """How much longer its answer is waited for."""
        return self.lease_ms // PATIENCE_PART


class _Sent:
    """The last poll that the loop has sent."""

    def __init__(self, request: PollRequest, sent_ms: float, late_ms: float) -> None:
        self.request = request
        self.sent_ms = sent_ms
        self.late_ms = late_ms  # when the loop ought to have sent the next
        self.renewed_ms = -math.inf
        self.is_told = False
        self.is_let_go = False


class Renewal:
    """Renews one worker's session while its event loop is held up.

    Args:
        renewer: the road, which no loop is needed for.
    """

    def __init__(self, renewer: Renewer, lease: Lease, *, clock: Clock) -> None:
        self._renewer = renewer
        self._lease = lease
        self._clock = clock
        self._loop_thread = threading.get_ident()
        self._sent: _Sent | None = None
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look after the loop of this thread from now on, from another one."""
        self._loop_thread = threading.get_ident()
        self._thread = threading.Thread(target=self._go, name="aiki-renewal", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Renew no more. A renewal that is under way ends by itself."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def polled(self, request: PollRequest, *, sent_ms: float, until_ms: float) -> None:
        """The loop has sent a poll, which it gives up at `until_ms`: it lives."""
        self._sent = _Sent(request, sent_ms, until_ms + self._lease.lease_ms / LATE_PART)

    def paused(self) -> None:
        """The loop sends no poll for a while, and means it."""
        self._sent = None

    def look(self) -> float | None:
        """Renew if the loop has not sent the poll that it ought to have.

        Returns:
            In how many milliseconds it is to be looked again; None: as soon as there is a poll.
        """
        sent, now_ms = self._sent, self._clock.monotonic_ms()
        if sent is None or sent.is_let_go:
            return None
        if now_ms < sent.late_ms:
            return sent.late_ms - now_ms
        held_up_ms = now_ms - sent.sent_ms
        if not sent.is_told:
            sent.is_told = True
            self._tell(held_up_ms)
        if held_up_ms > HELD_UP_MS_MAX or self._lease.is_over():
            sent.is_let_go = True
            _log.error(
                "the worker's event loop has been held up for %.1f s: its session is let go, and its runs with it",
                held_up_ms / _MS_PER_S,
            )
            return None
        if now_ms - sent.renewed_ms >= self._lease.poll_ms:
            self._renew(sent, now_ms)
        return self._lease.poll_ms

    def _renew(self, sent: _Sent, now_ms: float) -> None:
        request = replace(sent.request, number=self._lease.next_number(), queues=(), capacity=0, wait_ms=0, found=())
        try:
            answer = self._renewer.renew(request)
        except AikiError as error:
            _log.warning("the session was not renewed while the event loop is held up: %s", error)
            return
        sent.renewed_ms = now_ms
        if not answer.session_over:
            self._lease.renew(request.session_id, sent_ms=now_ms, lease_ms=answer.lease_ms)

    def _tell(self, held_up_ms: float) -> None:
        frame = sys._current_frames().get(self._loop_thread)
        stack = "" if frame is None else "".join(traceback.format_stack(frame, limit=8))
        _log.warning(
            "the worker's event loop has been held up for %.1f s, and all of its runs with it. Its session is renewed from"
            " another thread for up to %d s. What blocks belongs into a `def` task:\n%s",
            held_up_ms / _MS_PER_S,
            HELD_UP_MS_MAX // _MS_PER_S,
            stack,
            extra={"held_up_ms": int(held_up_ms)},
        )

    def _go(self) -> None:
        try:
            while True:
                wait_ms = self.look()
                with self._changed:
                    if self._is_closed:
                        return
                    # A poll that comes wakes nobody: where there is none, it is soon enough to look again in a while.
                    self._changed.wait((self._lease.poll_ms if wait_ms is None else wait_ms) / _MS_PER_S)
        finally:
            self._renewer.close()
