"""Bulk jobs over HTTP, and from a client."""

from typing import Any

import pytest

from aiki.errors import RunNotFound
from tests.http.world import MESSAGE, UNKNOWN_RUN, World


async def test_many_runs_are_cancelled_by_a_filter_and_the_job_waited_for(world: World) -> None:
    for _ in range(3):
        await world.start(options={"tags": {"shop": "a"}})
    other = await world.start()

    begun = await world.post("/v1/runs/cancel", {"filter": {"tags": {"shop": "a"}}, "reason": "closed", "id": MESSAGE})
    again = await world.post("/v1/runs/cancel", {"filter": {"tags": {"shop": "a"}}, "reason": "closed", "id": MESSAGE})
    done = await world.get(f"/v1/bulk-jobs/{MESSAGE}?wait=30")

    assert (begun.status, begun.json["id"], again.json["created_at_ms"]) == (202, MESSAGE, begun.json["created_at_ms"])
    assert (done.json["seen"], done.json["changed"], done.json["verb"]) == (3, 3, "cancel")
    assert done.json["finished_at_ms"] >= done.json["created_at_ms"]
    assert (await world.get(f"/v1/runs/{other}")).json["status"] == "queued"
    assert [job["id"] for job in (await world.get("/v1/bulk-jobs")).json["jobs"]] == [MESSAGE]


@pytest.mark.parametrize("verb", ["terminate", "pause", "resume", "wake", "requeue", "retry"])
async def test_each_verb_is_asked_of_many(world: World, verb: str) -> None:
    run_id = await world.start()

    begun = await world.post(f"/v1/runs/{verb}", {"run_ids": [run_id, UNKNOWN_RUN]})
    done = (await world.get(f"/v1/bulk-jobs/{begun.json['id']}?wait=30")).json

    assert (done["seen"], done["refused"], done["runs"]) == (2, 1, 2)
    assert done["problems"][0]["run_id"] == UNKNOWN_RUN


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filter": {}},
        {"filter": {"statuss": ["queued"]}},
        {"filter": {"workflow": "order", "limit": 5}},
        {"run_ids": ["x"]},
        {"run_ids": [UNKNOWN_RUN], "filter": {"workflow": "order"}},
        {"run_ids": [UNKNOWN_RUN], "id": "x"},
        {"filter": {"tags": {"a": "\ud7ff" * 3_000}}},
    ],
)
async def test_a_job_that_does_not_say_who_is_meant_is_refused(world: World, body: Any) -> None:
    run_id = await world.start()

    refused = await world.post("/v1/runs/terminate", body)

    assert (refused.status, refused.json["code"]) == (400, "invalid_input")
    assert (await world.get(f"/v1/runs/{run_id}")).json["status"] == "queued"


async def test_everything_is_meant_by_who_says_so(world: World) -> None:
    run_id = await world.start()

    begun = await world.post("/v1/runs/terminate", {"filter": {}, "everything": True})

    assert (await world.get(f"/v1/bulk-jobs/{begun.json['id']}?wait=30")).json["changed"] == 1
    assert (await world.get(f"/v1/runs/{run_id}")).json["status"] == "cancelled"


async def test_a_job_that_is_not_there_is_not_found(world: World) -> None:
    missing = await world.get(f"/v1/bulk-jobs/{UNKNOWN_RUN}")

    assert (missing.status, missing.json["code"]) == (404, "job_not_found")
    assert (await world.get("/v1/bulk-jobs/x")).status == 400
    async with world.client() as client:
        with pytest.raises(RunNotFound, match="there is no bulk job"):
            await client.runs.bulk_job(UNKNOWN_RUN).info()


async def test_a_client_begins_a_job_and_waits_for_it(world: World) -> None:
    runs = [await world.start(options={"tags": {"shop": "a"}}) for _ in range(3)]

    async with world.client() as client:
        job = await client.runs.cancel_many(tags={"shop": "a"}, workflow="order", reason="closed")
        done = await job.wait(timeout=30)
        by_ids = await (await client.runs.requeue_many(run_ids=runs)).wait()
        with pytest.raises(ValueError, match="nothing says which runs to retry"):
            await client.runs.retry_many()
        with pytest.raises(ValueError, match="not by both"):
            await client.runs.retry_many(run_ids=runs, workflow="order")
        every = await (await client.runs.retry_many(everything=True)).wait()

        with pytest.raises(ValueError, match="as one object or as keywords"):
            await client.runs.retry_many({"workflow": "order"}, tags={"shop": "a"})

    assert (done.is_done, done.seen, done.changed, done.verb) == (True, 3, 3, "cancel")
    assert (by_ids.seen, by_ids.unchanged) == (3, 3)
    assert every.seen == 0


@pytest.mark.parametrize("verb", ["cancel", "terminate", "retry", "requeue", "pause", "resume", "wake"])
async def test_a_filter_is_given_as_one_object_or_as_keywords(world: World, verb: str) -> None:
    await world.start(options={"tags": {"shop": "a"}})
    await world.start()

    async with world.client() as client:
        ask = getattr(client.runs, f"{verb}_many")
        filters: dict[str, Any] = {"tags": {"shop": "a"}, "status": ["queued", "cancelled", "paused"]}
        jobs = [await ask(filters), await ask(filter=filters), await ask(**filters)]
        done = [await job.wait(timeout=30) for job in jobs]

    assert [job.seen for job in done] == [1, 1, 1]
