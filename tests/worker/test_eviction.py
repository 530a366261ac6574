"""A suspended run leaves memory quietly, whatever its code is in the middle of."""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from aiki.worker.eviction import Evicted, evict
from tests.worker.loop_world import World, nap

Shape = Callable[[list[str]], Coroutine[Any, Any, None]]
SHAPES: dict[str, Shape] = {}

FOREVER_S = 10_000.0


def shape(code: Shape) -> Shape:
    SHAPES[code.__name__] = code
    return code


@shape
async def plain_await_in_a_nested_coroutine(log: list[str]) -> None:
    async def inner() -> None:
        try:
            await nap(FOREVER_S)
        finally:
            log.append("inner")

    async def middle() -> None:
        await inner()

    try:
        await middle()
    except Exception:
        log.append("wrongly caught")
        raise
    finally:
        log.append("outer")


@shape
async def gather(log: list[str]) -> None:
    await asyncio.gather(nap(FOREVER_S), asyncio.gather(nap(FOREVER_S), nap(FOREVER_S)), return_exceptions=True)
    log.append("went on")


@shape
async def task_group(log: list[str]) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            _ = group.create_task(nap(FOREVER_S))
    log.append("went on")


@shape
async def wait(log: list[str]) -> None:
    tasks = {asyncio.create_task(nap(FOREVER_S)) for _ in range(3)}
    await asyncio.wait(tasks, timeout=FOREVER_S, return_when=asyncio.FIRST_COMPLETED)
    log.append("went on")


@shape
async def timeout(log: list[str]) -> None:
    async with asyncio.timeout(FOREVER_S):
        await asyncio.wait_for(nap(FOREVER_S), FOREVER_S)
    log.append("went on")


@shape
async def lock_with_another_waiter(log: list[str]) -> None:
    lock = asyncio.Lock()

    async def hold() -> None:
        async with lock:
            await nap(FOREVER_S)

    holder = asyncio.create_task(hold())
    waiters = [asyncio.create_task(hold()) for _ in range(2)]
    await asyncio.wait([holder, *waiters])
    log.append("went on")


@shape
async def shield(log: list[str]) -> None:
    await asyncio.shield(asyncio.create_task(nap(FOREVER_S)))
    log.append("went on")


@shape
async def queue_get(log: list[str]) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(maxsize=1)
    full: asyncio.Queue[int] = asyncio.Queue(maxsize=1)
    full.put_nowait(1)
    await asyncio.gather(queue.get(), queue.get(), full.put(2))
    log.append("went on")


@shape
async def async_generator(log: list[str]) -> None:
    async def ticks() -> AsyncIterator[int]:
        try:
            for tick in range(10):
                yield tick
                await nap(FOREVER_S if tick else 0)
        finally:
            log.append("generator ends")
            await nap(FOREVER_S)
            log.append("generator went on")

    left_open = ticks()
    await anext(left_open)
    async for _ in ticks():
        pass
    log.append("went on")


@shape
async def sleep_in_finally(log: list[str]) -> None:
    try:
        await nap(FOREVER_S)
    finally:
        try:
            await nap(FOREVER_S)
        finally:
            log.append("finally")
            async with asyncio.timeout(1), asyncio.TaskGroup() as group:
                _ = group.create_task(nap(FOREVER_S))
            log.append("went on")


@shape
async def bare_except_in_an_endless_loop(log: list[str]) -> None:
    async def stubborn() -> None:
        while True:
            try:  # noqa: SIM105
                await nap(FOREVER_S)
            except:  # noqa: E722
                pass

    await stubborn()


@shape
async def new_tasks_in_an_endless_loop(log: list[str]) -> None:
    while True:
        try:
            await asyncio.create_task(nap(FOREVER_S))
        except BaseException:  # noqa: BLE001
            log.append("again")


