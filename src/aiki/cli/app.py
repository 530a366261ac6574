"""The commands of `aiki`: one line each.

The rule: a command is named here by a string and imported when it is called, so that `aiki --help` stays quick
however many there are.
"""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Final

from cyclopts import App

__all__ = ["main"]

COMMANDS: Final = {
    "demo": ("aiki.cli.demo.command:demo", "Watch a workflow survive kill -9, in 15 seconds."),
}


def main() -> None:
    """Run the command that was typed, and exit with its status."""
    # Plain text: rendering Markdown costs an import of 50 ms, and one sentence needs none.
    app = App(
        name="aiki",
        help="Durable workflows in plain Python.",
        help_format="plaintext",
        version=_version,
        version_format="plaintext",
        result_action="return_value",
    )
    app["--help"].help = "Show this and exit."
    app["--version"].help = "Show the version and exit."
    for name, (where, sentence) in COMMANDS.items():
        app.command(where, name=name, help=sentence)
    sys.exit(app())


def _version() -> str:
    return f"aiki {importlib.metadata.version('aiki')}"
