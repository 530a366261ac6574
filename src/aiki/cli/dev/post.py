"""One target of `aiki dev`: the process that serves it, and the one that is to take over.

The rule: the old code serves until new code has been loaded; where that fails, the old goes on. Everything is done in
looks that wait for nothing.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from aiki.cli.dev.child import SERVE, Report
from aiki.cli.dev.watch import Watch
from aiki.cli.log import logger
from aiki.clock import Clock

__all__ = ["Post"]

LOOK_MS: Final = 400  # between two looks at the files
LOAD_MS_MAX: Final = 60_000
LEAVE_MS_MAX: Final = 60_000  # how long old code may finish its tasks, before it is killed
STEADY_MS: Final = 5_000  # a process that dies sooner waits for a change
DECODER: Final = msgspec.json.Decoder(Report)


class _Process:
    """A child: started, told to serve, told to go."""

    def __init__(self, target: str, report: Path, *, environment: Mapping[str, str], now_ms: float) -> None:
        self._report = report
        self.since_ms = now_ms
        # Its own group: a Ctrl-C at the terminal is for the command to answer, which then asks its workers to go.
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "aiki.cli.dev.child", target, str(report)],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            process_group=0,
        )
        self.pid = self._popen.pid

    @property
    def status(self) -> int | None:
        """How it ended; None while it lives."""
        return self._popen.poll()

    def report(self) -> Report | None:
        """Return what it has told, if it has."""
        try:
            return DECODER.decode(self._report.read_bytes())
        except FileNotFoundError:
            return None

    def serve(self) -> None:
        assert self._popen.stdin is not None, "its input is a pipe"
        try:
            self._popen.stdin.write(SERVE.encode())
            self._popen.stdin.flush()
        except BrokenPipeError:  # it has died: the next look says so
            return

    def stop(self) -> None:
        self._popen.terminate()

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()
        self.close()

    def close(self) -> None:
        """Let go of what is left of it."""
        assert self._popen.stdin is not None, "its input is a pipe"
        self._popen.stdin.close()
        self._report.unlink(missing_ok=True)


class Post:
    """A target, served.

    Args:
        folder: where its processes leave their reports.
        environment: what they find in theirs beyond the command's own.
    """

    def __init__(self, target: str, *, folder: Path, environment: Mapping[str, str], clock: Clock) -> None:
        self._target = target
        self._folder = folder
        self._environment = environment
        self._clock = clock
        self._watch = Watch({})
        self._looked_ms = 0.0
        self._processes = 0
        self._serving: _Process | None = None
        self._leaving: list[_Process] = []
        self._loading: _Process | None = self._start()

    @property
    def is_gone(self) -> bool:
        """Whether no process is left."""
        return not (self._serving or self._loading or self._leaving)

    def look(self) -> None:
        """See what has become of the processes and the files, and do what follows."""
        now_ms = self._clock.monotonic_ms()
        self._look_at_loading(now_ms)
        self._look_at_serving(now_ms)
        self.look_at_leaving()
        if now_ms >= self._looked_ms + LOOK_MS:
            self._looked_ms = now_ms
            if self._watch.has_settled_anew():
                self._watch.renew({}, keep=True)
                if self._loading is not None:
                    self._loading.kill()
                self._loading = self._start()

    def look_at_leaving(self) -> None:
        """See who has gone, and help those who do not."""
        now_ms = self._clock.monotonic_ms()
        for process in list(self._leaving):
            if process.status is not None:
                process.close()
            elif now_ms > process.since_ms + LEAVE_MS_MAX:
                logger.warning("process %d of %s has not ended in time, and is killed", process.pid, self._target)
                process.kill()
            else:
                continue
            self._leaving.remove(process)

    def stop(self) -> None:
        """Ask all processes to finish and go; asked again, they finish nothing."""
        for process in (self._loading, self._serving):
            if process is not None:
                self._let_go(process)
        self._loading = self._serving = None

    def hurry(self) -> None:
        """Ask those who are going to go at once."""
        for process in self._leaving:
            process.stop()

    def kill(self) -> None:
        """Leave no process."""
        for process in (self._loading, self._serving, *self._leaving):
            if process is not None:
                process.kill()
        self._loading = self._serving = None
        self._leaving.clear()

    def _start(self) -> _Process:
        self._processes += 1
        report = self._folder / f"{self._processes}.json"
        return _Process(self._target, report, environment=self._environment, now_ms=self._clock.monotonic_ms())

    def _look_at_loading(self, now_ms: float) -> None:
        process = self._loading
        if process is None:
            return
        status = process.status
        report = process.report()
        if report is not None and report.served:
            self._take_over(process, report)
        elif report is not None:
            self._fail(process, report.error, shown=report.shown)
            self._watch.renew(report.stamps, keep=True)
        elif status is not None:
            self._fail(process, f"{self._target} {_ended(status)} while it was imported")
        elif now_ms > process.since_ms + LOAD_MS_MAX:
            self._fail(process, f"{self._target} was not imported within {LOAD_MS_MAX // 1000} s")

    def _take_over(self, process: _Process, report: Report) -> None:
        process.serve()
        if self._serving is not None:
            self._let_go(self._serving)
        how = "" if self._serving is None else " has changed"
        logger.info("%s%s: process %d serves %s", self._target, how, process.pid, report.served)
        self._watch.renew(report.stamps)
        self._serving, self._loading = process, None
        process.since_ms = self._clock.monotonic_ms()

    def _fail(self, process: _Process, error: str, *, shown: str = "") -> None:
        process.kill()
        self._loading = None
        if shown:
            print(shown, end="", file=sys.stderr)
        goes_on = "The old code goes on." if self._serving is not None else "It is tried again once the file changes."
        logger.error("%s. %s", error.rstrip("."), goes_on)

    def _look_at_serving(self, now_ms: float) -> None:
        process = self._serving
        status = None if process is None else process.status
        if process is None or status is None:
            return
        self._serving = None
        process.close()
        if now_ms < process.since_ms + STEADY_MS:
            logger.error(
                "process %d of %s %s. It is started again once the file changes.",
                process.pid,
                self._target,
                _ended(status),
            )
        elif self._loading is None:
            logger.warning("process %d of %s %s, and is started again", process.pid, self._target, _ended(status))
            self._loading = self._start()

    def _let_go(self, process: _Process) -> None:
        process.stop()
        process.since_ms = self._clock.monotonic_ms()
        self._leaving.append(process)


def _ended(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
