"""`aiki dev` as it is typed: reload, errors, kills, and that it leaves nothing."""

import os
import re
import signal
from pathlib import Path

import psutil
import pytest

from tests.cli import shell
from tests.cli.service import PROGRAM, Service, aiki, aiki_json, dev

GREETING = """
from aiki import Run, task, workflow


@task
async def greet(name: str) -> str:
    return f"Hello {name}"


@workflow("hello").version("1.0.0")
async def hello_v1(run: Run, name: str) -> str:
    return await greet.start(run, name)
"""
PARKED = """
from datetime import timedelta

from aiki import Run, task, workflow


@task
async def pay(amount: int) -> None: ...


@workflow("payment").version("1.0.0")
async def payment_v1(run: Run) -> str:
    await pay.start(run, 10)
    await run.sleep("a-while", hours=1)
    return "paid"
"""


def write(path: Path, text: str) -> None:
    """Save a file as editors do: whole, under its name at once."""
    begun = path.with_suffix(".begun")
    begun.write_text(text, encoding="utf-8")
    begun.replace(path)


def greeting(url: str) -> str:
    return aiki("runs", "start", "hello", "1.0.0", '{"name": "Ada"}', "--wait", url=url).stdout


def test_a_change_is_served_and_a_syntax_error_is_shown_while_the_old_code_goes_on(tmp_path: Path) -> None:
    with dev(tmp_path, program=GREETING) as service:
        url, file = service.url, tmp_path / "orders.py"
        assert '"Hello Ada"' in greeting(url)

        write(file, f"{GREETING}\ndef broken(:\n")
        service.wait_for("The old code goes on")
        assert "SyntaxError" in service.output
        assert '"Hello Ada"' in greeting(url)

        write(file, GREETING.replace("Hello", "Good evening"))
        service.wait_for("orders.py has changed: process")
        assert '"Good evening Ada"' in greeting(url)


def test_a_module_that_the_file_imports_is_watched_too(tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text('GREETING = "Hello"\n')
    program = GREETING.replace('f"Hello {name}"', 'f"{words.GREETING} {name}"').replace(
        "from aiki", "import words\nfrom aiki"
    )
    with dev(tmp_path, program=program) as service:
        write(tmp_path / "words.py", 'GREETING = "Good morning"\n')
        service.wait_for("orders.py has changed: process")

        assert '"Good morning Ada"' in greeting(service.url)


def test_code_that_cannot_be_loaded_at_first_is_served_once_it_can(tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text("from aiki import nothing_of_the_kind\n")
    with Service("dev", "orders.py", "--port", "0", folder=tmp_path) as service:
        service.wait_for("It is tried again once the file changes")
        assert "nothing_of_the_kind" in service.output

        write(tmp_path / "orders.py", GREETING)
        service.wait_for(r"orders\.py: process \d+ serves hello 1\.0\.0")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("ordrs.py", r"aiki dev: there is no file \S+/ordrs\.py\. Did you mean orders\.py\?"),
        ("ordrs:worker", r"aiki dev: there is no module ordrs in \S+ nor installed\. Did you mean orders\.py\?"),
        ("orders-worker", r"aiki dev: 'orders-worker' is neither a file nor a module"),
    ],
)
def test_what_is_not_there_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, said: str
) -> None:
    (tmp_path / "orders.py").write_text(GREETING)
    monkeypatch.chdir(tmp_path)

    done = shell.run("dev", target, "--port", "0")

    assert done.returncode == 1
    assert re.search(said, done.stderr)


def test_what_happens_to_runs_is_told_and_what_a_stalled_one_needs(tmp_path: Path) -> None:
    with dev(tmp_path, program=PARKED) as service:
        url = service.url
        run = aiki("runs", "start", "payment", "1.0.0", url=url).stdout.strip()
        service.wait_for(f"payment 1.0.0  {run}  started")

        write(tmp_path / "orders.py", PARKED.replace("run, 10", "run, 12"))
        service.wait_for("orders.py has changed: process")
        aiki("runs", "wake", run, url=url)
        service.wait_for(f"{run}  stalled: workflow payment 1.0.0 diverged")
        service.wait_for(f"aiki runs requeue {run}")
        shown = aiki("runs", "show", run, url=url).stdout
        assert "The ways out" in shown
        assert f"aiki runs requeue {run}" in shown

        write(tmp_path / "orders.py", PARKED)
        service.wait_for("orders.py has changed: process", times=2)
        assert aiki_json("runs", "requeue", run, url=url)["changed"]
        service.wait_for(f"{run}  completed")
    assert "POST" not in service.output


def test_ctrl_c_leaves_no_process_and_no_traceback(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    (tmp_path / "orders.py").write_text(PROGRAM)
    with Service("dev", "orders.py", "--port", "0", folder=tmp_path, TMPDIR=str(temporary)) as service:
        service.wait_for(r"orders\.py: process \d+ serves")
        children = service.children()
        service.interrupt()

        assert service.end() == 130
        assert not any(child.is_running() for child in children)
    assert len(children) == 1
    assert "Traceback" not in service.output
    assert list(temporary.iterdir()) == []


def test_a_dev_that_is_killed_takes_its_workers_along(tmp_path: Path) -> None:
    with dev(tmp_path, program=GREETING) as service:
        children = service.children()
        service.process.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(children, timeout=10)

    assert alive == []


def test_a_worker_that_is_killed_at_once_waits_for_a_change(tmp_path: Path) -> None:
    with dev(tmp_path, program=GREETING) as service:
        pid = int(service.wait_for(r"process (\d+) serves"))
        os.kill(pid, signal.SIGKILL)
        service.wait_for(f"process {pid} of orders.py was ended by SIGKILL")

        write(tmp_path / "orders.py", f"{GREETING}\n")
        service.wait_for(r"orders\.py: process \d+ serves", times=2)
        assert '"Hello Ada"' in greeting(service.url)


def test_in_an_empty_folder_it_is_a_server_that_says_how_to_go_on(tmp_path: Path) -> None:
    with Service("dev", "--port", "0", folder=tmp_path) as service:
        assert aiki("runs", "list", url=service.url).returncode == 0
        service.wait_for("aiki worker module:worker")
        service.interrupt()

        assert service.end() == 130
    assert (tmp_path / "aiki.db").exists()
