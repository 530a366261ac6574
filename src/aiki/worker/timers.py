"""The timers of asyncio, which workflow code opens by `asyncio.sleep` and `asyncio.timeout`, as durable waits.

They have no names but the order of their creation, so code that has lost one since finds the entries of others. The
rule: whatever is recorded, no timer rings before the time that the code has asked for; what is left is waited for as a
call of its own.
"""

from math import ceil
from typing import Final

from aiki.model.journal import Entry, EntryKind
from aiki.worker.calls import Call, CallHost, Request
from aiki.worker.loop import WorkflowTimer

__all__ = ["MS_PER_S", "Timers"]

MS_PER_S: Final = 1000


class Timers:
    """The open timers of one run.

    Args:
        host: who takes their calls.
    """

    __slots__ = ("_calls", "_host")

    def __init__(self, host: CallHost) -> None:
        self._host = host
        self._calls: dict[WorkflowTimer, Call] = {}

    def open(self, timer: WorkflowTimer) -> None:
        """Wait for the time of a timer, and ring it."""
        until_ms = ceil(round(timer.when() * MS_PER_S, 3))  # never early; but seconds as floats are not exact
        self._wait(timer, Request(EntryKind.TIMER, "timer", until_ms=until_ms))

    def close(self, timer: WorkflowTimer) -> None:
        """Wait no longer: the timer was cancelled."""
        call = self._calls.pop(timer, None)
        if call is not None and call.is_open:
            self._host.withdraw(call)

    def _wait(self, timer: WorkflowTimer, request: Request) -> None:
        def settle(entry: Entry) -> None:
            remainder = request.remainder(entry)
            if remainder is not None:
                self._wait(timer, remainder)
                return
            self._calls.pop(timer, None)
            self._host.loop.ring(timer)

        self._calls[timer] = self._host.make(request, settle)
