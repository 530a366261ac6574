"""Events, published values and chapters: what goes into a run and out of it while it lives."""

import asyncio
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import aiki
from aiki import Event, Events, InvalidInput, Run, RunEnded, task, testing, workflow


class Paid(BaseModel):
    amount: int
    currency: str = "EUR"


class ShopEvents(Events):
    paid: Event[Paid]
    number: Event[int]
    nudge: Event[None]


shop = workflow("shop")


@shop.version("1", events=ShopEvents)
async def collect_v1(run: Run[ShopEvents], count: int) -> list[int]:
    """Take so many numbers, one after another."""
    return [(await run.events.number.wait()).data for _ in range(count)]


# ------------------------------------------------------------------------------------------------------- delivery


@pytest.mark.parametrize("parked", [0, 1000])
async def test_events_are_taken_in_the_order_in_which_they_were_sent(parked: int) -> None:
    async with testing.local(workflows=[collect_v1], max_parked_runs=parked) as env:
        handle = await collect_v1.start(env, 20)
        for number in range(10):
            await handle.events.number.send(number)
        await env.advance(minutes=1)
        await asyncio.gather(*(handle.events.number.send(number) for number in range(10, 20)))
        assert await handle.result() == list(range(20))


async def test_events_sent_before_the_run_begins_wait_for_it() -> None:
    async with testing.local(workflows=[collect_v1]) as env:
        handle = await collect_v1.options(delay=3600).start(env, 2)
        await handle.events.number.send(1)
        await handle.events.number.send(2)
        assert await handle.result() == [1, 2]


async def test_events_wait_for_a_worker_and_survive_a_restart(tmp_path: Path) -> None:
    async with testing.local(database=tmp_path / "a.db") as env:
        handle = await collect_v1.start(env, 2)
        await handle.events.number.send(1)
        await handle.events.number.send(2)
    async with testing.local(workflows=[collect_v1], database=tmp_path / "a.db") as env:
        assert await collect_v1.handle(env, handle.id).result() == [1, 2]


async def test_a_second_send_with_the_same_reference_id_is_ignored() -> None:
    async with testing.local(workflows=[collect_v1]) as env:
        handle = await collect_v1.start(env, 2)
        await handle.events.number.send(1, reference_id="a")
        await handle.events.number.send(1, reference_id="a")
        await env.settle()
        assert (await handle.info()).status == "awaiting_event"
        await handle.events.number.send(2, reference_id="b")
        assert await handle.result() == [1, 2]


async def test_a_send_to_a_run_that_has_ended_is_refused_and_a_repeated_one_is_not() -> None:
    async with testing.local(workflows=[collect_v1]) as env:
        handle = await collect_v1.start(env, 1)
        await handle.events.number.send(1, reference_id="a")
        await handle.result()

        with pytest.raises(RunEnded) as ended:
            await handle.events.number.send(2)
        assert (ended.value.run_id, ended.value.status) == (handle.id, "completed")


async def test_two_waits_for_one_name_are_served_the_oldest_first() -> None:
    @workflow("two").version("1", events=ShopEvents)
    async def two_v1(run: Run[ShopEvents]) -> list[int]:
        first = asyncio.create_task(run.events.number.wait())
        second = asyncio.create_task(run.events.number.wait())
        return [(await second).data, (await first).data]

    async with testing.local(workflows=[two_v1], max_parked_runs=0) as env:
        handle = await two_v1.start(env)
        await handle.events.number.send(1)
        await env.settle()
        await handle.events.number.send(2)
        assert await handle.result() == [2, 1]


async def test_an_event_after_a_wait_that_timed_out_goes_to_the_next_wait() -> None:
    @workflow("patient").version("1", events=ShopEvents)
    async def patient_v1(run: Run[ShopEvents]) -> list[Any]:
        first = await run.events.number.wait(timeout=60)
        await run.sleep("meanwhile", minutes=1)
        second = await run.events.number.wait(timeout=timedelta(minutes=1))
        return [first.timed_out, bool(first), second.data]

    async with testing.local(workflows=[patient_v1], max_parked_runs=0) as env:
        handle = await patient_v1.start(env)
        await env.advance(seconds=90)
        await handle.events.number.send(7)
        assert await handle.result() == [True, False, 7]


async def test_an_event_that_comes_in_time_wins_over_the_deadline() -> None:
    @workflow("close").version("1", events=ShopEvents)
    async def close_v1(run: Run[ShopEvents]) -> list[Any]:
        result = await run.events.number.wait(timeout=60)
        return [result.timed_out, result.data]

    async with testing.local(workflows=[close_v1]) as env:
        handle = await close_v1.start(env)
        await env.advance(seconds=59.999)
        await handle.events.number.send(1)
        assert await handle.result() == [False, 1]


async def test_a_wait_that_is_cancelled_takes_no_event() -> None:
    @workflow("fickle").version("1", events=ShopEvents)
    async def fickle_v1(run: Run[ShopEvents]) -> int:
        try:
            async with asyncio.timeout(60):
                await run.events.number.wait()
        except TimeoutError:
            pass
        return (await run.events.number.wait()).data

    async with testing.local(workflows=[fickle_v1], max_parked_runs=0) as env:
        handle = await fickle_v1.start(env)
        await env.advance(minutes=2)
        await handle.events.number.send(5)
        assert await handle.result() == 5


