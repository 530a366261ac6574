"""Who notices that workflow code computes and does not await: it holds up every other run of its worker.

A look finds, for each activation that is open, which step its loop is at; one found at the same step for longer than
`LIMIT_MS` is reported with its stack, once. The rule: an activation pays for being watched with two dictionary entries
and no question for the time; all judging is in `look`, which a thread calls and a test can.

There is one thread for the process at most. It looks every `LOOK_EVERY_MS` while activations come, waits without a
timeout while none does, and ends with the last watchdog.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from dataclasses import dataclass
from types import FrameType
from typing import Final, Protocol

from aiki.clock import Clock
from aiki.worker import guard

__all__ = ["LIMIT_MS", "LOOK_EVERY_MS", "Activation", "Overrun", "SteppingLoop", "Watchdog"]

LIMIT_MS: Final = 1_000
LOOK_EVERY_MS: Final = 250
"""How often a look is taken: by so much may an overrun be noticed late."""

_MS_PER_S: Final = 1_000

_log = logging.getLogger("aiki.worker")


class SteppingLoop(Protocol):
    """What an activation runs on: it counts its steps."""

    steps: int


@dataclass(frozen=True, slots=True)
class Overrun:
    """A run whose code has computed for `computed_ms` at least without an await, and where it is."""

    run_id: str
    computed_ms: int
    stack: str


class Activation:
    """A run that has the thread while the body of `with` is executed.

    `since_ms` is when it was first seen at step `steps`.
    """

    __slots__ = ("_outer", "_watchdog", "is_told", "loop", "run_id", "since_ms", "steps", "thread")

    def __init__(self, watchdog: Watchdog, run_id: str, loop: SteppingLoop) -> None:
        self._watchdog = watchdog
        self._outer: Activation | None = None
        self.run_id = run_id
        self.loop = loop
        self.thread = threading.get_ident()
        self.steps = -1
        self.since_ms = 0.0
        self.is_told = False

    def __enter__(self) -> None:
        self._outer = self._watchdog.begin(self)

    def __exit__(self, *_error: object) -> None:
        self._watchdog.end(self, self._outer)


class Watchdog:
    """Watches the activations of one worker.

    Args:
        clock: tells how long a step takes.

    >>> from types import SimpleNamespace
    >>> from aiki.clock import ManualClock
    >>> watchdog = Watchdog(ManualClock())
    >>> with watchdog.watching("01J9", SimpleNamespace(steps=0)):
    ...     watchdog.look()
    []
    >>> watchdog.close()
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[int, Activation] = {}
        self._opened = 0
        self._opened_when_asked = 0
        self.is_attended = False

    def watching(self, run_id: str, loop: SteppingLoop) -> Activation:
        """Watch this thread while it executes the body of `with`: one activation of this run."""
        return Activation(self, run_id, loop)

    def begin(self, activation: Activation) -> Activation | None:
        """Watch this activation, and return the one that it interrupts, if any."""
        outer = self._open.get(activation.thread)
        self._open[activation.thread] = activation
        self._opened += 1
        if not self.is_attended:
            _rounds.attend(self)
        return outer

    def end(self, activation: Activation, outer: Activation | None) -> None:
        """Watch what this activation has interrupted, or nothing."""
        if outer is None:
            self._open.pop(activation.thread, None)
        else:
            self._open[activation.thread] = outer

    def look(self) -> list[Overrun]:
        """Return and report what has been found at the same step for `LIMIT_MS`, each activation once."""
        now_ms = self._clock.monotonic_ms()
        found: list[Overrun] = []
        for thread, activation in list(self._open.items()):
            steps = activation.loop.steps
            if steps != activation.steps:
                activation.steps, activation.since_ms = steps, now_ms
            elif now_ms - activation.since_ms >= LIMIT_MS and not activation.is_told:
                stack = self._stack(thread, activation)
                if stack is not None:
                    activation.is_told = True
                    found.append(Overrun(activation.run_id, int(now_ms - activation.since_ms), stack))
        for overrun in found:
            _log.warning(
                "workflow code computes without an await and holds up the worker's other runs: move it into a task\n%s",
                overrun.stack,
                extra={"run_id": overrun.run_id, "computed_ms": overrun.computed_ms},
            )
        return found

    def is_needed(self) -> bool:
        """Return whether an activation is open, or has been opened since this was asked last."""
        before, self._opened_when_asked = self._opened_when_asked, self._opened
        return bool(self._open) or before != self._opened

    def close(self) -> None:
        """Watch no longer. The thread ends with the last watchdog."""
        _rounds.leave(self)

    def _stack(self, thread: int, activation: Activation) -> str | None:
        frame = sys._current_frames().get(thread)
        if self._open.get(thread) is not activation or activation.loop.steps != activation.steps:
            return None  # it has gone on meanwhile
        return "".join(traceback.StackSummary.extract(_frames_of_workflow(frame)).format())


def _frames_of_workflow(frame: FrameType | None) -> list[tuple[FrameType, int]]:
    """Return the frames from the workflow's loop down to this one, the outermost first."""
    frames: list[tuple[FrameType, int]] = []
    for inner, line in traceback.walk_stack(frame):
        if guard.is_boundary(inner.f_code):
            break
        frames.append((inner, line))
    return frames[::-1]


class _Rounds:
    """The one thread, and the watchdogs that it makes look."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._known: set[Watchdog] = set()
        self._thread: threading.Thread | None = None

    def attend(self, watchdog: Watchdog) -> None:
        """Look with this watchdog from now on, until no activation comes any more."""
        with self._changed:
            watchdog.is_attended = True
            self._known.add(watchdog)
            if self._thread is None or not self._thread.is_alive():  # a forked process has lost it
                self._thread = threading.Thread(target=self._go, name="aiki-watchdog", daemon=True)
                self._thread.start()
            self._changed.notify()

    def leave(self, watchdog: Watchdog) -> None:
        """Forget this watchdog; wait for the thread to end where it was the last."""
        with self._changed:
            self._known.discard(watchdog)
            watchdog.is_attended = False
            ending, self._thread = (None, self._thread) if self._known else (self._thread, None)
            self._changed.notify()
        if ending is not None:
            ending.join()

    def _go(self) -> None:
        with self._changed:
            while self._known and self._thread is threading.current_thread():
                attended = [watchdog for watchdog in self._known if self._still_attended(watchdog)]
                for watchdog in attended:
                    watchdog.look()
                self._changed.wait(LOOK_EVERY_MS / _MS_PER_S if attended else None)

    @staticmethod
    def _still_attended(watchdog: Watchdog) -> bool:
        watchdog.is_attended = False
        # Asked after the flag is down: whoever begins between the two finds it down and calls.
        watchdog.is_attended = watchdog.is_needed()
        return watchdog.is_attended


_rounds: Final = _Rounds()
