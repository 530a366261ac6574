"""Code that changes while a run is parked or lost finds what is recorded, wherever it stands now."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from aiki.model.wire import Commit, Outcome
from aiki.sdk.run import Run
from aiki.sdk.workflow import Version, workflow
from tests.worker.shop import Signals, alpha, beta, delta, gamma
from tests.worker.stage import Stage

Code = Callable[[Run[Signals]], Coroutine[Any, Any, Any]]


def version(code: Code) -> Version[[], Any, Signals]:
    return workflow("changing").version("1.0.0", events=Signals)(code)


def changed(old: Code, new: Code, *, go: str = "go") -> tuple[Stage, Commit]:
    """Play the old code until it waits, then the new one from the journal, send it its event, and let it end."""
    stage = Stage(version(old))
    assert stage.play().outcome is Outcome.SUSPENDED
    before = list(stage.journal)
    stage.send("go", go)
    commit = stage.play(version(new))
    assert stage.journal[: len(before)] == before
    return stage, commit


async def in_sequence(run: Run[Signals]) -> list[str]:
    found = [await alpha.start(run, "1"), await beta.start(run, "2"), await gamma.start(run, "3")]
    return [*found, (await run.events.go.wait()).data]


async def reordered(run: Run[Signals]) -> list[str]:
    found = [await gamma.start(run, "3"), await alpha.start(run, "1"), await beta.start(run, "2")]
    return [*found, (await run.events.go.wait()).data]


async def with_one_removed(run: Run[Signals]) -> list[str]:
    return [await alpha.start(run, "1"), await gamma.start(run, "3"), (await run.events.go.wait()).data]


async def with_one_removed_and_new_ones(run: Run[Signals]) -> list[str]:
    found = [await alpha.start(run, "1"), await gamma.start(run, "3"), (await run.events.go.wait()).data]
    return [*found, await delta.start(run, "new"), await alpha.start(run, "new")]


async def with_one_appended(run: Run[Signals]) -> list[str]:
    found = [await alpha.start(run, "1"), await beta.start(run, "2"), await gamma.start(run, "3")]
    return [*found, await delta.start(run, "4"), (await run.events.go.wait()).data]


async def gathered(run: Run[Signals]) -> list[str]:
    found = await asyncio.gather(alpha.start(run, "1"), beta.start(run, "2"), gamma.start(run, "3"))
    return [*found, (await run.events.go.wait()).data]


async def gathered_in_another_order(run: Run[Signals]) -> list[str]:
    third, first, second = await asyncio.gather(gamma.start(run, "3"), alpha.start(run, "1"), beta.start(run, "2"))
    return [first, second, third, (await run.events.go.wait()).data]


async def with_event_first(run: Run[Signals]) -> list[str]:
    told = (await run.events.go.wait()).data
    return [await alpha.start(run, "1"), await beta.start(run, "2"), await gamma.start(run, "3"), told]


@pytest.mark.parametrize(
    ("old", "new", "result", "new_tasks"),
    [
        (in_sequence, reordered, '["gamma 3","alpha 1","beta 2","go"]', []),
        (in_sequence, with_one_removed, '["alpha 1","gamma 3","go"]', []),
        (
            in_sequence,
            with_one_removed_and_new_ones,
            '["alpha 1","gamma 3","go","delta new","alpha new"]',
            ['delta(value="new")', 'alpha(value="new")'],
        ),
        (in_sequence, with_one_appended, '["alpha 1","beta 2","gamma 3","delta 4","go"]', ['delta(value="4")']),
        (in_sequence, gathered, '["alpha 1","beta 2","gamma 3","go"]', []),
        (gathered, in_sequence, '["alpha 1","beta 2","gamma 3","go"]', []),
        (gathered, gathered_in_another_order, '["alpha 1","beta 2","gamma 3","go"]', []),
        (in_sequence, with_event_first, '["alpha 1","beta 2","gamma 3","go"]', []),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_changed_code_finds_its_results_and_executes_no_recorded_task_again(
    old: Code, new: Code, result: str, new_tasks: list[str]
) -> None:
    stage, commit = changed(old, new)

    assert commit.outcome is Outcome.COMPLETED, commit.why
    assert bytes(commit.output).decode() == result
    assert stage.executed == ['alpha(value="1")', 'beta(value="2")', 'gamma(value="3")', *new_tasks]


def test_a_lost_run_of_changed_code_replays_to_the_same_end_from_every_prefix() -> None:
    stage, commit = changed(in_sequence, with_one_removed_and_new_ones)

    other = Stage(version(with_one_removed_and_new_ones))
    other.journal = stage.journal
    assert bytes(other.play().output) == bytes(commit.output)
    assert other.executed == []


def test_a_sleep_put_between_recorded_tasks_is_slept_and_the_rest_is_found() -> None:
    async def with_a_sleep_between(run: Run[Signals]) -> list[str]:
        found = [await alpha.start(run, "1")]
        await run.sleep("new", 60)
        found += [await beta.start(run, "2"), await gamma.start(run, "3"), await delta.start(run, "4")]
        return [*found, (await run.events.go.wait()).data]

    stage, commit = changed(in_sequence, with_a_sleep_between)
    assert commit.outcome is Outcome.SUSPENDED
    assert commit.waits_for == "sleep"

    stage.advance(60)
    commit = stage.play()

    assert commit.outcome is Outcome.COMPLETED, commit.why
    assert bytes(commit.output).decode() == '["alpha 1","beta 2","gamma 3","delta 4","go"]'
    assert stage.executed[3:] == ['delta(value="4")']


def test_a_sleep_put_between_while_parked_on_another_worker_is_the_same_in_memory_and_on_replay() -> None:
    async def with_a_sleep_between(run: Run[Signals]) -> list[str]:
        found = [await alpha.start(run, "1")]
        await run.sleep("new", 60)
        return [*found, await beta.start(run, "2"), (await run.events.go.wait()).data]

    stage, _ = changed(in_sequence, with_a_sleep_between)
    stage.advance(60)
    commit = stage.parked()

    assert bytes(commit.output).decode() == '["alpha 1","beta 2","go"]'
    assert len(stage.executed) == 3


async def sleeping_a_minute(run: Run[Signals]) -> str:
    await run.sleep("nap", 60)
    return (await run.events.go.wait()).data


async def sleeping_two(run: Run[Signals]) -> str:
    await run.sleep("nap", 120)
    return (await run.events.go.wait()).data


async def sleeping_three(run: Run[Signals]) -> str:
    await run.sleep("nap", 180)
    return (await run.events.go.wait()).data


async def sleeping_a_second(run: Run[Signals]) -> str:
    await run.sleep("nap", 1)
    return (await run.events.go.wait()).data


def deadline_s(commit: Commit) -> float:
    """Return in how many seconds after the run's start the commit's earliest wait is over."""
    assert commit.deadline_ms is not None
    return (commit.deadline_ms - 1_700_000_000_000) / 1000


def test_a_recorded_sleep_that_is_lengthened_sleeps_its_remainder_once() -> None:
    stage = Stage(version(sleeping_a_minute))
    assert deadline_s(stage.play()) == 60
    stage.advance(70)
    assert stage.play().waits_for == "event"

    assert deadline_s(stage.play(version(sleeping_two))) == 120
    stage.advance(50)
    assert stage.play().waits_for == "event"
    assert [entry.key.address for entry in stage.journal] == ["nap", "nap\tmore"]

    stage.send("go", "done")
    for _ in range(3):
        assert bytes(stage.play().output) == b'"done"'


def test_a_sleep_that_is_lengthened_twice_sleeps_both_remainders() -> None:
    stage = Stage(version(sleeping_a_minute))
    stage.play()
    stage.advance(60)
    stage.play()
    stage.play(version(sleeping_two))
    stage.advance(60)
    stage.play()

    assert deadline_s(stage.play(version(sleeping_three))) == 180
    stage.advance(60)
    assert stage.play().waits_for == "event"
    assert len(stage.journal) == 3


def test_an_open_sleep_that_is_lengthened_keeps_its_beginning() -> None:
    stage = Stage(version(sleeping_a_minute))
    stage.play()
    stage.advance(30)

    assert deadline_s(stage.play(version(sleeping_two))) == 120
    assert deadline_s(stage.play(version(sleeping_three))) == 180
    stage.advance(150)
    assert stage.play().waits_for == "event"
    assert [entry.key.address for entry in stage.journal] == ["nap"]


def test_an_open_remainder_that_is_lengthened_keeps_its_beginning() -> None:
    stage = Stage(version(sleeping_a_minute))
    stage.play()
    stage.advance(60)
    stage.play()
    stage.play(version(sleeping_two))
    stage.advance(10)

    assert deadline_s(stage.play(version(sleeping_three))) == 180


def test_an_open_sleep_that_the_code_has_not_reached_yet_begins_anew_in_memory_as_on_replay() -> None:
    async def told_first(run: Run[Signals]) -> str:
        told = (await run.events.go.wait()).data
        await run.sleep("nap", 60)
        return told

    stage = Stage(version(sleeping_a_minute))
    stage.play()
    stage.advance(30)
    assert stage.play(version(told_first)).waits_for == "event"
    stage.advance(20)
    stage.send("go", "told")

    assert deadline_s(stage.parked()) == 110
    assert deadline_s(stage.play()) == 110


def test_a_sleep_that_is_shortened_is_over() -> None:
    stage = Stage(version(sleeping_a_minute))
    stage.play()
    stage.advance(30)

    assert stage.play(version(sleeping_a_second)).waits_for == "event"
    assert stage.play(version(sleeping_a_second)).waits_for == "event"
    assert len(stage.journal) == 1


def test_a_recorded_sleep_that_is_shortened_is_over_as_well() -> None:
    stage = Stage(version(sleeping_a_minute))
    stage.play()
    stage.advance(60)
    stage.play()

    assert stage.play(version(sleeping_a_second)).waits_for == "event"
    assert stage.commits[-1].entries == ()


def test_a_sleep_that_was_woken_is_not_slept_on_when_it_is_lengthened() -> None:
    stage = Stage(version(sleeping_a_minute))
    stage.play()
    stage.wake()
    assert stage.play().waits_for == "event"

    assert stage.play(version(sleeping_two)).waits_for == "event"


def test_waits_of_one_name_are_told_apart_by_their_order() -> None:
    async def twice(run: Run[Signals]) -> list[bool]:
        first, second = await asyncio.gather(run.sleep("nap", 60), run.sleep("nap", 10))
        return [first.woken, second.woken]

    stage = Stage(version(twice))
    assert deadline_s(stage.play()) == 10
    stage.advance(10)
    assert deadline_s(stage.play()) == 60
    stage.wake()
    assert bytes(stage.play().output) == b"[true,false]"


def test_time_chance_and_ids_are_the_same_on_replay() -> None:
    async def chancy(run: Run[Signals]) -> list[str]:
        found = [str(run.now()), str(run.random.random()), str(run.uuid4())]
        await alpha.start(run)
        found += [str(run.now()), str(run.random.random()), str(run.uuid4())]
        await run.sleep("nap", 60)
        found += [str(run.now()), str(asyncio.get_running_loop().time())]
        await run.events.go.wait()
        return found

    stage = Stage(version(chancy))
    stage.advance(1)
    stage.play()
    stage.advance(100)
    stage.play()
    stage.advance(100)
    stage.send("go", "")
    first = bytes(stage.parked().output)

    assert first == bytes(stage.play().output)
    assert b"2023-11-14 22:15:01" in first  # the sleep's end as it was delivered


def test_published_values_and_log_lines_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def talkative(run: Run[Signals]) -> None:
        run.logger.warning("begun")
        run.set("progress", 1)
        await alpha.start(run)
        run.logger.warning("half way")
        run.set("progress", 2)
        await run.events.go.wait()
        run.logger.warning("done")

    stage = Stage(version(talkative))
    stage.play()
    stage.play()
    stage.send("go", "")
    stage.play()

    assert [record.message for record in caplog.records] == ["begun", "half way", "done"]
    assert stage.effects == 2


def test_a_journal_that_is_long_is_replayed_in_slices() -> None:
    async def long(run: Run[Signals], count: int) -> int:
        for number in range(count):
            await alpha.start(run, str(number))
        await run.events.go.wait()
        return count

    stage = Stage(workflow("long").version("1.0.0", events=Signals)(long), 1_200)
    stage.play()
    stage.lost()
    machine = stage._claim()
    slices = 1
    while not machine.advance(stage.now_ms):
        slices += 1

    assert slices == 3
    assert machine.delivered == 1_200
    assert len(stage.executed) == 1_200
