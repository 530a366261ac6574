"""Whatever two servers do at once on the same rows, in whichever order their statements come, it is as if one came first.

By default a few orders of each pair; `make test-full` (AIKI_FULL=1) goes through 5,000 and more.
"""

import itertools
import os
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import pytest
from msgspec import Raw
from msgspec.structs import replace

from aiki.engine.commands import (
    Activate,
    AskSchedule,
    CommitTurn,
    ExpireSession,
    HandBackRuns,
    Poll,
    RingAlarm,
    SayGoodbye,
    StallUndelivered,
    Start,
    Tick,
)
from aiki.engine.dispatch import Offer
from aiki.model.journal import EntryKind
from aiki.model.run import ParentClose
from aiki.model.schedule import ActivateSchedule, Definition, Overlap, ScheduleRequest, ScheduleRow, ScheduleStatus
from aiki.model.timing import Timing
from aiki.model.wire import ChildStart, Goodbye, HandBack, Outcome, PollRequest, RunOptions
from tests.engine.world import (
    DAY_MS,
    LEASE_MS,
    QUEUE,
    World,
    child_of,
    child_wait,
    event_wait,
    held_of,
    start_run,
)
from tests.store.interleaving import Operation, Rows, Scene, Two, orders, serially

ORDERS: Final = 13 if os.environ.get("AIKI_FULL") else 2


@pytest.fixture
async def two(postgres_database: str) -> AsyncIterator[Two]:
    servers = await Two.open(postgres_database)
    yield servers
    await servers.close()


def running() -> Scene:
    """A run that its worker executes, with an unread event and a wait for another."""
    world = World()
    run_id = world.running(RunOptions(timeout_ms=DAY_MS))
    world.commit(run_id, opened=(event_wait("go"),), waits=1)
    world.send(run_id, "other")
    row = world.row(run_id)
    session_id = row.session_id or ""
    poll = PollRequest(session_id, world.sessions[session_id].poll + 1, (), 0, (held_of(row),))
    return Scene(
        world,
        (
            Operation("suspend", CommitTurn(world.turn(run_id, Outcome.SUSPENDED, waits=1, waits_for=EntryKind.EVENT))),
            Operation("complete", CommitTurn(world.turn(run_id, Outcome.COMPLETED, output=Raw(b"1")))),
            Operation("fail", CommitTurn(world.turn(run_id, Outcome.FAILED))),
            Operation("go on", CommitTurn(world.turn(run_id, closed=(event_wait("go").key,)))),
            Operation("send", world.sending(run_id)),
            Operation("send the other", world.sending(run_id, "other")),
            Operation("cancel", world.asking(run_id, "cancel")),
            Operation("terminate", world.asking(run_id, "terminate")),
            Operation("pause", world.asking(run_id, "pause")),
            Operation("poll", Poll(poll, LEASE_MS)),
            Operation("hand back", HandBackRuns(HandBack(session_id, (held_of(row),)))),
            Operation("say goodbye", SayGoodbye(Goodbye(session_id))),
            Operation("expire", ExpireSession(session_id, at_opening=True)),
            Operation("ring", RingAlarm(run_id)),
        ),
    )


def _suspending(world: World, run_id: str):  # type: ignore[no-untyped-def]
    row = world.row(run_id)
    key = event_wait("go").key
    return world.turn(run_id, Outcome.SUSPENDED, waits=1, waits_for=key.kind, last_mail=row.mail, replace_waits=False)


def sleeping() -> Scene:
    """A run that sleeps, and has slept enough; a worker waits for work."""
    world = World()
    run_id = world.sleeping(1_000)
    world.advance(1_000)
    other = world.session()
    offer = Offer(other, (QUEUE,), 1)
    poll = PollRequest(other, 1, (QUEUE,), 1, ())
    return Scene(
        world,
        (
            Operation("ring", RingAlarm(run_id)),
            Operation("ring and hand over", RingAlarm(run_id), (offer,)),
            Operation("poll", Poll(poll, LEASE_MS), (offer,)),
            Operation("wake", world.asking(run_id, "wake")),
            Operation("send", world.sending(run_id)),
            Operation("cancel", world.asking(run_id, "cancel")),
            Operation("terminate", world.asking(run_id, "terminate"), (offer,)),
            Operation("pause", world.asking(run_id, "pause")),
            Operation("resume", world.asking(run_id, "resume")),
            Operation("end the session", SayGoodbye(Goodbye(other))),
        ),
    )


