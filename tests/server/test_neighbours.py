"""Two servers on one database, in virtual time: what one does, the other's callers hear of at once, or by the sweep."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import pytest
from msgspec import Raw

from aiki.clock import Chance
from aiki.config import Config
from aiki.model.journal import CallKey, EntryKind, Wait
from aiki.model.run import Queue
from aiki.model.wire import (
    Announce,
    Assignment,
    Commit,
    Goodbye,
    Held,
    Outcome,
    PollAnswer,
    PollRequest,
    SendEvent,
    StartRun,
    VersionInfo,
    WaitRequest,
)
from aiki.server.hints import LocalNetwork, News, merged, packed, unpacked
from aiki.server.server import Server
from aiki.store.sqlite import SqliteStore
from tests.virtual import virtual_clock, virtually

QUEUE: Final = Queue("default", "order", "1.0.0")
SWEEP_MS: Final = Config().sweep_ms


def nothing_is_lost(_news: News) -> bool:
    return False


def all_is_lost(_news: News) -> bool:
    return True


class Fleet:
    """Two servers, a client at the first and a worker at the second."""

    def __init__(self, first: Server, second: Server) -> None:
        self.first, self.second = first.transport(), second.transport()
        self.clock = first.clock
        self.chance = Chance(seed=3)
        self.session_id = self.new_id()
        self.polls = 0

    def new_id(self) -> str:
        return self.chance.uuid7(now_ms=self.clock.now_ms())

    async def announce(self) -> None:
        versions = (VersionInfo("order", "1.0.0"),)
        await self.second.announce(Announce(self.session_id, "default", "w", versions, ("",), 10))

    async def start(self) -> str:
        (started,) = await self.first.start([StartRun(self.new_id(), "default", "order", "1.0.0", Raw(b"{}"), "h")])
        assert started.problem is None
        return started.run_id

    def poll(self, *held: Held) -> "asyncio.Task[PollAnswer]":
        self.polls += 1
        request = PollRequest(self.session_id, self.polls, (QUEUE,), 10, held, wait_ms=2_000)
        return asyncio.create_task(self.second.poll(request))

    async def claim(self) -> Assignment:
        polled = self.poll()
        await asyncio.sleep(0.1)
        await self.start()
        (assignment,) = (await polled).assignments
        return assignment

    async def complete(self, assignment: Assignment) -> None:
        commit = Commit(
            assignment.run_id, assignment.epoch, 1, Outcome.COMPLETED, assignment.clock_ms, output=Raw(b"7")
        )
        await self.second.commit([commit])


@asynccontextmanager
async def fleet(loses: Callable[[News], bool] = nothing_is_lost) -> AsyncIterator[Fleet]:
    clock, network = virtual_clock(), LocalNetwork(loses=loses)
    async with AsyncExitStack() as stack:
        store = await SqliteStore.open(None, clock=clock, inline=True)
        stack.push_async_callback(store.close)
        servers = [
            await stack.enter_async_context(
                Server(store=store, hints=network.join(), clock=clock, chance=Chance(seed=seed))
            )
            for seed in (1, 2)
        ]
        made = Fleet(*servers)
        await made.announce()
        await asyncio.sleep(1.5 * SWEEP_MS / 1000)  # between two sweeps
        yield made


@virtually
async def test_a_run_started_at_one_server_reaches_a_worker_at_another_at_once() -> None:
    async with fleet() as made:
        polled = made.poll()
        await asyncio.sleep(0.1)
        before_ms = made.clock.monotonic_ms()
        run_id = await made.start()

        (assignment,) = (await polled).assignments

        assert assignment.run_id == run_id
        assert made.clock.monotonic_ms() == before_ms


@virtually
async def test_each_server_knows_the_workers_of_the_others() -> None:
    async with fleet() as made:
        polled = made.poll()
        (started,) = await made.first.start([StartRun(made.new_id(), "default", "order", "1.0.0", Raw(b"{}"), "h")])
        await polled

        here = (await made.second.workers("default")).workers
        there = (await made.first.workers("default")).workers
        (version,) = (await made.first.workflows("default")).versions

        assert started.warnings == ()
        assert [(seen.name, seen.capacity, seen.is_elsewhere) for seen in (*here, *there)] == [
            ("w", 10, False),
            ("w", 10, True),
        ]
        assert there[0].held == 1
        assert [(served.workflow, served.version) for served in there[0].versions] == [("order", "1.0.0")]
        assert version.workers == ("w",)


@virtually
async def test_a_worker_that_says_goodbye_is_known_nowhere() -> None:
    async with fleet() as made:
        await made.second.goodbye(Goodbye(made.session_id))
        await asyncio.sleep(1.1)

        assert (await made.first.workers("default")).workers == ()
        assert (await made.second.workers("default")).workers == ()


@virtually
async def test_without_any_hint_it_gets_there_within_a_sweep() -> None:
    async with fleet(all_is_lost) as made:
        polled = made.poll()
        await asyncio.sleep(0.1)
        before_ms = made.clock.monotonic_ms()
        run_id = await made.start()

        (assignment,) = (await polled).assignments

        assert assignment.run_id == run_id
        assert 0 < made.clock.monotonic_ms() - before_ms <= SWEEP_MS


@pytest.mark.parametrize(("loses", "late_ms"), [(nothing_is_lost, 0), (all_is_lost, SWEEP_MS)])
def test_an_event_sent_at_one_server_reaches_the_owner_that_polls_another(
    loses: Callable[[News], bool], late_ms: int
) -> None:
    @virtually
    async def check() -> None:
        async with fleet(loses) as made:
            assignment = await made.claim()
            polled = made.poll(Held(assignment.run_id, assignment.epoch, assignment.last_mail))
            await asyncio.sleep(0.1)
            before_ms = made.clock.monotonic_ms()
            await made.first.send([SendEvent("default", assignment.run_id, made.new_id(), "go", Raw(b"1"))])

            (mail,) = (await polled).mail

            assert [one.name for one in mail.mail] == ["go"]
            assert made.clock.monotonic_ms() - before_ms <= late_ms

    check()


@pytest.mark.parametrize(("loses", "late_ms"), [(nothing_is_lost, 0), (all_is_lost, SWEEP_MS)])
def test_who_waits_at_one_server_hears_of_an_end_committed_at_another(
    loses: Callable[[News], bool], late_ms: int
) -> None:
    @virtually
    async def check() -> None:
        async with fleet(loses) as made:
            assignment = await made.claim()
            asked = WaitRequest("default", "client", 1, add=(assignment.run_id,))
            waited = asyncio.create_task(made.first.wait(asked))
            await asyncio.sleep(0.1)
            before_ms = made.clock.monotonic_ms()
            await made.complete(assignment)

            (finished,) = (await waited).finished

            assert bytes(finished.output) == b"7"
            assert made.clock.monotonic_ms() - before_ms <= late_ms

    check()


@pytest.mark.parametrize("without", ["TURN_ROWS", "ENDED_PAGES"])
def test_an_end_that_nobody_told_of_is_found_among_the_latest_and_in_turn(
    monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    monkeypatch.setattr(f"aiki.server.waiting.{without}", 0)

    @virtually
    async def check() -> None:
        async with fleet(all_is_lost) as made:
            assignment = await made.claim()
            waited = asyncio.create_task(
                made.first.wait(WaitRequest("default", "client", 1, add=(assignment.run_id,), wait_ms=60_000))
            )
            await asyncio.sleep(2.3)
            before_ms = made.clock.monotonic_ms()
            await made.complete(assignment)

            assert [finished.run_id for finished in (await waited).finished] == [assignment.run_id]
            assert made.clock.monotonic_ms() - before_ms <= SWEEP_MS

    check()


@virtually
async def test_an_alarm_set_at_one_server_rings_in_time_though_that_server_is_gone() -> None:
    clock, network = virtual_clock(), LocalNetwork()
    store = await SqliteStore.open(None, clock=clock, inline=True)
    async with Server(store=store, hints=network.join(), clock=clock, chance=Chance(seed=2)) as second:
        async with Server(store=store, hints=network.join(), clock=clock, chance=Chance(seed=1)) as first:
            made = Fleet(first, second)
            await made.announce()
            assignment = await made.claim()
            nap = Wait(CallKey(EntryKind.SLEEP, "nap"), asked=0, order=1, deadline_ms=clock.now_ms() + 7_300)
            commit = Commit(
                assignment.run_id,
                assignment.epoch,
                1,
                Outcome.SUSPENDED,
                assignment.clock_ms,
                opened=(nap,),
                waits=1,
                deadline_ms=nap.deadline_ms,
                waits_for="sleep",
            )
            await made.first.commit([commit])
        polled = [(await made.poll()).assignments for _ in range(4)]  # two seconds each, and the last at once

        assert [[one.run_id for one in assigned] for assigned in polled] == [[], [], [], [assignment.run_id]]
        assert 0 <= clock.now_ms() - (nap.deadline_ms or 0) <= 20
    await store.close()


@virtually
async def test_what_a_worker_announces_to_one_server_is_asked_for_at_the_other() -> None:
    async with fleet() as made:
        schema = Raw(b'{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}')
        session_id, versions = made.new_id(), (VersionInfo("order", "1.0.0", input_schema=schema),)
        await made.second.announce(Announce(session_id, "default", "w", versions, ("",), 10))
        await asyncio.sleep(0.01)

        (started,) = await made.first.start(
            [StartRun(made.new_id(), "default", "order", "1.0.0", Raw(b'{"n":"x"}'), "h")]
        )

        assert started.problem is not None


def test_news_that_does_not_fit_says_that_everything_is_to_be_looked_at() -> None:
    news = News("s-1", ended=tuple(f"run-{n}" for n in range(1_000)), alarm_at_ms=5)

    assert unpacked(packed(news)) == News("s-1", alarm_at_ms=5, is_cut=True)


def test_news_told_one_after_the_other_is_told_as_one() -> None:
    told = [News("s-1", ended=("a",), alarm_at_ms=9), News("s-1", queues=(QUEUE,), ended=("b", "a"), alarm_at_ms=5)]

    assert merged(told) == News("s-1", queues=(QUEUE,), ended=("a", "b"), alarm_at_ms=5)
