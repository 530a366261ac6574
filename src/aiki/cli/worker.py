"""`aiki worker module:worker`: run workflows and tasks for a server elsewhere.

The rule: what the author's code says of its worker holds; options of the command are for workflows without one.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Annotated

from cyclopts import Parameter

from aiki.cli.interruption import run_until_signalled
from aiki.cli.loading import NotLoadable, Served, load
from aiki.cli.log import log_to_terminal
from aiki.cli.refusal import Refusal, refuse
from aiki.cli.working import NAME_DEFAULT, Working, worker_of
from aiki.worker.worker import Worker

__all__ = ["worker"]


def worker(
    target: str,
    /,
    *,
    url: str | None = None,
    name: str | None = None,
    pool: Annotated[list[str] | None, Parameter(negative=())] = None,
    max_concurrent_runs: int | None = None,
    redis: str | None = None,
    namespace: str | None = None,
) -> int:
    """Run the workflows and tasks of your code for a server, until Ctrl-C.

    Start as many as you like, on any machine that reaches the server. On Ctrl-C or SIGTERM it takes no more runs, lets
    running tasks finish for its shutdown_grace, and hands the rest back; Ctrl-C again ends that wait.

    For example:

        aiki worker orders:worker
        aiki worker orders.py --name kitchen-2 --max-concurrent-runs 20
        AIKI_API_KEY=aiki_... aiki worker orders --url https://aiki.example.com

    Args:
        target: module:worker (a Worker object, a workflow's version, or a list of them), or a module or FILE.py, of which
            all versions are served.
        url: The server's address; by default AIKI_URL, else http://localhost:9850. The key is taken from AIKI_API_KEY.
        name: What people see the worker as.
        pool: Serve this pool; may be given more than once.
        max_concurrent_runs: How many runs it owns at a time. [default: 100]
        redis: Find work in this Redis, where `aiki server --redis` shows it; by default AIKI_REDIS, else from the server.
        namespace: Of the runs that it serves. [default: default]
    """
    if url is not None:
        os.environ["AIKI_URL"] = url  # for the Client() of the target's module, too
    log_to_terminal()
    try:
        served = asyncio.run(load(target))
        given = {
            "--url": url,
            "--name": name,
            "--pool": pool,
            "--max-concurrent-runs": max_concurrent_runs,
            "--redis": redis,
            "--namespace": namespace,
        }
        _check(served, given)
        made = worker_of(
            served,
            name=name or NAME_DEFAULT,
            namespace=namespace or "default",
            pools=tuple(pool or ()),
            max_concurrent_runs=max_concurrent_runs,
            redis=redis or os.environ.get("AIKI_REDIS") or None,
        )
        working = Working(made, is_told=True)
        return working.end_threads(run_until_signalled(working.serve, again=working.hurry))
    except (NotLoadable, Refusal, ValueError) as error:
        print(getattr(error, "shown", ""), end="", file=sys.stderr)
        return refuse("worker", error)


def _check(served: Served, given: Mapping[str, object]) -> None:
    """Refuse options that would contradict a Worker object."""
    if not isinstance(served, Worker):
        return
    said = [option for option, value in given.items() if value is not None and option != "--url"]
    if said:
        raise Refusal(
            f"{said[0]} is for workflows, and the target is a Worker, whose code says this itself. Change it there, or"
            " leave the name away, so that all versions of the module are served."
        )
    if given["--url"] is not None and served.client.url.rstrip("/") != str(given["--url"]).rstrip("/"):
        raise Refusal(
            f"--url is {given['--url']}, and the worker's own code says {served.client.url}. Write Client() there, so that"
            " the address comes from outside."
        )
