"""The road over HTTP, as a client and a worker travel it: to a real server, to a silent one, to none, to a wrong one."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from msgspec import Raw

from aiki.errors import AikiError, InvalidInput, PayloadTooLarge, Unauthorized, Unavailable
from aiki.model.views import RunFilter
from aiki.model.wire import Announce, Control, PollRequest, StartRun, VersionInfo
from aiki.sdk.http import HttpTransport
from aiki.sdk.http_address import address_of
from aiki.sdk.http_renewer import HttpRenewer
from aiki.server.api.serve import served
from tests.house.sources import ROOT
from tests.http.world import MESSAGE, UNKNOWN_RUN, World

SESSION: Final = "0190a000-0000-7000-8000-0000000000aa"


def start_of(number: int, *, size_bytes: int = 0) -> StartRun:
    run_id = f"0190a000-0000-7000-8000-{number:012x}"
    return StartRun(run_id, "default", "order", "1", Raw(b'{"x":"%b"}' % (b"x" * size_bytes)), "")


# ------------------------------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("url", "base", "socket"),
    [
        (None, "http://localhost:9850", None),
        ("http://localhost:1", "http://localhost:1", None),
        ("https://shop.example/aiki/", "https://shop.example/aiki", None),
        ("http://[::1]:9850", "http://[::1]:9850", None),
        ("unix:///run/aiki.sock", "http://localhost", "/run/aiki.sock"),
        ("unix:/run/aiki.sock", "http://localhost", "/run/aiki.sock"),
        ("http+unix://%2Frun%2Faiki.sock/aiki", "http://localhost/aiki", "/run/aiki.sock"),
    ],
)
def test_an_address_is_read(url: str | None, base: str, socket: str | None) -> None:
    address = address_of(url, {})

    assert (address.base, address.socket) == (base, socket)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:9850",
        "ftp://localhost",
        "http://",
        "http://localhost:port",
        "http://a/?x=1",
        "http://a/#x",
        "unix://",
        "unix:///",
    ],
)
def test_what_is_no_address_is_refused_with_what_would_be_one(url: str) -> None:
    with pytest.raises(ValueError, match=r"http://host:port|leave out"):
        address_of(url, {})
    with pytest.raises(ValueError, match="AIKI_URL"):
        address_of(None, {"AIKI_URL": url})


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="api_key") as refused:
        address_of("http://me:hunter2@shop.example", {})

    assert "hunter2" not in str(refused.value)


async def test_address_and_key_come_from_the_environment(world: World) -> None:
    transport = HttpTransport(environment={"AIKI_URL": world.url, "AIKI_API_KEY": "aiki_secret"})

    assert await transport.info("default", UNKNOWN_RUN) is None
    assert "secret" not in repr(transport)
    await transport.close()


def test_building_one_opens_nothing_and_imports_no_client() -> None:
    program = """
