"""Every command in every status: where the run stands afterwards, written by hand; and a repeat changes nothing more.

A dot: it stands where it stood. `gone`: it is deleted. `begun` runs have been claimed in this attempt before; `own_retry` waits for the next
attempt of the whole run, `awaiting_retry` for that of a task; `pausing` and `cancelling` are running, and asked to;
`paused_in_work` has stopped though its code could go on. `old`: nobody has taken it for a day.
"""

from collections.abc import Callable
from typing import get_args

import pytest
from msgspec.structs import replace

from aiki.engine.commands import (
    Command,
    CommitTurn,
    DeleteRun,
    ExpireSession,
    HandBackRuns,
    Poll,
    RefuseTurn,
    RingAlarm,
    SayGoodbye,
    StallUndelivered,
    Start,
)
from aiki.model.journal import CallKey, Entry, EntryKind
from aiki.model.lifecycle import Status
from aiki.model.retry import Retry
from aiki.model.wire import Goodbye, HandBack, Held, Outcome, PollRequest, Problem, RunOptions, Verb
from tests.engine.world import DAY_MS, LEASE_MS, PLAIN, World, child_wait, event_wait, sleep, start_run, task_wait

# fmt: off
BY_HAND = """
                  start event  cancel    terminate pause  resume         wake   requeue retry  alarm  old     commit refuse    back   goodbye expire poll delete
scheduled         .     .      cancelled cancelled paused .              queued .       .      queued .       .      .         .      .       .      .    .
queued            .     .      cancelled cancelled paused .              .      .       .      .      stalled .      .         .      .       .      .    .
queued_begun      .     .      .         cancelled paused .              .      .       .      .      stalled .      .         .      .       .      .    .
running           .     .      .         cancelled .      .              .      .       .      .      .       .      stalled   queued queued  queued .    .
pausing           .     .      .         cancelled .      .              .      .       .      .      .       .      stalled   paused paused  paused .    .
cancelling        .     .      .         cancelled .      .              .      .       .      .      .       .      cancelled queued queued  queued .    .
sleeping          .     .      queued    cancelled paused .              queued .       .      queued .       .      .         .      .       .      .    .
awaiting_event    .     queued queued    cancelled paused .              .      .       .      .      .       .      .         .      .       .      .    .
awaiting_child    .     .      queued    cancelled paused .              .      .       .      .      .       .      .         .      .       .      .    .
awaiting_retry    .     .      queued    cancelled paused .              .      .       .      queued .       .      .         .      .       .      .    .
own_retry         .     .      cancelled cancelled paused .              queued .       .      queued .       .      .         .      .       .      .    .
paused            .     .      cancelled cancelled .      queued         .      .       .      .      .       .      .         .      .       .      .    .
paused_begun      .     .      queued    cancelled .      queued         .      .       .      .      .       .      .         .      .       .      .    .
paused_early      .     .      cancelled cancelled .      scheduled      .      .       .      .      .       .      .         .      .       .      .    .
paused_asleep     .     .      queued    cancelled .      sleeping       .      .       .      .      .       .      .         .      .       .      .    .
paused_for_event  .     .      queued    cancelled .      awaiting_event .      .       .      .      .       .      .         .      .       .      .    .
paused_for_child  .     .      queued    cancelled .      awaiting_child .      .       .      .      .       .      .         .      .       .      .    .
paused_for_retry  .     .      queued    cancelled .      awaiting_retry .      .       .      .      .       .      .         .      .       .      .    .
paused_own_retry  .     .      cancelled cancelled .      awaiting_retry .      .       .      .      .       .      .         .      .       .      .    .
paused_in_work    .     .      queued    cancelled .      queued         .      .       .      .      .       .      .         .      .       .      .    .
stalled           .     .      cancelled cancelled .      .              .      queued  .      .      .       .      .         .      .       .      .    .
completed         .     .      .         .         .      .              .      .       .      .      .       .      .         .      .       .      .    gone
failed            .     .      .         .         .      .              .      .       queued .      .       .      .         .      .       .      .    gone
timed_out         .     .      .         .         .      .              .      .       queued .      .       .      .         .      .       .      .    gone
cancelled         .     .      .         .         .      .              .      .       .      .      .       .      .         .      .       .      .    gone
"""

OUTCOMES_BY_HAND = """
                  running suspended completed failed         cancelled continued paused stalled
running           .       sleeping  completed failed         cancelled .         .      stalled
retrying          .       sleeping  completed awaiting_retry cancelled .         .      stalled
pausing           .       paused    completed failed         cancelled .         paused stalled
pausing_to_retry  .       paused    completed paused         cancelled .         paused stalled
cancelling        .       .         completed failed         cancelled .         .      cancelled
cancel_delivered  .       sleeping  completed failed         cancelled .         .      cancelled
retrying_no_more  .       .         completed failed         cancelled .         .      cancelled
timing_out        .       .         completed failed         failed    .         .      failed
mailed            .       .         completed failed         cancelled .         .      stalled
"""
# fmt: on

