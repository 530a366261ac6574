"""Echo: the smallest workflow there is, of one task.

A task does something, a workflow decides what is done; `aiki.local` is all that it takes to run them.

    $ python examples/echo.py
    Hello Ada
"""

import asyncio

import aiki
from aiki import Run, task, workflow


@task
async def greet(name: str) -> str:
    """Do something that is recorded once it is done."""
    return f"Hello {name}"


echo = workflow("echo")


@echo.version("1.0.0")
async def echo_v1(run: Run, name: str) -> str:
    """Decide what is done: here, one thing."""
    return await greet.start(run, name)


async def main() -> None:
    """Start it, and wait for what comes of it."""
    async with aiki.local(":memory:", workflows=[echo_v1]) as client:
        handle = await echo_v1.start(client, "Ada")
        print(await handle.result())


if __name__ == "__main__":
    asyncio.run(main())
