"""Every address of the API, asked as `curl` would."""

import asyncio
from typing import Any

import msgspec
import pytest

from aiki.model import payload
from aiki.model.run import Queue
from aiki.model.wire import Announce, Assignment, Commit, Effect, Outcome, PollRequest, VersionInfo
from aiki.sdk.http import HttpTransport
from aiki.server.api.problems import PROBLEMS
from aiki.server.api.routes import ROUTES
from tests.http.world import MESSAGE, UNKNOWN_RUN, World

SESSION = "0190a000-0000-7000-8000-0000000000aa"


async def test_a_run_is_started_with_its_arguments_by_parameter_name(world: World) -> None:
    started = await world.post("/v1/runs", b'{"workflow": "order", "version": "1.0.0", "input": {"b": 1, "a": 1.50}}')

    assert started.status == 201
    assert started.json["warnings"] == ["no worker serves order 1.0.0 yet; the run waits until one does"]
    run = (await world.get(f"/v1/runs/{started.json['run_id']}")).json
    assert (run["status"], run["input"]) == ("queued", {"a": 1.5, "b": 1})


async def test_the_input_of_a_start_without_a_hash_is_stored_and_hashed_in_canonical_form(world: World) -> None:
    first = await world.post(
        "/v1/runs", b'{"workflow":"order","version":"1","input":{"b": 1, "a": 1.50},"options":{"reference_id":"r"}}'
    )
    canonical = {"a": 1.5, "b": 1}
    again = await world.post(
        "/v1/runs",
        {
            "workflow": "order",
            "version": "1",
            "input": canonical,
            "input_hash": payload.hash_of(msgspec.json.encode(canonical)),
            "options": {"reference_id": "r"},
        },
    )

    assert (again.status, again.json["run_id"], again.json["existed"]) == (200, first.json["run_id"], True)


async def test_a_start_that_is_repeated_with_its_id_is_the_same_run(world: World) -> None:
    start = {"workflow": "order", "version": "1.0.0", "input": {"a": 1}, "run_id": MESSAGE}

    first, second = await world.post("/v1/runs", start), await world.post("/v1/runs", start)

    assert (first.status, first.json["run_id"]) == (201, MESSAGE)
    assert (second.status, second.json["run_id"], second.json["existed"]) == (200, MESSAGE, True)


async def test_a_reference_that_names_other_input_is_a_conflict_with_the_run_that_has_it(world: World) -> None:
    run_id = await world.start(input={"a": 1}, options={"reference_id": "r-1"})

    refused = await world.post(
        "/v1/runs", {"workflow": "order", "version": "1.0.0", "input": {"a": 2}, "options": {"reference_id": "r-1"}}
    )

    assert (refused.status, refused.headers["Content-Type"]) == (409, "application/problem+json")
    assert refused.json["code"] == "reference_conflict"
    assert refused.json["type"] == "urn:aiki:problem:reference_conflict"
    assert refused.json["facts"] == {"reference_id": "r-1", "run_id": run_id}


async def test_of_many_starts_each_has_its_answer_in_order(world: World) -> None:
    answers = await world.post(
        "/v1/runs",
        [{"workflow": "order", "version": "1"}, {"workflow": "", "version": "1"}, {"workflow": "ride", "version": "1"}],
    )

    assert answers.status == 200
    assert [answer.get("problem", {}).get("code") for answer in answers.json] == [None, "invalid_input", None]
    assert (await world.get(f"/v1/runs/{answers.json[2]['run_id']}")).json["workflow"] == "ride"


async def test_runs_are_listed_by_what_the_query_says_page_by_page(world: World) -> None:
    for number in range(3):
        await world.start(options={"tags": {"shop": "a:b"}, "priority": number})
    await world.start("ride")

    first = await world.get("/v1/runs?workflow=order&tag=shop%3Aa%3Ab&status=queued&status=running&limit=2")
    rest = await world.get(f"/v1/runs?workflow=order&limit=2&cursor={first.json['next_cursor']}")

    assert [run["priority"] for run in first.json["runs"]] == [2, 1]
    assert [run.get("priority", 0) for run in rest.json["runs"]] == [0]
    assert "next_cursor" not in rest.json


