"""Waiting for many runs over one subscription: what is asked of the server, and who is told what."""

import asyncio

import pytest

from aiki.errors import Unavailable
from aiki.model.lifecycle import Status
from aiki.model.wire import Finished, WaitAnswer, WaitRequest
from aiki.sdk.waits import IDS_MAX, Waits


class Server:
    """Remembers the ids of one subscription as the wire asks for: newer requests make it answer older ones."""

    def __init__(self) -> None:
        self.requests: list[WaitRequest] = []
        self.known: dict[str, None] = {}
        self.ended: dict[str, Finished] = {}
        self.forgets = False
        self.fails: Exception | None = None
        self.open_at_most = 0
        self._open: list[asyncio.Future[None]] = []

    async def wait(self, request: WaitRequest) -> WaitAnswer:
        if self.fails is not None:
            raise self.fails
        self.requests.append(request)
        if self.forgets:
            self.forgets, self.known = False, {}
            return WaitAnswer(forgotten=True)
        self.known = {run_id: None for run_id in (*self.known, *request.add) if run_id not in request.remove}
        self._answer_open()
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open.append(opened)
        self.open_at_most = max(self.open_at_most, len(self._open))
        if not self._finished():
            await opened
        self._open.remove(opened)
        return WaitAnswer(finished=self._finished())

    def end(self, *run_ids: str) -> None:
        self.ended |= {run_id: Finished(run_id=run_id, status=Status.COMPLETED) for run_id in run_ids}
        if self._finished():
            self._answer_open()

    def time_out(self) -> None:
        self._answer_open()

    def _answer_open(self) -> None:
        for opened in self._open:
            if not opened.done():
                opened.set_result(None)

    def _finished(self) -> tuple[Finished, ...]:
        return tuple(self.ended[run_id] for run_id in self.known if run_id in self.ended)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def waits(server: Server) -> Waits:
    return Waits(server.wait, namespace="default", subscription="s-1")


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def waiting(waits: Waits, *run_ids: str) -> list[asyncio.Task[Finished]]:
    tasks = [asyncio.create_task(waits.end_of(run_id)) for run_id in run_ids]
    await settle()
    return tasks


async def test_many_who_wait_share_one_request(server: Server, waits: Waits) -> None:
    tasks = await waiting(waits, "a", "b", "a")
    server.end("a", "b")

    assert [finished.run_id for finished in await asyncio.gather(*tasks)] == ["a", "b", "a"]
    assert [request.add for request in server.requests] == [("a", "b")]
    await waits.close()


async def test_only_what_is_new_is_sent_and_what_was_told_is_removed(server: Server, waits: Waits) -> None:
    first = await waiting(waits, "a")
    second = await waiting(waits, "b")
    server.end("a")
    await settle()
    third = await waiting(waits, "c")
    server.end("b", "c")
    await asyncio.gather(*first, *second, *third)
    await waits.close()

    assert [request.add for request in server.requests if request.add] == [("a",), ("b",), ("c",)]
    assert [request.number for request in server.requests] == list(range(1, len(server.requests) + 1))
    assert "a" in {run_id for request in server.requests for run_id in request.remove}
    assert server.open_at_most <= 2


async def test_a_run_that_has_ended_already_is_told_again_to_who_asks_again(server: Server, waits: Waits) -> None:
    server.end("a")
    for _ in range(3):
        (task,) = await waiting(waits, "a")
        assert (await task).run_id == "a"
    await waits.close()


async def test_who_gives_up_is_forgotten_and_the_others_are_not(server: Server, waits: Waits) -> None:
    gave_up, stays = await waiting(waits, "a", "b")
    gave_up.cancel()
    await settle()

    assert list(server.known) == ["b"]
    server.end("b")
    assert (await stays).run_id == "b"
    await waits.close()


async def test_the_same_run_is_waited_for_on_when_one_of_two_gives_up(server: Server, waits: Waits) -> None:
    gave_up, stays = await waiting(waits, "a", "a")
    gave_up.cancel()
    await settle()
    server.end("a")

    assert (await stays).run_id == "a"
    await waits.close()


async def test_a_request_that_brought_nothing_is_made_again(server: Server, waits: Waits) -> None:
    (task,) = await waiting(waits, "a")
    server.time_out()
    await settle()
    server.end("a")

    assert (await task).run_id == "a"
    assert [request.add for request in server.requests] == [("a",), ()]
    await waits.close()


async def test_a_server_that_has_forgotten_is_told_everything_anew(server: Server, waits: Waits) -> None:
    tasks = await waiting(waits, "a", "b")
    server.forgets = True
    server.time_out()
    await settle()
    server.end("a", "b")

    assert len(await asyncio.gather(*tasks)) == 2
    assert server.requests[-1].add == ("a", "b")
    await waits.close()


async def test_more_than_a_request_holds_go_with_the_next(server: Server, waits: Waits) -> None:
    run_ids = [f"run-{number}" for number in range(IDS_MAX + 5)]
    tasks = await waiting(waits, *run_ids)

    assert [len(request.add) for request in server.requests] == [IDS_MAX, 5]
    server.end(*run_ids)
    assert len(await asyncio.gather(*tasks)) == len(run_ids)
    await waits.close()


async def test_when_the_server_is_gone_all_who_wait_are_told_and_the_next_may_try(server: Server, waits: Waits) -> None:
    server.fails = Unavailable("gone")
    tasks = await waiting(waits, "a", "b")
    for task in tasks:
        with pytest.raises(Unavailable, match="gone"):
            await task

    server.fails = None
    (task,) = await waiting(waits, "a")
    server.end("a")
    assert (await task).run_id == "a"
    await waits.close()


async def test_at_the_end_whoever_waits_is_told(server: Server, waits: Waits) -> None:
    tasks = await waiting(waits, "a")
    await waits.close()

    with pytest.raises(Unavailable, match="closed"):
        await tasks[0]
    with pytest.raises(Unavailable, match="closed"):
        await waits.end_of("b")
