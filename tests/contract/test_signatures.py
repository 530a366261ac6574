"""Names, order and defaults of the public surface, written a second time as the contract has them.

What the contract writes by position may be given by position; what it gives a default has that default. More may be
there, by keyword. Types are held by `tests/typing`.
"""

import inspect
from collections.abc import Callable
from typing import Any, Final, get_type_hints

import pytest

import aiki
from aiki import testing
from aiki.sdk.client import ClientEvents
from aiki.sdk.filters import Filters
from aiki.sdk.options import Options
from aiki.sdk.runs import Runs
from aiki.sdk.task import Task

NEEDED: Final = inspect.Parameter.empty
SOMETHING: Final = object()  # the contract leaves the default open, but there is one

BY_POSITION: Final[dict[str, tuple[Callable[..., Any], dict[str, Any]]]] = {
    "Client": (aiki.Client, {"url": None, "api_key": None, "namespace": "default"}),
    "BlockingClient": (aiki.BlockingClient, {"url": None, "api_key": None, "namespace": "default"}),
    "Worker": (aiki.Worker, {"client": NEEDED, "workflows": NEEDED}),
    "RedisSubscriber": (aiki.RedisSubscriber, {"url": NEEDED}),
    "Server": (aiki.Server, {"database": "sqlite:///aiki.db"}),
    "local": (aiki.local, {"database": "aiki.db", "workflows": ()}),
    "testing.local": (testing.local, {"workflows": ()}),
    "schedule": (aiki.schedule, {"name": NEEDED}),
    "workflow": (aiki.workflow, {"name": NEEDED}),
    "Workflow.version": (aiki.Workflow.version, {"version": NEEDED}),
    "Version.start": (aiki.Version.start, {"client": NEEDED}),
    "Version.start_as_child": (aiki.Version.start_as_child, {"run": NEEDED}),
    "Version.handle": (aiki.Version.handle, {"client": NEEDED, "run_id": NEEDED}),
    "Version.handle_by_reference": (aiki.Version.handle_by_reference, {"client": NEEDED, "reference_id": NEEDED}),
    "Task.start": (Task.start, {"run": NEEDED}),
    "Retry.never": (aiki.Retry.never, {}),
    "Retry.fixed": (aiki.Retry.fixed, {"max_attempts": NEEDED, "delay": NEEDED}),
    "Retry.exponential": (
        aiki.Retry.exponential,
        {"max_attempts": NEEDED, "base_delay": NEEDED, "factor": 2, "max_delay": None},
    ),
    "Retry.jittered": (
        aiki.Retry.jittered,
        {"max_attempts": NEEDED, "base_delay": NEEDED, "factor": 2, "jitter": 0.5, "max_delay": None},
    ),
    "RetryAfter": (aiki.RetryAfter, {"delay": NEEDED}),
    "NonRetryable": (aiki.NonRetryable, {"message": SOMETHING}),
    "TaskContext.heartbeat": (aiki.TaskContext.heartbeat, {"progress": SOMETHING}),
    "Run.sleep": (aiki.Run.sleep, {"name": NEEDED, "duration": SOMETHING}),
    "Run.set": (aiki.Run.set, {"key": NEEDED, "value": NEEDED}),
    "Event.wait": (aiki.Event.wait, {"timeout": None}),
    "Event.send": (aiki.Event.send, {"value": NEEDED, "reference_id": None}),
    "Handle.result": (aiki.Handle.result, {"timeout": None}),
    "Handle.wait_for_status": (aiki.Handle.wait_for_status, {"status": NEEDED, "timeout": None}),
    "Handle.cancel": (aiki.Handle.cancel, {"reason": None}),
    "Handle.terminate": (aiki.Handle.terminate, {"reason": None}),
    "Handle.get": (aiki.Handle.get, {"key": NEEDED}),
    "BlockingHandle.send": (aiki.BlockingHandle.send, {"event": NEEDED, "value": NEEDED}),
    "ChildHandle.result": (aiki.ChildHandle.result, {"timeout": None}),
    "ChildHandle.wait_for_status": (aiki.ChildHandle.wait_for_status, {"status": NEEDED, "timeout": None}),
    "ChildHandle.cancel": (aiki.ChildHandle.cancel, {"reason": None}),
    "Schedule.activate": (aiki.Schedule.activate, {"client": NEEDED, "v": NEEDED}),
    "Schedule.of": (aiki.Schedule.of, {"v": NEEDED}),
    "client.runs.start": (Runs.start, {"workflow": NEEDED, "version": NEEDED, "input": NEEDED}),
    "client.runs.get": (Runs.get, {"run_id": NEEDED}),
    "client.runs.cancel_many": (Runs.cancel_many, {"filter": None}),
    "client.runs.retry_many": (Runs.retry_many, {"filter": None}),
    "client.runs.requeue_many": (Runs.requeue_many, {"filter": None}),
    "client.events.multicast": (ClientEvents.multicast, {"version": NEEDED, "event": NEEDED, "value": NEEDED}),
}

