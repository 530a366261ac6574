"""The table of moves, written by hand a second time: a test that reads the table agrees with any mistake in it."""

from itertools import product

import pytest

from aiki.model.lifecycle import MOVES, OPEN, SUSPENDED, TERMINAL, Reason, Status, can_move

# old status: new status (why) · ...
BY_HAND = """
scheduled: queued (due woken) · running (claimed) · paused (paused) · cancelled (cancelled terminated) · failed (timed_out)
queued: running (claimed) · paused (paused) · stalled (undelivered) · cancelled (cancelled terminated) · failed (timed_out)
running: completed (returned) · failed (raised timed_out) · cancelled (cancelled terminated grace_over) · paused (paused) · sleeping (suspended) · awaiting_event (suspended) · awaiting_child (suspended) · awaiting_retry (suspended retry) · queued (handed_back worker_lost) · stalled (crashed diverged waits_for_nothing refused)
sleeping: queued (due message woken) · running (claimed) · paused (paused) · cancelled (terminated)
awaiting_event: queued (due message woken) · running (claimed) · paused (paused) · cancelled (terminated)
awaiting_child: queued (due message woken) · running (claimed) · paused (paused) · cancelled (terminated)
awaiting_retry: queued (due message woken) · running (claimed) · paused (paused) · cancelled (cancelled terminated) · failed (timed_out)
paused: scheduled (resumed) · queued (resumed) · sleeping (resumed) · awaiting_event (resumed) · awaiting_child (resumed) · awaiting_retry (resumed) · cancelled (cancelled terminated)
stalled: queued (requeued) · cancelled (cancelled terminated)
completed:
failed: queued (retry)
cancelled:
"""


def _by_hand() -> set[tuple[str, str, str]]:
    found: set[tuple[str, str, str]] = set()
    for line in BY_HAND.strip().splitlines():
        old, _, moves = line.partition(":")
        for move in filter(None, moves.split("·")):
            new, _, reasons = move.strip().partition(" ")
            found.update((old, new, reason) for reason in reasons.strip("()").split())
    return found


def test_a_run_moves_only_as_the_table_says() -> None:
    allowed = {
        (str(old), str(new), str(reason))
        for old, new, reason in product(Status, Status, Reason)
        if can_move(old, new, reason)
    }

    assert allowed == _by_hand()


def test_every_status_has_its_row() -> None:
    assert set(MOVES) == set(Status)


def test_every_reason_but_that_of_the_start_explains_a_move() -> None:
    assert {reason for _, _, reason in _by_hand()} == {str(reason) for reason in Reason} - {"started"}


def test_the_statuses_are_twelve_in_four_kinds() -> None:
    assert {str(status) for status in TERMINAL} == {"completed", "failed", "cancelled"}
    assert {str(status) for status in SUSPENDED} == {"sleeping", "awaiting_event", "awaiting_child", "awaiting_retry"}
    assert {str(status) for status in OPEN - SUSPENDED} == {"scheduled", "queued", "running", "paused", "stalled"}


@pytest.mark.parametrize("status", sorted(TERMINAL - {Status.FAILED}))
def test_what_has_ended_stays_as_it_is(status: Status) -> None:
    assert MOVES[status] == {}


@pytest.mark.parametrize("status", sorted(OPEN))
def test_every_open_run_can_be_terminated(status: Status) -> None:
    assert can_move(status, Status.CANCELLED, Reason.TERMINATED)


@pytest.mark.parametrize("status", sorted(OPEN - {Status.PAUSED}))
def test_every_open_run_finds_a_way_to_a_worker(status: Status) -> None:
    seen, pending = set(), [status]
    while pending:
        found = pending.pop()
        if found not in seen:
            seen.add(found)
            pending.extend(MOVES[found])

    assert Status.RUNNING in seen
