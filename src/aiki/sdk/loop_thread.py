"""An event loop in a thread of its own, where a blocking client's calls are made.

The rule: each client has one, started with its first call, where the calls of all threads meet, so that they share
requests as tasks do. A call takes its caller's context along; a caller that is interrupted cancels it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from aiki.sdk.client import Client

__all__ = ["LoopThread"]

STOP_S: Final = 10  # how long it is waited for, at most, that a loop's thread ends
LOOKUP_THREADS_MAX: Final = 4  # names of hosts, and the import of what speaks HTTP

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread of its own, with an open client."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._loop = asyncio.new_event_loop()
        # Of our own, for asyncio's is ended with a thread, and at a program's end none can be started.
        self._lookups = ThreadPoolExecutor(LOOKUP_THREADS_MAX, thread_name_prefix="aiki-blocking-lookup")
        self._loop.set_default_executor(self._lookups)
        self._loop.run_until_complete(client.__aenter__())
        self._thread = threading.Thread(target=self._run, name="aiki-blocking", daemon=True)
        self._thread.start()

    def submit(self, call: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Begin a call; before `stop`, never after it."""
        try:
            return asyncio.run_coroutine_threadsafe(call, self._loop)
        except RuntimeError as error:
            call.close()
            raise RuntimeError("the client's thread has ended, for the program ends or a call ended it") from error

    def stop(self) -> None:
        """End all calls, the client and the thread. The garbage collector, too, may call it, in whatever thread."""
        with contextlib.suppress(RuntimeError):  # a call has ended the loop, with SystemExit
            self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join(STOP_S)

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._end())
            self._loop.close()
            self._lookups.shutdown()

    async def _end(self) -> None:
        await self.client.__aexit__(None, None, None)
        calls = asyncio.all_tasks() - {asyncio.current_task()}
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
