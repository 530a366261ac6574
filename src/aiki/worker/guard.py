"""A guard at the interpreter's own doors: workflow code opens no file, no socket, no process and no thread.

One audit hook for the process, installed when workflow code first runs; Python offers no way to take one out again.
The rule: it judges only the thread that runs workflow code, only while it does, and looks at frames only when one
of the events in `REFUSED` is raised. All else costs one look-up.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType, FunctionType
from typing import Any, Final, ParamSpec, TypeVar

from aiki.errors import NotAllowedInWorkflow

__all__ = ["PASSING_MODULES", "REFUSED", "boundary", "collects", "enter", "is_boundary", "leave"]

_MOVE: Final = "Move it into a task"

REFUSED: Final[dict[str, str]] = {
    event: way_out
    for way_out, events in {
        _MOVE: (
            # files
            *("open", "os.chmod", "os.chown", "os.link", "os.listdir", "os.mkdir", "os.remove", "os.rename"),
            *("os.rmdir", "os.scandir", "os.symlink", "os.truncate", "os.utime", "glob.glob", "glob.glob/2"),
            *("shutil.chown", "shutil.copyfile", "shutil.copymode", "shutil.copystat", "shutil.copytree"),
            *("shutil.make_archive", "shutil.move", "shutil.rmtree", "shutil.unpack_archive"),
            *("tempfile.mkdtemp", "tempfile.mkstemp", "sqlite3.connect", "builtins.input"),
            # the network
            *("socket.__new__", "socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostbyaddr"),
            *("socket.gethostbyname", "socket.gethostname", "socket.getnameinfo", "socket.getservbyname"),
            *("socket.getservbyport", "socket.sendmsg", "socket.sendto", "socket.sethostname"),
            *("ftplib.connect", "ftplib.sendcmd", "http.client.connect", "http.client.send", "imaplib.open"),
            *("imaplib.send", "nntplib.connect", "nntplib.putline", "poplib.connect", "poplib.putline"),
            *("smtplib.connect", "smtplib.send", "telnetlib.Telnet.open", "telnetlib.Telnet.write"),
            *("urllib.Request", "webbrowser.open"),
            # processes
            *("subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile"),
            *("os.startfile/2", "os.system", "pty.spawn", "_winapi.CreateProcess"),
            # threads, from Python 3.12 on
            *("_thread.start_new_thread", "_thread.start_joinable_thread"),
        ),
        "Use run.sleep(...), which is durable and holds up nobody": ("time.sleep",),  # from Python 3.13 on
    }.items()
    for event in events
}
"""What is refused: the audit event, and the way out. An event that a Python version does not raise passes there."""

PASSING_MODULES: Final = frozenset(
    {
        "_frozen_importlib",
        "_frozen_importlib_external",
        "bdb",  # a breakpoint reads its settings
        "importlib",
        "linecache",  # under traceback, warnings, inspect: the source of what they show
        "logging",  # a handler may write wherever it likes: nothing of it is read back
        "pdb",
        "weakref",  # finalizers of whatever the collector finds while workflow code runs
        "zipimport",
        "zoneinfo",  # time zones are part of the installation, as modules are; see also _is_time_zone
    }
)
"""Whose opens pass: these read what belongs to the program (its code, its time zones) or report on it."""

_FINALIZER: Final = "__del__"
_FRAMES_MAX: Final = 10_000

P = ParamSpec("P")
T = TypeVar("T")


class _ThisThread(threading.local):
    """Whether this thread runs workflow code, and whether the garbage collector is at work in it."""

    judged = False
    collects = False


_this_thread: Final = _ThisThread()
_boundaries: Final[set[CodeType]] = set()
_install_once: Final = threading.Lock()
_installed: Final[list[Callable[[str, tuple[Any, ...]], None]]] = []


def boundary(function: Callable[P, T]) -> Callable[P, T]:
    """Mark the function that calls workflow code: frames above it are not the author's."""
    assert isinstance(function, FunctionType)
    _boundaries.add(function.__code__)
    return function


def is_boundary(code: CodeType) -> bool:
    """Return whether this is the code of a function that calls workflow code."""
    return code in _boundaries


def enter() -> bool:
    """Judge this thread from now on, in what a `boundary` calls; return what to hand to `leave`."""
    if not _installed:
        _install()
    judged = _this_thread.judged
    _this_thread.judged = True
    return judged


def leave(*, judged: bool) -> None:
    """Judge this thread as it was judged before `enter`."""
    _this_thread.judged = judged


def collects() -> bool:
    """Return whether the garbage collector is at work in this thread: what is dropped now is dropped by chance."""
    return _this_thread.collects


def _install() -> None:
    with _install_once:
        if not _installed:
            hook = _hook()
            sys.addaudithook(hook)
            gc.callbacks.append(_noter())
            _installed.append(hook)


def _noter() -> Callable[[str, dict[str, int]], None]:
    this_thread = _this_thread  # in a cell, as below

    def note(phase: str, _info: dict[str, int]) -> None:
        this_thread.collects = phase == "start"

    return note


def _hook() -> Callable[[str, tuple[Any, ...]], None]:
    # All names in cells: while the interpreter shuts down, a module's globals go before its hooks do.
    refused, this_thread, passes, refuse = REFUSED, _this_thread, _passes, _refuse
    frame_of = sys._getframe

    def judge(event: str, args: tuple[Any, ...]) -> None:
        if event in refused and this_thread.judged:
            # Looking at frames raises events as well, and so might the error's own text.
            this_thread.judged = False
            try:
                if not passes(frame_of(1), event, args):
                    refuse(event, args)
            finally:
                this_thread.judged = True

    return judge


def _passes(frame: FrameType | None, event: str, args: tuple[Any, ...]) -> bool:
    """Return whether someone whose opens pass stands between the workflow code and the door."""
    for _ in range(_FRAMES_MAX):
        if frame is None or is_boundary(frame.f_code):
            break
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] in PASSING_MODULES or frame.f_code.co_name == _FINALIZER:
            return True
        frame = frame.f_back
    return event == "open" and _is_time_zone(args[0])


def _is_time_zone(path: object) -> bool:
    # zoneinfo is written in C and leaves no frame.
    return isinstance(path, str) and path.startswith(getattr(sys.modules.get("zoneinfo"), "TZPATH", ()))


def _refuse(event: str, args: tuple[Any, ...]) -> None:
    way_out = REFUSED[event]
    what = f"{event}({args[0]!r:.80})" if args and isinstance(args[0], str | bytes | int) else event
    raise NotAllowedInWorkflow(f"{what} in workflow code cannot be replayed. {way_out}.", event=event)
