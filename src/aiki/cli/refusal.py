"""How a command says that something cannot be done: one message on standard error, and status 1.

The rule: what is refused is told in words, never by a traceback of ours; with `--json` the one document on standard
output says so, too.
"""

import sys
from typing import Final

from aiki.cli.printing import print_json
from aiki.errors import AikiError

__all__ = ["REFUSED", "Refusal", "refuse"]

REFUSED: Final = 1


class Refusal(Exception):
    """What was asked for cannot be done. The message says what was found, and what would work."""


def refuse(command: str, error: Exception, *, as_json: bool = False) -> int:
    """Tell why a command cannot do what it was asked for.

    Returns:
        The exit status.
    """
    text = str(error)
    print(f"aiki {command}: {text}", file=sys.stderr)
    if as_json:
        code = error.code if isinstance(error, AikiError) else "refused"
        print_json({"error": {"code": code, "message": text}})
    return REFUSED
