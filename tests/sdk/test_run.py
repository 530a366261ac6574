"""A run in the hand of its code: what each of its calls asks of the host, and what the code gets."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import Raw

from aiki.errors import InvalidInput, NotSerializable, TimedOut
from aiki.sdk.control import ContinueAsNew
from aiki.sdk.events import Event, Events
from aiki.sdk.host import EventAnswer
from aiki.sdk.run import Run, SleepResult
from aiki.sdk.signature import CallShape
from tests.sdk.scripted import RUN_ID, ScriptedHost


class OrderEvents(Events):
    restaurant_accepted: Event[int]
    noted: Event[None]


async def _code(run: Run, amount: int, note: str = "") -> None: ...


def run_on(host: ScriptedHost) -> Run[OrderEvents]:
    return Run(host, shape=CallShape(_code, skip_first=True), events=OrderEvents)


def test_a_run_tells_what_it_is() -> None:
    run = run_on(ScriptedHost())

    assert (run.id, run.workflow, run.version, run.attempt) == (RUN_ID, "order", "1.0.0", 2)
    assert (run.reference_id, run.parent_id, run.tags, run.context) == (
        "order-1",
        None,
        {"team": "sales"},
        "the context",
    )
    assert run.now() == datetime(2030, 1, 1, tzinfo=UTC)


def test_what_code_does_to_its_tags_stays_with_it() -> None:
    run = run_on(ScriptedHost())
    run.tags["team"] = "other"

    assert run.tags == {"team": "sales"}


async def test_a_sleep_takes_seconds_a_timedelta_or_units() -> None:
    host = ScriptedHost(False, True, False)
    run = run_on(host)

    assert await run.sleep("a", 1.5) == SleepResult(woken=False)
    assert (await run.sleep("b", timedelta(minutes=2))).woken
    await run.sleep("c", days=1, milliseconds=5)

    assert host.asked == [("sleep", "a", 1_500), ("sleep", "b", 120_000), ("sleep", "c", 86_400_005)]


def test_a_sleep_without_a_duration_is_refused() -> None:
    sleep: Any = run_on(ScriptedHost()).sleep
    for wrong in ({}, {"day": 1}):
        with pytest.raises(TypeError, match=r"days=1|the units are"):
            sleep("x", **wrong)
    with pytest.raises(TypeError):
        sleep("x", 5, days=1)
    with pytest.raises(ValueError, match="'x'"):
        sleep("x", -1)
    with pytest.raises(InvalidInput):
        sleep("", 1)


async def test_an_event_is_waited_for_by_its_name_on_the_wire_and_decoded() -> None:
    host = ScriptedHost(EventAnswer(timed_out=False, payload=Raw(b"35")))

    result = await run_on(host).events.restaurant_accepted.wait(timeout=timedelta(minutes=5))

    assert host.asked == [("event", "restaurant-accepted", 300_000)]
    assert result
    assert result.data == 35


async def test_a_wait_that_timed_out_is_false_and_has_no_data() -> None:
    host = ScriptedHost(EventAnswer(timed_out=True, payload=Raw()))

    result = await run_on(host).events.restaurant_accepted.wait(timeout=0)

    assert not result
    assert result.timed_out
    with pytest.raises(TimedOut, match="restaurant-accepted"):
        _ = result.data


async def test_an_event_that_does_not_fit_is_refused_at_the_wait() -> None:
    host = ScriptedHost(EventAnswer(timed_out=False, payload=Raw(b'"soon"')))

    with pytest.raises(InvalidInput):
        await run_on(host).events.restaurant_accepted.wait()


async def test_an_event_that_carries_nothing_gives_none() -> None:
    host = ScriptedHost(EventAnswer(timed_out=False, payload=Raw()))

    assert (await run_on(host).events.noted.wait()).data is None


def test_a_run_does_not_send_its_own_events() -> None:
    with pytest.raises(TypeError, match=r"await run\.events\.noted\.wait\(\)"):
        _ = run_on(ScriptedHost()).events.noted.send(None)


def test_a_published_value_is_encoded() -> None:
    host = ScriptedHost()
    run_on(host).set("progress", {"percent": 50})

    assert host.asked == [("set", "progress", b'{"percent":50}')]
    with pytest.raises(NotSerializable):
        run_on(host).set("progress", float("nan"))


async def test_going_on_as_new_unwinds_with_the_new_input() -> None:
    with pytest.raises(ContinueAsNew) as unwound:
        await run_on(ScriptedHost()).continue_as_new(5, note="again")

    assert unwound.value.payload == b'{"amount":5,"note":"again"}'
    assert not isinstance(unwound.value, Exception)


async def test_going_on_as_new_with_arguments_that_do_not_fit_is_refused() -> None:
    with pytest.raises(TypeError, match="amount"):
        await run_on(ScriptedHost()).continue_as_new(note="again")
