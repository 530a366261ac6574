"""Postgres as a road between its own servers: LISTEN and NOTIFY, on a connection of its own.

The rule: news is told after the commit and never within it, for a transaction that notifies makes all others wait for
their turn to commit. What gathers while one notification is on its way goes with the next.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import asyncpg

from aiki.server.hints import Heard, News, is_cancelled, merged, packed, unpacked
from aiki.store.postgres.address import Address
from aiki.store.postgres.connecting import Connection, connect

__all__ = ["PostgresRoad"]

PENDING_MAX: Final = 10_000  # news that waits while the database is away; beyond it, it is dropped
PING_S: Final = 2.0  # how often a road on which nothing is told is tried
ANSWER_S: Final = 3.0  # and how long until it counts as broken
BACKOFF_S: Final = 0.1
BACKOFF_S_MAX: Final = 1.0
BROKEN: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection went away while it was at rest
)

_log = logging.getLogger("aiki.server")


class PostgresRoad:
    """One server's end of the road.

    Args:
        address: the database. Behind a pooler in transaction mode it is told and not heard, and the sweep does what it can.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._channel = f"aiki_{address.schema}"
        self._pending: list[News] = []
        self._has_pending = asyncio.Event()
        self._connection: Connection | None = None

    def publish(self, news: News) -> None:
        """Tell the others, soon."""
        if len(self._pending) < PENDING_MAX:
            self._pending.append(news)
            self._has_pending.set()

    async def listen(self, heard: Heard) -> None:
        """Tell and hear until cancelled, on one connection after another."""
        backoff_s = BACKOFF_S
        while not is_cancelled():
            try:
                self._connection = connection = await connect(self._address, {})
                if not self._address.is_pooled:
                    await connection.add_listener(self._channel, _hearing(heard))
                connection.add_termination_listener(lambda _: self._has_pending.set())
                heard(News("", is_cut=True))  # whatever was told until now was missed
                backoff_s = BACKOFF_S
                while not is_cancelled():
                    await self._tell(connection)
            except BROKEN as error:
                _log.info("nothing is heard of other servers for now: %s", error)
                await self.close()
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)

    async def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _tell(self, connection: Connection) -> None:
        """Tell what has gathered; if nothing does for a while, see whether anybody could be told."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PING_S):
                await self._has_pending.wait()
        self._has_pending.clear()
        told, self._pending = self._pending, []
        async with asyncio.timeout(ANSWER_S):
            if told:
                await connection.execute("SELECT pg_notify($1, $2)", self._channel, packed(merged(told)))
            else:
                await connection.execute("SELECT 1")


def _hearing(heard: Heard) -> Callable[[object, int, str, object], None]:
    def take(_connection: object, _pid: int, _channel: str, text: object) -> None:
        try:
            news = unpacked(str(text))
        except ValueError:  # of another version
            news = News("", is_cut=True)
        heard(news)

    return take
