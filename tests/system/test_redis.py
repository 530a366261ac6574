"""Work that is found in a real Redis: what it brings, and what becomes of it when Redis does not."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import aiki
from aiki import Client, RedisSubscriber, Run, Worker, task, workflow
from aiki.config import Config
from aiki.model.wire import PollRequest
from tests.redis_service import RedisService, redis_service


@task
async def double(n: int) -> int:
    return 2 * n


@workflow("doubling").version("1.0.0")
async def doubling_v1(run: Run, n: int) -> int:
    return await double.start(run, n)


@workflow("napping").version("1.0.0")
async def napping_v1(run: Run, n: int) -> int:
    await run.sleep("nap", milliseconds=50)
    return await double.start(run, n)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisService]:
    with redis_service(tmp_path) as service:
        yield service


class Fleet:
    def __init__(self, server: aiki.Server, client: Client) -> None:
        self.server = server
        self.client = client
        self.polls: list[PollRequest] = []

    async def until(self, is_true: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not is_true():
                await asyncio.sleep(0.01)

    async def until_found(self) -> None:
        """Wait until the worker finds its work by itself."""
        await self.until(lambda: bool(self.polls) and not self.polls[-1].queues)

    async def until_polled(self) -> None:
        """Wait until the worker's polls bring its work."""
        await self.until(lambda: bool(self.polls) and bool(self.polls[-1].queues) and not self.polls[-1].found)

    async def run_many(self, count: int) -> list[int]:
        handles = [await doubling_v1.start(self.client, n) for n in range(count)]
        async with asyncio.timeout(20):
            return [await handle.result() for handle in handles]


@asynccontextmanager
async def fleet(url: str, database: str, *, worker_url: str | None = None) -> AsyncIterator[Fleet]:
    async with aiki.Server(database, redis=url, config=Config()) as server, server.client() as client:
        made = Fleet(server, client)
        poll = client.transport.poll

        async def noted(request: PollRequest) -> object:
            made.polls.append(request)
            return await poll(request)

        client.transport.poll = noted  # type: ignore[method-assign,assignment]
        async with Worker(client, [doubling_v1, napping_v1], subscriber=RedisSubscriber(worker_url or url)):
            yield made


async def test_a_worker_finds_its_work_in_redis(redis: RedisService, database: str) -> None:
    async with fleet(redis.url, database) as made:
        await made.until_found()

        assert await made.run_many(50) == [2 * n for n in range(50)]

        assert any(poll.found for poll in made.polls)
        await made.until_found()


async def test_a_parked_run_is_found_again_by_the_worker_that_keeps_it(redis: RedisService, database: str) -> None:
    async with fleet(redis.url, database) as made:
        await made.until_found()
        handle = await napping_v1.start(made.client, 4)

        assert await handle.result(timeout=10) == 8


async def test_nothing_is_lost_when_redis_is_flushed(redis: RedisService, database: str) -> None:
    async with fleet(redis.url, database) as made:
        await made.until_found()
        running = asyncio.create_task(made.run_many(200))
        for _ in range(5):
            await asyncio.sleep(0.05)
            redis.flush()

        assert await running == [2 * n for n in range(200)]


async def test_while_redis_is_away_polls_bring_the_work_and_then_redis_again(
    redis: RedisService, database: str
) -> None:
    async with fleet(redis.url, database) as made:
        await made.until_found()
        redis.kill()
        loop = asyncio.get_running_loop()
        gone_s = loop.time()
        await made.until_polled()

        assert loop.time() - gone_s < 2.5  # two seconds, and half of one for a loaded machine
        assert await made.run_many(20) == [2 * n for n in range(20)]
        redis.start()
        await made.until_found()
        assert await made.run_many(20) == [2 * n for n in range(20)]


async def test_a_worker_whose_server_cannot_reach_redis_is_handed_its_work(redis: RedisService, database: str) -> None:
    async with fleet("redis://127.0.0.1:1/0", database, worker_url=redis.url) as made:
        assert await made.run_many(20) == [2 * n for n in range(20)]

        assert not any(poll.found for poll in made.polls)


async def test_of_two_workers_only_one_has_each_run(redis: RedisService, database: str) -> None:
    async with (
        fleet(redis.url, database) as made,
        Worker(made.client, [doubling_v1], name="second", subscriber=RedisSubscriber(redis.url)),
    ):
        assert await made.run_many(200) == [2 * n for n in range(200)]


@pytest.mark.parametrize("url", ["http://localhost", "redis://localhost:port/0"])
def test_a_url_that_is_none_of_redis_is_refused(url: str) -> None:
    with pytest.raises(aiki.InvalidInput):
        RedisSubscriber(url)