SESSION = "the-session-that-held-it"
AGAIN = RunOptions(retry=Retry.fixed(2, DAY_MS / 1_000))


def _held(world: World, options: RunOptions = PLAIN) -> str:
    world.sessions[SESSION] = replace(world.sessions[world.session()], id=SESSION)
    return world.running(options, session_id=SESSION)


def _queued_begun(world: World) -> str:
    run_id = _held(world)
    world.do(HandBackRuns(HandBack(SESSION, (Held(run_id, 1, 0),))))
    return run_id


def _awaiting_child(world: World) -> str:
    run_id = _held(world)
    child_id = world.with_child(run_id)
    world.suspend(run_id, child_wait(child_id))
    return run_id


def _asked(world: World, run_id: str, verb: str) -> str:
    assert world.ask(run_id, verb).changed
    return run_id


def _paused(world: World, standing: str) -> str:
    run_id = _asked(world, STANDINGS[standing](world), "pause")
    assert world.status(run_id) is Status.PAUSED
    return run_id


def _paused_in_work(world: World) -> str:
    run_id = _asked(world, _held(world), "pause")
    world.commit(run_id, Outcome.PAUSED)
    return run_id


def _timed_out(world: World) -> str:
    run_id = world.start(RunOptions(timeout_ms=1))
    world.advance(1)
    world.ring(run_id)
    return run_id


def _suspended(world: World, kind: str) -> str:
    run_id = _held(world)
    wait = event_wait() if kind == "event" else task_wait(world.now_ms + DAY_MS)
    world.suspend(run_id, wait)
    return run_id


def _committed(world: World, outcome: Outcome, options: RunOptions = PLAIN) -> str:
    run_id = _held(world, options)
    world.commit(run_id, outcome)
    return run_id


def _sleeping(world: World) -> str:
    world.sessions[SESSION] = replace(world.sessions[world.session()], id=SESSION)
    return world.sleeping(session_id=SESSION)


STANDINGS: dict[str, Callable[[World], str]] = {
    "scheduled": lambda world: world.start(RunOptions(delay_ms=DAY_MS)),
    "queued": lambda world: world.start(),
    "queued_begun": _queued_begun,
    "running": _held,
    "pausing": lambda world: _asked(world, _held(world), "pause"),
    "cancelling": lambda world: _asked(world, _held(world), "cancel"),
    "sleeping": _sleeping,
    "awaiting_event": lambda world: _suspended(world, "event"),
    "awaiting_child": _awaiting_child,
    "awaiting_retry": lambda world: _suspended(world, "task"),
    "own_retry": lambda world: _committed(world, Outcome.FAILED, AGAIN),
    "paused": lambda world: _paused(world, "queued"),
    "paused_begun": lambda world: _paused(world, "queued_begun"),
    "paused_early": lambda world: _paused(world, "scheduled"),
    "paused_asleep": lambda world: _paused(world, "sleeping"),
    "paused_for_event": lambda world: _paused(world, "awaiting_event"),
    "paused_for_child": lambda world: _paused(world, "awaiting_child"),
    "paused_for_retry": lambda world: _paused(world, "awaiting_retry"),
    "paused_own_retry": lambda world: _paused(world, "own_retry"),
    "paused_in_work": _paused_in_work,
    "stalled": lambda world: _committed(world, Outcome.STALLED),
    "completed": lambda world: _committed(world, Outcome.COMPLETED),
    "failed": lambda world: _committed(world, Outcome.FAILED),
    "timed_out": _timed_out,
    "cancelled": lambda world: _committed(world, Outcome.CANCELLED),
}


def _cancel_delivered(world: World) -> str:
    run_id = _asked(world, _held(world), "cancel")
    (mail,) = world.unread(run_id)
    world.commit(run_id, entries=(Entry(1, CallKey(EntryKind.CANCEL, ""), 0, world.now_ms, mail=mail.number),))
    return run_id


def _timing_out(world: World) -> str:
    run_id = _held(world, RunOptions(timeout_ms=1, retry=AGAIN.retry))
    world.advance(1)
    world.ring(run_id)
    return run_id


def _mailed(world: World) -> str:
    run_id = _held(world)
    world.send(run_id)
    return run_id


def _alarm(world: World, run_id: str) -> Command:
    world.advance(DAY_MS)
    return RingAlarm(run_id)


def _old(world: World, run_id: str) -> Command:
    world.advance(DAY_MS)
    return StallUndelivered(run_id, DAY_MS)


def _refuse(world: World, run_id: str) -> Command:
    row = world.row(run_id)
    return RefuseTurn(run_id, row.epoch, row.turn + 1, Problem("payload_too_large", "too large"))


def _hand_back(world: World, run_id: str) -> Command:
    return HandBackRuns(HandBack(SESSION, (Held(run_id, world.row(run_id).epoch, 0),)))


def _expire(world: World, run_id: str) -> Command:
    world.advance(DAY_MS)
    return ExpireSession(SESSION)


