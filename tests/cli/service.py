"""A command that stays, as people start it: in a process group and a folder of its own, on a port that is free.

Every wait has its bound, and none sleeps: it waits for the process, or for a line.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import psutil
import pytest

from tests.cli import shell

LOOK_S: Final = 0.05
LOOKS_MAX: Final = 800  # 40 s: on a machine that is busy with other tests
END_S_MAX: Final = 20.0
PROGRAM: Final = Path(__file__).with_name("orders.py").read_text(encoding="utf-8")


class Service:
    """`aiki server`, `aiki worker` or `aiki dev`, under way.

    Args:
        arguments: what is typed after `aiki`.
        folder: where it is typed.
        environment: more variables.
    """

    def __init__(self, *arguments: str, folder: Path, **environment: str) -> None:
        self.folder = folder
        self._output = folder / f"{arguments[0]}-{len(list(folder.iterdir()))}.log"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [shell.SCRIPTS / "aiki", *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**clean_environment(), **environment},
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing, whatever the test has found."""
        children = self.children()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for child in children:
            if child.is_running():
                child.kill()

    @property
    def output(self) -> str:
        return self._output.read_text(encoding="utf-8")

    @property
    def url(self) -> str:
        """Where it serves, once it does."""
        return self.wait_for(r"serves \S+ on (http://localhost:\d+)\.")

    def wait_for(self, pattern: str, *, times: int = 1) -> str:
        """Wait until it has written something so many times, and return the last (its group, if there is one)."""
        found: list[str] = []

        def is_written() -> bool:
            found[:] = re.findall(pattern, self.output)
            return len(found) >= times

        wait_until(is_written, self.process, what=f"{pattern!r} in {self._output}", told=lambda: self.output)
        return found[times - 1]

    def interrupt(self) -> None:
        """Press Ctrl-C: the terminal tells all of the group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        """Return its exit status, once it has ended."""
        return self.process.wait(END_S_MAX)

    def children(self) -> list[psutil.Process]:
        """Return the processes that it has started."""
        try:
            found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
            return found
        except psutil.NoSuchProcess:
            return []


def wait_until(
    is_so: Callable[[], bool], process: subprocess.Popen[bytes], *, what: str, told: Callable[[], str]
) -> None:
    """Wait until something is so; a process runs meanwhile, and fails the test if it ends first."""
    for _ in range(LOOKS_MAX):
        if is_so():
            return
        try:
            process.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            continue
        if is_so():
            return
        break
    pytest.fail(f"waited for {what}: {told()}")


def aiki(*arguments: str, url: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command against a server, to its end."""
    return subprocess.run(
        [shell.SCRIPTS / "aiki", *arguments],
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        env={**clean_environment(), "AIKI_URL": url, **environment},
        check=False,
    )


def aiki_json(*arguments: str, url: str, typed: str = "") -> Any:
    """Run a command with `--json` and return the one document that it prints."""
    return json.loads(aiki(*arguments, "--json", url=url, typed=typed).stdout)


@contextmanager
def dev(folder: Path, *, program: str = PROGRAM) -> Iterator[Service]:
    """Give `aiki dev orders.py` in a folder, once it serves."""
    (folder / "orders.py").write_text(program, encoding="utf-8")
    with Service("dev", "orders.py", "--port", "0", folder=folder) as service:
        service.wait_for(r"orders\.py: process \d+ serves")
        yield service


def clean_environment() -> dict[str, str]:
    """Return the environment without what would lead to another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AIKI_")}
