"""Races fall out on every replay as they did the first time, from whichever prefix of the journal it begins."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from aiki.model.journal import EntryKind
from aiki.model.wire import Commit, Outcome
from aiki.sdk.run import Run
from aiki.sdk.workflow import workflow
from tests.worker.shop import Signals, alpha, beta, delta, gamma
from tests.worker.stage import Stage

Code = Callable[[Run[Signals]], Coroutine[Any, Any, Any]]


def staged(code: Code) -> Stage:
    return Stage(workflow("race").version("1.0.0", events=Signals)(code))


def output(commit: Commit) -> str:
    assert commit.outcome is Outcome.COMPLETED, (commit.outcome, commit.why, commit.error)
    return bytes(commit.output).decode()


async def task_or_event(run: Run[Signals]) -> list[str]:
    working = asyncio.ensure_future(alpha.start(run))
    told = asyncio.ensure_future(run.events.go.wait())
    done, pending = await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
    for loser in pending:
        loser.cancel()
    winners = ["task" if winner is working else "event" for winner in done]
    return [*winners, await beta.start(run)]


def test_a_task_that_ends_before_the_event_wins_on_every_replay() -> None:
    stage = staged(task_or_event)
    assert output(stage.play()) == '["task","beta"]'
    stage.assert_the_same_on_every_replay()


def test_an_event_that_comes_before_the_task_ends_wins_on_every_replay() -> None:
    stage = staged(task_or_event)
    stage.hold = lambda call: call.label == "alpha()"
    stage.play()
    stage.send("go", "now")
    assert output(stage.parked()) == '["event","beta"]'
    assert [entry.key.kind for entry in stage.journal] == [EntryKind.EVENT, EntryKind.TASK]
    stage.assert_the_same_on_every_replay()


async def limited(run: Run[Signals]) -> list[str]:
    found = []
    try:
        async with asyncio.timeout(30):
            found.append(await alpha.start(run))
    except TimeoutError:
        found.append("too late")
    return [*found, await beta.start(run)]


def test_a_result_that_comes_after_its_timeout_is_dropped_and_leaves_no_entry() -> None:
    stage = staged(limited)
    stage.hold = lambda call: call.label == "alpha()"
    stage.play()
    machine = stage.machine
    assert machine is not None
    under_way = next(call for call in machine.calls.values() if call.label == "alpha()")
    stage.advance(30)
    assert machine.advance(stage.now_ms)
    assert machine.withdrawn == [under_way]

    machine.settle_task(under_way, stage.now_ms)
    commit = stage.parked()

    assert output(commit) == '["too late","beta"]'
    assert [entry.key.kind for entry in stage.journal] == [EntryKind.TIMER, EntryKind.TASK]
    stage.assert_the_same_on_every_replay()


def test_a_result_in_time_cancels_its_timeout() -> None:
    stage = staged(limited)
    assert output(stage.play()) == '["alpha","beta"]'
    stage.assert_the_same_on_every_replay()


async def waits_twice(run: Run[Signals]) -> list[str]:
    found = []
    for _ in range(2):
        result = await run.events.go.wait(timeout=10)
        found.append(result.data if result else "none")
    return found


def test_an_event_after_the_timeout_of_its_wait_goes_to_the_next_wait() -> None:
    stage = staged(waits_twice)
    stage.play()
    stage.advance(11)
    assert stage.play().outcome is Outcome.SUSPENDED
    stage.send("go", "late")

    assert output(stage.play()) == '["none","late"]'
    stage.assert_the_same_on_every_replay()


def test_a_deadline_that_had_passed_when_the_event_arrived_counts_first() -> None:
    stage = staged(waits_twice)
    stage.play()
    stage.advance(10)
    stage.send("go", "late")
    stage.advance(5)

    assert output(stage.play()) == '["none","late"]'
    stage.assert_the_same_on_every_replay()


def test_an_event_that_arrived_before_the_deadline_wins_however_late_it_is_delivered() -> None:
    stage = staged(waits_twice)
    stage.play()
    stage.advance(9.999)
    stage.send("go", "in time")
    stage.advance(100)

    assert stage.play().waits_for == "event"
    stage.advance(10)
    assert output(stage.parked()) == '["in time","none"]'
    stage.assert_the_same_on_every_replay()


def test_a_withdrawn_wait_takes_no_event() -> None:
    async def code(run: Run[Signals]) -> list[str]:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await run.events.go.wait()
        await run.sleep("between", 60)
        return [(await run.events.go.wait()).data]

    stage = staged(code)
    stage.play()
    stage.advance(5)
    assert stage.play().waits_for == "sleep"
    stage.send("go", "later")
    stage.advance(1)
    assert stage.parked().entries == ()
    stage.advance(60)

    assert output(stage.parked()) == '["later"]'
    stage.assert_the_same_on_every_replay()


def test_an_event_goes_to_the_oldest_wait_for_its_name() -> None:
    async def code(run: Run[Signals]) -> list[str]:
        oldest = asyncio.ensure_future(run.events.go.wait())
        middle = asyncio.ensure_future(run.events.go.wait())
        await alpha.start(run)
        youngest = asyncio.ensure_future(run.events.go.wait())
        middle.cancel()
        return [(await youngest).data, (await oldest).data]

    stage = staged(code)
    stage.play()
    stage.send("go", "first")
    stage.send("go", "second")

    assert output(stage.play()) == '["second","first"]'
    stage.assert_the_same_on_every_replay()


async def cleaning_up(run: Run[Signals]) -> None:
    try:
        await alpha.start(run)
        await run.sleep("ride", 3600)
    finally:
        await beta.start(run, "refund")
        await gamma.start(run, "tell")


def test_a_crash_in_the_middle_of_clean_up_goes_on_with_the_clean_up() -> None:
    stage = staged(cleaning_up)
    stage.play()
    stage.cancel("the guest left")
    stage.hold = lambda call: call.label.startswith("gamma")
    assert stage.play().outcome is Outcome.RUNNING
    stage.lost()
    stage.hold = None

    commit = stage.play()

    assert commit.outcome is Outcome.CANCELLED
    assert stage.executed == ["alpha()", 'beta(value="refund")', 'gamma(value="tell")']
    assert [entry.key.kind for entry in stage.journal] == ["task", "cancel", "task", "task"]
    assert stage.journal[1].reason == "the guest left"
    stage.assert_the_same_on_every_replay()


def test_a_cancel_is_delivered_at_the_same_point_and_withdraws_the_same_call() -> None:
    async def code(run: Run[Signals]) -> list[str]:
        found = [await alpha.start(run)]
        try:
            found.append(await beta.start(run))
        except asyncio.CancelledError as error:
            found.append(f"cancelled: {error}")
        return [*found, await gamma.start(run)]

    stage = staged(code)
    stage.hold = lambda call: call.label.startswith("beta")
    stage.play()
    stage.cancel("enough")
    assert output(stage.parked()) == '["alpha","cancelled: enough","gamma"]'
    stage.assert_the_same_on_every_replay()


def test_a_cancel_is_delivered_once() -> None:
    async def code(run: Run[Signals]) -> int:
        times = 0
        for _ in range(3):
            try:
                await run.events.go.wait(timeout=60)
            except asyncio.CancelledError:
                times += 1
        return times

    stage = staged(code)
    stage.play()
    stage.cancel()
    stage.cancel()
    assert stage.play().outcome is Outcome.SUSPENDED
    stage.cancel()
    assert stage.parked().read == (3,)
    assert stage.mail == []
    stage.advance(60)
    stage.play()
    stage.advance(60)

    assert output(stage.play()) == "1"
    stage.assert_the_same_on_every_replay()


def test_two_equal_calls_in_one_gather_are_two_calls() -> None:
    async def code(run: Run[Signals]) -> list[str]:
        async def named(name: str) -> str:
            await alpha.start(run, "same")
            return f"{name} {await beta.start(run, name)}"

        return list(await asyncio.gather(named("first"), named("second")))

    stage = staged(code)
    stage.pick = lambda calls: calls[-1]
    assert output(stage.play()) == '["first beta first","second beta second"]'
    assert stage.executed.count('alpha(value="same")') == 2
    assert sorted(entry.key.ordinal for entry in stage.journal if "alpha" in entry.key.address) == [0, 1]
    stage.assert_the_same_on_every_replay()


def test_a_wake_ends_all_that_sleeps_now_and_no_timer_of_asyncio() -> None:
    async def code(run: Run[Signals]) -> list[bool]:
        async def timer() -> bool:
            await asyncio.sleep(30)
            return False

        async def sleeps_again() -> bool:
            await run.sleep("one", 60)
            return (await run.sleep("two", 60)).woken

        async def sleeps() -> bool:
            return (await run.sleep("one", 60)).woken

        return list(await asyncio.gather(timer(), sleeps_again(), sleeps()))

    stage = staged(code)
    stage.play()
    stage.wake()
    stage.play()
    assert [(entry.key.ordinal, entry.woken, entry.mail) for entry in stage.journal] == [(0, True, 1), (1, True, 1)]
    assert stage.mail == []
    stage.advance(60)

    assert output(stage.play()) == "[false,false,true]"
    stage.assert_the_same_on_every_replay()


def test_a_wake_that_finds_nobody_asleep_is_void_with_the_next_suspension() -> None:
    async def code(run: Run[Signals]) -> bool:
        await run.events.go.wait()
        return (await run.sleep("nap", 60)).woken

    stage = staged(code)
    stage.play()
    stage.wake()
    commit = stage.play()
    assert commit.read == (1,)
    stage.send("go", "")
    assert stage.play().outcome is Outcome.SUSPENDED
    stage.advance(60)

    assert output(stage.play()) == "false"


def test_two_deadlines_ring_in_the_order_of_their_times_then_of_their_waits() -> None:
    async def code(run: Run[Signals]) -> list[str]:
        order: list[str] = []

        async def nap(name: str, seconds: float) -> None:
            await run.sleep(name, seconds)
            order.append(name)

        await asyncio.gather(nap("late", 20), nap("early", 10), nap("early too", 10))
        return order

    stage = staged(code)
    stage.play()
    stage.advance(100)

    assert output(stage.play()) == '["early","early too","late"]'
    stage.assert_the_same_on_every_replay()


@pytest.mark.parametrize("order", [0, -1])
def test_a_task_group_that_fails_withdraws_its_siblings_at_the_same_point(order: int) -> None:
    async def code(run: Run[Signals]) -> list[str]:
        found: list[str] = []

        async def fails() -> None:
            found.append(await alpha.start(run))
            raise ValueError("no")

        async def goes_on() -> None:
            found.append(await beta.start(run))
            found.append(await gamma.start(run))

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(goes_on())
                group.create_task(fails())
        except* ValueError:
            found.append(await delta.start(run))
        return found

    stage = staged(code)
    stage.pick = lambda calls: calls[order]
    output(stage.play())
    stage.assert_the_same_on_every_replay()


def test_a_shielded_call_goes_on_when_its_waiter_gives_up() -> None:
    async def code(run: Run[Signals]) -> list[str]:
        working = asyncio.ensure_future(alpha.start(run))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(working), 10)
        return [await beta.start(run), await working]

    stage = staged(code)
    stage.hold = lambda call: call.label.startswith("alpha")
    stage.play()
    stage.advance(10)
    stage.parked()
    stage.hold = None

    assert output(stage.parked()) == '["beta","alpha"]'
    stage.assert_the_same_on_every_replay()
