"""Writes the pages of the documentation that say what the code says: `make docs`.

The rule: each page is made from the one place that decides what stands on it, and a house test holds it to that. A new
command, setting, error or status is on its page, or the tests fail.
"""

import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from cyclopts import App, Argument

import aiki
import aiki_command
from aiki import errors
from aiki.config import SETTINGS, Setting
from aiki.errors import AikiError
from aiki.model.lifecycle import MEANINGS, MOVES, OPEN, SUSPENDED, TERMINAL, Status
from aiki.server.api.problems import PROBLEMS
from tools import http_reference

__all__ = ["PAGES"]

DOCS: Final = Path(__file__).parents[1] / "docs"
MADE: Final = "<!-- Made by `make docs`. -->\n"
SUSPENDED_WORD: Final = "suspended"

# What is no setting of a server: (variable, who reads it, what it says).
VARIABLES: Final = (
    ("AIKI_URL", "clients, workers, `aiki runs`", "The server's address; by default http://localhost:9850."),
    ("AIKI_API_KEY", "clients, workers, `aiki runs`", "The key that they show to the server."),
    ("AIKI_API_KEYS", "`aiki server`", "The keys that open everything, with commas between."),
    ("AIKI_REDIS", "`aiki server`", "The Redis in which it shows ready runs."),
)


# ------------------------------------------------------------------------------------------------------------ statuses


def statuses() -> str:
    """Return the page of statuses: a diagram, what each means, and every move with its reasons."""
    return "\n".join(
        [
            "# The statuses of a run\n",
            MADE,
            (
                "A run moves along this table and no other way; each move is recorded with its time and reason"
                " (`aiki runs show`).\n"
            ),
            "```mermaid",
            "stateDiagram-v2",
            *_diagram(),
            "```\n",
            f"*{SUSPENDED_WORD}* stands for "
            + ", ".join(f"`{status}`" for status in Status if status in SUSPENDED)
            + ": nobody owns the run, and it costs no thread and, past a bound, no memory.\n",
            "| Status | Means |\n|---|---|",
            *(f"| `{status}` | {MEANINGS[status]} |" for status in Status),
            "\n## Moves\n",
            "| From | To | Because |\n|---|---|---|",
            *_moves(),
            "",
        ]
    )


def _diagram() -> Iterator[str]:
    shown = {status: SUSPENDED_WORD if status in SUSPENDED else str(status) for status in Status}
    arrows = {(shown[old], shown[new]): None for old, moves in MOVES.items() for new in moves}
    first = [f"    [*] --> {status}" for status in (Status.SCHEDULED, Status.QUEUED)]
    last = [f"    {status} --> [*]" for status in Status if status in TERMINAL]
    yield from first
    yield from (f"    {old} --> {new}" for old, new in arrows)
    yield from last


def _moves() -> Iterator[str]:
    for old, moves in MOVES.items():
        for new, reasons in moves.items():
            yield f"| `{old}` | `{new}` | {', '.join(sorted(reason.replace('_', ' ') for reason in reasons))} |"
        if not moves:
            assert old not in OPEN
            yield f"| `{old}` | | it is final |"


# -------------------------------------------------------------------------------------------------------------- errors


def error_page() -> str:
    """Return the page of errors: the tree, and each with its code, status over HTTP, and attributes."""
    module = inspect.getdoc(errors) or ""
    tree = textwrap.dedent(module.partition("\n\n")[2].partition("\n\nThe rule")[0])
    kinds = [kind for name in errors.__all__ if (kind := getattr(errors, name)) is not AikiError]
    return "\n".join(
        [
            "# Errors\n",
            MADE,
            (
                "What Aiki raises on purpose derives from `aiki.AikiError`. Each error has a `code`, the same over HTTP, its facts as"
                " attributes, and a message that says what happened, to what, and what to do next.\n"
            ),
            f"```text\n{tree}\n```\n",
            *(part for kind in sorted(kinds, key=lambda one: one.__name__) for part in _error(kind)),
            *ERRORS_TAIL,
        ]
    )


ERRORS_TAIL: Final = (
    "## What is no error\n",
    (
        "A run that is parked unwinds its code with an exception that derives from `BaseException`, so no `except Exception` of yours"
        " can swallow it; and `asyncio.CancelledError` is how a cancellation comes: clean up, and let it pass"
        " ([Cancellation](cancellation.md)).\n"
    ),
)


