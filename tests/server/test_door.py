"""What is refused before it reaches the pipeline, and how it is said."""

from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from aiki.errors import InvalidInput
from aiki.model.retry import Retry
from aiki.model.views import RunFilter
from aiki.model.wire import RunOptions
from tests.server.world import ServerWorld


@pytest.mark.parametrize(
    ("broken", "code", "names"),
    [
        ({"run_id": "nonsense"}, "invalid_input", "run_id"),
        ({"workflow": ""}, "invalid_input", "a workflow's name"),
        ({"workflow": "x" * 201}, "invalid_input", "201 characters"),
        ({"version": "1\0"}, "invalid_input", "a version"),
        ({"namespace": ""}, "invalid_input", "namespace"),
        ({"input": Raw(b"{")}, "invalid_input", "the input of order"),
        ({"input": Raw(b'{"a":"\\u0000"}')}, "invalid_input", "$.a"),
        ({"input": Raw(b"[" * 70 + b"]" * 70)}, "invalid_input", "nested deeper"),
        ({"input": Raw(b'"' + b"x" * (3 * 1024 * 1024) + b'"')}, "payload_too_large", "the limit is 2,097,152"),
        ({"options": RunOptions(reference_id="")}, "invalid_input", "reference_id"),
        ({"options": RunOptions(priority=2**40)}, "invalid_input", "priority"),
        ({"options": RunOptions(priority=1_001)}, "invalid_input", "priority"),
        ({"options": RunOptions(retry=Retry("fixed", attempts_max=10**30))}, "invalid_input", "max_attempts"),
        ({"options": RunOptions(retry=Retry("fixed", attempts_max=-1))}, "invalid_input", "max_attempts"),
        ({"options": RunOptions(retry=Retry("fixed", 2, base_delay_ms=-1))}, "invalid_input", "delay"),
        ({"options": RunOptions(retry=Retry("exponential", 2, 1, factor=1e300))}, "invalid_input", "factor"),
        ({"options": RunOptions(retry=Retry("jittered", 2, 1, jitter=2.0))}, "invalid_input", "jitter"),
        ({"options": RunOptions(retry=Retry("fixed", 2, 1, delay_ms_max=-1))}, "invalid_input", "max_delay"),
        ({"options": RunOptions(delay_ms=-1)}, "invalid_input", "delay"),
        ({"options": RunOptions(start_at_ms=2**62)}, "invalid_input", "start_at"),
        ({"options": RunOptions(tags={"": "x"})}, "invalid_input", "a tag's name"),
        ({"options": RunOptions(tags={str(n): "x" for n in range(51)})}, "invalid_input", "tags"),
    ],
)
async def test_a_start_that_cannot_be_taken_is_refused_alone(
    world: ServerWorld, broken: dict[str, Any], code: str, names: str
) -> None:
    good, bad = world.start_request(), replace(world.start_request(), **broken)

    refused, answered = await world.do(world.calls.start([bad, good]))

    assert refused.problem is not None
    assert (refused.run_id, refused.problem.code) == (bad.run_id, code)
    assert names in refused.problem.message
    assert answered.problem is None
    assert sum((await world.server.store.count(RunFilter())).values()) == 1


async def test_a_request_of_too_many_items_is_refused_whole(world: ServerWorld) -> None:
    with pytest.raises(InvalidInput, match="the limit is 1,000"):
        await world.do(world.calls.start([world.start_request() for _ in range(1_001)]))


async def test_an_event_that_cannot_be_taken_is_refused(world: ServerWorld) -> None:
    run_id = await world.run()

    standing = await world.send(run_id, "paid", b"NaN")

    assert standing.problem is not None
    assert "the event paid" in standing.problem.message


async def test_a_request_about_a_run_that_is_not_there_says_so(world: ServerWorld) -> None:
    standing = await world.control(world.new_id(), "cancel")

    assert standing.problem is not None
    assert standing.problem.code == "run_not_found"
