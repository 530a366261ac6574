"""`aiki.local(port=...)`: the embedded platform answers over HTTP too, and says where it does."""

import asyncio
import errno
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import aiohttp
import pytest

import aiki
from aiki import BlockingClient, Client, Event, Events, Run, Unavailable, workflow

END_S: Final = 20


class HelloEvents(Events):
    answered: Event[str]


@workflow("hello").version("1.0.0", events=HelloEvents)
async def hello_v1(run: Run[HelloEvents], name: str) -> str:
    answer = await run.events.answered.wait()
    return f"Hello {name}! {answer.data}"


async def test_programs_that_await_and_programs_that_do_not_reach_it_at_its_url() -> None:
    def without_await(url: str, run_id: str) -> str:
        with BlockingClient(url) as client:
            handle = hello_v1.handle(client, run_id)
            handle.send(HelloEvents.answered, "How are you?")
            return handle.result(timeout=20)

    async with aiki.local(":memory:", [hello_v1], port=0) as client, Client(client.url) as other:
        handle = await hello_v1.start(other, "Ada")
        assert await asyncio.to_thread(without_await, client.url, handle.id) == "Hello Ada! How are you?"
        assert (await client.runs.get(handle.id)).status == "completed"


async def test_a_browser_finds_the_dashboard_there() -> None:
    async with (
        aiki.local(":memory:", port=0) as client,
        aiohttp.ClientSession() as session,
        session.get(client.url) as answer,
    ):
        assert (answer.status, answer.content_type) == (200, "text/html")


async def test_only_this_machine_is_answered() -> None:
    async with (
        aiki.local(":memory:", port=0) as client,
        aiohttp.ClientSession() as session,
        session.get(f"{client.url}/v1/runs", headers={"Host": "shop.example"}) as answer,
    ):
        assert answer.status == 403


async def test_a_port_that_is_taken_is_refused_and_the_file_is_free_again(tmp_path: Path) -> None:
    with socket.create_server(("localhost", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} is taken by .*Stop it, or take another port") as refused:
            async with aiki.local(tmp_path / "a.db", port=port):
                raise AssertionError("it was opened")
    assert refused.value.errno == errno.EADDRINUSE

    async with aiki.local(tmp_path / "a.db"):
        pass


async def test_who_comes_second_to_the_file_is_told_the_url_while_there_is_one(tmp_path: Path) -> None:
    async with aiki.local(tmp_path / "a.db", port=0) as client:
        with pytest.raises(aiki.DatabaseInUse, match=f"Use its server at {client.url}") as refused:
            async with aiki.local(tmp_path / "a.db"):
                raise AssertionError("it was opened twice")
    assert refused.value.url == client.url


async def test_who_waits_over_http_does_not_hold_up_the_end() -> None:
    async with asyncio.timeout(END_S), AsyncExitStack() as stack:
        async with aiki.local(":memory:", [hello_v1], port=0) as client:
            other = await stack.enter_async_context(Client(client.url, timeout=0.2))
            handle = await hello_v1.start(other, "Ada")
            waiting = asyncio.create_task(handle.result())
            while (await handle.info()).status != "awaiting_event":
                await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await waiting


async def test_a_client_of_a_server_on_no_port_names_none() -> None:
    async with aiki.local(":memory:") as client:
        assert repr(client) == "<Client of a server in this process>"
