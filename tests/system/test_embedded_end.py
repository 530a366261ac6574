"""How the embedded platform begins and ends: alone on its file, and without a sound."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import aiki
from aiki import Run, task, testing, workflow

PROGRAM = Path(__file__).with_name("everything.py")
STRICT = [sys.executable, "-X", "dev", "-W", "error", str(PROGRAM)]
LIMIT_S = 60


@workflow("quiet").version("1")
async def quiet_v1(run: Run) -> str:
    return "done"


# ------------------------------------------------------------------------------------------------------------ silence


@pytest.mark.parametrize("database", ["a.db", ":memory:"])
@pytest.mark.parametrize(
    ("how", "said"), [("complete", "completed\n"), ("leave", ""), ("raise", "raised: what the body raised\n")]
)
def test_a_program_that_uses_everything_ends_without_a_warning(
    tmp_path: Path, database: str, how: str, said: str
) -> None:
    ended = subprocess.run(
        [*STRICT, database, how], cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )

    assert (ended.stdout, ended.stderr, ended.returncode) == (said, "", 0)
    assert [left.name for left in tmp_path.iterdir() if left.name.endswith(("-wal", "-shm"))] == []


def test_ctrl_c_ends_a_program_without_a_warning_and_it_goes_on_when_started_again(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*STRICT, "a.db", "interrupt"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "up\n"
        program.send_signal(signal.SIGINT)
        said, errors = program.communicate(timeout=LIMIT_S)

    assert (said, errors, program.returncode) == ("interrupted\n", "", 130)
    again = subprocess.run(
        [*STRICT, "a.db", "complete"], cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert (again.stdout, again.stderr, again.returncode) == ("completed\n", "", 0)


async def test_a_platform_that_serves_nothing_ends_too() -> None:
    async with testing.local() as env:
        assert (await env.runs.list()).runs == ()


async def test_a_client_that_is_left_is_closed_and_says_so() -> None:
    async with testing.local(workflows=[quiet_v1]) as env:
        handle = await quiet_v1.start(env)
    with pytest.raises(RuntimeError, match="not open"):
        await quiet_v1.start(env)
    with pytest.raises(aiki.Unavailable):
        await handle.result()


async def test_who_waits_while_the_platform_ends_is_told() -> None:
    @workflow("sleeping").version("1")
    async def sleeping_v1(run: Run) -> None:
        await run.sleep("long", days=1)

    async with testing.local(workflows=[sleeping_v1]) as env:
        handle = await sleeping_v1.start(env)
        waiting = asyncio.create_task(handle.result())
        await env.settle()
    with pytest.raises(aiki.Unavailable):
        await waiting


async def test_tasks_under_way_get_the_grace_to_end_and_what_they_returned_is_kept(tmp_path: Path) -> None:
    executions: list[str] = []

    @task
    async def takes_its_time() -> str:
        executions.append("begun")
        await asyncio.sleep(5)
        return "done"

    @workflow("graceful").version("1")
    async def graceful_v1(run: Run) -> str:
        return await takes_its_time.start(run)

    async with testing.local(workflows=[graceful_v1], database=tmp_path / "a.db", shutdown_grace=10) as env:
        handle = await graceful_v1.start(env)
        await env.advance(seconds=1)
    async with testing.local(database=tmp_path / "a.db") as env:
        assert await graceful_v1.handle(env, handle.id).result() == "done"

    assert executions == ["begun"]


async def test_a_task_that_outlives_the_grace_is_executed_again_elsewhere(tmp_path: Path) -> None:
    attempts: list[int] = []

    @task
    async def takes_its_time() -> str:
        attempts.append(aiki.current_task().attempt)
        await asyncio.sleep(60)
        return "done"

    @workflow("hasty").version("1")
    async def hasty_v1(run: Run) -> str:
        return await takes_its_time.start(run)

    async with testing.local(workflows=[hasty_v1], database=tmp_path / "a.db", shutdown_grace=1) as env:
        handle = await hasty_v1.start(env)
        await env.advance(seconds=1)
    async with testing.local(workflows=[hasty_v1], database=tmp_path / "a.db") as env:
        assert await hasty_v1.handle(env, handle.id).result() == "done"

    assert attempts == [1, 1]


# ---------------------------------------------------------------------------------------------------------- one's own


async def test_a_file_is_served_once_in_a_process_and_again_after_it_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    async with testing.local(workflows=[quiet_v1], database=file) as env:
        handle = await quiet_v1.start(env)
        with pytest.raises(aiki.DatabaseInUse) as refused:
            async with testing.local(database=tmp_path / "." / "a.db"):
                raise AssertionError("it was opened twice")
    assert refused.value.pid == os.getpid()
    assert "this process" in str(refused.value)
    assert refused.value.url is None

    async with testing.local(workflows=[quiet_v1], database=file) as env:
        assert await quiet_v1.handle(env, handle.id).result() == "done"


def test_a_file_that_another_process_serves_is_refused_and_names_it_until_it_is_killed(tmp_path: Path) -> None:
    async def open_it() -> int:
        async with aiki.local(tmp_path / "a.db") as client:
            return len((await client.runs.list()).runs)

    with subprocess.Popen([*STRICT, "a.db", "interrupt"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "up\n"
        with pytest.raises(aiki.DatabaseInUse) as refused:
            asyncio.run(open_it())
        program.kill()
    assert refused.value.pid == program.pid
    assert str(program.pid) in str(refused.value)
    assert refused.value.path == str(tmp_path / "a.db")

    assert asyncio.run(open_it()) >= 23


@pytest.mark.parametrize(
    "content", [b"this is no database, and long enough not to be taken for an empty one", b"PNG\0" * 500]
)
async def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.db"
    file.write_bytes(content)
    with pytest.raises(aiki.InvalidInput, match=r"a\.db"):
        async with testing.local(database=file):
            raise AssertionError("it was opened")
    assert file.read_bytes() == content


async def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE theirs (id INTEGER)")
    other.close()
    with pytest.raises(aiki.InvalidInput, match="something else"):
        async with testing.local(database=file):
            raise AssertionError("it was opened")


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(aiki.AikiError, match="nowhere"):
        async with testing.local(database=tmp_path / "nowhere" / "a.db"):
            raise AssertionError("it was opened")
