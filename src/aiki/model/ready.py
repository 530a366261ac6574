"""Where runs that are ready stand in Redis: the names of the keys, and the order within.

The rule: servers write and workers read by these functions alone, and nothing of it is the truth: a key may vanish, and
an id may stand there that is long under way.
"""

from typing import Final
from urllib.parse import quote

from aiki.model.run import Queue
from aiki.model.wire import PRIORITY_MAX

__all__ = ["PREFIX_DEFAULT", "channel", "queue_key", "score_of", "session_key"]

PREFIX_DEFAULT: Final = "aiki"
DUE_STEPS: Final = (
    2**42
)  # more than the milliseconds until the year 2109; with the priorities it fits a float's 53 bits


def queue_key(prefix: str, queue: Queue) -> str:
    """Return the key of the sorted set that holds a queue's runs.

    >>> queue_key("aiki", Queue("default", "order", "1.0.0", "gpu"))
    '{aiki}:ready:default:order:1.0.0:gpu'
    """
    parts = (queue.namespace, queue.workflow, queue.version, queue.pool)
    return ":".join((_tag(prefix), "ready", *(quote(part, safe="") for part in parts)))


def session_key(prefix: str, session_id: str) -> str:
    """Return the key of the sorted set that holds the runs whose code a session has kept."""
    return f"{_tag(prefix)}:kept:{session_id}"


def channel(prefix: str) -> str:
    """Return the channel on which servers tell one another what changed."""
    return f"{_tag(prefix)}:news"


def score_of(priority: int, due_at_ms: int) -> float:
    """Return a run's place in its queue: the lowest first, by priority and then by what has been due for longest.

    >>> score_of(5, 2_000) < score_of(4, 1_000) < score_of(4, 1_001)
    True
    """
    return float((PRIORITY_MAX - priority) * DUE_STEPS + min(max(due_at_ms, 0), DUE_STEPS - 1))


def _tag(prefix: str) -> str:
    """All keys have one hash tag, so that a cluster keeps them on one node, where a script may take from many."""
    return f"{{{prefix}}}"
