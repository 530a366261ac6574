"""What a command that stays tells while it does: one line each for what begins, ends or goes wrong, on standard error.

The rule: only Aiki's own loggers are touched; a worker's program sets up its own as it likes. A line that would repeat
the one before is left out, so that an outage is one line however often it is met.
"""

import logging
from typing import Final

__all__ = ["log_to_terminal", "logger"]

LINE: Final = "%(asctime)s  %(message)s"
TIME: Final = "%H:%M:%S"

logger: Final = logging.getLogger("aiki.command")


class _NotAgain(logging.Filter):
    """Passes a line unless it says the same as the one before."""

    def __init__(self) -> None:
        super().__init__()
        self._last = ""

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        is_new = said != self._last or record.exc_info is not None
        self._last = said
        return is_new


def log_to_terminal() -> None:
    """Let Aiki's loggers write to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(LINE, TIME))
    handler.addFilter(_NotAgain())
    ours = logging.getLogger("aiki")
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    ours.propagate = False
    logging.getLogger("aiki.server").setLevel(logging.WARNING)  # that it serves, and where, is the command's to say