async def test_the_data_of_a_wait_that_timed_out_raises() -> None:
    @workflow("rash").version("1", events=ShopEvents)
    async def rash_v1(run: Run[ShopEvents]) -> int:
        return (await run.events.number.wait(timeout=1)).data

    async with testing.local(workflows=[rash_v1]) as env:
        handle = await rash_v1.start(env)
        with pytest.raises(aiki.RunFailed, match="no event number came in time"):
            await handle.result()


async def test_an_event_that_carries_nothing_carries_none() -> None:
    @workflow("nudged").version("1", events=ShopEvents)
    async def nudged_v1(run: Run[ShopEvents]) -> bool:
        nudge = await run.events.nudge.wait()
        carried: object = nudge.data
        return carried is None

    async with testing.local(workflows=[nudged_v1]) as env:
        handle = await nudged_v1.start(env)
        await handle.events.nudge.send(None)
        assert await handle.result() is True


async def test_a_model_sent_as_an_event_arrives_decoded_with_its_defaults() -> None:
    @workflow("paying").version("1", events=ShopEvents)
    async def paying_v1(run: Run[ShopEvents]) -> str:
        paid = (await run.events.paid.wait()).data
        return f"{type(paid).__name__} {paid.amount} {paid.currency}"

    async with testing.local(workflows=[paying_v1]) as env:
        handle = await paying_v1.start(env)
        unfit: Any = {"amount": "lots"}
        with pytest.raises(aiki.AikiError):
            await handle.events.paid.send(unfit)
        await handle.events.paid.send(Paid(amount=3))
        assert await handle.result() == "Paid 3 EUR"


async def test_the_wrong_end_of_an_event_says_which_is_the_right_one() -> None:
    said: list[str] = []

    @workflow("confused").version("1", events=ShopEvents)
    async def confused_v1(run: Run[ShopEvents]) -> None:
        with pytest.raises(TypeError) as refused:
            await run.events.number.send(1)
        said.append(str(refused.value))

    async with testing.local(workflows=[confused_v1]) as env:
        handle = await confused_v1.start(env)
        with pytest.raises(TypeError, match=r"run\.events\.number\.wait"):
            await handle.events.number.wait()
        with pytest.raises(AttributeError):
            _ = handle.events.nombre  # type: ignore[attr-defined]  # that is the test
        await handle.result()

    assert "handle.events.number.send" in said[0]


async def test_a_run_sends_events_to_its_child_once_however_it_is_replayed() -> None:
    @workflow("parent").version("1")
    async def parent_v1(run: Run) -> list[int]:
        child = await collect_v1.start_as_child(run, 2)
        await child.events.number.send(1)
        await run.sleep("pause", 60)
        await child.events.number.send(2)
        return await child.result()

    async with testing.local(workflows=[parent_v1, collect_v1], max_parked_runs=0) as env:
        assert await (await parent_v1.start(env)).result() == [1, 2]


async def test_a_task_sends_events_and_starts_runs_through_its_client() -> None:
    @task
    async def start_another() -> str:
        client = aiki.current_task().client
        handle = await collect_v1.start(client, 1)
        await handle.events.number.send(9)
        return handle.id

    @workflow("delegating").version("1")
    async def delegating_v1(run: Run) -> str:
        return await start_another.start(run)

    async with testing.local(workflows=[delegating_v1, collect_v1]) as env:
        run_id = await (await delegating_v1.start(env)).result()
        assert await collect_v1.handle(env, run_id).result() == [9]


# ----------------------------------------------------------------------------------------------- published values


async def test_what_a_run_publishes_is_read_from_outside_while_it_lives_and_after() -> None:
    @workflow("progress").version("1")
    async def progress_v1(run: Run) -> None:
        run.set("progress", 0)
        await run.sleep("half", minutes=30)
        run.set("progress", 50)
        run.set("paid", {"paid": Paid(amount=1), "at": [1, 2]})
        await run.sleep("rest", minutes=30)
        run.set("progress", 100)

    async with testing.local(workflows=[progress_v1], max_parked_runs=0) as env:
        handle = await progress_v1.start(env)
        await env.settle()
        assert await handle.get("progress") == 0
        assert await handle.get("paid") is None
        await env.advance(minutes=45)
        assert await handle.get("progress") == 50
        assert await handle.get("paid") == {"paid": {"amount": 1, "currency": "EUR"}, "at": [1, 2]}
        await handle.result()
        assert await handle.get("progress") == 100


async def test_a_published_value_is_to_be_seen_while_a_long_task_runs() -> None:
    go_on = asyncio.Event()

    @task
    async def work() -> None:
        await go_on.wait()

    @workflow("busy").version("1")
    async def busy_v1(run: Run) -> None:
        run.set("state", "working")
        await work.start(run)

    async with testing.local(workflows=[busy_v1]) as env:
        handle = await busy_v1.start(env)
        await env.advance(seconds=1)
        assert await handle.get("state") == "working"
        go_on.set()
        await handle.result()


