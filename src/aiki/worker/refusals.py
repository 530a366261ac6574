"""What workflow code may not ask of its loop, and what is said to it instead.

The rule: whatever cannot be replayed is refused by name with a way out, also what a later Python adds.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any, Final, NoReturn, cast

from aiki.errors import NotAllowedInWorkflow
from aiki.worker.ordered import OrderedCoroutine

__all__ = ["DRIVEN", "MOVE", "is_unordered_in_as_completed", "refuse_the_rest", "refused"]

MOVE: Final = "Move it into a task"
DRIVEN: Final = "The worker drives this loop: await what you wait for"

_FRAMES_OF_AS_COMPLETED_MAX: Final = 5


class _Refused:
    """Stands in a class body for the methods that it is assigned to, and puts into each place one that refuses."""

    def __init__(self, way_out: str) -> None:
        self._way_out = way_out

    def __set_name__(self, owner: type, name: str) -> None:
        message = f"loop.{name}() cannot be replayed and is not allowed in workflow code. {self._way_out}."

        def refuse(*_args: Any, **_options: Any) -> NoReturn:
            raise NotAllowedInWorkflow(message, method=name)

        refuse.__name__ = name
        refuse.__qualname__ = f"{owner.__qualname__}.{name}"
        refuse.__doc__ = f"Raises `NotAllowedInWorkflow`. {self._way_out}."
        setattr(owner, name, refuse)


def refused(way_out: str) -> Callable[..., NoReturn]:
    """Return what stands in a class body for the methods that it is assigned to, each of which refuses by its name."""
    return cast("Callable[..., NoReturn]", _Refused(way_out))


def refuse_the_rest(loop: type[asyncio.AbstractEventLoop]) -> None:
    """Refuse also what a later Python adds to `AbstractEventLoop`."""
    for name in dir(asyncio.AbstractEventLoop):
        if not name.startswith("__") and name not in vars(loop):
            _Refused(MOVE).__set_name__(loop, name)


def _code_of_as_completed() -> set[CodeType]:
    iterator = getattr(asyncio.tasks, "_AsCompletedIterator", None)  # from 3.13 on
    functions = (asyncio.as_completed, *(() if iterator is None else (iterator.__init__,)))
    return {function.__code__ for function in functions}


_AS_COMPLETED: Final = _code_of_as_completed()
_ENSURE_FUTURE: Final = {
    function.__code__
    for name in ("ensure_future", "_ensure_future")  # the latter below 3.12
    if (function := getattr(asyncio.tasks, name, None)) is not None
}


def is_unordered_in_as_completed(coro: object) -> bool:
    """Return whether this is called by `create_task` for `asyncio.as_completed`, with a coroutine that has no order."""
    frame = sys._getframe(2)
    if frame.f_code not in _ENSURE_FUTURE or isinstance(coro, OrderedCoroutine):
        return False
    for _ in range(_FRAMES_OF_AS_COMPLETED_MAX):
        if frame.f_code in _AS_COMPLETED:
            return True
        if frame.f_back is None:
            break
        frame = frame.f_back
    return False
