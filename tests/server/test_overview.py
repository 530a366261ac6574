"""What people see of the whole: workers with what they execute, versions with who serves them, counts and charts."""

import pytest
from msgspec import Raw
from msgspec.structs import replace

from aiki.errors import InvalidInput, RunNotFound
from aiki.model.lifecycle import Status
from aiki.model.views import Bucket, QueueDepth, RunFilter
from aiki.model.wire import PROGRESS_BYTES_MAX, Announce, Executing, VersionInfo
from tests.server.world import PlayedWorker, ServerWorld


async def test_a_worker_is_seen_with_what_it_said_of_itself_and_what_it_executes(world: ServerWorld) -> None:
    worker = PlayedWorker(world, capacity=3, workflows=("order",))
    versions = (VersionInfo("order", "1.0.0"),)
    await world.do(
        world.calls.announce(
            Announce(worker.session_id, "default", "w-1", versions, ("", "gpu"), 3, host="h", pid=7, sdk="1.2")
        )
    )
    run_id = await world.run()
    await worker.claim()
    world.clock.advance(seconds=1)
    line = Executing(run_id, "charge(amount=12)", 2, since_ms=5, progress=Raw(b"0.5"))
    await world.do(world.calls.poll(replace(worker.request(), executing=(line,))))

    (seen,) = (await world.server.service.overview.workers("default")).workers

    assert (seen.name, seen.host, seen.pid, seen.sdk, seen.pools, seen.capacity) == (
        "w-1",
        "h",
        7,
        "1.2",
        ("", "gpu"),
        3,
    )
    assert (seen.executing, seen.held, seen.heard_at_ms) == ((line,), 1, world.clock.now_ms())
    assert (await world.info(run_id)).executing == (line,)
    assert (await world.server.service.overview.workers("other")).workers == ()


async def test_what_a_worker_holds_is_counted_anew_though_its_poll_still_waits(world: ServerWorld) -> None:
    worker = await world.worker()
    await world.run()
    assignment = await worker.claim()
    waiting = await worker.wait()
    (seen,) = (await world.server.service.overview.workers("default")).workers
    assert seen.held == 1

    await worker.complete(assignment)
    (seen,) = (await world.server.service.overview.workers("default")).workers
    assert seen.held == 0

    waiting.cancel()


async def test_what_is_executed_is_shown_of_a_running_run_alone_and_goes_with_its_worker(world: ServerWorld) -> None:
    worker = await world.worker()
    run_id = await world.run()
    assignment = await worker.claim()
    line = Executing(run_id, "charge", 1, since_ms=5)
    await world.do(world.calls.poll(replace(worker.request(), executing=(line,))))
    assert (await world.info(run_id)).executing == (line,)

    await worker.complete(assignment)

    assert (await world.info(run_id)).executing == ()
    await worker.goodbye()
    assert world.server.roster.executing(run_id) == ()
    assert (await world.server.service.overview.workers("default")).workers == ()


async def test_progress_that_is_too_long_and_lines_beyond_the_bound_are_left_out(world: ServerWorld) -> None:
    worker = await world.worker()
    line = Executing("r", "charge", 1, since_ms=5, progress=Raw(b'"' + b"x" * PROGRESS_BYTES_MAX + b'"'))

    await world.do(world.calls.poll(replace(worker.request(), executing=(line,) * 2_000)))

    (seen,) = (await world.server.service.overview.workers("default")).workers
    assert len(seen.executing) == 1_000
    assert {len(shown.progress) for shown in seen.executing} == {0}


async def test_a_server_that_does_not_know_who_polls_asks_for_an_introduction(world: ServerWorld) -> None:
    worker = await world.worker()
    assert not (await worker.poll()).introduce
    world.server.roster.remove(worker.session_id)  # as a server that has just been started

    answer = await worker.poll()
    assert (answer.introduce, answer.session_over) == (True, False)
    await world.do(
        world.calls.announce(Announce(worker.session_id, "default", "w", (VersionInfo("order", "1.0.0"),), ("",), 10))
    )

    assert not (await worker.poll()).introduce
    assert [seen.name for seen in (await world.server.service.overview.workers("default")).workers] == ["w"]
    assert (await world.start()).warnings == ()


