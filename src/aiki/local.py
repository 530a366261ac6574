"""Server, worker and client in one process, on one SQLite file: nothing to install, nothing to configure.

The rule: it is put together from the same parts as a fleet, and they speak in the same messages; only the road between
them is shorter.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from os import PathLike
from typing import Any

from aiki.embedded import Server
from aiki.sdk.client import Client
from aiki.sdk.convert import Seconds
from aiki.sdk.workflow import Version
from aiki.worker.attempts import AroundTask
from aiki.worker.worker import Context, Worker

__all__ = ["local"]


@asynccontextmanager
async def local(
    database: str | PathLike[str] = "aiki.db",
    workflows: Sequence[Version[..., Any, Any]] = (),
    *,
    namespace: str = "default",
    name: str = "local",
    pools: Sequence[str] = (),
    max_concurrent_runs: int = 100,
    max_parked_runs: int = 1000,
    context: Context | None = None,
    around_task: AroundTask | None = None,
    shutdown_grace: Seconds = 10.0,
) -> AsyncIterator[Client]:
    """Run an embedded server and a worker, and give a client for them.

    Durable in one file; what was under way when the process died goes on when the file is opened again.

    Args:
        database: the SQLite file; `":memory:"` for a throw-away.
        workflows: the versions that are served. With none, runs are accepted and wait.
        namespace: the namespace of client and worker.
        name: what the worker is called.
        pools, max_concurrent_runs, max_parked_runs, context, around_task, shutdown_grace: as of `Worker`.

    Raises:
        DatabaseInUse: another process, or another `aiki.local`, serves the file.

    >>> import asyncio
    >>> from aiki.sdk.run import Run
    >>> from aiki.sdk.workflow import workflow
    >>> hello = workflow("hello")
    >>> @hello.version("1.0.0")
    ... async def hello_v1(run: Run, name: str) -> str:
    ...     return f"Hello {name}"
    >>> async def main() -> str:
    ...     async with local(":memory:", workflows=[hello_v1]) as client:
    ...         handle = await hello_v1.start(client, "Ada")
    ...         return await handle.result()
    >>> asyncio.run(main())
    'Hello Ada'
    """
    async with Server(database, is_embedded=True) as server, server.client(namespace) as client:
        if not workflows:
            yield client
            return
        async with Worker(
            client,
            workflows,
            name=name,
            pools=pools,
            max_concurrent_runs=max_concurrent_runs,
            max_parked_runs=max_parked_runs,
            context=context,
            around_task=around_task,
            shutdown_grace=shutdown_grace,
        ):
            yield client
