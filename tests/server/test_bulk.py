"""Bulk jobs: who is meant, each run asked once, and every part exactly once however often it is driven."""

from typing import Any

import pytest

from aiki.engine import bulk, requests
from aiki.engine.commands import StepJob
from aiki.errors import InvalidInput
from aiki.model.ids import derived_id
from aiki.model.lifecycle import Status
from aiki.model.many import BulkJob, StartJob
from aiki.model.views import RunFilter
from aiki.model.wire import Control, Outcome
from tests.server.world import ServerWorld, turn

PARTS = "aiki.server.bulk.PART_RUNS"


async def begin(world: ServerWorld, verb: Any = "cancel", **meant: Any) -> BulkJob:
    meant.setdefault("id", world.new_id())
    return await world.do(world.server.service.bulk.start(StartJob(namespace="default", verb=verb, **meant)))


async def job_of(world: ServerWorld, job: BulkJob) -> BulkJob:
    found = await world.do(world.server.service.bulk.job("default", job.request.id))
    assert found is not None
    return found


def tally(job: BulkJob) -> tuple[int, int, int, int]:
    progress = job.progress
    return progress.seen, progress.changed, progress.unchanged, progress.refused


async def runs_of(world: ServerWorld, count: int, **asked: Any) -> list[str]:
    made = []
    for _ in range(count):
        world.clock.advance(milliseconds=1)
        made.append(await world.run(**asked))
    return made


async def statuses(world: ServerWorld, runs: list[str]) -> list[str]:
    return [(await world.info(run_id)).status.value for run_id in runs]


async def test_a_job_goes_through_its_filter_part_by_part(world: ServerWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PARTS, 2)
    meant = await runs_of(world, 5, tags={"shop": "a"})
    others = await runs_of(world, 2)
    job = await begin(world, filter=RunFilter(tags={"shop": "a"}), reason="closed")
    assert (tally(job), job.finished_at_ms) == ((0, 0, 0, 0), None)

    seen = []
    while await world.do(world.server.service.bulk.step()):
        seen.append((await job_of(world, job)).progress.seen)

    done = await job_of(world, job)
    assert (seen, tally(done)) == ([2, 4, 5], (5, 5, 0, 0))
    assert done.finished_at_ms == world.clock.now_ms()
    assert await statuses(world, meant + others) == ["cancelled"] * 5 + ["queued"] * 2
    assert (await world.info(meant[0])).error is not None


async def test_a_job_of_ids_tells_of_each_that_refused_or_had_nothing_to_do(world: ServerWorld) -> None:
    open_run, ended = await runs_of(world, 2)
    await world.control(ended, "terminate")
    unknown = world.new_id()

    job = await begin(world, run_ids=(open_run, ended, unknown, open_run))
    await world.step()

    done = await job_of(world, job)
    assert tally(done) == (3, 1, 1, 1)
    (refused,) = done.progress.problems
    assert (refused.run_id, refused.problem.code) == (unknown, "run_not_found")


@pytest.mark.parametrize(
    ("verb", "meant"),
    [("cancel", "queued"), ("terminate", "queued"), ("pause", "queued"), ("resume", "paused"), ("retry", "failed")],
)
async def test_a_filter_without_status_means_runs_in_which_something_can_come_of_it(
    world: ServerWorld, verb: Any, meant: str
) -> None:
    worker = await world.worker()
    for _ in range(2):
        await world.run()
        await worker.commit(turn(await worker.claim(), Outcome.FAILED))
        await world.run()
        await worker.complete(await worker.claim())
    await world.control(await world.run(), "pause")
    await runs_of(world, 2)

    job = await begin(world, verb, filter=RunFilter(workflow="order"))
    await world.step()

    done = await job_of(world, job)
    expected = {"queued": 2, "paused": 1, "failed": 2}[meant] + (1 if verb in {"cancel", "terminate"} else 0)
    assert tally(done) == (expected, expected, 0, 0)


async def test_a_stalled_run_is_requeued_by_a_job(world: ServerWorld) -> None:
    worker = await world.worker()
    stalled = await world.run()
    await worker.commit(turn(await worker.claim(), Outcome.STALLED, why="diverged", stall_reason="diverged"))
    await world.run()

    job = await begin(world, "requeue", filter=RunFilter())
    await world.step()

    assert tally(await job_of(world, job)) == (1, 1, 0, 0)
    assert await statuses(world, [stalled]) == ["queued"]


async def test_runs_that_are_started_later_are_not_meant(world: ServerWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PARTS, 1)
    await runs_of(world, 2)
    job = await begin(world, filter=RunFilter(workflow="order"))
    late = await runs_of(world, 1)
    await world.do(world.server.service.bulk.step())
    late += await runs_of(world, 1)

    await world.step()

    assert tally(await job_of(world, job)) == (2, 2, 0, 0)
    assert await statuses(world, late) == ["queued", "queued"]


async def test_a_job_that_is_begun_again_with_its_id_is_the_same(world: ServerWorld) -> None:
    (run_id,) = await runs_of(world, 1)
    same = world.new_id()
    first = await begin(world, id=same, run_ids=(run_id,))
    await world.step()

    again = await begin(world, id=same, run_ids=(run_id,))

    assert (again.created_at_ms, tally(again)) == (first.created_at_ms, (1, 1, 0, 0))
    with pytest.raises(InvalidInput, match="the id of another bulk job"):
        await begin(world, "retry", id=same, run_ids=(run_id,))


