"""How a connection is made, and what is set on it before it is used.

The rule: whatever a statement relies on is set by us, never taken as found: the tables' place, plans that are made once and
find rows by their keys, and an end to transactions of which the server has lost the other side. Behind a pooler that hands
each transaction to another connection, it is set in each transaction.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import asyncpg

from aiki.model.ids import is_id
from aiki.store.postgres.address import Address

__all__ = [
    "CONNECT_S",
    "NIL",
    "READ_ONLY",
    "WRITING",
    "Connection",
    "Pool",
    "begin_text",
    "connect",
    "new_pool",
    "transaction",
]

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
PoolConnectionProxy: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

CONNECT_S: Final = 5.0
COMMAND_S: Final = 40.0  # beyond it the connection is given up
NIL: Final = "00000000-0000-0000-0000-000000000000"  # the id of nothing: what is no id names nothing

# A plan that was made while a table was small would otherwise go on reading it whole; and a writer that stands still, its
# machine suspended say, would hold its locks for good.
WRITING: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "15s",
    "statement_timeout": "30s",
}
READ_ONLY: Final = {"jit": "off", "statement_timeout": "30s", "idle_in_transaction_session_timeout": "10s"}


async def connect(address: Address, settings: Mapping[str, str], *, is_lenient: bool = False) -> Connection:
    """Return a connection.

    Args:
        settings: what is set on it.
        is_lenient: what is no id stands for none, as it does where people ask; else it is refused.
    """
    connection: Connection = await asyncpg.connect(
        address.url,
        timeout=CONNECT_S,
        command_timeout=COMMAND_S,
        statement_cache_size=address.statement_cache_size,
        max_cached_statement_lifetime=0,
        max_cacheable_statement_size=0,
        server_settings=None if address.is_pooled else _all(address, settings),
    )
    try:
        async with connection.transaction():  # its look at the types needs one and the same connection behind a pooler
            await connection.set_type_codec(
                "uuid", schema="pg_catalog", encoder=_id_or_nil if is_lenient else str, decoder=str, format="text"
            )
    except BaseException:
        connection.terminate()
        raise
    return connection


async def new_pool(address: Address) -> Pool:
    """Return a pool of connections that read; none is made before it is needed."""

    async def join(*_: object, **__: object) -> Connection:
        return await connect(address, READ_ONLY, is_lenient=True)

    async def stay(_: Connection) -> None:
        """Nothing is set on a connection that would have to be taken back."""

    return await asyncpg.create_pool(min_size=0, max_size=address.pool_size, connect=join, reset=stay)


def begin_text(address: Address, settings: Mapping[str, str], *, mode: str) -> str:
    """Return what begins a transaction."""
    begin = f"BEGIN ISOLATION LEVEL {mode}"
    if not address.is_pooled:
        return begin
    return "; ".join([begin, *(f"SET LOCAL {name} = '{value}'" for name, value in _all(address, settings).items())])


@asynccontextmanager
async def transaction(connection: Connection | PoolConnectionProxy, begin: str) -> AsyncIterator[None]:
    """Do what follows in one transaction."""
    await connection.execute(begin)
    try:
        yield
    except BaseException:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")


def _all(address: Address, settings: Mapping[str, str]) -> dict[str, str]:
    return {"search_path": address.schema, "application_name": "aiki", **settings}


def _id_or_nil(text: str) -> str:
    return text if is_id(text) else NIL
