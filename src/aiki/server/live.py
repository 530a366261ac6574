"""What changes, told as it changes: what live views of runs read.

The rule: a transaction only notes rows in the log of a namespace that somebody reads, and each log holds a run once, as it
stands now, so that whoever reads slowly reads less and never late. It is a hint, like all that servers tell one another:
whoever has missed something is told so, and reads what is shown anew.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from aiki.clock import Clock
from aiki.config import Config
from aiki.errors import Unavailable
from aiki.model.changes import Changes, RunChange
from aiki.model.run import RunRow
from aiki.model.working_set import WorkingSet

__all__ = ["Live", "Reader"]

LOGGED_RUNS_MAX: Final = 1_000  # in each namespace that is read
TOLD_RUNS_MAX: Final = 200  # at once; of more, a reader is told that it has missed some
KEPT_MS: Final = 30_000  # a log whose last reader has gone: it may come back
MS_PER_S: Final = 1000


class _Log:
    """The runs of a namespace that changed last, each with the number of its last change.

    `floor` is the last number that is not told any more.
    """

    def __init__(self, *, number: int) -> None:
        self.rows: OrderedDict[str, tuple[int, RunRow]] = OrderedDict()
        self.number = self.floor = number
        self.stirred = asyncio.Event()
        self.readers = 0
        self.left_ms = 0.0

    def note(self, row: RunRow, *, number: int) -> None:
        self.number = number
        self.rows[row.id] = (number, row)
        self.rows.move_to_end(row.id)
        if len(self.rows) > LOGGED_RUNS_MAX:
            _, (self.floor, _) = self.rows.popitem(last=False)

    def forget(self, *, number: int) -> None:
        self.rows.clear()
        self.number = self.floor = number

    def stir(self) -> None:
        self.stirred.set()
        self.stirred = asyncio.Event()

    def after(self, number: int) -> list[RunRow] | None:
        """Return what has changed since a change, oldest first; None if that is too much, or not known any more."""
        found: list[RunRow] = []
        for changed, row in reversed(self.rows.values()):
            if changed <= number:
                break
            found.append(row)
            if len(found) > TOLD_RUNS_MAX:
                return None
        return None if number < self.floor else found[::-1]


class Reader:
    """One reader's place in a log."""

    def __init__(
        self,
        log: _Log,
        *,
        name: str,
        number: int | None,
        clock: Clock,
        config: Config,
        on_close: Callable[[_Log], None],
    ) -> None:
        self._log = log
        self._name = name
        self._number = number
        self._clock = clock
        self._config = config
        self._told_ms = float("-inf")
        self._on_close = on_close

    async def next(self) -> Changes:
        """Return what has changed since the last call: at once, but not more often than `live_gap_ms`.

        After `live_beat_ms` without a change the answer is empty; so that a connection that broke is noticed.
        """
        if self._number is not None and self._number == self._log.number:
            await self._change()
        pause_ms = self._told_ms + self._config.live_gap_ms - self._clock.monotonic_ms()
        if pause_ms > 0:
            await asyncio.sleep(pause_ms / MS_PER_S)
        rows = None if self._number is None else self._log.after(self._number)
        self._number = self._log.number
        self._told_ms = self._clock.monotonic_ms()
        mark = f"{self._name}.{self._number}"
        if rows is None:
            return Changes(mark, missed=True)
        return Changes(mark, runs=tuple(map(_change_of, rows)))

    def close(self) -> None:
        """Give the place back, once."""
        self._on_close(self._log)

    async def _change(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._config.live_beat_ms / MS_PER_S):
                await self._log.stirred.wait()


class Live:
    """The logs of one server.

    Args:
        name: of this life of the server: marks of another one are not known.
    """

    def __init__(self, name: str, *, clock: Clock, config: Config) -> None:
        self._name = name
        self._clock = clock
        self._config = config
        self._logs: dict[str, _Log] = {}
        self._readers = 0
        self._number = 0  # of the last change in any namespace: a log that is made anew counts on

    def note(self, ws: WorkingSet) -> None:
        """Learn of a transaction that is durable."""
        if not self._logs:
            return
        stirred: set[str] = set()
        for rows in ((new.row for new in ws.new_runs.values()), ws.changed_runs.values()):
            for row in rows:
                log = self._logs.get(row.namespace)
                if log is not None:
                    self._number += 1
                    log.note(row, number=self._number)
                    stirred.add(row.namespace)
        for namespace in stirred:
            self._logs[namespace].stir()

    def note_uncertainty(self) -> None:
        """Learn that changes may have been missed: all readers are told so."""
        self._number += 1
        for log in self._logs.values():
            log.forget(number=self._number)
            log.stir()

    def open(self, namespace: str, *, after: str | None = None) -> Reader:
        """Return a reader of a namespace, to be closed.

        Args:
            after: the mark of the last change that was read. With none, or one that is not known any more, the reader is
                told first that it has missed some.

        Raises:
            Unavailable: there are too many.
        """
        if self._readers >= self._config.live_readers_max:
            raise Unavailable(f"{self._readers:,} pages are told of changes already. Come back in a moment.")
        log = self._logs.setdefault(namespace, _Log(number=self._number))
        self._readers += 1
        log.readers += 1
        return Reader(
            log,
            name=self._name,
            number=self._number_of(after, log),
            clock=self._clock,
            config=self._config,
            on_close=self._closed,
        )

    def sweep(self) -> None:
        """Forget the logs that nobody reads."""
        silent_since_ms = self._clock.monotonic_ms() - KEPT_MS
        for namespace, log in list(self._logs.items()):
            if log.readers == 0 and log.left_ms < silent_since_ms:
                del self._logs[namespace]

    def _closed(self, log: _Log) -> None:
        self._readers -= 1
        log.readers -= 1
        log.left_ms = self._clock.monotonic_ms()

    def _number_of(self, mark: str | None, log: _Log) -> int | None:
        name, _, number = (mark or "").rpartition(".")
        if name != self._name or not number.isdecimal() or int(number) > log.number:
            return None
        return int(number)


def _change_of(row: RunRow) -> RunChange:
    return RunChange(
        id=row.id,
        status=row.status,
        workflow=row.workflow,
        version=row.version,
        version_no=row.version_no,
        attempt=row.attempt,
        seq=row.seq,
        reference_id=row.reference_id,
        parent_id=row.parent_id,
        why=row.why,
        started_at_ms=row.started_at_ms,
        finished_at_ms=row.finished_at_ms,
    )
