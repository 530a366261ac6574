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


def run_until_signalled(
    command: Callable[[], Coroutine[Any, Any, int]],
    *,
    again: Callable[[], None] | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> int:
    """Run a command to its end, or until a signal cancels it.

    Only the first signal cancels: whoever presses Ctrl-C twice does not interrupt the tidying up, but may hurry it.

    Args:
        again: called at each further signal.
        loop_factory: makes the event loop; by default Python's own.

    Returns:
        The command's own exit status; 128 and the signal's number if one cancelled it.
    """
    received: list[int] = []
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[int]]] = []

    def receive(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        for loop, task in running:
            if len(received) == 1:
                loop.call_soon_threadsafe(task.cancel)
            elif again is not None:
                loop.call_soon_threadsafe(again)

    async def run() -> int:
        loop = asyncio.get_running_loop()
        task = loop.create_task(command())
        running.append((loop, task))
        if received:
            task.cancel()
        try:
            status = await task
        except asyncio.CancelledError:
            if not received:
                raise
            return STATUS_OF_SIGNALS + received[0]
        finally:
            running.clear()
        return status

    # What is ignored stays ignored: so a shell starts what it runs in the background.
    ours = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    for number in ours:
        signal.signal(number, receive)
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(run())
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
