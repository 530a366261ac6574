"""Postgres where time is virtual: the real store and a real server, whose answers take no time.

The rule: while anything is asked of the database, the clock does not jump. What a test keeps in memory or in a file is here
kept in the one database that the test has; memory begins without any rows.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from aiki.clock import Clock
from aiki.model.working_set import Keys
from aiki.store.base import Decision, Transaction
from aiki.store.postgres.address import Address
from aiki.store.postgres.connecting import new_pool
from aiki.store.postgres.store import PostgresStore
from aiki.store.rows import Columns
from aiki.testing.virtual import VirtualTime
from tests.postgres import emptied

__all__ = ["InNoTime"]


class InNoTime(PostgresStore):
    """A store for which no time passes. It is opened as one on SQLite is, with whose place it changes."""

    url = ""

    @classmethod
    async def instead(cls, path: Path | None, *, clock: Clock, inline: bool = False) -> Self:
        """Open the database of the test."""
        time = VirtualTime.of(asyncio.get_running_loop())
        with time.held():
            if path is None:
                await emptied(cls.url)
            address = Address.of(cls.url)
            store = cls(address, await new_pool(address), clock=clock)
        store.time = time
        store.is_shared = False
        return store

    time: VirtualTime

    async def _transact(self, keys: Keys, decide: Decision) -> Transaction:
        with self.time.held():
            return await super()._transact(keys, decide)

    async def _fetch(self, text: str, values: Sequence[Any], *, is_search: bool) -> Sequence[Columns]:
        with self.time.held():
            return await super()._fetch(text, values, is_search=is_search)

    async def close(self) -> None:
        with self.time.held():
            await super().close()