def queued() -> Scene:
    """A run that nobody has taken yet, with a reference id."""
    world = World()
    options = RunOptions(reference_id="once")
    run_id = world.start(options)
    session = world.session()
    offer = Offer(session, (QUEUE,), 1)
    world.advance(DAY_MS)
    session_poll = PollRequest(session, 1, (QUEUE,), 1, ())
    return Scene(
        world,
        (
            Operation("start again", Start(start_run(run_id, options))),
            Operation("start the same", Start(start_run(world.new_id(), options)), (offer,)),
            Operation("start another", Start(start_run(world.new_id())), (offer,)),
            Operation("send and hand over", world.sending(run_id), (offer,)),
            Operation("cancel", world.asking(run_id, "cancel")),
            Operation("pause", world.asking(run_id, "pause")),
            Operation("stall", StallUndelivered(run_id, 1)),
            Operation("requeue", world.asking(run_id, "requeue")),
            Operation("poll", Poll(session_poll, LEASE_MS)),
        ),
    )


def missing() -> Scene:
    """A run that is not there, and is started twice and more, by id and by reference id."""
    world = World()
    first, second, third, fourth = (world.new_id() for _ in range(4))
    named = RunOptions(reference_id="once", tags={"team": "a"})
    other = RunOptions(reference_id="other")
    return Scene(
        world,
        (
            Operation("start", Start(start_run(first, named))),
            Operation("start again", Start(start_run(first, named))),
            Operation("start the same", Start(start_run(second, named))),
            Operation("start with other input", Start(start_run(third, named, input_hash="x"))),
            Operation("start another", Start(start_run(world.new_id(), other))),
            Operation("start two", Start(start_run(first, named)), (), (Start(start_run(fourth, other)),)),
            Operation("start two in turn", Start(start_run(fourth, other)), (), (Start(start_run(first, named)),)),
            Operation("send", world.sending(first)),
        ),
    )


def ended() -> Scene:
    """A run that has failed, and one that is stalled."""
    world = World()
    failed = world.running()
    world.commit(failed, Outcome.FAILED)
    return Scene(
        world,
        (
            Operation("retry", world.asking(failed, "retry")),
            Operation("retry again", world.asking(failed, "retry")),
            Operation("send", world.sending(failed)),
            Operation("cancel", world.asking(failed, "cancel")),
            Operation("start again", Start(start_run(failed))),
            Operation("requeue", world.asking(failed, "requeue")),
        ),
    )


def family() -> Scene:
    """A parent that executes and is about to wait for its child, which executes elsewhere."""
    world = World()
    parent_id = world.running()
    child_id = world.with_child(parent_id, RunOptions(parent_close=ParentClose.CANCEL))
    world.claim(child_id, world.session())
    waiting = child_wait(child_id)
    second: ChildStart = child_of(world.row(parent_id), ordinal=1)
    child_session = world.row(child_id).session_id or ""
    suspended = {"opened": (waiting,), "waits": 1, "waits_for": waiting.key.kind}
    return Scene(
        world,
        (
            Operation("wait for the child", CommitTurn(world.turn(parent_id, Outcome.SUSPENDED, **suspended))),
            Operation("open the wait", CommitTurn(world.turn(parent_id, opened=(waiting,), waits=1))),
            Operation("start a second", CommitTurn(world.turn(parent_id, children=(second,)))),
            Operation("complete the parent", CommitTurn(world.turn(parent_id, Outcome.COMPLETED, output=Raw(b"1")))),
            Operation("terminate the parent", world.asking(parent_id, "terminate")),
            Operation("complete the child", CommitTurn(world.turn(child_id, Outcome.COMPLETED, output=Raw(b"1")))),
            Operation("fail the child", CommitTurn(world.turn(child_id, Outcome.FAILED))),
            Operation("terminate the child", world.asking(child_id, "terminate")),
            Operation("cancel the child", world.asking(child_id, "cancel")),
            Operation("lose the child's worker", ExpireSession(child_session, at_opening=True)),
            Operation("send to the child", world.sending(child_id)),
        ),
    )