def _delete(world: World, run_id: str) -> Command:
    parent_id = world.row(run_id).parent_id if run_id in world.runs else None
    world.advance(DAY_MS)
    return DeleteRun(run_id, parent_id, DAY_MS)


def _poll(world: World, run_id: str) -> Command:
    session = world.sessions.get(SESSION)
    held = (Held(run_id, world.row(run_id).epoch, 0),)
    return Poll(PollRequest(SESSION, 1 if session is None else session.poll + 1, (), 0, held), LEASE_MS)


COMMANDS: dict[str, Callable[[World, str], Command]] = {
    "start": lambda world, run_id: Start(start_run(run_id)),
    "event": lambda world, run_id: world.sending(run_id, "go"),
    "cancel": lambda world, run_id: world.asking(run_id, "cancel"),
    "terminate": lambda world, run_id: world.asking(run_id, "terminate"),
    "pause": lambda world, run_id: world.asking(run_id, "pause"),
    "resume": lambda world, run_id: world.asking(run_id, "resume"),
    "wake": lambda world, run_id: world.asking(run_id, "wake"),
    "requeue": lambda world, run_id: world.asking(run_id, "requeue"),
    "retry": lambda world, run_id: world.asking(run_id, "retry"),
    "alarm": _alarm,
    "old": _old,
    "commit": lambda world, run_id: CommitTurn(world.turn(run_id)),
    "refuse": _refuse,
    "back": _hand_back,
    "goodbye": lambda world, run_id: SayGoodbye(Goodbye(SESSION)),
    "expire": _expire,
    "poll": _poll,
    "delete": _delete,
}

OWNED: dict[str, Callable[[World], str]] = {
    "running": _held,
    "retrying": lambda world: _held(world, AGAIN),
    "pausing": STANDINGS["pausing"],
    "pausing_to_retry": lambda world: _asked(world, _held(world, AGAIN), "pause"),
    "cancelling": STANDINGS["cancelling"],
    "cancel_delivered": _cancel_delivered,
    "retrying_no_more": lambda world: _asked(world, _held(world, AGAIN), "cancel"),
    "timing_out": _timing_out,
    "mailed": _mailed,
}
"""Runs that somebody owns, and what may have been asked of them: a commit can leave each in its own way."""

HEAD, *LINES = (line.split() for line in BY_HAND.strip().splitlines())
CELLS = [
    (standing, command, outcome)
    for standing, *outcomes in LINES
    for command, outcome in zip(HEAD, outcomes, strict=True)
]


@pytest.mark.parametrize(("standing", "command", "outcome"), CELLS)
def test_each_command_leaves_a_run_where_the_table_says(
    world: World, standing: str, command: str, outcome: str
) -> None:
    run_id = STANDINGS[standing](world)
    before = world.status(run_id)

    asked = COMMANDS[command](world, run_id)
    world.do(asked)

    after = world.status(run_id) if run_id in world.runs else "gone"
    assert after == (before if outcome == "." else outcome)


@pytest.mark.parametrize(("standing", "command", "outcome"), CELLS)
def test_each_command_when_repeated_changes_nothing_more(
    world: World, standing: str, command: str, outcome: str
) -> None:
    run_id = STANDINGS[standing](world)
    asked = COMMANDS[command](world, run_id)
    world.do(asked)
    once = world.snapshot()

    world.do(asked)

    assert world.snapshot() == once


OUTCOMES, *OUTCOME_LINES = (line.split() for line in OUTCOMES_BY_HAND.strip().splitlines())


@pytest.mark.parametrize(
    ("standing", "outcome", "after"),
    [(name, outcome, after) for name, *row in OUTCOME_LINES for outcome, after in zip(OUTCOMES, row, strict=True)],
)
def test_each_outcome_of_a_commit_leaves_a_run_where_the_table_says(
    world: World, standing: str, outcome: str, after: str
) -> None:
    run_id = OWNED[standing](world)
    asleep = sleep(world.now_ms + DAY_MS)
    turn = world.turn(
        run_id,
        Outcome(outcome),
        opened=(asleep,),
        waits=1,
        deadline_ms=asleep.deadline_ms,
        waits_for="sleep",
        last_mail=0,
    )

    world.do(CommitTurn(turn))
    assert world.status(run_id) == ("running" if after == "." else after)

    once = world.snapshot()
    world.do(CommitTurn(turn))
    assert world.snapshot() == once


def test_the_table_of_outcomes_is_of_every_outcome() -> None:
    assert set(OUTCOMES) == {str(outcome) for outcome in Outcome}
    assert {standing for standing, *_ in OUTCOME_LINES} == set(OWNED)


def test_the_table_is_of_every_status_and_every_command_on_runs() -> None:
    assert {standing for standing, *_ in LINES} == set(STANDINGS)
    assert list(COMMANDS) == HEAD
    assert set(get_args(Verb)) <= set(COMMANDS)
    assert {str(status) for status in Status} <= set(STANDINGS)