async def test_a_run_is_found_by_its_reference_however_it_is_spelt(world: World) -> None:
    run_id = await world.start("a/b c", options={"reference_id": "r/1?x=ü"})

    found = await world.get("/v1/runs/by-reference?workflow=a%2Fb+c&reference_id=r%2F1%3Fx%3D%C3%BC")

    assert found.json["id"] == run_id
    missing = await world.get("/v1/runs/by-reference?workflow=other&reference_id=r")
    assert (missing.status, missing.json["code"]) == (404, "run_not_found")


async def test_the_journal_of_a_run_is_read_in_pages(world: World) -> None:
    run_id = await world.start()

    assert (await world.get(f"/v1/runs/{run_id}/journal?after_seq=0")).json["run_id"] == run_id
    assert (await world.get(f"/v1/runs/{UNKNOWN_RUN}/journal")).json["code"] == "run_not_found"


async def test_a_result_is_waited_for_as_long_as_asked(world: World) -> None:
    run_id = await world.start()
    waiting = asyncio.create_task(world.get(f"/v1/runs/{run_id}/result?wait=30"))
    await world.until_open(1)

    await world.post(f"/v1/runs/{run_id}/terminate", {"reason": "enough"})

    ended = await waiting
    assert (ended.status, ended.json["status"], ended.json["error"]["message"]) == (200, "cancelled", "enough")


async def test_a_result_that_is_not_there_yet_tells_where_the_run_stands(world: World) -> None:
    run_id = await world.start()

    answer = await world.get(f"/v1/runs/{run_id}/result")

    assert (answer.status, answer.json) == (202, {"run_id": run_id, "status": "queued"})


async def test_results_one_after_another_use_one_subscription(world: World) -> None:
    ended = [await world.start() for _ in range(3)]
    for run_id in ended:
        await world.post(f"/v1/runs/{run_id}/terminate")

    found = [(await world.get(f"/v1/runs/{run_id}/result?wait=30")).json["run_id"] for run_id in [*ended, *ended]]

    assert found == [*ended, *ended]
    assert len(world.server.waiting._subscriptions) == 1


async def test_many_runs_are_waited_for_in_one_request(world: World) -> None:
    runs = [await world.start() for _ in range(3)]
    request = {"namespace": "default", "subscription": SESSION, "number": 1, "add": runs}
    waiting = asyncio.create_task(world.post("/v1/runs/wait", request))
    await world.until_open(1)

    await world.post(f"/v1/runs/{runs[1]}/terminate")

    assert [finished["run_id"] for finished in (await waiting).json["finished"]] == [runs[1]]


@pytest.mark.parametrize(
    ("verb", "status", "changed"),
    [
        ("cancel", "cancelled", True),
        ("terminate", "cancelled", True),
        ("pause", "paused", True),
        ("resume", "queued", False),
        ("retry", "queued", False),
        ("wake", "queued", False),
        ("requeue", "queued", False),
    ],
)
async def test_something_is_asked_of_a_run(world: World, verb: str, status: str, *, changed: bool) -> None:
    run_id = await world.start()

    answer = await world.post(f"/v1/runs/{run_id}/{verb}", {"reason": "because", "message_id": MESSAGE})

    assert (answer.status, answer.json["status"], answer.json.get("changed", False)) == (200, status, changed)


async def test_a_request_needs_no_body(world: World) -> None:
    run_id = await world.start(options={"delay_ms": 86_400_000})

    assert (await world.post(f"/v1/runs/{run_id}/wake")).json["status"] == "queued"


