"""The database's time, as a server knows it between two looks at it.

The rule: it is never ahead of the database's own: what was true when the answer left has aged by at least the time since
it arrived. So no alarm rings early, whatever the clock of the machine says. What an answer says cannot be older than its
question: where that contradicts what was known, the database's clock was set back, or the machine's runs faster.
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
    >>> clock.note(5_000, asked_ms=machine.monotonic_ms())
    >>> machine.advance(seconds=1)
    >>> clock.note(5_900, asked_ms=machine.monotonic_ms() - 200)
    >>> clock.now_ms()
    6000
    """

    def __init__(self, machine: Clock) -> None:
        self._machine = machine
        self._ahead_ms: float | None = None  # of the database's time before the machine's monotonic time

    def note(self, now_ms: int, *, asked_ms: float) -> None:
        """Learn what the database has just said, to a question of `asked_ms` by the monotonic clock."""
        ahead_ms = now_ms - self._machine.monotonic_ms()
        most_ms = now_ms + 1 - asked_ms  # it says whole milliseconds
        if self._ahead_ms is None or not ahead_ms <= self._ahead_ms <= most_ms:
            self._ahead_ms = ahead_ms

    def now_ms(self) -> int:
        """Return the database's time, or a little less; before its first answer, the machine's."""
        if self._ahead_ms is None:
            return self._machine.now_ms()
        return int(self._machine.monotonic_ms() + self._ahead_ms)

    def monotonic_ms(self) -> float:
        """Return the machine's monotonic time in milliseconds."""
        return self._machine.monotonic_ms()
