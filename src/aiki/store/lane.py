"""Where a connection's jobs are done, one after the other: in the caller's thread, or in one of its own.

The rule: a connection is made, used and closed in one lane and seen by no other; a job whose caller has gone is done
all the same.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

from aiki.errors import Unavailable

__all__ = ["InlineLane", "Job", "Lane", "ThreadLane"]

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]

LOOK_UP_S: Final = 1.0  # how often an idle thread looks whether the program is about to end without closing it


class Lane(Protocol):
    """A connection and the jobs that are done on it, in order."""

    async def do(self, job: Job[T]) -> T:
        """Do a job and return what it returned, or raise what it raised."""
        ...

    async def close(self) -> None:
        """Do what was asked for before, then close the connection."""
        ...


class InlineLane:
    """Jobs are done at once, where they are asked for: for tests and simulation."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._is_closed = False

    async def do(self, job: Job[T]) -> T:
        """Do a job without giving way to anyone."""
        if self._is_closed:
            raise Unavailable("the database is closed")
        return job(self._connection)

    async def close(self) -> None:
        """Close the connection."""
        if not self._is_closed:
            self._is_closed = True
            self._connection.close()


class ThreadLane:
    """Jobs are done in a thread that owns the connection, so that no fsync stops the caller's event loop."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], *, name: str) -> None:
        self._connect = connect
        self._jobs: queue.SimpleQueue[tuple[Job[Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name=name)

    async def open(self) -> None:
        """Start the thread and make the connection.

        Raises:
            BaseException: whatever `connect` raised; the thread has then ended.
        """
        self._thread.start()
        try:
            await self.do(lambda _connection: None)
        except BaseException:
            await self.close()
            raise

    async def do(self, job: Job[T]) -> T:
        """Do a job in the thread."""
        if self._is_closed:
            raise Unavailable("the database is closed")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put((job, answer))
        return await answer

    async def close(self) -> None:
        """Let the thread finish what it was given, and wait for its end."""
        if not self._is_closed:
            self._is_closed = True
            self._jobs.put(None)
            self._thread.join()

    def _work(self) -> None:
        try:
            connection = self._connect()
        except BaseException as error:  # noqa: BLE001 - told to everyone who asks
            while (asked := self._next()) is not None:
                _tell(asked[1], error=error)
            return
        try:
            while (asked := self._next()) is not None:
                job, answer = asked
                try:
                    result = job(connection)
                except BaseException as error:  # noqa: BLE001 - told to who asked
                    _tell(answer, error=error)
                else:
                    _tell(answer, result=result)
                    del result
                del asked, job, answer  # what was asked is not kept alive while nothing is
        finally:
            connection.close()

    def _next(self) -> tuple[Job[Any], asyncio.Future[Any]] | None:
        while True:
            try:
                return self._jobs.get(timeout=LOOK_UP_S)
            except queue.Empty:
                if not threading.main_thread().is_alive():
                    return None


def _tell(answer: asyncio.Future[Any], *, result: object = None, error: BaseException | None = None) -> None:
    with suppress(RuntimeError):  # its loop is closed: nobody listens
        answer.get_loop().call_soon_threadsafe(_settle, answer, result, error)


def _settle(answer: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if answer.done():  # whoever asked has gone
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(result)
