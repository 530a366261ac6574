"""What may be said of a run when it is started.

The rule: options are checked where they are written, and are the wire's `RunOptions` from then on.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, TypedDict

import msgspec

from aiki.errors import InvalidInput
from aiki.model import payload
from aiki.model.retry import Retry
from aiki.model.run import ParentClose
from aiki.model.wire import PRIORITY_MAX, TAGS_MAX, RunOptions
from aiki.sdk.convert import Seconds, instant_ms, limit_ms

__all__ = ["Options", "with_options"]


class Options(TypedDict, total=False):
    """The keywords of `Version.options` and `client.runs.start`. What is left out stays as it was.

    reference_id: a name of your own, unique per workflow; a repeated start with it is the same run.
    conflict: what a start with the same reference id and other input does.
    start_at: the aware moment to start at; or `delay`: how long from now.
    pool: which workers may take it.
    priority: from -1,000 to 1,000; the higher is taken first.
    retry: how often the whole run is tried again after it has failed.
    timeout: how long the run may take in all; None for ever.
    tags: words to find it by.
    parent_close: of a child: what becomes of it when its parent ends.
    """

    reference_id: str
    conflict: Literal["error", "return_existing"]
    start_at: datetime
    delay: Seconds
    pool: str
    priority: int
    retry: Retry
    timeout: Seconds | None
    tags: Mapping[str, str]
    parent_close: Literal["cancel", "abandon"]


def with_options(base: RunOptions, options: Options) -> RunOptions:
    """Return `base` with options replaced.

    Raises:
        ValueError: an option's value is out of bounds, or `start_at` is naive.
        TypeError: there is no such option, or its value is of another type.
        InvalidInput: a reference id, pool or tag that cannot be stored.
    """
    changes: dict[str, Any] = {}
    for name, value in options.items():
        checked = _CHECKS.get(name)
        if checked is None:
            raise TypeError(f"there is no option {name!r}; there are {', '.join(_CHECKS)}")
        field, check = checked
        changes[field] = check(value)
    if "start_at_ms" in changes and "delay_ms" in changes:
        raise ValueError("start_at and delay are two ways to say when: give one of them")
    if "start_at_ms" in changes:
        changes["delay_ms"] = None
    elif "delay_ms" in changes:
        changes["start_at_ms"] = None
    return msgspec.structs.replace(base, **changes)


def _reference_id(value: str) -> str:
    payload.check_name(value, "a reference id")
    return value


def _one_of(what: str, *known: str) -> Any:  # noqa: ANN401 - a check, as all of _CHECKS
    def check(value: object) -> object:
        if value not in known:
            raise ValueError(f"{what} is {value!r}: it must be {' or '.join(map(repr, known))}")
        return value

    return check


def _start_at_ms(value: datetime) -> int:
    if not isinstance(value, datetime):
        raise TypeError(f"start_at is {value!r}: give an aware datetime, or `delay` in seconds")
    return instant_ms(value, "start_at")


def _pool(value: str) -> str:
    if value:
        payload.check_name(value, "a pool's name")
    return value


def _priority(value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"priority is {value!r}: give a whole number")
    if not -PRIORITY_MAX <= value <= PRIORITY_MAX:
        raise ValueError(f"priority is {value}: it must be from {-PRIORITY_MAX:,} to {PRIORITY_MAX:,}")
    return value


def _retry(value: Retry) -> Retry:
    if not isinstance(value, Retry):
        raise TypeError(f"retry is {value!r}: give Retry.never(), .fixed(), .exponential() or .jittered()")
    return value


def _tags(value: Mapping[str, str]) -> dict[str, str]:
    if len(value) > TAGS_MAX:
        raise ValueError(f"{len(value)} tags are given; the limit is {TAGS_MAX}")
    for key, text in value.items():
        payload.check_name(key, "a tag's name")
        if not isinstance(text, str):
            raise InvalidInput(f"tag {key} is {text!r}: give a string", path=key)
        if text:
            payload.check_name(text, f"the value of tag {key}")
    return dict(value)


_CHECKS: Final[Mapping[str, tuple[str, Any]]] = {
    "reference_id": ("reference_id", _reference_id),
    "conflict": ("conflict", _one_of("conflict", "error", "return_existing")),
    "start_at": ("start_at_ms", _start_at_ms),
    "delay": ("delay_ms", lambda value: limit_ms(value, "delay")),
    "pool": ("pool", _pool),
    "priority": ("priority", _priority),
    "retry": ("retry", _retry),
    "timeout": ("timeout_ms", lambda value: limit_ms(value, "timeout")),
    "tags": ("tags", _tags),
    "parent_close": ("parent_close", lambda value: ParentClose(_one_of("parent_close", "cancel", "abandon")(value))),
}
"""Each option: the field that it becomes, and what checks and converts it."""
