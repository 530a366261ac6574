"""A lease, and the thread that renews it while the event loop is held up."""

import logging
import threading
from typing import Any

import pytest

from aiki.clock import ManualClock, SystemClock
from aiki.errors import Unavailable
from aiki.model.run import Queue
from aiki.model.wire import Held, PollAnswer, PollRequest
from aiki.worker.renewal import HELD_UP_MS_MAX, STANDSTILL_LEASES, Lease, Renewal

LEASE_MS = 10_000
SESSION = "0190a000-0000-7000-8000-000000000003"


class ScriptedRenewer:
    """Keeps what it is asked, and answers as it is told."""

    def __init__(self) -> None:
        self.asked: list[PollRequest] = []
        self.is_over = False
        self.is_away = False
        self.is_closed = False
        self.used = threading.Event()
        self.closed = threading.Event()

    def renew(self, request: PollRequest) -> PollAnswer:
        self.asked.append(request)
        self.used.set()
        if self.is_away:
            raise Unavailable("no server")
        return PollAnswer(0, LEASE_MS, session_over=self.is_over)

    def close(self) -> None:
        self.closed.set()


class World:
    """A session whose last poll was sent just now, to be given up in 2.5 s."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.lease = Lease(self.clock, is_judged=True)
        self.renewer = ScriptedRenewer()
        self.renewal = Renewal(self.renewer, self.lease, clock=self.clock)
        self.lease.begin(SESSION, sent_ms=self.clock.monotonic_ms(), lease_ms=LEASE_MS)
        self.poll()

    def poll(self) -> None:
        """The loop sends a poll."""
        now_ms = self.clock.monotonic_ms()
        self.request = PollRequest(
            SESSION,
            self.lease.next_number(),
            (Queue("default", "order", "1"),),
            7,
            held=(Held("a run", 3, 9),),
            wait_ms=self.lease.poll_ms,
        )
        until_ms = now_ms + self.lease.poll_ms + self.lease.patience_ms
        self.renewal.polled(self.request, sent_ms=now_ms, until_ms=until_ms)

    def hold_up(self, milliseconds: int) -> None:
        """Let time pass that the loop does not see, and the thread look as it wants to."""
        until_ms = self.clock.monotonic_ms() + milliseconds
        while True:
            wait_ms = self.renewal.look()
            left_ms = until_ms - self.clock.monotonic_ms()
            if wait_ms is None or wait_ms >= left_ms:
                self.clock.advance(milliseconds=left_ms)
                return
            self.clock.advance(milliseconds=wait_ms)


@pytest.fixture
def world() -> World:
    return World()


# ---------------------------------------------------------------------------------------------------------------- lease


def test_a_lease_counts_from_when_the_answered_poll_was_sent(world: World) -> None:
    world.clock.advance(seconds=5)
    world.lease.renew(SESSION, sent_ms=world.clock.monotonic_ms() - 2_000, lease_ms=LEASE_MS)

    assert world.lease.left_ms() == 8_000


def test_an_answer_that_comes_late_takes_nothing_from_a_lease(world: World) -> None:
    world.lease.renew(SESSION, sent_ms=world.clock.monotonic_ms() - 9_000, lease_ms=LEASE_MS)

    assert world.lease.left_ms() == LEASE_MS


def test_a_server_without_a_database_keeps_a_lease_from_its_end_and_not_for_good(world: World) -> None:
    began_ms = world.clock.monotonic_ms()
    for _ in range(STANDSTILL_LEASES - 1):
        world.clock.advance(milliseconds=LEASE_MS - 1_000)
        world.lease.stand_still(SESSION, sent_ms=world.clock.monotonic_ms())
        assert world.lease.left_ms() == LEASE_MS
    while not world.lease.is_over():
        world.clock.advance(milliseconds=1_000)
        world.lease.stand_still(SESSION, sent_ms=world.clock.monotonic_ms())

    assert world.clock.monotonic_ms() - began_ms == STANDSTILL_LEASES * LEASE_MS


def test_an_answer_to_another_session_renews_nothing(world: World) -> None:
    world.clock.advance(seconds=5)
    world.lease.renew("another", sent_ms=world.clock.monotonic_ms(), lease_ms=LEASE_MS)

    assert world.lease.left_ms() == 5_000


def test_a_lease_that_is_not_judged_is_never_over() -> None:
    clock = ManualClock()
    lease = Lease(clock, is_judged=False)
    lease.begin(SESSION, sent_ms=clock.monotonic_ms(), lease_ms=LEASE_MS)
    clock.advance(days=1)

    assert not lease.is_over()


def test_a_poll_and_its_patience_follow_from_the_lease(world: World) -> None:
    assert (world.lease.poll_ms, world.lease.patience_ms) == (2_000, 500)


# -------------------------------------------------------------------------------------------------------------- renewal


def test_a_loop_that_polls_is_left_alone(world: World) -> None:
    for _ in range(20):
        world.hold_up(2_500)
        world.poll()

    assert world.renewer.asked == []


def test_a_loop_that_sends_no_poll_is_renewed_for(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.hold_up(30_000)

    assert not world.lease.is_over()
    assert world.lease.left_ms() >= 7_000
    assert len(world.renewer.asked) == 14
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


def test_a_renewal_states_what_the_last_poll_stated_and_asks_for_nothing(world: World) -> None:
    world.hold_up(2_750 + 1)

    (asked,) = world.renewer.asked
    assert (asked.session_id, asked.held, asked.number) == (SESSION, world.request.held, world.request.number + 1)
    assert (asked.queues, asked.capacity, asked.wait_ms) == ((), 0, 0)


def test_a_renewal_and_the_loops_next_poll_have_numbers_of_their_own(world: World) -> None:
    world.hold_up(10_000)
    world.poll()

    numbers = [request.number for request in (*world.renewer.asked, world.request)]
    assert numbers == [2, 3, 4, 5, 6]


def test_whoever_holds_up_the_loop_is_named(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.hold_up(3_000)

    assert "held up for 2.8 s" in caplog.text
    assert "test_whoever_holds_up_the_loop_is_named" in caplog.text


def test_a_worker_that_hangs_for_a_minute_is_let_go(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.hold_up(HELD_UP_MS_MAX + LEASE_MS + 2_000)

    assert world.lease.is_over()
    assert world.renewer.asked[-1].number <= 1 + HELD_UP_MS_MAX // 2_000
    assert "let go" in caplog.text
    before = len(world.renewer.asked)
    world.hold_up(60_000)
    assert len(world.renewer.asked) == before


def test_a_lease_that_is_over_is_not_renewed_by_who_wakes_up(world: World) -> None:
    world.clock.advance(seconds=11)  # the process was stopped: neither loop nor thread saw it

    assert world.renewal.look() is None
    assert world.renewer.asked == []
    assert world.lease.is_over()


def test_a_session_that_the_server_has_ended_is_not_held_for_alive(world: World) -> None:
    world.renewer.is_over = True
    world.hold_up(LEASE_MS)

    assert world.lease.is_over()


def test_a_renewal_that_did_not_get_through_is_tried_again(world: World) -> None:
    world.renewer.is_away = True
    world.hold_up(5_000)
    assert len(world.renewer.asked) == 2
    world.renewer.is_away = False
    world.hold_up(5_000)

    assert world.lease.left_ms() > 5_000


def test_a_loop_that_pauses_by_itself_is_not_reported(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.renewal.paused()
    world.hold_up(9_000)

    assert (world.renewer.asked, caplog.text) == ([], "")


def test_a_real_thread_renews_while_this_one_is_blocked(caplog: pytest.LogCaptureFixture) -> None:
    clock, renewer = SystemClock(), ScriptedRenewer()
    lease = Lease(clock, is_judged=True)
    renewal = Renewal(renewer, lease, clock=clock)
    sent_ms = clock.monotonic_ms()
    lease.begin(SESSION, sent_ms=sent_ms, lease_ms=LEASE_MS)
    renewal.polled(PollRequest(SESSION, 1, (), 0), sent_ms=sent_ms, until_ms=sent_ms - 1_000)
    renewal.start()
    try:
        assert renewer.used.wait(10)
    finally:
        renewal.close()

    assert renewer.closed.wait(10)
    assert "test_a_real_thread_renews_while_this_one_is_blocked" in caplog.text


def test_a_closed_renewal_ends_its_thread() -> None:
    renewer: Any = ScriptedRenewer()
    renewal = Renewal(renewer, Lease(SystemClock(), is_judged=True), clock=SystemClock())
    renewal.start()
    renewal.close()

    assert renewer.closed.wait(10)
