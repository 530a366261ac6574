"""What people look at: runs found by filters, one run's past, workers, workflows, counts and charts.

The rule: nothing here changes anything, and every answer is a page or has a bound.
"""

from typing import Any

from aiki.errors import InvalidInput
from aiki.model.ids import check_id
from aiki.model.payload import check_name
from aiki.model.views import RunFilter
from aiki.server.api.call import Call, Reply
from aiki.server.api.shapes import (
    AskedChildren,
    AskedCount,
    AskedHistory,
    AskedInbox,
    AskedNamespace,
    AskedRuns,
    AskedStats,
    AskedValues,
)

__all__ = [
    "count_runs",
    "list_runs",
    "list_workers",
    "list_workflows",
    "run_children",
    "run_history",
    "run_inbox",
    "run_values",
    "stats",
]


async def list_runs(call: Call, asked: AskedRuns, _body: None) -> Reply:
    """Return a page of runs."""
    runs = _filter(call, asked)
    return Reply(await call.service.list_runs(RunFilter(**runs, cursor=asked.cursor, limit=asked.limit)))


async def count_runs(call: Call, asked: AskedCount, _body: None) -> Reply:
    """Return how many runs there are, by status."""
    return Reply(await call.service.count(RunFilter(**_filter(call, asked))))


async def run_children(call: Call, asked: AskedChildren, _body: None) -> Reply:
    """Return a page of the runs that a run has started."""
    run_id, namespace = check_id(asked.run_id, "run_id"), call.namespace(asked.namespace)
    children = RunFilter(
        namespace=namespace, parent_id=run_id, status=asked.status, cursor=asked.cursor, limit=asked.limit
    )
    return Reply(await call.service.list_runs(children))


async def run_history(call: Call, asked: AskedHistory, _body: None) -> Reply:
    """Return how a run came to where it stands."""
    run_id, namespace = check_id(asked.run_id, "run_id"), call.namespace(asked.namespace)
    return Reply(await call.service.overview.history(namespace, run_id, after=asked.after, limit=asked.limit))


async def run_inbox(call: Call, asked: AskedInbox, _body: None) -> Reply:
    """Return what a run was sent."""
    run_id, namespace = check_id(asked.run_id, "run_id"), call.namespace(asked.namespace)
    return Reply(
        await call.service.overview.inbox(namespace, run_id, after=asked.after, limit=asked.limit, unread=asked.unread)
    )


async def run_values(call: Call, asked: AskedValues, _body: None) -> Reply:
    """Return what a run has published."""
    run_id, namespace = check_id(asked.run_id, "run_id"), call.namespace(asked.namespace)
    if asked.after:
        check_name(asked.after, "a published value's key")
    return Reply(await call.service.overview.values(namespace, run_id, after=asked.after, limit=asked.limit))


async def list_workers(call: Call, asked: AskedNamespace, _body: None) -> Reply:
    """Return the workers that are there."""
    return Reply(await call.service.overview.workers(call.namespace(asked.namespace)))


async def list_workflows(call: Call, asked: AskedNamespace, _body: None) -> Reply:
    """Return all versions of workflows."""
    return Reply(await call.service.overview.workflows(call.namespace(asked.namespace)))


async def stats(call: Call, asked: AskedStats, _body: None) -> Reply:
    """Return counts, queues and what happened lately."""
    namespace = call.namespace(asked.namespace)
    return Reply(await call.service.overview.stats(namespace, window_ms=asked.window_ms, count=asked.buckets))


def _filter(call: Call, asked: AskedCount) -> dict[str, Any]:
    """Return the fields of the filter that is asked for."""
    named = {name: getattr(asked, name) for name in AskedCount.__struct_fields__ if name not in {"namespace", "tag"}}
    return named | {"namespace": call.namespace(asked.namespace), "tags": dict(map(_tag, asked.tag))}


def _tag(text: str) -> tuple[str, str]:
    name, is_tag, value = text.partition(":")
    if not is_tag:
        raise InvalidInput(f"the tag {text[:60]!r} has no colon: write it as name:value", path="$.tag")
    return name, value
