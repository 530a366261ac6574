"""How a run's code ended, as what is committed of it.

The rule: an error is data, and knows the entry that brought it, so that a retry of the whole run can cut it out.
"""

import asyncio

from msgspec import Raw, Struct
from msgspec.structs import replace

from aiki.model.journal import EMPTY, Failure
from aiki.model.wire import Commit, Outcome
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

    def added_to(self, commit: Commit) -> Commit:
        """Return a commit that ends the code in this way. It opens and closes no waits: with the code all are void."""
        return replace(
            commit,
            outcome=self.outcome,
            opened=(),
            closed=(),
            replace_waits=False,
            output=self.output,
            error=self.error,
            failed_seq=self.failed_seq,
            input=self.input,
            input_hash=self.input_hash,
        )


def ending_of(main: asyncio.Task[bytes], *, cancel_delivered: bool) -> Ending:
    """Return how a finished main task ended: by a value (already encoded), or an error."""
    if main.cancelled():
        if cancel_delivered:
            return Ending(Outcome.CANCELLED)
        return Ending(Outcome.FAILED, error=failure_of(asyncio.CancelledError("the code cancelled itself")))
    error = main.exception()
    if error is None:
        return Ending(Outcome.COMPLETED, output=Raw(main.result()))
    return Ending(Outcome.FAILED, error=failure_of(error), failed_seq=entry_of(error))
