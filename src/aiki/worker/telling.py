"""What a run's code tells people: its log lines, and the words for a divergence.

The rule: a replay tells nothing twice.
"""

import logging
import re
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Protocol

from aiki.errors import InvalidInput
from aiki.model.journal import Entry
from aiki.sdk.host import RunFacts
from aiki.worker.calls import Call

__all__ = ["WAITS_FOR_NOTHING", "Replaying", "RunLogger", "conviction_text", "misreading_text"]

WAITS_FOR_NOTHING: Final = (
    "the code waits for something that cannot happen: no task, sleep, event or child is open. Look for a future, lock"
    " or queue that nobody serves; deploy corrected code and requeue the run"
)

_OF_AN_EARLIER_ATTEMPT: Final = (
    " This is attempt {attempt} of the run, and the entry may be of an earlier one: code that looks at run.attempt may do"
    " more than the attempt before, but has to ask for what that has done."
)
_TIME: Final = "an argument looks like a time: in workflow code use run.now(), which is the same on replay"
_CHANCE: Final = "an argument looks random: in workflow code use run.random or run.uuid4(), the same on replay"
_WORD: Final = re.compile(r"\w[\w.+:-]*")
_GUESSES: Final[Mapping[re.Pattern[str], str]] = {
    re.compile(r"(19|20)\d\d-\d\d-\d\d(T.*)?"): _TIME,
    re.compile(r"\d\d:\d\d:\d\d([.+-].*)?"): _TIME,
    re.compile(r"1[4-9]\d{8}(\d{3}|\d{6}|\d{9})?(\.\d+)?"): _TIME,  # seconds of a clock until 2033, or parts of them
    re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"): _CHANCE,
    re.compile(r"0\.\d{10,}"): _CHANCE,
    re.compile(r"(?=.*[a-f])(?=.*\d)[0-9a-f]{16,}"): _CHANCE,
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

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's name
        """Return whether a line of this level is written now."""
        return not self._machine.is_replaying and self.logger.isEnabledFor(level)

    def process(self, msg: object, kwargs: MutableMapping[str, Any]) -> tuple[object, MutableMapping[str, Any]]:
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
        + (_OF_AN_EARLIER_ATTEMPT.format(attempt=facts.attempt) if facts.attempt > 1 else "")
    )


def misreading_text(facts: RunFacts, recorded: Entry | None, error: InvalidInput) -> str:
    """Return what tells a person that the types have changed under a run; no entry: those of its input have."""
    what = "its own input" if recorded is None else f"what it has recorded (entry {recorded.seq})"
    return (
        f"workflow {facts.workflow} {facts.version} cannot read {what}: {error} Its type has changed since. Let the new"
        " type take what the old one wrote (a default for a new field, a union of both), or give the new code a new"
        " version; then requeue the run."
    )


def _at(where: str | None) -> str:
    return f" at {where}" if where else ""


def _guess(new: str, old: str) -> str | None:
    """Return what may have made the arguments differ, where nothing but arguments differs."""
    if new.partition("(")[0] != old.partition("(")[0]:
        return None
    words = set(_WORD.findall(new)) ^ set(_WORD.findall(old))
    for looks_like, guess in _GUESSES.items():
        if any(looks_like.fullmatch(word) for word in words):
            return guess
    return None
