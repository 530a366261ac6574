"""What clients and people ask: starts, reads, waits, requests, events.

The rule: a call for one run answers with a problem where it is refused; a call for many has an answer for each.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from msgspec import Raw

from aiki.errors import AikiError, RunNotFound
from aiki.model.ids import check_id, event_id
from aiki.model.payload import PAYLOAD_BYTES_MAX, RAW_NULL, canonical, check, check_name, digest
from aiki.model.views import RunInfo
from aiki.model.wire import Control, SendEvent, Standing, StartRun, Verb, WaitAnswer, WaitRequest
from aiki.server.api.call import Call, Handler, Reply
from aiki.server.api.polls import Closing
from aiki.server.api.problems import VALUE_NOT_FOUND, Refused
from aiki.server.api.shapes import (
    AskedEvent,
    AskedJournal,
    AskedReference,
    AskedResult,
    AskedRun,
    AskedValue,
    EventBody,
    Nothing,
    RequestBody,
    StartBody,
)

__all__ = [
    "asking",
    "canonical_of",
    "find_run",
    "request_many",
    "run_info",
    "run_journal",
    "run_result",
    "run_value",
    "send_event",
    "send_events",
    "start_runs",
    "wait_for_runs",
]

MS_PER_S: Final = 1000


# -------------------------------------------------------------------------------------------------------------- starts


async def start_runs(call: Call, _asked: Nothing, body: StartBody | list[StartBody]) -> Reply:
    """Start one run, or many."""
    if isinstance(body, list):
        return Reply(await call.service.start([_start(call, start) for start in body]))
    (started,) = await call.service.start([_start(call, body)])
    if started.problem is not None:
        raise Refused(started.problem)
    return Reply(started, 200 if started.existed else 201)


def _start(call: Call, body: StartBody) -> StartRun:
    given, input_hash = body.input, body.input_hash
    if input_hash is None:
        given = canonical_of(given)
        input_hash = digest(bytes(given))
    return StartRun(
        run_id=call.new_id() if body.run_id is None else body.run_id,
        namespace=call.namespace(body.namespace),
        workflow=body.workflow,
        version=body.version,
        input=given,
        input_hash=input_hash,
        options=body.options,
    )


def canonical_of(given: Raw) -> Raw:
    """Return what was given in its canonical form; what cannot be is left as it is, for the service to say why."""
    with suppress(AikiError):
        check(bytes(given), limit_bytes=PAYLOAD_BYTES_MAX, what="a payload")
        return Raw(canonical(bytes(given)))
    return given


# --------------------------------------------------------------------------------------------------------------- reads


async def run_info(call: Call, asked: AskedRun, _body: None) -> Reply:
    """Return a run."""
    run_id, namespace = _run_of(call, asked)
    return Reply(_found(await call.service.info(namespace, run_id), run_id=run_id))


async def find_run(call: Call, asked: AskedReference, _body: None) -> Reply:
    """Return the run that bears a reference id."""
    namespace = call.namespace(asked.namespace)
    check_name(asked.workflow, "a workflow's name")
    check_name(asked.reference_id, "reference_id")
    found = await call.service.by_reference(namespace, asked.workflow, asked.reference_id)
    return Reply(_found(found, workflow=asked.workflow, reference_id=asked.reference_id))


async def run_journal(call: Call, asked: AskedJournal, _body: None) -> Reply:
    """Return a page of a run's journal."""
    run_id, namespace = _run_of(call, asked)
    page = await call.service.journal(namespace, run_id, asked.after_seq, chapter=asked.chapter, attempt=asked.attempt)
    if page.problem is not None:
        raise Refused(page.problem)
    return Reply(page)


async def run_value(call: Call, asked: AskedValue, _body: None) -> Reply:
    """Return what a run published."""
    run_id, namespace = _run_of(call, asked)
    check_name(asked.name, "a published value's key")
    value = await call.service.value(namespace, run_id, asked.name)
    if not value:
        raise Refused.of(VALUE_NOT_FOUND, f"run {run_id} has published nothing as {asked.name!r}", run_id=run_id)
    return Reply(value)


def _run_of(call: Call, asked: AskedRun) -> tuple[str, str]:
    return check_id(asked.run_id, "run_id"), call.namespace(asked.namespace)


def _found(info: RunInfo | None, **facts: str) -> RunInfo:
    if info is None:
        named = " and ".join(f"{name} {value!r}" for name, value in facts.items())
        raise RunNotFound(f"there is no run of {named} in this namespace", **facts)
    return info


# --------------------------------------------------------------------------------------------------------------- waits


async def run_result(call: Call, asked: AskedResult, _body: None) -> Reply:
    """Return how a run ended, or that it has not."""
    run_id, namespace = _run_of(call, asked)
    wait_ms = round(asked.wait * MS_PER_S)
    finished = await call.kept_open(
        call.desk.waiters.end_of(call.service, run_id, namespace=namespace, wait_ms=wait_ms)
    )
    if finished is None:
        info = _found(await call.service.info(namespace, run_id), run_id=run_id)
        return Reply(Standing(run_id, info.status), 202)
    if finished.problem is not None:
        raise Refused(finished.problem)
    return Reply(finished)


async def wait_for_runs(call: Call, _asked: Nothing, body: WaitRequest) -> Reply:
    """Wait for the end of any of many runs."""
    call.namespace(body.namespace)
    check_id(body.subscription, "subscription")
    try:
        return Reply(await call.kept_open(call.service.wait(body)))
    except Closing:  # no error: whoever asks again is told where the server has gone
        return Reply(WaitAnswer())


# ------------------------------------------------------------------------------------------------------------- requests


def asking(verb: Verb) -> Handler:
    """Return the handler that asks `verb` of a run."""

    async def ask(call: Call, asked: AskedRun, body: RequestBody) -> Reply:
        run_id, namespace = _run_of(call, asked)
        message_id = call.new_id() if body.message_id is None else body.message_id
        (standing,) = await call.service.control([Control(namespace, run_id, message_id, verb, body.reason)])
        return _standing(standing)

    return ask


async def request_many(call: Call, _asked: Nothing, body: list[Control]) -> Reply:
    """Ask something of many runs."""
    _check_namespaces(call, body)
    return Reply(await call.service.control(body))


async def send_event(call: Call, asked: AskedEvent, body: Raw) -> Reply:
    """Send one event; the body is what it carries."""
    run_id, namespace = _run_of(call, asked)
    check_name(asked.name, "an event's name")
    payload = canonical_of(body) if body else Raw(RAW_NULL)
    said = EventBody(run_id, asked.name, payload, namespace, asked.message_id, asked.reference_id)
    (standing,) = await call.service.send([_event(call, said)])
    return _standing(standing)


async def send_events(call: Call, _asked: Nothing, body: list[EventBody]) -> Reply:
    """Send many events."""
    return Reply(await call.service.send([_event(call, event) for event in body]))


def _event(call: Call, event: EventBody) -> SendEvent:
    if event.reference_id is not None:
        check_name(event.reference_id, "reference_id")
        message_id = event_id(event.run_id, event.name, event.reference_id)
    else:
        message_id = call.new_id() if event.message_id is None else event.message_id
    return SendEvent(call.namespace(event.namespace), event.run_id, message_id, event.name, event.payload)


def _check_namespaces(call: Call, items: Sequence[Control]) -> None:
    for namespace in {item.namespace for item in items}:
        call.namespace(namespace)


def _standing(standing: Standing) -> Reply:
    if standing.problem is not None:
        raise Refused(standing.problem)
    return Reply(standing)