@shape
async def except_base_exception_which_retries(log: list[str]) -> None:
    for attempt in range(5):
        try:
            await nap(FOREVER_S)
        except BaseException as error:  # noqa: BLE001
            seen = error
            log.append(f"attempt {attempt} {type(seen).__name__}")
    raise ValueError("gave up")


@shape
async def nested_tasks_never_started(log: list[str]) -> None:
    unstarted = [asyncio.create_task(nap(FOREVER_S))]
    never_awaited = [nap(FOREVER_S), nap(FOREVER_S)]
    try:
        await nap(FOREVER_S)
    finally:
        unstarted += [asyncio.create_task(nap(1)), asyncio.create_task(never_awaited[0])]


@shape
async def async_context_managers(log: list[str]) -> None:
    @asynccontextmanager
    async def room(name: str) -> AsyncIterator[None]:
        try:
            yield
        finally:
            log.append(f"leaves {name}")
            await nap(FOREVER_S)

    async with room("outer"), room("inner"):
        await nap(FOREVER_S)
    log.append("went on")


@shape
async def event_and_condition_waiters(log: list[str]) -> None:
    event, condition = asyncio.Event(), asyncio.Condition()

    async def wait_for_condition() -> None:
        async with condition:
            await condition.wait()

    await asyncio.gather(event.wait(), wait_for_condition(), wait_for_condition(), asyncio.Semaphore(0).acquire())
    log.append("went on")


@shape
async def async_generator_that_goes_on(log: list[str]) -> None:
    async def ticks() -> AsyncIterator[int]:
        while True:
            try:
                yield 1
                await nap(FOREVER_S)
            except BaseException:  # noqa: BLE001
                log.append("again")

    left_open = ticks()
    await anext(left_open)
    async for _ in ticks():
        pass


@shape
async def futures_with_errors_nobody_saw(log: list[str]) -> None:
    async def fail() -> None:
        raise ValueError("nobody looks")

    kept = [asyncio.create_task(fail())]
    failed = asyncio.get_running_loop().create_future()
    failed.set_exception(ValueError("nobody looks"))
    await nap(FOREVER_S)
    log.append(f"went on with {kept} {failed}")


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What Python would have printed: warnings, errors that cannot be raised, asyncio's reports."""
    heard: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda message, *_more, **_kw: heard.append(str(message)))
        monkeypatch.setattr(sys, "unraisablehook", lambda it: heard.append(f"{it.err_msg} {it.object} {it.exc_value}"))
        yield heard


@pytest.mark.parametrize("name", SHAPES)
def test_an_evicted_run_prints_nothing_goes_nowhere_and_is_collected(name: str, printed: list[str]) -> None:
    world, log = World(), list[str]()
    task = world.start(SHAPES[name](log))
    assert not task.done()
    told, loop_gone, task_gone = list(world.log), weakref.ref(world.loop), weakref.ref(task)

    evict(world.loop)

    assert world.log == told
    assert world.failures == []
    assert not [entry for entry in log if "went on" in entry or "wrongly" in entry]
    del world, task
    gc.collect()
    assert (loop_gone(), task_gone()) == (None, None)
    assert printed == []


def test_tasks_are_unwound_the_newest_first() -> None:
    world, log = World(), list[int]()

    async def worker(number: int) -> None:
        try:
            await nap(FOREVER_S)
        finally:
            log.append(number)

    async def main() -> None:
        tasks = [asyncio.create_task(worker(number)) for number in (1, 2, 3)]
        try:
            await asyncio.wait(tasks)
        finally:
            log.append(0)

    world.suspend(main())
    evict(world.loop)

    assert log == [3, 2, 1, 0]


def test_code_that_never_ends_is_thrown_at_a_hundred_times() -> None:
    world, caught = World(), list[BaseException]()

    async def stubborn() -> None:
        while True:
            try:
                await nap(FOREVER_S)
            except BaseException as error:  # noqa: BLE001
                caught.append(error)

    world.suspend(stubborn())
    evict(world.loop)

    assert [type(error) for error in caught].count(Evicted) == 100


