"""When a failed attempt is tried again.

The rule: a policy is data, and the delay follows from it, the attempt and one number from the caller's source of
chance. Nothing here draws or waits.
"""

from datetime import timedelta
from typing import Final, Literal

import msgspec

__all__ = ["ATTEMPTS_MAX", "DELAY_MS_MAX", "Retry", "check", "delay_ms", "milliseconds"]

ATTEMPTS_MAX: Final = 1_000_000
DELAY_MS_MAX: Final = 366 * 86_400_000
SPAN_MS_MAX: Final = 10**15  # any length of time that is written: some 30,000 years
MS_PER_S: Final = 1000


def milliseconds(value: float | timedelta, what: str, *, least_ms: int = 0) -> int:
    """Return `value` (seconds as a number, or a timedelta) as whole milliseconds, rounded up.

    Raises:
        ValueError: it is negative, not finite, or below `least_ms`; the message names `what`.
        TypeError: it is neither a number nor a timedelta.

    >>> milliseconds(1.5, "delay"), milliseconds(timedelta(minutes=1), "delay")
    (1500, 60000)
    """
    given: object = value  # whatever an author has passed
    if isinstance(given, timedelta):
        exact = given / timedelta(milliseconds=1)
    elif isinstance(given, (int, float)) and not isinstance(given, bool):
        exact = given * MS_PER_S
    else:
        raise TypeError(f"{what} is {value!r}: give seconds as a number, or a timedelta")
    if not least_ms <= exact < SPAN_MS_MAX:
        raise ValueError(f"{what} is {value!r}: it must be finite and at least {least_ms / MS_PER_S:g} seconds")
    whole = int(exact)
    return whole + (exact - whole > 1e-6)


class Retry(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often, and after which delays, something that failed is tried again. Make one with a class method.

    `max_attempts` counts the first attempt. Delays are seconds or `timedelta`.

    >>> Retry.exponential(max_attempts=3, base_delay=1.0).attempts_max
    3
    """

    kind: Literal["never", "fixed", "exponential", "jittered"] = "never"
    attempts_max: int = 1
    base_delay_ms: int = 0
    factor: float = 2.0
    jitter: float = 0.0
    delay_ms_max: int | None = None

    @classmethod
    def never(cls) -> "Retry":
        """Return the policy of one attempt only, the default."""
        return cls()

    @classmethod
    def fixed(cls, max_attempts: int, delay: float | timedelta) -> "Retry":
        """Return a policy with the same `delay` after each failed attempt."""
        return check(cls("fixed", max_attempts, milliseconds(delay, "delay"), factor=1.0))

    @classmethod
    def exponential(
        cls,
        max_attempts: int,
        base_delay: float | timedelta,
        factor: float = 2,
        max_delay: float | timedelta | None = None,
    ) -> "Retry":
        """Return a policy whose delay begins at `base_delay` and grows by `factor`, up to `max_delay`."""
        return check(
            cls("exponential", max_attempts, milliseconds(base_delay, "base_delay"), factor, 0.0, _cap(max_delay))
        )

    @classmethod
    def jittered(
        cls,
        max_attempts: int,
        base_delay: float | timedelta,
        factor: float = 2,
        jitter: float = 0.5,
        max_delay: float | timedelta | None = None,
    ) -> "Retry":
        """Return an exponential policy whose delays are shortened by chance, by up to the share `jitter` (0 to 1).

        Those that failed together then do not come back together. With `jitter=1` the delay is drawn evenly from
        zero to the exponential ceiling ("full jitter").

        Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
        """
        return check(
            cls("jittered", max_attempts, milliseconds(base_delay, "base_delay"), factor, jitter, _cap(max_delay))
        )


def _cap(max_delay: float | timedelta | None) -> int | None:
    return None if max_delay is None else milliseconds(max_delay, "max_delay")


def check(policy: Retry) -> Retry:
    """Return a policy whose every number is one that a policy can have, whoever has made it.

    Raises:
        ValueError: one is not; the message names it and its bounds.

    >>> check(Retry("fixed", attempts_max=0))
    Traceback (most recent call last):
    ValueError: max_attempts is 0: it counts the first attempt, from 1 to 1,000,000
    """
    attempts: object = policy.attempts_max  # whatever an author has passed
    if isinstance(attempts, bool) or not isinstance(attempts, int) or not 1 <= attempts <= ATTEMPTS_MAX:
        raise ValueError(f"max_attempts is {attempts!r}: it counts the first attempt, from 1 to {ATTEMPTS_MAX:,}")
    if not 0 <= policy.base_delay_ms < SPAN_MS_MAX:
        raise ValueError(f"the delay is {policy.base_delay_ms} ms: it must be from 0 to below {SPAN_MS_MAX}")
    if policy.delay_ms_max is not None and not 0 <= policy.delay_ms_max < SPAN_MS_MAX:
        raise ValueError(f"max_delay is {policy.delay_ms_max} ms: it must be from 0 to below {SPAN_MS_MAX}")
    if not 1.0 <= policy.factor <= 1_000.0:
        raise ValueError(f"factor is {policy.factor!r}: it must be from 1 to 1,000")
    if not 0.0 <= policy.jitter <= 1.0:
        raise ValueError(f"jitter is {policy.jitter!r}: it must be from 0 (none) to 1 (all of the delay)")
    return policy


def delay_ms(policy: Retry, attempt: int, *, draw: float) -> int | None:
    """Return how many milliseconds to wait after a failed attempt, or None to give up.

    Args:
        policy: the policy.
        attempt: the attempt that has just failed; the first is 1.
        draw: one number from the caller's source of chance, 0 <= draw < 1; only `jittered` uses it.

    Raises:
        ValueError: `attempt` is less than 1.

    >>> [delay_ms(Retry.exponential(4, 1.0), attempt, draw=0.5) for attempt in (1, 2, 3, 4)]
    [1000, 2000, 4000, None]
    """
    if attempt < 1:
        raise ValueError(f"attempt is {attempt}: the first is 1")
    if attempt >= policy.attempts_max:
        return None
    ceiling = min(policy.delay_ms_max or DELAY_MS_MAX, DELAY_MS_MAX)
    exponent = min(attempt - 1, 200)  # 1000.0 ** 102 is still finite; the ceiling is reached long before
    try:
        grown = policy.base_delay_ms * policy.factor**exponent
    except OverflowError:
        grown = float(ceiling)
    delay = min(grown, ceiling)
    return int(delay * (1 - policy.jitter * draw))