def _error(kind: type[AikiError]) -> Iterator[str]:
    problem = PROBLEMS.get(kind.code)
    over_http = f", {problem.status} over HTTP" if problem else ""
    inside = "" if hasattr(aiki, kind.__name__) else ", inside the platform only"
    yield f"## {kind.__name__}\n"
    yield f"`{kind.code}`{over_http}{inside}.\n"
    yield _prose(inspect.getdoc(kind) or "")


def _prose(text: str) -> str:
    """Return a docstring as Markdown, its list of attributes too."""
    said, _, attributes = text.partition("\n\nAttributes:\n")
    listed = [f"- `{name}`: {words}" for name, words in _listed(attributes)]
    return "\n".join([" ".join(said.split()), *([""] if listed else []), *listed, ""])


def _listed(attributes: str) -> Iterator[tuple[str, str]]:
    for item in textwrap.dedent(attributes).replace("\n    ", " ").splitlines():
        name, _, words = item.partition(": ")
        yield name, words


# ------------------------------------------------------------------------------------------------------------ settings


def settings() -> str:
    """Return the page of settings: every environment variable that Aiki reads."""
    return "\n".join(
        [
            "# Settings\n",
            MADE,
            "## Of a server\n",
            (
                "`aiki server`, `aiki dev`, `aiki.Server` and `aiki.local` read these from the environment; in code, give"
                " `Server(config=...)`. Each is an integer; one out of its bounds is refused when the server is made. `_MS` is"
                " milliseconds.\n"
            ),
            "| Variable | Default | Bounds | |\n|---|---|---|---|",
            *map(_setting, SETTINGS),
            "\n## Of others\n",
            "| Variable | Read by | |\n|---|---|---|",
            *(f"| `{name}` | {who} | {says} |" for name, who, says in VARIABLES),
            "",
        ]
    )


def _setting(one: Setting) -> str:
    return f"| `{one.variable}` | {one.default:,} | {one.least:,} to {one.most:,} | {one.description} |"


# ------------------------------------------------------------------------------------------------------------ commands


def commands() -> str:
    """Return the page of commands: each with what its `--help` says."""
    found = list(_commands(aiki_command.app(typed=None), ("aiki",)))
    return (
        "\n".join(
            [
                "# The command line\n",
                MADE,
                (
                    "Each command says this itself: `aiki runs start --help`. What was refused is told in one sentence, with status 1;"
                    " what was typed wrongly has status 2, and Ctrl-C 130.\n"
                ),
                "| Command | |\n|---|---|",
                *(f"| [`{name}`](#{name.replace(' ', '-')}) | {_summary(app)} |" for name, app in found),
                "",
                *(part for name, app in found for part in _command(name, app)),
            ]
        ).rstrip()
        + "\n"
    )


def _commands(app: App, path: tuple[str, ...]) -> Iterator[tuple[str, App]]:
    for name in app:
        if name.startswith("-"):
            continue
        one = app[name]
        if any(not inner.startswith("-") for inner in one):
            yield from _commands(one, (*path, name))
        else:
            yield " ".join((*path, name)), one


def _summary(app: App) -> str:
    return _doc(app).partition("\n\n")[0].replace("\n", " ")


def _doc(app: App) -> str:
    return inspect.cleandoc(app.help or "")


def _command(name: str, app: App) -> Iterator[str]:
    said, _, _ = _doc(app).partition("\nArgs:\n")
    text, _, examples = said.partition("\nFor example:\n")
    yield f"## {name}\n"
    yield text.strip() + "\n"
    arguments = [one for one in app.assemble_argument_collection(parse_docstring=True) if one.show]
    if examples:
        yield "```text\n" + textwrap.dedent(examples).strip("\n") + "\n```\n"
    if arguments:
        yield "| | |\n|---|---|"
        yield from map(_argument, arguments)
        yield ""


def _argument(one: Argument) -> str:
    names = ", ".join(f"`{name}`" for name in one.names)
    choices = one.get_choices()
    said = " ".join((one.parameter.help or "").split()).replace("|", "\\|")
    of = f" One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else ""
    default = one.field_info.default
    is_told = not one.required and default not in (None, False, inspect.Parameter.empty)
    return f"| {names} | {said}{of}{f' Default: `{default}`.' if is_told else ''}{' Needed.' if one.required else ''} |"


PAGES: Final[Mapping[Path, Callable[[], str]]] = {
    http_reference.PAGE: http_reference.page,
    DOCS / "errors.md": error_page,
    DOCS / "reference/cli.md": commands,
    DOCS / "reference/settings.md": settings,
    DOCS / "reference/statuses.md": statuses,
}


if __name__ == "__main__":
    for page, make in PAGES.items():
        page.write_text(make(), encoding="utf-8")
