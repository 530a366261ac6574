"""The store on Postgres: any number of servers, one database.

The rule: a transaction is answered once it is committed; if its outcome is unknown, that is said (`Unavailable`), and
whoever asked decides it again, from fresh rows. One connection writes, since the pipeline has one transaction under way;
a few others read what is committed.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache, partial
from typing import Any, Final, Self, TypeVar

import asyncpg

from aiki.clock import Clock, SystemClock
from aiki.errors import InvalidInput, Unavailable
from aiki.model.working_set import Keys
from aiki.store.base import Decision, StoreRefused, Transaction
from aiki.store.filtering import TOO_BROAD
from aiki.store.postgres import schema
from aiki.store.postgres.address import Address
from aiki.store.postgres.connecting import (
    CONNECT_S,
    READ_ONLY,
    WRITING,
    Connection,
    Pool,
    begin_text,
    connect,
    new_pool,
    transaction,
)
from aiki.store.postgres.failures import (
    is_connection_lost,
    is_refusal,
    transient_as_unavailable,
    unusable_as_invalid,
)
from aiki.store.postgres.loading import Unlocked, load, read_claims
from aiki.store.postgres.saving import TakenMeanwhile, save
from aiki.store.postgres.time import DatabaseClock
from aiki.store.reading import Question, Reading
from aiki.store.reads import Reads
from aiki.store.rows import Columns
from aiki.store.sql import Statement, numbered, statements, with_filters

__all__ = ["PostgresStore"]

TURNS_MAX: Final = 10  # of one transaction: each further one knows of more runs to lock, or of a key that was taken
TAKEN_MAX: Final = 3  # of these, those that found a key taken: a decision that asks for it again is to be refused
SEARCH_MS: Final = 5_000  # what one search may take
OPENINGS_MAX: Final = 4  # in about a second: a database that is just being restarted, say
READS_MAX: Final = 2  # a connection may have died while nobody used it
FIRST_PAUSE_S: Final = 0.1  # between two attempts to connect, then twice as long
LONGEST_PAUSE_S: Final = 1.0

READ: Final = {
    name: text for file in ("load", "read", "where") for name, text in statements(file, dialect="postgres").items()
}

T = TypeVar("T")

_log = logging.getLogger("aiki.store")


class PostgresStore(Reads):
    """A `Store` in a Postgres database. Make one with `open`.

    Attributes:
        clock: the time that judges, the database's.
        name: its URL without a password.
        is_shared: other servers may serve from it: always.
    """

    def __init__(self, address: Address, pool: Pool, *, clock: Clock) -> None:
        self.address = address
        self.name = address.shown
        self.is_shared = True
        self.clock = clock
        self._pool = pool
        self._writer: Connection | None = None
        self._pause_s = 0.0
        self._turn = asyncio.Lock()
        self._searches = asyncio.Semaphore(max(1, address.pool_size - 1))  # one connection is left to what is quick
        self._under_way: set[asyncio.Task[Transaction]] = set()
        self._is_closed = False
        self._begin = begin_text(address, WRITING, mode="READ COMMITTED")
        self._begin_read = begin_text(address, READ_ONLY, mode="READ COMMITTED READ ONLY")
        self._begin_search = f"{self._begin_read}; SET LOCAL statement_timeout = {SEARCH_MS}"  # judged where it runs

    @classmethod
    async def open(cls, database: str | Address, *, machine: Clock | None = None, clock: Clock | None = None) -> Self:
        """Open a database that is ready for this version.

        Args:
            machine: tells how much time has passed; by default the machine's clock.
            clock: rules instead of the database's time, where time is virtual.

        Raises:
            InvalidInput: the URL cannot be taken, or the database is not ready; the message says what to do.
            Unavailable: it cannot be reached.
        """
        address = database if isinstance(database, Address) else Address.of(database)
        store = cls(address, await new_pool(address), clock=clock or DatabaseClock(machine or SystemClock()))
        try:
            for attempt in range(1, OPENINGS_MAX + 1):
                try:
                    with transient_as_unavailable(), unusable_as_invalid(address.shown):
                        await schema.check(await store._writable(), address)
                except Unavailable:
                    if attempt == OPENINGS_MAX:
                        raise
                else:
                    return store
            raise AssertionError("the last attempt returns or raises")
        except BaseException as error:
            await store.close()
            if isinstance(error, Unavailable):
                raise Unavailable(f"{address.shown} cannot be reached: {error}") from error
            raise

    def tell(self, *, url: str | None) -> None:
        """Nobody is kept away from the database, so nobody has to be told who serves it."""

    async def close(self) -> None:
        """Finish what was asked for, and let go of the database."""
        self._is_closed = True
        await asyncio.gather(*self._under_way, return_exceptions=True)
        if self._writer is not None and not self._writer.is_closed():
            await self._writer.close()
        await self._pool.close()

    # -------------------------------------------------------------------------------------------------- transactions

    async def transaction(self, keys: Keys, decide: Decision) -> Transaction:
        """Load, decide, save, and read what new claims need; `Store.transaction`."""
        task = asyncio.get_running_loop().create_task(self._transact(keys, decide))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)  # a caller that goes away leaves it to be done

    async def _transact(self, keys: Keys, decide: Decision) -> Transaction:
        async with self._turn:
            with transient_as_unavailable():
                connection = await self._writable()
                try:
                    return await self._in_turns(connection, keys, decide)
                except BaseException as error:
                    await self._recover(connection, error)
                    raise

    async def _in_turns(self, connection: Connection, keys: Keys, decide: Decision) -> Transaction:
        """Do a transaction, and again where others have been faster."""
        also: set[str] = set()
        taken = 0
        for _ in range(TURNS_MAX):
            try:
                return await self._once(connection, keys, decide, also=also)
            except Unlocked as unlocked:
                also |= unlocked.run_ids
            except TakenMeanwhile:
                taken += 1
                if taken == TAKEN_MAX:
                    raise
            await connection.execute("ROLLBACK")
        raise Unavailable(f"the rows changed {TURNS_MAX} times while they were looked up")

    async def _once(self, connection: Connection, keys: Keys, decide: Decision, *, also: set[str]) -> Transaction:
        asked_ms = self.clock.monotonic_ms()
        await connection.execute(self._begin)
        with _refusal_of("load"):
            ws = await load(connection, keys, also=also, now=partial(self._now, asked_ms=asked_ms))
        loaded = dict(ws.runs)
        decide(ws)
        has_changed = await save(connection, ws, loaded=loaded)
        with _refusal_of("claims"):
            claimed = await read_claims(connection, ws)
        await connection.execute("COMMIT" if has_changed else "ROLLBACK")
        return Transaction(ws, claimed)

    def _now(self, database_ms: int, *, asked_ms: float) -> int:
        if not isinstance(self.clock, DatabaseClock):
            return self.clock.now_ms()
        self.clock.note(database_ms, asked_ms=asked_ms)
        return database_ms

    # --------------------------------------------------------------------------------------------------- connections

    async def _writable(self) -> Connection:
        """Return the connection that writes, made anew if it was lost: at once, then less and less often."""
        if self._is_closed:
            raise Unavailable("the database is closed")
        if self._writer is not None and not self._writer.is_closed():
            return self._writer
        if self._pause_s:
            await asyncio.sleep(self._pause_s)
        self._pause_s = min(max(FIRST_PAUSE_S, self._pause_s * 2), LONGEST_PAUSE_S)
        self._writer = await connect(self.address, WRITING)
        self._pause_s = 0.0
        return self._writer

    async def _recover(self, connection: Connection, error: BaseException) -> None:
        """Leave the connection without a transaction, or leave it altogether."""
        if (
            not isinstance(error, asyncio.CancelledError)
            and not is_connection_lost(error)
            and not connection.is_closed()
        ):
            try:
                await connection.execute("ROLLBACK")
            except Exception as broken:  # noqa: BLE001 - what went wrong first is what counts
                _log.warning("a transaction could not be rolled back: %s", broken)
            else:
                return
        connection.terminate()

    # --------------------------------------------------------------------------------------------------------- reads

    async def _read(self, reading: Reading[T]) -> T:
        try:
            question = next(reading)
            while True:  # bounded: a read asks a few questions
                question = reading.send(await self._answer(question))
        except StopIteration as done:
            found: T = done.value
            return found

    async def _answer(self, question: Question) -> Sequence[Columns]:
        statement = _statement(question.name, question.filters)
        values = _values(statement.names, question)
        with transient_as_unavailable():
            for attempt in range(1, READS_MAX + 1):
                try:
                    return await self._fetch(statement.text, values, is_search=question.is_search)
                except Exception as error:
                    if question.is_search and isinstance(error, asyncpg.QueryCanceledError):
                        raise InvalidInput(TOO_BROAD) from error
                    if is_refusal(error):
                        raise InvalidInput(f"the database cannot look for this: {error}", path=question.name) from error
                    if attempt == READS_MAX or not is_connection_lost(error):
                        raise
        raise AssertionError("the last attempt returns or raises")

    async def _fetch(self, text: str, values: Sequence[Any], *, is_search: bool) -> Sequence[Columns]:
        if self._is_closed:
            raise Unavailable("the database is closed")
        async with self._room_for(is_search=is_search), self._pool.acquire(timeout=CONNECT_S) as connection:
            if not self.address.is_pooled and not is_search:
                return list(map(tuple, await connection.fetch(text, *values)))
            async with transaction(connection, self._begin_search if is_search else self._begin_read):
                return list(map(tuple, await connection.fetch(text, *values)))

    @asynccontextmanager
    async def _room_for(self, *, is_search: bool) -> AsyncIterator[None]:
        if not is_search:
            yield
            return
        async with asyncio.timeout(CONNECT_S):
            await self._searches.acquire()
        try:
            yield
        finally:
            self._searches.release()


@contextmanager
def _refusal_of(statement: str) -> Iterator[None]:
    """Raise `StoreRefused` for rows of another version or another hand, that are damaged, or of a name that cannot be one."""
    try:
        yield
    except Exception as error:
        if not is_refusal(error):
            raise
        raise StoreRefused(f"a row cannot be understood: {error}", statement=statement) from error


@lru_cache(maxsize=1_000)
def _statement(name: str, filters: tuple[str, ...]) -> Statement:
    return numbered(with_filters(READ, name, filters))


def _values(names: Sequence[str], question: Question) -> list[Any]:
    """Return the values of a question, in the order of its places."""
    given = question.values
    columns = zip(*given["rows"], strict=True) if given.get("rows") else iter(())
    return [given[name] if name in given else next(columns, ()) for name in names]
