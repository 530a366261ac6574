"""The server's time as a worker knows it: never ahead, whatever its own clock does, and never back."""

from aiki.clock import ManualClock
from aiki.worker.server_time import ServerTime


def test_a_worker_whose_clock_runs_fast_is_never_further_ahead_than_since_the_last_answer() -> None:
    clock = ManualClock()
    time = ServerTime(clock)
    server_ms = 1_000_000
    for _ in range(10_000):
        time.note(server_ms)
        server_ms += 2_000
        clock.advance(milliseconds=2_001)  # half a thousandth too fast
        assert time.now_ms() - server_ms <= 1


def test_a_server_whose_clock_is_set_back_is_waited_for() -> None:
    clock = ManualClock()
    time = ServerTime(clock)
    time.note(10_000)
    time.note(4_000)
    clock.advance(seconds=5)
    assert time.now_ms() == 10_000  # what has been delivered by then has been

    clock.advance(seconds=2)
    assert time.now_ms() == 11_000


def test_an_answer_that_was_long_on_its_way_makes_it_late_until_the_next() -> None:
    clock = ManualClock()
    time = ServerTime(clock)
    time.note(10_000)
    clock.advance(seconds=2)
    time.note(11_000)
    assert time.now_ms() == 12_000
    clock.advance(seconds=2)
    assert time.now_ms() == 13_000
    time.note(14_000)
    assert time.now_ms() == 14_000
