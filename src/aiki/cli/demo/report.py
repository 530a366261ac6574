"""What the demo says at its end: what died, what ran twice, and why that is safe.

The rule: each sentence is made from what was seen. Where that is not as it must be, this is said, and the demo fails.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from aiki.cli.demo.record import Record, Step

__all__ = ["Death", "Seen", "faults", "sentences"]


@dataclass(frozen=True)
class Death:
    """How a process ended.

    Attributes:
        who: which it was, in words.
        pid: its id.
        status: its exit status, as the system gave it; -9 is death by signal 9.
        at_s: when, in seconds since the demo began.
        cut_off: the task that was under way, and for how long.
        cut_off_after_s: how long it had been.
        recorded: the tasks whose results were in the journal.
        ride_left_s: how long the courier's ride still had to go.
    """

    who: str
    pid: int
    status: int
    at_s: float
    cut_off: str
    cut_off_after_s: float
    recorded: tuple[str, ...]
    ride_left_s: float


@dataclass(frozen=True)
class Seen:
    """All that was seen, at the end.

    Attributes:
        record: of all steps.
        death: of the process that was killed.
        bookings: how many couriers the courier company has booked.
        pid: who went on, if all was in one process: the second one.
        away_s: how long no process ran, then.
        survivor: who went on, if there were a server and workers: the other worker's process. Else None.
    """

    record: Record
    death: Death
    bookings: int
    pid: int
    away_s: float = 0.0
    survivor: int | None = None


def sentences(seen: Seen) -> list[tuple[str, str]]:
    """Return the account, as headings with their text."""
    tasks = seen.record.tasks()
    return [
        ("What died", _death(seen.death)),
        ("What went on", _going_on(seen) if seen.survivor is None else _moving_on(seen)),
        *(("What ran twice", _why_safe(step, bookings=seen.bookings)) for step in tasks if len(step.processes) > 1),
        ("What waited", _waiting(seen)),
        ("Times run", ", ".join(f"{step.name} {len(step.processes)}" for step in tasks)),
        ("Result", json.dumps(seen.record.result)),
    ]


def faults(seen: Seen) -> list[str]:
    """Return what was seen that must not be; nothing, if Aiki works."""
    found = []
    if seen.death.status != -9:
        found.append(f"the process ended with status {seen.death.status}, not by signal 9")
    if seen.record.result != {"status": "completed"}:
        found.append(f"the result is {json.dumps(seen.record.result)}")
    for step in seen.record.tasks():
        expected = 2 if step.name == seen.death.cut_off else 1
        if len(step.processes) != expected:
            found.append(f"{step.name} ran {len(step.processes)} times, and should have run {expected}")
        if len(step.keys) != 1:
            found.append(f"{step.name} used {len(step.keys)} idempotency keys")
        if seen.survivor is not None and set(step.processes) - {seen.death.pid, seen.survivor}:
            found.append(f"{step.name} ran in a process that is no worker's")
        if seen.survivor is not None and step.processes[-1:] != [seen.survivor]:
            found.append(f"{step.name} ran last in process {step.processes[-1]}, not in {seen.survivor}")
    if seen.bookings != 1:
        found.append(f"{seen.bookings} couriers are booked")
    return found


def _death(death: Death) -> str:
    return (
        f"{death.who}, by kill -9, {death.cut_off_after_s:.1f} s into the task {death.cut_off}. "
        f"The courier was under way: the ride had {death.ride_left_s:.1f} s to go."
    )


def _going_on(seen: Seen) -> str:
    return (
        f"The order, in process {seen.pid}: the same program, started again on the same file. There it found what was "
        f"recorded, so {_listed(seen.death.recorded)} did not run again."
    )


def _moving_on(seen: Seen) -> str:
    again = seen.record.step(seen.death.cut_off)
    assert again is not None, "it has been seen"
    return (
        f"Everything else. The delivery moved on to the worker kitchen, process {seen.survivor}, "
        f"{again.began_s - seen.death.at_s:.1f} s after the kill: the server heard no more of the one that had it. What was "
        f"recorded, {_listed(seen.death.recorded)}, did not run again."
    )


def _why_safe(step: Step, *, bookings: int) -> str:
    return (
        f"{step.name}: the process died before the result was recorded, so it was run again. That is safe, as both times "
        f"it gave the courier company the same idempotency key ({min(step.keys)[:13]}...): {len(step.processes)} requests, "
        f"{bookings} booking{'' if bookings == 1 else 's'}."
    )


def _waiting(seen: Seen) -> str:
    ride = seen.record.step("ride")
    assert ride is not None, "it has been seen"
    assert ride.due_s is not None, "a sleep has its end"
    late_s = max(ride.changed_s - ride.due_s, 0.0)
    although = (
        f"although nothing ran for {seen.away_s:.1f} s of it"
        if seen.survivor is None
        else "although the process that had begun it was dead by then"
    )
    return (
        f"The ride. It was over {late_s:.1f} s after the moment that was set before the kill, {although}: a sleep is a "
        "moment in the file, not a process that waits."
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"