import sys, aiki
from aiki.sdk.http import HttpTransport
HttpTransport("http://localhost:1")
print({"aiohttp"} & set(sys.modules))
"""
    assert _run(program) == "set()\n"


# ------------------------------------------------------------------------------------------------- a server that is there


async def test_many_starts_are_one_request(world: World) -> None:
    async with world.open_transport() as transport:
        started = await transport.start([start_of(number) for number in range(1_000)])

    assert [answer.run_id for answer in started] == [start_of(number).run_id for number in range(1_000)]
    assert world.api.requests["/v1/runs"] == 1


async def test_what_is_too_much_for_one_request_goes_in_parts_and_is_answered_in_order(world: World) -> None:
    starts = [start_of(number, size_bytes=1_900_000) for number in range(10)] + [
        start_of(100 + n) for n in range(1_500)
    ]
    async with world.open_transport() as transport:
        started = await transport.start(starts)

    assert [answer.run_id for answer in started] == [start.run_id for start in starts]
    assert {answer.problem for answer in started} == {None}
    assert world.api.requests["/v1/runs"] == 4


async def test_a_page_is_asked_for_by_all_that_a_filter_says(world: World) -> None:
    run_id = await world.start(options={"tags": {"shop": "a=b:c", "q": "?&"}, "reference_id": "ü/1"})
    await world.start()
    async with world.open_transport() as transport:
        found = await transport.list(RunFilter(tags={"shop": "a=b:c", "q": "?&"}, reference_id="ü/1", workflow="order"))
        page = await transport.list(RunFilter(limit=1))
        rest = await transport.list(RunFilter(limit=1, cursor=page.next_cursor))

    assert [run.id for run in found.runs] == [run_id]
    assert [run.id for run in rest.runs] == [run_id]


async def test_what_is_not_there_is_none(world: World) -> None:
    async with world.open_transport() as transport:
        assert await transport.info("default", UNKNOWN_RUN) is None
        assert await transport.by_reference("default", "order", "r") is None
        assert await transport.value("default", UNKNOWN_RUN, "progress") is None
        assert (await transport.journal("default", UNKNOWN_RUN, 0)).problem is not None


async def test_a_refusal_of_one_item_stands_in_its_place(world: World) -> None:
    async with world.open_transport() as transport:
        (standing,) = await transport.control([Control("default", UNKNOWN_RUN, MESSAGE, "cancel")])

    assert standing.problem is not None
    assert standing.problem.code == "run_not_found"


async def test_a_refusal_of_all_is_the_error_of_its_code(world: World) -> None:
    async with world.open_transport() as transport:
        with pytest.raises(InvalidInput) as refused:
            await transport.list(RunFilter(limit=9_999))

    assert refused.value.facts["path"] == "limit"


async def test_a_commit_beyond_what_the_server_takes_is_too_large(world: World) -> None:
    async with world.open_transport() as transport:
        with pytest.raises(PayloadTooLarge):
            await transport.start([start_of(1, size_bytes=33 * 1024 * 1024)])


async def test_it_speaks_through_a_unix_socket(world: World, tmp_path: Path) -> None:
    run_id = await world.start()
    async with served(world.api, path=str(tmp_path / "aiki.sock")) as place:
        transport = HttpTransport(place.url, environment={})
        found = await transport.info("default", run_id)
        await transport.close()

    assert place.url == f"unix://{tmp_path}/aiki.sock"
    assert found is not None
    assert found.id == run_id


async def test_what_is_closed_while_it_opens_is_not_left_open(world: World) -> None:
    transport = HttpTransport(world.url, environment={})
    asking = asyncio.create_task(transport.list(RunFilter(namespace="default")))
    await asyncio.sleep(0)  # it imports now what speaks HTTP, in a thread

    await transport.close()

    with pytest.raises(Unavailable, match="closed"):
        await asking
    assert transport._road is None


async def test_nothing_is_sent_after_it_was_closed(world: World) -> None:
    async with world.open_transport() as transport:
        await transport.info("default", UNKNOWN_RUN)
        await transport.close()
        with pytest.raises(Unavailable, match="closed"):
            await transport.info("default", UNKNOWN_RUN)


async def test_nothing_is_left_open_at_the_end_of_a_program(world: World) -> None:
    program = f"""
import asyncio
from aiki.sdk.http import HttpTransport
async def main():
    transport = HttpTransport({world.url!r}, environment={{}})
    await asyncio.gather(*(transport.info("default", {UNKNOWN_RUN!r}) for _ in range(20)))
    await transport.close()
