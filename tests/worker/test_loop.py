"""The workflow loop by itself: driven by hand, in order, on logical time, and refusing what nobody can replay."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import math
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from aiki.errors import NotAllowedInWorkflow
from aiki.worker.loop import WorkflowLoop, WorkflowTimer
from tests.worker.loop_world import World, nap


@pytest.fixture
def world() -> World:
    return World()


# ------------------------------------------------------------------------------------------------------ driving it


def test_ready_callbacks_are_executed_first_in_first_out_until_none_is_left(world: World) -> None:
    log: list[str] = []

    def then(name: str, *following: str) -> None:
        log.append(name)
        for each in following:
            world.loop.call_soon(log.append, each)

    world.loop.call_soon(then, "a", "a1", "a2")
    world.loop.call_soon(then, "b", "b1")
    world.loop.call_soon(log.append, "never").cancel()
    world.loop.run_until_idle()

    assert log == ["a", "b", "a1", "a2", "b1"]
    assert world.loop.steps == 5


def test_it_is_the_running_loop_while_it_runs_and_no_longer(world: World) -> None:
    seen: list[object] = []

    def look() -> None:
        seen.extend([asyncio.get_running_loop(), world.loop.is_running()])

    world.loop.call_soon(look)
    world.loop.run_until_idle()

    assert seen == [world.loop, True]
    assert (asyncio._get_running_loop(), world.loop.is_running()) == (None, False)


def test_it_is_driven_from_a_plain_callback_of_the_workers_loop(world: World) -> None:
    async def worker() -> tuple[object, object, object]:
        outer, done = asyncio.get_running_loop(), asyncio.Event()
        result: list[float] = []
        hooks = sys.get_asyncgen_hooks()

        def drive() -> None:
            result.append(world.finish(nap(3)))
            done.set()

        outer.call_soon(drive)
        await done.wait()
        current = asyncio.current_task()
        assert current is not None
        return result, asyncio.get_running_loop() is outer, sys.get_asyncgen_hooks() == hooks

    assert asyncio.run(worker()) == ([3], True, True)


def test_it_is_driven_from_within_a_task_of_the_workers_loop(world: World) -> None:
    async def names() -> tuple[str, str]:
        await nap(1)
        inner = asyncio.current_task()
        assert inner is not None
        return inner.get_name(), type(inner).__name__

    async def worker() -> tuple[tuple[str, str], bool]:
        before = asyncio.current_task()
        inner = world.finish(names())
        await asyncio.sleep(0)
        return inner, asyncio.current_task() is before

    assert asyncio.run(worker()) == (("Task-0", "OrderedTask"), True)


def test_it_is_not_driven_from_within_itself(world: World) -> None:
    world.loop.call_soon(world.loop.run_until_idle)
    world.loop.run_until_idle()

    (failure,) = world.failures
    assert "driven from within itself" in str(failure["exception"])
    assert world.finish(nap(1)) == 1, "it goes on afterwards"


def test_two_loops_nest_and_each_is_given_back(world: World) -> None:
    other, seen = World("other"), list[object]()

    def drive_other() -> None:
        seen.append(other.finish(nap(2)))
        seen.append(asyncio.get_running_loop())

    world.loop.call_soon(drive_other)
    world.loop.run_until_idle()

    assert seen == [2, world.loop]


def test_what_ends_programs_comes_out_and_the_rest_stays_ready(world: World) -> None:
    log: list[str] = []

    def end() -> None:
        world.loop.call_soon(log.append, "last")
        raise KeyboardInterrupt

    world.loop.call_soon(log.append, "first")
    world.loop.call_soon(end)
    world.loop.call_soon(log.append, "then")
    with pytest.raises(KeyboardInterrupt):
        world.loop.run_until_idle()
    assert (log, asyncio._get_running_loop(), world.failures) == (["first"], None, [])

    world.loop.run_until_idle()
    assert log == ["first", "then", "last"]


@pytest.mark.parametrize("error", [ValueError("planted"), asyncio.CancelledError("planted")])
def test_an_error_in_a_callback_is_told_to_the_host_and_the_next_goes_on(world: World, error: BaseException) -> None:
    log: list[str] = []

    def fail() -> None:
        raise error

    world.loop.call_soon(fail)
    world.loop.call_soon(log.append, "next")
    world.loop.run_until_idle()

    assert log == ["next"]
    (failure,) = world.failures
    assert failure["exception"] is error
    assert "fail" in failure["message"]


def test_callbacks_run_in_the_context_they_were_given(world: World) -> None:
    colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")
    log: list[str] = []
    context = contextvars.copy_context()
    context.run(colour.set, "red")

    world.loop.call_soon(lambda: log.append(colour.get()), context=context)
    token = colour.set("blue")
    world.loop.call_soon(lambda: log.append(colour.get()))
    colour.reset(token)
    world.loop.run_until_idle()

    assert log == ["red", "blue"]


# ------------------------------------------------------------------------------------------------------ timers


def test_timers_are_announced_in_the_order_of_their_creation(world: World) -> None:
    for delay in (5, 1, 3):
        world.loop.call_later(delay, int)

    assert world.log == [("opened", 5), ("opened", 1), ("opened", 3)]


def test_a_timer_runs_once_it_is_rung_and_not_before(world: World) -> None:
    log: list[str] = []
    timer = world.loop.call_at(world.time_s + 60, log.append, "rung")
    world.loop.run_until_idle()
    assert (log, timer.is_open, timer.when()) == ([], True, 1_060)

    world.loop.ring(timer)
    world.loop.ring(timer)
    world.loop.run_until_idle()
    assert (log, timer.is_open) == (["rung"], False)


def test_a_timer_cancelled_before_it_rang_is_closed_once(world: World) -> None:
    timer = world.loop.call_at(1_060, int)
    timer.cancel()
    timer.cancel()
    world.loop.ring(timer)
    world.loop.run_until_idle()

    assert world.log == [("opened", 60), ("closed", 60)]
    assert world.loop.steps == 0


def test_a_timer_cancelled_after_it_rang_does_nothing_more(world: World) -> None:
    log: list[str] = []
    timer = world.loop.call_at(1_060, log.append, "rung")
    world.loop.ring(timer)
    timer.cancel()
    world.loop.run_until_idle()

    assert (log, world.log) == ([], [("opened", 60)])


@pytest.mark.parametrize("delay", [0, -1, -math.inf])
def test_a_time_that_has_passed_is_no_timer(world: World, delay: float) -> None:
    log: list[str] = []
    world.loop.call_soon(log.append, "ready before")
    handle = world.loop.call_later(delay, log.append, "at once")
    world.loop.call_later(delay, log.append, "cancelled").cancel()
    world.loop.run_until_idle()

    assert (log, world.log, handle.when()) == (["ready before", "at once"], [], 1_000 + delay)


def test_a_time_that_never_comes_is_announced_to_nobody(world: World) -> None:
    timer = world.loop.call_at(math.inf, int)
    timer.cancel()

    assert world.log == []
    with pytest.raises(ValueError, match="NaN"):
        world.loop.call_later(math.nan, int)


def test_timers_are_told_apart_and_sorted_by_time_then_creation(world: World) -> None:
    first, second, third = (world.loop.call_later(delay, int) for delay in (2, 2, 1))

    assert sorted([second, first, third]) == [third, first, second]
    assert len({first, second, third}) == 3
    assert first != second
    assert isinstance(first, WorkflowTimer)


def test_time_is_the_runs(world: World) -> None:
    async def times() -> list[float]:
        loop = asyncio.get_running_loop()
        before = loop.time()
        await nap(86_400)
        return [before, loop.time()]

    assert world.finish(times()) == [1_000, 87_400]


# ------------------------------------------------------------------------------------------------------ refusals


SUPPORTED = {
    "call_at", "call_exception_handler", "call_later", "call_soon", "close", "create_future", "create_task",
    "default_exception_handler", "get_debug", "get_exception_handler", "get_task_factory", "is_closed", "is_running",
    "set_debug", "set_exception_handler", "set_task_factory", "shutdown_asyncgens", "shutdown_default_executor", "time",
    "_timer_handle_cancelled",
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [name for name in dir(asyncio.AbstractEventLoop) if not name.startswith("__") and name not in SUPPORTED]
)
def test_what_is_not_supported_says_so_by_name_whatever_it_is_given(world: World, name: str) -> None:
    method = getattr(world.loop, name)
    for arguments in ((), (1, 2, 3)):
        with pytest.raises(NotAllowedInWorkflow, match=rf"loop\.{name}\(\) cannot be replayed") as caught:
            method(*arguments)
        assert caught.value.facts == {"method": name}
        assert str(caught.value).split(". ", 1)[1], "there is a way out"


def test_what_is_supported_is_written_out() -> None:
    for name in SUPPORTED:
        assert getattr(WorkflowLoop, name) is not getattr(asyncio.AbstractEventLoop, name)
        assert inspect.getsourcefile(getattr(WorkflowLoop, name)) == inspect.getsourcefile(WorkflowLoop)


@pytest.mark.parametrize(
    "action",
    [
        lambda: asyncio.open_connection("127.0.0.1", 1),
        lambda: asyncio.start_server(print, "127.0.0.1", 0),
        lambda: asyncio.to_thread(int),
        lambda: asyncio.create_subprocess_exec("true"),
    ],
)
def test_io_on_the_loop_is_refused_with_the_way_out(world: World, action: Callable[[], Any]) -> None:
    async def workflow() -> None:
        await action()

    with pytest.raises(NotAllowedInWorkflow, match="Move it into a task"):
        world.finish(workflow())


def test_debug_mode_task_factories_and_handlers_of_ones_own_are_refused(world: World) -> None:
    world.loop.set_debug(False)
    world.loop.set_task_factory(None)
    world.loop.set_exception_handler(None)
    for refused in (world.loop.set_debug, world.loop.set_task_factory, world.loop.set_exception_handler):
        with pytest.raises(NotAllowedInWorkflow):
            refused(print)
    assert world.loop.get_debug() is False


def test_a_loop_that_runs_is_not_closed(world: World) -> None:
    world.loop.call_soon(world.loop.close)
    world.loop.run_until_idle()
    assert "while it runs" in str(world.failures[0]["exception"])

    world.loop.close()
    assert world.loop.is_closed()


# ---------------------------------------------------------------------------------- what nobody waits for any more


def test_a_failure_that_nobody_saw_is_told_to_the_host_soon(world: World) -> None:
    async def fail() -> None:
        raise ValueError("planted")

    async def workflow() -> None:
        tasks = [asyncio.create_task(fail())]
        del tasks[:]
        for _ in range(20):
            await nap(1)

    world.finish(workflow())

    assert [str(failure["exception"]) for failure in world.failures] == ["planted"]


def test_a_task_that_nobody_holds_is_held_by_its_loop_until_it_ends(world: World) -> None:
    tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()

    async def forgotten(loop_log: list[str]) -> None:
        here: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        loop_log.append("waits for what only it knows")
        await here

    log: list[str] = []
    tasks.add(world.start(forgotten(log)))
    gc.collect()
    assert len(tasks) == len(world.loop.unfinished()) == 1
    assert world.failures == []


def test_finished_tasks_are_let_go(world: World) -> None:
    async def workflow() -> None:
        for _ in range(1_000):
            await asyncio.create_task(nap(0))

    world.finish(workflow())

    assert len(world.loop._tasks) < 10


# ------------------------------------------------------------------------------------------ asynchronous generators


async def ticks(log: list[str]) -> AsyncIterator[int]:
    try:
        for tick in range(10):
            yield tick
    finally:
        await nap(1)
        log.append("closed")


def test_a_generator_that_is_dropped_is_closed_on_the_loop(world: World) -> None:
    log: list[str] = []

    async def workflow() -> None:
        async for tick in ticks(log):
            if tick:
                break
        log.append("left")
        await nap(2)

    world.finish(workflow())

    assert log == ["left", "closed"]


def test_a_generator_that_the_collector_finds_while_the_loop_stands_still_is_let_go(world: World) -> None:
    log, kept = list[str](), list[object]()

    async def workflow() -> None:
        generator = ticks(log)
        await anext(generator)
        kept.append(generator)

    world.finish(workflow())
    before = world.loop.next_order()
    kept.clear()
    gc.collect()
    world.loop.run_until_idle()

    assert (log, world.failures) == ([], [])
    assert world.loop.next_order() == before + 1, "no task was made"


def test_a_generator_that_the_collector_finds_while_code_runs_is_let_go(world: World) -> None:
    log, orders = list[str](), list[int]()

    async def workflow() -> None:
        cycle: list[object] = [ticks(log)]
        cycle.append(cycle)
        await anext(cycle[0])  # type: ignore[call-overload]
        orders.append(world.loop.next_order())
        del cycle
        gc.collect()  # as it may at any moment, on this replay or another
        await nap(0)
        orders.append(world.loop.next_order())

    world.finish(workflow())

    assert log == []
    assert orders == [orders[0], orders[0] + 1], "no task was made"


def test_generators_are_shut_down_the_newest_first(world: World) -> None:
    async def numbered(number: int, log: list[int]) -> AsyncIterator[int]:
        try:
            yield number
        finally:
            log.append(number)

    log: list[int] = []

    async def workflow() -> None:
        generators = [numbered(number, log) for number in range(20)]
        for generator in generators:
            await anext(generator)
        await asyncio.get_running_loop().shutdown_asyncgens()
        await asyncio.get_running_loop().shutdown_default_executor()

    world.finish(workflow())

    assert log == list(reversed(range(20)))


def test_finished_generators_are_forgotten(world: World) -> None:
    async def short() -> AsyncIterator[int]:
        yield 1

    async def workflow() -> None:
        for _ in range(1_000):
            async for _tick in short():
                pass

    world.finish(workflow())

    assert len(world.loop._asyncgens or []) <= 2


def test_loops_of_several_threads_do_not_meet() -> None:
    results: list[float] = []
    threads = [threading.Thread(target=lambda: results.append(World().finish(nap(5)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [5] * 4