BY_KEYWORD: Final[dict[str, tuple[Callable[..., Any], dict[str, Any]]]] = {
    "Client": (aiki.Client, {"timeout": 10.0}),
    "BlockingClient": (aiki.BlockingClient, {"timeout": 10.0}),
    "Worker": (
        aiki.Worker,
        {
            "name": SOMETHING,
            "pools": (),
            "max_concurrent_runs": 100,
            "max_parked_runs": 1000,
            "subscriber": None,
            "schedules": (),
            "context": None,
            "around_task": None,
            "shutdown_grace": 10.0,
        },
    ),
    "Server": (aiki.Server, {"redis": None, "authorize": None, "api_keys": (), "insecure": False}),
    "local": (aiki.local, {"port": None}),
    "task": (
        aiki.task,
        {"name": None, "retry": aiki.Retry.never(), "timeout": None, "retry_on": (), "dont_retry_on": ()},
    ),
    "Task.options": (Task.options, {"retry": SOMETHING, "timeout": SOMETHING}),
    "NonRetryable": (aiki.NonRetryable, {"details": None}),
    "schedule": (
        aiki.schedule,
        {
            "cron": None,
            "every": None,
            "timezone": "UTC",
            "overlap": "allow",
            "catch_up": "latest",
            "on_change": "replace",
        },
    ),
    "BlockingHandle.send": (aiki.BlockingHandle.send, {"reference_id": None}),
    "client.runs.list": (Runs.list, {"cursor": None, "limit": SOMETHING}),
    "client.events.multicast": (ClientEvents.multicast, {"run_ids": None, "reference_ids": None, "filter": None}),
}

OPTIONS: Final = {
    *("reference_id", "conflict", "start_at", "delay", "pool", "priority", "retry", "timeout", "tags", "parent_close"),
}
FILTERS: Final = {
    *("workflow", "version", "status", "reference_id", "tags", "parent_id", "schedule", "started_after"),
}
SEEN: Final = {
    aiki.Run: {
        *("id", "workflow", "version", "attempt", "reference_id", "tags", "parent_id", "context", "logger", "now"),
        *("random", "uuid4", "sleep", "events", "set", "continue_as_new"),
    },
    aiki.TaskContext: {
        *("run_id", "name", "attempt", "idempotency_key", "logger", "client", "context", "heartbeat"),
    },
    aiki.Handle: {
        *("result", "wait_for_status", "info", "cancel", "terminate", "pause", "resume", "wake", "requeue", "retry"),
        *("get", "events"),
    },
    aiki.BlockingHandle: {
        *("id", "version", "warnings", "result", "wait_for_status", "info", "cancel", "terminate", "pause", "resume"),
        *("wake", "requeue", "retry", "get", "send"),
    },
    aiki.ChildHandle: {"id", "result", "wait_for_status", "cancel", "events"},
    aiki.WaitResult: {"reached", "timed_out", "status", "output", "error"},
    aiki.EventResult: {"timed_out", "data"},
    aiki.SleepResult: {"woken"},
    aiki.ScheduleHandle: {"pause", "resume", "trigger", "deactivate"},
    aiki.BlockingScheduleHandle: {"pause", "resume", "trigger", "deactivate"},
    aiki.RunInfo: {"status", "waits", "why", "tags"},
    aiki.Server: {"asgi", "lifespan", "client"},
    aiki.Worker: {"run"},
    testing.Environment: {"advance", "runs", "events", "schedules"},
}


def _fits(found: object, wanted: object) -> bool:
    return found is not NEEDED if wanted is SOMETHING else found == wanted


@pytest.mark.parametrize("name", BY_POSITION)
def test_what_the_contract_gives_by_position_may_be_given_so_and_has_its_default(name: str) -> None:
    function, wanted = BY_POSITION[name]
    parameters = [each for each in inspect.signature(function).parameters.values() if each.name != "self"]
    by_position = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]

    assert [each.name for each in by_position][: len(wanted)] == list(wanted)
    assert [
        each.name for each in by_position if each.name in wanted and not _fits(each.default, wanted[each.name])
    ] == []
    assert [each.name for each in by_position[len(wanted) :] if each.default is NEEDED] == []


@pytest.mark.parametrize("name", BY_KEYWORD)
def test_what_the_contract_gives_by_keyword_has_its_default(name: str) -> None:
    function, wanted = BY_KEYWORD[name]
    parameters = inspect.signature(function).parameters

    assert [each for each in wanted if parameters[each].kind is inspect.Parameter.POSITIONAL_ONLY] == []
    assert [each for each in wanted if not _fits(parameters[each].default, wanted[each])] == []
    needed = [each.name for each in parameters.values() if each.kind is each.KEYWORD_ONLY and each.default is NEEDED]
    assert needed == []


def test_every_option_and_filter_of_the_contract_is_there() -> None:
    assert get_type_hints(Options).keys() == OPTIONS
    assert get_type_hints(Filters).keys() >= FILTERS
    of_a_version = inspect.signature(aiki.Workflow.version).parameters
    assert set(of_a_version) == {"self", "version", "events", "defaults"}


@pytest.mark.parametrize("kind", SEEN, ids=lambda kind: kind.__name__)
def test_what_the_contract_lets_one_see_and_do_is_there(kind: type) -> None:
    there = {*dir(kind), *getattr(kind, "__annotations__", {})}
    if kind is testing.Environment:
        there |= vars(testing.Environment()).keys()
    assert SEEN[kind] - there == set()
