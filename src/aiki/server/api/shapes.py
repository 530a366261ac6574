"""What requests look like over HTTP where they are more than a message of `aiki.model.wire`.

The rule: whoever has only `curl` need not make ids or hashes: what may be left out is filled in here. A request that
brings its ids can be repeated; one that does not, cannot.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Raw, Struct

from aiki.model.lifecycle import Status
from aiki.model.schedule import CatchUp, Overlap
from aiki.model.wire import RunOptions
from aiki.server.overview import BUCKETS_MAX, WINDOW_MS_MAX, WINDOW_MS_MIN

__all__ = [
    "Asked",
    "AskedChildren",
    "AskedCount",
    "AskedEvent",
    "AskedHistory",
    "AskedInbox",
    "AskedJob",
    "AskedJobs",
    "AskedJournal",
    "AskedMulticast",
    "AskedNamespace",
    "AskedPage",
    "AskedReference",
    "AskedResult",
    "AskedRun",
    "AskedRuns",
    "AskedSchedule",
    "AskedSchedules",
    "AskedStats",
    "AskedStream",
    "AskedValue",
    "AskedValues",
    "EventBody",
    "FilterBody",
    "Health",
    "JobBody",
    "MulticastBody",
    "Nothing",
    "RequestBody",
    "ScheduleBody",
    "StartBody",
    "TriggerBody",
    "WhichBody",
]

INTEGER_MAX: Final = 2**53  # what every JSON reader takes for an integer

Integer = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
Limit = Annotated[int, Meta(ge=1, le=500)]
RunId = Annotated[str, Meta(description="The run's id: a UUID in lower case.")]
Namespace = Annotated[str, Meta(description="The namespace; by default the key's, or `default`.")]


class Asked(Struct, frozen=True, forbid_unknown_fields=True):
    """What the address of a request may say: its path and its query. Anything else is refused as a slip."""


class Nothing(Asked, frozen=True):
    """Nothing."""


class AskedRun(Asked, frozen=True):
    """Which run."""

    run_id: RunId
    namespace: Namespace | None = None


class AskedResult(AskedRun, frozen=True):
    """Which run, and how long to wait for its end."""

    wait: Annotated[float, Meta(ge=0, le=600, description="Seconds to wait for the end.")] = 0.0


class AskedJournal(AskedRun, frozen=True):
    """Which run's journal."""

    after_seq: Annotated[int, Meta(ge=0, le=INTEGER_MAX, description="The last entry that is known already.")] = 0
    chapter: Annotated[int, Meta(ge=1, le=INTEGER_MAX, description="By default the current one.")] | None = None
    attempt: Annotated[int, Meta(ge=1, le=INTEGER_MAX, description="By default the current one.")] | None = None


class AskedValue(AskedRun, frozen=True, kw_only=True):
    """Which published value."""

    name: Annotated[str, Meta(description="The key of `run.set(key, value)`.")]


class AskedEvent(AskedRun, frozen=True, kw_only=True):
    """Which event, and what makes a second copy of it the same."""

    name: Annotated[str, Meta(description="The event's name, with `-` for `_`.")]
    reference_id: (
        Annotated[str, Meta(description="A second event of this name and reference id is ignored.")] | None
    ) = None
    message_id: Annotated[str, Meta(description="A UUID: the event repeated with it is one event.")] | None = None


class AskedReference(Asked, frozen=True):
    """Which run, by what its starter calls it."""

    workflow: str
    reference_id: str
    namespace: Namespace | None = None


class AskedNamespace(Asked, frozen=True):
    """Of which namespace."""

    namespace: Namespace | None = None


class AskedCount(AskedNamespace, frozen=True):
    """Which runs; what is left out does not narrow. `after` includes its moment, `before` does not."""

    workflow: str | None = None
    version: str | None = None
    status: Annotated[tuple[Status, ...], Meta(description="May be given more than once.")] = ()
    reference_id: str | None = None
    search: Annotated[str, Meta(description="What an id or a reference id begins with.")] | None = None
    parent_id: str | None = None
    schedule: str | None = None
    tag: Annotated[tuple[str, ...], Meta(description="`name:value`; may be given more than once.")] = ()
    created_after_ms: Integer | None = None
    created_before_ms: Integer | None = None
    started_after_ms: Annotated[Integer, Meta(description="When a worker first took it.")] | None = None
    started_before_ms: Integer | None = None
    finished_after_ms: Integer | None = None
    finished_before_ms: Integer | None = None


class AskedRuns(AskedCount, frozen=True):
    """Which runs, and which page of them."""

    cursor: Annotated[str, Meta(description="`next_cursor` of the page before.")] | None = None
    limit: Limit = 50


class AskedChildren(AskedRun, frozen=True):
    """Whose children, and which page of them."""

    status: Annotated[tuple[Status, ...], Meta(description="May be given more than once.")] = ()
    cursor: Annotated[str, Meta(description="`next_cursor` of the page before.")] | None = None
    limit: Limit = 50


class AskedHistory(AskedRun, frozen=True):
    """Whose history, and from where on."""

    after: Annotated[int, Meta(ge=0, le=INTEGER_MAX, description="`next_after` of the page before.")] = 0
    limit: Limit = 100


class AskedInbox(AskedHistory, frozen=True):
    """Whose inbox, and from where on."""

    unread: Annotated[bool, Meta(description="Only what the code has not taken.")] = False


class AskedValues(AskedRun, frozen=True):
    """Whose published values, and from where on."""

    after: Annotated[str, Meta(description="`next_after` of the page before.")] = ""
    limit: Limit = 100


