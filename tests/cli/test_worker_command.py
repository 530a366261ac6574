"""`aiki worker` as it is typed: targets that are none, servers that are away, and how it ends."""

import re
import signal
import socket
from pathlib import Path

import pytest

from tests.cli.service import PROGRAM, Service, aiki, aiki_json, wait_until

SLOW = """
import asyncio
from pathlib import Path

from aiki import Run, task, workflow


@task
async def cook() -> str:
    with Path("cooked").open("a") as file:
        file.write("x")
    await asyncio.sleep(600 if not Path("quick").exists() else 0)
    return "hot"


@workflow("meal").version("1.0.0")
async def meal_v1(run: Run) -> str:
    return await cook.start(run)
"""


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("nothing", r"no module nothing in .* In this folder: .*orders\.py"),
        ("ordres.py", r"no file .*ordres\.py\. Did you mean orders\.py"),
        ("orders:wroker", r"orders has no wroker\. It holds .*worker \(a Worker\)"),
        ("orders:main", r"orders:main is a function; what is served is a Worker"),
        ("orders:PROGRAM/x", r"neither a file nor a module"),
        ("empty.py", r"empty\.py holds no workflow to serve"),
        ("runs_itself.py", r"runs a program when it is imported, at line 4, .*if __name__ == \"__main__\":"),
        ("missing.py", r"ModuleNotFoundError: No module named 'not_installed'"),
    ],
)
def test_a_target_that_is_none_is_told_with_what_would_work(target: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text(PROGRAM)
    (tmp_path / "empty.py").write_text("x = 1\n")
    (tmp_path / "runs_itself.py").write_text("import asyncio\nasync def main(): ...\n\nasyncio.run(main())\n")
    (tmp_path / "missing.py").write_text("import not_installed\n")
    with Service("worker", target, folder=tmp_path) as worker:
        assert worker.end() == 1

    assert re.search(found, worker.output)
    assert "src/aiki" not in worker.output


def test_a_syntax_error_is_shown_with_its_line_and_without_ours(tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text("from aiki import task\n\ndef broken(:\n")
    with Service("worker", "orders", folder=tmp_path) as worker:
        assert worker.end() == 1

    assert 'orders.py", line 3' in worker.output
    assert "SyntaxError" in worker.output
    assert "importlib" not in worker.output


def test_it_waits_for_its_server_with_one_line_and_goes_on_when_it_is_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        port = str(taken.getsockname()[1])
    (tmp_path / "orders.py").write_text(PROGRAM)
    with Service("worker", "orders:worker", folder=tmp_path, AIKI_URL=f"http://localhost:{port}") as worker:
        worker.wait_for("Waiting for it")
        with Service("server", "--port", port, folder=tmp_path) as server:
            worker.wait_for("worker order-worker serves restaurant-order 1.0.0, courier-delivery 1.0.0")
            worker.interrupt()

            assert worker.end() == 130
            assert server.process.poll() is None
    assert worker.output.count("no Aiki server at") == 1
    assert "Traceback" not in worker.output


def test_options_that_contradict_a_worker_object_are_refused(tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text(PROGRAM)
    with Service("worker", "orders:worker", "--name", "another", folder=tmp_path) as worker:
        assert worker.end() == 1

    assert "--name is for workflows" in worker.output


def test_ctrl_c_lets_tasks_finish_and_a_second_one_hands_them_to_the_next_worker_at_once(tmp_path: Path) -> None:
    (tmp_path / "meals.py").write_text(SLOW)
    with Service("server", "--port", "0", folder=tmp_path) as server:
        url = server.url
        with Service("worker", "meals.py", folder=tmp_path, AIKI_URL=url) as worker:
            worker.wait_for("serves meal 1.0.0")
            run = aiki_json("runs", "start", "meal", "1.0.0", url=url)["id"]
            cooked = tmp_path / "cooked"
            wait_until(cooked.exists, worker.process, what="the task to begin", told=lambda: worker.output)
            worker.interrupt()
            worker.wait_for("finishing 1 task, Ctrl-C again to stop now")
            assert worker.process.poll() is None
            worker.interrupt()

            assert worker.end() == 130
        (tmp_path / "quick").touch()
        with Service("worker", "meals.py", folder=tmp_path, AIKI_URL=url) as second:
            second.wait_for("serves meal 1.0.0")
            shown = aiki("runs", "show", run, "--watch", url=url)

    assert "completed" in shown.stdout
    assert cooked.read_text() == "xx"
    assert "Traceback" not in worker.output


def test_a_worker_that_is_killed_loses_its_run_to_the_next_within_seconds(tmp_path: Path) -> None:
    (tmp_path / "meals.py").write_text(SLOW)
    with Service("server", "--port", "0", folder=tmp_path) as server:
        url = server.url
        with Service("worker", "meals.py", folder=tmp_path, AIKI_URL=url) as worker:
            worker.wait_for("serves meal 1.0.0")
            run = aiki_json("runs", "start", "meal", "1.0.0", url=url)["id"]
            cooked = tmp_path / "cooked"
            wait_until(cooked.exists, worker.process, what="the task to begin", told=lambda: worker.output)
            (tmp_path / "quick").touch()
            with Service("worker", "meals.py", folder=tmp_path, AIKI_URL=url) as second:
                second.wait_for("serves meal 1.0.0")
                worker.process.send_signal(signal.SIGKILL)
                shown = aiki("runs", "show", run, "--watch", url=url)

    assert "completed" in shown.stdout
