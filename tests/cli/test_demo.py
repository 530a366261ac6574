"""`aiki demo` as a reader sees it: on a terminal, in a pipe, and when something is in its way."""

import os
import pty
import re
import select
import signal
import struct
import subprocess
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

import pytest

from tests.cli import shell
from tests.cli.service import Service, aiki_json
from tests.cli.shell import wait_for
from tests.postgres import complete, fetched

COLUMNS = 80


@pytest.fixture(scope="module")
def piped(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    return in_a_pipe(tmp_path_factory, "demo")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    return in_a_pipe(tmp_path_factory, "demo", "--embedded")


def in_a_pipe(
    tmp_path_factory: pytest.TempPathFactory, *typed: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    temporary = tmp_path_factory.mktemp("tmp")
    done = shell.run(*typed, timeout_s=60, TMPDIR=str(temporary), FORCE_COLOR="1", TERM="xterm-256color", **environment)
    assert list(temporary.iterdir()) == [], "files are left"
    return done


def test_it_ends_well_and_says_nothing_else(piped: subprocess.CompletedProcess[str]) -> None:
    assert (piped.returncode, piped.stderr) == (0, "")


def test_it_plays_on_the_postgres_that_aiki_database_names_in_a_schema_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, postgres_database: str
) -> None:
    played = in_a_pipe(tmp_path_factory, "demo", AIKI_DATABASE=postgres_database)
    statuses = complete(fetched(postgres_database, "SELECT status, count(*) FROM aiki_demo.runs GROUP BY status"))

    assert (played.returncode, played.stderr) == (0, "")
    assert "2 requests, 1 booking" in re.sub(r"\s+", " ", played.stdout)
    assert [status for status, _ in statuses] == ["completed"]
    assert complete(fetched(postgres_database, "SELECT count(*) FROM aiki.runs")) == [(0,)]


def test_in_a_pipe_it_is_plain_lines_of_at_most_80_columns(piped: subprocess.CompletedProcess[str]) -> None:
    assert re.findall(r"[^\x20-\x7e\n]", piped.stdout) == []
    assert [line for line in piped.stdout.splitlines() if len(line) > COLUMNS and "restaurant.py" not in line] == []


def test_it_tells_what_died_at_which_step_where_it_went_on_what_ran_twice_and_why_that_is_safe(
    piped: subprocess.CompletedProcess[str],
) -> None:
    told = re.sub(r"\s+", " ", piped.stdout)
    (kitchen,) = re.findall(r"process (\d+) is the worker kitchen", told)
    (courier,) = re.findall(r"process (\d+) is the worker courier", told)

    assert f"The worker courier, process {courier}, by kill -9" in told
    assert "into the task send-courier" in told
    assert f"The delivery moved on to the worker kitchen, process {kitchen}" in told
    assert "What ran twice send-courier" in told
    assert "2 requests, 1 booking" in told
    assert "send-courier 2" in told
    assert '{"status": "completed"}' in told


def test_the_delivery_is_begun_by_another_worker_than_the_orders_and_ended_by_that(
    piped: subprocess.CompletedProcess[str],
) -> None:
    (kitchen,) = re.findall(r"process (\d+) is the worker kitchen", piped.stdout)
    (courier,) = re.findall(r"process (\d+) is the worker courier", piped.stdout)
    ran = re.findall(r"task (\S+) +running.*process (\d+)", piped.stdout)

    assert [process for task, process in ran if task == "send-courier"] == [courier, kitchen]
    assert {process for task, process in ran if task != "send-courier"} == {kitchen}


def test_embedded_it_tells_what_died_at_which_step_what_ran_twice_and_why_that_is_safe(
    embedded: subprocess.CompletedProcess[str],
) -> None:
    told = re.sub(r"\s+", " ", embedded.stdout)
    first, second = re.findall(r"process (\d+) is started", told)

    assert first != second
    assert f"Process {first}, by kill -9" in told
    assert "into the task send-courier" in told
    assert f"in process {second}" in told
    assert "What ran twice send-courier" in told
    assert "2 requests, 1 booking" in told
    assert "send-feedback-email 1" in told
    assert '{"status": "completed"}' in told


def test_what_was_recorded_before_the_kill_does_not_begin_again(embedded: subprocess.CompletedProcess[str]) -> None:
    _, second = re.findall(r"process (\d+) is started", embedded.stdout)
    began = re.findall(rf"task (\S+) +running.*process {second}", embedded.stdout)

    assert began == ["send-courier", "send-feedback-email"]


def test_on_a_terminal_a_table_fills_in(tmp_path: Path) -> None:
    status, shown = on_a_terminal(tmp_path)
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.rpartition("times run")[2])

    assert status == 0
    assert shown.count("times run") > 50
    assert "\x1b[?25h" in shown, "the cursor is back"
    assert re.search(r"task send-courier +recorded +2 ", last)
    assert re.search(r"sleep ride +over, recorded ", last)
    assert list(tmp_path.iterdir()) == []


