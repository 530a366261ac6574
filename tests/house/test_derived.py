"""What is derived says what its source says: the blocking client, the options of a worker, the pages of the reference.

The blocking client lacks nothing of the async one, and differs in nothing that users see: public coroutine methods with
their parameters, defaults and documentation.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, get_type_hints

import pytest

from aiki.local import WorkerOptions
from aiki.sdk.blocking import (
    BlockingBulkJob,
    BlockingClient,
    BlockingEvents,
    BlockingHandle,
    BlockingRuns,
    BlockingScheduleHandle,
    BlockingSchedules,
)
from aiki.sdk.bulk import BulkJob
from aiki.sdk.client import Client, ClientEvents
from aiki.sdk.events import Event
from aiki.sdk.handle import Handle
from aiki.sdk.runs import Runs
from aiki.sdk.schedule_handle import ScheduleHandle, Schedules
from aiki.worker.worker import Worker
from tools import reference

DERIVED: Final[dict[type, type]] = {
    Handle: BlockingHandle,
    Runs: BlockingRuns,
    ScheduleHandle: BlockingScheduleHandle,
    Schedules: BlockingSchedules,
    ClientEvents: BlockingEvents,
    BulkJob: BlockingBulkJob,
    Client: BlockingClient,
}
INSTEAD: Final = {"Handle.events": "send"}
ASYNC_ONLY: Final = {
    "Client.connection": "what the calls go through: BlockingClient.call",
    "Client.transport": "of workers",
}

METHODS: Final = [
    (blocking, name, method)
    for awaited, blocking in DERIVED.items()
    for name, method in vars(awaited).items()
    if inspect.iscoroutinefunction(method) and not name.startswith("_")
]


@pytest.mark.parametrize(
    ("blocking", "name", "method"), METHODS, ids=[f"{blocking.__name__}.{name}" for blocking, name, _ in METHODS]
)
def test_a_coroutine_method_has_its_blocking_one(blocking: type, name: str, method: Callable[..., Any]) -> None:
    derived = vars(blocking).get(name)

    assert derived is not None, f"add to {blocking.__name__}: {name} = _blocking({method.__qualname__})"
    assert derived.__wrapped__ is method, f"{name} is not derived of {method.__qualname__}"
    assert inspect.signature(derived) == inspect.signature(method)
    assert not inspect.iscoroutinefunction(derived)
    assert "await" not in (derived.__doc__ or "")


def test_a_property_has_its_blocking_one_or_a_reason() -> None:
    properties = {
        f"{awaited.__name__}.{name}": name
        for awaited in DERIVED
        for name, value in vars(awaited).items()
        if isinstance(value, property) and not name.startswith("_")
    }

    assert [
        full
        for full, name in properties.items()
        if full not in ASYNC_ONLY
        and not any(hasattr(blocking, INSTEAD.get(full, name)) for blocking in DERIVED.values())
    ] == []


def test_what_a_client_holds_is_held_by_the_blocking_one() -> None:
    held = {name for name, value in vars(Client()).items() if type(value) in DERIVED}

    assert held == {"events", "runs", "schedules"}
    assert held <= set(dir(BlockingClient))


def test_what_is_no_property_of_a_handle_is_there_too() -> None:
    assert {"id", "version", "warnings"} <= set(vars(BlockingHandle))


def test_an_event_is_sent_with_the_same_words() -> None:
    awaited = inspect.signature(Event.send).parameters
    blocking = inspect.signature(BlockingHandle.send).parameters

    assert list(blocking) == ["self", "event", *list(awaited)[1:]]
    assert blocking["reference_id"].default == awaited["reference_id"].default


def test_a_blocking_client_is_made_with_the_same_words() -> None:
    awaited = inspect.signature(Client).parameters
    blocking = inspect.signature(BlockingClient).parameters

    assert {name: awaited[name] for name in blocking} == dict(blocking)
    assert set(awaited) - set(blocking) == {"clock", "chance", "wait_ms"}, "what tests hand to the async client"


def test_what_can_be_said_of_a_worker_can_be_said_where_it_is_made_for_one() -> None:
    elsewhere = {"client", "workflows", "subscriber"}  # an embedded worker finds its work in its own process
    of_worker = [name for name in inspect.signature(Worker).parameters if name not in elsewhere]

    assert list(WorkerOptions.__annotations__) == of_worker
    assert get_type_hints(WorkerOptions) == {
        name: hint for name, hint in get_type_hints(Worker.__init__).items() if name in WorkerOptions.__annotations__
    }


@pytest.mark.parametrize("path", reference.PAGES, ids=[path.name for path in reference.PAGES])
def test_a_page_of_the_reference_is_what_the_code_says(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == reference.PAGES[path](), "make docs writes it anew"
