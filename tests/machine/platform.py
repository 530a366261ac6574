"""The platform as the machine drives it: the real API, server and SQLite, in one process, on a clock that is moved by hand.

The rule: it is asked over HTTP alone (the ASGI application, without a socket); its rows are read only to check the
invariants, after each transaction.
"""

import asyncio
import sqlite3
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import msgspec

from aiki.clock import Chance, ManualClock
from aiki.config import Config
from aiki.engine.invariants import Snapshot, check
from aiki.model.lifecycle import Status
from aiki.model.run import RunEnd, Waiter
from aiki.model.working_set import WorkingSet
from aiki.server.api.access import Access
from aiki.server.api.app import Api
from aiki.server.server import Server
from aiki.store import rows
from aiki.store.lane import InlineLane
from aiki.store.sql import statements
from aiki.store.sqlite import SqliteStore
from tests.machine.model import LEASE_MS, RETENTION_MS

T = TypeVar("T")

SWEEP_MS: Final = 10_000
CONFIG: Final = Config(lease_ms=LEASE_MS, sweep_ms=SWEEP_MS, retention_ms=RETENTION_MS, parked_wait_ms=0)
LOAD: Final = statements("load", dialect="sqlite")
ALL_RUNS: Final = LOAD["runs"].partition(" WHERE")[0]
ALL_SESSIONS: Final = LOAD["sessions"].partition(" WHERE")[0]


class Platform:
    """A server, and the means to ask it anything."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.transactions = 0
        self._loop = asyncio.new_event_loop()
        self._server = Server(":memory:", clock=self.clock, chance=Chance(seed=1), config=CONFIG, is_stepped=True)
        self._loop.run_until_complete(self._server.__aenter__())
        assert isinstance(self._server.store, SqliteStore)
        lane = self._server.store._writer
        assert isinstance(lane, InlineLane)
        self._connection: sqlite3.Connection = lane._connection
        self._api = Api(
            lambda: self._server.service,
            access=Access(),
            config=CONFIG,
            clock=self.clock,
            chance=self._server.chance,
        )
        self._before = self._snapshot()
        self._server.observers.append(self._check)
        self._broken: list[object] = []

    def close(self) -> None:
        self._loop.run_until_complete(self._server.__aexit__(None, None, None))
        self._loop.close()

    @property
    def now_ms(self) -> int:
        return self.clock.now_ms()

    def step(self) -> None:
        """Let the server do what is due."""
        self._loop.run_until_complete(self._server.step())
        assert self._broken == []

    def ask(self, method: str, path: str, body: object = None, **query: object) -> tuple[int, Any]:
        """Ask the API, and return status and body."""
        status, said = self._answer(method, path, body, query)
        return status, msgspec.json.decode(said) if said else None

    def tell(self, path: str, body: object, answer: type[T]) -> T:
        """Say what a worker says, and return what it hears."""
        status, said = self._answer("POST", path, body, {})
        assert status == 200, said
        return msgspec.json.decode(said, type=answer)

    def get(self, path: str, **query: object) -> tuple[int, Any]:
        return self.ask("GET", path, **query)

    def post(self, path: str, body: object = None, **query: object) -> tuple[int, Any]:
        return self.ask("POST", path, body, **query)

    def _answer(self, method: str, path: str, body: object, query: dict[str, object]) -> tuple[int, bytes]:
        answer = self._loop.run_until_complete(self._server.complete(self._asked(method, path, body, query)))
        assert self._broken == [], self._broken
        return answer

    async def _asked(self, method: str, path: str, body: object, query: dict[str, object]) -> tuple[int, bytes]:
        content = b"" if body is None else msgspec.json.encode(body)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": urlencode(query, doseq=True).encode(),
            "headers": [(b"host", b"localhost"), (b"content-length", str(len(content)).encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        sent: list[dict[str, Any]] = []

        arriving = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if not arriving:
                await asyncio.Event().wait()  # whoever asks waits for the answer
            return arriving.pop()

        async def send(message: Any) -> None:
            sent.append(dict(message))

        await self._api(scope, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)

    # --------------------------------------------------------------------------------------------------- invariants

    def _check(self, _: WorkingSet) -> None:
        self.transactions += 1
        now = self._snapshot()
        self._broken += check(now, self._before)
        self._before = now

    def _snapshot(self) -> Snapshot:
        def read(statement: str) -> list[Any]:
            return self._connection.execute(statement).fetchall()

        entries: dict[tuple[str, int, int], list[Any]] = {}
        for run_id, chapter, attempt, entry in read(
            "SELECT run_id, chapter, attempt, entry FROM journal ORDER BY run_id, chapter, attempt, seq"
        ):
            entries.setdefault((run_id, chapter, attempt), []).append(rows.entry_of(entry))
        waits: dict[str, list[Any]] = {}
        for run_id, wait in read("SELECT run_id, wait FROM waits"):
            waits.setdefault(run_id, []).append(rows.wait_of(wait))
        unread: dict[str, list[Any]] = {}
        for run_id, mail in read("SELECT run_id, mail FROM inbox WHERE is_read = 0 ORDER BY run_id, number"):
            unread.setdefault(run_id, []).append(rows.mail_of(mail))
        runs = [rows.run_of(row) for row in read(ALL_RUNS)]
        sessions = [rows.session_of(row) for row in read(ALL_SESSIONS)]
        ends = read(
            "SELECT ends.run_id, ends.status, ends.output, ends.error FROM ends"
            " JOIN runs ON runs.id = ends.run_id AND runs.status = ends.status"
        )
        return Snapshot(
            now_ms=self.now_ms,
            runs={row.id: row for row in runs},
            ends={
                run_id: RunEnd(Status(status), rows.payload_of(output), rows.failure_of(error))
                for run_id, status, output, error in ends
            },
            entries=entries,
            waits=waits,
            unread=unread,
            waiters=[Waiter(*row) for row in read("SELECT target_id, run_id, ordinal FROM waiters")],
            sessions={row.id: row for row in sessions},
        )
