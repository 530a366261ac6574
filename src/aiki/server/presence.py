"""Which workers have fallen silent: sessions whose connection broke, or that had an answer and do not ask again.

Who is killed leaves a connection that breaks, or none at all if it was between two polls. Waiting for the end of the
lease would be right, and slow. The rule: silence is a hint and never a verdict. Whoever is named here is judged by the
engine, which knows whether a newer poll has come, to this server or to another; and silence counts only while this
server could have heard: one that stood still, or could not reach its database, forgives.
"""

from typing import Final

from msgspec import Struct

from aiki.clock import Clock
from aiki.config import Config

__all__ = ["Presence", "Silence"]

BROKEN_MS: Final = 1_500  # after a connection broke; whoever lives polls anew at once
BROKEN_PART: Final = 0.15  # of the lease, where that is shorter
UNHEARD_PART: Final = 0.4  # of the lease, after an answer; a worker whose loop is blocked renews well within it


class Silence(Struct, frozen=True):
    """A session that is silent, and the number of the last poll that was heard of it here."""

    session_id: str
    poll: int


class Presence:
    """The sessions of a server that have no open poll, and until when nobody minds."""

    def __init__(self, *, clock: Clock, config: Config) -> None:
        self._clock = clock
        self._broken = _Waiting(min(BROKEN_MS, config.lease_ms * BROKEN_PART))
        self._answered = _Waiting(config.lease_ms * UNHEARD_PART)

    def heard(self, session_id: str) -> None:
        """A session polls."""
        self._broken.silences.pop(session_id, None)
        self._answered.silences.pop(session_id, None)

    def answered(self, session_id: str, poll: int) -> None:
        """The poll of a session has its answer, and no newer one is open."""
        self._answered.add(Silence(session_id, poll), self._clock.monotonic_ms())

    def broken(self, session_id: str, poll: int) -> None:
        """Whoever waited for the answer to a poll has gone, and no newer one is open."""
        self._broken.add(Silence(session_id, poll), self._clock.monotonic_ms())

    def take_silent(self) -> list[Silence]:
        """Return who has been silent for too long, each once."""
        now_ms = self._clock.monotonic_ms()
        return [*self._broken.take(now_ms), *self._answered.take(now_ms)]

    def forgive(self) -> None:
        """Count all silence from now on: until now nothing could have been heard."""
        now_ms = self._clock.monotonic_ms()
        for waiting in (self._broken, self._answered):
            for silence, _ in list(waiting.silences.values()):
                waiting.add(silence, now_ms)

    def next_ms(self) -> float | None:
        """Return when the next one will have been silent for too long, by the monotonic clock; None for nobody."""
        return min((waiting.next_ms() for waiting in (self._broken, self._answered) if waiting.silences), default=None)


class _Waiting:
    """Sessions that may all be silent for the same time: so the first to come is the first that is due."""

    def __init__(self, patience_ms: float) -> None:
        self._patience_ms = patience_ms
        self.silences: dict[str, tuple[Silence, float]] = {}

    def add(self, silence: Silence, now_ms: float) -> None:
        self.silences.pop(silence.session_id, None)  # to the end of the order
        self.silences[silence.session_id] = (silence, now_ms + self._patience_ms)

    def take(self, now_ms: float) -> list[Silence]:
        due = [silence for silence, due_ms in self.silences.values() if due_ms <= now_ms]
        for silence in due:
            del self.silences[silence.session_id]
        return due

    def next_ms(self) -> float:
        return next(iter(self.silences.values()))[1]
