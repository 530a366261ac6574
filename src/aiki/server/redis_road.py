"""Redis as a road between servers, and as the board on which workers find what is ready.

The rule: everything in it is disposable. It is written after the commit, in one round trip for all that has gathered,
and never waited for; what is lost with it is found in the database by the next sweep. While it is away, polls bring
work as they do without it, and it is tried again about once a second.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from aiki.errors import InvalidInput
from aiki.model import ready
from aiki.model.lifecycle import Status
from aiki.model.run import Queue, RunRow
from aiki.model.working_set import WorkingSet
from aiki.server.hints import Heard, News, is_cancelled, merged, packed, unpacked
from aiki.store.base import WaitingRun

__all__ = ["RedisRoad"]

PENDING_MAX: Final = 100_000  # runs and news that wait to be written; beyond it they are dropped
TTL_S: Final = 3_600  # a key that nobody writes to any more goes by itself
TIMEOUT_S: Final = 1.5
PING_S: Final = 1.0  # how often an idle road is tried
BACKOFF_S: Final = 0.1
BACKOFF_S_MAX: Final = 1.0
NEWS_BYTES_MAX: Final = 256 * 1024

_log = logging.getLogger("aiki.server")


class _Kept(NamedTuple):
    """A run that is shown to its keeper alone, until `due_s` on the loop's clock."""

    due_s: float
    run_id: str
    session_id: str
    queue: Queue
    score: float


class RedisRoad:
    """One server's connection to Redis.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://`, with user and password where there are some.
        kept_s: for how long a run whose code a worker has kept is shown to that worker alone.
        prefix: of all keys; servers of one database, and their workers, use the same.

    Raises:
        InvalidInput: the URL is none of Redis.

    Attributes:
        is_up: whether what is ready is published just now.
    """

    def __init__(self, url: str, *, kept_s: float, prefix: str = ready.PREFIX_DEFAULT) -> None:
        try:
            self._redis: Redis = Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
        except ValueError as error:
            raise InvalidInput(f"redis cannot be reached there: {error}", path="redis") from error
        self._prefix = prefix
        self._kept_s = kept_s
        self._news: list[News] = []
        self._shown: dict[str, dict[str, float]] = {}  # key → run id → score
        self._gone: dict[str, set[str]] = {}
        self._kept: deque[_Kept] = deque(maxlen=PENDING_MAX)  # all for the same time: the first to come is due first
        self._pending = 0
        self._has_pending = asyncio.Event()
        self.is_up = False

    # -------------------------------------------------------------------------------------------------------- telling

    def publish(self, news: News) -> None:
        """Tell the other servers, soon."""
        if self._has_room():
            self._news.append(news)
            self._has_pending.set()

    def show(self, ws: WorkingSet) -> None:
        """Show what a durable transaction has made ready, and take down what it has handed out."""
        for rows in (ws.changed_runs, ws.new_runs):
            for run_id in rows:
                row = ws.runs[run_id]
                if row.status is Status.QUEUED:
                    self._show_run(row)
        for claim in ws.claims.values():
            self._take_down(ready.queue_key(self._prefix, ws.runs[claim.run_id].queue), claim.run_id)

    def show_again(self, runs: Iterable[WaitingRun]) -> None:
        """Show runs that have been ready for a while: whoever found them, or Redis, may have lost them."""
        for run in runs:
            self._put(ready.queue_key(self._prefix, run.queue), run.id, ready.score_of(run.priority, run.due_at_ms))

    def _show_run(self, row: RunRow) -> None:
        score = ready.score_of(row.priority, row.due_at_ms or 0)
        if row.parked_on is None or self._kept_s <= 0:
            self._put(ready.queue_key(self._prefix, row.queue), row.id, score)
            return
        self._put(ready.session_key(self._prefix, row.parked_on), row.id, score)
        due_s = asyncio.get_running_loop().time() + self._kept_s
        self._kept.append(_Kept(due_s, row.id, row.parked_on, row.queue, score))

    def _release_kept(self) -> float:
        """Show to all what its keeper has had its moment for, and return how long until the next is due, a ping at most.

        If the keeper has taken it, claiming it finds so.
        """
        now_s = asyncio.get_running_loop().time()
        while self._kept and self._kept[0].due_s <= now_s:
            kept = self._kept.popleft()
            self._take_down(ready.session_key(self._prefix, kept.session_id), kept.run_id)
            self._put(ready.queue_key(self._prefix, kept.queue), kept.run_id, kept.score)
        return min(PING_S, self._kept[0].due_s - now_s) if self._kept else PING_S

    def _put(self, key: str, run_id: str, score: float) -> None:
        if self._has_room():
            self._gone.get(key, set()).discard(run_id)
            self._shown.setdefault(key, {})[run_id] = score
            self._has_pending.set()

    def _take_down(self, key: str, run_id: str) -> None:
        if self._has_room():
            self._shown.get(key, {}).pop(run_id, None)
            self._gone.setdefault(key, set()).add(run_id)
            self._has_pending.set()

    def _has_room(self) -> bool:
        self._pending += 1
        return self._pending <= PENDING_MAX

    # -------------------------------------------------------------------------------------------------------- working

    async def listen(self, heard: Heard) -> None:
        """Write what is to be told, and hear what others tell, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write())
            group.create_task(self._hear(heard))

    async def close(self) -> None:
        """Let go of the connections."""
        self.is_up = False
        with suppress(RedisError, OSError):
            await self._redis.aclose()

    async def _write(self) -> None:
        backoff_s = BACKOFF_S
        while not is_cancelled():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._release_kept()):
                    await self._has_pending.wait()
            self._release_kept()
            try:
                await self._write_pending()
            except (RedisError, OSError) as error:
                if self.is_up:
                    _log.warning("redis is away; polls bring what it would have shown: %s", error)
                self.is_up = False
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
            else:
                if not self.is_up:
                    _log.info("redis shows what is ready")
                self.is_up = True
                backoff_s = BACKOFF_S

    async def _write_pending(self) -> None:
        news, shown, gone = self._news, self._shown, self._gone
        self._news, self._shown, self._gone, self._pending = [], {}, {}, 0
        self._has_pending.clear()
        pipeline: Any = self._redis.pipeline(transaction=False)
        for key, members in gone.items():
            if members:
                pipeline.zrem(key, *members)
        for key, scores in shown.items():
            if scores:
                pipeline.zadd(key, scores)
                pipeline.expire(key, TTL_S)
        if news:
            pipeline.publish(ready.channel(self._prefix), packed(merged(news), bytes_max=NEWS_BYTES_MAX))
        pipeline.ping()
        await pipeline.execute()

    async def _hear(self, heard: Heard) -> None:
        backoff_s = BACKOFF_S
        while not is_cancelled():
            try:
                async with self._redis.pubsub() as listening:
                    await listening.subscribe(ready.channel(self._prefix))
                    heard(News("", is_cut=True))  # whatever was told until now was missed
                    backoff_s = BACKOFF_S
                    while not is_cancelled():
                        message: Any = await listening.get_message(ignore_subscribe_messages=True, timeout=PING_S)
                        if message is None:
                            await listening.ping()
                        elif message["type"] == "message":
                            _take(heard, message["data"])
            except (RedisError, OSError) as error:
                _log.info("nothing is heard of other servers for now: %s", error)
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)


def _take(heard: Heard, text: bytes) -> None:
    try:
        news = unpacked(text)
    except msgspec.DecodeError:  # of another version
        news = News("", is_cut=True)
    heard(news)
