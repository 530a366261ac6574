"""A program that prints the order in which a workflow full of sets asks for its tasks; run in other processes."""

import asyncio
import json
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: it finds the package and the tests beside it
    root = Path(__file__).parents[2]
    sys.path[:0] = [str(root), str(root / "src")]

from aiki.sdk.run import Run
from aiki.sdk.workflow import workflow
from tests.worker.shop import Signals, alpha, beta, gamma
from tests.worker.stage import Stage


async def full_of_sets(run: Run[Signals]) -> list[str]:
    found: list[str] = []

    async def steps(name: str) -> str:
        first = await alpha.start(run, name)
        second = await beta.start(run, name)
        return f"{first} {second}"

    working = {asyncio.create_task(steps(f"set {number}")) for number in range(9)}
    while working:
        done, working = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
        found += [await gamma.start(run, ended.result()) for ended in done]
    async with asyncio.TaskGroup() as group:
        for number in range(7):
            group.create_task(steps(f"group {number}"))
    found += await asyncio.gather(*{gamma.start(run, f"bare {number}") for number in range(7)})
    lock = asyncio.Lock()

    async def in_turn(name: str) -> None:
        async with lock:
            found.append(await alpha.start(run, name))

    await asyncio.wait({asyncio.create_task(in_turn(f"lock {number}")) for number in range(5)})
    losers = {asyncio.create_task(run.events.go.wait()) for _ in range(3)} | {asyncio.create_task(steps("winner"))}
    _, losers = await asyncio.wait(losers, return_when=asyncio.FIRST_COMPLETED)
    for loser in losers:
        loser.cancel()
    return found


def asked() -> list[str]:
    """Return what was executed, in order, and what came of it: once as it comes, once ended last first, once replayed."""
    garbage = [object() for _ in range(hash("how memory is laid out") % 5_000)]
    version = workflow("sets").version("1.0.0", events=Signals)(full_of_sets)
    stage = Stage(version)
    outputs = [bytes(stage.play().output).decode()]
    backwards = Stage(version)
    backwards.pick = lambda calls: calls[-1]
    outputs.append(bytes(backwards.play().output).decode())
    del garbage[::2]
    outputs.append(bytes(backwards.play().output).decode())
    return [*stage.executed, *backwards.executed, *outputs]


if __name__ == "__main__":
    print(json.dumps(asked()))