class AskedStats(AskedNamespace, frozen=True):
    """Which window, up to now, and in how many parts."""

    window_ms: Annotated[int, Meta(ge=WINDOW_MS_MIN, le=WINDOW_MS_MAX)] = 3_600_000
    buckets: Annotated[int, Meta(ge=1, le=BUCKETS_MAX)] = 60


class AskedPage(Asked, frozen=True):
    """Which part of the journal of a run that a session owns."""

    session_id: str
    run_id: RunId
    epoch: Integer
    after_seq: Integer = 0


class AskedStream(Asked, frozen=True):
    """From where on; `Last-Event-ID`, which browsers send, says the same."""

    namespace: Namespace | None = None
    after: Annotated[str, Meta(description="The id of the last event that was read.")] | None = None


class StartBody(Struct, frozen=True):
    """Start a run: the arguments by parameter name.

    `run_id`, a UUIDv7 of the caller's, makes the start repeatable; `input_hash` is the SHA-256 of the input as the
    caller knows it, and made from the canonical input where it is left out.
    """

    workflow: str
    version: str
    input: Raw = Raw(b"{}")
    run_id: str | None = None
    namespace: Namespace | None = None
    input_hash: str | None = None
    options: RunOptions = RunOptions()


class EventBody(Struct, frozen=True, forbid_unknown_fields=True):
    """An event for a run.

    A second one of its name and `reference_id` is ignored, as long as the run lives; so is one of the same `message_id`.
    """

    run_id: str
    name: str
    payload: Raw = Raw(b"null")
    namespace: Namespace | None = None
    message_id: str | None = None
    reference_id: str | None = None


class WhichBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Which runs; what is left out does not narrow. `after` includes its moment, `before` does not."""

    workflow: str | None = None
    version: str | None = None
    status: tuple[Status, ...] = ()
    reference_id: str | None = None
    search: str | None = None
    schedule: str | None = None
    parent_id: str | None = None
    tags: dict[str, str] = {}
    created_after_ms: Integer | None = None
    created_before_ms: Integer | None = None
    started_after_ms: Integer | None = None
    started_before_ms: Integer | None = None
    finished_after_ms: Integer | None = None
    finished_before_ms: Integer | None = None


class FilterBody(WhichBody, frozen=True, forbid_unknown_fields=True):
    """Which runs, and which page of them."""

    cursor: str | None = None
    limit: Limit = 500


class JobBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What to ask of many runs, named by one of `run_ids` or `filter`: a bulk job.

    A filter that names no status means runs in which something can come of it, and runs that are there by now. One that
    does not narrow needs `everything`. `id`, a UUID of the caller's, makes the job repeatable.
    """

    id: str | None = None
    reason: str | None = None
    namespace: Namespace | None = None
    run_ids: tuple[str, ...] = ()
    filter: WhichBody | None = None
    everything: bool = False


class AskedJob(Asked, frozen=True):
    """Which bulk job, and how long to wait for its end."""

    job_id: str
    namespace: Namespace | None = None
    wait: Annotated[float, Meta(ge=0, le=600, description="Seconds to wait for the end.")] = 0.0


class AskedJobs(AskedNamespace, frozen=True):
    """Which page of bulk jobs."""

    cursor: Annotated[str, Meta(description="`next_cursor` of the page before.")] | None = None
    limit: Limit = 50


class MulticastBody(Struct, frozen=True, forbid_unknown_fields=True):
    """An event for many runs, named by one of `run_ids`, `reference_ids` (of a `workflow`) or `filter`.

    A filter means a page of runs, and those that have ended only where it names their status; the answer says how to go
    on. `id`, a UUID of the caller's, makes it repeatable; so does a `reference_id`.
    """

    payload: Raw = Raw(b"null")
    id: str | None = None
    reference_id: str | None = None
    namespace: Namespace | None = None
    run_ids: tuple[str, ...] = ()
    workflow: str | None = None
    reference_ids: tuple[str, ...] = ()
    filter: FilterBody | None = None


class AskedMulticast(Asked, frozen=True, kw_only=True):
    """Which event."""

    name: Annotated[str, Meta(description="The event's name, with `-` for `_`.")]


class RequestBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Why, and the request's id: repeated with it, it is one request."""

    reason: str | None = None
    message_id: str | None = None


class AskedSchedule(Asked, frozen=True):
    """Which schedule."""

    name: Annotated[str, Meta(description="The schedule's name.")]
    namespace: Namespace | None = None


class AskedSchedules(Asked, frozen=True):
    """Which page of schedules."""

    namespace: Namespace | None = None
    cursor: Annotated[str, Meta(description="`next_cursor` of the page before.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class ScheduleBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What a schedule starts, and when: `cron`, on the clock of `timezone`, or `every_ms`.

    `on_change`: what to do where a schedule of the name is another: replace it, or refuse.
    """

    workflow: str
    version: str
    cron: str | None = None
    every_ms: int | None = None
    timezone: str = "UTC"
    input: Raw = Raw(b"{}")
    input_hash: str | None = None
    options: RunOptions = RunOptions()
    overlap: Overlap = Overlap.ALLOW
    catch_up: CatchUp = CatchUp.LATEST
    on_change: Literal["replace", "error"] = "replace"
    namespace: Namespace | None = None


class TriggerBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The id of the run to start, a UUIDv7: repeated with it, it is one request. Only a trigger has one."""

    run_id: str | None = None


class Health(Struct, frozen=True):
    """How the server is."""

    status: str
