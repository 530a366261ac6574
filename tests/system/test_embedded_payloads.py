"""Values that cannot be stored fail the one task, run or call that brings them, and say which and where."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import aiki
from aiki import Event, Events, NotSerializable, PayloadTooLarge, Run, TaskFailed, task, testing, workflow


class Unserialisable:
    """Nothing knows how to store this."""


def nested(depth: int) -> Any:
    """Return lists in lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


MAKERS: dict[str, Callable[[], Any]] = {
    "NUL": lambda: {"key": ["fine", "a\0b"]},
    "NUL in a key": lambda: {"key": {"a\0b": 1}},
    "NaN": lambda: {"key": [1.0, float("nan")]},
    "infinity": lambda: {"key": [1.0, float("-inf")]},
    "lone surrogate": lambda: {"key": ["fine", "\ud800"]},
    "depth 10,000": lambda: {"key": nested(10_000)},
    "3 MiB": lambda: {"key": "x" * 3 * 1024 * 1024},
    "object": lambda: {"key": ["fine", Unserialisable()]},
    "function": lambda: {"key": ["fine", nested]},
}
"""What is at fault is a string, a float, a list, or an object, and stands at $.key or below."""

SAID: dict[str, tuple[str, ...]] = {
    "NUL": ("$.key[1]", "str", "NUL"),
    "NUL in a key": ("$.key", "str", "NUL"),
    "NaN": ("$.key[1]", "no number nan"),
    "infinity": ("$.key[1]", "no number -inf"),
    "lone surrogate": ("$.key[1]", "str", "surrogate"),
    "depth 10,000": ("$.key", "deep"),
    "3 MiB": ("bytes", "limit is 2,097,152"),
    "object": ("$.key[1]", "Unserialisable"),
    "function": ("$.key[1]", "function"),
}


class PayloadEvents(Events):
    anything: Event[Any]


makes: dict[str, list[str]] = {}


@task
async def take(value: Any) -> str:
    makes.setdefault("taken", []).append("taken")
    return "taken"


@task
async def give(kind: str) -> Any:
    return MAKERS[kind]()


@task(retry=aiki.Retry.fixed(5, delay=1))
async def give_and_retry(kind: str) -> Any:
    makes.setdefault(kind, []).append("executed")
    return MAKERS[kind]()


payloads = workflow("payloads")


@payloads.version("argument")
async def argument_v(run: Run, kind: str) -> list[str]:
    try:
        await take.start(run, MAKERS[kind]())
    except (NotSerializable, PayloadTooLarge) as error:
        return [type(error).__name__, str(error), await take.start(run, "fine")]
    return []


@payloads.version("result")
async def result_v(run: Run, kind: str) -> list[str]:
    try:
        await give.start(run, kind)
    except TaskFailed as error:
        return [error.error_type, str(error), await take.start(run, "fine")]
    return []


@payloads.version("retried-result")
async def retried_result_v(run: Run, kind: str) -> int:
    try:
        await give_and_retry.start(run, kind)
    except TaskFailed as error:
        return error.attempts
    return 0


@payloads.version("output")
async def output_v(run: Run, kind: str) -> Any:
    return MAKERS[kind]()


@payloads.version("input")
async def input_v(run: Run, value: Any) -> str:
    return "taken"


@payloads.version("published")
async def published_v(run: Run, kind: str) -> list[Any]:
    try:
        run.set("value", MAKERS[kind]())
    except (NotSerializable, PayloadTooLarge) as error:
        run.set("value", "fine")
        return [type(error).__name__, str(error)]
    return []


@payloads.version("child")
async def child_v(run: Run, kind: str) -> list[Any]:
    try:
        await input_v.start_as_child(run, MAKERS[kind]())
    except (NotSerializable, PayloadTooLarge) as error:
        return [type(error).__name__, str(error)]
    return []


@payloads.version("continued")
async def continued_v(run: Run, value: Any) -> str:
    try:
        await run.continue_as_new(MAKERS[value]())
    except (NotSerializable, PayloadTooLarge) as error:
        return str(error)


@payloads.version("event", events=PayloadEvents)
async def event_v(run: Run[PayloadEvents]) -> Any:
    return (await run.events.anything.wait()).data


@payloads.version("beside")
async def beside_v(run: Run) -> str:
    await run.sleep("while others fail", hours=1)
    return await take.start(run, "fine")


@pytest.fixture
async def env() -> AsyncIterator[testing.Environment]:
    """Return the platform, with a run on it that has nothing to do with what happens, and completes."""
    makes.clear()
    versions: list[Any] = [argument_v, result_v, retried_result_v, output_v, input_v, published_v, child_v]
    versions += [continued_v, event_v, beside_v]
    async with testing.local(workflows=versions) as env:
        beside = await beside_v.start(env)
        yield env
        assert await beside.result() == "taken"


@pytest.fixture(params=MAKERS)
def kind(request: pytest.FixtureRequest) -> str:
    """Return which value is tried."""
    name: str = request.param
    return name


