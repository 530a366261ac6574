"""What people look at over HTTP: filters, counts, a run's past, workers, workflows, stats."""

from typing import Any

import msgspec
import pytest

from aiki.model.wire import Announce, VersionInfo
from aiki.sdk.http import HttpTransport
from tests.http.world import MESSAGE, UNKNOWN_RUN, World

SESSION = "0190a000-0000-7000-8000-0000000000aa"


async def test_runs_are_counted_by_what_the_query_says(world: World) -> None:
    for workflow in ("order", "order", "ride"):
        await world.start(workflow, options={"tags": {"shop": "a"}})

    every = await world.get("/v1/runs/count?tag=shop%3Aa")
    rides = await world.get("/v1/runs/count?workflow=ride&status=queued&status=failed")

    assert every.json == {"total": 3, "by_status": {"queued": 3}}
    assert rides.json == {"total": 1, "by_status": {"queued": 1}}


async def test_runs_are_found_by_the_beginning_of_their_reference_or_id(world: World) -> None:
    run_id = await world.start(options={"reference_id": "order-17"})
    await world.start(options={"reference_id": "ride-17"})

    for beginning in ("order-", run_id[:-1], run_id):
        found = await world.get(f"/v1/runs?search={beginning}")
        assert run_id in [run["id"] for run in found.json["runs"]], found.json
    assert [run["id"] for run in (await world.get("/v1/runs?search=order")).json["runs"]] == [run_id]


async def test_the_past_of_a_run_is_read_with_what_it_was_sent(world: World) -> None:
    run_id = await world.start()
    await world.post(f"/v1/runs/{run_id}/events/paid?message_id={MESSAGE}", {"amount": 12})
    await world.post(f"/v1/runs/{run_id}/terminate", {"reason": "enough"})

    history = (await world.get(f"/v1/runs/{run_id}/history")).json
    first = (await world.get(f"/v1/runs/{run_id}/history?limit=1")).json
    rest = (await world.get(f"/v1/runs/{run_id}/history?after={first['next_after']}")).json
    inbox = (await world.get(f"/v1/runs/{run_id}/inbox?unread=true")).json

    assert [(move.get("old"), move["new"], move["reason"]) for move in history["moves"]] == [
        (None, "queued", "started"),
        ("queued", "cancelled", "terminated"),
    ]
    assert first["moves"] + rest["moves"] == history["moves"]
    (event,) = inbox["messages"]
    assert (event["id"], event["kind"], event["name"], event["payload"]) == (MESSAGE, "event", "paid", {"amount": 12})
    assert (await world.get(f"/v1/runs/{run_id}/children")).json == {"runs": []}
    assert (await world.get(f"/v1/runs/{run_id}/values")).json == {"values": []}
    assert (await world.get(f"/v1/runs/{run_id}/journal?chapter=1&attempt=1")).json == {"run_id": run_id, "epoch": 0}


@pytest.mark.parametrize("what", ["history", "inbox", "values", "journal"])
async def test_of_a_run_that_is_not_there_nothing_is_read(world: World, what: str) -> None:
    missing = await world.get(f"/v1/runs/{UNKNOWN_RUN}/{what}")

    assert (missing.status, missing.json["code"]) == (404, "run_not_found")


async def test_workers_and_workflows_are_listed(world: World) -> None:
    version = VersionInfo("order", "1.0.0", msgspec.Raw(b'{"type":"object"}'))
    await world.post("/v1/worker/announce", Announce(SESSION, "default", "w", (version,), ("",), 5, host="h", pid=3))
    await world.start()

    (worker,) = (await world.get("/v1/workers")).json["workers"]
    (workflow,) = (await world.get("/v1/workflows")).json["versions"]

    assert (worker["name"], worker["host"], worker["pid"], worker["capacity"]) == ("w", "h", 3, 5)
    assert worker["versions"] == [{"workflow": "order", "version": "1.0.0"}]
    assert (workflow["input_schema"], workflow["runs"], workflow["workers"]) == (
        {"type": "object"},
        {"queued": 1},
        ["w"],
    )


async def test_stats_tell_how_things_stand_and_went(world: World) -> None:
    await world.start()

    stats = (await world.get("/v1/stats?window_ms=60000&buckets=6")).json

    assert stats["runs"] == {"queued": 1}
    assert [queue["depth"] for queue in stats["queues"]] == [1]
    assert (len(stats["buckets"]), stats["bucket_ms"]) == (6, 10_000)
    assert sum(bucket.get("started", 0) for bucket in stats["buckets"]) == 1


@pytest.mark.parametrize(
    "address",
    [
        "/v1/runs?search=",
        "/v1/runs?search=%00",
        "/v1/runs?created_after_ms=-1",
        "/v1/runs?created_after_ms=99999999999999999999",
        "/v1/runs?parent_id=nobody",
        "/v1/runs?status=bored",
        "/v1/runs?tag=none",
        "/v1/runs?limit=0",
        "/v1/runs?cursor=x",
        "/v1/runs/count?limit=5",
        "/v1/runs/count?tag=" + "x" * 3_000 + "%3A1",
        "/v1/stats?window_ms=1",
        "/v1/stats?buckets=501",
        f"/v1/runs/{UNKNOWN_RUN}/history?limit=501",
        f"/v1/runs/{UNKNOWN_RUN}/history?after=-1",
        f"/v1/runs/{UNKNOWN_RUN}/inbox?unread=perhaps",
        f"/v1/runs/{UNKNOWN_RUN}/values?after=%00",
        f"/v1/runs/{UNKNOWN_RUN}/journal?attempt=0",
        "/v1/runs/x/history",
        "/v1/runs?" + "&".join(f"tag={number}%3A1" for number in range(60)),
    ],
)
async def test_what_cannot_be_looked_for_is_refused(world: World, address: str) -> None:
    refused = await world.get(address)

    assert (refused.status, refused.json["code"]) == (400, "invalid_input")
    assert await world.is_well()


async def test_a_client_over_http_lists_and_counts_by_the_same_filters(world: World) -> None:
    run_id = await world.start(options={"reference_id": "order-1", "tags": {"shop": "a:b"}})
    filters: Any = {"search": "order-", "tags": {"shop": "a:b"}, "status": ["queued", "running"], "workflow": "order"}

    async with world.client() as client:
        page = await client.runs.list(**filters)
        count = await client.runs.count(**filters)
        with pytest.raises(TypeError, match="there is no filter colour"):
            await client.runs.count(colour="red")  # type: ignore[call-arg]

    assert [run.id for run in page.runs] == [run_id]
    assert (count.total, count.by_status) == (1, {"queued": 1})


async def test_workers_and_workflows_are_read_through_the_transport(world: World) -> None:
    await world.start()
    async with world.open_transport() as transport:
        assert isinstance(transport, HttpTransport)
        assert (await transport.workers("default")).workers == ()
        assert [found.workflow for found in (await transport.workflows("default")).versions] == ["order"]
