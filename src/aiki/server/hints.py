"""What servers of one database tell one another after a transaction, so that nobody has to look.

The rule: news is a hint and never a fact. It is published after the commit, once per batch, and may be lost, doubled or
late: whoever hears of it looks at the database, and whoever hears nothing finds the same with the next sweep.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Final, Protocol, TypeVar

import msgspec
from msgspec import Struct

from aiki.model.lifecycle import Status
from aiki.model.run import Queue
from aiki.model.working_set import WorkingSet
from aiki.store.base import WaitingRun

__all__ = [
    "NEWS_BYTES_MAX",
    "Alone",
    "Board",
    "Hints",
    "LocalHints",
    "LocalNetwork",
    "News",
    "is_cancelled",
    "merged",
    "news_of",
    "packed",
    "unpacked",
]

NEWS_BYTES_MAX: Final = 7_900  # what Postgres carries in one notification is 8,000

T = TypeVar("T")
Heard = Callable[["News"], None]


class News(Struct, frozen=True, omit_defaults=True, array_like=True):
    """What a transaction has changed that other servers' callers may wait for.

    Attributes:
        origin: the id of the server that tells; it does not listen to itself.
        queues: queues in which runs wait.
        ended: runs that have ended.
        sessions: sessions that own runs with new mail, or that lost some.
        alarm_at_ms: the earliest alarm that was set; None for none.
        has_announced: whether workers announced versions.
        is_cut: there was more than fits: look at everything.
    """

    origin: str
    queues: tuple[Queue, ...] = ()
    ended: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    alarm_at_ms: int | None = None
    has_announced: bool = False
    is_cut: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether it tells nothing."""
        return (
            not (self.queues or self.ended or self.sessions or self.has_announced or self.is_cut)
            and self.alarm_at_ms is None
        )


class Hints(Protocol):
    """A road between the servers of one database."""

    def publish(self, news: News) -> None:
        """Tell the others, soon. It neither waits nor fails: what cannot be told is dropped."""
        ...

    async def listen(self, heard: Heard) -> None:
        """Hear what others tell until cancelled. After every gap, news that `is_cut` is heard."""
        ...

    async def close(self) -> None:
        """Let go of connections. Nothing is published after it."""
        ...


class Board(Protocol):
    """Where workers find by themselves what is ready. It is a hint as well: nothing on it need be true."""

    @property
    def is_up(self) -> bool:
        """Whether what is ready is shown just now."""
        ...

    def show(self, ws: WorkingSet) -> None:
        """Show what a durable transaction has made ready, soon. It neither waits nor fails."""
        ...

    def show_again(self, runs: Iterable[WaitingRun]) -> None:
        """Show runs that have been ready for a while."""
        ...


class Alone:
    """The road of a server that has its database for itself: there is nobody to tell."""

    def publish(self, news: News) -> None:
        """Tell nobody."""

    async def listen(self, heard: Heard) -> None:
        """Hear nothing, until cancelled."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing is open."""


class LocalNetwork:
    """The road between servers of one process, in tests and simulation. `loses` decides what never arrives."""

    def __init__(self, *, loses: Callable[[News], bool] = lambda _: False) -> None:
        self.loses = loses
        self.listeners: list[Heard] = []

    def join(self) -> "LocalHints":
        """Return one server's end."""
        return LocalHints(self)


class LocalHints:
    """One server's end of a road within a process."""

    def __init__(self, network: LocalNetwork) -> None:
        self._network = network

    def publish(self, news: News) -> None:
        """Tell the others at the loop's next turn."""
        if not self._network.loses(news):
            for heard in self._network.listeners:
                asyncio.get_running_loop().call_soon(heard, news)

    async def listen(self, heard: Heard) -> None:
        """Hear what others tell until cancelled."""
        self._network.listeners.append(heard)
        try:
            await asyncio.Event().wait()
        finally:
            self._network.listeners.remove(heard)

    async def close(self) -> None:
        """Nothing is open."""


def is_cancelled() -> bool:
    """Whether the running task has been cancelled, though a driver on the way swallowed the error: end its loop."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def news_of(ws: WorkingSet, *, origin: str) -> News:
    """Return what others should hear of a durable transaction."""
    changed = [ws.runs[run_id] for rows in (ws.changed_runs, ws.new_runs) for run_id in rows]
    sessions = {ws.runs[run_id].session_id or "" for run_id in ws.mailed} | {released[0] for released in ws.released}
    sessions.discard("")
    alarms = [row.alarm_at_ms for row in changed] + [row.alarm_at_ms for row in ws.changed_schedules.values()]
    return News(
        origin,
        queues=tuple(sorted({row.queue for row in changed if row.status is Status.QUEUED})),
        ended=tuple(sorted(ws.ended)),
        sessions=tuple(sorted(sessions)),
        alarm_at_ms=min((at_ms for at_ms in alarms if at_ms is not None), default=None),
        has_announced=bool(ws.new_announcements),
    )


def merged(news: Collection[News]) -> News:
    """Return as one what was told one after the other, by one server."""
    first, *_ = news
    alarms = [one.alarm_at_ms for one in news if one.alarm_at_ms is not None]
    return News(
        first.origin,
        queues=_union(one.queues for one in news),
        ended=_union(one.ended for one in news),
        sessions=_union(one.sessions for one in news),
        alarm_at_ms=min(alarms, default=None),
        has_announced=any(one.has_announced for one in news),
        is_cut=any(one.is_cut for one in news),
    )


def packed(news: News, *, bytes_max: int = NEWS_BYTES_MAX) -> str:
    """Return news as text of at most `bytes_max` bytes; what does not fit is left off, and `is_cut` says so.

    >>> unpacked(packed(News("s-1", ended=("run-1",)))).ended
    ('run-1',)
    """
    text = msgspec.json.encode(news)
    if len(text) > bytes_max:
        text = msgspec.json.encode(News(news.origin, alarm_at_ms=news.alarm_at_ms, is_cut=True))
    return text.decode()


def unpacked(text: str | bytes) -> News:
    """Return the news in a text.

    Raises:
        msgspec.DecodeError: it is none, or one of another version.
    """
    return _decode(text)


_decode: Final = msgspec.json.Decoder(News).decode


def _union(parts: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(item for part in parts for item in part))
