"""Code that does not await, with a real server over HTTP: each scenario runs in a thread beside it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

import aiki
from aiki import BlockingClient, BlockingHandle, RunCancelled, RunFailed, RunNotFound, TimedOut, Unavailable, Worker
from tests.http.world import UNKNOWN_RUN, World, served_world
from tests.sdk.blocking_shop import (
    VERSIONS,
    Order,
    OrderEvents,
    OtherEvents,
    broken_v1,
    hello_v1,
    meddling_v1,
    order_v1,
)

THREADS = 40
CALLS = 10  # of each thread
STEPS_MAX = 100_000


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with served_world() as world, world.client() as client, Worker(client, VERSIONS):
        yield world


@pytest.fixture
async def without_worker() -> AsyncIterator[World]:
    async with served_world() as world:
        yield world


async def played(scenario: Callable[[BlockingClient], None], url: str) -> None:
    """Let code that does not await run in a thread of its own, with a client."""

    def play() -> None:
        with BlockingClient(url) as client:
            scenario(client)

    await asyncio.to_thread(play)


async def until_asked(world: World, path: str) -> None:
    for _ in range(STEPS_MAX):
        if world.api.requests[path]:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"nobody asked for {path}")


async def test_a_program_that_does_not_await_starts_sends_and_waits(world: World) -> None:
    def scenario(client: BlockingClient) -> None:
        handle = order_v1.start(client, Order("o-1", seats=2))
        handle.send(OrderEvents.accepted, 35)
        while not handle.wake():
            assert handle.info().status != "failed"

        assert handle.result() == {"order": "o-1", "minutes": 35}
        assert handle.get("seats") == 2
        assert (handle.version, handle.warnings, repr(handle)) == ("1.0.0", (), f"<BlockingHandle of {handle.id}>")
        assert handle.wait_for_status("completed").output == {"order": "o-1", "minutes": 35}

    await played(scenario, world.url)


async def test_runs_are_started_shown_and_listed_by_name(world: World) -> None:
    def scenario(client: BlockingClient) -> None:
        handle = client.runs.start("hello", "1.0.0", {"name": "Ada"}, reference_id="ada")

        assert isinstance(handle, BlockingHandle)
        assert handle.result(timeout=30) == "Hello Ada"
        assert client.runs.get(handle.id).output == "Hello Ada"
        assert [run.id for run in client.runs.list(workflow="hello", status="completed").runs] == [handle.id]

    await played(scenario, world.url)


async def test_a_run_is_found_again_by_id_and_by_reference(world: World) -> None:
    def scenario(client: BlockingClient) -> None:
        started = hello_v1.options(reference_id="ada").start(client, "Ada")
        by_id = hello_v1.handle(client, started.id)
        by_reference = hello_v1.handle_by_reference(client, "ada")

        assert by_id.version is None
        assert (by_id.result(), by_reference.id, by_reference.version) == ("Hello Ada", started.id, "1.0.0")
        with pytest.raises(RunNotFound):
            hello_v1.handle_by_reference(client, "grace")

    await played(scenario, world.url)


async def test_a_run_is_steered(without_worker: World) -> None:
    def scenario(client: BlockingClient) -> None:
        first, second = (order_v1.start(client, Order(name)) for name in ("o-1", "o-2"))

        assert first.warnings
        assert (first.wake(), first.requeue()) == (False, False)
        assert first.cancel("too late")
        assert second.terminate()
        assert not second.terminate()
        with pytest.raises(RunCancelled):
            second.result()

    await played(scenario, without_worker.url)


async def test_a_run_is_held_let_go_and_tried_again(world: World) -> None:
    def scenario(client: BlockingClient) -> None:
        waiting = order_v1.start(client, Order("o-1"))
        assert (waiting.pause(), waiting.resume()) == (True, True)

        failed = broken_v1.start(client)
        assert not failed.wait_for_status("completed")
        assert failed.retry()
        assert failed.wait_for_status("failed").reached

    await played(scenario, world.url)


async def test_a_schedule_is_activated_looked_at_and_steered(world: World) -> None:
    def scenario(client: BlockingClient) -> None:
        greeting = aiki.schedule("greeting", every=timedelta(days=1))
        handle = greeting.activate(client, hello_v1, "Ada")

        assert [one.name for one in client.schedules.list().schedules] == ["greeting"]
        assert client.schedules.get("greeting").input == {"name": "Ada"}
        assert (handle.pause(), handle.info().status, handle.resume()) == (True, "paused", True)
        triggered = client.schedules.handle("greeting").trigger()
        assert isinstance(triggered, BlockingHandle)
        assert triggered.result() == "Hello Ada"
        assert handle.deactivate()
        with pytest.raises(aiki.AikiError):
            handle.info()

    await played(scenario, world.url)


async def test_what_goes_wrong_is_raised_as_by_the_client_that_awaits(world: World) -> None:
    def scenario(client: BlockingClient) -> None:
        waiting = order_v1.start(client, Order("o-1"))

        with pytest.raises(RunFailed, match="no such dish"):
            broken_v1.start(client).result()
        with pytest.raises(TimedOut):
            waiting.result(timeout=0.01)
        with pytest.raises(RunNotFound):
            hello_v1.handle(client, UNKNOWN_RUN).info()
        with pytest.raises(aiki.InvalidInput, match="paid"):
            waiting.send(OtherEvents.paid, 35)
        with pytest.raises(aiki.InvalidInput, match="name does not fit str"):
            hello_v1.start(client, 42)  # type: ignore[call-overload]
        with pytest.raises(TypeError, match=r"OrderEvents\.restaurant_accepted, not 'accepted'"):
            waiting.send("accepted", 35)  # type: ignore[arg-type]

    await played(scenario, world.url)


async def test_an_event_is_sent_to_a_run_whose_code_is_not_at_hand_and_once_by_its_reference(world: World) -> None:
    def scenario(client: BlockingClient) -> None:
        handle = client.runs.start("order", "1.0.0", {"order": {"order_id": "o-1"}})
        handle.send(OrderEvents.noted, None)
        for minutes in (35, 45):
            handle.send(OrderEvents.accepted, minutes, reference_id="once")
        while not handle.wake():
            assert handle.info().status != "failed"

        assert handle.result() == {"order": "o-1", "minutes": 35}

    await played(scenario, world.url)


async def test_many_threads_share_a_client_and_its_requests(world: World) -> None:
    def scenario(client: BlockingClient) -> None:
        together = threading.Barrier(THREADS)

        def greet(number: int) -> list[str]:
            together.wait()
            return [hello_v1.start(client, f"{number}/{call}").result() for call in range(CALLS)]

        with ThreadPoolExecutor(THREADS) as threads:
            greetings = list(threads.map(greet, range(THREADS)))
        assert greetings == [[f"Hello {number}/{call}" for call in range(CALLS)] for number in range(THREADS)]
        assert client.is_open

    await played(scenario, world.url)

    assert world.api.requests["/v1/runs"] < THREADS * CALLS / 2
    assert world.api.requests["/v1/runs/wait"] < THREADS * CALLS / 2


async def test_threads_that_begin_at_once_start_one_loop(world: World) -> None:
    def scenario(_: BlockingClient) -> None:
        client = BlockingClient(world.url)
        together = threading.Barrier(THREADS)

        def call() -> aiki.Client:
            together.wait()
            return client.opened()

        with ThreadPoolExecutor(THREADS) as threads:
            calls = [threads.submit(call) for _ in range(THREADS)]
        assert len({id(done.result()) for done in calls}) == 1
        client.close()

    await played(scenario, world.url)


async def test_where_an_event_loop_runs_the_call_is_refused_and_the_client_that_awaits_is_named(world: World) -> None:
    client = BlockingClient(world.url)

    for call in (client.runs.list, client.__enter__, lambda: hello_v1.start(client, "Ada")):
        with pytest.raises(RuntimeError, match=r"Use aiki\.Client and await"):
            call()

    assert not client.is_open


async def test_workflow_code_is_refused_and_a_def_task_is_not(world: World) -> None:
    def scenario(client: BlockingClient) -> None:
        answer = meddling_v1.start(client, world.url).result()

        assert answer.startswith("a client is used in workflow code")
        assert answer.endswith("Hello Ada")

    await played(scenario, world.url)


async def test_who_waits_when_the_client_is_closed_is_told(without_worker: World) -> None:
    client = BlockingClient(without_worker.url)
    started = await asyncio.to_thread(hello_v1.start, client, "Ada")
    waiting = asyncio.create_task(asyncio.to_thread(started.result))
    await until_asked(without_worker, "/v1/runs/wait")

    await asyncio.to_thread(client.close)

    with pytest.raises(Unavailable):
        await waiting


async def test_who_asks_when_the_client_is_closed_is_told() -> None:
    client = BlockingClient("http://127.0.0.1:9", timeout=60)
    asking = asyncio.create_task(asyncio.to_thread(client.runs.list))
    while not client.is_open:
        await asyncio.sleep(0)

    await asyncio.to_thread(client.close)

    with pytest.raises(Unavailable, match="closed"):
        await asking


def test_a_closed_client_stays_closed() -> None:
    with BlockingClient("http://127.0.0.1:9") as client:
        was_open = client.is_open
    client.close()

    assert (was_open, client.is_open) == (True, False)
    with pytest.raises(RuntimeError, match="the client is closed: make another"):
        hello_v1.start(client, "Ada")
    with pytest.raises(RuntimeError, match="the client is closed"), client:
        pass


def test_without_a_server_it_is_unavailable_with_the_way_out() -> None:
    with (
        BlockingClient("http://127.0.0.1:9", timeout=0.5) as client,
        pytest.raises(Unavailable, match=r"127\.0\.0\.1:9"),
    ):
        client.runs.list()


def test_a_client_that_was_never_used_has_no_thread_and_closes() -> None:
    before = threading.active_count()
    client = BlockingClient(namespace="kitchen")

    assert threading.active_count() == before
    assert (client.namespace, client.url, repr(client)) == (
        "kitchen",
        "http://localhost:9850",
        "<BlockingClient of http://localhost:9850>",
    )
    client.close()


def test_a_client_is_checked_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="timeout"):
        BlockingClient(timeout=0)
    with pytest.raises(ValueError, match="url"):
        BlockingClient("ftp://localhost")
    with pytest.raises(aiki.InvalidInput):
        BlockingClient(namespace="")
