"""Live code that is changed: what keeps its results, and what is caught before it does harm.

Each test serves a run with old code on a file, then opens the file with new code of the same version.
`tests/system/test_embedded_refactoring.py` holds the calls that are reordered, removed, appended, inserted and renamed.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from aiki import Event, Events, Retry, Run, RunInfo, Version, task, testing, workflow

Code = Callable[[Run[Any]], Coroutine[Any, Any, Any]]


class Signals(Events):
    go: Event[str]
    stop: Event[str]


class Life:
    """A run on a file, served by one code after another, and the tasks that were executed."""

    def __init__(self, folder: Path) -> None:
        self.executed: list[str] = []
        self._file = folder / "live.db"
        self._run_id = ""

    def note(self, what: str) -> str:
        """Note that a task was executed."""
        self.executed.append(what)
        return what

    async def begins(self, code: Code, *, hours: float = 1) -> None:
        """Start the run with this code, and let hours pass."""
        async with testing.local(workflows=[version_of(code)], database=self._file) as env:
            self._run_id = (await version_of(code).start(env)).id
            await env.advance(hours=hours)

    async def ends(self, code: Code) -> Any:
        """Go on with this code, and return the output and how many hours it took."""
        async with testing.local(workflows=[version_of(code)], database=self._file) as env:
            handle = version_of(code).handle(env, self._run_id)
            await handle.requeue()
            began = asyncio.get_running_loop().time()
            output = await handle.result(timeout=timedelta(days=1000))
            return output, round((asyncio.get_running_loop().time() - began) / 3600, 3)

    async def stalls(self, code: Code) -> RunInfo:
        """Go on with this code, and return how the run stands an hour later."""
        async with testing.local(workflows=[version_of(code)], database=self._file) as env:
            await env.advance(hours=30)
            info = await version_of(code).handle(env, self._run_id).info()
            assert info.status == "stalled", info
            return info

    async def sends(self, code: Code, value: str) -> None:
        """Send `go` while nobody serves the run."""
        async with testing.local(database=self._file) as env:
            await version_of(code).handle(env, self._run_id).events.go.send(value)


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path)


def version_of(code: Code) -> Version[[], Any, Signals]:
    @workflow("live").version("1", events=Signals)
    async def live_v1(run: Run[Signals]) -> Any:
        return await code(run)

    return live_v1


def sleeping(hours: float) -> Code:
    async def code(run: Run[Any]) -> None:
        await run.sleep("rest", hours=hours)

    return code


# ------------------------------------------------------------------------------------------------------------ sleeps


async def test_a_sleep_that_is_lengthened_while_it_is_slept_sleeps_its_remainder(life: Life) -> None:
    await life.begins(sleeping(24), hours=6)
    assert await life.ends(sleeping(30)) == (None, 24.0)


def sleeping_and_listening(hours: float) -> Code:
    """Return code that an event reaches while it sleeps: the first moment at which its worker sees new code."""

    async def code(run: Run[Any]) -> str:
        _, told = await asyncio.gather(run.sleep("rest", hours=hours), run.events.go.wait())
        return str(told.data)

    return code


@pytest.mark.parametrize(("hours", "left"), [(24, 18.0), (10, 4.0), (5, 0.0)], ids=["as-it-was", "shorter", "over"])
async def test_a_sleep_that_is_shortened_ends_at_its_new_time_or_at_once(life: Life, hours: float, left: float) -> None:
    await life.begins(sleeping_and_listening(24), hours=6)
    await life.sends(sleeping(24), "go")
    assert await life.ends(sleeping_and_listening(hours)) == ("go", left)


async def test_a_sleep_that_was_slept_and_is_lengthened_sleeps_the_remainder_once(life: Life) -> None:
    def code(hours: float) -> Code:
        async def slept(run: Run[Any]) -> list[Any]:
            begun = run.now()
            await run.sleep("rest", hours=hours)
            rested = (run.now() - begun).total_seconds() / 3600
            return [rested, (await run.events.go.wait()).data]

        return slept

    await life.begins(code(2), hours=3)
    await life.sends(code(2), "go")
    assert await life.ends(code(12)) == ([12.0, "go"], 9.0)


# ------------------------------------------------------------------------------------------------------------- waits


async def waiting(run: Run[Any]) -> list[str]:
    return [(await run.events.go.wait()).data]


async def waiting_twice(run: Run[Any]) -> list[str]:
    return [(await run.events.go.wait()).data, str((await run.events.stop.wait(timeout=3600)).timed_out)]


async def not_waiting(_: Run[Any]) -> list[str]:
    return ["never mind"]


@pytest.mark.parametrize(
    ("old", "new", "output"),
    [
        (waiting, waiting_twice, ["now", "True"]),
        (waiting_twice, waiting, ["now"]),
        (waiting, not_waiting, ["never mind"]),
    ],
    ids=["added", "removed", "all-removed"],
)
async def test_waits_are_added_and_removed_under_a_run_that_waits(
    life: Life, old: Code, new: Code, output: Any
) -> None:
    await life.begins(old)
    await life.sends(old, "now")
    assert (await life.ends(new))[0] == output


# ------------------------------------------------------------------------------------------------- timers and timeouts


def napping_in_a_gather(*hours: float) -> Code:
    """Return code that sleeps for several times at once, by asyncio alone, and tells how long each took."""

    async def code(run: Run[Any]) -> list[float]:
        async def nap(span: float) -> float:
            begun = run.now()
            await asyncio.sleep(span * 3600)
            return (run.now() - begun).total_seconds() / 3600

        return await asyncio.gather(*(nap(span) for span in hours))

    return code


@pytest.mark.parametrize(
    ("old", "new", "left"),
    [((2, 24), (2, 30), 27.0), ((2, 24), (30, 24), 27.0), ((2, 24), (24,), 21.0), ((24, 30), (30, 24), 27.0)],
    ids=["open-longer", "over-longer", "removed", "reordered"],
)
async def test_timers_of_asyncio_last_as_long_as_the_code_says_now(
    life: Life, old: tuple[float, ...], new: tuple[float, ...], left: float
) -> None:
    await life.begins(napping_in_a_gather(*old), hours=3)
    assert await life.ends(napping_in_a_gather(*new)) == (list(new), left)


async def napping_and_listening(run: Run[Any]) -> str:
    await asyncio.sleep(2 * 3600)
    return await listening(run)


async def listening(run: Run[Any]) -> str:
    async with asyncio.timeout(48 * 3600):
        return str((await run.events.go.wait()).data)


async def test_a_timeout_does_not_strike_for_a_timer_that_was_removed(life: Life) -> None:
    await life.begins(napping_and_listening, hours=3)
    await life.sends(listening, "in time")
    assert (await life.ends(listening))[0] == "in time"


def patient(hours: float | None) -> Code:
    async def code(run: Run[Any]) -> list[Any]:
        stopped = await run.events.stop.wait(timeout=hours and timedelta(hours=hours))
        return [stopped.timed_out]

    async def told_twice(run: Run[Any]) -> list[Any]:
        told, *rest = await asyncio.gather(run.events.go.wait(), code(run))
        return [told.data, *rest[0]]

    return told_twice


@pytest.mark.parametrize(("before", "after", "left"), [(24, 30, 24.0), (24, 12, 6.0), (None, 10, 4.0), (24, 5, 0.0)])
async def test_an_open_wait_has_the_timeout_that_the_code_says_now(
    life: Life, before: float | None, after: float | None, left: float
) -> None:
    await life.begins(patient(before), hours=6)
    await life.sends(patient(before), "go")
    assert await life.ends(patient(after)) == (["go", True], left)


# -------------------------------------------------------------------------------------------- tasks in another shape


async def test_tasks_whose_results_have_come_may_be_removed_nested_and_followed_by_new_ones(life: Life) -> None:
    @task
    async def note(what: str) -> str:
        return life.note(what)

    async def old(run: Run[Any]) -> list[str]:
        found = [await note.start(run, what) for what in "abc"]
        await run.sleep("night", hours=24)
        return found

    async def new(run: Run[Any]) -> list[str]:
        async with asyncio.TaskGroup() as outer:
            third = outer.create_task(note.start(run, "c"))
            async with asyncio.TaskGroup() as inner:
                first = inner.create_task(note.start(run, "a"))
        await run.sleep("night", hours=24)
        return [first.result(), third.result(), await note.start(run, "d")]

    await life.begins(old)
    assert (await life.ends(new))[0] == ["a", "c", "d"]
    assert life.executed == ["a", "b", "c", "d"]


# ---------------------------------------------------------------------------------------------------------- children


@workflow("leg").version("1")
async def leg_v1(run: Run, name: str) -> str:
    """A child."""
    await run.sleep("ride", minutes=30)
    return name


async def test_children_that_are_reordered_are_found_again(tmp_path: Path) -> None:
    def version(names: str) -> Version[[], list[str], Events]:
        @workflow("parent").version("1")
        async def parent_v1(run: Run) -> list[str]:
            children = [await leg_v1.start_as_child(run, name) for name in names]
            found = [await child.result() for child in children]
            await run.sleep("night", days=1)
            return [child.id for child in children] + found

        return parent_v1

    database = tmp_path / "children.db"
    async with testing.local(workflows=[version("abc"), leg_v1], database=database) as env:
        handle = await version("abc").start(env)
        await env.advance(hours=2)
        page = await env.runs.list(workflow="leg")
        ids = {info.input["name"]: info.id for info in [await env.runs.get(run.id) for run in page.runs]}
    async with testing.local(workflows=[version("cab"), leg_v1], database=database) as env:
        found = await version("cab").handle(env, handle.id).result()
        assert found == [ids["c"], ids["a"], ids["b"], "c", "a", "b"]
        assert len((await env.runs.list(workflow="leg")).runs) == 3


async def test_a_child_of_another_name_stalls_the_parent_before_it_is_started(tmp_path: Path) -> None:
    @workflow("other-leg").version("1")
    async def other_leg_v1(run: Run, name: str) -> str:
        return name

    def version(child: Version[[str], str, Events]) -> Version[[], str, Events]:
        @workflow("parent").version("1")
        async def parent_v1(run: Run) -> str:
            found = await (await child.start_as_child(run, "a")).result()
            await run.sleep("night", days=1)
            return found

        return parent_v1

    database = tmp_path / "children.db"
    async with testing.local(workflows=[version(leg_v1), leg_v1], database=database) as env:
        run_id = (await version(leg_v1).start(env)).id
        await env.advance(hours=2)
    async with testing.local(workflows=[version(other_leg_v1), other_leg_v1, leg_v1], database=database) as env:
        await env.advance(days=2)
        info = await env.runs.get(run_id)
        assert info.status == "stalled"
        assert 'other-leg 1(name="a")' in (info.why or "")
        assert (await env.runs.count(workflow="other-leg")).total == 0
    async with testing.local(workflows=[version(leg_v1), leg_v1], database=database) as env:
        handle = version(leg_v1).handle(env, run_id)
        assert await handle.requeue()
        assert await handle.result() == "a"


# -------------------------------------------------------------------------------------------------- parameters, types


async def test_a_new_optional_parameter_of_a_task_keeps_its_recorded_results(life: Life) -> None:
    @task(name="greet")
    async def greet(name: str) -> str:
        return life.note(f"hello {name}")

    @task(name="greet")
    async def greet_in_words(name: str, polite: bool = False) -> str:  # noqa: FBT001, FBT002
        return life.note(f"{'good day' if polite else 'hello'} {name}")

    async def old(run: Run[Any]) -> list[str]:
        first = await greet.start(run, "ada")
        await run.sleep("night", hours=24)
        return [first]

    async def new(run: Run[Any]) -> list[str]:
        first = await greet_in_words.start(run, "ada")
        await run.sleep("night", hours=24)
        return [first, await greet_in_words.start(run, "ada", polite=True)]

    await life.begins(old)
    assert (await life.ends(new))[0] == ["hello ada", "good day ada"]
    assert life.executed == ["hello ada", "good day ada"]


def quoting(returns: Any, use: Callable[[Any], Any]) -> Code:
    """Return code with a task that returns 12, annotated to return `returns`."""

    async def quote() -> Any:
        return 12

    quote.__annotations__["return"] = returns
    quoted = task(quote)

    async def code(run: Run[Any]) -> Any:
        found = await quoted.start(run)
        await run.sleep("night", hours=24)
        return use(found)

    return code


async def test_a_result_whose_type_has_changed_stalls_the_run_and_is_never_a_wrong_value(life: Life) -> None:
    await life.begins(quoting(int, lambda found: found + 1))
    info = await life.stalls(quoting(datetime, str))

    assert info.why is not None
    assert "the result of task quote" in info.why
    assert "entry 1" in info.why
    assert "requeue" in info.why
    assert (await life.ends(quoting(int, lambda found: found + 1)))[0] == 13


async def test_code_cannot_catch_that_a_result_has_another_type(life: Life) -> None:
    def catching(returns: Any) -> Code:
        inner = quoting(returns, str)

        async def code(run: Run[Any]) -> Any:
            results = await asyncio.gather(inner(run), return_exceptions=True)
            try:
                return await inner(run) if isinstance(results[0], Exception) else results[0]
            except Exception:  # noqa: BLE001  # an author's
                return "caught"

        return code

    await life.begins(catching(int))
    await life.stalls(catching(datetime))
    assert (await life.ends(catching(int)))[0] == "12"


async def test_a_type_that_takes_what_the_old_one_wrote_is_no_change(life: Life) -> None:
    class Quote(BaseModel):
        price: int

    class QuoteWithCurrency(BaseModel):
        price: int
        currency: str = "EUR"

    def code(model: Any, use: Callable[[Any], Any]) -> Code:
        async def quote() -> Any:
            return model(price=12)

        quote.__annotations__["return"] = model
        quoted = task(quote)

        async def quoting_models(run: Run[Any]) -> Any:
            found = await quoted.start(run)
            await run.sleep("night", hours=24)
            return use(found)

        return quoting_models

    await life.begins(code(Quote, lambda found: found.price))
    assert (await life.ends(code(QuoteWithCurrency, lambda found: f"{found.price} {found.currency}")))[0] == "12 EUR"


async def test_input_whose_type_has_changed_stalls_a_run_that_has_begun(tmp_path: Path) -> None:
    @workflow("typed").version("1")
    async def old_v1(run: Run, amount: int) -> int:
        await run.sleep("night", days=1)
        return amount

    @workflow("typed").version("1")
    async def new_v1(run: Run, amount: int, currency: str) -> str:
        await run.sleep("night", days=1)
        return f"{amount} {currency}"

    database = tmp_path / "typed.db"
    async with testing.local(workflows=[old_v1], database=database) as env:
        run_id = (await old_v1.start(env, 12)).id
        await env.advance(hours=1)
    async with testing.local(workflows=[new_v1], database=database) as env:
        await env.advance(days=2)
        info = await env.runs.get(run_id)
        assert info.status == "stalled"
        assert "its own input" in (info.why or "")
        assert "currency" in (info.why or "")
    async with testing.local(workflows=[old_v1], database=database) as env:
        handle = old_v1.handle(env, run_id)
        assert await handle.requeue()
        assert await handle.result() == 12


# ---------------------------------------------------------------------------------------- code that looks at its attempt


async def test_code_that_leaves_out_what_an_earlier_attempt_did_stalls_and_is_told_why(life: Life) -> None:
    @task
    async def first() -> str:
        return life.note("first")

    @task
    async def other() -> str:
        return life.note("other")

    @workflow("trying").version("1", retry=Retry.fixed(2, 1.0))
    async def trying_v1(run: Run) -> str:
        if run.attempt == 1:
            await first.start(run)
            raise ValueError("again")
        return await other.start(run)

    async with testing.local(workflows=[trying_v1]) as env:
        handle = await trying_v1.start(env)
        await env.advance(minutes=1)
        info = await handle.info()
        assert info.status == "stalled"
        assert "This is attempt 2 of the run" in (info.why or "")
        assert life.executed == ["first"]


async def test_code_that_does_more_in_a_later_attempt_goes_on(life: Life) -> None:
    @task
    async def first() -> str:
        return life.note("first")

    @task
    async def other() -> str:
        return life.note("other")

    @workflow("trying").version("1", retry=Retry.fixed(2, 1.0))
    async def trying_v1(run: Run) -> str:
        done = await first.start(run)
        if run.attempt == 1:
            raise ValueError("again")
        return done + " " + await other.start(run)

    async with testing.local(workflows=[trying_v1]) as env:
        assert await (await trying_v1.start(env)).result() == "first other"
        assert life.executed == ["first", "other"]
