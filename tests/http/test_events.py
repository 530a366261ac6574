"""Events over HTTP, as `curl` would send them: to one run, to many, and more than once."""

from typing import Any

import pytest

from aiki.sdk.http import HttpTransport
from tests.http.world import MESSAGE, UNKNOWN_RUN, World


async def inbox(world: World, run_id: str) -> list[Any]:
    return [message["payload"] for message in (await world.get(f"/v1/runs/{run_id}/inbox")).json["messages"]]


async def test_a_second_event_of_one_reference_id_is_ignored_however_it_is_sent(world: World) -> None:
    run_id = await world.start()

    await world.post(f"/v1/runs/{run_id}/events/paid?reference_id=r-1", 1)
    second = await world.post(f"/v1/runs/{run_id}/events/paid?reference_id=r-1&message_id={MESSAGE}", 2)
    listed = await world.post(
        "/v1/events",
        [
            {"run_id": run_id, "name": "paid", "payload": 3, "reference_id": "r-1"},
            {"run_id": run_id, "name": "paid", "payload": 4, "reference_id": "r-2"},
        ],
    )
    cast = await world.post("/v1/events/paid", {"payload": 5, "run_ids": [run_id], "reference_id": "r-1"})

    assert (second.status, second.json["repeated"]) == (200, True)
    assert [standing.get("repeated", False) for standing in listed.json] == [True, False]
    assert cast.json == {"outcomes": [{"outcome": "duplicate", "run_id": run_id, "status": "queued"}]}
    assert await inbox(world, run_id) == [1, 4]


async def test_an_event_is_cast_by_reference_ids_and_by_a_filter(world: World) -> None:
    run_id = await world.start(options={"reference_id": "a"})
    others = [await world.start("ride") for _ in range(3)]

    named = await world.post(
        "/v1/events/paid", {"payload": 1, "workflow": "order", "reference_ids": ["a", "b"], "id": MESSAGE}
    )
    page = await world.post("/v1/events/paid", {"payload": 2, "filter": {"workflow": "ride", "limit": 2}})
    rest = await world.post(
        "/v1/events/paid",
        {"payload": 2, "filter": {"workflow": "ride", "limit": 2, "cursor": page.json["next_cursor"]}},
    )

    assert [outcome["outcome"] for outcome in named.json["outcomes"]] == ["delivered", "run_not_found"]
    assert await inbox(world, run_id) == [1]
    assert [await inbox(world, other) for other in others] == [[2], [2], [2]]
    assert "next_cursor" not in rest.json


async def test_a_client_over_http_casts_as_one_in_the_process(world: World) -> None:
    run_id = await world.start(options={"reference_id": "a/ü"})

    async with world.open_transport() as transport:
        assert isinstance(transport, HttpTransport)
    async with world.client() as client:
        answer = await client.connection.multicast(_cast(reference_ids=("a/ü",), workflow="order"))
        told = await client.connection.multicast(_cast(filter=_everything()))

    assert [outcome.run_id for outcome in answer.outcomes] == [run_id]
    assert [outcome.run_id for outcome in told.outcomes] == [run_id]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"run_ids": [UNKNOWN_RUN], "filter": {}},
        {"filter": {"statuss": ["queued"]}},
        {"filter": {"namespace": "other"}},
        {"filter": {"limit": 0}},
        {"filter": {"tags": {"": "x"}}},
        {"filter": {"created_after_ms": -1}},
        {"reference_ids": ["a"]},
        {"run_ids": UNKNOWN_RUN},
        {"run_ids": [UNKNOWN_RUN], "id": "x"},
        {"run_ids": [UNKNOWN_RUN], "runids": []},
        {"run_ids": [UNKNOWN_RUN] * 1_001},
    ],
)
async def test_a_multicast_that_does_not_say_who_is_meant_is_refused(world: World, body: Any) -> None:
    refused = await world.post("/v1/events/paid", body)

    assert (refused.status, refused.json["code"]) == (400, "invalid_input")
    assert await world.is_well()


def _cast(**meant: Any) -> Any:
    from msgspec import Raw

    from aiki.model.many import Multicast

    return Multicast(namespace="default", id=MESSAGE, name="paid/ü", payload=Raw(b"1"), **meant)


def _everything() -> Any:
    from aiki.model.views import RunFilter

    return RunFilter(workflow="order")
