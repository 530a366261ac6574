"""Whatever a program is made of, and wherever its worker dies: what it sees follows from its deliveries alone.

Random programs are played by a stage that ends their tasks in random order, sends and moves time at random, crashes and
forgets what was not committed. The run is then told anew from every prefix of its journal, undisturbed: the code has to
ask for the same calls in the same order, and come to the same end.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiki.errors import AikiError
from aiki.model.wire import Outcome
from aiki.sdk.run import Run
from aiki.sdk.workflow import workflow
from tests.worker.shop import Signals, alpha, beta, broken, gamma
from tests.worker.stage import Lost, Stage

Node = tuple[Any, ...]

TASKS = {"alpha": alpha, "beta": beta, "gamma": gamma, "broken": broken}
CLAIMS_MAX = 60

leaves = st.one_of(
    st.tuples(st.just("task"), st.sampled_from(sorted(TASKS)), st.sampled_from("xyz")),
    st.tuples(st.just("sleep"), st.sampled_from(["nap", "rest"]), st.integers(0, 40)),
    st.tuples(st.just("event"), st.sampled_from(["go", "stop"]), st.sampled_from([None, 5, 30])),
    st.tuples(st.just("timer"), st.integers(0, 40)),
)


def branches(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(children, min_size=1, max_size=4)
    return st.one_of(
        st.tuples(st.just("one by one"), several),
        st.tuples(st.just("gather"), several),
        st.tuples(st.just("group"), several),
        st.tuples(st.just("race"), several),
        st.tuples(st.just("try"), children),
        st.tuples(st.just("limit"), st.integers(1, 30), children),
        st.tuples(st.just("clean up"), children, children),
    )


programs = st.recursive(leaves, branches, max_leaves=12)


async def played(run: Run[Signals], node: Node) -> str:
    match node:
        case "task", name, value:
            return await TASKS[name].start(run, value)
        case "sleep", name, seconds:
            return str((await run.sleep(name, seconds)).woken)
        case "event", name, timeout:
            result = await getattr(run.events, name).wait(timeout)
            return result.data if result else "none"
        case "timer", seconds:
            await asyncio.sleep(seconds)
            return "rang"
        case "one by one", nodes:
            return " ".join([await played(run, inner) for inner in nodes])
        case "gather", nodes:
            return " ".join(await asyncio.gather(*(played(run, inner) for inner in nodes)))
        case "group", nodes:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(played(run, inner)) for inner in nodes]
            return " ".join(task.result() for task in tasks)
        case "race", nodes:
            return await raced(run, nodes)
        case "try", inner:
            outcome = "handled"
            try:
                outcome = await played(run, inner)
            except* (AikiError, TimeoutError) as errors:
                outcome = f"handled {len(errors.exceptions)}"
            return outcome
        case "limit", seconds, inner:
            async with asyncio.timeout(seconds):
                return await played(run, inner)
        case "clean up", inner, after:
            try:
                return await played(run, inner)
            finally:
                await played(run, after)
    raise AssertionError(node)


async def raced(run: Run[Signals], nodes: list[Node]) -> str:
    tasks = {asyncio.create_task(played(run, inner)) for inner in nodes}
    done, losers = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for loser in losers:
        loser.cancel()
    await asyncio.gather(*losers, return_exceptions=True)
    return " or ".join([ended.result() for ended in done])


def stage_of(program: Node) -> Stage:
    async def code(run: Run[Signals]) -> str:
        return f"{await played(run, program)} at {run.now():%H:%M:%S} with {run.random.random():.6f}"

    return Stage(workflow("random").version("1.0.0", events=Signals)(code))


def disturb(stage: Stage, random: Random) -> None:
    """Let something happen outside."""
    match random.randrange(7):
        case 0:
            stage.send(random.choice(["go", "stop"]), random.choice("abc"))
        case 1:
            stage.wake()
        case 2 if random.random() < 0.2:
            stage.cancel("enough")
        case _:
            stage.advance(random.choice([0.5, 3, 10, 25]))


def play_to_the_end(stage: Stage, random: Random, *, disturbed_by: Callable[[Stage, Random], None] = disturb) -> None:
    """Play a run with crashes and whatever happens, until it ends or has had its claims."""
    stage.pick = random.choice
    stage.hold = lambda call: random.random() < 0.2
    stage.dies = lambda: random.random() < 0.1
    stage.commits_early = lambda: random.random() < 0.3
    outcome = Outcome.RUNNING
    for _ in range(CLAIMS_MAX):
        before = list(stage.journal)
        goes_on = stage.machine is not None and random.random() < 0.5
        try:
            outcome = (stage.parked() if goes_on else stage.play()).outcome
        except Lost:
            outcome = Outcome.RUNNING
        assert stage.journal[: len(before)] == before
        if outcome not in (Outcome.RUNNING, Outcome.SUSPENDED):
            break
        disturbed_by(stage, random)
    if stage.machine is None:
        stage.hold = None
        stage.dies = lambda: False
        stage.play()


@settings(max_examples=120)
@given(program=programs, random=st.randoms(use_true_random=False))
def test_a_program_sees_the_same_and_repeats_no_recorded_task_however_often_its_worker_dies(
    program: Node, random: Random
) -> None:
    stage = stage_of(program)
    play_to_the_end(stage, random)

    assert stage.machine is not None
    assert stage.machine.conviction is None
    stage.assert_the_same_on_every_replay()


@pytest.mark.parametrize("seed", range(5))
def test_a_large_program_sees_the_same_too(seed: int) -> None:
    random = Random(seed)
    steps = [("one by one", [("task", random.choice(["alpha", "beta"]), "x"), ("sleep", "nap", 2)]) for _ in range(30)]
    stage = stage_of(("try", ("one by one", [("gather", steps), ("race", steps)])))
    play_to_the_end(stage, random)
    stage.assert_the_same_on_every_replay()