async def test_a_part_that_is_driven_twice_is_done_once(world: ServerWorld) -> None:
    """Two servers drive one job, or one is told that its transaction is lost when it was not."""
    first, second = await runs_of(world, 2)
    job = await begin(world, run_ids=(first, second))
    part = StepJob(job.request.id, 1, (Control("default", first, derived_id("bulk", job.request.id, first), "cancel"),))

    for _ in range(2):
        await world.do(world.server.pipeline.ask(part))

    assert tally(await job_of(world, job)) == (1, 1, 0, 0)
    await world.step()
    assert tally(await job_of(world, job)) == (2, 2, 0, 0)
    assert await statuses(world, [first, second]) == ["cancelled", "cancelled"]


async def test_a_run_that_the_engine_fails_on_spoils_no_other(
    world: ServerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await runs_of(world, 5)

    asked = requests.ask

    def failing(ws: Any, request: Control) -> Any:
        if request.run_id == made[2]:
            raise ZeroDivisionError("poison")
        return asked(ws, request)

    monkeypatch.setattr("aiki.engine.bulk.ask", failing)

    job = await begin(world, filter=RunFilter(workflow="order"))
    await world.step()

    done = await job_of(world, job)
    assert tally(done) == (5, 4, 0, 1)
    assert [refused.run_id for refused in done.progress.problems] == [made[2]]
    assert (await statuses(world, made)).count("cancelled") == 4


async def test_a_job_that_the_engine_fails_on_stops_no_other_and_not_the_server(
    world: ServerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await runs_of(world, 2)
    poison, sound = [await begin(world, run_ids=(run_id,)) for run_id in made]
    step_job = bulk.step_job

    def failing(ws: Any, command: StepJob) -> Any:
        if command.job_id == poison.request.id:
            raise ZeroDivisionError("poison")
        return step_job(ws, command)

    monkeypatch.setattr("aiki.engine.bulk.step_job", failing)
    await world.step()

    assert tally(await job_of(world, sound)) == (1, 1, 0, 0)
    assert (await job_of(world, poison)).finished_at_ms is None
    monkeypatch.undo()
    await world.step()
    assert (await job_of(world, poison)).finished_at_ms is not None


async def test_of_many_problems_some_are_kept(world: ServerWorld) -> None:
    job = await begin(world, run_ids=tuple(world.new_id() for _ in range(50)))
    await world.step()

    done = await job_of(world, job)
    assert (tally(done), len(done.progress.problems)) == ((50, 0, 0, 50), 20)


async def test_jobs_are_listed_the_newest_first_and_seen_in_their_namespace_alone(world: ServerWorld) -> None:
    made = []
    for _ in range(3):
        world.clock.advance(milliseconds=1)
        made.append((await begin(world, run_ids=(world.new_id(),))).request.id)
    bulk = world.server.service.bulk

    first, cursor = await world.do(bulk.jobs("default", cursor=None, limit=2))
    rest, end = await world.do(bulk.jobs("default", cursor=cursor, limit=2))

    assert [job.request.id for job in (*first, *rest)] == made[::-1]
    assert end is None
    assert await world.do(bulk.jobs("other", cursor=None, limit=2)) == ([], None)
    assert await world.do(bulk.job("other", made[0])) is None


async def test_what_was_cancelled_by_a_job_is_told_its_reason_and_its_children_follow(world: ServerWorld) -> None:
    worker = await world.worker()
    run_id = await world.run()
    await worker.claim()

    job = await begin(world, "terminate", filter=RunFilter(status=(Status.RUNNING,)), reason="enough")
    await world.step()

    assert tally(await job_of(world, job)) == (1, 1, 0, 0)
    info = await world.info(run_id)
    assert info.error is not None
    assert (info.status, info.error.message) == (Status.CANCELLED, "enough")


@pytest.mark.parametrize(
    "meant",
    [
        {},
        {"run_ids": ("x",)},
        {"run_ids": ("0190a000-0000-7000-8000-00000000dead",), "filter": RunFilter()},
        {"run_ids": tuple(derived_id(number) for number in range(10_001))},
        {"filter": RunFilter(tags={"": ""})},
        {"filter": RunFilter(search="")},
        {"filter": RunFilter(), "id": "x"},
        {"filter": RunFilter(), "reason": "\0"},
        {"filter": RunFilter(), "reason": "x" * 3_000},
    ],
)
async def test_a_job_that_cannot_be_is_refused(world: ServerWorld, meant: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        await begin(world, **meant)


async def test_a_filter_that_becomes_too_broad_ends_its_job_with_the_reason(
    world: ServerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_broad(self: object, runs: RunFilter) -> object:
        raise InvalidInput("narrow it")

    job = await begin(world, filter=RunFilter(version="none", created_after_ms=0))
    monkeypatch.setattr(type(world.server.store), "list_runs", too_broad)

    await world.step()

    done = await job_of(world, job)
    assert done.finished_at_ms is not None
    assert [refused.problem.message for refused in done.progress.problems] == ["narrow it"]


async def test_a_restarted_server_goes_on_with_a_job(world: ServerWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a job remembers stands in the database: another driver of it takes up where the first stood."""
    from aiki.server.bulk import Bulk
    from aiki.server.door import Door

    monkeypatch.setattr(PARTS, 2)
    made = await runs_of(world, 5)
    job = await begin(world, filter=RunFilter(workflow="order"))
    await world.do(world.server.service.bulk.step())
    server = world.server
    other = Bulk(server.store, server.pipeline, door=Door(server.config), clock=world.clock, config=server.config)

    while await world.do(other.step()):
        pass

    assert tally(await job_of(world, job)) == (5, 5, 0, 0)
    assert await statuses(world, made) == ["cancelled"] * 5
