"""Code that is changed under its runs: started on old code, parked, and opened again with new code of the same version.

What was reordered, removed, appended or given a sleep goes on. What was put into the recorded past, or changed there,
stalls before it does anything, says which two calls do not agree, and completes once the old code is back.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from aiki import Events, Handle, Run, Version, task, testing, workflow

Code = Callable[[Run], Awaitable[list[str]]]


class Steps:
    """The tasks of these tests, and which of them were executed."""

    def __init__(self) -> None:
        self.executed: list[str] = []

        @task(name="step")
        async def step(name: str) -> str:
            self.executed.append(name)
            return name

        @task(name="renamed-step")
        async def renamed_step(name: str) -> str:
            self.executed.append(f"renamed {name}")
            return name

        self.step = step
        self.renamed_step = renamed_step


steps = Steps()


@pytest.fixture(autouse=True)
def nothing_executed() -> None:
    """Forget what other tests have executed."""
    steps.executed.clear()


def version_of(code: Code) -> Version[[], list[str], Events]:
    """Return a version whose code is `code`."""

    @workflow("live").version("1")
    async def live_v1(run: Run) -> list[str]:
        return await code(run)

    return live_v1


class Life:
    """One run in one file, served by one code after another."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "live.db"
        self._run_id = ""

    def served(self, code: Code) -> AbstractAsyncContextManager[testing.Environment]:
        """Open the file with this code."""
        return testing.local(workflows=[version_of(code)], database=self._file)

    async def start(self, code: Code) -> None:
        """Start the run, let it come to where it waits, and close the file."""
        async with self.served(code) as env:
            self._run_id = (await version_of(code).start(env)).id
            await env.advance(hours=1)

    def handle(self, env: testing.Environment) -> Handle[list[str], Events]:
        """Return the run."""
        return version_of(old).handle(env, self._run_id)

    async def result(self, code: Code) -> list[str]:
        """Open the file with this code, and return what the run returns."""
        async with self.served(code) as env:
            return await self.handle(env).result(timeout=1_000_000)


@pytest.fixture
def life(tmp_path: Path) -> Life:
    """Return a file of this test."""
    return Life(tmp_path)


async def old(run: Run) -> list[str]:
    found = [await steps.step.start(run, "a"), await steps.step.start(run, "b")]
    await run.sleep("night", days=1)
    return [*found, await steps.step.start(run, "c")]


# --------------------------------------------------------------------------------------------------------- goes on


async def reordered(run: Run) -> list[str]:
    found = [await steps.step.start(run, "b"), await steps.step.start(run, "a")]
    await run.sleep("night", days=1)
    return [*found, await steps.step.start(run, "c")]


async def with_one_removed(run: Run) -> list[str]:
    found = [await steps.step.start(run, "b")]
    await run.sleep("night", days=1)
    return [*found, await steps.step.start(run, "c")]


async def with_all_removed_and_others_after(run: Run) -> list[str]:
    await run.sleep("night", days=1)
    return [await steps.step.start(run, "d"), await steps.step.start(run, "e")]


async def with_more_appended(run: Run) -> list[str]:
    return [*await old(run), await steps.step.start(run, "d")]


async def with_a_sleep_between(run: Run) -> list[str]:
    found = [await steps.step.start(run, "a")]
    await run.sleep("breath", hours=2)
    found.append(await steps.step.start(run, "b"))
    await run.sleep("night", days=1)
    return [*found, await steps.step.start(run, "c")]


async def gathered(run: Run) -> list[str]:
    found = await asyncio.gather(steps.step.start(run, "a"), steps.step.start(run, "b"))
    await run.sleep("night", days=1)
    return [*found, await steps.step.start(run, "c")]


async def with_the_sleep_before(run: Run) -> list[str]:
    await run.sleep("night", days=1)
    return [await steps.step.start(run, name) for name in "abc"]


@pytest.mark.parametrize(
    ("new", "result", "executed"),
    [
        (old, ["a", "b", "c"], ["a", "b", "c"]),
        (reordered, ["b", "a", "c"], ["a", "b", "c"]),
        (with_one_removed, ["b", "c"], ["a", "b", "c"]),
        (with_all_removed_and_others_after, ["d", "e"], ["a", "b", "d", "e"]),
        (with_more_appended, ["a", "b", "c", "d"], ["a", "b", "c", "d"]),
        (with_a_sleep_between, ["a", "b", "c"], ["a", "b", "c"]),
        (gathered, ["a", "b", "c"], ["a", "b", "c"]),
        (with_the_sleep_before, ["a", "b", "c"], ["a", "b", "c"]),
    ],
)
async def test_a_parked_run_goes_on_with_changed_code_and_repeats_nothing(
    life: Life, new: Code, result: list[str], executed: list[str]
) -> None:
    await life.start(old)
    assert steps.executed == ["a", "b"]

    assert await life.result(new) == result
    assert steps.executed == executed


