"""All of asyncio that waits, mixed at random: what a program sees follows from its deliveries alone.

As in `test_replay_programs`, a stage plays each program with crashes and whatever may happen outside; then it is told
anew from every prefix of its journal. Here are the other tools of asyncio: shields, queues, locks, semaphores, events,
context variables, asynchronous generators, background tasks and cancellations that are swallowed; and children.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from random import Random
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from aiki.model.journal import EntryKind
from aiki.model.lifecycle import Status
from aiki.sdk.run import Run
from aiki.sdk.workflow import workflow
from tests.worker.shop import Signals, alpha, beta, broken, gamma
from tests.worker.stage import Stage
from tests.worker.test_replay_programs import disturb, play_to_the_end

Node = tuple[Any, ...]

TASKS: Final = {"alpha": alpha, "beta": beta, "gamma": gamma, "broken": broken}
ENDS: Final = (Status.COMPLETED, Status.COMPLETED, Status.FAILED, Status.CANCELLED)
depth: ContextVar[int] = ContextVar("depth", default=0)


@workflow("leg").version("1")
async def leg_v1(run: Run, name: str) -> str:
    """A child. The stage ends it."""
    return name


leaves = st.one_of(
    st.tuples(st.just("task"), st.sampled_from(sorted(TASKS)), st.sampled_from("xyz")),
    st.tuples(st.just("sleep"), st.sampled_from(["nap", "rest"]), st.integers(0, 40)),
    st.tuples(st.just("event"), st.sampled_from(["go", "stop"]), st.sampled_from([None, 5, 30])),
    st.tuples(st.just("timer"), st.integers(0, 40)),
    st.tuples(st.just("child"), st.sampled_from("pq"), st.sampled_from([None, 5, 30])),
    st.sampled_from([("draw",), ("set",), ("signal",), ("signalled",), ("put",), ("get",), ("error",)]),
)


def branches(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(children, min_size=1, max_size=4)
    limit = st.integers(1, 30)
    return st.one_of(
        st.tuples(st.just("one by one"), several),
        st.tuples(st.just("gather all"), several),
        st.tuples(st.just("group"), several),
        st.tuples(st.just("some"), several, limit),
        st.tuples(st.just("as they come"), several),
        st.tuples(st.just("handled"), children),
        st.tuples(st.just("stubborn"), children),
        st.tuples(st.just("limit"), children, limit),
        st.tuples(st.just("shield"), children, limit),
        st.tuples(st.just("background"), children, children),
        st.tuples(st.just("given up"), several, children),
        st.tuples(st.just("locked"), several),
        st.tuples(st.just("two at a time"), several),
        st.tuples(st.just("generated"), several, st.integers(0, 3)),
        st.tuples(st.just("deeper"), children),
    )


programs = st.recursive(leaves, branches, max_leaves=14)


class Player:
    """One execution of a program, with what its parts share."""

    def __init__(self, run: Run[Signals]) -> None:
        self.run = run
        self.log: list[str] = []
        self._event = asyncio.Event()
        self._queue = asyncio.Queue[int](2)
        self._lock = asyncio.Lock()
        self._two = asyncio.Semaphore(2)
        self._background: list[asyncio.Task[str]] = []

    async def play(self, node: Node) -> str:
        """Play a node, and write down when it was come to."""
        self.log.append(node[0])
        told = await (self._leaf(*node) if node[0] in _LEAVES else self._branch(*node))
        self.log.append(f"{self.run.now():%H%M%S}")
        return told

    def _tasks(self, nodes: list[Node]) -> list[asyncio.Task[str]]:
        return [asyncio.create_task(self.play(node)) for node in nodes]

    async def _leaf(self, kind: str, *given: Any) -> str:
        run = self.run
        match (kind, *given):
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
            case "child", name, timeout:
                child = await leg_v1.start_as_child(run, name)
                ended = await child.wait_for_status("completed", timeout)
                return f"{ended.reached} {ended.timed_out}"
            case ("draw",):
                return f"{run.random.random():.3f} {run.uuid4()} {depth.get()}"
            case ("set",):
                run.set("log", len(self.log))
                return "set"
        return await self._shared(kind)

    async def _shared(self, kind: str) -> str:
        async with asyncio.timeout(9):
            match kind:
                case "signal":
                    self._event.set()
                case "signalled":
                    await self._event.wait()
                case "put":
                    await self._queue.put(len(self.log))
                case "get":
                    return str(await self._queue.get())
                case _:
                    raise ValueError(kind)
        return kind

    async def _branch(self, kind: str, *given: Any) -> str:
        match (kind, *given):
            case "one by one", nodes:
                return " ".join([await self.play(node) for node in nodes])
            case "gather all", nodes:
                return _told(await asyncio.gather(*self._tasks(nodes), return_exceptions=True))
            case "group", nodes:
                return await self._group(nodes)
            case "some", nodes, seconds:
                done, rest = await asyncio.wait(self._tasks(nodes), timeout=seconds)
                self._background.extend(rest)
                return _told([task.exception() or task.result() for task in done if not task.cancelled()])
            case "as they come", nodes:
                return " then ".join([await task for task in asyncio.as_completed(self._tasks(nodes))])
            case "background", node, other:
                self._background.append(asyncio.create_task(self.play(node)))
                return await self.play(other)
            case "given up", nodes, other:
                group = asyncio.create_task(self._group(nodes))
                told = await self.play(other)
                group.cancel("too late")
                return _told([told, *await asyncio.gather(group, return_exceptions=True)])
            case "locked", nodes:
                return " ".join(await asyncio.gather(*(self._holding(self._lock, node) for node in nodes)))
            case "two at a time", nodes:
                return " ".join(await asyncio.gather(*(self._holding(self._two, node) for node in nodes)))
            case "generated", nodes, most:
                return await self._taken(nodes, most)
        return await self._around(kind, *given)

    async def _around(self, kind: str, node: Node, seconds: float = 0) -> str:
        match kind:
            case "handled":
                told = "handled"
                try:
                    told = await self.play(node)
                except* Exception as errors:  # noqa: BLE001  # an author's
                    told = f"handled {len(errors.exceptions)}"
                return told
            case "stubborn":
                return await self._stubborn(node)
            case "limit":
                async with asyncio.timeout(seconds):
                    return await self.play(node)
            case "shield":
                inner = asyncio.create_task(self.play(node))
                try:
                    async with asyncio.timeout(seconds):
                        return await asyncio.shield(inner)
                except TimeoutError:
                    return f"late {await inner}"
            case _:
                token = depth.set(depth.get() + 1)
                try:
                    return await self.play(node)
                finally:
                    depth.reset(token)

    async def _stubborn(self, node: Node) -> str:
        try:
            return await self.play(node)
        except asyncio.CancelledError:
            this = asyncio.current_task()
            assert this is not None
            this.uncancel()
            return f"all the same {await alpha.start(self.run, 'after')}"

    async def _group(self, nodes: list[Node]) -> str:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.play(node)) for node in nodes]
        return " ".join(task.result() for task in tasks)

    async def _holding(self, what: asyncio.Lock | asyncio.Semaphore, node: Node) -> str:
        async with asyncio.timeout(60), what:
            return await self.play(node)

    async def _generated(self, nodes: list[Node]) -> AsyncIterator[str]:
        try:
            for node in nodes:
                yield await self.play(node)
        finally:
            await beta.start(self.run, "closing")

    async def _taken(self, nodes: list[Node], most: int) -> str:
        taken: list[str] = []
        async for told in self._generated(nodes):
            taken.append(told)
            if len(taken) >= most:
                break
        return " ".join(taken)


_LEAVES: Final = {
    "task",
    "sleep",
    "event",
    "timer",
    "child",
    "draw",
    "set",
    "signal",
    "signalled",
    "put",
    "get",
    "error",
}


def _told(results: list[Any]) -> str:
    return " ".join(type(each).__name__ if isinstance(each, BaseException) else each for each in results)


def stage_of(program: Node) -> Stage:
    async def code(run: Run[Signals]) -> str:
        player = Player(run)
        told = await player.play(program)
        return f"{told} at {run.now():%H:%M:%S} with {run.random.random():.6f} after {' '.join(player.log)}"

    return Stage(workflow("random").version("1.0.0", events=Signals)(code))


def ending_children() -> Callable[[Stage, Random], None]:
    """Return what disturbs a stage by the ends of its children, each once, and by all else."""
    ended: set[tuple[str, int]] = set()

    def end(stage: Stage, random: Random) -> None:
        waited = {(key.address, key.ordinal) for key in stage.waits if key.kind is EntryKind.CHILD_RESULT}
        if waited - ended and random.random() < 0.6:
            child_id, ordinal = random.choice(sorted(waited - ended))
            ended.add((child_id, ordinal))
            stage.child_ends(child_id, "there", status=random.choice(ENDS), ordinal=ordinal)
        else:
            disturb(stage, random)

    return end


@settings(max_examples=120)
@given(program=programs, random=st.randoms(use_true_random=False))
def test_whatever_of_asyncio_a_program_is_made_of_it_sees_the_same_on_every_replay(
    program: Node, random: Random
) -> None:
    stage = stage_of(program)
    play_to_the_end(stage, random, disturbed_by=ending_children())

    assert stage.machine is not None
    assert stage.machine.conviction is None
    stage.assert_the_same_on_every_replay()
