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
from collections.abc import Mapping, Sequence
from typing import Final

from cyclopts import App, CycloptsError

__all__ = ["app", "main"]

USAGE: Final = 2  # the exit status of what was typed wrongly

COMMANDS: Final = {
    "demo": ("aiki.cli.demo.command:demo", "Watch a workflow survive kill -9."),
    "dev": ("aiki.cli.dev.command:dev", "Server, database file and workers with reload, in one command."),
    "server": ("aiki.cli.server:server", "Serve runs over HTTP to workers and clients."),
    "web": ("aiki.cli.web.command:web", "Serve the dashboard for a server elsewhere."),
    "worker": ("aiki.cli.worker:worker", "Run the workflows and tasks of a module, for a server."),
    "top": ("aiki.cli.fleet.top:top", "Show the fleet live: what needs a person, and who executes what."),
    "completion": ("aiki.cli.completion:completion", "Print what makes a shell complete what is typed."),
    "--version": ("aiki.cli.version:show", "Show the version and exit."),
}
RUNS: Final = {
    "list": ("aiki.cli.runs.reading:list_runs", "List runs, newest first."),
    "count": ("aiki.cli.runs.reading:count", "Count runs by status."),
    "show": ("aiki.cli.runs.reading:show", "Show how a run stands, what it waits for, and why."),
    "watch": ("aiki.cli.runs.reading:watch", "Show a run until it has ended."),
    "start": ("aiki.cli.runs.asking:start", "Start a run."),
    "send": ("aiki.cli.runs.asking:send", "Send a run an event."),
    "wake": ("aiki.cli.runs.asking:wake", "End what a run sleeps in, now."),
    "pause": ("aiki.cli.runs.asking:pause", "Hold a run; it stops after its current tasks."),
    "resume": ("aiki.cli.runs.asking:resume", "Let a paused run go on."),
    "cancel": ("aiki.cli.runs.asking:cancel", "Ask a run to cancel; its code may clean up."),
    "terminate": ("aiki.cli.runs.asking:terminate", "End a run at once, without clean-up."),
    "requeue": ("aiki.cli.runs.asking:requeue", "Let a stalled run try again."),
    "retry": ("aiki.cli.runs.asking:retry", "Try a failed run again; what it completed is kept."),
}
WORKERS: Final = {
    "list": ("aiki.cli.fleet.command:list_workers", "List the workers that are there, and what they execute."),
}
WORKFLOWS: Final = {
    "list": ("aiki.cli.fleet.command:list_workflows", "List the versions that are known, and who serves them."),
}
LISTED: Final = frozenset({"workers", "workflows"})
HELP: Final = frozenset({"-h", "--help"})
MIGRATE: Final = {
    "status": ("aiki.cli.migrate:status", "Show which migrations a Postgres database lacks."),
    "apply": ("aiki.cli.migrate:apply", "Apply them."),
}

SCHEDULES: Final = {
    "list": ("aiki.cli.schedules.command:list_schedules", "List schedules, by name."),
    "show": ("aiki.cli.schedules.command:show", "Show what a schedule starts and when, and what it started last."),
    "pause": ("aiki.cli.schedules.command:pause", "Let a schedule rest."),
    "resume": ("aiki.cli.schedules.command:resume", "Let a schedule go on."),
    "trigger": ("aiki.cli.schedules.command:trigger", "Start a run of a schedule now."),
    "deactivate": ("aiki.cli.schedules.command:deactivate", "Remove a schedule; its runs stay."),
}


def main() -> None:
    """Run the command that was typed, and exit with its status."""
    try:
        typed = _with_usual(sys.argv[1:])
        status = app(typed=typed)(typed, exit_on_error=False)
    except CycloptsError:  # what was wrong, and what would work, has been printed
        status = USAGE
    sys.exit(status)


def app(*, typed: Sequence[str] | None) -> App:
    """Return all commands, those that are among the typed words with their own text; None: all of them."""
    whole = _app("aiki", "Durable workflows in plain Python.", commands=COMMANDS, typed=typed)
    whole["--help"].help = "Show this and exit."
    whole.command(_app("runs", "Start, look at and steer runs.", commands=RUNS, typed=typed))
    whole.command(_app("schedules", "Look at and steer schedules.", commands=SCHEDULES, typed=typed))
    whole.command(_app("workers", "Look at the workers that are there.", commands=WORKERS, typed=typed))
    whole.command(_app("workflows", "Look at the versions that are known.", commands=WORKFLOWS, typed=typed))
    whole.command(_app("migrate", "Bring a Postgres database to this version.", commands=MIGRATE, typed=typed))
    return whole


def _with_usual(typed: Sequence[str]) -> list[str]:
    """Return what was typed, with `list` where a group whose one command that is stands without it."""
    group, *rest = typed or [""]
    asks = not rest or (rest[0].startswith("-") and rest[0] not in HELP)
    return [group, "list", *rest] if group in LISTED and asks else list(typed)


def _app(name: str, sentence: str, *, commands: Mapping[str, tuple[str, str]], typed: Sequence[str] | None) -> App:
    # Plain text: to render Markdown costs an import of 50 ms, and a sentence needs none.
    made = App(name=name, help=sentence, help_format="plaintext", version_flags=(), result_action="return_value")
    for command, (where, summary) in commands.items():
        # The summary stands in for the command's own words where these would have to be imported.
        made.command(where, name=command, help=None if typed is None or command in typed else summary)
    return made
