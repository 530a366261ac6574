"""Futures, tasks and coroutines that every replay finds in the same order.

`asyncio.wait`, `TaskGroup` and many an author keep what they wait for in sets, and CPython orders a set by hash: for
plain futures and coroutines, by memory address. The rule: what a workflow waits for hashes by a base of its run plus
the order of its creation on the run's loop, so that the order of a set follows from the code alone, whatever the
addresses and PYTHONHASHSEED.

The base keeps the runs apart in the interpreter's own set of all tasks, where equal hashes of thousands of parked
runs would form one long chain. It stands in the high bits, above the count: within the tables that sets of one run
need, an entry's place is decided by the low bits, so that the same program sees the same order in whichever run.
And as the base follows from the run's id, a replay of a run meets the very same hashes in any case.

One kind of future is made past the loop: what `asyncio.gather` returns. Its class is taught to hash in the same way
where its loop is a workflow's, and as ever elsewhere.
"""

from __future__ import annotations

import asyncio
import zlib
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from types import TracebackType
from typing import Any, Final, TypeVar

__all__ = ["BASES", "COUNT_BITS", "OrderedCoroutine", "OrderedFuture", "OrderedTask", "OrderingLoop", "base_of"]

COUNT_BITS: Final = 47
"""How many low bits of a hash hold the order of creation: more than any run can count."""

BASES: Final = 1 << 62 - COUNT_BITS
"""How many bases there are. Two runs that share one are slower by a few nanoseconds, nothing else."""

T = TypeVar("T")


class OrderingLoop(asyncio.AbstractEventLoop):
    """A loop that hands out the orders: that of one run.

    Attributes:
        next_order: returns the hash of the next thing that is created on this loop: its base plus a count from 0.
    """

    __slots__ = ()

    next_order: Callable[[], int]


def base_of(run_id: str) -> int:
    """Return the base of the hashes of everything that is created for this run, the same in every process.

    >>> base_of("01J9") == base_of("01J9") != base_of("01JA")
    True
    >>> base_of("01J9") % 2**COUNT_BITS
    0
    """
    return zlib.crc32(run_id.encode()) % BASES << COUNT_BITS


class OrderedFuture(asyncio.Future[T]):
    """A future that hashes by the order of its creation."""

    __slots__ = ("_order",)

    def __init__(self, *, loop: OrderingLoop) -> None:
        self._order = loop.next_order()
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._order


class OrderedTask(asyncio.Task[T]):
    """A task that hashes by the order of its creation, and knows the context that it runs in (3.11 does not tell)."""

    __slots__ = ("_order", "own_context")

    _log_destroy_pending: bool

    def __init__(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        loop: OrderingLoop,
        name: str | None = None,
        context: Context | None = None,
        **more: Any,
    ) -> None:
        # The interpreter puts a task into its set of all tasks on construction, so the hash has to stand by then.
        self._order = loop.next_order()
        self.own_context = copy_context() if context is None else context
        if name is None:
            # asyncio counts the tasks of the whole process; a name that an author may read has to be the run's own.
            name = f"Task-{self._order % (1 << COUNT_BITS)}"
        super().__init__(coro, loop=loop, name=name, context=self.own_context, **more)

    def __hash__(self) -> int:
        return self._order


class OrderedCoroutine(Coroutine[Any, Any, T]):
    """A coroutine that hashes by the order of its creation: what a durable call returns.

    A subclass says in `steps` what happens when it is awaited. As with `async def`, nothing happens before.

    Raises:
        RuntimeError: it is awaited a second time.
    """

    __slots__ = ("__weakref__", "_order", "_running")

    def __init__(self, loop: OrderingLoop) -> None:
        self._order = loop.next_order()
        self._running: Generator[Any, Any, T] | None = None

    @abstractmethod
    def steps(self) -> Generator[Any, Any, T]:
        """Return the generator that does the work; it yields what futures yield (`yield from future`)."""

    def __hash__(self) -> int:
        return self._order

    def __eq__(self, other: object) -> bool:
        return self is other

    def __await__(self) -> Generator[Any, Any, T]:
        if self._running is not None:
            raise RuntimeError(f"cannot await {type(self).__name__} a second time: make the call again")
        self._running = self.steps()
        return self._running

    def send(self, value: object, /) -> object:
        """Go on until the next future that has to be waited for, and return it."""
        if self._running is None:
            self._running = self.steps()
        return self._running.send(value)

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: object = None,
        traceback: TracebackType | None = None,
        /,
    ) -> object:
        """Raise an error where it waits, and return the next future that has to be waited for."""
        if self._running is None:
            self._running = self.steps()
        if isinstance(kind, BaseException):
            return self._running.throw(kind)
        error = value if isinstance(value, BaseException) else kind(*(() if value is None else (value,)))
        return self._running.throw(error.with_traceback(traceback))

    def close(self) -> None:
        """End it: what it has begun is unwound, what it has not begun never will be."""
        if self._running is None:
            self._running = self.steps()
        self._running.close()


def _hash_of_gathering(future: asyncio.Future[Any]) -> int:
    loop = future.get_loop()
    if not isinstance(loop, OrderingLoop):
        return object.__hash__(future)
    order: int | None = getattr(future, _ORDER, None)
    if order is None:
        order = loop.next_order()
        setattr(future, _ORDER, order)
    return order


_ORDER: Final = "_aiki_order"
_gathering: Final = vars(asyncio.tasks).get("_GatheringFuture")
if _gathering is not None:  # asyncio's own name: a Python without it is found out by tests/worker/test_loop_order.py
    _gathering.__hash__ = _hash_of_gathering