async def test_versions_are_shown_with_schemas_counts_and_who_serves_them(world: ServerWorld) -> None:
    schema = Raw(b'{"type":"object"}')
    worker = PlayedWorker(world, capacity=1, workflows=("order",))
    version = VersionInfo("order", "1.0.0", schema, events={"paid": Raw(b"{}")})
    await world.do(world.calls.announce(Announce(worker.session_id, "default", "w", (version,), (), 1)))
    await world.run()
    await world.run(workflow="unknown")

    order, unknown = (await world.do(world.server.service.overview.workflows("default"))).versions

    assert (order.workflow, order.input_schema, order.events) == ("order", schema, {"paid": Raw(b"{}")})
    assert (order.runs, order.workers, order.announced_by) == ({Status.QUEUED: 1}, ("w",), "w")
    assert (unknown.workflow, unknown.runs, unknown.announced_at_ms) == ("unknown", {Status.QUEUED: 1}, None)


async def test_workers_that_announce_different_schemas_for_one_version_are_named(world: ServerWorld) -> None:
    for name, schema in (("old", b'{"type":"object"}'), ("new", b"{}")):
        world.clock.advance(seconds=1)
        version = VersionInfo("order", "1.0.0", Raw(schema))
        await world.do(world.calls.announce(Announce(world.new_id(), "default", name, (version,), (), 1)))

    (order,) = (await world.do(world.server.service.overview.workflows("default"))).versions

    assert (order.input_schema, order.announced_by, order.workers) == (Raw(b"{}"), "new", ("new", "old"))
    assert order.warnings == (
        "old announced other schemas for order 1.0.0 than new, whose count: they were announced last",
    )


async def test_stats_tell_counts_queues_and_the_window_in_parts(world: ServerWorld) -> None:
    overview = world.server.service.overview
    world.clock.advance(hours=1)
    await world.run()
    now_ms = world.clock.now_ms()

    stats = await world.do(overview.stats("default", window_ms=3_600_000, count=60))

    assert (stats.at_ms, stats.bucket_ms, stats.runs) == (now_ms, 60_000, {Status.QUEUED: 1})
    assert stats.queues == (QueueDepth("order", "1.0.0", "", 1, now_ms),)
    assert len(stats.buckets) == 60
    assert stats.buckets[-1] == Bucket(now_ms // 60_000 * 60_000, started=1)
    assert stats.buckets[-1].at_ms + stats.bucket_ms > now_ms


async def test_what_looks_at_many_rows_is_asked_once_and_its_answer_kept_for_a_while(
    world: ServerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    counted = type(world.server.store).versions_counted

    async def counting(self: object, namespace: str) -> object:
        nonlocal asked
        asked += 1
        return await counted(world.server.store, namespace)

    monkeypatch.setattr(type(world.server.store), "versions_counted", counting)
    overview = world.server.service.overview

    await world.do(overview.workflows("default"))
    await world.do(overview.stats("default", window_ms=60_000, count=1))
    assert asked == 1
    world.clock.advance(seconds=1)
    await world.do(overview.workflows("default"))

    assert asked == 2


async def test_a_read_that_fails_is_not_remembered(world: ServerWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(self: object, namespace: str) -> object:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(type(world.server.store), "versions_counted", failing)
        with pytest.raises(ZeroDivisionError):
            await world.do(world.server.service.overview.workflows("default"))

    assert (await world.do(world.server.service.overview.workflows("default"))).versions == ()


async def test_what_is_asked_of_a_run_that_is_not_there_or_out_of_bounds_is_refused(world: ServerWorld) -> None:
    overview, unknown = world.server.service.overview, world.new_id()

    for asked in (overview.history, overview.inbox, overview.values):
        with pytest.raises(RunNotFound):
            await world.do(asked("default", unknown))
        with pytest.raises(InvalidInput):
            await world.do(asked("default", unknown, limit=0))
    for window_ms, count in ((1, 1), (60_000, 0), (60_000, 501), (10**15, 1)):
        with pytest.raises(InvalidInput):
            await world.do(overview.stats("default", window_ms=window_ms, count=count))


@pytest.mark.parametrize(
    "wanted",
    [
        RunFilter(search="a\0b"),
        RunFilter(search=""),
        RunFilter(search="x" * 201),
        RunFilter(workflow="\ud800"),
        RunFilter(parent_id="p"),
        RunFilter(tags={"": "x"}),
        RunFilter(tags={str(number): "x" for number in range(51)}),
        RunFilter(created_after_ms=-1),
        RunFilter(finished_before_ms=2**60),
    ],
)
async def test_a_filter_that_no_run_can_fit_is_refused_at_the_door(world: ServerWorld, wanted: RunFilter) -> None:
    with pytest.raises(InvalidInput):
        await world.do(world.calls.list(wanted))
    with pytest.raises(InvalidInput):
        await world.do(world.calls.count(wanted))
