"""Schedules over HTTP: what a person with `curl` may ask, and what the client asks."""

from datetime import timedelta

import pytest

import aiki
from aiki import Run, ScheduleNotFound, workflow
from aiki.clock import Chance
from tests.http.world import World

DAILY = {"workflow": "report", "version": "1", "cron": "0 9 * * *", "timezone": "Europe/Berlin"}


@workflow("report").version("1")
async def report_v1(run: Run, kind: str) -> str:
    return kind


async def test_a_schedule_from_its_activation_to_its_end(world: World) -> None:
    activated = await world.ask("PUT", "/v1/schedules/daily", DAILY)
    assert (activated.status, activated.json["changed"]) == (200, True)
    assert "changed" not in (await world.ask("PUT", "/v1/schedules/daily", DAILY)).json

    found = (await world.get("/v1/schedules/daily")).json
    assert found["when"] == "At 09:00 every day, Europe/Berlin"
    assert len(found["next_ms"]) == 5
    assert [one["name"] for one in (await world.get("/v1/schedules")).json["schedules"]] == ["daily"]

    assert (await world.post("/v1/schedules/daily/pause")).json["status"] == "paused"
    assert "next_ms" not in (await world.get("/v1/schedules/daily")).json
    assert (await world.post("/v1/schedules/daily/resume")).json["status"] == "active"
    run_id = (await world.post("/v1/schedules/daily/trigger")).json["run_id"]
    listed = (await world.get("/v1/runs?schedule=daily")).json["runs"]
    assert [(run["id"], run["schedule"]) for run in listed] == [(run_id, "daily")]
    assert (await world.get("/v1/schedules/daily")).json["last"][0]["run_id"] == run_id

    assert (await world.post("/v1/schedules/daily/deactivate")).json["changed"]
    assert (await world.get("/v1/schedules/daily")).status == 404


async def test_a_trigger_with_its_own_run_id_can_be_repeated(world: World) -> None:
    await world.ask("PUT", "/v1/schedules/daily", DAILY)
    body = {"run_id": Chance(seed=3).uuid7(now_ms=0)}

    for _ in range(2):
        assert (await world.post("/v1/schedules/daily/trigger", body)).json["run_id"] == body["run_id"]
    assert len((await world.get("/v1/runs?schedule=daily")).json["runs"]) == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({**DAILY, "cron": "0 9 * *"}, 400, "invalid_input"),
        ({**DAILY, "timezone": "Mars"}, 400, "invalid_input"),
        ({**DAILY, "every_ms": 5_000}, 400, "invalid_input"),
        ({**DAILY, "options": {"delay_ms": 5}}, 400, "invalid_input"),
        ({**DAILY, "overlap": "sometimes"}, 400, "invalid_input"),
        ({**DAILY, "version": "2", "on_change": "error"}, 409, "schedule_conflict"),
    ],
)
async def test_what_cannot_be_activated_is_refused(
    world: World, body: dict[str, object], status: int, code: str
) -> None:
    await world.ask("PUT", "/v1/schedules/daily", DAILY)
    refused = await world.ask("PUT", "/v1/schedules/daily", body)

    assert (refused.status, refused.json["code"]) == (status, code)


@pytest.mark.parametrize(("verb", "status"), [("pause", 404), ("resume", 404), ("trigger", 404), ("deactivate", 200)])
async def test_asking_a_schedule_that_is_not_there(world: World, verb: str, status: int) -> None:
    assert (await world.post(f"/v1/schedules/none/{verb}")).status == status


async def test_the_client_speaks_of_schedules_over_http(world: World) -> None:
    async with world.client() as client:
        schedule = aiki.schedule("every quarter; of an hour", every=timedelta(minutes=15), overlap="skip")
        handle = await schedule.activate(client, report_v1, "sales")
        before = await handle.info()
        await schedule.activate(client, report_v1, kind="sales")
        assert await handle.info() == before
        assert (before.every, before.overlap, before.input) == (timedelta(minutes=15), "skip", {"kind": "sales"})

        assert (await handle.pause(), await handle.resume()) == (True, True)
        run = await handle.trigger()
        assert run is not None
        assert await handle.trigger() is None
        assert [found.id for found in (await client.runs.list(schedule=handle.name)).runs] == [run.id]
        for number in range(3):
            await aiki.schedule(f"more-{number}", every=60).activate(client, report_v1, "x")
        first = await client.schedules.list(limit=2)
        rest = await client.schedules.list(limit=2, cursor=first.next_cursor)
        assert [one.name for page in (first, rest) for one in page.schedules] == [
            handle.name,
            "more-0",
            "more-1",
            "more-2",
        ]
        assert rest.next_cursor is None

        assert (await handle.deactivate(), await handle.deactivate()) == (True, False)
        with pytest.raises(ScheduleNotFound):
            await client.schedules.get(handle.name)


async def test_code_that_does_not_await_has_schedules_too(world: World) -> None:
    import asyncio

    def program() -> None:
        with aiki.BlockingClient(world.url) as client:
            handle = aiki.schedule("hourly", cron="@hourly").activate(client, report_v1, "sales")
            assert handle.pause()
            assert client.schedules.get("hourly").status == "paused"
            run = handle.trigger()
            assert run is not None
            assert run.info().schedule == "hourly"
            assert [one.name for one in client.schedules.list().schedules] == ["hourly"]
            assert client.schedules.handle("hourly").deactivate()

    await asyncio.to_thread(program)
