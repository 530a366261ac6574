"""What a call gives or raises follows from its entry: the same error on replay, and always a decoded copy."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from aiki.errors import InvalidInput, NameTaken, RunFailed, RunNotFound, TaskFailed
from aiki.model.journal import Failure
from aiki.model.lifecycle import Status
from aiki.model.wire import Commit, Outcome
from aiki.sdk.failures import refusal_of
from aiki.sdk.run import Run
from aiki.sdk.task import task
from aiki.sdk.workflow import workflow
from tests.worker.shop import Signals, alpha, broken
from tests.worker.stage import Stage

Code = Callable[..., Coroutine[Any, Any, Any]]


def staged(code: Code, *args: Any) -> Stage:
    return Stage(workflow("plain").version("1.0.0", events=Signals)(code), *args)


def output(commit: Commit) -> str:
    assert commit.outcome is Outcome.COMPLETED, (commit.outcome, commit.why, commit.error)
    return bytes(commit.output).decode()


# ------------------------------------------------------------------------------------------------ errors of others


def test_a_failed_task_is_the_same_error_on_replay(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[tuple[Any, ...]] = []

    async def code(run: Run[Signals]) -> str:
        try:
            await broken.start(run, "spoon")
        except TaskFailed as error:
            seen.append(
                (
                    str(error),
                    error.task,
                    error.error_type,
                    error.message,
                    error.attempts,
                    error.traceback,
                    error.is_type(KeyError),
                    error.is_type(LookupError),
                    error.is_type(ValueError),
                    error.entry_seq,
                )
            )
        return (await run.events.go.wait()).data

    stage = staged(code)
    stage.play()
    stage.play()
    stage.send("go", "on")
    assert output(stage.play()) == '"on"'

    assert seen[0] == seen[1] == seen[2]
    assert seen[0][1:5] == ("broken", "builtins.KeyError", "'spoon'", 1)
    assert "raise KeyError(value)" in seen[0][5]
    assert seen[0][6:] == (True, True, False, 1)
    assert stage.executed == ['broken(value="spoon")']


async def escaping(run: Run[Signals]) -> None:
    await alpha.start(run)
    await broken.start(run, "first")


async def escaping_as_cause(run: Run[Signals]) -> None:
    try:
        await escaping(run)
    except TaskFailed as error:
        raise RuntimeError("wrapped") from error


async def escaping_as_context(run: Run[Signals]) -> None:
    try:
        await escaping(run)
    except TaskFailed:
        int("unrelated, but raised while it is handled")


async def escaping_from_a_group(run: Run[Signals]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(escaping(run))
        group.create_task(asyncio.sleep(60))


async def escaping_from_a_gather(run: Run[Signals]) -> None:
    await asyncio.gather(run.sleep("nap", 60), escaping(run))


async def escaping_from_none(run: Run[Signals]) -> None:
    try:
        await escaping(run)
    except TaskFailed:
        raise RuntimeError("unrelated") from None


async def escaping_after_one_that_was_handled(run: Run[Signals]) -> None:
    await asyncio.gather(broken.start(run, "handled"), return_exceptions=True)
    await broken.start(run, "first")


@pytest.mark.parametrize(
    ("code", "seq"),
    [
        (escaping, 2),
        (escaping_as_cause, 2),
        (escaping_as_context, 2),
        (escaping_from_a_group, 2),
        (escaping_from_a_gather, 2),
        (escaping_from_none, None),
        (escaping_after_one_that_was_handled, 2),
    ],
)
def test_a_failed_run_names_the_entry_whose_error_escaped(code: Code, seq: int | None) -> None:
    stage = staged(code)
    commit = stage.play()

    assert commit.outcome is Outcome.FAILED
    assert commit.failed_seq == seq
    stage.assert_the_same_on_every_replay()


async def helping(run: Run[Signals], count: int) -> int:
    return count


helper = workflow("helper").version("1.0.0", events=Signals)(helping)


def test_a_child_that_failed_names_the_entry_that_told_of_it() -> None:
    async def code(run: Run[Signals]) -> int:
        child = await helper.start_as_child(run, 7)
        return await child.result()

    stage = staged(code)
    assert stage.play().waits_for == "child_result"
    child_id = stage.journal[0].child_id
    assert child_id is not None
    stage.child_ends(child_id, None, status=Status.FAILED)
    commit = stage.play()

    assert commit.outcome is Outcome.FAILED
    assert commit.error is not None
    assert commit.error.code == RunFailed.code
    assert commit.failed_seq == 2
    stage.assert_the_same_on_every_replay()


def test_two_waits_for_one_child_are_both_answered() -> None:
    async def code(run: Run[Signals]) -> list[int]:
        child = await helper.start_as_child(run, 7)
        return [await child.result(), await child.result()]

    stage = staged(code)
    stage.play()
    child_id = stage.journal[0].child_id
    assert child_id is not None
    stage.child_ends(child_id, 7)
    stage.play()
    stage.child_ends(child_id, 7, ordinal=1)

    assert output(stage.play()) == "[7,7]"
    assert len(stage.started) == 1
    stage.assert_the_same_on_every_replay()


def test_a_wait_for_a_child_that_is_gone_says_so() -> None:
    gone = Failure("aiki.errors.RunNotFound", "run 7 is gone", code=RunNotFound.code)
    assert isinstance(refusal_of(gone), RunNotFound)

    async def code(run: Run[Signals]) -> str:
        child = await helper.start_as_child(run, 7)
        try:
            return str(await child.result())
        except RunNotFound as error:
            return str(error)

    stage = staged(code)
    stage.play()
    child_id = stage.journal[0].child_id
    assert child_id is not None
    stage.child_is_gone(child_id, gone)

    assert output(stage.play()) == '"run 7 is gone"'


def test_two_tasks_of_one_name_are_refused_with_both_places() -> None:
    @task(name="alpha")
    def other(value: str = "") -> str:
        return value

    async def code(run: Run[Signals]) -> None:
        await alpha.start(run)
        await other.start(run)

    commit = staged(code).play()

    assert commit.outcome is Outcome.FAILED
    assert commit.error is not None
    assert commit.error.code == NameTaken.code
    assert "shop.py:" in commit.error.message
    assert "test_machine_answers.py:" in commit.error.message


# ---------------------------------------------------------------------------------------------------- decoded copies


def test_a_task_gets_a_copy_of_its_arguments_and_its_caller_a_copy_of_the_result() -> None:
    kept: list[Any] = []

    @task
    def append(values: list[int]) -> list[int]:
        values.append(3)
        kept.append(values)
        return values

    async def code(run: Run[Signals]) -> list[list[int]]:
        given = [1, 2]
        got = await append.start(run, given)
        got.append(4)
        return [given, got, *kept]

    assert output(staged(code).play()) == "[[1,2],[1,2,3,4],[1,2,3]]"


def test_an_integer_key_that_json_makes_a_string_shows_at_once() -> None:
    @task
    def count() -> dict[Any, int]:
        return {1: 2}

    async def code(run: Run[Signals]) -> list[str]:
        return [type(key).__name__ for key in await count.start(run)]

    stage = staged(code)
    assert output(stage.play()) == '["str"]'


def test_an_event_that_does_not_fit_is_taken_and_raises_where_it_is_waited_for() -> None:
    async def code(run: Run[Signals]) -> list[str]:
        try:
            await run.events.go.wait()
        except InvalidInput as error:
            return [type(error).__name__, (await run.events.go.wait()).data]
        return []

    stage = staged(code)
    stage.play()
    stage.send("go", 7)
    stage.send("go", "seven")

    assert output(stage.play()) == '["InvalidInput","seven"]'
    stage.assert_the_same_on_every_replay()
