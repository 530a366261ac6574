"""What people ask of many runs: events for all that are meant, and bulk jobs.

The rule: whoever means all runs says so; a filter that does not narrow is taken for a slip.
"""

from typing import Final

import msgspec

from aiki.errors import InvalidInput
from aiki.model.ids import check_id
from aiki.model.many import JobsPage, Multicast, StartJob, job_view
from aiki.model.views import RunFilter
from aiki.model.wire import Verb
from aiki.server.api.call import Call, Handler, Reply
from aiki.server.api.clients import canonical_of
from aiki.server.api.problems import JOB_NOT_FOUND, Refused
from aiki.server.api.shapes import (
    AskedJob,
    AskedJobs,
    AskedMulticast,
    JobBody,
    MulticastBody,
    Nothing,
    WhichBody,
)

__all__ = ["bulk_job", "bulk_jobs", "multicast", "starting"]

MS_PER_S: Final = 1_000


async def multicast(call: Call, asked: AskedMulticast, body: MulticastBody) -> Reply:
    """Send an event to many runs."""
    namespace = call.namespace(body.namespace)
    meant = None if body.filter is None else RunFilter(namespace=namespace, **msgspec.structs.asdict(body.filter))
    request = Multicast(
        namespace=namespace,
        id=call.new_id() if body.id is None else body.id,
        name=asked.name,
        payload=canonical_of(body.payload),
        reference_id=body.reference_id,
        run_ids=body.run_ids,
        workflow=body.workflow,
        reference_ids=body.reference_ids,
        filter=meant,
    )
    return Reply(await call.service.many.multicast(request))


def starting(verb: Verb) -> Handler:
    """Return the handler that begins a bulk job which asks `verb`."""

    async def start(call: Call, _asked: Nothing, body: JobBody) -> Reply:
        namespace = call.namespace(body.namespace)
        if body.filter == WhichBody() and not body.everything:
            raise InvalidInput(
                f"the filter does not narrow: name a workflow, a status or the like, or say everything to {verb} all runs",
                path="$.filter",
            )
        request = StartJob(
            id=call.new_id() if body.id is None else body.id,
            namespace=namespace,
            verb=verb,
            reason=body.reason,
            run_ids=body.run_ids,
            filter=None
            if body.filter is None
            else RunFilter(namespace=namespace, **msgspec.structs.asdict(body.filter)),
        )
        return Reply(job_view(await call.service.bulk.start(request)), 202)

    return start


async def bulk_job(call: Call, asked: AskedJob, _body: None) -> Reply:
    """Return a bulk job, waiting for its end if need be."""
    job_id, namespace = check_id(asked.job_id, "job_id"), call.namespace(asked.namespace)
    wait_ms = round(asked.wait * MS_PER_S)
    job = await call.kept_open(call.service.bulk.job(namespace, job_id, wait_ms=wait_ms))
    if job is None:
        raise Refused.of(JOB_NOT_FOUND, f"there is no bulk job {job_id} in this namespace", job_id=job_id)
    return Reply(job_view(job))


async def bulk_jobs(call: Call, asked: AskedJobs, _body: None) -> Reply:
    """Return a page of bulk jobs."""
    namespace = call.namespace(asked.namespace)
    jobs, next_cursor = await call.service.bulk.jobs(namespace, cursor=asked.cursor, limit=asked.limit)
    return Reply(JobsPage(tuple(map(job_view, jobs)), next_cursor))
