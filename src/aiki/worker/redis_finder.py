"""How ready runs are taken out of Redis: in turn from each queue, so that a busy one does not starve a quiet one.

The rule: a run that is taken is gone from here, whatever becomes of it. The server shows again what nobody claims.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from aiki.errors import InvalidInput, Unavailable
from aiki.model.ready import queue_key, session_key
from aiki.model.run import Queue

__all__ = ["RedisFinder"]

BLOCK_S: Final = 0.5  # how long one look waits for the first run
TIMEOUT_S: Final = 1.25  # and how long until Redis counts as away

# Takes up to ARGV[1] runs, one from each key in turn. KEYS: the runs kept by this worker first, then its queues.
TAKE: Final = """
local found, limit, left = {}, tonumber(ARGV[1]), true
while left and #found < limit do
  left = false
  for _, key in ipairs(KEYS) do
    if #found < limit then
      local popped = redis.call('ZPOPMIN', key)
      if popped[1] then found[#found + 1] = popped[1]; left = true end
    end
  end
end
return found
"""


class RedisFinder:
    """A worker's connection to Redis.

    Args:
        url: of Redis.
        prefix: of all keys.

    Raises:
        InvalidInput: the URL is none.
    """

    def __init__(self, url: str, *, prefix: str) -> None:
        try:
            self._redis: Redis = Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
        except ValueError as error:
            raise InvalidInput(f"redis cannot be reached there: {error}", path="subscriber") from error
        self._prefix = prefix
        self._take = self._redis.register_script(TAKE)

    @property
    def place(self) -> str:
        """Where Redis is, without anything secret."""
        known = self._redis.connection_pool.connection_kwargs
        return str(known.get("path") or f"{known.get('host', 'localhost')}:{known.get('port', 6379)}")

    async def find(self, queues: Sequence[Queue], *, session_id: str, limit: int) -> list[str]:
        """Return the ids of at most `limit` runs that are ready, waiting for the first of them for a moment.

        Raises:
            Unavailable: Redis cannot be reached.
        """
        keys = [session_key(self._prefix, session_id), *(queue_key(self._prefix, queue) for queue in queues)]
        try:
            found: list[bytes] = await self._take(keys=keys, args=[limit])
            if not found:
                popped: Any = await self._redis.bzpopmin(keys, BLOCK_S)
                found = [popped[1]] if popped else []
        except (RedisError, OSError) as error:
            raise Unavailable(f"Redis at {self.place} does not answer: {error}") from error
        return [run_id.decode() for run_id in found]

    async def close(self) -> None:
        """Let go of the connections."""
        with suppress(RedisError, OSError):
            await self._redis.aclose()
