"""Every setting of a server: its unit, default, bounds and environment variable, in one table.

The rule: a setting that is not in `Config` does not exist, and one that is has bounds. The unit is the end of its name:
`_ms` milliseconds, `_bytes`, `_rows`, and `_max` for a count of what comes before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, get_type_hints

from msgspec import Meta, Struct

__all__ = ["SETTINGS", "Config", "Setting"]

MIB: Final = 1024 * 1024
DAY_MS: Final = 86_400_000
RETENTION_MS_LEAST: Final = 60_000


class Config(Struct, frozen=True, kw_only=True):
    """The settings of a server. Each is an integer and has an environment variable, `AIKI_` and its name in capitals.

    Raises:
        ValueError: a value is out of its bounds.
        TypeError: a value is no integer.

    >>> Config(lease_ms=5_000).lease_ms
    5000
    >>> Config.from_environment({"AIKI_LEASE_MS": "7000"}).lease_ms
    7000
    """

    # fmt: off
    lease_ms: Annotated[int, Meta(
        ge=1_000, le=DAY_MS,
        description="How long a worker's session lasts unless a poll renews it: how long a dead worker keeps its runs.",
    )] = 10_000
    poll_wait_ms: Annotated[int, Meta(
        ge=0, le=DAY_MS,
        description="How long a worker's poll waits at most; shorter than the lease, which it renews.",
    )] = 2_000
    parked_wait_ms: Annotated[int, Meta(
        ge=0, le=5_000,
        description="How long a run waits for the worker that kept its coroutine before others get it.",
    )] = 100
    result_wait_ms: Annotated[int, Meta(
        ge=0, le=DAY_MS,
        description="How long a client's wait for results is kept open at most.",
    )] = 60_000
    sweep_ms: Annotated[int, Meta(
        ge=100, le=DAY_MS,
        description="How often the database is looked at for what a lost hint should have told.",
    )] = 1_000
    undelivered_ms: Annotated[int, Meta(
        ge=1_000, le=366 * DAY_MS,
        description="How long a run waits for a worker, while a server is there, before it stalls and says so.",
    )] = DAY_MS
    cancel_grace_ms: Annotated[int, Meta(
        ge=0, le=DAY_MS,
        description="How long the code of a cancelled run may clean up, from when it is told, and again after each claim.",
    )] = 30_000
    retention_ms: Annotated[int, Meta(
        ge=0, le=36_600 * DAY_MS,
        description="How long a run is kept after its end, with all that it did; 0 for ever, else a minute at least.",
    )] = 30 * DAY_MS
    payload_bytes_max: Annotated[int, Meta(
        ge=1_024, le=64 * MIB,
        description="The largest input, result, event or published value.",
    )] = 2 * MIB
    request_items_max: Annotated[int, Meta(
        ge=1, le=10_000,
        description="How many starts, events, requests or commits one call may bring.",
    )] = 1_000
    body_bytes_max: Annotated[int, Meta(
        ge=1_024, le=1_024 * MIB,
        description="The largest request over HTTP.",
    )] = 32 * MIB
    bodies_bytes_max: Annotated[int, Meta(
        ge=1_024, le=64 * 1_024 * MIB,
        description="How many bytes of HTTP requests are held at once; beyond it callers are asked to come back.",
    )] = 256 * MIB
    body_wait_ms: Annotated[int, Meta(
        ge=10, le=600_000,
        description="How long a request over HTTP may take to arrive.",
    )] = 30_000
    queued_commands_max: Annotated[int, Meta(
        ge=10, le=1_000_000,
        description="How many commands may wait for their transaction; beyond it callers are asked to come back.",
    )] = 20_000
    batch_commands_max: Annotated[int, Meta(
        ge=1, le=10_000,
        description="How many commands one transaction takes.",
    )] = 1_000
    batch_bytes_max: Annotated[int, Meta(
        ge=1_024, le=256 * MIB,
        description="How many bytes of payloads one transaction takes, the first command apart.",
    )] = 8 * MIB
    offered_polls_max: Annotated[int, Meta(
        ge=1, le=10_000,
        description="To how many waiting polls one transaction may hand runs.",
    )] = 200
    claimed_rows_max: Annotated[int, Meta(
        ge=1, le=10_000,
        description="How many runs one transaction hands out at most.",
    )] = 1_000
    alarm_rows: Annotated[int, Meta(
        ge=1, le=10_000,
        description="How many due alarms are looked up at once.",
    )] = 500
    subscriptions_max: Annotated[int, Meta(
        ge=1, le=1_000_000,
        description="How many clients may wait for results.",
    )] = 10_000
    subscribed_runs_max: Annotated[int, Meta(
        ge=1, le=10_000_000,
        description="For how many runs one client may wait.",
    )] = 100_000
    subscription_idle_ms: Annotated[int, Meta(
        ge=1_000, le=86_400_000,
        description="How long a client that asks no more is remembered.",
    )] = 120_000
    live_readers_max: Annotated[int, Meta(
        ge=1, le=100_000,
        description="How many pages are told of changes as they happen.",
    )] = 1_000
    live_gap_ms: Annotated[int, Meta(
        ge=10, le=60_000,
        description="How long a page that was told of changes is not told of the next ones.",
    )] = 200
    live_beat_ms: Annotated[int, Meta(
        ge=100, le=600_000,
        description="After how long without a change a page is told that there is none.",
    )] = 15_000
    # fmt: on

    def __post_init__(self) -> None:
        for setting in SETTINGS:
            value = getattr(self, setting.name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{setting.name} is {value!r}, and must be an integer")
            if not setting.least <= value <= setting.most:
                raise ValueError(f"{setting.name} is {value:,}, and must be from {setting.least:,} to {setting.most:,}")
        if 0 < self.retention_ms < RETENTION_MS_LEAST:
            raise ValueError(
                f"retention_ms is {self.retention_ms:,}, and must be 0, for ever, or at least {RETENTION_MS_LEAST:,}: a start"
                " that is repeated after a lost answer is to find the run that it made"
            )
        if self.poll_wait_ms * 2 > self.lease_ms:
            raise ValueError(
                f"poll_wait_ms is {self.poll_wait_ms:,}, and must be at most half of lease_ms, {self.lease_ms:,}: a poll"
                " renews the lease when it begins"
            )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Config:
        """Return the settings of environment variables, with defaults for the others.

        Raises:
            ValueError: a variable is no integer, or out of bounds.
        """
        found: dict[str, int] = {}
        for setting in SETTINGS:
            text = environment.get(setting.variable)
            if text is None:
                continue
            try:
                found[setting.name] = int(text)
            except ValueError:
                raise ValueError(f"{setting.variable} is {text!r}, and must be an integer") from None
        return cls(**found)


class Setting(Struct, frozen=True):
    """What there is to know about one setting."""

    name: str
    default: int
    least: int
    most: int
    variable: str
    description: str


def _settings() -> tuple[Setting, ...]:
    hints: dict[str, Any] = get_type_hints(Config, include_extras=True)
    defaults = dict(zip(Config.__struct_fields__, Config.__struct_defaults__, strict=True))
    found: list[Setting] = []
    for name in Config.__struct_fields__:
        (meta,) = hints[name].__metadata__
        found.append(Setting(name, defaults[name], meta.ge, meta.le, f"AIKI_{name.upper()}", meta.description))
    return tuple(found)


SETTINGS: Final = _settings()
