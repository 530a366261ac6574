"""A worker whose tasks hold up its event loop: `python blocking.py URL`."""

import asyncio
import logging
import os
import sys
import threading

import aiki


@aiki.task
async def block(seconds: float) -> int:
    """Let nothing else in this process's event loop run, as no author should, and tell which process this is."""
    threading.Event().wait(seconds)
    return os.getpid()


@aiki.task
async def hold(seconds: float) -> int:
    """Take a while, and tell which process this is."""
    await asyncio.sleep(seconds)
    return os.getpid()


@aiki.workflow("blocking").version("1")
async def blocking_v1(run: aiki.Run, seconds: float) -> int:
    """One task that blocks."""
    return await block.start(run, seconds)


@aiki.workflow("holding").version("1")
async def holding_v1(run: aiki.Run, seconds: float) -> int:
    """One task that does not."""
    return await hold.start(run, seconds)


async def work(url: str) -> None:
    """Serve until told to stop."""
    async with aiki.Client(url) as client:
        await aiki.Worker(client, workflows=[blocking_v1, holding_v1]).run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(work(sys.argv[1]))
