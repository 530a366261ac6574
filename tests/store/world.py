"""A small world of rows for the tests of stores: verbs that make and change runs without the engine's rules.

Whoever needs a run that the rules would make uses tests/server/world.py; here a row is what the test says.
"""

from collections.abc import Callable
from typing import Any, Final, Generic

from msgspec import Raw
from msgspec.structs import replace
from typing_extensions import TypeVar

from aiki.clock import Chance, ManualClock
from aiki.model.ids import derived_id
from aiki.model.journal import CallKey, Entry, EntryKind, Mail, MailKind, Wait
from aiki.model.lifecycle import Status
from aiki.model.retry import Retry
from aiki.model.run import Cascade, NewRun, ParentClose, RunRow, SessionRow
from aiki.model.working_set import Keys, WorkingSet
from aiki.store.base import Store, Transaction

INPUT: Final = Raw(b'{"amount":12}')


S = TypeVar("S", bound=Store, default=Store)


class StoreWorld(Generic[S]):
    def __init__(self, store: S, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.chance = Chance(seed=1)

    def row(self, **changed: Any) -> RunRow:
        """A queued run without a past."""
        now_ms = self.clock.now_ms()
        run_id = changed.pop("id", None) or self.chance.uuid7(now_ms=now_ms)
        row = RunRow(
            id=run_id,
            namespace="default",
            workflow="order",
            version="1.0.0",
            pool="",
            reference_id=None,
            input_hash="hash",
            parent_id=None,
            parent_close=ParentClose.ABANDON,
            root_id=run_id,
            status=Status.QUEUED,
            version_no=0,
            epoch=0,
            turn=0,
            attempt=1,
            chapter=1,
            seq=0,
            mail=0,
            effects=0,
            waits=0,
            deadline_ms=None,
            alarm_at_ms=None,
            due_at_ms=now_ms,
            priority=0,
            session_id=None,
            parked_on=None,
            claimed_poll=0,
            crashes=0,
            cancel=None,
            cancel_reason=None,
            cancel_delivered=False,
            timeout_ms=None,
            timeout_at_ms=None,
            retry=Retry.never(),
            clock_ms=None,
            why=None,
            has_children=False,
            cascade=Cascade.NONE,
            created_at_ms=now_ms,
            started_at_ms=None,
            finished_at_ms=None,
        )
        return replace(row, **changed)

    async def insert(self, *rows: RunRow, tags: dict[str, str] | None = None) -> None:
        def change(ws: WorkingSet) -> None:
            for row in rows:
                ws.insert_run(NewRun(row, INPUT, tags or {}))

        await self.do(change)

    async def run(self, **changed: Any) -> RunRow:
        row = self.row(**changed)
        await self.insert(row)
        return row

    async def do(self, *changes: Callable[[WorkingSet], object], keys: Keys | None = None) -> Transaction:
        def decide(ws: WorkingSet) -> None:
            for change in changes:
                change(ws)

        return await self.store.transaction(keys or Keys(), decide)

    async def change(self, run_id: str, **changed: Any) -> RunRow:
        done = await self.do(lambda ws: ws.put_run(replace(ws.runs[run_id], **changed)), keys=keys(runs=[run_id]))
        return done.ws.runs[run_id]

    async def load(self, wanted: Keys) -> WorkingSet:
        return (await self.store.transaction(wanted, lambda ws: None)).ws

    async def row_of(self, run_id: str) -> RunRow:
        return (await self.load(keys(runs=[run_id]))).runs[run_id]


def uid(name: str) -> str:
    """The id that goes by a name in a test."""
    return derived_id(name)


def keys(**wanted: Any) -> Keys:
    """Keys with the given sets."""
    made = Keys()
    for name, values in wanted.items():
        getattr(made, name).update(values)
    return made


def session(name: str, **changed: Any) -> SessionRow:
    row = SessionRow(id=uid(name), namespace="default", worker="w", poll=1, expires_at_ms=10_000)
    return replace(row, **changed)


def mail(number: int, **changed: Any) -> Mail:
    made = Mail(number=number, id=f"m{number}", kind=MailKind.EVENT, at_ms=5, name="paid", payload=Raw(b'{"ok":true}'))
    return replace(made, **changed)


def entry(seq: int, **changed: Any) -> Entry:
    made = Entry(seq=seq, key=CallKey(EntryKind.TASK, "charge#1", seq - 1), asked=0, at_ms=7, result=Raw(b"[1]"))
    return replace(made, **changed)


def wait(order: int, *, kind: EntryKind = EntryKind.EVENT, address: str = "paid", ordinal: int = 0) -> Wait:
    return Wait(key=CallKey(kind, address, ordinal), asked=1, order=order, deadline_ms=99)