asyncio.run(main())
print("done")
"""
    assert await asyncio.to_thread(_run, program) == "done\n"


# ------------------------------------------------------------------------------------------- servers that are not right


async def test_where_no_server_is_it_says_so_and_how_to_start_one() -> None:
    transport = HttpTransport("http://127.0.0.1:1", environment={})

    with pytest.raises(Unavailable) as refused:
        await transport.info("default", UNKNOWN_RUN)

    assert str(refused.value) == "no Aiki server at http://127.0.0.1:1. Start one: aiki dev"
    await transport.close()


async def test_where_no_socket_is_it_says_so_too(tmp_path: Path) -> None:
    transport = HttpTransport(f"unix://{tmp_path}/none.sock", environment={})

    with pytest.raises(Unavailable, match=r"no Aiki server at unix://.*none\.sock\. Start one: aiki dev"):
        await transport.info("default", UNKNOWN_RUN)
    await transport.close()


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\n<html", Unavailable, "is away: status 502"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", Unavailable, "is away: status 503"),
        (b"HTTP/1.1 504 Late\r\nContent-Length: 0\r\n\r\n", Unavailable, "is away: status 504"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\n<html", Unavailable, "is no Aiki server: status 404"),
        (
            b"HTTP/1.1 302 Go\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
            Unavailable,
            "is no Aiki server: status 302",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<html", Unavailable, "is no Aiki server of this version"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", Unavailable, "broke"),
        (b"SSH-2.0-OpenSSH\r\n", Unavailable, "broke"),
        (b"", Unavailable, "broke"),
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", Unauthorized, "status 401"),
        (
            b'HTTP/1.1 500 No\r\nContent-Length: 33\r\n\r\n{"code":"internal","detail":"sic"}'[:-1] + b"}",
            AikiError,
            ".",
        ),
    ],
)
async def test_whatever_answers_instead_is_told(answer: bytes, kind: type[AikiError], said: str) -> None:
    async with _scripted(lambda _: answer) as url:
        transport = HttpTransport(url, environment={})
        with pytest.raises(kind, match=said):
            await transport.list(RunFilter())
        await transport.close()


async def test_a_server_that_is_silent_is_unavailable_and_given_longer_each_time_until_it_answers() -> None:
    answers: list[bytes | None] = [None, None, b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"runs":[]}', None]
    async with _scripted(lambda _: answers.pop(0)) as url:
        transport = HttpTransport(url, environment={}, patience_ms=300)
        said = []
        for _ in range(4):
            try:
                await transport.list(RunFilter())
                said.append("answered")
            except Unavailable as error:
                said.append(error.message.rpartition("within ")[2])
        await transport.close()

    assert said == ["0.3 s", "0.6 s", "answered", "0.3 s"]


# --------------------------------------------------------------------------------------------------------- renewing


@pytest.mark.parametrize("is_unix", [False, True])
async def test_a_session_is_renewed_by_a_thread_without_a_loop(world: World, tmp_path: Path, *, is_unix: bool) -> None:
    async with served(world.api, host="127.0.0.1", port=0, path=str(tmp_path / "s") if is_unix else None) as place:
        transport = HttpTransport(place.url, environment={})
        await transport.announce(Announce(SESSION, "default", "w", (VersionInfo("a", "1"),), pools=("",), capacity=1))
        renewer = transport.renewer()
        answers = [await asyncio.to_thread(renewer.renew, _renewal(number)) for number in (1, 2)]
        renewer.close()
        await transport.close()

    assert [(answer.lease_ms, answer.session_over) for answer in answers] == [(10_000, False)] * 2
    assert [answer.session_over for answer in answers] == [False, False]


async def test_a_renewal_survives_the_loss_of_its_connection_and_not_that_of_its_server() -> None:
    body = b'{"now_ms":1,"lease_ms":10000}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with _scripted(lambda _: answer) as url:
        renewer = HttpRenewer(address_of(url, {}), api_key="aiki_x")
        first = await asyncio.to_thread(renewer.renew, _renewal(1))
        second = await asyncio.to_thread(renewer.renew, _renewal(2))  # the scripted server closes after each answer
    assert (first.lease_ms, second.lease_ms) == (10_000, 10_000)

    with pytest.raises(Unavailable, match="does not answer"):
        await asyncio.to_thread(renewer.renew, _renewal(3))
    renewer.close()


async def test_a_renewal_by_a_silent_server_ends_in_time() -> None:
    async with _scripted(lambda _: None) as url:
        renewer = HttpRenewer(address_of(url, {}), api_key=None, timeout_s=0.05)
        with pytest.raises(Unavailable, match="timed out"):
            await asyncio.to_thread(renewer.renew, _renewal(1))


def _renewal(number: int) -> PollRequest:
    return PollRequest(SESSION, number, (), 0, wait_ms=0)


@asynccontextmanager
async def _scripted(answer: Callable[[bytes], bytes | None]) -> AsyncIterator[str]:
    """Give a server that answers each request as told and closes; None keeps silent until the asker gives up."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = answer(await reader.readuntil(b"\r\n\r\n"))
        if said is None:
            await reader.read()
        else:
            writer.write(said)
        writer.close()
        await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    if serving:
        await asyncio.wait(serving)


def _run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
