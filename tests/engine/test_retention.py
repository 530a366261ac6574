"""What has been over for long enough is deleted, and nothing that somebody could miss."""

import pytest
from msgspec.structs import replace

from aiki.engine.commands import Command, DeleteRun, ForgetJob, ForgetSession, RingAlarm, SayGoodbye, Start
from aiki.engine.decide import decide
from aiki.engine.keys import keys_of
from aiki.engine.retention import ATTEMPTS_KEPT, CHAPTERS_KEPT
from aiki.model.journal import EntryKind
from aiki.model.lifecycle import Status
from aiki.model.many import BulkJob, StartJob
from aiki.model.run import ParentClose, Waiter
from aiki.model.wire import Goodbye, Outcome, RunOptions, Standing, Started, Verdict
from aiki.model.working_set import Keys
from tests.engine.world import INPUT, LEASE_MS, World, child_of, child_wait, entry, start_run

KEPT_MS = 100_000


@pytest.fixture
def world() -> World:
    return World()


def ended(world: World, options: RunOptions = RunOptions()) -> str:  # noqa: B008 - frozen
    run_id = world.running(options)
    world.commit(run_id, Outcome.COMPLETED)
    return run_id


def deleting(world: World, run_id: str) -> DeleteRun:
    return DeleteRun(run_id, world.row(run_id).parent_id, KEPT_MS)


def delete(world: World, run_id: str) -> bool:
    (answer,) = world.do(deleting(world, run_id))
    assert isinstance(answer, Standing)
    return answer.changed


def test_a_run_is_deleted_with_all_its_rows_once_it_has_been_over_for_long_enough(world: World) -> None:
    run_id = ended(world)
    world.advance(KEPT_MS - 1)
    assert not delete(world, run_id)

    world.advance(1)
    assert delete(world, run_id)
    kept = (world.runs, world.inputs, world.ends, world.waits, world.mail, {place[0] for place in world.entries})
    assert all(run_id not in rows for rows in kept)
    assert world.do(DeleteRun(run_id, None, KEPT_MS)) == [Standing(run_id)]


def test_a_run_that_goes_on_is_never_deleted(world: World) -> None:
    for run_id in (world.start(), world.running(), world.sleeping(10 * KEPT_MS)):
        world.advance(2 * KEPT_MS)
        assert not delete(world, run_id)


def test_a_child_is_kept_while_its_parent_goes_on(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id)
    world.ask(child_id, "terminate")
    world.advance(KEPT_MS)
    assert not delete(world, child_id)

    world.commit(parent_id, Outcome.COMPLETED)
    world.ring(parent_id)
    assert delete(world, child_id)


def test_a_child_outlives_its_parent_and_goes_when_its_own_time_has_come(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id)
    world.commit(parent_id, Outcome.COMPLETED)
    world.ring(parent_id)
    world.advance(KEPT_MS)
    assert delete(world, parent_id)
    assert not delete(world, child_id)

    world.ask(child_id, "terminate")
    world.advance(KEPT_MS)
    assert delete(world, child_id)


def test_whoever_names_another_parent_than_the_run_has_deletes_nothing(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id)
    world.ask(child_id, "terminate")
    world.advance(KEPT_MS)

    assert world.do(DeleteRun(child_id, None, KEPT_MS)) == [Standing(child_id, Status.CANCELLED)]


def test_a_run_is_kept_until_its_children_have_been_told_of_its_end(world: World) -> None:
    parent_id = world.running()
    child_id = world.with_child(parent_id, RunOptions(parent_close=ParentClose.CANCEL))
    world.commit(parent_id, Outcome.COMPLETED)
    world.advance(KEPT_MS)
    assert not delete(world, parent_id)

    assert world.do(RingAlarm(parent_id), deleting(world, parent_id))[1].changed  # type: ignore[union-attr]
    assert world.status(child_id) is Status.CANCELLED


def test_a_run_that_is_tried_again_is_not_deleted_whichever_comes_first(world: World) -> None:
    run_id = world.running()
    world.commit(run_id, Outcome.FAILED)
    world.advance(KEPT_MS)
    retry = world.asking(run_id, "retry")

    world.do(retry, deleting(world, run_id))
    assert world.status(run_id) is Status.QUEUED

    world.ask(run_id, "terminate")
    world.advance(KEPT_MS)
    _, standing = world.do(deleting(world, run_id), world.asking(run_id, "retry"))
    assert isinstance(standing, Standing)
    assert standing.problem is not None
    assert standing.problem.code == "run_not_found"


def test_a_reference_id_is_free_again_in_the_very_batch_that_deletes_its_run(world: World) -> None:
    run_id = ended(world, RunOptions(reference_id="r"))
    world.advance(KEPT_MS)
    other = Start(start_run(world.new_id(), RunOptions(reference_id="r"), input_hash="other"))

    refused, _, started = world.do(other, deleting(world, run_id), other)

    assert isinstance(refused, Started)
    assert isinstance(started, Started)
    assert refused.problem is not None
    assert (started.problem, started.existed) == (None, False)
    assert list(world.runs) == [started.run_id]


