"""When ticks are: by an oracle that walks minute by minute, and by hand where clocks are changed."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiki.model.timing import CRON_CHARS_MAX, Timing, check, explain, last_tick, next_tick, ticks

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ZONES = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",  # by half an hour
    "America/Havana",  # midnight is skipped, and repeated
    "Asia/Beirut",
    "America/Asuncion",
    "Asia/Kolkata",
    "Pacific/Chatham",
]


def ms(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def walls(cron: str, zone: str, after: datetime, count: int) -> list[str]:
    """Return the next ticks as a clock on the wall shows them, with its offset."""
    found = islice(ticks(Timing(cron=cron, timezone=zone), after_ms=ms(after)), count)
    return [(EPOCH + timedelta(milliseconds=one)).astimezone(ZoneInfo(zone)).isoformat(" ", "minutes") for one in found]


SPAN = (datetime(2020, 1, 1), datetime(2025, 12, 1))  # noqa: DTZ001 - hypothesis adds the zone

Fields = tuple[set[int], set[int], set[int] | None, set[int] | None]


def matches(wall: datetime, fields: Fields) -> bool:
    minutes, hours, days, weekdays = fields
    on_day = days is None or wall.day in days
    on_weekday = weekdays is None or wall.isoweekday() % 7 in weekdays
    is_day = on_day and on_weekday if days is None or weekdays is None else on_day or on_weekday
    return wall.minute in minutes and wall.hour in hours and is_day


def walked(fields: Fields, zone: ZoneInfo, start: datetime, minutes: int) -> list[int]:
    """Return the ticks of some minutes, by looking at each of them."""
    found = []
    before = start.astimezone(zone).replace(tzinfo=None)
    for passed in range(1, minutes):
        moment = start + passed * MINUTE
        there = moment.astimezone(zone)
        wall = there.replace(tzinfo=None)
        if len(fields[1]) == 24:
            ticks_now = matches(wall, fields)
        else:
            ticks_now = there.fold == 0 and matches(wall, fields)
            skipped = before + MINUTE
            while skipped < wall:
                ticks_now = ticks_now or matches(skipped, fields)
                skipped += MINUTE
        if ticks_now:
            found.append(ms(moment))
        before = wall
    return found


def field(values: set[int] | None, everything: int) -> str:
    return "*" if values is None or len(values) == everything else ",".join(map(str, sorted(values)))


minute_sets = st.one_of(st.just(set(range(60))), st.sets(st.integers(0, 59), min_size=1, max_size=4))
hour_sets = st.one_of(
    st.just(set(range(24))), st.sets(st.integers(0, 23), min_size=1, max_size=5), st.just({0, 1, 2, 3})
)
day_sets = st.one_of(st.none(), st.sets(st.integers(1, 28), min_size=1, max_size=4))
weekday_sets = st.one_of(st.none(), st.sets(st.integers(0, 6), min_size=1, max_size=3))


@settings(max_examples=60, deadline=None)
@given(
    minutes=minute_sets,
    hours=hour_sets,
    days=day_sets,
    weekdays=weekday_sets,
    zone=st.sampled_from(ZONES),
    start=st.datetimes(*SPAN, timezones=st.just(UTC)),
)
def test_ticks_are_what_a_walk_from_minute_to_minute_finds(
    minutes: set[int], hours: set[int], days: set[int] | None, weekdays: set[int] | None, zone: str, start: datetime
) -> None:
    start = start.replace(second=0, microsecond=0)
    cron = f"{field(minutes, 60)} {field(hours, 24)} {field(days, 31)} * {field(weekdays, 7)}"
    length = 3 * 24 * 60
    wanted = walked((minutes, hours, days, weekdays), ZoneInfo(zone), start, length)

    found = []
    for one in ticks(Timing(cron=cron, timezone=zone), after_ms=ms(start)):
        if one >= ms(start + length * MINUTE):
            break
        found.append(one)

    assert found == wanted


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("30 2 * * *", "America/New_York", datetime(2025, 3, 8, 12, tzinfo=UTC), ["2025-03-09 03:00-04:00", "2025-03-10 02:30-04:00"]),
        ("*/15 2 * * *", "America/New_York", datetime(2025, 3, 9, 5, tzinfo=UTC), ["2025-03-09 03:00-04:00", "2025-03-10 02:00-04:00"]),
        ("30 1 * * *", "America/New_York", datetime(2025, 11, 2, 4, tzinfo=UTC), ["2025-11-02 01:30-04:00", "2025-11-03 01:30-05:00"]),
        ("30 2 * * *", "Europe/Berlin", datetime(2025, 10, 25, 12, tzinfo=UTC), ["2025-10-26 02:30+02:00", "2025-10-27 02:30+01:00"]),
        ("0 * * * *", "Europe/Berlin", datetime(2025, 10, 26, 0, 30, tzinfo=UTC), ["2025-10-26 02:00+01:00", "2025-10-26 03:00+01:00"]),
        ("15 2 * * *", "Australia/Lord_Howe", datetime(2025, 10, 4, 0, tzinfo=UTC), ["2025-10-05 02:30+11:00", "2025-10-06 02:15+11:00"]),
        ("0 0 * * *", "America/Havana", datetime(2025, 3, 8, 12, tzinfo=UTC), ["2025-03-09 01:00-04:00", "2025-03-10 00:00-04:00"]),
        ("0 9 30 12 *", "Pacific/Apia", datetime(2011, 12, 1, tzinfo=UTC), ["2011-12-31 00:00+14:00", "2012-12-30 09:00+14:00"]),
        ("0 0 29 2 *", "UTC", datetime(2025, 1, 1, tzinfo=UTC), ["2028-02-29 00:00+00:00", "2032-02-29 00:00+00:00"]),
    ],
)  # fmt: skip
def test_what_is_skipped_comes_once_after_the_gap_and_what_is_repeated_once(
    cron: str, zone: str, after: datetime, expected: list[str]
) -> None:
    assert walls(cron, zone, after, 2) == expected


def test_a_tick_in_an_hour_that_was_repeated_does_not_come_again_in_its_second_pass() -> None:
    second_pass = datetime(2025, 11, 2, 6, 10, tzinfo=UTC)  # 01:10 again
    assert walls("30 1 * * *", "America/New_York", second_pass, 1) == ["2025-11-03 01:30-05:00"]


@pytest.mark.parametrize(
    ("timing", "message"),
    [
        (Timing(), "either a cron expression"),
        (Timing(cron="0 9 * * *", every_ms=60_000), "either a cron expression"),
        (Timing(cron="0 9 * *"), "of 4 fields"),
        (Timing(cron="0 0 9 * * *"), "every="),
        (Timing(cron="61 9 * * *"), "bad minute"),
        (Timing(cron="0 0 30 2 *"), "bad day-of-month"),
        (Timing(cron="0 0 31 2,4 *"), "day"),
        (Timing(cron="@never"), "@daily"),
        (Timing(cron=" " * CRON_CHARS_MAX + "* * * * *"), "the limit is"),
        (Timing(cron=f"*/{'9' * 5_000} * * * *"), "the limit is"),
        (Timing(cron="0 9 * * *", timezone="Mars/Olympus"), "Europe/Berlin"),
        (Timing(cron="0 9 * * *", timezone="../../etc/passwd"), "Europe/Berlin"),
        (Timing(cron="0 9 * * *", timezone=""), "Europe/Berlin"),
        (Timing(every_ms=999), "1 second"),
    ],
)
def test_what_has_no_ticks_is_refused_with_what_would_work(timing: Timing, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(timing)


@given(every_ms=st.integers(1_000, 10**9), anchor_ms=st.integers(0, 10**9), passed=st.integers(0, 10**10))
def test_intervals_count_from_their_anchor(every_ms: int, anchor_ms: int, passed: int) -> None:
    found = next_tick(Timing(every_ms=every_ms), after_ms=anchor_ms + passed, anchor_ms=anchor_ms)

    assert found is not None
    assert (found - anchor_ms) % every_ms == 0
    assert anchor_ms + passed < found <= anchor_ms + passed + every_ms


@settings(max_examples=40, deadline=None)
@given(minutes=minute_sets, hours=hour_sets, length=st.integers(1, 5_000), zone=st.sampled_from(ZONES))
def test_the_last_tick_is_the_last_of_all(minutes: set[int], hours: set[int], length: int, zone: str) -> None:
    timing = Timing(cron=f"{field(minutes, 60)} {field(hours, 24)} * * *", timezone=zone)
    start = ms(datetime(2025, 3, 29, tzinfo=UTC))
    until = start + length * 60_000
    between = []
    for one in ticks(timing, after_ms=start):
        if one > until:
            break
        between.append(one)

    assert last_tick(timing, after_ms=start, until_ms=until) == (between[-1] if between else None)


def test_it_is_said_in_words() -> None:
    assert explain(Timing(cron="@daily")) == "At 00:00 every day, UTC"
    assert explain(Timing(every_ms=900_000)) == "Every 15 minutes"
