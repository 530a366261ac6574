"""Two servers and their workers behind a real pgbouncer in transaction mode: each transaction goes to any connection."""

import asyncio
from contextlib import AsyncExitStack

import asyncpg

import aiki
from aiki import Event, Events, Run, Worker, task, workflow
from aiki.store.postgres import schema
from aiki.store.postgres.address import Address
from tests.postgres import execute

RUNS = 40


class Go(Events):
    go: Event[int]


@task
async def double(n: int) -> int:
    return 2 * n


@workflow("hopping").version("1")
async def hopping_v1(run: Run, n: int) -> int:
    await run.sleep("pause", milliseconds=20)
    return await double.start(run, n)


@workflow("tripping").version("1", events=Go)
async def tripping_v1(run: Run[Go], n: int) -> int:
    n = await double.start(run, n)
    word = await run.events.go.wait()
    child = await hopping_v1.start_as_child(run, n + word.data)
    return await child.result()


async def test_servers_behind_a_pooler_do_what_they_do_without(pooled_database: str) -> None:
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(aiki.Server(pooled_database)) for _ in range(2)]
        one, other = [await stack.enter_async_context(server.client()) for server in servers]
        for client in (one, other):
            await stack.enter_async_context(Worker(client, [tripping_v1, hopping_v1]))
        handles = await asyncio.gather(*(tripping_v1.start(one, n) for n in range(RUNS)))
        await asyncio.gather(*(tripping_v1.handle(other, h.id).events.go.send(1) for h in handles))

        assert [await handle.result(timeout=60) for handle in handles] == [2 * (2 * n + 1) for n in range(RUNS)]
        assert (await other.runs.count(workflow="tripping")).by_status == {"completed": RUNS}


async def test_migrations_are_applied_through_a_pooler(pooled_database: str, postgres_database: str) -> None:
    url = f"{pooled_database}&schema=pooled"
    await execute(postgres_database, "DROP SCHEMA IF EXISTS pooled CASCADE")
    both = await asyncio.gather(*(schema.on(Address.of(url), schema.apply) for _ in range(2)))

    assert sorted(name for applied in both for name in applied) == [name for name, _ in schema.migrations()]
    async with aiki.Server(url) as server, server.client() as client, Worker(client, [hopping_v1]):
        assert await (await hopping_v1.start(client, 4)).result(timeout=60) == 8
    connection = await asyncpg.connect(postgres_database)
    assert await connection.fetchval("SELECT count(*) FROM pooled.runs") == 1
    await connection.execute("DROP SCHEMA pooled CASCADE")
    await connection.close()