async def test_an_event_is_the_body_of_its_request_and_a_reference_makes_it_one(world: World) -> None:
    run_id = await world.start()

    for minutes in (35, 40):
        sent = await world.post(f"/v1/runs/{run_id}/events/restaurant/accepted?reference_id=r", {"minutes": minutes})
        assert (sent.status, sent.json["run_id"]) == (200, run_id)

    async with world.open_transport() as transport:
        (mail,) = (await _claimed(transport)).mail
    assert (mail.name, bytes(mail.payload)) == ("restaurant/accepted", b'{"minutes":35}')


async def test_an_event_that_carries_nothing_has_no_body(world: World) -> None:
    assert (await world.post(f"/v1/runs/{await world.start()}/events/go")).status == 200


async def test_an_ended_run_takes_no_events(world: World) -> None:
    run_id = await world.start()
    await world.post(f"/v1/runs/{run_id}/terminate")

    refused = await world.post(f"/v1/runs/{run_id}/events/go")

    assert (refused.status, refused.json["code"]) == (409, "run_ended")


async def test_many_events_and_requests_have_an_answer_each(world: World) -> None:
    run_id = await world.start()
    asked = {"namespace": "default", "run_id": run_id, "message_id": MESSAGE}

    events = await world.post("/v1/events", [asked | {"name": "go", "payload": 1}, asked | {"name": "", "payload": 1}])
    controls = await world.post(
        "/v1/controls", [asked | {"verb": "wake"}, asked | {"verb": "cancel", "run_id": UNKNOWN_RUN}]
    )

    assert [answer.get("problem", {}).get("code") for answer in events.json] == [None, "invalid_input"]
    assert [answer.get("problem", {}).get("code") for answer in controls.json] == [None, "run_not_found"]


async def test_a_worker_announces_itself_polls_commits_and_says_goodbye(world: World) -> None:
    run_id = await world.start(input={"a": 1})
    announced = await world.post(
        "/v1/worker/announce",
        Announce(SESSION, "default", "w", (VersionInfo("order", "1.0.0"),), pools=("",), capacity=1),
    )
    queues = (Queue("default", "order", "1.0.0", ""),)
    polled = await world.post("/v1/worker/poll", PollRequest(SESSION, 1, queues, capacity=1))
    (claim,) = polled.json["assignments"]
    page = await world.get(f"/v1/worker/journal?session_id={SESSION}&run_id={run_id}&epoch={claim['epoch']}")
    commit = Commit(run_id, claim["epoch"], 1, Outcome.COMPLETED, claim["clock_ms"], output=msgspec.Raw(b'"done"'))
    committed = await world.post("/v1/worker/commit", [commit])
    handed_back = await world.post("/v1/worker/hand-back", {"session_id": SESSION, "runs": []})
    goodbye = await world.post("/v1/worker/goodbye", {"session_id": SESSION})

    assert announced.json["lease_ms"] == world.server.config.lease_ms
    assert (claim["run_id"], claim["input"]) == (run_id, {"a": 1})
    assert page.json["input"] == {"a": 1}
    assert (committed.json[0]["verdict"], committed.json[0]["status"]) == ("applied", "completed")
    assert (handed_back.status, goodbye.status, goodbye.body) == (204, 204, b"")
    assert (await world.get(f"/v1/runs/{run_id}/result")).json["output"] == "done"


@pytest.mark.parametrize("name", ["plain", "a/b", "ü?x=1#y", "..", "%2F", "with space"])
async def test_a_published_value_is_read_whatever_its_name(world: World, name: str) -> None:
    run_id = await world.start()
    async with world.open_transport() as transport:
        claim = await _claimed(transport)
        effect = Effect(1, "set", name, msgspec.Raw(b'{"done":3}'))
        await transport.commit([Commit(run_id, claim.epoch, 1, Outcome.RUNNING, claim.clock_ms, effects=(effect,))])

        value = await transport.value("default", run_id, name)

    assert bytes(value or b"") == b'{"done":3}'