def orphans() -> Scene:
    """A parent that was terminated, with a cascade to do; a child that has not begun, and somebody who waits for it."""
    world = World()
    parent_id = world.running()
    child_id = world.with_child(parent_id, RunOptions(parent_close=ParentClose.CANCEL))
    other_id = world.running()
    waiting = child_wait(child_id)
    world.suspend(other_id, waiting)
    late_id = world.running()
    world.ask(parent_id, "terminate")
    again = world.row(late_id)
    suspended = {"opened": (waiting,), "waits": 1, "waits_for": waiting.key.kind}
    session = world.session()
    return Scene(
        world,
        (
            Operation("cascade", RingAlarm(parent_id)),
            Operation("cascade elsewhere", RingAlarm(parent_id)),
            Operation("wait for the child", CommitTurn(world.turn(again.id, Outcome.SUSPENDED, **suspended))),
            Operation("cancel the child", world.asking(child_id, "cancel")),
            Operation("terminate the child", world.asking(child_id, "terminate")),
            Operation("hand the child over", world.sending(child_id), (Offer(session, (QUEUE,), 1),)),
            Operation("cancel who waits", world.asking(other_id, "cancel")),
            Operation("terminate who waits", world.asking(other_id, "terminate")),
            Operation("send to who waits", world.sending(other_id)),
        ),
    )


def schedule() -> Scene:
    """A schedule with a tick that is due, and a run of it that is still open."""
    world = World()
    definition = Definition(Timing(every_ms=60_000), "order", "1.0.0", overlap=Overlap.CANCEL_PREVIOUS)
    at_ms = world.now_ms
    row = ScheduleRow("default", "nightly", definition, ScheduleStatus.ACTIVE, at_ms + 60_000, at_ms, at_ms, at_ms)
    open_id = world.start()
    world.runs[open_id] = replace(world.row(open_id), schedule="nightly")
    world.advance(60_000)
    skipping = Definition(Timing(every_ms=60_000), "order", "1.0.0", overlap=Overlap.SKIP)

    def ask(verb: str, run_id: str = "") -> AskSchedule:
        return AskSchedule(ScheduleRequest("default", "nightly", verb, run_id))  # type: ignore[arg-type]

    return Scene(
        world,
        (
            Operation("tick", Tick("default", "nightly")),
            Operation("tick elsewhere", Tick("default", "nightly")),
            Operation("pause", ask("pause")),
            Operation("resume", ask("resume")),
            Operation("deactivate", ask("deactivate")),
            Operation("trigger", ask("trigger", world.new_id())),
            Operation("trigger again", ask("trigger", world.new_id())),
            Operation("replace", Activate(ActivateSchedule("default", "nightly", skipping))),
            Operation("terminate its run", world.asking(open_id, "terminate")),
            Operation("send to its run", world.sending(open_id)),
            Operation("activate", Activate(ActivateSchedule("default", "nightly", definition))),
        ),
        (row,),
    )


def crowd() -> Scene:
    """Two runs, of which batches send to both, in one order and in the other, and two sessions that hold them."""
    world = World()
    first, second = world.running(), world.running()
    sessions = [world.row(run_id).session_id or "" for run_id in (first, second)]
    return Scene(
        world,
        (
            Operation("send to both", world.sending(first), (), (world.sending(second),)),
            Operation("send to both in turn", world.sending(second), (), (world.sending(first),)),
            Operation("expire both", ExpireSession(sessions[0], True), (), (ExpireSession(sessions[1], True),)),
            Operation("goodbye of both", SayGoodbye(Goodbye(sessions[1])), (), (SayGoodbye(Goodbye(sessions[0])),)),
            Operation("complete one", CommitTurn(world.turn(first, Outcome.COMPLETED)), (), (world.sending(second),)),
        ),
    )


SCENES: Final = (running, sleeping, queued, missing, ended, family, orphans, schedule, crowd)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
async def test_what_two_servers_do_at_once_is_as_if_one_came_first(two: Two, scene: Callable[[], Scene]) -> None:
    found = scene()
    counts = {operation.name: await two.count(found, operation) for operation in found.operations}
    done = 0
    for first, second in itertools.combinations_with_replacement(found.operations, 2):
        serial = [await serially(found, order) for order in ((first, second), (second, first))]
        name = f"{first.name} / {second.name}"
        most = ORDERS * 3 if scene is missing else ORDERS  # what is not there cannot be locked: the most can go wrong
        for order in orders((counts[first.name], counts[second.name]), most=most, seed=name):
            stored = await two.interleave(found, (first, second), order)
            assert stored in serial, f"{name}, in the order {order}: {_differences(stored, serial)}"
            done += 1
    print(f"{scene.__name__}: {done} interleavings, {dict(two.seen)}")


def _differences(stored: Rows, serial: Sequence[Rows]) -> str:
    return "".join(
        f"\n  order {number}, {table}, {which} only: {row}"
        for number, rows in enumerate(serial)
        for table in stored
        for which, these, those in (("stored", stored, rows), ("expected", rows, stored))
        for row in these[table]
        if row not in those[table]
    )
