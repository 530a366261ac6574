"""What people ask of the whole and of one run's past: counts, queues, charts, workers, workflows, history, inbox.

The rule: whoever watches costs those who work little. What looks at many rows is asked once however many watch, and its
answer is kept for twenty times as long as it took, so that all watching together takes a twentieth of the reader's time.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from aiki.clock import Clock
from aiki.errors import InvalidInput, RunNotFound, Unavailable
from aiki.model.lifecycle import Status
from aiki.model.views import (
    HistoryPage,
    InboxPage,
    Served,
    Stats,
    ValuesPage,
    VersionView,
    WorkersView,
    WorkerView,
    WorkflowsView,
)
from aiki.server.roster import WORKERS_MAX, Roster
from aiki.store.base import Store

__all__ = ["BUCKETS_MAX", "ROWS_MAX", "WINDOW_MS_MAX", "WINDOW_MS_MIN", "Overview"]

ROWS_MAX: Final = 500  # on one page
BUCKETS_MAX: Final = 500
WINDOW_MS_MIN: Final = 60_000
WINDOW_MS_MAX: Final = 92 * 86_400_000
QUEUES_MAX: Final = 200
VERSIONS_MAX: Final = 1_000
KEPT_TIMES: Final = 20
KEPT_MS_MIN: Final = 1_000
KEPT_MS_MAX: Final = 60_000
KEPT_MAX: Final = 200  # answers
LIVE: Final = "live"

T = TypeVar("T")


class _Kept(Struct):
    """An answer, or the question under way, and until when (monotonic) it is good."""

    asked: "asyncio.Future[Any]"
    until_ms: float | None = None


class Overview:
    """The reads of one server that are for people."""

    def __init__(self, store: Store, *, roster: Roster, clock: Clock) -> None:
        self._store = store
        self._roster = roster
        self._clock = clock
        self._kept: OrderedDict[tuple[Hashable, ...], _Kept] = OrderedDict()

    # -------------------------------------------------------------------------------------------------------- one run

    async def history(self, namespace: str, run_id: str, *, after: int = 0, limit: int = ROWS_MAX) -> HistoryPage:
        """Return how a run came to where it stands.

        Raises:
            RunNotFound: there is no such run.
            InvalidInput: the limit is none; so for the others.
        """
        _check_limit(limit)
        return _found(await self._store.moves(namespace, run_id, after=after, limit=limit), run_id)

    async def inbox(
        self, namespace: str, run_id: str, *, after: int = 0, limit: int = ROWS_MAX, unread: bool = False
    ) -> InboxPage:
        """Return what a run was sent: all, or what it has not read; raises as `history`."""
        _check_limit(limit)
        return _found(await self._store.inbox(namespace, run_id, after=after, limit=limit, unread=unread), run_id)

    async def values(self, namespace: str, run_id: str, *, after: str = "", limit: int = ROWS_MAX) -> ValuesPage:
        """Return what a run has published; raises as `history`."""
        _check_limit(limit)
        return _found(await self._store.published(namespace, run_id, after=after, limit=limit), run_id)

    # ------------------------------------------------------------------------------------------------------- the whole

    async def workers(self, namespace: str) -> WorkersView:
        """Return the workers that are there, with how much each holds now and what those of this server execute."""
        now_ms = self._clock.now_ms()
        live = await self._store.present(namespace, now_ms=now_ms, limit=WORKERS_MAX + 1)
        return self._roster.workers(namespace, live)

    async def warnings(self, namespace: str, workflow: str, *, version: str, pool: str) -> tuple[str, ...]:
        """Return what whoever starts a run of this version should know: that nobody serves it.

        It is worth no failure: where the database cannot be asked, nothing is said.
        """
        if self._roster.serves(namespace, workflow, version=version, pool=pool):
            return ()
        try:
            live = await self._live(namespace)
        except Unavailable:
            return ()
        if any(Served(workflow, version) in view.versions and pool in (view.pools or ("",)) for view in live):
            return ()
        where = f" in pool {pool}" if pool else ""
        return (f"no worker serves {workflow} {version}{where} yet; the run waits until one does",)

    def workers_changed(self) -> None:
        """A worker has come to this server, or left it: what the database said before is out of date."""
        for key in [key for key in self._kept if key[0] == LIVE]:
            del self._kept[key]

    async def _live(self, namespace: str) -> list[WorkerView]:
        """Return the live sessions as the database knows them: of this server, and of others."""
        return await self._remembered(
            (LIVE, namespace),
            lambda: self._store.present(namespace, now_ms=self._clock.now_ms(), limit=WORKERS_MAX + 1),
        )

    async def workflows(self, namespace: str) -> WorkflowsView:
        """Return all versions, with schemas, counts, and who serves them."""
        counts = await self._counts(namespace)
        announced = await self._store.announced(namespace, limit=VERSIONS_MAX + 1)
        found = {(version.workflow, version.version): version for version in announced}
        for workflow, version in counts.keys() - found.keys():
            found[workflow, version] = VersionView(workflow, version)
        live = await self._live(namespace)
        shown: list[VersionView] = []
        for (workflow, version), view in sorted(found.items())[:VERSIONS_MAX]:
            workers, warnings = self._roster.serving(namespace, workflow, version=version, live=live)
            runs = counts.get((workflow, version), {})
            shown.append(replace(view, runs=runs, workers=workers, warnings=warnings))
        return WorkflowsView(tuple(shown), has_more=len(found) > VERSIONS_MAX)

    async def stats(self, namespace: str, *, window_ms: int, count: int) -> Stats:
        """Return counts by status, queues, and what happened in each of `count` parts of the window that ends now.

        Raises:
            InvalidInput: the window or its parts are out of bounds.
        """
        if not WINDOW_MS_MIN <= window_ms <= WINDOW_MS_MAX:
            raise InvalidInput(f"the window must be from {WINDOW_MS_MIN:,} to {WINDOW_MS_MAX:,} ms", path="window_ms")
        if not 1 <= count <= BUCKETS_MAX:
            raise InvalidInput(f"a window has from 1 to {BUCKETS_MAX} parts", path="buckets")
        counts = await self._counts(namespace)
        by_status: dict[Status, int] = {}
        for of_version in counts.values():
            for status, number in of_version.items():
                by_status[status] = by_status.get(status, 0) + number
        at_ms, bucket_ms = self._clock.now_ms(), window_ms // count
        from_ms = (at_ms // bucket_ms + 1 - count) * bucket_ms  # whole parts, so that a chart does not jitter
        queues = await self._remembered(
            ("queues", namespace), lambda: self._store.queue_depths(namespace, limit=QUEUES_MAX)
        )
        buckets = await self._remembered(
            ("buckets", namespace, from_ms, bucket_ms, count),
            lambda: self._store.buckets(namespace, from_ms=from_ms, bucket_ms=bucket_ms, count=count),
        )
        return Stats(at_ms, bucket_ms, by_status, tuple(queues), tuple(buckets))

    async def _counts(self, namespace: str) -> dict[tuple[str, str], dict[Status, int]]:
        return await self._remembered(("counts", namespace), lambda: self._store.versions_counted(namespace))

    async def _remembered(self, key: tuple[Hashable, ...], ask: Callable[[], Awaitable[T]]) -> T:
        """Return what `ask` returned lately, or what it returns now; who asks meanwhile waits for the same answer."""
        kept = self._kept.get(key)
        if kept is not None and kept.until_ms is not None and kept.until_ms <= self._clock.monotonic_ms():
            kept = None
        if kept is None:
            kept = self._kept[key] = _Kept(asyncio.ensure_future(self._timed(key, ask)))
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        answer: T = await asyncio.shield(kept.asked)
        return answer

    async def _timed(self, key: tuple[Hashable, ...], ask: Callable[[], Awaitable[T]]) -> T:
        began_ms = self._clock.monotonic_ms()
        try:
            answer = await ask()
        except BaseException:
            self._kept.pop(key, None)
            raise
        now_ms = self._clock.monotonic_ms()
        kept = self._kept.get(key)
        if kept is not None:
            kept.until_ms = now_ms + min(max((now_ms - began_ms) * KEPT_TIMES, KEPT_MS_MIN), KEPT_MS_MAX)
        return answer


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= ROWS_MAX:
        raise InvalidInput(f"limit is {limit}: a page holds 1 to {ROWS_MAX} rows", path="limit")


def _found(page: T | None, run_id: str) -> T:
    if page is None:
        raise RunNotFound(f"there is no run {run_id} in this namespace", run_id=run_id)
    return page