def test_code_that_never_ends_is_not_woken_again_by_the_collector() -> None:
    world, wakings = World(), list[BaseException]()

    async def stubborn() -> None:
        while True:
            try:
                await nap(FOREVER_S)
            except BaseException as error:  # noqa: BLE001
                wakings.append(error)

    world.suspend(stubborn())
    evict(world.loop)
    woken = len(wakings)
    del world
    wakings[:] = []
    gc.collect()

    assert (wakings, woken) == ([], 101)  # once more as it is dropped


def test_code_that_never_ends_and_keeps_errors_is_dropped_all_the_same(printed: list[str]) -> None:
    world, kept = World(), list[BaseException]()

    async def helper() -> None:
        await nap(FOREVER_S)

    async def stubborn() -> None:
        while True:
            try:
                await helper()
            except BaseException as error:  # noqa: BLE001
                kept.append(error)

    task = world.start(stubborn())
    code = weakref.ref(task.get_coro())
    evict(world.loop)

    assert code() is None
    assert len(kept) == 101
    assert printed == []


def test_code_unwound_finds_its_own_task_loop_and_context() -> None:
    world, seen = World(), list[object]()
    colour: ContextVar[str] = ContextVar("colour")

    async def main() -> None:
        token = colour.set("red")
        try:
            await nap(FOREVER_S)
        finally:
            seen.extend([asyncio.current_task(), asyncio.get_running_loop(), colour.get()])
            colour.reset(token)
            seen.append("reset")

    task = world.start(main())
    evict(world.loop)

    assert seen == [task, world.loop, "red", "reset"]


def test_an_evicted_loop_takes_nothing_and_does_not_run_again() -> None:
    world = World()
    world.suspend(nap(FOREVER_S))
    evict(world.loop)
    evict(world.loop)

    called: list[int] = []
    world.loop.call_soon(called.append, 1)
    world.loop.call_later(1, called.append, 2)
    unstarted = world.loop.create_task(nap(1))

    assert (world.loop.is_evicting, world.loop.is_closed(), world.loop.is_running()) == (True, True, False)
    assert (called, len(world.log), unstarted.done()) == ([], 1, False)
    with pytest.raises(RuntimeError, match="does not run again"):
        world.loop.run_until_idle()


def test_what_the_process_had_set_up_is_as_before() -> None:
    world = World()
    world.suspend(bare_except_in_an_endless_loop([]))
    before = (list(warnings.filters), sys.unraisablehook, sys.get_asyncgen_hooks(), asyncio._get_running_loop())

    evict(world.loop)

    assert before == (list(warnings.filters), sys.unraisablehook, sys.get_asyncgen_hooks(), asyncio._get_running_loop())


def test_an_interrupt_is_passed_on_once_all_is_unwound() -> None:
    world, log = World(), list[str]()

    async def interrupted() -> None:
        try:
            await nap(FOREVER_S)
        finally:
            raise KeyboardInterrupt

    async def main() -> None:
        task = asyncio.create_task(interrupted())
        try:
            await task
        finally:
            log.append("unwound")

    world.suspend(main())
    with pytest.raises(KeyboardInterrupt):
        evict(world.loop)

    assert log == ["unwound"]


def test_a_run_is_evicted_from_within_a_task_of_the_workers_loop() -> None:
    world = World()

    async def worker() -> str:
        world.suspend(nap(FOREVER_S))
        evict(world.loop)
        current = asyncio.current_task()
        assert current is not None
        return current.get_name()

    async def run() -> str:
        return await asyncio.create_task(worker(), name="worker")

    assert asyncio.run(run()) == "worker"


def test_a_loop_that_runs_is_not_evicted() -> None:
    world = World()

    async def main() -> None:
        evict(world.loop)

    with pytest.raises(RuntimeError, match="from within itself"):
        world.finish(main())
