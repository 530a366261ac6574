"""Group commit: how many share a transaction, and what becomes of the one that fails."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import Raw
from msgspec.structs import replace

from aiki.clock import Chance, ManualClock
from aiki.config import Config
from aiki.engine.commands import CommitTurn, Start
from aiki.errors import InvalidInput, Unavailable
from aiki.model.lifecycle import Status
from aiki.model.run import RunRow
from aiki.model.views import RunFilter
from aiki.model.wire import Outcome, Started, Verdict
from aiki.model.working_set import Keys, WorkingSet
from aiki.server.server import Server
from aiki.store.base import Decision, Transaction
from aiki.store.sqlite import SqliteStore
from tests.server.world import ServerWorld, event, settled, turn

UNSTORABLE = Raw(b'"\xff"')  # no UTF-8: the door would refuse it, and so does the database
NUL = Raw(b'"\x00"')  # the same, for Postgres


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiki.server.pipeline.RETRY_S", 0.0)


async def test_a_thousand_concurrent_starts_take_a_handful_of_transactions(world: ServerWorld) -> None:
    before = world.server.pipeline.transactions

    answers = await world.do(_together(world, 1_000))

    assert len({started.run_id for started in answers}) == 1_000
    assert world.server.pipeline.transactions - before <= 3
    assert (await world.server.store.count(RunFilter())) == {Status.QUEUED: 1_000}


async def test_a_batch_is_cut_by_its_bytes(clock: ManualClock) -> None:
    async with Server(":memory:", clock=clock, config=Config(batch_bytes_max=10_000), is_stepped=True) as server:
        world = ServerWorld(server, clock)
        before = server.pipeline.transactions
        large = b'"' + b"x" * 6_000 + b'"'

        await world.do(world.calls.start([world.start_request(payload=large) for _ in range(3)]))

        assert server.pipeline.transactions - before == 3


async def test_a_command_that_the_database_refuses_fails_alone(world: ServerWorld) -> None:
    good = [world.start_request() for _ in range(10)]
    bad = replace(world.start_request(), input=UNSTORABLE)
    pipeline = world.server.pipeline

    answers = [pipeline.submit(Start(start)) for start in (*good[:5], bad, *good[5:])]
    await world.until_quiet()

    refusals = [answer.exception() for answer in answers if answer.exception() is not None]
    assert [type(error) for error in refusals] == [InvalidInput]
    assert "insert_inputs" in str(refusals[0])
    for start in good:
        assert (await world.info(start.run_id)).status is Status.QUEUED
    assert await world.do(world.calls.info("default", bad.run_id)) is None


async def test_on_postgres_a_nul_that_slipped_through_fails_alone_or_stalls_its_run(
    postgres_database: str, clock: ManualClock
) -> None:
    async with Server(postgres_database, clock=clock, chance=Chance(seed=1), is_stepped=True) as server:
        world = ServerWorld(server, clock)
        worker = await world.worker()
        for _ in range(3):
            await world.run()
        first, culprit, last = (await worker.poll()).assignments
        good, bad = world.start_request(), replace(world.start_request(), input=NUL)

        asked = [
            server.pipeline.submit(command)
            for command in (
                CommitTurn(turn(first, Outcome.COMPLETED, output=Raw(b"1"))),
                CommitTurn(turn(culprit, Outcome.COMPLETED, output=NUL)),
                Start(bad),
                Start(good),
                CommitTurn(turn(last, Outcome.COMPLETED, output=Raw(b"2"))),
            )
        ]
        await world.until_quiet()

        assert [type(answer.exception()) for answer in asked] == [*[type(None)] * 2, InvalidInput, *[type(None)] * 2]
        assert [(await world.info(claim.run_id)).status for claim in (first, culprit, last)] == [
            Status.COMPLETED,
            Status.STALLED,
            Status.COMPLETED,
        ]
        assert (await world.info(good.run_id)).status in {Status.QUEUED, Status.RUNNING}


async def test_a_commit_that_the_database_refuses_stalls_its_run_and_spares_its_neighbours(world: ServerWorld) -> None:
    worker = await world.worker()
    for _ in range(3):
        await world.run()
    first, culprit, last = (await worker.poll()).assignments
    pipeline = world.server.pipeline

    answers = [
        pipeline.submit(CommitTurn(turn(claim, Outcome.COMPLETED, output=output)))
        for claim, output in ((first, Raw(b"1")), (culprit, UNSTORABLE), (last, Raw(b"2")))
    ]
    await world.until_quiet()

    assert [answer.result().verdict for answer in answers] == [Verdict.APPLIED, Verdict.REFUSED, Verdict.APPLIED]  # type: ignore[union-attr]
    stalled = await world.info(culprit.run_id)
    assert (stalled.status, stalled.epoch) == (Status.STALLED, 1)
    assert "upsert_ends" in (stalled.why or "")
    assert (await world.info(last.run_id)).status is Status.COMPLETED


async def test_a_commit_that_the_door_refuses_stalls_its_run_with_the_reason(world: ServerWorld) -> None:
    worker = await world.worker()
    run_id = await world.run()
    too_large = Raw(b'"' + b"x" * world.server.config.payload_bytes_max + b'"')

    (answer,) = await worker.commit(turn(await worker.claim(), Outcome.COMPLETED, output=too_large))

    assert answer.verdict is Verdict.REFUSED
    assert answer.problem is not None
    assert answer.problem.code == "payload_too_large"
    info = await world.info(run_id)
    assert (info.status, "the limit is 2,097,152" in (info.why or "")) == (Status.STALLED, True)


async def test_a_decision_that_fails_fails_alone_and_leaves_nothing_behind(
    world: ServerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = world.start_request(), world.start_request(reference_id="broken")

    def fail(row: object, **_: int) -> int | None:
        if getattr(row, "reference_id", None) == "broken":
            raise LookupError("a bug")
        return None

    monkeypatch.setattr("aiki.engine.starts.alarm_of", fail)

    answered, refused = await world.do(world.calls.start([good, bad]))

    assert (answered.problem, refused.problem is None) == (None, False)
    assert await world.do(world.calls.info("default", bad.run_id)) is None


async def test_a_turn_that_cannot_be_decided_stalls_its_run_and_spoils_no_neighbour(
    world: ServerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    good_id, bad_id = await world.run(), await world.run()
    worker = await world.worker()
    assignments = (await worker.poll()).assignments
    monkeypatch.setattr("aiki.engine.commits.finish", _failing_for(bad_id, "aiki.engine.commits.finish"))

    answers = await worker.commit(*(turn(assignment, Outcome.COMPLETED) for assignment in assignments))

    assert {answer.run_id: answer.verdict for answer in answers} == {
        good_id: Verdict.APPLIED,
        bad_id: Verdict.REFUSED,
    }
    assert (await world.info(bad_id)).status is Status.STALLED


async def test_a_turn_that_cannot_even_be_refused_is_answered_and_spoils_no_neighbour(
    world: ServerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    good_id, bad_id = await world.run(), await world.run()
    worker = await world.worker()
    assignments = (await worker.poll()).assignments
    for broken in ("aiki.engine.commits.finish", "aiki.engine.commits._stall"):
        monkeypatch.setattr(broken, _failing_for(bad_id, broken))

    answers = await worker.commit(*(turn(assignment, Outcome.COMPLETED) for assignment in assignments))

    assert {answer.run_id: answer.verdict for answer in answers} == {
        good_id: Verdict.APPLIED,
        bad_id: Verdict.REFUSED,
    }


def _failing_for(run_id: str, name: str) -> Callable[..., object]:
    """Return the function of this name with a bug that shows for one run."""
    module, _, function = name.rpartition(".")
    works = getattr(sys.modules[module], function)

    def fails(ws: WorkingSet, row: RunRow, *args: object, **kwargs: object) -> object:
        if row.id == run_id:
            raise LookupError("a bug")
        return works(ws, row, *args, **kwargs)

    return fails


async def test_commands_beyond_the_queue_are_asked_to_come_back_and_none_of_their_call_is_done(
    clock: ManualClock,
) -> None:
    async with Server(":memory:", clock=clock, config=Config(queued_commands_max=10), is_stepped=True) as server:
        world = ServerWorld(server, clock)

        with pytest.raises(Unavailable, match="busy"):
            await world.do(world.calls.start([world.start_request() for _ in range(11)]))

        assert await server.store.count(RunFilter()) == {}


async def test_a_caller_that_goes_away_takes_no_one_else_along(world: ServerWorld) -> None:
    gone = asyncio.create_task(world.calls.start([world.start_request()]))
    stays = asyncio.create_task(world.calls.start([world.start_request()]))
    await asyncio.sleep(0)
    gone.cancel()

    await world.until_quiet()

    assert (await settled(stays))[0].problem is None


async def test_a_database_that_is_away_for_a_moment_is_asked_again(world: ServerWorld) -> None:
    _fail_next(world, times=2, after_effect=False)

    run_id = await world.run()

    assert (await world.info(run_id)).status is Status.QUEUED


async def test_a_transaction_whose_outcome_was_lost_is_decided_again_and_done_once(world: ServerWorld) -> None:
    worker = await world.worker()
    run_id = await world.run()
    claim = await worker.claim()
    _fail_next(world, times=1, after_effect=True)

    answer = await worker.suspend(claim, event("paid"))

    assert (answer.verdict, answer.status) == (Verdict.APPLIED, Status.AWAITING_EVENT)
    assert len((await world.info(run_id)).waits) == 1


async def test_a_database_that_stays_away_makes_the_server_unavailable_and_not_broken(world: ServerWorld) -> None:
    _fail_next(world, times=3, after_effect=False)

    with pytest.raises(Unavailable):
        await world.run()

    await world.run()


async def test_while_the_database_is_away_polls_are_told_so_at_once(world: ServerWorld) -> None:
    worker = await world.worker()
    _fail_next(world, times=3, after_effect=False)
    with pytest.raises(Unavailable):
        await world.run()

    with pytest.raises(Unavailable) as told:
        await worker.poll()
    assert told.value.away == "database"
    await world.run()

    assert (await worker.poll()).assignments


async def test_a_poll_does_not_join_a_transaction_that_may_never_be_answered(world: ServerWorld) -> None:
    pipeline, lease_ms = world.server.pipeline, world.server.config.lease_ms
    transaction, go_on = world.server.store.transaction, asyncio.Event()

    async def held_up(keys: Keys, decide: Decision) -> Transaction:
        await go_on.wait()
        return await transaction(keys, decide)

    worker = await world.worker()
    world.server.store.transaction = held_up  # type: ignore[method-assign]
    started = pipeline.submit(Start(world.start_request()))
    under_way = asyncio.create_task(pipeline.step())
    await asyncio.sleep(0)
    world.clock.advance(milliseconds=lease_ms // 2)

    with pytest.raises(Unavailable) as told:
        await world.calls.poll(worker.request())
    assert told.value.away == "database"
    go_on.set()
    await under_way
    await started

    assert (await worker.poll()).assignments


async def test_a_claim_whose_answer_was_lost_with_the_outcome_is_told_all_the_same(world: ServerWorld) -> None:
    worker = await world.worker()
    run_id = await world.run()
    _fail_next(world, times=1, after_effect=True)

    answer = await worker.poll()
    if not answer.assignments:  # the second decision finds it claimed by this very poll; the next one is told
        answer = await worker.poll()

    assert [a.run_id for a in answer.assignments] == [run_id]


async def test_the_pipeline_on_a_file_and_its_thread_does_what_it_does_in_memory(
    clock: ManualClock, tmp_path: Path
) -> None:
    async with Server(tmp_path / "aiki.db", clock=clock) as server:
        calls = server.transport()
        world = ServerWorld(server, clock)

        answers = await asyncio.gather(*(calls.start([world.start_request()]) for _ in range(1_000)))

        assert sum(started.problem is None for (started,) in answers) == 1_000
        assert server.pipeline.transactions <= 5


async def _together(world: ServerWorld, number: int) -> list[Started]:
    answers = await asyncio.gather(*(world.calls.start([world.start_request()]) for _ in range(number)))
    return [started for (started,) in answers]


def _fail_next(world: ServerWorld, *, times: int, after_effect: bool) -> None:
    """Let the next transactions of the real store fail, before or after they were done."""
    store = world.server.store
    left = [times]

    class Failing(SqliteStore):
        def __init__(self) -> None:
            self.__dict__ = store.__dict__

        async def transaction(self, keys: Keys, decide: Decision) -> Transaction:
            if not left[0]:
                return await store.transaction(keys, decide)
            left[0] -= 1
            if after_effect:
                await store.transaction(keys, decide)
            raise Unavailable("the connection was lost")

    world.server.pipeline._store = Failing()
