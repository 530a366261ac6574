"""Where a worker may find work by itself: Redis, where servers that are told of it show what is ready.

The rule: importing this costs no driver. `aiki.worker.redis_finder`, which speaks with Redis, is imported by name when
a subscriber is made (docs/why.md).
"""

import importlib
from collections.abc import Sequence
from typing import Any, Final

from aiki.errors import InvalidInput
from aiki.model.ready import PREFIX_DEFAULT
from aiki.model.run import Queue

__all__ = ["RedisSubscriber"]

FINDER: Final = "aiki.worker.redis_finder"


class RedisSubscriber:
    """Finds work in Redis rather than through the server's long poll: `Worker(client, [...], subscriber=...)`.

    The servers are to show it there: `aiki server --redis URL`. While Redis is away, or the servers cannot reach it, the
    long poll brings work as ever; the worker comes back to Redis by itself.

    Args:
        url: `redis://host:6379/0`, `rediss://` for TLS, or `unix://`, with user and password where there are some.
        prefix: of all keys, as the servers have it.

    Raises:
        InvalidInput: the URL is none of Redis, or the driver is not installed.

    >>> RedisSubscriber("redis://localhost:6379/0")
    <RedisSubscriber at localhost:6379>
    """

    def __init__(self, url: str, *, prefix: str = PREFIX_DEFAULT) -> None:
        try:
            finder: Any = importlib.import_module(FINDER)
        except ModuleNotFoundError as error:
            raise InvalidInput(
                "RedisSubscriber needs the Redis driver: pip install 'aiki[redis]'", path="subscriber"
            ) from error
        self._finder = finder.RedisFinder(url, prefix=prefix)

    async def find(self, queues: Sequence[Queue], *, session_id: str, limit: int) -> list[str]:
        """Return the ids of at most `limit` runs that are ready, waiting for the first of them for a second at most.

        Raises:
            Unavailable: Redis cannot be reached.
        """
        found: list[str] = await self._finder.find(queues, session_id=session_id, limit=limit)
        return found

    async def close(self) -> None:
        """Let go of connections."""
        await self._finder.close()

    def __repr__(self) -> str:
        return f"<RedisSubscriber at {self._finder.place}>"
