"""What one execution promises its code: nothing swallows a suspension or a new chapter, and an end is an end."""

import asyncio
import gc
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from aiki.errors import InvalidInput
from aiki.model.wire import Commit, Outcome
from aiki.sdk.run import Run
from aiki.sdk.workflow import workflow
from tests.worker.shop import Signals, alpha, beta, gamma
from tests.worker.stage import Stage

Code = Callable[..., Coroutine[Any, Any, Any]]


def staged(code: Code, *args: Any) -> Stage:
    return Stage(workflow("plain").version("1.0.0", events=Signals)(code), *args)


def output(commit: Commit) -> str:
    assert commit.outcome is Outcome.COMPLETED, (commit.outcome, commit.why, commit.error)
    return bytes(commit.output).decode()


# ----------------------------------------------------------------------------------------- what nothing may swallow


async def catching_exceptions(run: Run[Signals]) -> list[str]:
    found: list[str] = []
    for name in ("first", "second"):
        try:
            await run.sleep(name, 60)
        except Exception as error:  # noqa: BLE001 - what authors write
            found.append(f"swallowed {error!r}")
    return found


async def catching_everything(run: Run[Signals]) -> list[str]:
    found: list[str] = []
    for name in ("first", "second"):
        try:
            await run.sleep(name, 60)
        except:  # noqa: E722 - what authors write
            found.append("swallowed")
    return found


async def gathering_errors(run: Run[Signals]) -> list[str]:
    await run.sleep("first", 60)
    found = await asyncio.gather(run.sleep("second", 60), run.events.go.wait(60), return_exceptions=True)
    return [f"swallowed {result!r}" for result in found if isinstance(result, BaseException)]


@pytest.mark.parametrize("code", [catching_exceptions, catching_everything, gathering_errors])
@pytest.mark.parametrize("parked", [True, False])
def test_a_suspension_is_no_exception_that_code_could_swallow(code: Code, *, parked: bool) -> None:
    stage = staged(code)
    stage.play()
    stage.advance(60)
    stage.play()
    stage.advance(60)

    assert output(stage.parked() if parked else stage.play()) == "[]"


