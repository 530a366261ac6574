"""A shop whose customers do not await: its workflows, and the programs that tests run in processes of their own.

    python blocking_shop.py interrupted|forked|left_open URL

Each program prints what it saw, a line for each thing, and ends; a test reads that.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiki import (
    BlockingClient,
    Event,
    Events,
    NotAllowedInWorkflow,
    Run,
    Unavailable,
    Version,
    current_task,
    task,
    workflow,
)

hello = workflow("hello")
order = workflow("order")
broken = workflow("broken")
meddling = workflow("meddling")


@dataclass
class Order:
    order_id: str
    seats: int = 1


class OrderEvents(Events):
    accepted: Event[int]
    noted: Event[None]


class OtherEvents(Events):
    paid: Event[int]


@task
def greeted_by_another_run(url: str, name: str) -> str:
    with BlockingClient(url) as client:
        return hello_v1.options(reference_id=current_task().idempotency_key).start(client, name).result()


@hello.version("1.0.0")
async def hello_v1(run: Run, name: str) -> str:
    return f"Hello {name}"


@order.version("1.0.0", events=OrderEvents)
async def order_v1(run: Run[OrderEvents], order: Order) -> dict[str, str | int]:
    run.set("seats", order.seats)
    accepted = await run.events.accepted.wait()
    await run.sleep("ride", days=1)
    return {"order": order.order_id, "minutes": accepted.data}


@broken.version("1.0.0")
async def broken_v1(run: Run) -> None:
    raise LookupError("no such dish")


@meddling.version("1.0.0")
async def meddling_v1(run: Run, url: str) -> str:
    client = BlockingClient(url)
    try:
        hello_v1.start(client, "Ada")
    except NotAllowedInWorkflow as error:
        return f"{error} {await greeted_by_another_run.start(run, url, 'Ada')}"
    return "nobody minds"


VERSIONS: list[Version[..., Any, Any]] = [hello_v1, order_v1, broken_v1, meddling_v1]


# ------------------------------------------------------------------------------------------------------------ programs


def interrupted(url: str) -> None:
    """Wait for what does not come until SIGINT, and go on with the same client."""
    with BlockingClient(url) as client:
        handle = order_v1.start(client, Order("o-1"))
        print(handle.id, flush=True)
        try:
            handle.result()
        except KeyboardInterrupt:
            print("interrupted", hello_v1.start(client, "Ada").result(), handle.cancel())
    print(*_threads())


def forked(url: str) -> None:
    """Use a client, a handle and the parent's connections on both sides of a fork, as a preforking server may."""
    client = BlockingClient(url)
    unused = BlockingClient(url)
    handle = hello_v1.start(client, "parent")
    handle.result()
    child = os.fork()
    if child == 0:
        try:
            handle.info()
        except RuntimeError as error:
            print(str(error).partition(",")[0].replace(handle.id, "RUN"))
        print(hello_v1.start(client, "child").result(), hello_v1.start(unused, "first").result(), flush=True)
        sys.exit()
    print("child ended with", os.waitpid(child, 0)[1])
    print(handle.info().status, hello_v1.start(client, "again").result())


def left_open(url: str) -> None:
    """Begin with one that is collected; end while another still waits in a thread."""
    client = BlockingClient(url)
    print(hello_v1.start(client, "Ada").result())
    del client
    print(*_threads())
    waiting = order_v1.start(BlockingClient(url), Order("o-1"))
    begun = threading.Event()
    threading.Thread(target=_wait, args=(waiting.result, begun), daemon=True).start()
    begun.wait()


def _wait(result: Callable[[], object], begun: threading.Event) -> None:
    begun.set()
    with contextlib.suppress(Unavailable, RuntimeError):  # closed while it waits, or before
        result()


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("aiki-blocking")]


if __name__ == "__main__":
    {"interrupted": interrupted, "forked": forked, "left_open": left_open}[sys.argv[1]](sys.argv[2])
