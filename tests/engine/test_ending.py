"""A finished run is a fact: it settles every wait on it, and its cancellation reaches its children step by step."""

import pytest
from msgspec import Raw

from aiki.engine.commands import CommitTurn
from aiki.model.journal import Failure, MailKind
from aiki.model.lifecycle import Status
from aiki.model.run import Cascade, ParentClose
from aiki.model.wire import Outcome, RunOptions
from tests.engine.world import World, child_of, child_wait

FOLLOWS = RunOptions(parent_close=ParentClose.CANCEL)


def _suspended_parent(world: World) -> tuple[str, str]:
    parent_id = world.running()
    child_id = world.with_child(parent_id)
    world.suspend(parent_id, child_wait(child_id))
    world.claim(child_id, world.session())
    return parent_id, child_id


def test_a_child_that_completes_makes_its_parent_ready_with_its_output(world: World) -> None:
    parent_id, child_id = _suspended_parent(world)

    world.commit(child_id, Outcome.COMPLETED, output=Raw(b'"done"'))

    (mail,) = world.unread(parent_id)
    assert world.status(parent_id) is Status.QUEUED
    assert (mail.kind, mail.name, mail.status, bytes(mail.payload)) == (
        MailKind.CHILD_RESULT,
        child_id,
        Status.COMPLETED,
        b'"done"',
    )
    assert world.waiters == {}


def test_a_child_that_fails_brings_its_error(world: World) -> None:
    parent_id, child_id = _suspended_parent(world)

    world.commit(child_id, Outcome.FAILED, error=Failure("builtins.ValueError", "no"))

    (mail,) = world.unread(parent_id)
    assert (mail.status, mail.error) == (Status.FAILED, Failure("builtins.ValueError", "no"))


def test_an_owner_is_told_of_the_result_that_its_run_waits_for(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id)
    world.commit(parent_id, opened=(child_wait(child_id),), waits=1)

    world.ask(child_id, "terminate")

    assert world.ws.mailed == {parent_id}


def test_a_wait_on_a_run_that_has_ended_is_settled_by_the_commit_that_opens_it(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id)
    world.ask(child_id, "terminate")

    answer = world.suspend(parent_id, child_wait(child_id))

    assert answer.status is Status.RUNNING
    assert [mail.status for mail in answer.mail] == [Status.CANCELLED]


def test_a_wait_and_the_end_that_settles_it_may_meet_in_one_batch_in_either_order(world: World) -> None:
    for child_first in (True, False):
        parent_id = world.running()
        child_id = world.with_child(parent_id)
        world.claim(child_id, world.session())
        end = CommitTurn(world.turn(child_id, Outcome.COMPLETED))
        wait = CommitTurn(
            world.turn(parent_id, Outcome.SUSPENDED, opened=(child_wait(child_id),), waits=1, waits_for="child_result")
        )

        world.do(*((end, wait) if child_first else (wait, end)))

        assert len(world.unread(parent_id)) == 1
        assert world.status(parent_id) is (Status.RUNNING if child_first else Status.QUEUED)


def test_a_wait_on_a_run_that_is_not_there_settles_as_not_found(world: World) -> None:
    parent_id = world.running()

    (mail,) = world.suspend(parent_id, child_wait("gone")).mail

    assert mail.error is not None
    assert (mail.status, mail.error.code) == (None, "run_not_found")


def test_every_waiter_gets_the_result(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id)
    world.commit(parent_id, opened=(child_wait(child_id), child_wait(child_id, ordinal=1, order=2)), waits=2)

    world.ask(child_id, "terminate")

    assert [mail.ordinal for mail in world.unread(parent_id)] == [0, 1]


def test_a_run_that_ends_waits_for_nothing_any_more(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id)
    world.suspend(parent_id, child_wait(child_id))

    world.ask(parent_id, "terminate")

    assert (world.waiters, world.waits) == ({}, {})


# ----------------------------------------------------------------------------------------------------------- cascade


def test_a_cancelled_parent_cancels_all_its_children(world: World) -> None:
    parent_id = world.running()
    children = [world.with_child(parent_id), world.with_child(parent_id, FOLLOWS, ordinal=1)]

    world.ask(parent_id, "terminate")
    assert world.due() == [parent_id]
    world.ring(parent_id)

    assert [world.status(child_id) for child_id in children] == [Status.CANCELLED] * 2
    assert (world.row(parent_id).cascade, world.row(parent_id).alarm_at_ms) == (Cascade.NONE, None)


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.FAILED])
def test_a_parent_that_ends_otherwise_cancels_those_that_were_told_to_follow(world: World, outcome: Outcome) -> None:
    parent_id = world.running()
    stays, follows = world.with_child(parent_id), world.with_child(parent_id, FOLLOWS, ordinal=1)

    world.commit(parent_id, outcome)
    world.ring(parent_id)

    assert (world.status(stays), world.status(follows)) == (Status.QUEUED, Status.CANCELLED)


def test_a_parent_that_timed_out_cancels_all_its_children(world: World) -> None:
    parent_id = world.running(RunOptions(timeout_ms=100))
    child_id = world.with_child(parent_id)
    world.advance(100)
    world.ring(parent_id)

    world.commit(parent_id, Outcome.CANCELLED)
    world.ring(parent_id)

    assert (world.status(parent_id), world.status(child_id)) == (Status.FAILED, Status.CANCELLED)


def test_a_child_that_has_begun_is_asked_to_cancel(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id)
    world.claim(child_id, world.session())
    world.ask(parent_id, "terminate")

    world.ring(parent_id)

    assert world.status(child_id) is Status.RUNNING
    assert [mail.kind for mail in world.unread(child_id)] == [MailKind.CANCEL]


def test_a_run_without_children_leaves_no_cascade(world: World) -> None:
    run_id = world.running()

    world.ask(run_id, "terminate")

    assert (world.row(run_id).cascade, world.row(run_id).alarm_at_ms) == (Cascade.NONE, None)


def test_the_cascade_of_1200_children_takes_three_transactions(world: World) -> None:
    parent_id = world.running()
    row = world.row(parent_id)
    world.commit(parent_id, children=tuple(child_of(row, ordinal=number) for number in range(1_200)))
    world.ask(parent_id, "terminate")

    told = []
    while world.due():
        world.ring(parent_id)
        told.append(sum(row.status is Status.CANCELLED for row in world.runs.values()) - 1)

    assert told == [500, 1_000, 1_200]


def test_a_cascade_goes_on_level_by_level(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id)
    world.claim(child_id, world.session())
    grandchild_id = world.with_child(child_id)

    world.ask(parent_id, "terminate")
    world.ring(parent_id)
    assert world.status(grandchild_id) is Status.QUEUED

    world.commit(child_id, Outcome.CANCELLED)
    world.ring(child_id)
    assert world.status(grandchild_id) is Status.CANCELLED


def test_a_child_cancelled_by_a_cascade_settles_those_who_wait_for_it(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id, RunOptions(reference_id="shared"))
    other_id = world.running()
    child = child_of(world.row(other_id), RunOptions(reference_id="shared"))
    world.commit(other_id, children=(child,))
    world.suspend(other_id, child_wait(child_id))

    world.ask(parent_id, "terminate")
    world.ring(parent_id)

    assert world.status(other_id) is Status.QUEUED
    assert [mail.status for mail in world.unread(other_id)] == [Status.CANCELLED]
