"""What commands print: one JSON document, or text for people.

The rule: what a program may read goes to standard output, and words for people about the command itself to standard
error; into a pipe goes nothing but plain text, and no line is cut.
"""

import sys
from typing import Final

import msgspec
from rich.console import Console, RenderableType

__all__ = ["console", "flush", "print_json", "show"]

INDENT: Final = 2
PIPE_COLUMNS: Final = 1_000


def print_json(document: object) -> None:
    """Print the one document of a command that was asked for `--json`."""
    print(msgspec.json.format(msgspec.json.encode(document), indent=INDENT).decode())


def console() -> Console:
    """Return what pictures are drawn on: the terminal as wide as it is, a pipe as wide as the text."""
    if sys.stdout.isatty():
        return Console(highlight=False, markup=False)
    return Console(highlight=False, markup=False, force_terminal=False, color_system=None, width=PIPE_COLUMNS)


def show(picture: RenderableType) -> None:
    """Show a picture: in colours on a terminal, as plain lines in a pipe."""
    screen = console()
    if screen.is_terminal:
        screen.print(picture)
        return
    with screen.capture() as captured:
        screen.print(picture)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def flush() -> None:
    """Write out what is still held, before a process ends without its own end."""
    sys.stdout.flush()
    sys.stderr.flush()
