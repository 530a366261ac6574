"""How a run's code ended, as what is committed of it.

The rule: an error is data, and knows the entry that brought it, so that a retry of the whole run can cut it out.
"""

import asyncio
from typing import Any

from msgspec import Raw, Struct

from aiki.model.journal import EMPTY, Failure
from aiki.model.wire import Outcome
from aiki.sdk.control import ContinueAsNew
from aiki.sdk.failures import entry_of, failure_of

__all__ = ["Ending", "ending_of"]


class Ending(Struct, frozen=True):
    """What the end of the code adds to a commit."""

    outcome: Outcome
    output: Raw = EMPTY
    error: Failure | None = None
    failed_seq: int | None = None
    input: Raw = EMPTY
    input_hash: str = ""


def ending_of(main: "asyncio.Task[Any]", *, cancel_delivered: bool) -> Ending:
    """Return how a finished main task ended: by a value (already encoded), an error, or an unwinding."""
    if main.cancelled():
        if cancel_delivered:
            return Ending(Outcome.CANCELLED)
        return Ending(Outcome.FAILED, error=failure_of(asyncio.CancelledError("the code cancelled itself")))
    error = main.exception()
    if error is None:
        return Ending(Outcome.COMPLETED, output=Raw(main.result()))
    if isinstance(error, ContinueAsNew):
        return Ending(Outcome.CONTINUED, input=Raw(error.payload), input_hash=error.input_hash)
    return Ending(Outcome.FAILED, error=failure_of(error), failed_seq=entry_of(error))

