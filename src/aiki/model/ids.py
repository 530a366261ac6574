"""How ids that follow from facts are made.

The rule: what must be the same when it is repeated (a child of a run, a message of a numbered effect) has an id that
is computed, never drawn.
"""

import hashlib
import re
from typing import Final
from uuid import UUID

from aiki.errors import InvalidInput

__all__ = ["check_id", "child_run_id", "derived_id", "draw_of", "event_id", "is_id"]

_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def derived_id(*parts: str | int) -> str:
    """Return a UUID (version 8, RFC 9562) that follows from `parts`.

    >>> derived_id("a", 1) == derived_id("a", 1), derived_id("a", 1) == derived_id("a", "1x")
    (True, False)
    """
    digest = bytearray(hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(digest)))


def child_run_id(parent_id: str, chapter: int, *, attempt: int, address: str, ordinal: int) -> str:
    """Return the run id of a child: a start that is repeated is then the same child."""
    return derived_id("child", parent_id, chapter, attempt, address, ordinal)


def event_id(run_id: str, name: str, reference_id: str) -> str:
    """Return the message id of an event with a reference id: a second one of that name to that run is then the first."""
    return derived_id("event", run_id, name, reference_id)


def draw_of(*parts: str | int) -> float:
    """Return a number from 0 to below 1 that follows from `parts`: chance for those who may not draw."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def check_id(value: str, what: str) -> str:
    """Return `value` if it is a UUID in its usual text form.

    Raises:
        InvalidInput: it is not; the message names `what`.
    """
    if is_id(value):
        return value
    raise InvalidInput(
        f"{what} is {value[:60]!r}, which is no id: ids are UUIDs in lower case with hyphens, as a start answers them and lists show them",
        path=what,
    )


def is_id(value: str) -> bool:
    """Whether `value` is a UUID in its usual text form.

    >>> is_id("018bcfe5-6800-7000-8000-000000000001"), is_id("order-1")
    (True, False)
    """
    return _ID.fullmatch(value) is not None
