"""Events for many runs, and one event for one run sent more than once."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from aiki.errors import InvalidInput
from aiki.model.ids import event_id
from aiki.model.lifecycle import Status
from aiki.model.many import Multicast, MulticastAnswer
from aiki.model.views import RunFilter
from aiki.model.wire import Announce, Outcome, SendEvent, Standing, VersionInfo
from tests.server.world import ServerWorld, event, turn


async def cast(world: ServerWorld, **meant: Any) -> MulticastAnswer:
    meant.setdefault("id", world.new_id())
    request = Multicast(namespace="default", name="paid", payload=Raw(b"1"), **meant)
    return await world.do(world.server.service.many.multicast(request))


def outcomes(answer: MulticastAnswer) -> list[tuple[str | None, str]]:
    return [(outcome.reference_id or outcome.run_id, str(outcome.outcome)) for outcome in answer.outcomes]


async def unread(world: ServerWorld, run_id: str) -> list[str]:
    page = await world.do(world.server.service.overview.inbox("default", run_id, unread=True))
    return [message.name for message in page.messages]


async def test_by_ids_each_run_has_its_outcome_in_order(world: ServerWorld) -> None:
    first, ended, unknown, other = await world.run(), await world.run(), world.new_id(), await world.run()
    await world.control(ended, "terminate")

    answer = await cast(world, run_ids=(other, ended, unknown, first, "none"))

    assert outcomes(answer) == [
        (other, "delivered"),
        (ended, "run_ended"),
        (unknown, "run_not_found"),
        (first, "delivered"),
        ("none", "refused"),
    ]
    assert answer.outcomes[1].problem is not None
    assert "takes no more events" in answer.outcomes[1].problem.message
    assert await unread(world, first) == ["paid"]


async def test_by_reference_ids_those_that_name_no_run_are_told(world: ServerWorld) -> None:
    run_id = await world.run(reference_id="a")
    await world.run(reference_id="b", workflow="other")

    answer = await cast(world, workflow="order", reference_ids=("b", "a", "a"))

    assert outcomes(answer) == [("b", "run_not_found"), ("a", "delivered")]
    assert answer.outcomes[1].run_id == run_id


async def test_by_a_filter_open_runs_are_meant_page_by_page(world: ServerWorld) -> None:
    runs = []
    for number in range(5):
        world.clock.advance(milliseconds=1)
        runs.append(await world.run(tags={"shop": "a"} if number else {}))
    await world.control(runs[4], "terminate")

    first = await cast(world, filter=RunFilter(tags={"shop": "a"}, limit=2))
    rest = await cast(world, filter=RunFilter(tags={"shop": "a"}, limit=2, cursor=first.next_cursor))
    ended = await cast(world, filter=RunFilter(status=(Status.CANCELLED,)))

    assert outcomes(first) + outcomes(rest) == [(run_id, "delivered") for run_id in (runs[3], runs[2], runs[1])]
    assert rest.next_cursor is None
    assert outcomes(ended) == [(runs[4], "run_ended")]


async def test_a_multicast_that_is_repeated_is_one(world: ServerWorld) -> None:
    run_id, same = await world.run(), world.new_id()

    first = await cast(world, id=same, run_ids=(run_id,))
    again = await cast(world, id=same, run_ids=(run_id,))

    assert outcomes(first) == outcomes(again) == [(run_id, "delivered")]
    assert await unread(world, run_id) == ["paid"]
    await cast(world, run_ids=(run_id,))
    assert await unread(world, run_id) == ["paid", "paid"]


async def test_a_run_that_was_sent_an_event_of_the_reference_id_ignores_the_multicast(world: ServerWorld) -> None:
    run_id = await world.run()
    message_id = event_id(run_id, "paid", "r-1")
    await world.do(world.calls.send([SendEvent("default", run_id, message_id, "paid", Raw(b"1"))]))

    assert outcomes(await cast(world, run_ids=(run_id,), reference_id="r-1")) == [(run_id, "duplicate")]
    assert outcomes(await cast(world, run_ids=(run_id,), reference_id="r-2")) == [(run_id, "delivered")]
    assert await unread(world, run_id) == ["paid", "paid"]


async def test_a_run_whose_version_knows_no_such_event_refuses_it_alone(world: ServerWorld) -> None:
    known, unknown = await world.run(), await world.run(workflow="ride")
    versions = tuple(
        VersionInfo(workflow, "1.0.0", Raw(b"{}"), events={name: Raw(b'{"type":"integer"}')})
        for workflow, name in (("order", "paid"), ("ride", "arrived"))
    )
    await world.do(world.calls.announce(Announce(world.new_id(), "default", "w", versions, ("",), 1)))

    answer = await cast(world, run_ids=(known, unknown))

    assert outcomes(answer) == [(known, "delivered"), (unknown, "refused")]
    assert answer.outcomes[1].problem is not None
    assert answer.outcomes[1].problem.message == "ride 1.0.0 knows no event 'paid'; it knows arrived"


@pytest.mark.parametrize(
    "meant",
    [
        {},
        {"run_ids": ("a",), "reference_ids": ("b",)},
        {"run_ids": ("a",), "filter": RunFilter()},
        {"reference_ids": ("a",)},
        {"reference_ids": ("",), "workflow": "order"},
        {"run_ids": ("a",) * 1_001},
        {"filter": RunFilter(limit=501)},
        {"filter": RunFilter(search="")},
        {"run_ids": ("a",), "id": "none"},
        {"run_ids": ("a",), "reference_id": "\0"},
    ],
)
async def test_who_is_meant_is_said_in_one_way_and_within_bounds(world: ServerWorld, meant: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        await cast(world, **meant)


async def test_two_sends_with_one_reference_id_are_one_event(world: ServerWorld) -> None:
    """In one transaction, in two, and after the first was taken by the code."""
    worker = await world.worker()
    run_id = await world.run()
    sent = SendEvent("default", run_id, event_id(run_id, "paid", "r"), "paid", Raw(b"1"))
    other = replace(sent, payload=Raw(b"2"))

    both = await world.do(_together(world.calls.send([sent]), world.calls.send([other])))
    (third,) = await world.do(world.calls.send([other]))
    assert [(standing.problem, standing.repeated) for (standing,) in both] == [(None, False), (None, True)]
    assert (third.problem, third.repeated) == (None, True)
    assignment = await worker.claim()
    assert [(mail.name, mail.payload) for mail in assignment.mail] == [("paid", Raw(b"1"))]

    await worker.suspend(assignment, event("other"), read=(1,))
    (late,) = await world.do(world.calls.send([other]))

    assert (late.problem, late.repeated, late.status) == (None, True, Status.AWAITING_EVENT)
    assert await unread(world, run_id) == []


async def test_a_second_send_to_a_run_that_has_ended_meanwhile_is_answered_as_the_first(world: ServerWorld) -> None:
    worker = await world.worker()
    run_id = await world.run()
    sent = SendEvent("default", run_id, event_id(run_id, "paid", "r"), "paid", Raw(b"1"))
    await world.do(world.calls.send([sent]))
    assignment = await worker.claim()
    await worker.commit(turn(assignment, Outcome.COMPLETED, output=Raw(b"7")))

    (again,) = await world.do(world.calls.send([sent]))
    (new,) = await world.do(world.calls.send([replace(sent, message_id=world.new_id())]))

    assert (again.problem, again.repeated) == (None, True)
    assert new.problem is not None
    assert new.problem.code == "run_ended"


async def _together(*asked: Coroutine[Any, Any, list[Standing]]) -> list[list[Standing]]:
    return list(await asyncio.gather(*asked))
