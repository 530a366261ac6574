"""The client and its handles: what they ask of a transport, and what comes back."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import Raw

from aiki.clock import Chance, ManualClock
from aiki.errors import (
    InvalidInput,
    NotAllowedInWorkflow,
    ReferenceConflict,
    RunEnded,
    RunFailed,
    RunNotFound,
    TimedOut,
    Unavailable,
)
from aiki.model.journal import Failure
from aiki.model.lifecycle import Status
from aiki.model.views import RunInfo, WaitInfo
from aiki.model.wire import Finished, Problem, Standing, Started
from aiki.sdk.client import Client
from aiki.sdk.connection import Connection
from aiki.sdk.current import enter_run
from aiki.sdk.events import Event, Events
from aiki.sdk.run import Run
from aiki.sdk.workflow import workflow
from tests.sdk.scripted import RUN_ID, ScriptedHost, ScriptedTransport, scripted_client
from tests.virtual import virtual_clock, virtually


class OrderEvents(Events):
    order_ready: Event[int]


@workflow("order").version("1.0.0", events=OrderEvents)
async def order_v1(run: Run[OrderEvents], order_id: str, amount: int = 10) -> dict[int, str]:
    return {amount: order_id}


@pytest.fixture
def transport() -> ScriptedTransport:
    return ScriptedTransport()


def ended(status: Status, output: bytes = b"", error: Failure | None = None) -> Finished:
    return Finished(run_id=RUN_ID, status=status, output=Raw(output), error=error)


# --------------------------------------------------------------------------------------------------------------- starts


async def test_a_start_carries_input_hash_and_options(transport: ScriptedTransport) -> None:
    transport.on_start = lambda start: Started(start.run_id, version="0.9.0", existed=True, warnings=("no worker",))
    async with scripted_client(transport) as client:
        handle = await order_v1.options(reference_id="order-1").start(client, "o-1", amount=5)

    ((_, (start,)),) = transport.asked
    assert (start.workflow, start.version, start.namespace) == ("order", "1.0.0", "default")
    assert bytes(start.input) == b'{"amount":5,"order_id":"o-1"}'
    assert (start.options.reference_id, len(start.input_hash)) == ("order-1", 64)
    assert (handle.id, handle.version, handle.warnings) == (start.run_id, "0.9.0", ("no worker",))


async def test_many_starts_share_a_request(transport: ScriptedTransport) -> None:
    async with scripted_client(transport) as client:
        handles = await asyncio.gather(*(order_v1.start(client, f"o-{number}") for number in range(50)))

    assert len({handle.id for handle in handles}) == 50
    assert [len(starts) for _, starts in transport.asked] == [50]


async def test_a_refused_start_spares_its_neighbours(transport: ScriptedTransport) -> None:
    def on_start(start: Any) -> Started:
        if start.options.reference_id == "taken":
            problem = Problem("reference_conflict", "taken", {"reference_id": "taken", "run_id": RUN_ID})
            return Started(start.run_id, problem=problem)
        return Started(start.run_id)

    transport.on_start = on_start
    refused: object
    started: object
    async with scripted_client(transport) as client:
        answers = await asyncio.gather(
            order_v1.options(reference_id="taken").start(client, "o-1"),
            order_v1.start(client, "o-2"),
            return_exceptions=True,
        )
    refused, started = answers  # in one line, mypy 2.4 loses the types of overloaded calls
    assert isinstance(refused, ReferenceConflict)
    assert refused.run_id == RUN_ID
    assert not isinstance(started, BaseException)


async def test_input_that_does_not_fit_is_refused_before_it_is_sent(transport: ScriptedTransport) -> None:
    wrong: Any = 5
    async with scripted_client(transport) as client:
        with pytest.raises(InvalidInput, match="order_id"):
            await order_v1.start(client, wrong)
    assert transport.asked == []


async def test_a_run_can_be_started_by_name(transport: ScriptedTransport) -> None:
    async with scripted_client(transport) as client:
        await client.runs.start("order", "1.0.0", {"order_id": "o-1"}, priority=3)
        await order_v1.start(client, "o-1")
        unnamed: Any = ["o-1"]
        with pytest.raises(InvalidInput, match="by parameter name"):
            await client.runs.start("order", "1.0.0", unnamed)

    by_name, by_code = (starts[0] for _, starts in transport.asked)
    assert (by_name.workflow, by_name.version, by_name.options.priority) == ("order", "1.0.0", 3)
    assert by_name.input_hash == by_code.input_hash


# -------------------------------------------------------------------------------------------------------------- results


async def test_a_result_is_decoded(transport: ScriptedTransport) -> None:
    transport.ends[RUN_ID] = ended(Status.COMPLETED, b'{"5":"o-1"}')
    async with scripted_client(transport) as client:
        assert await order_v1.handle(client, RUN_ID).result() == {5: "o-1"}


async def test_a_failed_run_raises_what_it_failed_of(transport: ScriptedTransport) -> None:
    failure = Failure(type="shop.Declined", message="no funds", details=Raw(b"5"), traceback="...")
    transport.ends[RUN_ID] = ended(Status.FAILED, error=failure)
    async with scripted_client(transport) as client:
        with pytest.raises(RunFailed) as raised:
            await order_v1.handle(client, RUN_ID).result()
        result = await order_v1.handle(client, RUN_ID).wait_for_status("completed")

    assert (raised.value.error_type, raised.value.details, raised.value.traceback) == ("shop.Declined", 5, "...")
    assert (result.reached, result.status) == (False, "failed")


async def test_a_run_that_is_not_there_cannot_be_waited_for(transport: ScriptedTransport) -> None:
    transport.ends[RUN_ID] = Finished(RUN_ID, problem=Problem("run_not_found", "no such run", {"run_id": RUN_ID}))
    async with scripted_client(transport) as client:
        with pytest.raises(RunNotFound):
            await order_v1.handle(client, RUN_ID).result()


async def test_a_result_that_does_not_come_in_time_times_out(transport: ScriptedTransport) -> None:
    async def never(kind: str) -> None:
        await asyncio.get_running_loop().create_future()

    transport.before = never
    async with scripted_client(transport) as client:
        with pytest.raises(TimedOut):
            await order_v1.handle(client, RUN_ID).result(timeout=0)
        assert (await order_v1.handle(client, RUN_ID).wait_for_status("completed", timeout=0)).timed_out


# --------------------------------------------------------------------------------------------------------- other calls


async def test_an_event_is_sent_under_its_name_on_the_wire(transport: ScriptedTransport) -> None:
    async with scripted_client(transport) as client:
        handle = order_v1.handle(client, RUN_ID)
        await handle.events.order_ready.send(5)
        await handle.events.order_ready.send(6, reference_id="once")
        await handle.events.order_ready.send(6, reference_id="once")
        wrong: Any = "soon"
        with pytest.raises(InvalidInput):
            await handle.events.order_ready.send(wrong)
        with pytest.raises(TypeError, match=r"await handle\.events\.order_ready\.send"):
            _ = handle.events.order_ready.wait()

    plain, once, again = (events[0] for _, events in transport.asked)
    assert (plain.run_id, plain.name, bytes(plain.payload)) == (RUN_ID, "order-ready", b"5")
    assert plain.message_id != once.message_id == again.message_id


async def test_an_event_to_a_run_that_has_ended_is_refused(transport: ScriptedTransport) -> None:
    transport.on_standing = lambda asked: Standing(
        asked.run_id, problem=Problem("run_ended", "ended", {"run_id": asked.run_id, "status": "completed"})
    )
    async with scripted_client(transport) as client:
        with pytest.raises(RunEnded) as raised:
            await order_v1.handle(client, RUN_ID).events.order_ready.send(5)
    assert raised.value.status == "completed"


async def test_requests_to_a_run_say_whether_anything_changed(transport: ScriptedTransport) -> None:
    transport.on_standing = lambda asked: Standing(asked.run_id, changed=getattr(asked, "verb", "") != "wake")
    async with scripted_client(transport) as client:
        handle = order_v1.handle(client, RUN_ID)
        assert await handle.cancel("too late")
        assert await handle.terminate()
        assert not await handle.wake()
        assert await handle.requeue()
        assert await handle.pause()
        assert await handle.resume()
        assert await handle.retry()

    assert [(request.verb, request.reason) for _, (request,) in transport.asked] == [
        ("cancel", "too late"),
        ("terminate", None),
        ("wake", None),
        ("requeue", None),
        ("pause", None),
        ("resume", None),
        ("retry", None),
    ]


async def test_info_is_a_picture_with_moments_and_plain_values(transport: ScriptedTransport) -> None:
    transport.infos[RUN_ID] = RunInfo(
        id=RUN_ID,
        namespace="default",
        workflow="order",
        version="0.9.0",
        status=Status.SLEEPING,
        created_at_ms=1893456000000,
        reference_id="order-1",
        waits=(WaitInfo(kind="sleep", name="ride", deadline_ms=1893456001000),),
        input=Raw(b'{"order_id":"o-1"}'),
    )
    async with scripted_client(transport) as client:
        handle = order_v1.handle(client, RUN_ID)
        versions = [handle.version]
        info = await handle.info()
        found = await order_v1.handle_by_reference(client, "order-1")
        page = await client.runs.list(status="sleeping", started_after=datetime(2029, 1, 1, tzinfo=UTC))
        with pytest.raises(RunNotFound):
            await order_v1.handle_by_reference(client, "order-2")
        with pytest.raises(RunNotFound):
            await client.runs.get(RUN_ID.replace("1", "2"))

    assert (info.status, info.created_at, info.input) == (
        "sleeping",
        datetime(2030, 1, 1, tzinfo=UTC),
        {"order_id": "o-1"},
    )
    assert info.waits[0].deadline == datetime(2030, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert [*versions, handle.version, found.version] == [None, "0.9.0", "0.9.0"]
    assert [run.id for run in page.runs] == [RUN_ID]


async def test_a_published_value_is_read_from_outside(transport: ScriptedTransport) -> None:
    transport.values["progress"] = Raw(b'{"percent":50}')
    async with scripted_client(transport) as client:
        handle = order_v1.handle(client, RUN_ID)
        assert await handle.get("progress") == {"percent": 50}
        assert await handle.get("other") is None


# ------------------------------------------------------------------------------------------------- while it is not there


async def test_while_the_server_is_away_a_call_is_repeated_unchanged(transport: ScriptedTransport) -> None:
    clock, paused_ms = ManualClock(), list[float]()

    async def pause(seconds: float) -> None:
        paused_ms.append(seconds * 1000)
        clock.advance(seconds=seconds)

    async def away(_kind: str) -> None:
        if len(transport.asked) < 4:
            raise Unavailable("away")

    transport.before = away
    connection = connection_of(transport, clock, pause)
    await connection.start("order", "1", payload=b"{}", input_hash="", options=order_v1.run_options)
    await connection.close()

    assert [asked for _, asked in transport.asked] == [transport.asked[0][1]] * 4
    assert len(paused_ms) == 3
    for paused, ceiling_ms in zip(paused_ms, (50, 100, 200), strict=True):
        assert ceiling_ms / 2 <= paused <= ceiling_ms


async def test_a_server_that_stays_away_is_told_of_within_the_timeout(transport: ScriptedTransport) -> None:
    clock = ManualClock()
    begun_ms = clock.monotonic_ms()

    async def pause(seconds: float) -> None:
        clock.advance(seconds=seconds)

    async def away(_kind: str) -> None:
        raise Unavailable("away")

    transport.before = away
    connection = connection_of(transport, clock, pause)
    with pytest.raises(Unavailable, match="away"):
        await connection.info(RUN_ID)
    await connection.close()

    assert clock.monotonic_ms() - begun_ms == pytest.approx(10_000)


def connection_of(transport: ScriptedTransport, clock: ManualClock, pause: Any) -> Connection:
    return Connection(
        transport, namespace="default", timeout_ms=10_000, clock=clock, chance=Chance(seed=7), pause=pause
    )


async def test_other_errors_are_not_repeated(transport: ScriptedTransport) -> None:
    async def broken(_kind: str) -> None:
        raise RuntimeError("broken")

    transport.before = broken
    async with scripted_client(transport) as client:
        with pytest.raises(RuntimeError, match="broken"):
            await client.runs.get(RUN_ID)
    assert len(transport.asked) == 1


# -------------------------------------------------------------------------------------------------------------- lifetime


@virtually
async def test_a_server_that_goes_away_and_then_hangs_is_told_of_within_the_timeout() -> None:
    clock, transport = virtual_clock(), ScriptedTransport()

    async def away(_kind: str) -> None:
        if len(transport.asked) == 1:
            await asyncio.sleep(6)
            raise Unavailable("nobody is there")
        await asyncio.sleep(3_600)

    transport.before = away
    began_ms = clock.monotonic_ms()
    async with Client(transport=transport, clock=clock, timeout=10) as client:
        with pytest.raises(Unavailable, match="nobody is there"):
            await client.runs.list()

    assert clock.monotonic_ms() - began_ms <= 10_010


async def test_where_no_server_is_a_call_says_so_in_time_and_how_to_start_one() -> None:
    async with Client("http://localhost:1", timeout=1) as client:
        with pytest.raises(Unavailable) as refused:
            await client.runs.get(RUN_ID)

    assert str(refused.value) == "no Aiki server at http://localhost:1. Start one: aiki dev"


def test_a_client_takes_its_servers_address_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIKI_URL", "http://elsewhere:9850")

    assert Client().url == "http://elsewhere:9850"
    assert Client("http://here:9850").url == "http://here:9850"
    monkeypatch.delenv("AIKI_URL")
    assert Client().url == "http://localhost:9850"


def test_an_address_that_is_none_is_refused_where_it_is_written() -> None:
    with pytest.raises(ValueError, match="localhost:9850"):
        Client("localhost:9850")


async def test_a_client_is_used_inside_its_with(transport: ScriptedTransport) -> None:
    client = scripted_client(transport)
    with pytest.raises(RuntimeError, match="async with"):
        order_v1.handle(client, RUN_ID)
    async with client:
        handle = order_v1.handle(client, RUN_ID)
        with pytest.raises(RuntimeError, match="open already"):
            await client.__aenter__()
    assert transport.is_closed
    with pytest.raises(Unavailable, match="closed"):
        await handle.cancel()


async def test_leaving_a_client_tells_those_who_still_wait(transport: ScriptedTransport) -> None:
    async def never(kind: str) -> None:
        await asyncio.get_running_loop().create_future()

    transport.before = never
    async with scripted_client(transport) as client:
        handle = order_v1.handle(client, RUN_ID)
        tasks = [asyncio.create_task(handle.result()), asyncio.create_task(handle.cancel())]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    for task in tasks:
        with pytest.raises(Unavailable, match="closed"):
            await task


async def test_in_workflow_code_a_client_is_refused(transport: ScriptedTransport) -> None:
    async with scripted_client(transport) as client:

        async def code() -> None:
            enter_run(order_v1.run_on(ScriptedHost()))
            await order_v1.start(client, "o-1")

        with pytest.raises(NotAllowedInWorkflow, match="start_as_child"):
            await asyncio.create_task(code())
    assert transport.asked == []


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        Client(timeout=timeout)


async def test_a_list_within_bounds_is_asked_for(transport: ScriptedTransport) -> None:
    async with scripted_client(transport) as client:
        for wrong in ({"limit": 0}, {"limit": 501}, {"status": "asleep"}):
            listed: Any = wrong
            with pytest.raises(ValueError):
                await client.runs.list(**listed)
