"""What live views are told of runs that change.

The rule: it says enough to see whether it concerns what is shown, and nothing that anybody may decide by: it is a hint.
"""

from aiki.model.lifecycle import Status
from aiki.model.wire import Message

__all__ = ["Changes", "RunChange"]


class RunChange(Message, frozen=True):
    """A run that has changed, as it stands now; `version_no` rises with every change."""

    id: str
    status: Status
    workflow: str
    version: str
    version_no: int
    attempt: int = 1
    seq: int = 0
    reference_id: str | None = None
    parent_id: str | None = None
    why: str | None = None
    started_at_ms: int | None = None
    finished_at_ms: int | None = None


class Changes(Message, frozen=True):
    """What has changed since the last were told, each run once.

    Attributes:
        mark: names the last change; a stream that broke goes on after it.
        missed: there was more than is told: read what is shown anew.
    """

    mark: str
    runs: tuple[RunChange, ...] = ()
    missed: bool = False
