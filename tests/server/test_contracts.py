"""What announced versions take, and how long a server knows."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from aiki.clock import Chance, ManualClock
from aiki.model.wire import Announce, VersionInfo
from aiki.server.server import Server
from tests.server.world import ServerWorld

AMOUNT = {"type": "object", "properties": {"amount": {"type": "integer"}}, "additionalProperties": False}


def order(schema: Any, **events: Any) -> VersionInfo:
    schemas = {name: Raw(msgspec.json.encode(event)) for name, event in events.items()}
    return VersionInfo("order", "1.0.0", Raw(msgspec.json.encode(schema)), events=schemas)


async def announce(world: ServerWorld, *versions: VersionInfo) -> None:
    await world.do(world.calls.announce(Announce(world.new_id(), "default", "played", versions, ("",), 1)))


async def test_input_that_does_not_fit_is_refused_with_its_place(world: ServerWorld) -> None:
    assert (await world.start(payload=b'{"amount":"x"}')).problem is None  # nobody has said what it takes
    await announce(world, order(AMOUNT))

    problem = (await world.start(payload=b'{"amount":"x"}')).problem

    assert problem is not None
    assert (problem.code, problem.facts["path"]) == ("invalid_input", "$.amount")
    assert (await world.start(payload=b'{"amount":20}')).problem is None


async def test_one_that_does_not_fit_spoils_none_of_its_neighbours(world: ServerWorld) -> None:
    await announce(world, order(AMOUNT))
    starts = [world.start_request(payload=payload) for payload in (b'{"amount":1}', b'{"amonut":1}', b"{}")]

    answers = await world.do(world.calls.start(starts))

    assert [answer.problem is None for answer in answers] == [True, False, True]


async def test_the_newest_announcement_counts(world: ServerWorld) -> None:
    await announce(world, order(AMOUNT))
    await announce(world, order({"type": "object"}))

    assert (await world.start(payload=b'{"amount":"x"}')).problem is None


async def test_events_are_known_by_name_and_shape(world: ServerWorld) -> None:
    await announce(world, order({}, paid={"type": "integer"}, nudge={}))
    run_id = await world.run()

    assert (await world.send(run_id, "paid", b"3")).problem is None
    unknown, wrong = await world.send(run_id, "payed"), await world.send(run_id, "paid", b'"3"')
    assert unknown.problem is not None
    assert wrong.problem is not None
    assert "knows no event 'payed'; it knows nudge, paid" in unknown.problem.message
    assert "it is a string, and must be an integer" in wrong.problem.message


async def test_a_worker_that_tells_no_schemas_refuses_nothing(world: ServerWorld) -> None:
    await announce(world, VersionInfo("order", "1.0.0"))

    assert (await world.send(await world.run(payload=b'{"any":1}'), "whatever")).problem is None


@pytest.mark.parametrize("name", ["paid", "payed"])
async def test_what_was_announced_is_known_after_a_restart(tmp_path: Path, clock: ManualClock, name: str) -> None:
    async def serve(chance: Chance) -> Server:
        return Server(tmp_path / "aiki.db", clock=clock, chance=chance, inline=True, is_stepped=True)

    async with await serve(Chance(seed=1)) as server:
        world = ServerWorld(server, clock)
        await announce(world, order(AMOUNT, paid={"type": "integer"}))
        run_id = await world.run(payload=b'{"amount":20}')

    async with await serve(Chance(seed=3)) as server:
        world = ServerWorld(server, clock)
        world.chance = Chance(seed=4)
        assert (await world.start(payload=b'{"amount":"x"}')).problem is not None
        assert ((await world.send(run_id, name)).problem is None) is (name == "paid")
