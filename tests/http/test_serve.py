"""A place where an API is served: its beginning, who holds it, and its end."""

import asyncio
import errno
import os
import signal
import socket
import stat
import sys
from pathlib import Path

import pytest

from aiki.server.api.serve import loop_factory, served
from tests.http.world import MESSAGE, World, served_world

POLLS: int = 200
SHUTDOWN_S_MAX: float = 3.0  # measured: 0.4; the polls would last 30


async def test_a_server_with_200_open_long_polls_ends_at_once() -> None:
    async with served_world() as world:
        runs = [await world.start() for _ in range(2)]
        waiting = [asyncio.create_task(world.get(f"/v1/runs/{runs[0]}/result?wait=60")) for _ in range(POLLS // 2)]
        for number in range(POLLS // 2):
            request = {
                "namespace": "default",
                "subscription": f"{MESSAGE[:-3]}{number:03}",
                "number": 1,
                "add": runs[1:],
            }
            waiting.append(asyncio.create_task(world.post("/v1/runs/wait", {**request, "wait_ms": 60_000})))
        await world.until_open(POLLS)
        began = asyncio.get_running_loop().time()
    lasted_s = asyncio.get_running_loop().time() - began

    answers = [(task.result().status, task.result().json) for task in waiting]
    assert {status for status, _ in answers[: POLLS // 2]} == {503}
    assert answers[POLLS // 2 :] == [(200, {})] * (POLLS // 2)
    assert lasted_s < SHUTDOWN_S_MAX


async def test_a_poll_that_comes_while_the_server_closes_is_not_kept_open(world: World) -> None:
    world.api.shut_down()

    refused = await world.post("/v1/runs/wait", {"namespace": "default", "subscription": MESSAGE, "number": 1})

    assert (refused.status, refused.headers["Connection"]) == (503, "close")


async def test_who_goes_away_leaves_no_open_poll_behind(world: World) -> None:
    run_id = await world.start()
    waiting = asyncio.create_task(world.get(f"/v1/runs/{run_id}/result?wait=60"))
    await world.until_open(1)

    waiting.cancel()

    await world.until_open(0)
    assert await world.is_well()


async def test_a_port_that_is_taken_names_who_holds_it(world: World) -> None:
    with pytest.raises(OSError, match=f"port {world.port} is taken by process {os.getpid()}") as refused:
        async with served(world.api, host="127.0.0.1", port=world.port or 0):
            pass

    assert refused.value.errno == errno.EADDRINUSE
    assert await world.is_well()


async def test_an_address_that_is_not_this_machines_is_refused(world: World) -> None:
    with pytest.raises(OSError, match=r"192\.0\.2\.1:0 cannot be listened on"):
        async with served(world.api, host="192.0.2.1", port=0):
            pass


async def test_a_free_port_is_told(world: World) -> None:
    async with served(world.api, host="localhost", port=0) as place:
        assert place.url == f"http://localhost:{place.port}"
        assert place.port not in (0, None, world.port)


async def test_a_unix_socket_is_its_owners_alone_and_gone_at_the_end(world: World, tmp_path: Path) -> None:
    path = tmp_path / "aiki.sock"
    async with served(world.api, path=str(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(OSError, match=f"{path} is taken by process {os.getpid()}"):
            async with served(world.api, path=str(path)):
                pass

    assert not path.exists()


async def test_a_unix_socket_that_a_dead_server_left_is_taken_over(world: World, tmp_path: Path) -> None:
    path = tmp_path / "aiki.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()

    async with served(world.api, path=str(path)) as place:
        assert place.url == f"unix://{path}"


async def test_a_file_that_is_no_socket_is_left_alone(world: World, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")

    with pytest.raises(OSError, match="cannot be listened on"):
        async with served(world.api, path=str(path)):
            pass

    assert path.read_text() == "mine"


async def test_signals_stay_with_whoever_started_the_server() -> None:
    before = {which: signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)}
    async with served_world():
        assert {which: signal.getsignal(which) for which in before} == before
    assert {which: signal.getsignal(which) for which in before} == before


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop has no Windows")
def test_a_server_runs_on_uvloop_through_a_port_and_through_a_file(tmp_path: Path) -> None:
    async def main() -> list[bool]:
        async with served_world() as world, served(world.api, path=str(tmp_path / "s")) as place:
            reader, writer = await asyncio.open_unix_connection(place.url.removeprefix("unix://"))
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            through_file = (await reader.read()).startswith(b"HTTP/1.1 200 ")
            writer.close()
            await writer.wait_closed()
            return [await world.is_well(), through_file]

    factory = loop_factory()
    assert factory is not None
    with asyncio.Runner(loop_factory=factory) as runner:
        assert type(runner.get_loop()).__module__ == "uvloop"
        assert runner.run(main()) == [True, True]
