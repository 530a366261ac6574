"""When a schedule's ticks are: cron expressions in a time zone, and intervals.

The rule: pure functions of what is given, and bounded: the length of an expression, and every search. An expression that
names hours speaks of the clock on the wall: each of its times is one tick a day, also where a change to or from summer
time skips it (then at the first moment after the gap) or repeats it (then the first time). One that leaves the hour open
speaks of time that passes, and ticks in both of two repeated hours.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from msgspec import Struct

__all__ = ["ALIASES", "CRON_CHARS_MAX", "EVERY_MS_MIN", "Timing", "check", "explain", "last_tick", "next_tick", "ticks"]

CRON_CHARS_MAX: Final = 200
ZONE_CHARS_MAX: Final = 100
EVERY_MS_MIN: Final = 1_000
EVERY_MS_MAX: Final = 366 * 86_400_000 * 10
FIELDS: Final = 5
HOURS: Final = set(range(24))
REPEATED_MAX: Final = 2_000  # wall-clock minutes that may lie behind a moment: more than a day of them
START: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - on the wall, as is BEYOND
BEYOND: Final = datetime(9000, 1, 1)  # noqa: DTZ001 - no calendar is searched further

ALIASES: Final[Mapping[str, str]] = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_SECOND: Final = timedelta(seconds=1)


class Timing(Struct, frozen=True, omit_defaults=True):
    """When: by a cron expression on the clock of a zone, or every so many milliseconds. Exactly one of the two."""

    cron: str | None = None
    every_ms: int | None = None
    timezone: str = "UTC"


def check(timing: Timing) -> None:
    """Raise unless a timing has ticks.

    Raises:
        ValueError: neither or both are given, or the expression, zone or interval is none; the message says what is.

    >>> check(Timing(cron="0 9 * * MON-FRI", timezone="Europe/Berlin"))
    """
    if (timing.cron is None) == (timing.every_ms is None):
        raise ValueError('a schedule has either a cron expression, such as "0 9 * * *", or an interval, every=...')
    if timing.every_ms is not None:
        if not EVERY_MS_MIN <= timing.every_ms <= EVERY_MS_MAX:
            raise ValueError(f"every is {timing.every_ms:,} ms: it must be from 1 second to 10 years")
        return
    assert timing.cron is not None
    _zone(timing.timezone)
    expression = _expression(timing.cron)
    try:
        found = next(_walls(expression, START), None)
    except (CronSimError, ValueError, AssertionError) as error:
        raise ValueError(
            f"cron is {timing.cron!r}: {str(error).lower() or 'not understood'}. Write minute, hour, day of month, month and"
            f' day of week, such as "0 9 * * MON-FRI", or one of {", ".join(ALIASES)}'
        ) from None
    if found is None:
        raise ValueError(f"cron is {timing.cron!r}: there is no such day within 50 years")


def next_tick(timing: Timing, *, after_ms: int, anchor_ms: int = 0) -> int | None:
    """Return the first tick after a moment, None if there is none any more. `anchor_ms`: where intervals begin.

    >>> nine = Timing(cron="0 9 * * *", timezone="America/New_York")
    >>> (_EPOCH + next_tick(nine, after_ms=0) * _MS).isoformat()
    '1970-01-01T14:00:00+00:00'
    >>> next_tick(Timing(every_ms=60_000), after_ms=130_000, anchor_ms=10_000)
    190000
    """
    return next(ticks(timing, after_ms=after_ms, anchor_ms=anchor_ms), None)


def ticks(timing: Timing, *, after_ms: int, anchor_ms: int = 0) -> Iterator[int]:
    """Give the ticks after a moment, in order. They may go on for ever: take as many as are needed."""
    if timing.every_ms is not None:
        passed = max(after_ms - anchor_ms, 0) // timing.every_ms
        while True:
            passed += 1
            yield anchor_ms + passed * timing.every_ms
    assert timing.cron is not None
    zone = _zone(timing.timezone)
    expression = _expression(timing.cron)
    after = (_EPOCH + after_ms * _MS).replace(microsecond=0)
    if _names_no_hour(expression):
        every_hour = " ".join([expression.split()[0], "*", *expression.split()[2:]])
        for moment in _iterated(CronSim(every_hour, after.astimezone(zone))):
            yield _ms_of(moment)
        return
    last_ms = after_ms
    behind = 0
    for wall in _walls(expression, after.astimezone(zone).replace(tzinfo=None)):
        tick_ms = _ms_of(_first_moment(wall, zone))
        if tick_ms > last_ms:
            last_ms = tick_ms
            yield tick_ms
        else:  # repeated on the wall, or skipped together with the one before
            behind += 1
            if behind > REPEATED_MAX:
                return


def last_tick(timing: Timing, *, after_ms: int, until_ms: int, anchor_ms: int = 0) -> int | None:
    """Return the last tick after a moment and not after another, however many lie between; None if none does."""
    if timing.every_ms is not None:
        tick_ms = anchor_ms + max(until_ms - anchor_ms, 0) // timing.every_ms * timing.every_ms
        return tick_ms if after_ms < tick_ms <= until_ms and tick_ms > anchor_ms else None
    found = next_tick(timing, after_ms=after_ms)
    if found is None or found > until_ms:
        return None
    low_ms, high_ms = found, until_ms
    while low_ms < high_ms:  # bounded: each step halves what lies between
        middle_ms = (low_ms + high_ms) // 2
        later = next_tick(timing, after_ms=middle_ms)
        if later is not None and later <= until_ms:
            found = low_ms = later
        else:
            high_ms = middle_ms
    return found


def explain(timing: Timing) -> str:
    """Return a timing in words, for people.

    >>> explain(Timing(cron="0 9 * * MON-FRI", timezone="Europe/Berlin"))
    'At 09:00 on Monday through Friday, Europe/Berlin'
    >>> explain(Timing(every_ms=5_400_000))
    'Every 1 hour 30 minutes'
    """
    if timing.every_ms is not None:
        return f"Every {_span(timing.every_ms)}"
    assert timing.cron is not None
    return f"{CronSim(_expression(timing.cron), START).explain()}, {timing.timezone}"


def _span(ms: int) -> str:
    parts = []
    for unit, unit_ms in (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1_000), ("ms", 1)):
        many, ms = divmod(ms, unit_ms)
        if many:
            parts.append(f"{many} {unit}{'s' if many > 1 and unit != 'ms' else ''}")
    return " ".join(parts)


def _expression(cron: str) -> str:
    """Return an expression without aliases; one that names every hour names none.

    Raises:
        ValueError: it is too long, or has not five fields.
    """
    if len(cron) > CRON_CHARS_MAX:
        raise ValueError(f"cron has {len(cron):,} characters; the limit is {CRON_CHARS_MAX}")
    text = cron.strip()
    if text.startswith("@"):
        known = ALIASES.get(text.lower())
        if known is None:
            raise ValueError(f"cron is {cron!r}: the names are {', '.join(ALIASES)}")
        return known
    fields = text.split()
    if len(fields) != FIELDS:
        raise ValueError(
            f"cron is {cron!r}, of {len(fields)} fields: write minute, hour, day of month, month and day of week. For"
            " seconds, use every=..."
        )
    return " ".join(fields)


@lru_cache(maxsize=1_000)
def _names_no_hour(expression: str) -> bool:
    return CronSim(expression, START).hours == HOURS


def _zone(name: str) -> ZoneInfo:
    try:
        if 0 < len(name) <= ZONE_CHARS_MAX:
            return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # no name, a folder of the database, or none of it
        pass
    raise ValueError(
        f"timezone is {name[:ZONE_CHARS_MAX]!r}: write a name such as Europe/Berlin, America/New_York or UTC"
    )


def _walls(expression: str, after: datetime) -> Iterator[datetime]:
    """Give what a clock on the wall shows at the ticks, after what it shows now."""
    return _iterated(CronSim(expression, after))


def _iterated(found: CronSim) -> Iterator[datetime]:
    """Give what is found until there is none within 50 years, or the calendar ends."""
    try:
        for moment in found:
            if moment.replace(tzinfo=None) > BEYOND:
                return
            yield moment
    except OverflowError:
        return


def _first_moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return when a clock on the wall first shows a time; if it never does, the first moment after the gap."""
    moment = wall.replace(tzinfo=zone).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall:
        return moment
    late, early = moment, wall.replace(tzinfo=zone, fold=1).astimezone(UTC)  # after the gap, and before it
    offset = late.astimezone(zone).utcoffset()
    while late - early > _SECOND:
        middle = early + (late - early) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            late = middle
        else:
            early = middle
    return late.replace(microsecond=0)


def _ms_of(moment: datetime) -> int:
    return (moment - _EPOCH) // _MS
