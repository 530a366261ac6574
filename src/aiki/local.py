"""Server, worker and client in one process, on one SQLite file: nothing to install, nothing to configure.

The rule: it is put together from the same parts as a fleet, and they speak in the same messages; only the road between
them is shorter.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from os import PathLike
from typing import Any, Final, TypedDict, Unpack

from aiki.embedded import Server, on_port
from aiki.sdk.client import Client
from aiki.sdk.convert import Seconds
from aiki.sdk.schedule import ScheduledVersion
from aiki.sdk.workflow import Version
from aiki.worker.attempts import AroundTask
from aiki.worker.worker import Context, Worker

__all__ = ["NAME", "WorkerOptions", "local"]

NAME: Final = "local"


class WorkerOptions(TypedDict, total=False):
    """What may be said of the worker within; as of `Worker`."""

    name: str
    pools: Sequence[str]
    max_concurrent_runs: int
    max_parked_runs: int
    schedules: Sequence[ScheduledVersion]
    context: Context | None
    around_task: AroundTask | None
    shutdown_grace: Seconds


@asynccontextmanager
async def local(
    database: str | PathLike[str] = "aiki.db",
    workflows: Sequence[Version[..., Any, Any]] = (),
    *,
    port: int | None = None,
    namespace: str = "default",
    **options: Unpack[WorkerOptions],
) -> AsyncIterator[Client]:
    """Run an embedded server and a worker, and give a client for them.

    Durable in one file; what was under way when the process died goes on when the file is opened again.

    Args:
        database: the SQLite file; `":memory:"` for a throw-away.
        workflows: the versions that are served. With none, runs are accepted and wait.
        port: where the HTTP API is served too, on this machine's own address: for `aiki runs`, `BlockingClient` and browsers;
            0 for any port that is free. `client.url` says where. None: nowhere.
        namespace: the namespace of client and worker.
        options: those of the worker: `name`, `pools`, `max_concurrent_runs`, `max_parked_runs`, `schedules`, `context`,
            `around_task`, `shutdown_grace`.

    Raises:
        DatabaseInUse: another process, or another `aiki.local`, serves the file; it names the process, and its URL.
        OSError: the port cannot be listened on; where it is taken, with who holds it.

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
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(database, is_embedded=True))
        if port is not None:
            await stack.enter_async_context(on_port(server, port))
        client = await stack.enter_async_context(server.client(namespace))
        if workflows or options.get("schedules"):
            options.setdefault("name", NAME)
            await stack.enter_async_context(Worker(client, workflows, **options))
        yield client
