"""Every move of the status table is made by somebody: a way for each, and none is left over."""

from collections.abc import Callable, Iterator

import pytest

from aiki.engine.commands import HandBackRuns, Poll, RefuseTurn, StallUndelivered, Start
from aiki.engine.dispatch import Offer
from aiki.model.journal import EntryKind
from aiki.model.lifecycle import MOVES, SUSPENDED, Status
from aiki.model.retry import Retry
from aiki.model.wire import HandBack, Held, Outcome, PollRequest, Problem, RunOptions
from tests.engine.world import (
    DAY_MS,
    LEASE_MS,
    PLAIN,
    QUEUE,
    World,
    child_wait,
    entry,
    event_wait,
    sleep,
    start_run,
    task_wait,
)

Way = Callable[[World], str]
TIMEOUT = RunOptions(timeout_ms=DAY_MS // 2)
TRIES = RunOptions(retry=Retry.fixed(2, DAY_MS / 1_000))


# ------------------------------------------------------------------------------------------- where a run comes to stand


def scheduled(world: World, options: RunOptions = PLAIN) -> str:
    return world.start(RunOptions(delay_ms=DAY_MS, timeout_ms=options.timeout_ms))


def queued(world: World, options: RunOptions = PLAIN) -> str:
    return world.start(options)


def running(world: World, options: RunOptions = PLAIN) -> str:
    return world.running(options)


def suspended(status: Status) -> Way:
    """Return the way to a suspended run whose oldest wait names its status; it sleeps, and waits for an event, too."""

    def way(world: World) -> str:
        run_id = world.running()
        child_id = world.with_child(run_id)
        oldest = {
            Status.SLEEPING: sleep(world.now_ms + DAY_MS, name="oldest", order=0),
            Status.AWAITING_EVENT: event_wait("oldest", order=0),
            Status.AWAITING_CHILD: child_wait(child_id, order=0),
            Status.AWAITING_RETRY: task_wait(world.now_ms + DAY_MS, order=0),
        }[status]
        world.suspend(run_id, oldest, sleep(world.now_ms + DAY_MS, order=1), event_wait("go", order=2))
        assert world.status(run_id) is status
        return run_id

    return way


def committed(outcome: Outcome, options: RunOptions = PLAIN, **parts: object) -> Way:
    def way(world: World) -> str:
        run_id = world.running(options)
        world.commit(run_id, outcome, **parts)
        return run_id

    return way


def between_attempts(world: World) -> str:
    run_id = world.running(RunOptions(retry=Retry.fixed(2, DAY_MS / 1_000), timeout_ms=DAY_MS // 2))
    world.commit(run_id, Outcome.FAILED)
    return run_id


# ---------------------------------------------------------------------------------------------------- what moves it on


def asked(verb: str, way: Way) -> Way:
    def further(world: World) -> str:
        run_id = way(world)
        assert world.ask(run_id, verb).changed
        return run_id

    return further


def a_day_later(way: Way) -> Way:
    def further(world: World) -> str:
        run_id = way(world)
        world.advance(DAY_MS)
        world.ring(run_id)
        return run_id

    return further


def sent(way: Way) -> Way:
    def further(world: World) -> str:
        run_id = way(world)
        world.send(run_id, "go")
        return run_id

    return further


def handed_over(world: World, run_id: str, verb: str) -> str:
    """Make a run ready in the transaction that hands it to a worker."""
    session_id = world.session()
    poll = Poll(PollRequest(session_id, 1, (QUEUE,), 1), LEASE_MS)
    world.do(world.asking(run_id, verb), poll, offers=[Offer(session_id, (QUEUE,), 1)])
    return run_id


def claimed(way: Way) -> Way:
    return lambda world: handed_over(world, way(world), "wake")


def taken(world: World) -> str:
    run_id = world.start()
    world.claim(run_id, world.session())
    return run_id


def undelivered(world: World) -> str:
    run_id = world.start()
    world.advance(DAY_MS)
    world.do(StallUndelivered(run_id, DAY_MS))
    return run_id


def handed_back(world: World) -> str:
    run_id = world.running()
    row = world.row(run_id)
    world.do(HandBackRuns(HandBack(row.session_id or "", (Held(run_id, row.epoch, 0),))))
    return run_id


def lost(times: int) -> Way:
    def way(world: World) -> str:
        run_id = world.start()
        for _ in range(times):
            session_id = world.session()
            world.claim(run_id, session_id)
            world.poll(session_id, Held(run_id, world.row(run_id).epoch, 0))
            world.lose(session_id)
        return run_id

    return way


def refused(world: World) -> str:
    run_id = world.running()
    world.do(RefuseTurn(run_id, world.row(run_id).epoch, 1, Problem("payload_too_large", "too large")))
    return run_id


def cleaning_too_long(world: World) -> str:
    run_id = asked("cancel", running)(world)
    world.commit(run_id, entries=(entry(1, EntryKind.CANCEL, "", asked=0, mail=1),))
    world.advance(DAY_MS)
    world.ring(run_id)
    return run_id


def paused_and_cancelled(world: World) -> str:
    return asked("cancel", asked("pause", queued))(world)


def ways() -> Iterator[tuple[str, str, str, Way]]:
    """Yield every move (from, to, why) with a way to make it."""
    pause = "pause"
    yield "scheduled", "queued", "due", a_day_later(scheduled)
    yield "scheduled", "queued", "woken", asked("wake", scheduled)
    yield "scheduled", "running", "claimed", claimed(scheduled)
    yield "scheduled", "paused", "paused", asked(pause, scheduled)
    yield "scheduled", "cancelled", "cancelled", asked("cancel", scheduled)
    yield "scheduled", "cancelled", "terminated", asked("terminate", scheduled)
    yield "scheduled", "failed", "timed_out", _timed_out_before_it_began
    yield "queued", "running", "claimed", taken
    yield "queued", "paused", "paused", asked(pause, queued)
    yield "queued", "stalled", "undelivered", undelivered
    yield "queued", "cancelled", "cancelled", asked("cancel", queued)
    yield "queued", "cancelled", "terminated", asked("terminate", queued)
    yield "queued", "failed", "timed_out", a_day_later(lambda world: queued(world, TIMEOUT))
    yield "running", "completed", "returned", committed(Outcome.COMPLETED)
    yield "running", "failed", "raised", committed(Outcome.FAILED)
    yield "running", "failed", "timed_out", _timed_out_while_it_cleans_up
    yield "running", "cancelled", "cancelled", committed(Outcome.CANCELLED)
    yield "running", "cancelled", "terminated", asked("terminate", running)
    yield "running", "cancelled", "grace_over", cleaning_too_long
    yield "running", "paused", "paused", _paused_in_work
    yield "running", "awaiting_retry", "retry", committed(Outcome.FAILED, TRIES)
    yield "running", "queued", "handed_back", handed_back
    yield "running", "queued", "worker_lost", lost(1)
    yield "running", "stalled", "crashed", lost(5)
    yield "running", "stalled", "diverged", committed(Outcome.STALLED, stall_reason="diverged")
    yield "running", "stalled", "waits_for_nothing", committed(Outcome.STALLED, stall_reason="waits_for_nothing")
    yield "running", "stalled", "refused", refused
    for status in sorted(SUSPENDED):
        way = suspended(status)
        yield "running", status, "suspended", way
        yield status, "queued", "due", a_day_later(way)
        yield status, "queued", "message", sent(way)
        yield status, "queued", "woken", asked("wake", way)
        yield status, "running", "claimed", claimed(way)
        yield status, "paused", "paused", asked(pause, way)
        yield status, "cancelled", "terminated", asked("terminate", way)
        yield "paused", status, "resumed", asked("resume", asked(pause, way))
    yield "awaiting_retry", "cancelled", "cancelled", asked("cancel", between_attempts)
    yield "awaiting_retry", "failed", "timed_out", a_day_later(between_attempts)
    yield "paused", "scheduled", "resumed", asked("resume", asked(pause, scheduled))
    yield "paused", "queued", "resumed", asked("resume", asked(pause, queued))
    yield "paused", "cancelled", "cancelled", paused_and_cancelled
    yield "paused", "cancelled", "terminated", asked("terminate", asked(pause, queued))
    yield "stalled", "queued", "requeued", asked("requeue", committed(Outcome.STALLED))
    yield "stalled", "cancelled", "cancelled", asked("cancel", committed(Outcome.STALLED))
    yield "stalled", "cancelled", "terminated", asked("terminate", committed(Outcome.STALLED))
    yield "failed", "queued", "retry", asked("retry", committed(Outcome.FAILED))


def _timed_out_before_it_began(world: World) -> str:
    """Its timeout counts from its start, which the clock, late, had not looked at yet."""
    run_id = world.start(RunOptions(delay_ms=DAY_MS // 4, timeout_ms=DAY_MS // 2))
    world.advance(DAY_MS)
    world.ring(run_id)
    return run_id


def _timed_out_while_it_cleans_up(world: World) -> str:
    run_id = a_day_later(lambda world: running(world, TIMEOUT))(world)
    world.commit(run_id, entries=(entry(1, EntryKind.CANCEL, "", asked=0, mail=1),))
    world.advance(DAY_MS)
    world.ring(run_id)
    return run_id


def _paused_in_work(world: World) -> str:
    run_id = asked("pause", running)(world)
    world.commit(run_id, Outcome.PAUSED)
    return run_id


@pytest.mark.parametrize(("old", "new", "reason", "way"), [pytest.param(*w, id=" ".join(w[:3])) for w in ways()])
def test_each_move_is_made_in_its_way(world: World, old: str, new: str, reason: str, way: Way) -> None:
    run_id = way(world)

    *_, last = (moved for moved in world.history if moved.run_id == run_id)
    assert (last.old, last.new, last.reason) == (old, new, reason)


def test_no_move_of_the_table_is_left_over() -> None:
    table = {(str(old), str(new), str(why)) for old, row in MOVES.items() for new, whys in row.items() for why in whys}

    assert {(str(old), str(new), why) for old, new, why, _ in ways()} == table


def test_a_start_is_recorded_as_coming_from_nowhere(world: World) -> None:
    run_id = world.new_id()
    world.do(Start(start_run(run_id)))

    assert [(moved.old, moved.new) for moved in world.history if moved.run_id == run_id] == [(None, "queued")]
