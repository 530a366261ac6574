"""Reads of the whole, for people: counts, queues, what happened lately, what was announced, and bulk jobs.

The rule: each goes through one index, and its answer has a bound; how often it is asked is the server's business.
"""

from typing import Final

from aiki.model.lifecycle import Status
from aiki.model.many import BulkJob
from aiki.model.views import Bucket, QueueDepth, VersionView, WorkerView, cursor_of
from aiki.store import rows
from aiki.store.filtering import place_of
from aiki.store.reading import Reading, ask

__all__ = ["announced", "buckets", "job", "jobs", "open_jobs", "present", "queue_depths", "versions_counted"]

COUNTS_MAX: Final = 20_000  # versions times statuses


def versions_counted(namespace: str) -> Reading[dict[tuple[str, str], dict[Status, int]]]:
    """Return how many runs of each workflow and version there are, by status."""
    found: dict[tuple[str, str], dict[Status, int]] = {}
    for workflow, version, status, number in (
        yield from ask("versions_counted", namespace=namespace, limit=COUNTS_MAX)
    ):
        found.setdefault((workflow, version), {})[Status(status)] = number
    return found


def queue_depths(namespace: str, *, limit: int) -> Reading[list[QueueDepth]]:
    """Return the queues in which most runs wait, the fullest first."""
    return [QueueDepth(*row) for row in (yield from ask("queue_depths", namespace=namespace, limit=limit))]


def buckets(namespace: str, *, from_ms: int, bucket_ms: int, count: int) -> Reading[list[Bucket]]:
    """Return what happened in each of `count` parts of a window that begins at `from_ms`, oldest first."""
    window = {"from_ms": from_ms, "until_ms": from_ms + bucket_ms * count, "bucket_ms": bucket_ms}
    found: list[dict[str, int]] = [{} for _ in range(count)]
    for place, number in (yield from ask("begun", namespace=namespace, **window)):
        found[place]["started"] = number
    for place, status, number in (yield from ask("ended", namespace=namespace, **window)):
        found[place][status] = number
    return [Bucket(from_ms + bucket_ms * place, **counts) for place, counts in enumerate(found)]


def announced(namespace: str, *, limit: int) -> Reading[list[VersionView]]:
    """Return what workers have announced, by workflow and version."""
    return [
        VersionView(
            workflow,
            version,
            announced_at_ms=at_ms,
            announced_by=worker,
            input_schema=rows.payload_of(input_),
            output_schema=rows.payload_of(output),
            events=rows.schemas_of(events),
        )
        for workflow, version, input_, output, events, worker, at_ms in (
            yield from ask("announced", namespace=namespace, limit=limit)
        )
    ]


def present(namespace: str, *, now_ms: int, limit: int) -> Reading[list[WorkerView]]:
    """Return the live sessions, by the names of their workers."""
    found = yield from ask("present", namespace=namespace, now_ms=now_ms, limit=limit)
    return [rows.worker_of(row) for row in found]


def job(namespace: str, job_id: str) -> Reading[BulkJob | None]:
    """Return a bulk job."""
    found = yield from ask("job", namespace=namespace, job_id=job_id)
    return rows.job_of(found[0]) if found else None


def jobs(namespace: str, *, cursor: str | None, limit: int) -> Reading[tuple[list[BulkJob], str | None]]:
    """Return a page of bulk jobs, the newest first, and where the next begins."""
    before_ms, before_id = place_of(cursor)
    page = {"before_ms": before_ms, "before_id": before_id, "limit": limit + 1}
    found = [rows.job_of(row) for row in (yield from ask("jobs_newest", namespace=namespace, **page))]
    shown = found[:limit]
    return shown, cursor_of(shown[-1].created_at_ms, shown[-1].request.id) if len(found) > limit else None


def open_jobs(*, limit: int) -> Reading[list[BulkJob]]:
    """Return bulk jobs that are not done, the oldest first."""
    return [rows.job_of(row) for row in (yield from ask("jobs_open", limit=limit))]
