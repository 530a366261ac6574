"""What people write, as what is sent: times, and places in the source.

The rule: `datetime`, `timedelta` and seconds end here; below, there are integer milliseconds.
"""

import functools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeAlias

from aiki.model.retry import milliseconds

__all__ = [
    "Seconds",
    "instant_ms",
    "instant_of",
    "limit_ms",
    "names_in_sight",
    "place_of_call",
    "place_of_definition",
    "sleep_ms",
]

Seconds: TypeAlias = float | timedelta
"""A length of time: seconds as a number, or a `timedelta`."""

SLEEP_UNITS: Final = ("weeks", "days", "hours", "minutes", "seconds", "milliseconds")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


def limit_ms(value: Seconds | None, what: str) -> int | None:
    """Return a timeout in milliseconds; None is none. `what` names it in the message of a `ValueError`."""
    return None if value is None else milliseconds(value, what)


def sleep_ms(name: str, duration: Seconds | None, /, units: dict[str, float]) -> int:
    """Return how long a sleep lasts, in milliseconds, from either form of `run.sleep`.

    Raises:
        TypeError: both forms, or none, or a unit that there is not.
        ValueError: it is negative or not finite.

    >>> sleep_ms("ride", None, {"minutes": 20})
    1200000
    """
    if (duration is None) == (not units):
        raise TypeError(f'how long is sleep {name!r}? Write run.sleep("{name}", 30) for seconds, or minutes=20, days=1')
    if duration is not None:
        return milliseconds(duration, f"the duration of sleep {name!r}")
    unknown = [unit for unit in units if unit not in SLEEP_UNITS]
    if unknown:
        raise TypeError(f"sleep {name!r} is given {unknown[0]!r}: the units are {', '.join(SLEEP_UNITS)}")
    try:
        total = timedelta(**units)
    except (OverflowError, ValueError) as error:
        raise ValueError(f"sleep {name!r} is too long: {error}") from error
    return milliseconds(total, f"the duration of sleep {name!r}")


def instant_ms(moment: datetime, what: str) -> int:
    """Return an aware moment as milliseconds since 1970-01-01 UTC.

    Raises:
        ValueError: it is naive: nobody can tell which moment is meant.
    """
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ValueError(f"{what} is {moment.isoformat()}, without a time zone: use datetime(..., tzinfo=UTC)")
    return (moment - _EPOCH) // _MS


def instant_of(moment_ms: int) -> datetime:
    """Return milliseconds since 1970-01-01 UTC as an aware moment.

    >>> instant_of(1_500).isoformat()
    '1970-01-01T00:00:01.500000+00:00'
    """
    return _EPOCH + moment_ms * _MS


def names_in_sight(frame: FrameType) -> dict[str, Any]:
    """Return the local names of a frame that defines something: hints may name them. Those of a module are known."""
    return {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)


def place_of_call(frame: FrameType) -> str:
    """Return file and line that a frame is at: `orders.py:41`, below the working directory with its folders."""
    return f"{_shown_file(frame.f_code.co_filename)}:{frame.f_lineno}"


def place_of_definition(function: Callable[..., Any]) -> str:
    """Return file and line where a function is defined, or its name where it was not written in Python."""
    code = getattr(function, "__code__", None)
    if code is None:
        return repr(function)
    return f"{_shown_file(code.co_filename)}:{code.co_firstlineno}"


@functools.lru_cache(maxsize=1_000)
def _shown_file(filename: str) -> str:
    try:
        return str(Path(filename).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return filename
