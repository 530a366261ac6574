"""The database's time, as a server knows it between two looks at it.

The rule: it is never ahead of the database's own: what was true when the answer left has aged by at least the time since
it arrived. So no alarm rings early, whatever the clock of the machine says.
"""

from aiki.clock import Clock

__all__ = ["DatabaseClock"]


class DatabaseClock:
    """A `Clock` whose wall time is that of the database.

    Args:
        machine: tells how much time has passed, no more.

    >>> from aiki.clock import ManualClock
    >>> machine = ManualClock()
    >>> clock = DatabaseClock(machine)
    >>> clock.note(5_000)
    >>> machine.advance(seconds=1)
    >>> clock.note(5_900)
    >>> clock.now_ms()
    6000
    """

    def __init__(self, machine: Clock) -> None:
        self._machine = machine
        self._ahead_ms: float | None = None  # of the database's time before the machine's monotonic time

    def note(self, now_ms: int) -> None:
        """Learn what the database has just said."""
        ahead_ms = now_ms - self._machine.monotonic_ms()
        self._ahead_ms = ahead_ms if self._ahead_ms is None else max(self._ahead_ms, ahead_ms)

    def now_ms(self) -> int:
        """Return the database's time, or a little less; before its first answer, the machine's."""
        if self._ahead_ms is None:
            return self._machine.now_ms()
        return int(self._machine.monotonic_ms() + self._ahead_ms)

    def monotonic_ms(self) -> float:
        """Return the machine's monotonic time in milliseconds."""
        return self._machine.monotonic_ms()
