"""What announced versions take: their input and their events, by the newest schemas that a worker has sent.

The rule: nothing is refused that is not known to be wrong. A version that nobody has announced, a schema that is too
large or no schema at all, a run that this server does not know: all pass, for the worker judges again.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Raw

from aiki.errors import AikiError, InvalidInput
from aiki.model.payload import Json, path_text
from aiki.model.wire import Announce, SendEvent, StartRun, VersionInfo
from aiki.server.fitting import misfit
from aiki.store.base import Store

__all__ = ["Contracts"]

VERSIONS_MAX: Final = 1_000  # the newest announcements
RUNS_MAX: Final = 10_000  # of which the version is remembered
SCHEMA_BYTES_MAX: Final = 256 * 1024
AT_ONCE_BYTES_MAX: Final = 64 * 1024  # judged without giving way
NAMES_SHOWN_MAX: Final = 20

_Versioned = tuple[str, str, str]  # namespace, workflow, version


class Contracts:
    """The announcements of one server's database."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._versions: dict[_Versioned, _Contract] = {}
        self._runs: dict[str, _Versioned] = {}

    async def open(self) -> None:
        """Read what was announced before."""
        for namespace, version in reversed(await self._store.announcements(limit=VERSIONS_MAX)):
            self._add(namespace, version)

    def add(self, announce: Announce) -> None:
        """A worker has announced itself: what it says counts from now on."""
        for version in announce.versions:
            self._add(announce.namespace, version)

    def note(self, run_id: str, versioned: _Versioned) -> None:
        """A run has been started, so events for it will come."""
        if len(self._runs) >= RUNS_MAX:
            del self._runs[next(iter(self._runs))]
        self._runs[run_id] = versioned

    async def misfits_of_starts(self, starts: Mapping[int, StartRun]) -> dict[int, AikiError]:
        """Judge the inputs of runs, and return what is wrong with those that do not fit."""
        found: dict[int, AikiError] = {}
        at_once = _AtOnce()
        for place, start in starts.items():
            contract = self._versions.get((start.namespace, start.workflow, start.version))
            if contract is None:
                continue
            await at_once.weigh(start.input)
            try:
                contract.check_input(start.input)
            except InvalidInput as error:
                found[place] = error
        return found

    async def misfits_of_events(self, events: Mapping[int, SendEvent]) -> dict[int, AikiError]:
        """Judge events by the versions of their runs, and return what is wrong with those that do not fit."""
        unknown = {event.run_id for event in events.values()} - self._runs.keys()
        if unknown:
            for run_id, versioned in (await self._store.versions_of(unknown)).items():
                self.note(run_id, versioned)
        found: dict[int, AikiError] = {}
        at_once = _AtOnce()
        for place, event in events.items():
            contract = self._contract_of(event)
            if contract is None:
                continue
            await at_once.weigh(event.payload)
            try:
                contract.check_event(event.name, event.payload)
            except InvalidInput as error:
                found[place] = error
        return found

    def _contract_of(self, event: SendEvent) -> "_Contract | None":
        versioned = self._runs.get(event.run_id)
        if versioned is None or versioned[0] != event.namespace:  # the engine says what there is to say
            return None
        return self._versions.get(versioned)

    def _add(self, namespace: str, version: VersionInfo) -> None:
        versioned = (namespace, version.workflow, version.version)
        self._versions.pop(versioned, None)
        if not version.input_schema:  # a worker that tells no schemas says nothing of events either
            return
        if len(self._versions) >= VERSIONS_MAX:
            del self._versions[next(iter(self._versions))]
        self._versions[versioned] = _Contract(version)


class _AtOnce:
    """Lets others have their turn while many payloads are judged."""

    def __init__(self) -> None:
        self._bytes = 0

    async def weigh(self, payload: Raw) -> None:
        self._bytes += len(payload)
        if self._bytes > AT_ONCE_BYTES_MAX:
            self._bytes = 0
            await asyncio.sleep(0)


class _Contract:
    """The schemas of one version, decoded when they are first asked for."""

    def __init__(self, version: VersionInfo) -> None:
        self._name = f"{version.workflow} {version.version}"
        self._input = version.input_schema
        self._events = version.events
        self._decoded: dict[str | None, Json] = {}  # the input's under None

    def check_input(self, payload: Raw) -> None:
        self._check(None, self._input, payload, f"the input of {self._name}")

    def check_event(self, name: str, payload: Raw) -> None:
        if name not in self._events:
            known = _shown(self._events)
            raise InvalidInput(
                f"{self._name} knows no event {name!r}; " + (f"it knows {known}" if known else "it takes none"),
                path="name",
            )
        self._check(name, self._events[name], payload, f"the event {name} of {self._name}")

    def _check(self, key: str | None, schema: Raw, payload: Raw, what: str) -> None:
        if key not in self._decoded:
            self._decoded[key] = msgspec.json.decode(schema) if 0 < len(schema) <= SCHEMA_BYTES_MAX else True
        if self._decoded[key] is True:
            return
        found = misfit(self._decoded[key], msgspec.json.decode(payload))
        if found is not None:
            path = path_text(found.path)
            raise InvalidInput(f"{what} does not fit at {path}: {found.reason}", path=path)


def _shown(names: Iterable[str]) -> str:
    known = sorted(names)
    more = f" and {len(known) - NAMES_SHOWN_MAX} more" if len(known) > NAMES_SHOWN_MAX else ""
    return ", ".join(known[:NAMES_SHOWN_MAX]) + more