def test_a_wait_on_a_run_that_is_gone_is_answered_at_once(world: World) -> None:
    gone = ended(world)
    world.advance(KEPT_MS)
    delete(world, gone)
    waiting = world.running()

    answer = world.suspend(waiting, child_wait(gone))

    assert answer.verdict is Verdict.APPLIED
    assert [(mail.name, mail.error and mail.error.code) for mail in answer.mail] == [(gone, "run_not_found")]


def test_what_its_owner_repeats_of_a_run_that_is_gone_is_fenced_off(world: World) -> None:
    run_id = world.running()
    last = world.turn(run_id, Outcome.COMPLETED, entries=(entry(1, EntryKind.TASK, "pay"),))
    world.apply_turn(last)
    world.advance(KEPT_MS)
    delete(world, run_id)

    assert world.apply_turn(last).verdict is Verdict.FENCED


def test_a_child_that_is_gone_is_not_started_again_by_a_repeated_commit(world: World) -> None:
    parent_id = world.running()
    commit = world.turn(parent_id, Outcome.COMPLETED, children=(child_of(world.row(parent_id)),))
    world.apply_turn(commit)
    child_id = commit.children[0].run_id
    world.ring(parent_id)
    world.ask(child_id, "terminate")
    world.advance(KEPT_MS)
    delete(world, child_id)

    (child,) = world.apply_turn(commit).children

    assert child.refusal is not None
    assert child.refusal.code == "run_not_found"
    assert child_id not in world.runs


def test_a_session_is_forgotten_once_it_has_been_over_for_long_and_owns_nothing(world: World) -> None:
    session_id = world.session()
    forget: Command = ForgetSession(session_id, KEPT_MS)
    world.advance(LEASE_MS + KEPT_MS)
    world.do(forget)
    assert session_id in world.sessions

    world.do(SayGoodbye(Goodbye(session_id)), ForgetSession(session_id, KEPT_MS + 1))
    assert session_id in world.sessions

    world.do(forget)
    assert session_id not in world.sessions
    assert world.poll(session_id).over


def test_a_run_keeps_the_journals_of_its_last_chapters_alone(world: World) -> None:
    run_id = world.running()
    for chapter in range(1, CHAPTERS_KEPT + 3):
        world.commit(run_id, Outcome.CONTINUED, entries=(entry(1, EntryKind.TASK, "pay"),), input=INPUT)
        kept = sorted(place[1] for place in world.entries)
        assert kept == list(range(max(1, chapter - CHAPTERS_KEPT + 2), chapter + 1))


def test_a_run_keeps_the_journals_of_its_last_attempts_alone(world: World) -> None:
    run_id = world.running()
    for attempt in range(1, ATTEMPTS_KEPT + 3):
        world.commit(run_id, Outcome.FAILED, entries=(entry(1, EntryKind.TASK, "pay"),) if attempt == 1 else ())
        world.ask(run_id, "retry")
        kept = sorted(place[2] for place in world.entries)
        assert kept == list(range(max(1, attempt - ATTEMPTS_KEPT + 2), attempt + 2))
        world.claim(run_id, world.session())


def test_of_what_a_run_read_before_its_chapter_only_the_ids_are_asked_for(world: World) -> None:
    run_id = world.running()
    world.commit(run_id)
    assert world.ws.trimmed_inboxes == []
    world.commit(run_id, Outcome.CONTINUED, input=INPUT)
    assert world.ws.trimmed_inboxes == [run_id]


def test_a_job_is_forgotten_once_it_has_been_done_for_long(world: World) -> None:
    job = BulkJob(StartJob("j", "default", "cancel"), created_at_ms=world.now_ms)
    ws = world.load(Keys())
    ws.jobs["j"] = job
    assert decide(ws, ForgetJob("j", 0), ws.now_ms) == job
    assert "j" in ws.jobs

    ws.jobs["j"] = replace(job, finished_at_ms=ws.now_ms - KEPT_MS)
    decide(ws, ForgetJob("j", KEPT_MS + 1), ws.now_ms)
    assert "j" in ws.jobs
    decide(ws, ForgetJob("j", KEPT_MS), ws.now_ms)
    assert ("j" in ws.jobs, ws.removed_jobs) == (False, ["j"])
    assert decide(ws, ForgetJob("j", KEPT_MS), ws.now_ms) is None


def test_a_run_that_somebody_waits_for_is_kept(world: World) -> None:
    run_id = ended(world)
    world.advance(KEPT_MS)
    keys = Keys()
    keys_of(deleting(world, run_id), keys)
    ws = world.load(keys)
    ws.waiters[run_id] = [Waiter(run_id, world.new_id(), 0)]

    assert not decide(ws, deleting(world, run_id), ws.now_ms).changed
    ws.waiters[run_id] = []
    assert decide(ws, deleting(world, run_id), ws.now_ms).changed


def test_a_wait_that_has_been_told_that_its_run_is_gone_stays_so_when_another_is_started_under_its_id(
    world: World,
) -> None:
    waiting_id, gone_id = world.running(), world.new_id()
    world.suspend(waiting_id, child_wait(gone_id))
    world.advance(1)
    world.start(run_id=gone_id)

    (told,) = world.unread(waiting_id)
    assert told.error is not None
    assert [waiter for waiter in world.waiters if waiter.target_id == gone_id] == []
