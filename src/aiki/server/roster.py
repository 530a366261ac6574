"""Which workers are there, what they serve, and what they execute now, as far as this server has heard: for people and
warnings, never for decisions.

The rule: it is remembered in memory alone and bounded; what a worker says replaces what it said before, and who falls
silent for a lease is forgotten. A server that has been started anew asks whoever polls to introduce itself again.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from aiki.clock import Clock
from aiki.config import Config
from aiki.model.journal import EMPTY
from aiki.model.views import Served, WorkersView, WorkerView, introduced
from aiki.model.wire import PROGRESS_BYTES_MAX, Announce, Executing, PollRequest, VersionInfo

__all__ = ["WORKERS_MAX", "Roster"]

EXECUTING_MAX: Final = 1_000  # remembered of one session
WORKERS_MAX: Final = 1_000  # in one answer
NAMES_SHOWN_MAX: Final = 5

_Served = tuple[str, str, str, str]  # namespace, workflow, version, pool


class _Session(Struct):
    """A session that has introduced itself, and what it said last."""

    announce: Announce
    announced_at_ms: int
    heard_at_ms: int
    heard_ms: float  # monotonic
    held: int = 0
    executing: tuple[Executing, ...] = ()


class Roster:
    """The sessions that have announced themselves, for as long as they poll."""

    def __init__(self, *, clock: Clock, config: Config) -> None:
        self._clock = clock
        self._lease_ms = config.lease_ms
        self._sessions: dict[str, _Session] = {}
        self._served: dict[_Served, set[str]] = {}
        self._executing: dict[str, str] = {}  # run id → the session that executes something for it

    def add(self, announce: Announce) -> None:
        """A worker has opened a session, or introduced itself again."""
        self.remove(announce.session_id)
        now_ms = self._clock.now_ms()
        self._sessions[announce.session_id] = _Session(announce, now_ms, now_ms, self._clock.monotonic_ms())
        for served in _served(announce):
            self._served.setdefault(served, set()).add(announce.session_id)

    def heard(self, request: PollRequest) -> bool:
        """A session has polled. Return whether it has introduced itself to this server."""
        known = self._sessions.get(request.session_id)
        if known is None:
            return False
        self._forget_executing(request.session_id, known)
        known.heard_at_ms, known.heard_ms = self._clock.now_ms(), self._clock.monotonic_ms()
        known.held = len(request.held)
        known.executing = tuple(map(_shown, request.executing[:EXECUTING_MAX]))
        for line in known.executing:
            self._executing[line.run_id] = request.session_id
        return True

    def remove(self, session_id: str) -> None:
        """A session has ended."""
        known = self._sessions.pop(session_id, None)
        if known is None:
            return
        self._forget_executing(session_id, known)
        for served in _served(known.announce):
            sessions = self._served[served]
            sessions.discard(session_id)
            if not sessions:
                del self._served[served]

    def sweep(self) -> None:
        """Forget sessions that have not polled for a lease."""
        silent_since_ms = self._clock.monotonic_ms() - self._lease_ms
        for session_id, known in list(self._sessions.items()):
            if known.heard_ms < silent_since_ms:
                self.remove(session_id)

    # ---------------------------------------------------------------------------------------------------------- asking

    def serves(self, namespace: str, workflow: str, *, version: str, pool: str) -> bool:
        """Return whether a worker that polls this server serves a version in a pool."""
        return (namespace, workflow, version, pool) in self._served

    def executing(self, run_id: str) -> tuple[Executing, ...]:
        """Return what is executed for a run now."""
        known = self._sessions.get(self._executing.get(run_id, ""))
        return () if known is None else tuple(line for line in known.executing if line.run_id == run_id)

    def workers(self, namespace: str, live: Iterable[WorkerView]) -> WorkersView:
        """Return the workers of a namespace, by name: those of this server, and what the database says of others.

        How much each holds is what the database counts: a poll waits for long, and what it said is soon old.
        """
        stored = {view.session_id: view for view in live}
        found: list[WorkerView] = []
        for session_id, known in self._sessions.items():
            if known.announce.namespace == namespace:
                counted = stored.pop(session_id, None)
                found.append(_view(known, held=known.held if counted is None else counted.held))
        found += (view for view in stored.values() if view.session_id not in self._sessions)
        found.sort(key=lambda view: (view.name, view.session_id))
        return WorkersView(tuple(found[:WORKERS_MAX]), has_more=len(found) > WORKERS_MAX)

    def serving(
        self, namespace: str, workflow: str, *, version: str, live: Iterable[WorkerView]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return who serves a version, by name, and what is odd about it: that they announce different schemas."""
        newest_first: list[tuple[int, str, VersionInfo]] = []
        for known in self._sessions.values():
            if known.announce.namespace != namespace:
                continue
            newest_first += [
                (-known.announced_at_ms, known.announce.worker, info)
                for info in known.announce.versions
                if (info.workflow, info.version) == (workflow, version)
            ]
        newest_first.sort(key=lambda found: found[:2])
        elsewhere = {view.name for view in live if Served(workflow, version) in view.versions}
        names = tuple(sorted(elsewhere.union(name for _, name, _ in newest_first)))
        others = sorted({name for _, name, info in newest_first if info != newest_first[0][2]})
        if not others:
            return names, ()
        said = (
            f"{_few(others)} announced other schemas for {workflow} {version} than {newest_first[0][1]}, whose count:"
            " they were announced last"
        )
        return names, (said,)

    def _forget_executing(self, session_id: str, known: _Session) -> None:
        for line in known.executing:
            if self._executing.get(line.run_id) == session_id:
                del self._executing[line.run_id]


def _served(announce: Announce) -> set[_Served]:
    return {
        (announce.namespace, version.workflow, version.version, pool)
        for version in announce.versions
        for pool in announce.pools or ("",)
    }


def _shown(line: Executing) -> Executing:
    return line if len(line.progress) <= PROGRESS_BYTES_MAX else replace(line, progress=EMPTY)


def _view(known: _Session, *, held: int) -> WorkerView:
    said = introduced(known.announce, at_ms=known.announced_at_ms)
    return replace(said, heard_at_ms=known.heard_at_ms, held=held, executing=known.executing)


def _few(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - NAMES_SHOWN_MAX} more" if len(found) > NAMES_SHOWN_MAX else ""
    return ", ".join(found[:NAMES_SHOWN_MAX]) + more