async def test_a_gather_may_become_a_sequence(life: Life) -> None:
    await life.start(gathered)
    assert await life.result(old) == ["a", "b", "c"]
    assert sorted(steps.executed) == ["a", "b", "c"]


async def test_a_gather_of_which_only_some_tasks_were_recorded_goes_on(life: Life) -> None:
    held = asyncio.Event()

    @task
    async def slow() -> str:
        steps.executed.append("slow")
        await held.wait()
        return "slow"

    async def some(run: Run) -> list[str]:
        return list(await asyncio.gather(steps.step.start(run, "a"), slow.start(run), steps.step.start(run, "b")))

    await life.start(some)
    held.set()

    assert await life.result(some) == ["a", "slow", "b"]
    assert sorted(steps.executed) == ["a", "b", "slow", "slow"]


# ----------------------------------------------------------------------------------------------------------- stalls


async def with_one_inserted(run: Run) -> list[str]:
    found = [await steps.step.start(run, "a"), await steps.step.start(run, "x"), await steps.step.start(run, "b")]
    await run.sleep("night", days=1)
    return [*found, await steps.step.start(run, "c")]


async def with_input_changed(run: Run) -> list[str]:
    found = [await steps.step.start(run, "a"), await steps.step.start(run, "b2")]
    await run.sleep("night", days=1)
    return [*found, await steps.step.start(run, "c")]


async def with_a_task_renamed(run: Run) -> list[str]:
    found = [await steps.renamed_step.start(run, "a"), await steps.step.start(run, "b")]
    await run.sleep("night", days=1)
    return [*found, await steps.step.start(run, "c")]


async def with_one_branch_renamed(run: Run) -> list[str]:
    found = await asyncio.gather(steps.step.start(run, "a"), steps.renamed_step.start(run, "b"))
    await run.sleep("night", days=1)
    return [*found, await steps.step.start(run, "c")]


@pytest.mark.parametrize(
    ("begun", "new", "asks", "holds"),
    [
        (old, with_one_inserted, 'step(name="x")', 'step(name="b")'),
        (old, with_input_changed, 'step(name="b2")', 'step(name="b")'),
        (old, with_a_task_renamed, 'renamed-step(name="a")', 'step(name="a")'),
        (gathered, with_one_branch_renamed, 'renamed-step(name="b")', 'step(name="b")'),
    ],
)
async def test_a_run_whose_recorded_past_was_changed_stalls_until_the_old_code_is_back(
    life: Life, begun: Code, new: Code, asks: str, holds: str
) -> None:
    await life.start(begun)

    async with life.served(new) as env:
        await env.advance(days=2)
        info = await life.handle(env).info()
        assert info.status == "stalled"
        assert info.why is not None
        assert f"asks for task {asks} at " in info.why
        assert f"still holds task {holds} at " in info.why
        assert info.why.count(Path(__file__).name) == 2
        assert await life.handle(env).requeue()
        await env.settle()
        assert (await life.handle(env).info()).status == "stalled"
    assert steps.executed == ["a", "b"]

    async with life.served(begun) as env:
        await env.settle()
        assert (await life.handle(env).info()).status == "stalled"
        assert await life.handle(env).requeue()
        assert await life.handle(env).result() == ["a", "b", "c"]
    assert steps.executed == ["a", "b", "c"]


async def test_what_was_sent_to_a_stalled_run_is_there_when_it_goes_on(life: Life) -> None:
    await life.start(old)
    async with life.served(with_one_inserted) as env:
        await env.advance(days=2)
        assert not await life.handle(env).wake()
        assert (await life.handle(env).info()).status == "stalled"

    async with life.served(old) as env:
        await life.handle(env).requeue()
        assert await life.handle(env).result() == ["a", "b", "c"]


async def test_a_child_with_changed_input_stalls_its_parent_too(life: Life) -> None:
    @workflow("child").version("1")
    async def child_v1(run: Run, name: str) -> str:
        return name

    def parent(name: str) -> Code:
        async def code(run: Run) -> list[str]:
            child = await child_v1.start_as_child(run, name)
            await run.sleep("night", days=1)
            return [await child.result()]

        return code

    await life.start(parent("x"))
    async with life.served(parent("y")) as env:
        await env.advance(days=2)
        info = await life.handle(env).info()
        assert info.status == "stalled"
        assert info.why is not None
        assert 'child 1(name="y")' in info.why
        assert 'child 1(name="x")' in info.why
        assert len((await env.runs.list(workflow="child")).runs) == 1