@pytest.mark.parametrize("code", [catching_exceptions, catching_everything, gathering_errors])
def test_an_eviction_makes_no_call_and_says_nothing(
    code: Code, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    stage = staged(code)
    stage.play()
    machine = stage.machine
    assert machine is not None
    asked = list(machine.asked)
    stage.lost()
    gc.collect()

    assert machine.asked == asked
    assert machine.ledger.is_empty
    assert machine.ending is None
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


async def continuing(run: Run[Signals], chapter: int) -> None:
    await run.continue_as_new(chapter + 1)


async def continuing_in_a_try(run: Run[Signals], chapter: int) -> None:
    try:
        await run.continue_as_new(chapter + 1)
    except Exception:  # noqa: BLE001 - what authors write
        await alpha.start(run, "swallowed")


async def continuing_in_a_bare_except(run: Run[Signals], chapter: int) -> None:
    try:
        await run.continue_as_new(chapter + 1)
    except:  # noqa: E722 - what authors write
        run.set("swallowed", 1)
        await alpha.start(run, "swallowed")


async def continuing_in_a_gather(run: Run[Signals], chapter: int) -> None:
    await asyncio.gather(continuing(run, chapter), run.sleep("nap", 60), return_exceptions=True)
    await alpha.start(run, "swallowed")


async def continuing_in_a_task_group(run: Run[Signals], chapter: int) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(continuing(run, chapter))
        group.create_task(asyncio.sleep(60))


async def continuing_in_the_background(run: Run[Signals], chapter: int) -> None:
    background = asyncio.create_task(continuing(run, chapter))
    await run.sleep("nap", 60)
    await background


@pytest.mark.parametrize(
    "code",
    [
        continuing,
        continuing_in_a_try,
        continuing_in_a_bare_except,
        continuing_in_a_gather,
        continuing_in_a_task_group,
        continuing_in_the_background,
    ],
)
def test_whoever_asks_for_a_new_chapter_gets_it(code: Code, caplog: pytest.LogCaptureFixture) -> None:
    stage = staged(code, 1)
    commit = stage.play()
    stage.lost()
    gc.collect()

    assert commit.outcome is Outcome.CONTINUED
    assert bytes(commit.input) == b'{"chapter":2}'
    assert commit.input_hash
    assert (commit.opened, commit.waits, commit.effects, stage.executed) == ((), 0, (), [])
    assert caplog.records == []


# ----------------------------------------------------------------------------------------------------- how it ends


def test_what_still_runs_when_the_handler_returns_is_cancelled_and_its_results_are_dropped() -> None:
    unwound: list[str] = []

    async def code(run: Run[Signals]) -> str:
        async def in_the_background() -> None:
            try:
                await beta.start(run)
                await gamma.start(run, "never")
            except asyncio.CancelledError:
                unwound.append("cancelled")
                run.set("late", 1)
                await gamma.start(run, "too late")
                raise
            finally:
                unwound.append("done")

        background = asyncio.create_task(in_the_background())
        await alpha.start(run)
        return f"returned while {background.done()=}"

    stage = staged(code)
    stage.hold = lambda call: call.label == "beta()"
    commit = stage.play()

    assert output(commit) == '"returned while background.done()=False"'
    assert unwound == ["cancelled", "done"]
    assert [entry.label for entry in stage.journal] == ["alpha()"]
    assert (commit.effects, commit.children, commit.opened, commit.waits) == ((), (), (), 0)


def test_a_child_that_was_only_asked_for_in_the_background_is_not_started_by_the_end() -> None:
    async def helping(run: Run[Signals]) -> None: ...

    helper = workflow("helper").version("1.0.0", events=Signals)(helping)

    async def code(run: Run[Signals]) -> str:
        background = asyncio.create_task(helper.start_as_child(run))
        return f"{await alpha.start(run)} {background.done()}"

    stage = staged(code)
    assert output(stage.play()) == '"alpha False"'
    assert stage.started == []


@pytest.mark.parametrize("blocks", ["a future", "a lock", "a queue"])
def test_code_that_waits_for_nothing_that_can_happen_stalls(blocks: str) -> None:
    async def code(run: Run[Signals]) -> None:
        await alpha.start(run)
        match blocks:
            case "a future":
                await asyncio.get_running_loop().create_future()
            case "a lock":
                lock = asyncio.Lock()
                async with lock, lock:
                    pass
            case "a queue":
                await asyncio.Queue[None]().get()

    stage = staged(code)
    commit = stage.play()

    assert (commit.outcome, commit.stall_reason) == (Outcome.STALLED, "waits_for_nothing")
    assert commit.why is not None
    assert "cannot happen" in commit.why
    assert len(stage.journal) == 1


def test_code_that_cancels_itself_has_failed() -> None:
    async def code(run: Run[Signals]) -> None:
        raise asyncio.CancelledError

    commit = staged(code).play()

    assert commit.outcome is Outcome.FAILED
    assert commit.error is not None
    assert commit.error.type == "asyncio.exceptions.CancelledError"


def test_an_input_that_does_not_fit_fails_the_run_and_names_the_parameter() -> None:
    async def code(run: Run[Signals], count: int) -> int:
        return count

    stage = staged(code, 1)
    stage.input = b'{"count":"many"}'
    commit = stage.play()

    assert commit.outcome is Outcome.FAILED
    assert commit.error is not None
    assert commit.error.code == InvalidInput.code
    assert "count" in commit.error.message


def test_an_output_that_cannot_be_stored_fails_the_run_and_names_type_and_path() -> None:
    async def code(run: Run[Signals]) -> dict[str, Any]:
        return {"found": [1, object()]}

    commit = staged(code).play()

    assert commit.outcome is Outcome.FAILED
    assert commit.error is not None
    assert "object" in commit.error.message
    assert "found" in commit.error.message


def test_a_drop_of_what_has_ended_does_nothing() -> None:
    stage = staged(continuing, 1)
    stage.play()
    machine = stage.machine
    assert machine is not None
    ending = machine.ending
    machine.drop()
    machine.drop()

    assert machine.ending is ending


def test_an_error_that_nobody_awaits_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def code(run: Run[Signals]) -> None:
        def fail() -> None:
            raise ValueError("nobody hears me")

        asyncio.get_running_loop().call_soon(fail)
        await alpha.start(run)
        await run.events.go.wait()

    stage = staged(code)
    stage.play()
    stage.play()

    assert [(record.levelno, record.getMessage().partition(":")[0]) for record in caplog.records] == [
        (logging.ERROR, "error in workflow code that nobody awaited")
    ]
