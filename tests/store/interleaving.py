"""Two servers on one Postgres, their statements let go one at a time, in an order that a test chooses.

The rule: whatever the order, everything that is stored in the end is what one of the two commands after the other would
have left; what that is, SQLite says, which has one writer. So a wake-up that is lost, a decision on a row that was not
locked, or a message taken twice shows as a difference, and a circle of locks as an error.
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import asyncpg
import msgspec
from msgspec import Struct

from aiki.clock import ManualClock
from aiki.engine.commands import Command
from aiki.engine.decide import decide
from aiki.engine.dispatch import Offer, assign
from aiki.engine.keys import keys_of
from aiki.model.run import NewRun
from aiki.model.schedule import ScheduleRow
from aiki.model.working_set import Keys, RunValue, WorkingSet
from aiki.store.base import Store
from aiki.store.postgres.schema import migrations
from aiki.store.postgres.store import PostgresStore
from aiki.store.sql.rewriting import column_types
from aiki.store.sqlite import SqliteStore
from tests.engine.world import INPUT, START_MS, World

LOOK_S: Final = 0.002  # how long a statement may take before we look whether it waits for the other side
STUCK_S: Final = 10.0
TABLES: Final = tuple(sorted(column_types([text for _, text in migrations()])))


class Operation(Struct, frozen=True):
    """What one side does in one transaction: commands, and whether it hands ready runs to a session after them."""

    name: str
    command: Command
    offers: tuple[Offer, ...] = ()
    more: tuple[Command, ...] = ()


class Scene(Struct, frozen=True):
    """What there is before, and what is done at once."""

    world: World
    operations: tuple[Operation, ...]
    schedules: tuple[ScheduleRow, ...] = ()


Rows = dict[str, list[dict[str, Any]]]


# ---------------------------------------------------------------------------------------------------------------- rows


def seeding(scene: Scene) -> Callable[[WorkingSet], None]:
    """Return what puts everything of a scene into a store."""
    world = scene.world

    def decide_all(ws: WorkingSet) -> None:
        for row in world.runs.values():
            ws.insert_run(NewRun(row, world.inputs.get(row.id, INPUT)))
        ws.new_ends.update(world.ends)
        for (run_id, chapter, attempt), entries in world.entries.items():
            ws.new_entries += [(run_id, chapter, attempt, entry) for entry in entries]
        for run_id, waits in world.waits.items():
            ws.new_waits.update({(run_id, key): wait for key, wait in waits.items()})
        for run_id, inbox in world.mail.items():
            ws.new_mail += [(run_id, mail) for mail in inbox.values()]
        ws.read_mail += sorted(world.read)
        ws.new_waiters.update(world.waiters)
        ws.changed_sessions.update(world.sessions)
        ws.new_values += [RunValue(run_id, name, payload) for (run_id, name), payload in world.values.items()]
        for schedule in scene.schedules:
            ws.put_schedule(schedule)

    return decide_all


async def do(store: Store, operation: Operation) -> None:
    """Do an operation as a pipeline does it."""
    keys = Keys()
    commands = (operation.command, *operation.more)
    for command in commands:
        keys_of(command, keys)
    keys.sessions.update(offer.session_id for offer in operation.offers)

    def decide_all(ws: WorkingSet) -> None:
        for command in commands:
            decide(ws, command, ws.now_ms)
        if operation.offers:
            assign(ws, msgspec.convert(msgspec.to_builtins(operation.offers), list[Offer]), ws.now_ms)

    await store.transaction(keys, decide_all)


async def rows_of_sqlite(store: SqliteStore) -> Rows:
    def read(connection: Any) -> Rows:
        found: Rows = {}
        for table in TABLES:
            cursor = connection.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in cursor.description]
            found[table] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        return found

    return _sorted(await store._writer.do(read))


async def rows_of_postgres(connection: Any) -> Rows:
    parts = ", ".join(f"(SELECT json_agg(t) FROM aiki.{table} AS t)" for table in TABLES)
    found = await connection.fetchrow(f"SELECT {parts}")
    return _sorted({table: msgspec.json.decode(found[place] or "[]") for place, table in enumerate(TABLES)})


def _sorted(found: Rows) -> Rows:
    """Rows in an order of their own; moves in that of each run, without their numbers."""
    moves = sorted(found.pop("history"), key=lambda move: (move["run_id"], move["id"]))
    found["history"] = [{name: value for name, value in move.items() if name != "id"} for move in moves]
    return {
        table: rows if table == "history" else sorted(rows, key=lambda row: repr(sorted(row.items())))
        for table, rows in found.items()
    }


async def serially(scene: Scene, operations: Sequence[Operation]) -> Rows:
    """What is stored once operations were done one after the other."""
    store = await SqliteStore.open(None, clock=ManualClock(now_ms=scene.world.now_ms))
    await store.transaction(Keys(), seeding(scene))
    for operation in operations:
        await do(store, operation)
    found = await rows_of_sqlite(store)
    await store.close()
    return found


# ------------------------------------------------------------------------------------------------------------- two sides


class Side:
    """One server: each of its statements waits until it is let go."""

    def __init__(self, store: PostgresStore) -> None:
        self.store = store
        assert store._writer is not None
        self.connection: Any = store._writer
        self.pid: int = self.connection.get_server_pid()
        self.is_gated = False
        self._go = asyncio.Event()
        self.waits = asyncio.Event()
        self.statements = 0
        store._writer = self  # type: ignore[assignment]

    async def execute(self, *asked: Any) -> Any:
        await self._pass()
        return await self.connection.execute(*asked)

    async def fetch(self, *asked: Any) -> Any:
        await self._pass()
        return await self.connection.fetch(*asked)

    async def close(self) -> None:
        await self.connection.close()

    def is_closed(self) -> bool:
        return bool(self.connection.is_closed())

    def terminate(self) -> None:
        self.connection.terminate()

    async def _pass(self) -> None:
        self.statements += 1
        if self.is_gated:
            self.waits.set()
            await self._go.wait()
            self._go.clear()

    def let_go(self) -> None:
        self.waits.clear()
        self._go.set()


class Two:
    """Two servers on one database, and a third connection that looks at them."""

    def __init__(self, sides: tuple[Side, Side], looker: Any, clock: ManualClock) -> None:
        self.sides = sides
        self.looker = looker
        self.clock = clock
        self.seen: Counter[str] = Counter()

    @classmethod
    async def open(cls, url: str) -> "Two":
        clock = ManualClock(now_ms=START_MS)
        sides = (Side(await PostgresStore.open(url, clock=clock)), Side(await PostgresStore.open(url, clock=clock)))
        return cls(sides, await asyncpg.connect(url), clock)

    async def close(self) -> None:
        for side in self.sides:
            await side.store.close()
        await self.looker.close()

    async def seed(self, scene: Scene) -> None:
        self.clock._now_ms = float(scene.world.now_ms)
        await self.looker.execute(";".join(f"DELETE FROM aiki.{table}" for table in TABLES))
        await self.sides[0].store.transaction(Keys(), seeding(scene))

    async def count(self, scene: Scene, operation: Operation) -> int:
        """How many statements an operation takes when it is alone."""
        await self.seed(scene)
        side = self.sides[1]
        before = side.statements
        await do(side.store, operation)
        return side.statements - before

    async def interleave(self, scene: Scene, pair: tuple[Operation, Operation], order: Sequence[int]) -> Rows:
        """Do both at once, one statement of each side that `order` names, and return what is stored in the end."""
        await self.seed(scene)
        for side in self.sides:
            side.is_gated = True
            side.waits.clear()
        tasks = [asyncio.ensure_future(do(side.store, op)) for side, op in zip(self.sides, pair, strict=True)]
        try:
            async with asyncio.timeout(STUCK_S):
                for number in itertools.chain(order, itertools.cycle((0, 1))):
                    if all(task.done() for task in tasks):
                        break
                    await self._advance(number, tasks)
                    await self._rest(tasks)
        finally:
            for side in self.sides:
                side.is_gated = False
                side.let_go()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            task.result()
        return await rows_of_postgres(self.looker)

    async def _advance(self, number: int, tasks: Sequence["asyncio.Task[None]"]) -> None:
        side, task = self.sides[number], tasks[number]
        await self._settled(side, task)
        if side.waits.is_set():
            side.let_go()
            await self._settled(side, task)

    async def _rest(self, tasks: Sequence["asyncio.Task[None]"]) -> None:
        """Let a side go on to its next statement that was held up by a lock until now."""
        for side, task in zip(self.sides, tasks, strict=True):
            await self._settled(side, task)

    async def _settled(self, side: Side, task: "asyncio.Task[None]") -> None:
        """Return once a side stands before its next statement, has finished, or waits for a lock of the other."""
        while not (task.done() or side.waits.is_set()):
            waiting = asyncio.ensure_future(side.waits.wait())
            await asyncio.wait((waiting, task), timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if task.done() or side.waits.is_set():
                return
            if await self.looker.fetchval("SELECT cardinality(pg_blocking_pids($1)) > 0", side.pid):
                self.seen["held up by a lock"] += 1
                return


def orders(counts: tuple[int, int], *, most: int, seed: str) -> Iterator[tuple[int, ...]]:
    """The orders in which so many statements of two sides may come: all, or so many of them."""
    first, second = counts
    chance = random.Random(seed)
    in_turn = (0, 1) * min(counts)
    seen = {in_turn}
    yield in_turn
    for _ in range(most * 20):
        if len(seen) >= most:
            return
        mixed = [0] * first + [1] * second
        chance.shuffle(mixed)
        if tuple(mixed) not in seen:
            seen.add(tuple(mixed))
            yield tuple(mixed)