def says(kind: str, text: str) -> bool:
    """Return whether a message names type and path of what is at fault, in a length that people read."""
    text = text.replace("$.value", "$")  # where it is the argument `value`
    return all(part in text for part in SAID[kind]) and len(text) < 1_500


async def test_an_argument_that_cannot_be_stored_is_refused_in_the_code(env: testing.Environment, kind: str) -> None:
    name, text, after = await (await argument_v.start(env, kind)).result()

    assert name in ("NotSerializable", "PayloadTooLarge")
    assert says(kind, text), text
    assert after == "taken"


async def test_a_result_that_cannot_be_stored_fails_its_task(env: testing.Environment, kind: str) -> None:
    error_type, text, after = await (await result_v.start(env, kind)).result()

    assert error_type in ("aiki.errors.NotSerializable", "aiki.errors.PayloadTooLarge")
    assert "task give" in text
    assert says(kind, text), text
    assert after == "taken"


async def test_a_result_that_cannot_be_stored_is_not_tried_again(env: testing.Environment, kind: str) -> None:
    assert await (await retried_result_v.start(env, kind)).result() == 1
    assert makes[kind] == ["executed"]


async def test_an_output_that_cannot_be_stored_fails_its_run(env: testing.Environment, kind: str) -> None:
    handle = await output_v.start(env, kind)
    with pytest.raises(aiki.RunFailed) as failed:
        await handle.result()

    assert says(kind, str(failed.value)), str(failed.value)


async def test_input_that_cannot_be_stored_is_refused_and_starts_nothing(env: testing.Environment, kind: str) -> None:
    with pytest.raises((NotSerializable, PayloadTooLarge)) as refused:
        await input_v.start(env, MAKERS[kind]())

    assert says(kind, str(refused.value)), str(refused.value)
    with pytest.raises((NotSerializable, PayloadTooLarge)):
        await env.runs.start("payloads", "input", {"value": MAKERS[kind]()})
    assert (await env.runs.list(version="input")).runs == ()


async def test_an_event_that_cannot_be_stored_is_refused_and_not_sent(env: testing.Environment, kind: str) -> None:
    handle = await event_v.start(env)
    with pytest.raises((NotSerializable, PayloadTooLarge)) as refused:
        await handle.events.anything.send(MAKERS[kind]())
    await handle.events.anything.send("fine")

    assert says(kind, str(refused.value)), str(refused.value)
    assert await handle.result() == "fine"


async def test_a_value_that_cannot_be_stored_is_not_published(env: testing.Environment, kind: str) -> None:
    handle = await published_v.start(env, kind)
    _, text = await handle.result()

    assert says(kind, text), text
    assert await handle.get("value") == "fine"


async def test_a_child_whose_input_cannot_be_stored_is_not_started(env: testing.Environment, kind: str) -> None:
    _, text = await (await child_v.start(env, kind)).result()

    assert says(kind, text), text
    assert (await env.runs.list(version="input")).runs == ()


async def test_a_chapter_whose_input_cannot_be_stored_is_not_begun(env: testing.Environment, kind: str) -> None:
    handle = await continued_v.start(env, kind)

    assert says(kind, await handle.result())
    assert (await handle.info()).chapter == 1


async def test_an_output_that_does_not_fit_its_annotation_fails_the_run_and_not_who_waits(
    env: testing.Environment,
) -> None:
    wrong: Any = "seven"

    @workflow("wrong").version("1")
    async def wrong_v1(run: Run) -> list[int]:
        return [1, wrong]

    async with aiki.Worker(env, workflows=[wrong_v1]):
        handle = await wrong_v1.start(env)
        with pytest.raises(aiki.RunFailed, match=r"the output of wrong 1: \$\[1\] does not fit"):
            await handle.result()
        assert (await handle.info()).status == "failed"


async def test_a_result_that_does_not_fit_its_annotation_fails_the_task(env: testing.Environment) -> None:
    wrong: Any = "seven"

    @task
    async def count() -> list[int]:
        return [1, wrong]

    @workflow("wrong").version("1")
    async def wrong_v1(run: Run) -> str:
        try:
            await count.start(run)
        except TaskFailed as error:
            return error.message
        return ""

    async with aiki.Worker(env, workflows=[wrong_v1]):
        said = await (await wrong_v1.start(env)).result()
    assert said.startswith("the result of task count: $[1] does not fit list[int]")


async def test_an_error_that_says_too_much_or_what_cannot_be_stored_is_cut(env: testing.Environment) -> None:
    @task
    async def shout(text: str) -> None:
        raise aiki.NonRetryable(text.replace("_", "\0\ud800") * 10_000, details={"nested": nested(10_000)})

    @workflow("shouting").version("1")
    async def shouting_v1(run: Run) -> None:
        await shout.start(run, "_")

    async with aiki.Worker(env, workflows=[shouting_v1]):
        handle = await shouting_v1.start(env)
        with pytest.raises(aiki.RunFailed) as failed:
            await handle.result()

    assert len(str(failed.value)) < 5_000
