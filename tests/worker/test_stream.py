"""One request at a time, as many turns in it as fit, and a turn is sent unchanged until it is answered."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from msgspec import Raw

from aiki.clock import Chance, ManualClock
from aiki.errors import Unavailable
from aiki.model.journal import CallKey, Entry, EntryKind
from aiki.model.wire import Commit, CommitAnswer, Outcome, Verdict
from aiki.sdk.transport import WorkerTransport
from aiki.worker.server_time import ServerTime
from aiki.worker.stream import BYTES_MAX, COMMITS_MAX, CommitStream
from tests.virtual import virtual_loop, virtually


class Road:
    """A server that answers when it is let, in the order of its requests."""

    def __init__(self) -> None:
        self.requests: list[list[Commit]] = []
        self.open = asyncio.Event()
        self.errors: list[Exception] = []

    async def commit(self, commits: Sequence[Commit]) -> list[CommitAnswer]:
        self.requests.append(list(commits))
        await self.open.wait()
        if self.errors:
            raise self.errors.pop(0)
        return [CommitAnswer(c.run_id, c.epoch, c.turn, Verdict.APPLIED, now_ms=1) for c in commits]


def turn(run_id: str, size_bytes: int = 0) -> Commit:
    key = CallKey(EntryKind.TASK, "task")
    entry = Entry(seq=1, key=key, asked=0, at_ms=1, result=Raw(b'"' + b"x" * size_bytes + b'"'))
    return Commit(run_id, epoch=1, turn=1, outcome=Outcome.RUNNING, at_ms=1, entries=(entry,))


class Sending:
    """A stream at work, and what was answered."""

    def __init__(self, **options: Any) -> None:
        self.road = Road()
        self.stream = CommitStream(cast(WorkerTransport, self.road), chance=Chance(seed=7), **options)
        self.answered: list[str] = []
        self.job = asyncio.create_task(self.stream.run())

    def send(self, *commits: Commit) -> None:
        for commit in commits:
            self.stream.send(commit, lambda answer: self.answered.append(answer.run_id))


@virtually
async def test_what_piles_up_while_a_request_is_on_its_way_goes_with_the_next() -> None:
    sending = Sending()
    sending.send(turn("a"))
    await virtual_loop().settle()
    sending.send(turn("b"), turn("c"))
    await virtual_loop().settle()
    assert [len(request) for request in sending.road.requests] == [1]

    sending.road.open.set()
    await sending.stream.drained()

    assert [[commit.run_id for commit in request] for request in sending.road.requests] == [["a"], ["b", "c"]]
    assert sending.answered == ["a", "b", "c"]


@virtually
async def test_a_request_is_cut_by_number_and_by_bytes_and_one_large_turn_goes_alone() -> None:
    sending = Sending()
    sending.road.open.set()
    sending.send(*(turn(f"{number}") for number in range(COMMITS_MAX + 1)))
    await sending.stream.drained()
    assert [len(request) for request in sending.road.requests] == [COMMITS_MAX, 1]

    sending.road.requests.clear()
    half = BYTES_MAX // 2 + 1
    sending.send(turn("a", half), turn("b", half), turn("c", 2 * BYTES_MAX), turn("d"))
    await sending.stream.drained()
    assert [[commit.run_id for commit in request] for request in sending.road.requests] == [["a"], ["b"], ["c"], ["d"]]


@virtually
async def test_a_turn_is_sent_again_unchanged_and_alone_until_the_server_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sending = Sending()
    sending.road.open.set()
    sending.road.errors = [Unavailable("away") for _ in range(5)]
    sending.send(turn("a"))
    await virtual_loop().settle()
    sending.send(turn("b"))
    await sending.stream.drained()

    assert [[commit.run_id for commit in request] for request in sending.road.requests] == [["a"]] * 6 + [["b"]]
    assert all(request == sending.road.requests[0] for request in sending.road.requests[:6])
    assert 0.5 < virtual_loop().time() < 5
    assert len(caplog.records) == 1  # told once, not at each attempt


@virtually
async def test_an_error_that_no_repetition_cures_ends_the_stream() -> None:
    sending = Sending()
    sending.road.open.set()
    sending.road.errors = [ValueError("broken")]
    sending.send(turn("a"))

    with pytest.raises(ValueError, match="broken"):
        await sending.job


@virtually
async def test_a_dropped_run_is_sent_no_more_but_what_is_on_its_way_is_waited_for() -> None:
    sending = Sending()
    sending.send(turn("a"))
    await virtual_loop().settle()
    sending.send(turn("a"), turn("b"))
    sending.stream.withdraw("a")
    settled = asyncio.create_task(sending.stream.settled("a"))
    await virtual_loop().settle()
    assert not settled.done()

    sending.road.open.set()
    await settled
    await sending.stream.drained()
    assert [[commit.run_id for commit in request] for request in sending.road.requests] == [["a"], ["b"]]


@virtually
async def test_once_its_session_is_over_nothing_is_sent_and_nothing_waited_for() -> None:
    sending = Sending()
    sending.send(turn("a"))
    await virtual_loop().settle()
    sending.send(turn("b"))
    sending.stream.clear()
    await sending.stream.drained()
    sending.road.open.set()
    sending.send(turn("c"))
    await sending.stream.drained()

    assert [[commit.run_id for commit in request] for request in sending.road.requests] == [["a"], ["c"]]
    assert sending.answered == ["c"]


def test_the_servers_time_goes_on_from_when_its_answer_was_received_and_never_back() -> None:
    clock = ManualClock()
    time = ServerTime(clock)
    time.note(5_000)
    clock.advance(seconds=1)
    assert time.now_ms() == 6_000

    time.note(5_500)  # an answer that was long on its way
    assert time.now_ms() == 6_000
    time.note(6_500)
    clock.advance(milliseconds=0.9)
    assert time.now_ms() == 6_500
    clock.advance(milliseconds=0.1)
    assert time.now_ms() == 6_501