def test_whoever_closes_the_pipe_sees_no_traceback_and_leaves_nothing(tmp_path: Path) -> None:
    demo = shell.Started("sh", "-c", f"{shell.SCRIPTS / 'aiki'} demo | head -n 3", folder=tmp_path / "demo")
    try:
        demo.process.wait(60)

        assert "Traceback" not in demo.output
        assert list(demo.temporary.iterdir()) == []
        assert demo.restaurants() == []
    finally:
        demo.end()


def test_without_a_folder_to_write_to_it_says_in_one_line_what_to_do() -> None:
    # No file may grow beyond nothing, as on a disk that is full.
    done = subprocess.run(
        ["sh", "-c", f"ulimit -f 0; {shell.SCRIPTS / 'aiki'} demo"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "TMPDIR" in done.stderr


def test_a_restaurant_that_does_not_open_is_told_of_in_one_line(tmp_path: Path) -> None:
    only_there = "import sys\nif 'aiki.cli.demo.watched' in sys.orig_argv:\n    sys.modules['sqlite3'] = None\n"
    (tmp_path / "sitecustomize.py").write_text(only_there)
    done = shell.run("demo", "--embedded", PYTHONPATH=str(tmp_path))

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "the process of the restaurant has ended by itself" in done.stderr
    assert "sqlite3" in done.stderr


def test_kept_it_serves_on_until_ctrl_c_and_then_leaves_nothing(tmp_path: Path) -> None:
    demo = shell.Started(shell.SCRIPTS / "aiki", "demo", "--keep", folder=tmp_path / "demo")
    try:
        wait_for("runs show RUN_ID", demo)
        (url,) = re.findall(r"export AIKI_URL=(\S+)", demo.output)
        listed = shell.run("runs", "list", AIKI_URL=url)
        assert listed.stdout.count("completed") == 2

        demo.signal_group(signal.SIGINT)
        assert demo.process.wait(5) == 130
        assert demo.restaurants() == []
        assert list(demo.temporary.iterdir()) == []
    finally:
        demo.end()


def test_a_shop_is_kept_open_until_ctrl_c(tmp_path: Path) -> None:
    with Service("demo", "--fleet", "--port", "0", folder=tmp_path) as shop:
        url = shop.wait_for(r"Look around: (http://\S+)")
        found = aiki_json("workers", "list", url=url)["workers"]
        shop.process.send_signal(signal.SIGINT)
        status = shop.process.wait(timeout=60)
        said = shop.output

    assert url.startswith("http://localhost:")
    assert said.splitlines() == [f"A shop is open, until Ctrl-C. Look around: {url}"]
    assert [worker["name"] for worker in found] == ["kitchen-1", "kitchen-2", "office-1"]
    assert status == 128 + signal.SIGINT


def on_a_terminal(temporary: Path) -> tuple[int, str]:
    """Run the demo on a terminal of 80 columns, and return its exit status and all that it wrote."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "LINES", "NO_COLOR"}}
    process = subprocess.Popen(
        [shell.SCRIPTS / "aiki", "demo"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment, "TMPDIR": str(temporary), "TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    try:
        while select.select([ours], [], [], 40)[0]:
            try:
                shown += os.read(ours, 65_536)
            except OSError:  # the other end is closed: all is read
                break
        return process.wait(10), shown.decode()
    finally:
        process.kill()
        os.close(ours)