# --------------------------------------------------------------------------------------------------------- chapters


async def test_a_run_goes_on_as_new_with_its_id_its_unread_events_and_its_waiters() -> None:
    chapters: list[tuple[str, int]] = []

    @workflow("endless").version("1", events=ShopEvents)
    async def endless_v1(run: Run[ShopEvents], total: int, left: int) -> int:
        chapters.append((run.id, left))
        total += (await run.events.number.wait()).data
        if left > 1:
            await run.continue_as_new(total, left - 1)
        return total

    @workflow("parent").version("1")
    async def parent_v1(run: Run, left: int) -> int:
        child = await endless_v1.start_as_child(run, 0, left)
        for number in range(left):
            await child.events.number.send(number)
        return await child.result()

    async with testing.local(workflows=[parent_v1, endless_v1], max_parked_runs=0) as env:
        handle = await parent_v1.start(env, 5)
        assert await handle.result() == 0 + 1 + 2 + 3 + 4
        (child,) = (await env.runs.list(workflow="endless")).runs

    assert child.chapter == 5
    assert list(dict.fromkeys(chapters)) == [(child.id, left) for left in (5, 4, 3, 2, 1)]  # replays apart


async def test_a_new_chapter_begins_with_an_empty_journal_and_other_keys() -> None:
    keys: list[str] = []

    @task
    async def same(word: str) -> str:
        keys.append(aiki.current_task().idempotency_key)
        return word

    @workflow("chapters").version("1")
    async def chapters_v1(run: Run, left: int) -> str:
        word = await same.start(run, "a")
        await run.sleep("night", days=1)
        if left:
            await run.continue_as_new(left - 1)
        return word

    async with testing.local(workflows=[chapters_v1]) as env:
        handle = await chapters_v1.start(env, 2)
        assert await handle.result() == "a"
        info = await handle.info()

    assert len(set(keys)) == 3
    assert info.input == {"left": 0}
    assert info.finished_at is not None
    assert info.finished_at - info.created_at == timedelta(days=3)


async def test_a_start_repeated_after_a_new_chapter_is_still_the_same_start() -> None:
    @workflow("chapters").version("1")
    async def chapters_v1(run: Run, left: int) -> int:
        if left:
            await run.continue_as_new(left - 1)
        return left

    async with testing.local(workflows=[chapters_v1]) as env:
        first = await chapters_v1.options(reference_id="x").start(env, 3)
        await first.result()
        again = await chapters_v1.options(reference_id="x").start(env, 3)

    assert again.id == first.id


async def test_new_arguments_that_do_not_fit_fail_the_run() -> None:
    @workflow("chapters").version("1")
    async def chapters_v1(run: Run, left: int) -> int:
        await run.continue_as_new(wrong=1)

    async with testing.local(workflows=[chapters_v1]) as env:
        with pytest.raises(aiki.RunFailed, match="missing a required argument: 'left'"):
            await (await chapters_v1.start(env, 3)).result()


async def test_an_event_from_another_program_that_does_not_fit_raises_at_the_wait_and_is_taken() -> None:
    class Loose(Events):
        day: Event[str]  # to the server it is a string, too: only who decodes it knows a date

    class Careful(Events):
        day: Event[date]

    @workflow("calendar").version("1", events=Loose)
    async def other_view(run: Run[Loose]) -> None: ...

    @workflow("calendar").version("1", events=Careful)
    async def careful_v1(run: Run[Careful]) -> list[Any]:
        try:
            await run.events.day.wait()
        except InvalidInput as error:
            return ["refused", "event day: $ does not fit" in str(error), (await run.events.day.wait()).data.year]
        return []

    async with testing.local(workflows=[careful_v1]) as env:
        handle = await careful_v1.start(env)
        await other_view.handle(env, handle.id).events.day.send("tomorrow")
        await handle.events.day.send(date(2026, 11, 22))
        assert await handle.result() == ["refused", True, 2026]


async def test_an_event_that_its_workers_cannot_take_is_refused_at_once() -> None:
    class Other(Events):
        number: Event[str]
        unheard_of: Event[None]

    @workflow("shop").version("1", events=Other)
    async def other_view(run: Run[Other], count: int) -> None: ...

    @workflow("shop").version("1", events=ShopEvents)
    async def shop_v1(run: Run[ShopEvents], count: int) -> int:
        return (await run.events.number.wait()).data

    async with testing.local(workflows=[shop_v1]) as env:
        handle = await shop_v1.start(env, 1)
        mistaken = other_view.handle(env, handle.id)
        with pytest.raises(InvalidInput, match="it is a string, and must be an integer"):
            await mistaken.events.number.send("not a number")
        with pytest.raises(InvalidInput, match=r"shop 1 knows no event 'unheard-of'; it knows .*number"):
            await mistaken.events.unheard_of.send(None)
        await handle.events.number.send(3)
        assert await handle.result() == 3
