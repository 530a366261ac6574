"""A worker that a command runs: it waits for its server, serves until it is cancelled, and ends with what it has begun.

The rule: while the server is away it says so once and goes on by itself; a run that it must give up goes back at once.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from typing import Any, Final

from aiki.cli.loading import Served
from aiki.cli.log import logger
from aiki.cli.printing import flush
from aiki.cli.refusal import Refusal
from aiki.errors import AikiError, Unavailable
from aiki.model.views import RunFilter
from aiki.sdk.client import Client
from aiki.sdk.workflow import Version
from aiki.worker.subscribers import RedisSubscriber
from aiki.worker.worker import Worker

__all__ = ["NAME_DEFAULT", "Working", "served_words", "worker_of"]

NAME_DEFAULT: Final = "worker"
LOOK_S: Final = 0.25  # between two looks for the server
WORDS_VERSIONS_MAX: Final = 6


def worker_of(
    served: Served,
    *,
    name: str,
    namespace: str = "default",
    pools: tuple[str, ...] = (),
    max_concurrent_runs: int | None = None,
    redis: str | None = None,
) -> Worker:
    """Return the worker itself, or one for the versions.

    Raises:
        Refusal: two versions bear one name, a setting is out of bounds, or a type hint cannot be carried.
    """
    if isinstance(served, Worker):
        return served
    more: dict[str, Any] = {} if max_concurrent_runs is None else {"max_concurrent_runs": max_concurrent_runs}
    try:
        for version in served:
            version.announced()
        if redis is not None:
            more["subscriber"] = RedisSubscriber(redis)
        return Worker(Client(namespace=namespace), served, name=name, pools=pools, **more)
    except (AikiError, TypeError, ValueError) as error:
        raise Refusal(str(error)) from error


def served_words(versions: tuple[Version[..., Any, Any], ...]) -> str:
    """Return what is served, in words."""
    words = [f"{version.workflow} {version.version}" for version in versions]
    more = f" and {len(words) - WORDS_VERSIONS_MAX} more" if len(words) > WORDS_VERSIONS_MAX else ""
    return f"{', '.join(words[:WORDS_VERSIONS_MAX])}{more}"


class Working:
    """A worker at work.

    Args:
        is_told: say when it begins and ends, for the reader of its own terminal; what it finishes is always told.
    """

    def __init__(self, worker: Worker, *, is_told: bool) -> None:
        self._worker = worker
        self._called = "worker" if worker.name == NAME_DEFAULT else f"worker {worker.name}"
        self._is_told = is_told

    async def serve(self) -> int:
        """Serve until cancelled.

        Raises:
            Refusal: the server refuses the worker, or it cannot go on.
        """
        worker = self._worker
        async with AsyncExitStack() as open_parts:
            try:
                await open_parts.enter_async_context(worker.client)
                await self._announce(open_parts)
                if self._is_told:
                    served = served_words(worker.workflows)
                    logger.info("%s serves %s on %s. Ctrl-C stops it.", self._called, served, worker.client.url)
                await self._until_cancelled()
            except AikiError as error:
                raise Refusal(str(error)) from error
        raise AssertionError("it serves until it is cancelled")

    def hurry(self) -> None:
        """End the grace: tasks that still run are not waited for."""
        self._worker.hurry()

    def end_threads(self, status: int) -> int:
        """Return the exit status; where a task that was given up is still at work in its thread, end here with it."""
        if self._worker.has_given_up:
            flush()
            os._exit(status)
        return status

    async def _announce(self, open_parts: AsyncExitStack) -> None:
        """Enter the worker, once there is a server: its `context` is not made before."""
        client = self._worker.client
        while True:
            try:
                await client.transport.list(RunFilter(namespace=client.namespace, limit=1))
                await open_parts.enter_async_context(self._worker)
            except Unavailable as error:
                logger.warning("%s. Waiting for it.", str(error).rstrip("."))
                await asyncio.sleep(LOOK_S)
            else:
                return

    async def _until_cancelled(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            tasks = self._worker.tasks
            if tasks:
                again = ", Ctrl-C again to stop now" if self._is_told else ""
                logger.info("finishing %d task%s%s", tasks, "" if tasks == 1 else "s", again)
            elif self._is_told:
                logger.info("%s stops", self._called)
