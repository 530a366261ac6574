"""What people are shown: pictures of runs, and which runs are meant.

The rule: nothing here commands anything. A picture is true of the moment when it was taken; times are milliseconds UTC.
"""

from msgspec import Raw, Struct

from aiki.model.journal import EMPTY, Failure, MailKind, Tried
from aiki.model.lifecycle import Reason, Status
from aiki.model.wire import Announce, Executing

__all__ = [
    "Bucket",
    "HistoryPage",
    "InboxPage",
    "Move",
    "Published",
    "QueueDepth",
    "Received",
    "RunCount",
    "RunFilter",
    "RunInfo",
    "RunPage",
    "Served",
    "Stats",
    "ValuesPage",
    "VersionView",
    "View",
    "WaitInfo",
    "WorkerView",
    "WorkersView",
    "WorkflowsView",
    "cursor_of",
    "introduced",
]


class View(Struct, frozen=True, omit_defaults=True):
    """What is shown: frozen, and as short as it can be."""


class WaitInfo(View, frozen=True):
    """An open wait as people see it."""

    kind: str
    name: str
    deadline_ms: int | None = None
    attempt: int = 0
    error: Failure | None = None
    tries: tuple[Tried, ...] = ()


class RunInfo(View, frozen=True):
    """A run as people and handles see it. Times are milliseconds UTC.

    `waits` are its open waits, the oldest first, and in a list one of them; `waits_count` is how many there are.
    `executing` is what its worker said last of the task attempts under way; it is remembered nowhere.
    """

    id: str
    namespace: str
    workflow: str
    version: str
    status: Status
    created_at_ms: int
    pool: str = ""
    priority: int = 0
    reference_id: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    attempt: int = 1
    chapter: int = 1
    seq: int = 0
    epoch: int = 0
    crashes: int = 0
    tags: dict[str, str] = {}
    why: str | None = None
    cancel_requested: bool = False
    pause_requested: bool = False
    worker: str | None = None
    waits: tuple[WaitInfo, ...] = ()
    waits_count: int = 0
    due_at_ms: int | None = None
    alarm_at_ms: int | None = None
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    input: Raw = EMPTY
    output: Raw = EMPTY
    error: Failure | None = None
    executing: tuple[Executing, ...] = ()
    warnings: tuple[str, ...] = ()
    schedule: str | None = None


class RunFilter(View, frozen=True):
    """Which runs are meant; fields left out do not narrow. `cursor` is the last page's `next_cursor`.

    Moments: `after` includes its own, `before` does not. `search` is the beginning of an id or a reference id.
    """

    namespace: str = "default"
    workflow: str | None = None
    version: str | None = None
    status: tuple[Status, ...] = ()
    reference_id: str | None = None
    parent_id: str | None = None
    schedule: str | None = None
    tags: dict[str, str] = {}
    created_after_ms: int | None = None
    created_before_ms: int | None = None
    started_after_ms: int | None = None
    started_before_ms: int | None = None
    finished_after_ms: int | None = None
    finished_before_ms: int | None = None
    search: str | None = None
    cursor: str | None = None
    limit: int = 50


class RunPage(View, frozen=True):
    """A page of runs, newest first, without payloads."""

    runs: tuple[RunInfo, ...]
    next_cursor: str | None = None


class RunCount(View, frozen=True):
    """How many runs there are: in all, and by status."""

    total: int
    by_status: dict[Status, int] = {}


class Move(View, frozen=True):
    """A move of a run from one status to another; the first has no `old`. `worker` is whom it was handed to, by name."""

    number: int
    at_ms: int
    new: Status
    reason: Reason
    old: Status | None = None
    note: str | None = None
    worker: str | None = None


class HistoryPage(View, frozen=True):
    """How a run came to where it stands, oldest first. `next_after` is there where more follow."""

    moves: tuple[Move, ...]
    next_after: int | None = None


class Received(View, frozen=True):
    """A message that a run was sent; `is_read` once the commit that delivered it to the code was applied."""

    number: int
    id: str
    kind: MailKind
    at_ms: int
    name: str = ""
    is_read: bool = False
    payload: Raw = EMPTY
    reason: str | None = None
    status: Status | None = None


class InboxPage(View, frozen=True):
    """What a run was sent, oldest first. `next_after` is there where more follow."""

    messages: tuple[Received, ...]
    next_after: int | None = None


class Published(View, frozen=True):
    """A value that a run published with `run.set`."""

    name: str
    value: Raw


class ValuesPage(View, frozen=True):
    """What a run has published, by name. `next_after` is there where more follow."""

    values: tuple[Published, ...]
    next_after: str | None = None


class VersionView(View, frozen=True):
    """A version of a workflow that workers have announced, or that runs were started on.

    `announced_at_ms` is when its schemas were last announced, `workers` who serve it now, and `runs` counts its runs by
    status. A version that nobody announced has runs alone.
    """

    workflow: str
    version: str
    announced_at_ms: int | None = None
    announced_by: str | None = None
    input_schema: Raw = EMPTY
    output_schema: Raw = EMPTY
    events: dict[str, Raw] = {}
    runs: dict[Status, int] = {}
    workers: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class WorkflowsView(View, frozen=True):
    """All versions, by workflow; `has_more` where there are more than are shown."""

    versions: tuple[VersionView, ...]
    has_more: bool = False


class Served(View, frozen=True):
    """A version that a worker serves."""

    workflow: str
    version: str


class WorkerView(View, frozen=True):
    """A worker's live session.

    `heard_at_ms` is its last poll, `capacity` how many runs it takes in all, `held` how many it has, and `executing` what
    it said then of the task attempts under way. `is_elsewhere`: it polls another server of the same database, which alone
    knows when it was heard and what it executes.
    """

    session_id: str
    name: str
    announced_at_ms: int
    heard_at_ms: int
    host: str = ""
    pid: int = 0
    sdk: str = ""
    pools: tuple[str, ...] = ()
    capacity: int = 0
    held: int = 0
    versions: tuple[Served, ...] = ()
    executing: tuple[Executing, ...] = ()
    is_elsewhere: bool = False


def introduced(said: Announce, *, at_ms: int) -> WorkerView:
    """Return a session as its worker introduced it at `at_ms`."""
    return WorkerView(
        session_id=said.session_id,
        name=said.worker,
        announced_at_ms=at_ms,
        heard_at_ms=at_ms,
        host=said.host,
        pid=said.pid,
        sdk=said.sdk,
        pools=said.pools,
        capacity=said.capacity,
        versions=tuple(Served(info.workflow, info.version) for info in said.versions),
    )


class WorkersView(View, frozen=True):
    """The workers that are there, by name; `has_more` where there are more than are shown."""

    workers: tuple[WorkerView, ...]
    has_more: bool = False


class QueueDepth(View, frozen=True):
    """A queue in which runs wait for a worker: how many, and since when the oldest has been due."""

    workflow: str
    version: str
    pool: str
    depth: int
    oldest_due_at_ms: int


class Bucket(View, frozen=True):
    """What happened in one part of the window, which began at `at_ms`."""

    at_ms: int
    started: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0


class Stats(View, frozen=True):
    """How things stand and went, as of `at_ms`: counts by status, the fullest queues, and the window in parts."""

    at_ms: int
    bucket_ms: int
    runs: dict[Status, int]
    queues: tuple[QueueDepth, ...]
    buckets: tuple[Bucket, ...]


def cursor_of(created_at_ms: int, id_: str) -> str:
    """Return where a page ends whose last row is this."""
    return f"{created_at_ms}.{id_}"
