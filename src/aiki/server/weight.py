"""How much a command brings: the bytes of its payloads, by which batches are cut.

The rule: an estimate, from below; what is small for every command is left out.
"""

from typing import Final

from aiki.engine.commands import Activate, Command, CommitTurn, Send, Start, StepJob
from aiki.model.wire import Commit

__all__ = ["weight_bytes"]

COMMAND_BYTES: Final = 200
ENTRY_BYTES: Final = 200


def weight_bytes(command: Command) -> int:
    """Return about how many bytes a command adds to its transaction."""
    match command:
        case Start(request):
            return COMMAND_BYTES + len(request.input)
        case Send(event):
            return COMMAND_BYTES + len(event.payload)
        case Activate(request):
            return COMMAND_BYTES + len(request.definition.input)
        case CommitTurn(commit):
            return COMMAND_BYTES + _commit_bytes(commit)
        case StepJob(_, _, requests):
            return COMMAND_BYTES * (1 + len(requests))
        case _:
            return COMMAND_BYTES


def _commit_bytes(commit: Commit) -> int:
    return (
        len(commit.output)
        + len(commit.input)
        + sum(ENTRY_BYTES + len(entry.result) for entry in commit.entries)
        + sum(ENTRY_BYTES + len(child.input) for child in commit.children)
        + sum(len(effect.payload) for effect in commit.effects)
    )
