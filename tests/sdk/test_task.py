"""Tasks: what `@task` makes of a function, and what starting one asks of the host."""

import asyncio
from datetime import timedelta
from typing import Any, TypedDict

import pytest

from aiki.errors import DirectTaskCall, InvalidInput, NotSerializable
from aiki.model.retry import Retry
from aiki.sdk.current import TaskContext, enter_run, enter_task
from aiki.sdk.events import Events
from aiki.sdk.run import Run
from aiki.sdk.signature import CallShape
from aiki.sdk.task import AsyncTask, SyncTask, task
from tests.sdk.scripted import ScriptedHost


async def _code(run: Run, amount: int) -> None: ...


def run_on(host: ScriptedHost) -> Run:
    return Run(host, shape=CallShape(_code, skip_first=True), events=Events)


@task
async def charge_card(order_id: str, *, amount: int = 10) -> dict[int, str]:
    return {amount: order_id}


@task(name="count", retry=Retry.fixed(3, 1.0), timeout=timedelta(seconds=2), retry_on=OSError, dont_retry_on=[KeyError])
def count_words(text: str) -> int:
    """Count."""
    return len(text.split())


def test_a_task_is_named_after_its_function_with_hyphens() -> None:
    assert (charge_card.name, count_words.name) == ("charge-card", "count")


def test_a_task_knows_what_its_execution_needs() -> None:
    assert isinstance(charge_card, AsyncTask)
    assert isinstance(count_words, SyncTask)
    assert (charge_card.is_async, count_words.is_async) == (True, False)
    assert (charge_card.retry, charge_card.timeout_ms) == (Retry.never(), None)
    assert (count_words.retry.attempts_max, count_words.timeout_ms) == (3, 2_000)
    assert (count_words.retry_on, count_words.dont_retry_on) == ((OSError,), (KeyError,))
    assert count_words.where.startswith("tests/sdk/test_task.py:")
    assert count_words.__doc__ == "Count."


async def test_started_outside_of_a_host_nothing_runs_and_the_result_is_decoded() -> None:
    host = ScriptedHost(b'{"12":"o-1"}')

    assert await charge_card.start(run_on(host), "o-1", amount=12) == {12: "o-1"}

    ((kind, call),) = host.asked
    assert kind == "task"
    assert call.task is charge_card
    assert call.payload == b'{"amount":12,"order_id":"o-1"}'
    assert call.label == 'charge-card(amount=12, order_id="o-1")'
    assert call.where.startswith("tests/sdk/test_task.py:")


def test_the_hosts_own_coroutine_is_handed_on() -> None:
    class Host(ScriptedHost):
        def call_task(self, call: Any) -> Any:
            return sentinel

    sentinel = object()

    assert charge_card.start(run_on(Host()), "o-1") is sentinel


def test_equal_arguments_have_one_address_however_they_are_passed() -> None:
    host = ScriptedHost()
    for start in (charge_card.start(run_on(host), "o-1"), charge_card.start(run_on(host), order_id="o-1")):
        start.close()
    charge_card.start(run_on(host), "o-2").close()

    one, same, other = (call.address for _, call in host.asked)
    assert one == same != other
    assert one.startswith("charge-card ")


def test_an_argument_that_cannot_be_stored_fails_at_the_call() -> None:
    wrong: Any = object()
    with pytest.raises(NotSerializable) as raised:
        _ = charge_card.start(run_on(ScriptedHost()), wrong)
    assert raised.value.facts["path"] == "$.order_id"


def test_a_forgotten_run_is_named() -> None:
    start: Any = charge_card.start
    with pytest.raises(TypeError, match=r"await charge_card\.start\(run, \.\.\.\)"):
        start("o-1")


async def test_outside_a_workflow_a_task_is_its_plain_function() -> None:
    assert await charge_card("o-1") == {10: "o-1"}
    assert count_words("two words") == 2


async def test_in_workflow_code_a_direct_call_is_refused_with_the_line_to_write() -> None:
    async def code() -> None:
        enter_run(run_on(ScriptedHost()))
        order_id = "o-1"
        await charge_card(order_id)

    with pytest.raises(DirectTaskCall) as raised:
        await asyncio.create_task(code())

    assert str(raised.value).endswith("Write: await charge_card.start(run, order_id)")


async def test_a_sync_task_is_refused_likewise_and_its_line_is_completed() -> None:
    async def code() -> int:
        enter_run(run_on(ScriptedHost()))
        return 1 + count_words("two words")

    with pytest.raises(DirectTaskCall, match=r'return 1 \+ await count_words\.start\(run, "two words"\)$'):
        await asyncio.create_task(code())


async def test_inside_another_task_a_task_is_its_plain_function() -> None:
    async def code() -> int:
        enter_run(run_on(ScriptedHost()))  # as where a worker starts an attempt from workflow code
        context: Any = object.__new__(TaskContext)
        enter_task(context)
        return count_words("two words")

    assert await asyncio.create_task(code()) == 2


def test_options_give_a_copy_and_leave_the_original() -> None:
    patient = charge_card.options(retry=Retry.fixed(9, 1), timeout=5)

    assert (patient.retry.attempts_max, patient.timeout_ms) == (9, 5_000)
    assert (charge_card.retry.attempts_max, charge_card.timeout_ms) == (1, None)
    assert (patient.name, patient.function) == (charge_card.name, charge_card.function)
    assert patient.options(timeout=None).timeout_ms is None
    assert patient.options(timeout=None).retry.attempts_max == 9


def test_what_cannot_be_a_task_is_refused() -> None:
    def numbers() -> Any:
        yield 1

    for wrong in (numbers, charge_card, int, 5):
        unknown: Any = wrong
        with pytest.raises(TypeError):
            task(unknown)
    with pytest.raises(InvalidInput):
        task(name="a\nb")(len)
    retry: Any = 5
    with pytest.raises(TypeError, match=r"Retry\.never\(\)"):
        task(retry=retry)(len)
    kinds: Any = ["OSError"]
    with pytest.raises(TypeError, match="classes of exceptions"):
        task(retry_on=kinds)(len)


def test_hints_may_name_what_is_local_to_the_definer() -> None:
    class Amount(TypedDict):
        cents: int

    @task
    def doubled(amount: "Amount") -> "Amount":
        return {"cents": amount["cents"] * 2}

    assert doubled.shape.decode_args(b'{"amount":{"cents":2}}') == (({"cents": 2},), {})


def test_a_label_is_cut_short() -> None:
    host = ScriptedHost()
    charge_card.start(run_on(host), "x" * 10_000).close()

    assert len(host.asked[0][1].label) < 100
