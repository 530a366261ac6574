"""What time it is at the server, as a worker can know it.

The rule: it is never ahead. A server states its time in every answer; from the moment that the answer is received the
worker's monotonic clock counts on. The way that the answer took makes the estimate late, never early, so no timer
rings before its time. The newest answer counts, not the one that came fastest: a worker's clock may run faster than the
server's by a few seconds a day, and the server's may be set back.
"""

from aiki.clock import Clock

__all__ = ["ServerTime"]


class ServerTime:
    """The server's clock, seen from afar. It never goes back."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stated_ms = 0
        self._received_ms = clock.monotonic_ms()
        self._latest_ms = 0

    def note(self, stated_ms: int) -> None:
        """A server stated its time in an answer received just now."""
        self.now_ms()  # from here on it does not go back
        self._stated_ms = stated_ms
        self._received_ms = self._clock.monotonic_ms()

    def now_ms(self) -> int:
        """Return the server's time in milliseconds, at the latest."""
        passed_ms = self._clock.monotonic_ms() - self._received_ms
        self._latest_ms = max(self._latest_ms, self._stated_ms + int(passed_ms))
        return self._latest_ms
