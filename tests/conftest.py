"""What holds for every test.

Examples that hypothesis draws are the same on each run: a failure in CI is a failure on the desk, and a search for new
ones is asked for (`--hypothesis-profile=search`).
"""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.pgbouncer import pgbouncer
from tests.postgres import Postgres, complete, emptied, execute, migrated, shared_postgres

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=2_000, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A Postgres server, one for all processes of a run."""
    with shared_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def own_database(postgres: Postgres, worker_id: str) -> str:
    """A database of this process, with the tables of this version in it."""
    complete(execute(f"{postgres.url}/postgres", f"CREATE DATABASE aiki_{worker_id}"))
    url = f"{postgres.url}/aiki_{worker_id}"
    complete(migrated(url))
    return url


@pytest.fixture
def postgres_database(own_database: str) -> str:
    """The URL of a Postgres database without any rows."""
    complete(emptied(own_database))
    return own_database


@pytest.fixture(scope="session")
def pooler(postgres: Postgres) -> Iterator[str]:
    """The URL of a pgbouncer in transaction mode before that server."""
    with pgbouncer(postgres.port) as url:
        yield url


@pytest.fixture
def pooled_database(pooler: str, postgres_database: str) -> str:
    """The URL of a database without any rows, behind a pooler."""
    return f"{pooler}/{postgres_database.rpartition('/')[2]}?statement_cache_size=0"
