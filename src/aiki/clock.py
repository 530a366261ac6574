"""Where every "now" and every random number in the package comes from.

No other module asks the operating system for the time or for chance: engine, store, server and worker are each
handed a `Clock` and a `Chance`. That one rule is what lets a test spend fourteen days in a millisecond, and what
will let a simulation repeat a failure to the byte.
"""

from __future__ import annotations

import random
import time
from typing import Final, Protocol
from uuid import UUID

__all__ = ["Chance", "Clock", "ManualClock", "SystemClock", "seeded_random"]

MS_PER_S: Final = 1000


class Clock(Protocol):
    """A source of time. `now_ms` is wall time; `monotonic_ms` never goes back and tells only distances."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970-01-01 UTC."""
        ...

    def monotonic_ms(self) -> float:
        """Return milliseconds since some fixed moment."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        """Return the machine's wall time in milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        """Return the machine's monotonic time in milliseconds."""
        return time.monotonic() * MS_PER_S


class ManualClock:
    """A clock that stands still until it is moved, for tests.

    >>> clock = ManualClock(now_ms=5_000)
    >>> clock.advance(seconds=2)
    >>> clock.now_ms()
    7000
    """

    def __init__(self, *, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = float(now_ms)

    def now_ms(self) -> int:
        """Return the time that was set, in milliseconds."""
        return int(self._now_ms)

    def monotonic_ms(self) -> float:
        """Return the same time as a distance, in milliseconds."""
        return self._now_ms

    def advance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0, milliseconds: float = 0
    ) -> None:
        """Move the clock forward by the sum of what is given."""
        moved_s = days * 86_400 + hours * 3_600 + minutes * 60 + seconds
        if moved_s < 0 or milliseconds < 0:
            raise ValueError("a clock is only moved forward")
        self._now_ms += moved_s * MS_PER_S + milliseconds


class Chance:
    """A source of random numbers and ids. Unseeded, it draws from the operating system; seeded, it repeats.

    >>> Chance(seed=7).uuid7(now_ms=0) == Chance(seed=7).uuid7(now_ms=0)
    True
    """

    def __init__(self, *, seed: int | str | None = None) -> None:
        self.random: random.Random = random.SystemRandom() if seed is None else random.Random(seed)
        self._fast = random.Random(self.random.getrandbits(128))

    def uuid7(self, *, now_ms: int) -> str:
        """Return a UUIDv7 (RFC 9562, 5.7) as text: `now_ms` in its first 48 bits, chance in the rest."""
        bits = self._fast.getrandbits(74)
        value = (now_ms & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (bits >> 62) << 64 | 0b10 << 62 | bits & (1 << 62) - 1
        return str(UUID(int=value))

    def token(self, *, size_bytes: int = 32) -> str:
        """Return `size_bytes` of chance as hexadecimal digits, fit for a secret where the source is unseeded."""
        return f"{self.random.getrandbits(size_bytes * 8):0{size_bytes * 2}x}"


def seeded_random(seed: str) -> random.Random:
    """Return a source of chance that follows from `seed` alone, for code that is replayed."""
    return random.Random(seed)
