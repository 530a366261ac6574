"""Everything of asyncio that only waits works on the workflow loop, on logical time."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import pytest

from aiki.worker.ordered import OrderedFuture, OrderedTask
from tests.worker.loop_program import Call
from tests.worker.loop_world import World, nap

Checked = Callable[[World], Coroutine[Any, Any, None]]


def workflow(code: Checked) -> Callable[[], None]:
    """Make a test of workflow code: it is executed on a world of its own and has to leave nothing behind."""

    def test() -> None:
        world = World()
        world.finish(code(world))
        assert (world.timers, world.loop.unfinished(), world.failures) == ([], [], [])

    test.__name__ = code.__name__
    return test


@workflow
async def test_gather_returns_results_in_the_order_of_its_arguments(world: World) -> None:
    assert list(await asyncio.gather(nap(3), nap(1), nap(2))) == [3, 1, 2]
    assert world.time_s == 1_003


@workflow
async def test_gather_hands_on_the_first_error(world: World) -> None:
    async def fail() -> None:
        await nap(1)
        raise ValueError("planted")

    rest = asyncio.create_task(nap(2))
    with pytest.raises(ValueError, match="planted"):
        await asyncio.gather(fail(), rest)
    assert await rest == 2


@workflow
async def test_a_task_group_cancels_its_other_tasks_when_one_fails(world: World) -> None:
    ended: list[str] = []

    async def child(name: str, seconds: float) -> None:
        try:
            await nap(seconds)
            raise ValueError(name)
        except asyncio.CancelledError:
            ended.append(name)
            raise

    async def family() -> None:
        async with asyncio.TaskGroup() as group:
            for name, seconds in (("a", 5), ("b", 1), ("c", 5)):
                group.create_task(child(name, seconds))

    with pytest.raises(ExceptionGroup) as caught:
        await family()
    assert [str(error) for error in caught.value.exceptions] == ["b"]
    assert ended == ["a", "c"]
    assert world.log == [("opened", 5), ("opened", 1), ("opened", 5), ("closed", 5), ("closed", 5)]


@workflow
async def test_wait_returns_when_it_is_told_to(world: World) -> None:
    async def fail(seconds: float) -> None:
        await nap(seconds)
        raise ValueError("planted")

    tasks: list[asyncio.Task[Any]] = [
        asyncio.create_task(nap(1)),
        asyncio.create_task(fail(2)),
        asyncio.create_task(nap(3)),
    ]
    for policy, done, at_s in (
        (asyncio.FIRST_COMPLETED, 1, 1_001),
        (asyncio.FIRST_EXCEPTION, 2, 1_002),
        (asyncio.ALL_COMPLETED, 3, 1_003),
    ):
        assert (len((await asyncio.wait(tasks, return_when=policy))[0]), world.time_s) == (done, at_s)
    late = asyncio.create_task(nap(9))
    assert await asyncio.wait([late], timeout=1) == (set(), {late})
    late.cancel()
    await asyncio.wait([late])
    assert isinstance(tasks[1].exception(), ValueError)


@workflow
async def test_timeouts_end_what_takes_too_long(world: World) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await nap(10)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(nap(10), 2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + 2):
            await nap(10)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await nap(10)
    assert world.time_s == 1_006
    assert await asyncio.wait_for(nap(1), 2) == 1
    async with asyncio.timeout(None) as lengthened:
        lengthened.reschedule(world.time_s + 3)
        await nap(2)
        lengthened.reschedule(world.time_s + 3)
        await nap(2)
    assert not lengthened.expired()


@workflow
async def test_shield_keeps_what_it_covers_from_being_cancelled(world: World) -> None:
    inner = asyncio.create_task(nap(2))

    async def outer() -> float:
        return await asyncio.shield(inner)

    covered = asyncio.create_task(outer())
    await nap(1)
    covered.cancel()
    with pytest.raises(asyncio.CancelledError):
        await covered
    assert await inner == 2


@workflow
async def test_queues_hand_things_over_in_order(world: World) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(maxsize=2)
    taken: list[int] = []

    async def take() -> None:
        while True:
            taken.append(await queue.get())
            await nap(1)
            queue.task_done()

    takers = [asyncio.create_task(take()) for _ in range(2)]
    for number in range(7):
        await queue.put(number)
    await queue.join()
    for taker in takers:
        taker.cancel()
    await asyncio.gather(*takers, return_exceptions=True)
    assert taken == list(range(7))


@workflow
async def test_locks_semaphores_and_conditions_serve_who_came_first(world: World) -> None:
    lock, semaphore, condition = asyncio.Lock(), asyncio.Semaphore(2), asyncio.Condition()
    served: list[str] = []

    async def hold(what: asyncio.Lock | asyncio.Semaphore, name: str) -> None:
        async with what:
            await nap(1)
            served.append(f"{name}@{world.time_s - 1_000:g}")

    await asyncio.gather(*[hold(lock, f"l{number}") for number in range(3)])
    await asyncio.gather(*[hold(semaphore, f"s{number}") for number in range(4)])

    async def wait_for_it(name: str) -> None:
        async with condition:
            await condition.wait()
            served.append(name)

    waiting = [asyncio.create_task(wait_for_it(f"c{number}")) for number in range(3)]
    await nap(1)
    async with condition:
        condition.notify_all()
    await asyncio.gather(*waiting)
    assert served == ["l0@1", "l1@2", "l2@3", "s0@4", "s1@4", "s2@5", "s3@5", "c0", "c1", "c2"]


@workflow
async def test_events_and_barriers_let_all_go_on_together(world: World) -> None:
    event, barrier = asyncio.Event(), asyncio.Barrier(3)
    asyncio.get_running_loop().call_later(2, event.set)
    await asyncio.gather(event.wait(), event.wait())
    assert sorted(await asyncio.gather(*[barrier.wait() for _ in range(3)])) == [0, 1, 2]
    assert world.time_s == 1_002


@workflow
async def test_context_variables_are_each_tasks_own(world: World) -> None:
    colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")

    async def paint(name: str) -> str:
        before = colour.get()
        colour.set(name)
        await nap(1)
        return f"{before}->{colour.get()}"

    colour.set("red")
    assert list(await asyncio.gather(paint("a"), paint("b"))) == ["red->a", "red->b"]
    given = contextvars.copy_context()
    await asyncio.create_task(paint("blue"), context=given)
    assert (given[colour], colour.get()) == ("blue", "red")


@workflow
async def test_the_current_task_and_all_tasks_are_known(world: World) -> None:
    other, others = World("other"), [asyncio.create_task(nap(1), name=name) for name in "ab"]
    me = asyncio.current_task()
    assert me is not None
    assert [task.get_name() for task in asyncio.all_tasks()] == [me.get_name(), "a", "b"]
    assert asyncio.all_tasks(other.loop) == set()
    await asyncio.wait(others)


@workflow
async def test_cancelling_reaches_code_that_waits_for_a_durable_call(world: World) -> None:
    loop = world.loop
    task = asyncio.create_task(Call(loop, 5))
    await nap(1)
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await task
    assert asyncio.get_running_loop() is loop


@workflow
async def test_sleeping_for_no_time_lets_others_go_first(world: World) -> None:
    log: list[str] = []

    async def write(name: str) -> None:
        for number in range(2):
            log.append(f"{name}{number}")
            await asyncio.sleep(0)

    await asyncio.gather(write("a"), write("b"))
    assert log == ["a0", "b0", "a1", "b1"]
    assert world.log == []


@workflow
async def test_tasks_and_futures_are_of_the_ordered_kind(world: World) -> None:
    task = asyncio.create_task(nap(0), name="named")
    assert isinstance(task, OrderedTask)
    assert isinstance(asyncio.get_running_loop().create_future(), OrderedFuture)
    assert (task.get_name(), hash(task) % 2**47) == ("named", 1)
    await task


EAGER: dict[str, Any] = {"eager_start": True}


@pytest.mark.parametrize("options", [{}] if sys.version_info < (3, 12) else [{}, EAGER])
def test_an_eager_task_starts_at_once(options: dict[str, Any]) -> None:
    world, log = World(), list[str]()

    async def child() -> None:
        log.append("child")
        await nap(1)

    async def parent() -> None:
        task = asyncio.get_running_loop().create_task(child(), **options)
        log.append("parent")
        await task

    world.finish(parent())

    assert log == (["child", "parent"] if options else ["parent", "child"])


# ------------------------------------------------------------------------------------------------- ordered coroutines


def test_an_ordered_coroutine_does_nothing_before_it_is_awaited() -> None:
    world = World()
    call = Call(world.loop, 3)
    world.loop.run_until_idle()
    assert world.log == []

    async def main() -> float:
        return await call

    assert world.finish(main()) == 3


def test_an_ordered_coroutine_is_awaited_once() -> None:
    world = World()

    async def twice() -> None:
        call = Call(world.loop, 3)
        await call
        await call

    with pytest.raises(RuntimeError, match="cannot await Call a second time"):
        world.finish(twice())


@pytest.mark.parametrize("take", [asyncio.ensure_future, asyncio.create_task, asyncio.gather, asyncio.shield])
def test_an_ordered_coroutine_is_a_coroutine_to_asyncio(take: Callable[[Any], Awaitable[Any]]) -> None:
    world = World()

    async def main() -> object:
        call = Call(world.loop, 3)
        assert asyncio.iscoroutine(call)
        return await take(call)

    assert world.finish(main()) in (3, [3])


def test_an_ordered_coroutine_is_thrown_into_and_closed() -> None:
    world, log = World(), list[str]()

    class Noted(Call):
        def steps(self) -> Generator[Any, Any, float]:
            try:
                return (yield from super().steps())
            except BaseException as error:
                log.append(repr(error))
                raise

    unstarted, closed, thrown, by_class = (Noted(world.loop, 1) for _ in range(4))
    unstarted.close()
    for begun in (closed, thrown, by_class):
        begun.send(None)
    closed.close()
    with pytest.raises(ValueError, match="planted"):
        thrown.throw(ValueError("planted"))
    with pytest.raises(ValueError, match="by class"):
        by_class.throw(ValueError, "by class")
    with pytest.raises(KeyError):
        Noted(world.loop, 1).throw(KeyError())

    assert log == ["GeneratorExit()", "ValueError('planted')", "ValueError('by class')"]
    assert closed == closed
    assert closed != thrown
