"""While workflow code runs, its thread opens no file, no socket, no process and no thread, and nobody else notices."""

from __future__ import annotations

import asyncio
import gc
import importlib
import linecache
import logging
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request
import warnings
import weakref
from collections.abc import Callable
from operator import methodcaller
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from aiki.errors import NotAllowedInWorkflow
from aiki.worker import guard
from tests.worker.loop_world import World, nap

HERE = Path(__file__)


def in_workflow(action: Callable[[], object]) -> object:
    """Do this in workflow code, and return what came of it."""

    async def workflow() -> object:
        await nap(1)
        return action()

    return World().finish(workflow())


REFUSED_ACTIONS: dict[str, Callable[[], object]] = {
    "open": lambda: open(HERE),  # noqa: PTH123, SIM115
    "io.open for writing": lambda: open("/nowhere/at/all", "w"),  # noqa: PTH123, SIM115
    "os.open": lambda: os.open(HERE, os.O_RDONLY),
    "Path.read_text": lambda: HERE.read_text(encoding="utf-8"),
    "os.listdir": lambda: os.listdir("."),  # noqa: PTH208
    "os.scandir": lambda: os.scandir("."),
    "os.remove": lambda: Path("/nowhere/at/all").unlink(),
    "tempfile": tempfile.mkdtemp,
    "socket": socket.socket,
    "socket.create_connection": lambda: socket.create_connection(("127.0.0.1", 1)),
    "socket.getaddrinfo": lambda: socket.getaddrinfo("localhost", 1),
    "urllib": lambda: urllib.request.urlopen("http://127.0.0.1:1/"),
    "subprocess": lambda: subprocess.Popen([sys.executable, "-c", ""]),
    "os.system": lambda: os.system("true"),
    "os.fork": os.fork,
    "os.posix_spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "os.execv": lambda: os.execv("/bin/true", ["true"]),
    "sqlite3": lambda: sqlite3.connect(":memory:"),
}
# Before these versions the interpreter does not tell.
if sys.version_info >= (3, 12):
    REFUSED_ACTIONS["threading"] = lambda: threading.Thread(target=int).start()
if sys.version_info >= (3, 13):
    REFUSED_ACTIONS["time.sleep"] = lambda: methodcaller("sleep", 0)(time)


@pytest.mark.parametrize("name", REFUSED_ACTIONS)
def test_io_in_workflow_code_is_refused_with_the_way_out(name: str) -> None:
    with pytest.raises(NotAllowedInWorkflow, match=r"cannot be replayed\. (Move it into a task|Use run\.sleep)"):
        in_workflow(REFUSED_ACTIONS[name])


def test_the_error_names_what_was_done_and_to_what() -> None:
    with pytest.raises(NotAllowedInWorkflow) as caught:
        in_workflow(lambda: open("orders.json"))  # noqa: PTH123, SIM115

    assert str(caught.value) == "open('orders.json') in workflow code cannot be replayed. Move it into a task."
    assert caught.value.facts == {"event": "open"}


def test_io_is_refused_in_nested_tasks_callbacks_and_deep_in_libraries() -> None:
    refused: list[str] = []

    def try_to_open(number: int = 0) -> int:
        try:
            HERE.read_bytes()
        except NotAllowedInWorkflow as error:
            refused.append(error.code)
        return number

    async def workflow() -> None:
        asyncio.get_running_loop().call_soon(try_to_open)
        await asyncio.gather(asyncio.create_task(nap(1)), asyncio.to_thread(int), return_exceptions=True)
        sorted([2, 1], key=try_to_open)

    World().finish(workflow())

    assert refused == ["not_allowed_in_workflow"] * 3


def test_imports_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"with open({str(HERE)!r}) as file: VALUE = len(file.readline())\n"
    (tmp_path / "lately_needed.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)

    module = in_workflow(lambda: importlib.import_module("lately_needed"))

    assert module.VALUE > 0  # type: ignore[attr-defined]
    assert list(tmp_path.glob("__pycache__/lately_needed.*")), "writing what is compiled passes too"


def test_tracebacks_and_warnings_find_their_source() -> None:
    def show() -> str:
        linecache.clearcache()
        try:
            raise ValueError("shown")
        except ValueError:
            return traceback.format_exc()

    assert 'raise ValueError("shown")' in str(in_workflow(show))

    def warn() -> str:
        linecache.clearcache()
        return warnings.formatwarning("careful", UserWarning, str(HERE), 1)

    assert HERE.read_text(encoding="utf-8").splitlines()[0] in str(in_workflow(warn))


def test_log_handlers_write_where_they_like(tmp_path: Path) -> None:
    log = logging.getLogger("tests.guard")
    handler = logging.FileHandler(tmp_path / "log.txt", delay=True, encoding="utf-8")
    log.addHandler(handler)
    try:
        in_workflow(lambda: log.warning("from a workflow"))
    finally:
        log.removeHandler(handler)
        handler.close()

    assert (tmp_path / "log.txt").read_text(encoding="utf-8") == "from a workflow\n"


def test_time_zones_are_found() -> None:
    assert str(in_workflow(lambda: ZoneInfo.no_cache("Europe/Berlin"))) == "Europe/Berlin"


def test_finalizers_of_others_do_their_work(tmp_path: Path) -> None:
    class Foreign:
        me: object

        def __del__(self) -> None:
            (tmp_path / "del").touch()

    foreign = Foreign()
    foreign.me = foreign
    finalized: set[int] = set()
    weakref.finalize(finalized, (tmp_path / "finalize").touch)
    kept = [finalized]
    del foreign, finalized

    def collect() -> None:
        kept.clear()
        gc.collect()

    in_workflow(collect)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["del", "finalize"]


def test_other_threads_are_not_judged() -> None:
    ask, answer = threading.Event(), threading.Event()
    read: list[str] = []

    def other() -> None:
        ask.wait(60)
        read.append(HERE.read_text(encoding="utf-8"))
        answer.set()

    thread = threading.Thread(target=other)
    thread.start()

    def let_the_other_read() -> bool:
        ask.set()
        return answer.wait(60)

    in_workflow(let_the_other_read)
    thread.join()

    assert len(read) == 1


def test_the_thread_is_free_again_once_the_loop_is_idle() -> None:
    world = World()
    world.suspend(nap(10))

    assert HERE.read_text(encoding="utf-8")


def test_the_thread_is_free_again_after_an_interrupt() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    world = World()
    world.loop.call_soon(interrupt)
    with pytest.raises(KeyboardInterrupt):
        world.loop.run_until_idle()

    assert HERE.read_text(encoding="utf-8")


def test_a_refusal_leaves_the_guard_on() -> None:
    def twice() -> int:
        refused = 0
        for _ in range(2):
            try:
                HERE.read_bytes()
            except NotAllowedInWorkflow:
                refused += 1
        return refused

    assert in_workflow(twice) == 2


def test_what_is_refused_is_told_with_a_way_out() -> None:
    assert {way_out.split()[0] for way_out in guard.REFUSED.values()} == {"Move", "Use"}


def test_a_process_that_ran_workflow_code_ends_cleanly() -> None:
    program = (
        "from tests.worker.loop_world import World, nap\n"
        "import atexit, tempfile\n"
        "World().finish(nap(1))\n"
        "kept = tempfile.TemporaryDirectory(ignore_cleanup_errors=False)\n"
        "class Late:\n"
        "    def __del__(self, open=open): open('/dev/null').close()\n"
        "late = Late(); late.me = late\n"
        "atexit.register(lambda: open('/dev/null').close())\n"
        "kept.cleanup()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PYTHONPATH": "src:."},
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
