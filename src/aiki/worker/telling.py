"""What a run's code tells people: its log lines, and the words for a divergence.

The rule: a replay tells nothing twice.
"""

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Protocol

from aiki.model.journal import Entry
from aiki.sdk.host import RunFacts
from aiki.worker.calls import Call

__all__ = ["RunLogger", "conviction_text"]

GUESSES: Final[Mapping[str, str]] = {
    "time": "an argument looks like a time: in workflow code use run.now(), which is the same on replay",
    "chance": "an argument looks random: in workflow code use run.random or run.uuid4(), the same on replay",
}


class Replaying(Protocol):
    """A machine, as a logger sees it."""

    facts: RunFacts
    is_replaying: bool


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that carries the run's id and is silent while the run is replayed."""

    def __init__(self, logger: logging.Logger, machine: Replaying) -> None:
        super().__init__(logger, None)
        self._machine = machine

    def isEnabledFor(self, level: int) -> bool:
        """Return whether a line of this level is written now."""
        return not self._machine.is_replaying and self.logger.isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the run's facts to the record."""
        facts = self._machine.facts
        known = {"run_id": facts.id, "workflow": facts.workflow, "workflow_version": facts.version}
        kwargs["extra"] = {**known, **(kwargs.get("extra") or {})}
        return msg, kwargs


def conviction_text(facts: RunFacts, call: Call, recorded: Entry) -> str:
    """Return what tells a person that the code diverged: both calls, where they stand, and the ways out."""
    asked = f"{call.label}{_at(call.where)}"
    held = f"{recorded.label or recorded.key.address}{_at(recorded.where)}"
    guess = _guess(call.label, recorded.label)
    return (
        f"workflow {facts.workflow} {facts.version} diverged: it asks for {call.key.kind} {asked}, which is new, but"
        f" the journal still holds {recorded.key.kind} {held} (entry {recorded.seq}), which the code has not asked for."
        " Put the old call back, or give the new code a new version; then requeue the run."
        + (f" A guess: {guess}." if guess else "")
    )


def _at(where: str | None) -> str:
    return f" at {where}" if where else ""


def _guess(new: str, old: str) -> str | None:
    """Return what may have made the arguments differ, where only arguments differ."""
    if new == old or new.partition("(")[0] != old.partition("(")[0]:
        return None
    words = _differing(new, old)
    if any(word.count("-") == 2 and word[:2] in ("19", "20") for word in words):
        return GUESSES["time"]
    if any(word.replace(".", "").isdigit() and len(word) >= 10 for word in words):
        return GUESSES["time"] if any(word[:1] == "1" for word in words) else GUESSES["chance"]
    if any(word.count("-") == 4 or word.startswith("0.") and len(word) > 8 for word in words):
        return GUESSES["chance"]
    return None


def _differing(new: str, old: str) -> set[str]:
    split = str.maketrans(dict.fromkeys("(),='\"{}[]: T", " "))
    return set(new.translate(split).split()) ^ set(old.translate(split).split())
