"""Workflows, versions and children: definitions, and what they ask of a host."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from aiki.errors import InvalidInput, ReferenceConflict, RunCancelled, RunFailed, TimedOut
from aiki.model.journal import Failure
from aiki.model.lifecycle import Status
from aiki.model.retry import Retry
from aiki.model.run import ParentClose, RunEnd
from aiki.sdk.events import Event, Events
from aiki.sdk.host import ChildFacts
from aiki.sdk.run import Run
from aiki.sdk.workflow import workflow
from tests.sdk.scripted import ScriptedHost

CHILD_ID = "0190b7a4-0000-7000-8000-00000000000c"


class CourierEvents(Events):
    order_ready: Event[int]


delivery = workflow("courier-delivery")


@delivery.version("1.0.0", events=CourierEvents, retry=Retry.fixed(3, 1), timeout=timedelta(hours=1), priority=5)
async def delivery_v1(run: Run[CourierEvents], order_id: str, amount: int = 10) -> dict[int, str]:
    """Deliver."""
    return {amount: f"{order_id} by {run.id}"}


@delivery.version("2.0.0")
async def delivery_v2(run: Run) -> None: ...


def parent(host: ScriptedHost) -> Run:
    return delivery_v2.run_on(host)


def test_a_version_knows_what_its_runs_need() -> None:
    assert (delivery_v1.workflow, delivery_v1.version) == ("courier-delivery", "1.0.0")
    options = delivery_v1.run_options
    assert (options.retry.attempts_max, options.timeout_ms, options.priority) == (3, 3_600_000, 5)
    assert delivery_v1.where.startswith("tests/sdk/test_workflow.py:")
    assert delivery_v1.__doc__ == "Deliver."


async def test_its_code_is_called_with_the_run_and_the_decoded_input() -> None:
    run = delivery_v1.run_on(ScriptedHost())

    assert await delivery_v1.call(run, b'{"amount":5,"order_id":"o-1"}') == {5: f"o-1 by {run.id}"}
    with pytest.raises(InvalidInput):
        delivery_v1.call(run, b'{"amount":"5","order_id":"o-1"}').close()


def test_it_is_announced_with_the_schemas_of_its_hints() -> None:
    announced = delivery_v1.announced()

    assert (announced.workflow, announced.version) == ("courier-delivery", "1.0.0")
    assert msgspec.json.decode(announced.input_schema)["required"] == ["order_id"]
    assert msgspec.json.decode(announced.output_schema)["type"] == "object"
    assert list(announced.events) == ["order-ready"]


def test_a_hint_that_cannot_be_carried_is_told_at_the_announcement() -> None:
    @delivery.version("3.0.0")
    async def broken_v3(run: Run, lock: "NoSuchName") -> None: ...  # type: ignore[name-defined]  # noqa: F821 - that is the point

    with pytest.raises(TypeError, match="lock"):
        broken_v3.announced()


def test_what_cannot_be_a_version_is_refused() -> None:
    version: Any = delivery.version

    with pytest.raises(TypeError, match="async def"):
        version("9")(lambda run: None)

    async def without_run() -> None: ...

    with pytest.raises(TypeError, match="takes no parameter for the run"):
        version("9")(without_run)
    with pytest.raises(TypeError, match=r"aiki\.Events"):
        version("9", events=int)
    with pytest.raises(TypeError, match="reference_id"):
        version("9", reference_id="x")
    with pytest.raises(InvalidInput):
        workflow("")


def test_options_give_a_copy_and_leave_the_original() -> None:
    changed = delivery_v1.options(
        reference_id="r-1",
        conflict="return_existing",
        start_at=datetime(2030, 1, 1, tzinfo=UTC),
        pool="gpu",
        priority=-3,
        retry=Retry.never(),
        timeout=None,
        tags={"team": "sales"},
        parent_close="cancel",
    )
    options = changed.run_options

    assert (options.reference_id, options.conflict, options.start_at_ms) == ("r-1", "return_existing", 1893456000000)
    assert (options.pool, options.priority, options.timeout_ms) == ("gpu", -3, None)
    assert (options.tags, options.parent_close) == ({"team": "sales"}, ParentClose.CANCEL)
    assert delivery_v1.run_options.reference_id is None
    assert changed.options(delay=5).run_options.start_at_ms is None
    assert changed.options(delay=5).run_options.reference_id == "r-1"


@pytest.mark.parametrize(
    ("option", "error"),
    [
        ({"start_at": datetime(2030, 1, 1)}, ValueError),  # noqa: DTZ001 - it is to be refused
        ({"start_at": 5}, TypeError),
        ({"start_at": datetime(2030, 1, 1, tzinfo=UTC), "delay": 5}, ValueError),
        ({"delay": -1}, ValueError),
        ({"priority": 1_001}, ValueError),
        ({"priority": "high"}, TypeError),
        ({"retry": 3}, TypeError),
        ({"timeout": "30"}, TypeError),
        ({"conflict": "ignore"}, ValueError),
        ({"parent_close": "wait"}, ValueError),
        ({"reference_id": ""}, InvalidInput),
        ({"tags": {"a": 1}}, InvalidInput),
        ({"tags": {str(number): "x" for number in range(51)}}, ValueError),
        ({"colour": "red"}, TypeError),
    ],
    ids=str,
)
def test_an_option_out_of_bounds_is_refused_where_it_is_written(option: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        delivery_v1.options(**option)


def test_options_of_one_single_run_are_told_from_the_others() -> None:
    assert not delivery_v1.is_of_one_run
    assert not delivery_v1.options(priority=1, tags={"a": "b"}, pool="gpu").is_of_one_run
    assert delivery_v1.options(reference_id="r-1").is_of_one_run
    assert delivery_v1.options(delay=1).is_of_one_run


# ------------------------------------------------------------------------------------------------------------ children


async def test_a_child_is_addressed_by_workflow_version_and_arguments() -> None:
    host = ScriptedHost(*[ChildFacts(CHILD_ID, "1.0.0")] * 3)
    run = parent(host)
    child = await delivery_v1.start_as_child(run, "o-1")
    await delivery_v1.start_as_child(run, order_id="o-1", amount=5)
    await delivery_v1.options(reference_id="r-1").start_as_child(run, "o-1")

    one, other, by_reference = (call for _, call in host.asked)
    assert (child.id, child.version) == (CHILD_ID, "1.0.0")
    assert (one.workflow, one.version, one.payload) == ("courier-delivery", "1.0.0", b'{"order_id":"o-1"}')
    assert one.address.startswith("courier-delivery 1.0.0 ")
    assert one.address != other.address
    assert by_reference.address == "courier-delivery 1.0.0 reference r-1"
    assert one.input_hash == by_reference.input_hash != other.input_hash
    assert one.where.startswith("tests/sdk/test_workflow.py:")


async def test_a_refused_child_raises_where_it_is_started() -> None:
    host = ScriptedHost(ReferenceConflict("taken", reference_id="r-1", run_id=CHILD_ID))

    with pytest.raises(ReferenceConflict):
        await delivery_v1.start_as_child(parent(host), "o-1")


async def test_a_childs_result_is_decoded() -> None:
    host = ScriptedHost(ChildFacts(CHILD_ID, "1.0.0"), RunEnd(Status.COMPLETED, output=Raw(b'{"5":"done"}')))
    child = await delivery_v1.start_as_child(parent(host), "o-1")

    assert await child.result(timeout=timedelta(minutes=1)) == {5: "done"}
    assert host.asked[-1] == ("child_result", CHILD_ID, 60_000)


async def test_a_child_that_did_not_complete_raises_how_it_ended() -> None:
    failure = Failure(type="shop.Declined", message="no funds")
    host = ScriptedHost(
        ChildFacts(CHILD_ID, "1.0.0"), RunEnd(Status.FAILED, error=failure), RunEnd(Status.CANCELLED), None
    )
    child = await delivery_v1.start_as_child(parent(host), "o-1")

    with pytest.raises(RunFailed, match="no funds"):
        await child.result()
    with pytest.raises(RunCancelled):
        await child.result()
    with pytest.raises(TimedOut, match="within 5 s"):
        await child.result(timeout=5)


async def test_waiting_for_a_status_never_raises_for_how_it_ended() -> None:
    failure = Failure(type="shop.Declined", message="no funds")
    host = ScriptedHost(
        ChildFacts(CHILD_ID, "1.0.0"),
        RunEnd(Status.COMPLETED, output=Raw(b"{}")),
        RunEnd(Status.FAILED, error=failure),
        RunEnd(Status.CANCELLED),
        None,
    )
    child = await delivery_v1.start_as_child(parent(host), "o-1")
    completed, failed, cancelled, late = [await child.wait_for_status("completed", timeout=5) for _ in range(4)]

    assert (bool(completed), completed.status, completed.output, completed.error) == (True, "completed", {}, None)
    assert (bool(failed), failed.status, failed.timed_out) == (False, "failed", False)
    assert isinstance(failed.error, RunFailed)
    assert (bool(cancelled), cancelled.status) == (False, "cancelled")
    assert (bool(late), late.timed_out, late.status) == (False, True, None)


def test_a_status_that_no_run_ends_in_is_refused() -> None:
    host = ScriptedHost()
    child: Any = _child(host)

    with pytest.raises(ValueError, match="running"):
        child.wait_for_status("running")


async def test_a_child_is_spoken_to_through_the_host() -> None:
    host = ScriptedHost()
    child = _child(host)
    await child.events.order_ready.send(5)
    await child.cancel("too late")

    await child.events.order_ready.send(6, reference_id="once")

    assert host.asked == [
        ("send", CHILD_ID, "order-ready", b"5", None),
        ("cancel", CHILD_ID, "too late"),
        ("send", CHILD_ID, "order-ready", b"6", "once"),
    ]
    with pytest.raises(TypeError, match=r"await child\.events\.order_ready\.send"):
        _ = child.events.order_ready.wait()


def _child(host: ScriptedHost) -> Any:
    coroutine = delivery_v1.start_as_child(parent(host), "o-1")
    host.answers.append(ChildFacts(CHILD_ID, "1.0.0"))
    try:
        coroutine.send(None)
    except StopIteration as done:
        host.asked.clear()
        return done.value
    raise AssertionError("the scripted host answers at once")
