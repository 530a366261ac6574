"""A policy is data, and the delay follows from it, the attempt and one number."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiki.model.retry import DELAY_MS_MAX, Retry, delay_ms, milliseconds


def _delays(policy: Retry, attempts: int, *, draw: float = 0.0) -> list[int | None]:
    return [delay_ms(policy, attempt, draw=draw) for attempt in range(1, attempts + 1)]


def test_the_default_is_never() -> None:
    assert Retry() == Retry.never()
    assert _delays(Retry.never(), 2) == [None, None]


def test_a_fixed_policy_waits_the_same_each_time_and_counts_the_first_attempt() -> None:
    assert _delays(Retry.fixed(3, 2.5), 4) == [2_500, 2_500, None, None]


def test_an_exponential_policy_grows_by_its_factor() -> None:
    assert _delays(Retry.exponential(5, 1.0, factor=3), 5) == [1_000, 3_000, 9_000, 27_000, None]


def test_an_exponential_policy_stops_growing_at_its_ceiling() -> None:
    assert _delays(Retry.exponential(5, 1.0, max_delay=3), 4) == [1_000, 2_000, 3_000, 3_000]


def test_jitter_shortens_by_up_to_its_share() -> None:
    policy = Retry.jittered(3, 10, jitter=0.5)

    assert delay_ms(policy, 1, draw=0.0) == 10_000
    assert delay_ms(policy, 1, draw=0.5) == 7_500
    assert 5_000 <= (delay_ms(policy, 1, draw=0.999999) or 0) < 5_001


def test_full_jitter_draws_from_zero() -> None:
    assert (delay_ms(Retry.jittered(3, 10, jitter=1.0), 1, draw=0.999999) or 0) < 1


def test_only_a_jittered_policy_looks_at_the_draw() -> None:
    policy = Retry.exponential(3, 1.0)

    assert delay_ms(policy, 2, draw=0.0) == delay_ms(policy, 2, draw=0.9)


@given(
    st.integers(1, 10_000),
    st.floats(0, 1e6),
    st.floats(1, 1_000),
    st.floats(0, 1),
    st.floats(0, 1, exclude_max=True),
)
def test_a_delay_is_never_negative_and_never_above_a_year(
    attempt: int, base: float, factor: float, jitter: float, draw: float
) -> None:
    policy = Retry.jittered(1_000_000, base, factor, jitter)

    assert 0 <= (delay_ms(policy, attempt, draw=draw) or 0) <= DELAY_MS_MAX


def test_an_attempt_before_the_first_is_refused() -> None:
    with pytest.raises(ValueError, match="the first is 1"):
        delay_ms(Retry.never(), 0, draw=0.0)


@pytest.mark.parametrize("attempts", [0, -1, 1_000_001, True, 1.5])
def test_a_number_of_attempts_that_is_none_is_refused(attempts: int) -> None:
    with pytest.raises(ValueError, match="max_attempts"):
        Retry.fixed(attempts, 1)


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), timedelta(seconds=-1)])
def test_a_delay_that_is_none_is_refused(delay: float) -> None:
    with pytest.raises(ValueError, match="delay"):
        Retry.fixed(2, delay)


def test_a_factor_below_one_and_a_jitter_above_one_are_refused() -> None:
    with pytest.raises(ValueError, match="factor"):
        Retry.exponential(2, 1, factor=0.5)
    with pytest.raises(ValueError, match="jitter"):
        Retry.jittered(2, 1, jitter=1.5)


def test_seconds_and_timedeltas_say_the_same() -> None:
    assert Retry.fixed(2, 90) == Retry.fixed(2, timedelta(minutes=1.5))


def test_a_part_of_a_millisecond_is_rounded_up() -> None:
    assert milliseconds(0.0001, "delay") == 1
    assert milliseconds(0.3, "delay") == 300


@pytest.mark.parametrize("value", ["1", None, True])
def test_what_is_no_time_is_refused_by_type(value: float) -> None:
    with pytest.raises(TypeError, match="seconds as a number"):
        milliseconds(value, "delay")


@pytest.mark.parametrize(
    "policy", [Retry.never(), Retry.fixed(2, 1), Retry.exponential(3, 0.5, max_delay=9), Retry.jittered(4, 1)]
)
def test_a_policy_crosses_the_wire_unchanged(policy: Retry) -> None:
    assert msgspec.json.decode(msgspec.json.encode(policy), type=Retry) == policy
