"""Every command in every status: where the run stands afterwards, written by hand; and a repeat changes nothing more.

A dot: it stands where it stood. `begun` runs have been claimed in this attempt before; `own_retry` waits for the next
attempt of the whole run, `awaiting_retry` for that of a task.
"""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from aiki.engine.commands import (
    Command,
    CommitTurn,
    ExpireSession,
    HandBackRuns,
    Poll,
    RefuseTurn,
    RingAlarm,
    SayGoodbye,
    Start,
)
from aiki.model.lifecycle import Status
from aiki.model.retry import Retry
from aiki.model.wire import Goodbye, HandBack, Held, Outcome, PollRequest, Problem, RunOptions
from tests.engine.world import DAY_MS, LEASE_MS, PLAIN, World, child_wait, event_wait, start_run, task_wait

#                  start  event   cancel     terminate  wake    requeue  alarm   commit  refuse   back    goodbye expire  poll
BY_HAND = """
scheduled          .      .       cancelled  cancelled  queued  .        queued  .       .        .       .       .       .
queued             .      .       cancelled  cancelled  .       .        .       .       .        .       .       .       .
queued_begun       .      .       .          cancelled  .       .        .       .       .        .       .       .       .
running            .      .       .          cancelled  .       .        .       .       stalled  queued  queued  queued  .
sleeping           .      .       queued     cancelled  queued  .        queued  .       .        .       .       .       .
awaiting_event     .      queued  queued     cancelled  .       .        .       .       .        .       .       .       .
awaiting_child     .      .       queued     cancelled  .       .        .       .       .        .       .       .       .
awaiting_retry     .      .       queued     cancelled  .       .        queued  .       .        .       .       .       .
own_retry          .      .       cancelled  cancelled  .       .        queued  .       .        .       .       .       .
paused             .      .       cancelled  cancelled  .       .        .       .       .        .       .       .       .
paused_begun       .      .       queued     cancelled  .       .        .       .       .        .       .       .       .
stalled            .      .       cancelled  cancelled  .       queued   .       .       .        .       .       .       .
completed          .      .       .          .          .       .        .       .       .        .       .       .       .
failed             .      .       .          .          .       .        .       .       .        .       .       .       .
cancelled          .      .       .          .          .       .        .       .       .        .       .       .       .
"""

SESSION = "the-session-that-held-it"


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


def _paused(world: World, run_id: str) -> str:
    row = replace(world.row(run_id), status=Status.PAUSED, alarm_at_ms=None, due_at_ms=None)
    world.runs[run_id] = row
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
    "sleeping": _sleeping,
    "awaiting_event": lambda world: _suspended(world, "event"),
    "awaiting_child": _awaiting_child,
    "awaiting_retry": lambda world: _suspended(world, "task"),
    "own_retry": lambda world: _committed(world, Outcome.FAILED, RunOptions(retry=Retry.fixed(2, DAY_MS / 1_000))),
    "paused": lambda world: _paused(world, world.start()),
    "paused_begun": lambda world: _paused(world, _queued_begun(world)),
    "stalled": lambda world: _committed(world, Outcome.STALLED),
    "completed": lambda world: _committed(world, Outcome.COMPLETED),
    "failed": lambda world: _committed(world, Outcome.FAILED),
    "cancelled": lambda world: _committed(world, Outcome.CANCELLED),
}


def _alarm(world: World, run_id: str) -> Command:
    world.advance(DAY_MS)
    return RingAlarm(run_id)


def _refuse(world: World, run_id: str) -> Command:
    row = world.row(run_id)
    return RefuseTurn(run_id, row.epoch, row.turn + 1, Problem("payload_too_large", "too large"))


def _hand_back(world: World, run_id: str) -> Command:
    return HandBackRuns(HandBack(SESSION, (Held(run_id, world.row(run_id).epoch, 0),)))


def _expire(world: World, run_id: str) -> Command:
    world.advance(DAY_MS)
    return ExpireSession(SESSION)


def _poll(world: World, run_id: str) -> Command:
    session = world.sessions.get(SESSION)
    held = (Held(run_id, world.row(run_id).epoch, 0),)
    return Poll(PollRequest(SESSION, 1 if session is None else session.poll + 1, (), 0, held), LEASE_MS)


COMMANDS: dict[str, Callable[[World, str], Command]] = {
    "start": lambda world, run_id: Start(start_run(run_id)),
    "event": lambda world, run_id: world.sending(run_id, "go"),
    "cancel": lambda world, run_id: world.asking(run_id, "cancel"),
    "terminate": lambda world, run_id: world.asking(run_id, "terminate"),
    "wake": lambda world, run_id: world.asking(run_id, "wake"),
    "requeue": lambda world, run_id: world.asking(run_id, "requeue"),
    "alarm": _alarm,
    "commit": lambda world, run_id: CommitTurn(world.turn(run_id)),
    "refuse": _refuse,
    "back": _hand_back,
    "goodbye": lambda world, run_id: SayGoodbye(Goodbye(SESSION)),
    "expire": _expire,
    "poll": _poll,
}

CELLS = [
    (line.split()[0], command, outcome)
    for line in BY_HAND.strip().splitlines()
    for command, outcome in zip(COMMANDS, line.split()[1:], strict=True)
]


@pytest.mark.parametrize(("standing", "command", "outcome"), CELLS)
def test_each_command_leaves_a_run_where_the_table_says(
    world: World, standing: str, command: str, outcome: str
) -> None:
    run_id = STANDINGS[standing](world)
    before = world.status(run_id)

    asked = COMMANDS[command](world, run_id)
    world.do(asked)

    assert world.status(run_id) == (before if outcome == "." else outcome)


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


def test_the_table_is_of_every_status_and_every_command_on_runs() -> None:
    assert {line.split()[0] for line in BY_HAND.strip().splitlines()} == set(STANDINGS)
    assert {str(status) for status in Status} <= set(STANDINGS)
