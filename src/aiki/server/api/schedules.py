"""What clients and people ask about schedules.

The rule: as with runs, a refusal is a problem of the whole call.
"""

from aiki.errors import ScheduleNotFound
from aiki.model.payload import digest
from aiki.model.schedule import (
    ActivateSchedule,
    Definition,
    ScheduleRequest,
    ScheduleStanding,
    ScheduleVerb,
    check_schedule_name,
)
from aiki.model.timing import Timing
from aiki.server.api.call import Call, Handler, Reply
from aiki.server.api.clients import canonical_of
from aiki.server.api.problems import Refused
from aiki.server.api.shapes import AskedSchedule, AskedSchedules, ScheduleBody, TriggerBody

__all__ = ["activate_schedule", "asking", "list_schedules", "schedule_info"]


async def list_schedules(call: Call, asked: AskedSchedules, _body: None) -> Reply:
    """Return a page of schedules."""
    namespace = call.namespace(asked.namespace)
    return Reply(await call.service.schedules.list(namespace, cursor=asked.cursor, limit=asked.limit))


async def schedule_info(call: Call, asked: AskedSchedule, _body: None) -> Reply:
    """Return a schedule."""
    check_schedule_name(asked.name)
    found = await call.service.schedules.get(call.namespace(asked.namespace), asked.name)
    if found is None:
        raise ScheduleNotFound(f"there is no schedule {asked.name} in this namespace", name=asked.name)
    return Reply(found)


async def activate_schedule(call: Call, asked: AskedSchedule, body: ScheduleBody) -> Reply:
    """Activate a schedule."""
    given, input_hash = body.input, body.input_hash
    if input_hash is None:
        given = canonical_of(given)
        input_hash = digest(bytes(given))
    definition = Definition(
        timing=Timing(body.cron, body.every_ms, body.timezone),
        workflow=body.workflow,
        version=body.version,
        input=given,
        input_hash=input_hash,
        options=body.options,
        overlap=body.overlap,
        catch_up=body.catch_up,
    )
    namespace = call.namespace(body.namespace or asked.namespace)
    request = ActivateSchedule(namespace, asked.name, definition, on_change=body.on_change)
    return _standing(await call.service.schedules.activate(request))


def asking(verb: ScheduleVerb) -> Handler:
    """Return the handler that asks `verb` of a schedule."""

    async def ask(call: Call, asked: AskedSchedule, body: TriggerBody) -> Reply:
        run_id = (call.new_id() if body.run_id is None else body.run_id) if verb == "trigger" else ""
        request = ScheduleRequest(call.namespace(asked.namespace), asked.name, verb, run_id=run_id)
        return _standing(await call.service.schedules.ask(request))

    return ask


def _standing(standing: ScheduleStanding) -> Reply:
    if standing.problem is not None:
        raise Refused(standing.problem)
    return Reply(standing)
