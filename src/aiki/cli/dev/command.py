"""The command `aiki dev`: everything that it takes to work on workflows.

The rule: it prints a line for what happens to runs and to the code, and none for a request; and it leaves no process.
"""

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from aiki.cli.databases import database_of, shown
from aiki.cli.dev.news import News
from aiki.cli.dev.post import Post
from aiki.cli.interruption import run_until_signalled
from aiki.cli.loading import check_there
from aiki.cli.log import log_to_terminal, logger
from aiki.cli.refusal import Refusal, refuse
from aiki.cli.serving import serving
from aiki.clock import SystemClock
from aiki.sdk.http_address import URL_DEFAULT
from aiki.server.api.serve import PORT_DEFAULT, loop_factory

__all__ = ["dev"]

TICK_S: Final = 0.05
TICKS_UNTIL_TOLD: Final = 10
LEAVE_TICKS_MAX: Final = 1_400  # 70 s: longer than `LEAVE_MS_MAX` of a post


def dev(*targets: str, database: str | None = None, host: str = "localhost", port: int = PORT_DEFAULT) -> int:
    """Serve runs and work on them, in one command, with reload.

    A server on this port and file, and a worker for each target: a FILE.py
    or a module, of which all workflows are served, or module:worker. When
    their files change, new code is loaded in a new process; where that fails,
    the error is shown and the old code goes on. Without targets it is a
    server alone.

    For example:

        aiki dev orders.py
        aiki dev shop.orders:worker shop/reports.py
        aiki dev --port 9900 --database /tmp/try.db

    Args:
        targets: FILE.py, module, or module:worker.
        database: The SQLite file, made if it is not there; `:memory:` keeps nothing; or postgresql://user@host/name. By
            default AIKI_DATABASE, else aiki.db.
        host: Where to listen.
        port: 0 for any that is free.
    """
    command = _Dev(targets, database=database_of(database), host=host, port=port)
    log_to_terminal()
    try:
        for target in targets:
            check_there(target)
        return run_until_signalled(command.run, again=command.hurry, loop_factory=loop_factory())
    except Refusal as error:
        return refuse("dev", error)


class _Dev:
    """One such command."""

    def __init__(self, targets: tuple[str, ...], *, database: str, host: str, port: int) -> None:
        self._targets = tuple(dict.fromkeys(targets))
        self._database = database
        self._host = host
        self._port = port
        self._posts: list[Post] = []

    async def run(self) -> int:
        """Serve until cancelled."""
        async with serving(self._database, host=self._host, port=self._port) as (server, place):
            server.observers.append(News(logger.info).note)
            logger.info("Aiki serves %s on %s. Ctrl-C stops it.", shown(self._database), place.url)
            if place.url != URL_DEFAULT:
                logger.info("For other terminals:  export AIKI_URL=%s", place.url)
            if not self._targets:
                logger.info("No worker yet. Start one:  aiki worker module:worker   or all in one:  aiki dev FILE.py")
            with tempfile.TemporaryDirectory(prefix="aiki-dev-", ignore_cleanup_errors=True) as folder:
                await self._work(Path(folder), url=place.url)
        raise AssertionError("it serves until it is cancelled")

    def hurry(self) -> None:
        """Wait for no task any more."""
        for post in self._posts:
            post.hurry()

    async def _work(self, folder: Path, *, url: str) -> None:
        clock = SystemClock()
        try:
            for number, target in enumerate(self._targets):
                place = folder / str(number)
                place.mkdir()
                self._posts.append(Post(target, folder=place, environment={"AIKI_URL": url}, clock=clock))
            while True:
                for post in self._posts:
                    post.look()
                await asyncio.sleep(TICK_S)
        finally:
            try:
                await self._leave()
            finally:
                for post in self._posts:
                    post.kill()

    async def _leave(self) -> None:
        """Let the workers finish; the server is there until they have."""
        with suppress(OSError):  # the terminal itself may be gone
            logger.info("Aiki stops. All runs are in %s.", shown(self._database))
        for post in self._posts:
            post.stop()
        for tick in range(LEAVE_TICKS_MAX):
            for post in self._posts:
                post.look_at_leaving()
            if all(post.is_gone for post in self._posts):
                return
            if tick == TICKS_UNTIL_TOLD:
                logger.info("the workers finish their tasks, Ctrl-C again to stop now")
            await asyncio.sleep(TICK_S)
