"""How a command ends when it is asked to: by Ctrl-C, SIGTERM, or a terminal that closes.

The rule: a signal cancels the command's one task, and nothing else. So whatever the command has opened is closed by
its own `finally`, no traceback is printed, and the exit status says which signal it was, as shells expect.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, Final

__all__ = ["run_until_signalled"]

SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
STATUS_OF_SIGNALS: Final = 128


def run_until_signalled(command: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run a command to its end, or until a signal cancels it.

    Only the first signal counts: whoever presses Ctrl-C twice does not interrupt the tidying up.

    Returns:
        The command's own exit status; 128 and the signal's number if one cancelled it.
    """
    received: list[int] = []
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[int]]] = []

    def receive(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:
            for loop, task in running:
                loop.call_soon_threadsafe(task.cancel)

    async def run() -> int:
        loop = asyncio.get_running_loop()
        task = loop.create_task(command())
        running.append((loop, task))
        if received:
            task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            if not received:
                raise
            return STATUS_OF_SIGNALS + received[0]
        finally:
            running.clear()

    # What is ignored stays ignored: so a shell starts what it runs in the background.
    ours = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    for number in ours:
        signal.signal(number, receive)
    try:
        return asyncio.run(run())
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
