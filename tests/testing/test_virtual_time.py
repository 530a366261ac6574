"""A loop of asyncio's is made virtual and real again, and loses no timer over it."""

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Final

import pytest

from aiki.testing import VirtualLoop, virtual_time

HOUR_S: Final = 3_600
ANSWER_S: Final = 30
ANSWERS_AFTER_S: Final = 0.01  # of real time


async def test_a_loop_that_runs_is_made_virtual_and_real_again() -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()

    with virtual_time() as time:
        await asyncio.sleep(HOUR_S)
        within = loop.time()
        assert time.is_virtual

    assert within - before >= HOUR_S
    assert 0 <= loop.time() - within < HOUR_S, "it goes on from there, in real time"
    assert not time.is_virtual


async def test_a_timer_from_before_rings_when_its_time_has_come() -> None:
    rung = asyncio.Event()
    asyncio.get_running_loop().call_later(HOUR_S, rung.set)

    with virtual_time():
        await asyncio.sleep(0.9 * HOUR_S)
        assert not rung.is_set()
        await asyncio.sleep(0.2 * HOUR_S)
        assert rung.is_set()


async def test_a_timer_from_within_that_is_still_set_afterwards_is_neither_early_nor_lost() -> None:
    rung = asyncio.Event()
    loop = asyncio.get_running_loop()

    with virtual_time():
        await asyncio.sleep(HOUR_S)
        loop.call_later(HOUR_S, rung.set)
        soon = loop.call_later(0.01, lambda: None)
    await asyncio.sleep(max(0, soon.when() - loop.time()))

    assert not rung.is_set()
    with virtual_time():
        await asyncio.sleep(HOUR_S)
    assert rung.is_set()


async def test_time_is_virtual_until_the_last_who_wants_it_has_gone() -> None:
    with virtual_time() as outer:
        with virtual_time() as inner:
            assert inner is outer
        await asyncio.sleep(HOUR_S)
        assert outer.is_virtual

    assert not outer.is_virtual


async def test_what_fails_within_leaves_the_loop_real() -> None:
    with suppress(LookupError), virtual_time() as time:
        raise LookupError

    assert not time.is_virtual


async def test_no_time_passes_while_a_thread_is_at_work() -> None:
    go_on = threading.Event()
    loop = asyncio.get_running_loop()

    with virtual_time():
        before = loop.time()
        loop.call_later(HOUR_S, go_on.set)
        waiting = asyncio.ensure_future(asyncio.to_thread(go_on.wait, 0.05))
        assert await waiting is False, "the timer that would end it does not ring"
        assert loop.time() == before


async def test_an_answer_over_a_socket_is_there_before_its_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_answer_once, args=(listening,), daemon=True).start()

        with virtual_time():
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_connection(*listening.getsockname())
                writer.write(b"hello\n")
                answer = await reader.readline()
                writer.close()
                await writer.wait_closed()

    assert answer == b"HELLO\n"


def test_a_loop_of_another_make_is_refused_with_what_would_do() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def test() -> None:
        with virtual_time():
            pass

    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        pytest.raises(RuntimeError, match=r"uvloop\.Loop cannot be made virtual.*VirtualLoop"),
    ):
        runner.run(test())


def test_a_virtual_loop_begins_at_zero_and_is_virtual_from_there() -> None:
    async def test() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(HOUR_S)
        return began, loop.time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(test()) == (0, HOUR_S)


def _answer_once(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        asked = connection.recv(100)
        threading.Event().wait(ANSWERS_AFTER_S)
        connection.sendall(asked.upper())
