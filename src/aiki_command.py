"""The script `aiki`: which commands there are, by name.

The rule: nothing of the package `aiki` is imported before one of them is called. So `aiki --help` stays quick, and
Ctrl-C ends the start without a word: from its first lines on, until the command itself takes over, the signal has the
system's default action, and not Python's traceback. That is why this module stands beside the package and not within.
"""

import signal

# Not where it is ignored: so a shell starts what it runs in the background.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
from typing import Final

from cyclopts import App

__all__ = ["main"]

COMMANDS: Final = {
    "demo": ("aiki.cli.demo.command:demo", "Watch a workflow survive kill -9."),
    "--version": ("aiki.cli.version:show", "Show the version and exit."),
}


def main() -> None:
    """Run the command that was typed, and exit with its status."""
    # Plain text: to render Markdown costs an import of 50 ms, and a sentence needs none.
    app = App(
        name="aiki",
        help="Durable workflows in plain Python.",
        help_format="plaintext",
        version_flags=(),
        result_action="return_value",
    )
    app["--help"].help = "Show this and exit."
    for name, (where, sentence) in COMMANDS.items():
        app.command(where, name=name, help=sentence)
    sys.exit(app())
