"""A program that uses all of the embedded platform, and ends as it is told.

    python everything.py DATABASE complete|leave|raise|interrupt

"complete" waits for all runs; "leave" leaves `async with` while runs and tasks are under way; "raise" leaves it by an
error; "interrupt" says "up" and goes on until Ctrl-C. It ends with status 0, or 130 after Ctrl-C, and is to say nothing
on stderr.
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiki


@dataclass
class Word:
    """What goes around."""

    text: str
    times: int = 1


class Signals(aiki.Events):
    """What the runs wait for."""

    go: aiki.Event[Word]
    stop: aiki.Event[None]


@aiki.task
async def quick(word: Word) -> Word:
    """Return the word, twice."""
    await asyncio.sleep(0.001)
    aiki.current_task().heartbeat({"at": word.text})
    return Word(word.text, word.times * 2)


@aiki.task
def threaded(word: Word) -> str:
    """Return the word, from a thread."""
    return f"{word.text} {aiki.current_task().attempt}"


@aiki.task(retry=aiki.Retry.jittered(3, 0.01), timeout=30)
async def flaky() -> int:
    """Fail once."""
    attempt = aiki.current_task().attempt
    if attempt < 2:
        raise OSError("not yet")
    return attempt


@aiki.task
async def slow() -> None:
    """Take longer than the program lives."""
    await asyncio.sleep(3600)


leaf = aiki.workflow("leaf")
branch = aiki.workflow("branch")


@leaf.version("1", retry=aiki.Retry.fixed(2, 0.01))
async def leaf_v1(run: aiki.Run, word: Word) -> str:
    """Fail once as a whole, then call a thread."""
    if run.attempt < 2:
        raise RuntimeError("once more")
    return await threaded.start(run, word)


@branch.version("1", events=Signals)
async def branch_v1(run: aiki.Run[Signals], word: Word, chapters: int = 1) -> list[str]:
    """Do a little of everything."""
    run.set("state", {"chapter": chapters})
    word = await quick.start(run, word)
    await run.sleep("moment", milliseconds=5)
    go = await run.events.go.wait(timeout=30)
    nothing = await run.events.stop.wait(timeout=0.01)
    child = await leaf_v1.start_as_child(run, go.data)
    async with asyncio.TaskGroup() as group:
        beside = group.create_task(quick.start(run, Word("beside")))
        await flaky.start(run)
    done, _ = await asyncio.wait(
        [asyncio.ensure_future(child.result()), asyncio.ensure_future(asyncio.sleep(30))],
        return_when=asyncio.FIRST_COMPLETED,
    )
    found = [word.text, beside.result().text, str(nothing.timed_out), str(next(iter(done)).result())]
    if chapters:
        await run.continue_as_new(Word(go.data.text), chapters - 1)
    return found


@aiki.workflow("hanging").version("1")
async def hanging_v1(run: aiki.Run) -> None:
    """Call a task that does not end."""
    try:
        await slow.start(run)
    finally:
        await quick.start(run, Word("clean up"))


@aiki.workflow("sleeping").version("1")
async def sleeping_v1(run: aiki.Run) -> None:
    """Sleep in a way that is hard to unwind."""
    lock = asyncio.Lock()
    async with lock:
        await asyncio.gather(run.sleep("long", days=1), asyncio.shield(run.sleep("longer", days=2)))


@asynccontextmanager
async def connections() -> AsyncIterator[str]:
    """Return what runs and tasks are given."""
    yield "connected"


async def main(database: str, how: str) -> None:
    """Live."""
    asyncio.get_running_loop().slow_callback_duration = 30  # a slow machine is not what is looked for
    logging.getLogger("aiki.worker").setLevel(logging.ERROR)  # that the grace is short is known
    async with aiki.local(
        database,
        workflows=[leaf_v1, branch_v1, hanging_v1, sleeping_v1],
        max_parked_runs=3,
        context=connections,
        shutdown_grace=0.05,
    ) as client:
        handles = [await branch_v1.start(client, Word(f"word {number}")) for number in range(10)]
        hanging = [await hanging_v1.start(client) for _ in range(3)]
        sleeping = [await sleeping_v1.start(client) for _ in range(10)]
        for handle in handles:
            await handle.events.go.send(Word("go"))
            await handle.events.go.send(Word("go on"), reference_id="second")
        if how == "leave":
            await asyncio.sleep(0.05)
            return
        if how == "raise":
            await asyncio.sleep(0.05)
            raise LookupError("what the body raised")
        if how == "interrupt":
            print("up", flush=True)
            await asyncio.sleep(3600)
        for handle in handles:
            assert await handle.result() == ["go", "beside", "True", "go on 1"], await handle.result()
            assert await handle.get("state") == {"chapter": 0}
        await hanging[0].cancel("enough")
        assert await hanging[0].wait_for_status("cancelled")
        await hanging[1].terminate()
        assert await sleeping[0].wake()
        assert (await sleeping[1].info()).status == "sleeping"
        try:
            await sleeping[2].result(timeout=0.01)
        except aiki.TimedOut:
            print("completed", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1], sys.argv[2]))
    except LookupError as error:
        print(f"raised: {error}", flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        sys.exit(130)
