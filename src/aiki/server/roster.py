"""Which versions live workers serve, as far as this server has heard: for warnings, never for decisions."""

from aiki.clock import Clock
from aiki.config import Config
from aiki.model.wire import Announce

__all__ = ["Roster"]

_Served = tuple[str, str, str, str]  # namespace, workflow, version, pool


class Roster:
    """The sessions that have announced themselves, for as long as they poll."""

    def __init__(self, *, clock: Clock, config: Config) -> None:
        self._clock = clock
        self._lease_ms = config.lease_ms
        self._sessions: dict[str, tuple[Announce, float]] = {}
        self._served: dict[_Served, set[str]] = {}

    def add(self, announce: Announce) -> None:
        """A worker has opened a session."""
        self.remove(announce.session_id)
        self._sessions[announce.session_id] = (announce, self._clock.monotonic_ms())
        for served in _served(announce):
            self._served.setdefault(served, set()).add(announce.session_id)

    def renew(self, session_id: str) -> None:
        """A session has polled."""
        known = self._sessions.get(session_id)
        if known is not None:
            self._sessions[session_id] = (known[0], self._clock.monotonic_ms())

    def remove(self, session_id: str) -> None:
        """A session has ended."""
        known = self._sessions.pop(session_id, None)
        if known is None:
            return
        for served in _served(known[0]):
            sessions = self._served[served]
            sessions.discard(session_id)
            if not sessions:
                del self._served[served]

    def sweep(self) -> None:
        """Forget sessions that have not polled for a lease."""
        silent_since_ms = self._clock.monotonic_ms() - self._lease_ms
        for session_id, (_, heard_ms) in list(self._sessions.items()):
            if heard_ms < silent_since_ms:
                self.remove(session_id)

    def warnings(self, namespace: str, workflow: str, *, version: str, pool: str) -> tuple[str, ...]:
        """Return what whoever starts a run of this version should know."""
        if (namespace, workflow, version, pool) in self._served:
            return ()
        where = f" in pool {pool}" if pool else ""
        return (f"no worker serves {workflow} {version}{where} yet; the run waits until one does",)


def _served(announce: Announce) -> set[_Served]:
    return {
        (announce.namespace, version.workflow, version.version, pool)
        for version in announce.versions
        for pool in announce.pools or ("",)
    }