async def test_a_value_that_was_not_published_is_not_found(world: World) -> None:
    run_id = await world.start()

    missing = await world.get(f"/v1/runs/{run_id}/values/progress")

    assert (missing.status, missing.json["code"]) == (404, "value_not_found")


async def test_an_unknown_address_and_an_unknown_method_are_problems_too(world: World) -> None:
    nowhere, wrong = await world.get("/v1/nowhere"), await world.ask("PUT", "/v1/runs")

    assert (nowhere.status, nowhere.json["code"]) == (404, "not_found")
    assert (wrong.status, wrong.json["code"], wrong.headers["Allow"]) == (405, "method_not_allowed", "POST, GET")


async def test_a_server_that_does_not_run_is_alive_and_not_ready(world: World) -> None:
    world.api.shut_down()

    ready = await world.get("/readyz")

    assert (await world.get("/healthz")).json == {"status": "ok"}
    assert (ready.status, ready.json["code"], ready.headers["Retry-After"]) == (503, "unavailable", "1")


async def test_the_document_describes_every_route(world: World) -> None:
    document: dict[str, Any] = (await world.get("/openapi.json")).json

    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert document["openapi"] == "3.1.0"
    assert described == {(route.method, route.path.replace(":path}", "}")) for route in ROUTES}
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))


async def test_every_reference_in_the_document_leads_to_a_schema(world: World) -> None:
    text = (await world.get("/openapi.json")).body.decode()
    components = msgspec.json.decode(text)["components"]

    named = {part.partition('"')[0] for part in text.split('"$ref":"#/components/')[1:]}
    assert {"schemas/RunInfo", "schemas/Commit", "responses/Problem"} <= named
    assert {name for name in named if name.partition("/")[2] not in components[name.partition("/")[0]]} == set()
    assert components["schemas"]["Status"]["enum"][:2] == ["scheduled", "queued"]
    assert components["schemas"]["Failure"]["properties"]["cause"]["anyOf"][0] == {
        "$ref": "#/components/schemas/Failure"
    }


async def test_the_document_says_which_requests_cannot_do_without_a_body(world: World) -> None:
    paths = (await world.get("/openapi.json")).json["paths"]

    posts = {path: operations["post"] for path, operations in paths.items() if "post" in operations}
    cannot = {path for path, post in posts.items() if post.get("requestBody", {}).get("required")}
    assert cannot >= {"/v1/runs", "/v1/worker/commit", "/v1/worker/poll"}
    assert cannot.isdisjoint({"/v1/runs/{run_id}/cancel", "/v1/runs/{run_id}/events/{name}"})


def test_every_problem_is_the_askers_or_says_that_it_is_ours() -> None:
    assert {code: kind.status for code, kind in PROBLEMS.items()} == {
        "body_too_large": 413,
        "fenced": 409,
        "forbidden": 403,
        "internal": 500,
        "invalid_input": 400,
        "method_not_allowed": 405,
        "name_taken": 409,
        "not_found": 404,
        "not_serializable": 400,
        "payload_too_large": 413,
        "reference_conflict": 409,
        "request_timeout": 408,
        "run_ended": 409,
        "run_not_found": 404,
        "job_not_found": 404,
        "schedule_conflict": 409,
        "schedule_not_found": 404,
        "timed_out": 408,
        "unauthorized": 401,
        "unavailable": 503,
        "value_not_found": 404,
    }


async def _claimed(transport: HttpTransport) -> Assignment:
    """Claim the one run of order 1.0.0 that waits."""
    versions = (VersionInfo("order", "1.0.0"),)
    await transport.announce(Announce(SESSION, "default", "w", versions, pools=("",), capacity=1))
    queues = (Queue("default", "order", "1.0.0", ""),)
    (claim,) = (await transport.poll(PollRequest(SESSION, 1, queues, capacity=1))).assignments
    return claim
