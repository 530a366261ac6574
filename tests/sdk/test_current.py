"""What code can ask without being handed it."""

import asyncio
import logging
from typing import Any

import pytest

from aiki.sdk.current import TaskContext, current_run, current_task, enter_run, enter_task
from aiki.sdk.events import Events
from aiki.sdk.run import Run
from aiki.sdk.signature import CallShape
from tests.sdk.scripted import ScriptedHost


async def _code(run: Run) -> None: ...


def a_run() -> Run:
    return Run(ScriptedHost(), shape=CallShape(_code, skip_first=True), events=Events)


def a_task(reported: list[bytes]) -> TaskContext:
    client: Any = None
    return TaskContext(
        "r-1",
        "charge-card",
        attempt=2,
        idempotency_key="k",
        logger=logging.LoggerAdapter(logging.getLogger("tests.sdk"), {}),
        client=client,
        report=reported.append,
    )


def test_outside_of_both_neither_answers() -> None:
    with pytest.raises(RuntimeError, match="only inside a run"):
        current_run()
    with pytest.raises(RuntimeError, match="only inside a task"):
        current_task()


async def test_workflow_code_and_all_that_it_starts_knows_its_run() -> None:
    run = a_run()

    async def code() -> None:
        enter_run(run)
        assert current_run() is run
        assert await asyncio.create_task(inner()) is run
        with pytest.raises(RuntimeError, match=r"aiki\.current_run\(\)"):
            current_task()

    async def inner() -> Run:
        return current_run()

    await asyncio.create_task(code())
    with pytest.raises(RuntimeError):
        current_run()


async def test_a_task_that_workflow_code_led_to_belongs_to_itself() -> None:
    attempt = a_task([])

    async def code() -> None:
        enter_run(a_run())
        await asyncio.create_task(task_code())

    async def task_code() -> None:
        enter_task(attempt)
        assert current_task() is attempt
        with pytest.raises(RuntimeError, match=r"aiki\.current_task\(\)"):
            current_run()

    await asyncio.create_task(code())


def test_a_heartbeat_reports_progress_as_bytes() -> None:
    reported: list[bytes] = []
    a_task(reported).heartbeat({"done": 3})

    assert reported == [b'{"done":3}']
