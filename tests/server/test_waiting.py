"""Waiting for many runs to end, with one subscription."""

import asyncio

import pytest

from aiki.clock import ManualClock
from aiki.config import Config
from aiki.errors import InvalidInput, Unavailable
from aiki.model.lifecycle import Status
from aiki.model.wire import WaitAnswer, WaitRequest
from aiki.server.server import Server
from tests.server.world import ServerWorld, settled


class PlayedClient:
    def __init__(self, world: ServerWorld, *, namespace: str = "default") -> None:
        self.world = world
        self.namespace = namespace
        self.subscription = world.new_id()
        self.number = 0

    def request(self, *add: str, remove: tuple[str, ...] = (), wait_ms: int = 0) -> WaitRequest:
        self.number += 1
        return WaitRequest(self.namespace, self.subscription, self.number, add, remove, wait_ms)

    async def ask(self, *add: str, remove: tuple[str, ...] = (), wait_ms: int = 0) -> WaitAnswer:
        return await self.world.do(self.world.calls.wait(self.request(*add, remove=remove, wait_ms=wait_ms)))

    async def wait(self, *add: str, remove: tuple[str, ...] = ()) -> asyncio.Task[WaitAnswer]:
        task = asyncio.create_task(self.world.calls.wait(self.request(*add, remove=remove, wait_ms=30_000)))
        await self.world.until_quiet()
        return task


@pytest.fixture
def client(world: ServerWorld) -> PlayedClient:
    return PlayedClient(world)


async def test_a_run_that_has_ended_is_told_at_once(world: ServerWorld, client: PlayedClient) -> None:
    run_id = await _ended(world)

    (finished,) = (await client.ask(run_id, wait_ms=30_000)).finished

    assert (finished.run_id, finished.status, bytes(finished.output)) == (run_id, Status.COMPLETED, b"7")


async def test_a_run_that_could_not_be_looked_at_when_it_was_asked_for_is_looked_at_again(
    world: ServerWorld, client: PlayedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await _ended(world)
    with monkeypatch.context() as away:
        away.setattr(world.server.waiting, "_ends", _away)
        with pytest.raises(Unavailable):
            await client.ask(run_id)
        with pytest.raises(Unavailable):
            await world.server.waiting.sweep()
    client.number -= 1  # the same request again, as clients do
    waiting = await client.wait(run_id)
    world.clock.advance(seconds=2)
    await world.step()

    assert [finished.run_id for finished in (await settled(waiting)).finished] == [run_id]


async def _away(*_: object) -> None:
    raise Unavailable("the database is away")


async def test_an_end_answers_the_open_request(world: ServerWorld, client: PlayedClient) -> None:
    worker = await world.worker()
    first, second = await world.run(), await world.run()
    waiting = await client.wait(first, second)
    assert not waiting.done()

    claims = {claim.run_id: claim for claim in (await worker.poll()).assignments}
    await worker.complete(claims[first], b"1")

    assert [finished.run_id for finished in (await settled(waiting)).finished] == [first]


async def test_an_end_is_told_again_until_the_client_has_it(world: ServerWorld, client: PlayedClient) -> None:
    run_id = await _ended(world)

    assert len((await client.ask(run_id)).finished) == 1
    assert len((await client.ask()).finished) == 1
    assert (await client.ask(remove=(run_id,))).finished == ()


async def test_a_newer_request_answers_the_older_one_at_once(world: ServerWorld, client: PlayedClient) -> None:
    first, second = await world.run(), await world.run()
    older = await client.wait(first)
    newer = await client.wait(second)

    assert (await settled(older)) == WaitAnswer()
    await world.control(first, "terminate")
    assert [finished.run_id for finished in (await settled(newer)).finished] == [first]


async def test_what_an_overtaken_request_adds_is_waited_for(world: ServerWorld, client: PlayedClient) -> None:
    run_id = await world.run()
    await client.ask()
    late = client.request(run_id)
    newer = await client.wait()

    assert await world.do(world.calls.wait(late)) == WaitAnswer()
    await world.control(run_id, "terminate")

    assert [finished.run_id for finished in (await settled(newer)).finished] == [run_id]


async def test_a_run_that_is_not_there_or_in_another_namespace_is_said_to_be_not_found(
    world: ServerWorld, client: PlayedClient
) -> None:
    hidden = await _ended(world)
    unknown = world.new_id()

    (finished,) = (await client.ask(unknown)).finished
    (other,) = (await PlayedClient(world, namespace="other").ask(hidden)).finished

    assert finished.problem is not None
    assert finished.problem.code == "run_not_found"
    assert other.problem is not None
    assert (other.status, other.problem.code) == (None, "run_not_found")


async def test_a_server_that_does_not_know_a_subscription_asks_for_all_ids_and_then_knows_it(
    world: ServerWorld, client: PlayedClient
) -> None:
    client.number = 7
    run_id = await _ended(world)

    assert (await client.ask(wait_ms=30_000)).forgotten
    answer = await client.ask(run_id, wait_ms=30_000)

    assert (answer.forgotten, len(answer.finished)) == (False, 1)


async def test_a_client_that_asks_no_more_is_forgotten_after_a_while(world: ServerWorld, client: PlayedClient) -> None:
    await client.ask(await world.run())
    open_request = await PlayedClient(world).wait(await world.run())

    world.clock.advance(seconds=121)
    await world.step()

    assert (await client.ask()).forgotten
    assert not open_request.done()
    open_request.cancel()


async def test_an_end_that_was_missed_because_its_outcome_was_lost_is_read_by_the_sweep(
    world: ServerWorld, client: PlayedClient
) -> None:
    run_id = await world.run()
    waiting = await client.wait(run_id)
    world.server.waiting._watchers.clear()  # so that its end goes unheard
    await world.control(run_id, "terminate")
    assert not waiting.done()
    world.server.waiting.note_uncertainty()

    world.clock.advance(seconds=1)
    await world.step()

    assert [finished.run_id for finished in (await settled(waiting)).finished] == [run_id]


async def test_two_clients_may_wait_for_one_run(world: ServerWorld, client: PlayedClient) -> None:
    run_id = await world.run()
    both = [await client.wait(run_id), await PlayedClient(world).wait(run_id)]

    await world.control(run_id, "terminate")

    assert [len((await settled(waiting)).finished) for waiting in both] == [1, 1]


async def test_a_request_ends_when_its_time_is_over(client: PlayedClient, world: ServerWorld) -> None:
    assert (await client.ask(await world.run(), wait_ms=1)).finished == ()


async def test_one_client_waits_for_a_bounded_number_of_runs(clock: ManualClock) -> None:
    async with Server(":memory:", clock=clock, config=Config(subscribed_runs_max=2), is_stepped=True) as server:
        world = ServerWorld(server, clock)

        with pytest.raises(InvalidInput, match="the limit is 2"):
            await PlayedClient(world).ask(*(world.new_id() for _ in range(3)))


async def test_a_server_that_closes_answers_who_waits(clock: ManualClock) -> None:
    async with Server(":memory:", clock=clock, is_stepped=True) as server:
        world = ServerWorld(server, clock)
        waiting = await PlayedClient(world).wait(await world.run())
        polling = await (await world.worker(workflows=("other",))).wait()

    assert (await settled(waiting)).finished == ()
    assert (await settled(polling)).assignments == ()


async def _ended(world: ServerWorld) -> str:
    run_id = await world.run()
    worker = await world.worker()
    await worker.complete(await worker.claim())
    return run_id
