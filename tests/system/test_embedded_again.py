"""A failed run that a person tries again: what it completed is kept, and it goes on from what failed."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import aiki
from aiki import Event, Events, Retry, Run, TaskFailed, task, testing, workflow


class Book(Events):
    """What the runs of these tests wait for."""

    paid: Event[int]


class Shop:
    """A saga: reserve, then pay, and if that fails give back; each does what it is told to, and notes it.

    Attributes:
        broken: the names of tasks that fail.
    """

    def __init__(self) -> None:
        self.done: list[str] = []
        self.broken: set[str] = set()
        self.reserve, self.pay, self.mail = self._task("reserve"), self._task("pay"), self._task("mail")
        self.give_back = self._task("give-back")

        @workflow("saga").version("1")
        async def saga_v1(run: Run) -> str:
            with suppress(TaskFailed):  # not that important
                await self.mail.start(run)
            await self.reserve.start(run)
            try:
                await self.pay.start(run)
                await run.sleep("delivery", days=30)
            except BaseException:
                await self.give_back.start(run)
                raise
            return "delivered"

        self.saga = saga_v1

    def _task(self, name: str) -> Any:
        @task(name=name)
        async def act() -> str:
            self.done.append(name)
            if name in self.broken:
                raise RuntimeError(f"{name} is broken")
            return name

        return act


async def test_only_what_failed_and_what_followed_it_is_done_again() -> None:
    shop = Shop()
    shop.broken = {"mail", "pay"}
    async with testing.local(workflows=[shop.saga]) as env:
        handle = await shop.saga.start(env)
        with pytest.raises(aiki.RunFailed, match="pay is broken"):
            await handle.result()
        assert shop.done == ["mail", "reserve", "pay", "give-back"]

        shop.broken = {"mail"}
        assert await handle.retry()
        assert not await handle.retry(), "it has not failed any more"
        assert await handle.result() == "delivered"

    assert shop.done == ["mail", "reserve", "pay", "give-back", "pay"], "a failure that was handled stays handled"


async def test_retry_goes_on_from_clean_up_that_failed_after_a_cancellation(tmp_path: Path) -> None:
    shop = Shop()
    shop.broken = {"give-back"}
    async with testing.local(workflows=[shop.saga], database=tmp_path / "aiki.db") as env:
        handle = await shop.saga.start(env)
        await env.settle()
        await handle.cancel("changed my mind")
        with pytest.raises(aiki.RunFailed, match="give-back is broken"):
            await handle.result()

    shop.broken = set()
    async with testing.local(workflows=[shop.saga], database=tmp_path / "aiki.db") as env:
        handle = shop.saga.handle(env, handle.id)
        await handle.retry()
        with pytest.raises(aiki.RunCancelled, match="changed my mind"):
            await handle.result()

    assert shop.done == ["mail", "reserve", "pay", "give-back", "give-back"]


async def test_a_run_that_timed_out_goes_on_from_there_with_a_whole_new_timeout() -> None:
    shop = Shop()
    async with testing.local(workflows=[shop.saga]) as env:
        handle = await shop.saga.options(timeout=timedelta(days=1)).start(env)
        with pytest.raises(aiki.RunFailed):
            await handle.result()
        await env.advance(days=10)
        before = asyncio.get_running_loop().time()
        await handle.retry()
        assert (await handle.info()).status in ("queued", "running", "sleeping")
        with pytest.raises(aiki.RunFailed):
            await handle.result()
        assert asyncio.get_running_loop().time() - before == timedelta(days=1).total_seconds()
        await handle.retry()
        await env.settle()
        await handle.wake()
        assert await handle.result() == "delivered"

    assert shop.done == ["mail", "reserve", "pay", "give-back", "give-back"]


async def test_an_event_that_what_failed_had_taken_is_taken_again() -> None:
    took: list[int] = []

    @task
    async def book(amount: int) -> int:
        took.append(amount)
        if len(took) == 1:
            raise RuntimeError("no")
        return amount

    @workflow("booking").version("1", events=Book)
    async def booking_v1(run: Run[Book]) -> int:
        return await book.start(run, (await run.events.paid.wait()).data)

    async with testing.local(workflows=[booking_v1]) as env:
        handle = await booking_v1.start(env)
        await handle.events.paid.send(5)
        assert not (await handle.wait_for_status("completed"))
        with pytest.raises(aiki.RunEnded):
            await handle.events.paid.send(6)
        await handle.retry()
        assert await handle.result() == 5
    assert took == [5, 5]


async def test_who_waited_for_the_failure_keeps_it_and_who_asks_later_gets_the_new_end() -> None:
    tries: list[int] = []

    @workflow("child").version("1")
    async def child_v1(run: Run) -> str:
        tries.append(run.attempt)
        if run.attempt == 1:
            raise RuntimeError("first")
        return "second"

    @workflow("parent").version("1", events=Book)
    async def parent_v1(run: Run[Book]) -> list[str]:
        child = await child_v1.options(reference_id="c").start_as_child(run)
        told = [str((await child.wait_for_status("completed")).status)]
        await run.events.paid.wait()
        told.append(str((await child.wait_for_status("completed")).status))
        return told

    async with testing.local(workflows=[child_v1, parent_v1], max_parked_runs=0) as env:
        parent = await parent_v1.start(env)
        await env.settle()
        child = await child_v1.handle_by_reference(env, "c")
        assert await child.retry()
        assert await child.result() == "second"
        await parent.events.paid.send(1)
        assert await parent.result() == ["failed", "completed"]
    assert tries == [1, 2]


async def test_a_new_attempt_has_new_idempotency_keys_and_its_number() -> None:
    seen: list[tuple[int, str]] = []

    @task
    async def shaky() -> None:
        here = aiki.current_task()
        seen.append((here.attempt, here.idempotency_key))
        if len(seen) == 1:
            raise RuntimeError("once")

    @workflow("shaky").version("1", retry=Retry.never())
    async def shaky_v1(run: Run) -> int:
        await shaky.start(run)
        return run.attempt

    async with testing.local(workflows=[shaky_v1]) as env:
        handle = await shaky_v1.start(env)
        await handle.wait_for_status("failed")
        await handle.retry()
        assert await handle.result() == 2
    assert seen[0][0] == seen[1][0] == 1
    assert seen[0][1] != seen[1][1]


@pytest.mark.parametrize("end", ["completed", "cancelled"])
async def test_what_has_not_failed_is_not_tried_again(end: str) -> None:
    shop = Shop()
    async with testing.local(workflows=[shop.saga]) as env:
        handle = await shop.saga.start(env)
        await env.settle()
        assert not await handle.retry()
        if end == "cancelled":
            await handle.terminate()
        await handle.wait_for_status("completed")
        assert not await handle.retry()
        assert (await handle.info()).status == end


async def test_waking_a_run_that_failed_begins_its_next_attempt_now() -> None:
    begun: list[float] = []

    @workflow("patient").version("1", retry=Retry.fixed(2, timedelta(days=1)))
    async def patient_v1(run: Run) -> str:
        begun.append(asyncio.get_running_loop().time())
        if run.attempt == 1:
            raise RuntimeError("once")
        return "done"

    async with testing.local(workflows=[patient_v1]) as env:
        handle = await patient_v1.start(env)
        await env.advance(hours=1)
        before = asyncio.get_running_loop().time()
        assert await handle.wake()
        assert await handle.result() == "done"
        assert asyncio.get_running_loop().time() - before < 1
    assert len(begun) == 2
