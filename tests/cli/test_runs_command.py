"""`aiki runs` as it is typed, against one `aiki dev`: the program of the first page, seen through to its end."""

import json
import os
import pty
import re
import select
import struct
import subprocess
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

import pytest

from tests.cli import shell
from tests.cli.service import Service, aiki, aiki_json, dev

ORDER = '{"order": {"order_id": "o-1", "customer_id": "c-1"}}'
NOWHERE = "http://localhost:1"
UNKNOWN = "01890000-0000-7000-8000-000000000000"
NEEDY = """
import asyncio
from aiki import Run, workflow

@workflow("stalls").version("1.0.0")
async def stalls_v1(run: Run) -> None:
    await asyncio.get_running_loop().create_future()

@workflow("fails").version("1.0.0")
async def fails_v1(run: Run) -> None:
    raise ValueError("as it does")
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("served")) as service:
        yield service


@pytest.fixture(scope="module")
def url(served: Service) -> str:
    return served.url


def watched(run: str, url: str) -> str:
    return aiki("runs", "show", run, "--watch", url=url).stdout


def test_the_program_completes_its_sleeps_shortened_by_wake(served: Service, url: str) -> None:
    run = aiki("runs", "start", "restaurant-order", "1.0.0", ORDER, "--tag", "kind=test", url=url).stdout.strip()
    sent = aiki("runs", "send", run, "restaurant-accepted", '{"estimated_minutes": 35}', url=url)
    assert sent.stdout == f"restaurant-accepted is sent to run {run}.\n"
    served.wait_for(r"courier-delivery 1\.0\.0  (\S+)  started")
    (child,) = aiki_json("runs", "list", "--parent", run, url=url)["runs"]

    assert aiki("runs", "wake", child["id"], url=url).stdout == f"Run {child['id']} wakes up.\n"
    served.wait_for(rf"{child['id']}  completed")
    wake_until_woken(run, url)
    shown = watched(run, url)

    assert "completed" in shown
    assert '{"status":"completed"}' in shown
    assert "send-feedback-email" in shown
    served.wait_for(rf"{run}  completed after")


def wake_until_woken(run: str, url: str) -> None:
    """Its child has ended; that it sleeps is a moment later."""
    for _ in range(50):
        if aiki_json("runs", "wake", run, url=url)["changed"]:
            return
    pytest.fail("it never slept")


def test_with_no_acceptance_and_a_short_timeout_it_cancels(url: str) -> None:
    short = '{"order": {"order_id": "o-2", "customer_id": "c-1"}, "minutes": 0.001}'
    done = aiki("runs", "start", "restaurant-order", "1.0.0", short, "--wait", url=url)

    assert json.loads(done.stdout) == {"status": "cancelled"}


def test_with_no_worker_it_is_accepted_with_a_warning(url: str) -> None:
    done = aiki("runs", "start", "nobodys", "1.0.0", url=url)

    assert done.returncode == 0
    assert "no worker serves nobodys 1.0.0 yet" in done.stderr
    shown = aiki("runs", "show", done.stdout.strip(), url=url).stdout
    assert "the run waits until one does" in shown
    assert "aiki worker" in shown


def test_input_may_come_from_standard_input(url: str) -> None:
    done = aiki(
        "runs", "start", "restaurant-order", "1.0.0", "-", "--reference-id", "o-3", "--json", url=url, typed=ORDER
    )
    run = json.loads(done.stdout)["id"]

    assert aiki_json("runs", "start", "restaurant-order", "1.0.0", ORDER, "--reference-id", "o-3", url=url)["id"] == run
    changed = ORDER.replace("o-1", "o-2")
    other = aiki("runs", "start", "restaurant-order", "1.0.0", changed, "--reference-id", "o-3", url=url)
    assert other.returncode == 1
    assert run in other.stderr


def test_a_delayed_start_is_scheduled_until_it_is_woken(url: str) -> None:
    run = aiki("runs", "start", "nobodys", "1.0.0", "--delay", "2h", url=url).stdout.strip()

    assert aiki_json("runs", "show", run, url=url)["status"] == "scheduled"
    assert aiki_json("runs", "wake", run, url=url)["status"] == "queued"


@pytest.mark.parametrize("verb", ["cancel", "terminate"])
def test_a_run_is_ended_once(verb: str, url: str) -> None:
    run = aiki("runs", "start", "nobodys", "1.0.0", "--delay", "1d", url=url).stdout.strip()

    assert aiki("runs", verb, run, "--reason", "a mistake", url=url).returncode == 0
    again = aiki("runs", verb, run, url=url)

    assert aiki_json("runs", "show", run, url=url)["status"] == "cancelled"
    assert "it has ended" in again.stdout or "has ended" in again.stderr


def test_a_run_is_held_and_let_go(url: str) -> None:
    run = aiki("runs", "start", "nobodys", "1.0.0", url=url).stdout.strip()

    assert aiki("runs", "pause", run, "--reason", "the bank is down", url=url).stdout == f"Run {run} is paused.\n"
    assert "the bank is down" in aiki("runs", "show", run, url=url).stdout
    assert "it is held already" in aiki("runs", "pause", run, url=url).stdout
    assert f"aiki runs resume {run}" in aiki("runs", "wake", run, url=url).stdout
    assert f"aiki runs resume {run}" in aiki("runs", "show", run, url=url).stdout
    assert aiki_json("runs", "resume", run, url=url) == {"id": run, "status": "queued", "changed": True}
    assert "it is not paused" in aiki("runs", "resume", run, url=url).stdout


def test_a_failed_run_is_tried_again(url: str) -> None:
    run = aiki("runs", "start", "restaurant-order", "1.0.0", ORDER, "--timeout", "1", url=url).stdout.strip()
    watched(run, url)

    assert f"aiki runs retry {run}" in aiki("runs", "requeue", run, url=url).stdout
    assert aiki("runs", "retry", run, url=url).stdout == f"Run {run} is tried again.\n"
    watched(run, url)

    assert aiki_json("runs", "show", run, url=url)["attempt"] == 2
    aiki("runs", "terminate", run, url=url)


def test_many_runs_are_steered_by_filters_and_counted(url: str) -> None:
    for _ in range(3):
        aiki("runs", "start", "nobody", "1", "--tag", "batch=a", url=url)
    other = aiki("runs", "start", "nobody", "1", url=url).stdout.strip()

    cancelled = aiki("runs", "cancel", "--tag", "batch=a", "--reason", "enough", url=url).stdout
    again = aiki_json("runs", "terminate", "--tag", "batch=a", url=url)
    counted = aiki_json("runs", "count", "--workflow", "nobody", url=url)

    assert cancelled.startswith("3 of 3 runs: cancel. Job ")
    assert (again["is_done"], again["seen"], again["changed"]) == (True, 0, 0)
    assert counted == {"total": 4, "by_status": {"cancelled": 3, "queued": 1}}
    assert aiki("runs", "count", "--status", "queued", "--workflow", "nobody", url=url).stdout.split() == [
        "queued",
        "1",
        "in",
        "all",
        "1",
    ]
    aiki("runs", "cancel", other, url=url)


def test_without_an_id_and_filters_no_run_is_meant(url: str) -> None:
    refused = aiki("runs", "terminate", url=url)
    both = aiki("runs", "cancel", UNKNOWN, "--all", url=url)

    assert (refused.returncode, both.returncode) == (1, 1)
    assert "or filters for many, such as --workflow" in refused.stderr
    assert "not both" in both.stderr


def test_workers_and_workflows_are_listed(url: str) -> None:
    workers, workflows = aiki("workers", "list", url=url).stdout, aiki("workflows", "list", url=url).stdout

    assert "restaurant-order 1.0.0" in workers
    assert "restaurant-accepted" in workflows
    assert aiki_json("workers", "list", url=url)["workers"][0]["pid"] > 0


def test_groups_that_can_only_list_do_so_without_the_word(url: str) -> None:
    assert aiki("workers", url=url).stdout.split()[:3] == ["worker", "host", "pid"]
    assert aiki_json("workflows", url=url)["versions"]
    assert "list" in aiki("workers", "--help", url=url).stdout


def test_a_run_is_shown_by_the_beginning_of_its_id_or_reference(url: str) -> None:
    run = aiki("runs", "start", "nobodys", "1.0.0", "--reference-id", "named-4711", url=url).stdout.strip()
    aiki("runs", "start", "nobodys", "1.0.0", "--reference-id", "named-47110", url=url)

    assert aiki_json("runs", "show", run[:30], url=url)["id"] == run
    assert (
        aiki_json("runs", "show", "named-4711", url=url)["id"] == run
    )  # the one that bears it, though another begins so
    several = shell.run("runs", "show", "named-47", AIKI_URL=url)
    assert several.returncode == 1
    assert f"  {run}  nobodys 1.0.0  named-4711\n" in several.stderr
    none = shell.run("runs", "show", "unheard-of", AIKI_URL=url)
    assert none.returncode == 1
    assert "no run has an id or a reference id that begins with 'unheard-of'" in none.stderr


def test_a_mistyped_workflow_or_version_is_told_what_was_meant(url: str) -> None:
    mistyped = aiki("runs", "start", "restaurant-ordr", "1.0.0", ORDER, url=url)
    assert "Did you mean restaurant-order? aiki runs cancel " + mistyped.stdout.strip() in mistyped.stderr
    unserved = aiki("runs", "start", "restaurant-order", "1.0.9", ORDER, url=url)
    assert "Served are restaurant-order 1.0.0." in unserved.stderr


def test_the_fleet_is_seen_at_a_glance(url: str) -> None:
    aiki("runs", "start", "nobodys", "1.0.0", "{}", url=url)

    shown = aiki("top", url=url).stdout

    assert re.search(r"nobodys 1\.0\.0: \d+, served by nobody", shown)
    assert re.search(r"\d+ of \d+ runs", shown)
    assert aiki_json("top", url=url)["runs"]["queued"] >= 1


def test_what_is_stalled_is_seen_however_much_has_failed_since(tmp_path: Path) -> None:
    with dev(tmp_path, program=NEEDY) as service:
        stalled = aiki("runs", "start", "stalls", "1.0.0", url=service.url).stdout.strip()
        service.wait_for(rf"{stalled}  stalled")
        for _ in range(5):
            failed = aiki("runs", "start", "fails", "1.0.0", url=service.url).stdout.strip()
            service.wait_for(rf"{failed}  failed")

        needy = aiki_json("top", url=service.url)["needy"]["runs"]

    assert [run["status"] for run in needy] == ["stalled", *["failed"] * 4]


def test_a_fleet_in_a_narrow_terminal_has_a_line_for_each_thing(url: str) -> None:
    for columns in (40, 60, 80):
        shown = on_a_terminal(columns, "top", url=url)
        assert max(map(len, shown)) <= columns
        assert sum("runs" in line for line in shown if " of " in line) >= 1


def on_a_terminal(columns: int, *typed: str, url: str) -> list[str]:
    """Return the first picture of a command that draws anew, and end it with q."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "LINES"}}
    process = subprocess.Popen(
        [shell.SCRIPTS / "aiki", *typed],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment, "AIKI_URL": url, "TERM": "xterm", "NO_COLOR": "1"},
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    try:
        while select.select([ours], [], [], 0.5 if b"Workers" in shown else 20)[0]:
            shown += os.read(ours, 65_536)
            if len(shown) > 60_000:
                break
        os.write(ours, b"q")
        process.wait(10)
    finally:
        process.kill()
        os.close(ours)
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip() for line in shown.decode().split("\n")]


def test_the_fleet_of_no_server_is_refused_in_the_words_that_were_typed() -> None:
    refused = aiki("top", url=NOWHERE)

    assert refused.returncode == 1
    assert refused.stderr.startswith(f"aiki top: no Aiki server at {NOWHERE}")


def test_what_a_run_has_done_is_drawn_as_a_timeline(url: str) -> None:
    run = aiki("runs", "start", "restaurant-order", "1.0.0", ORDER, url=url).stdout.strip()
    aiki("runs", "cancel", run, url=url)

    shown = aiki("runs", "watch", run, url=url)

    assert re.search(r"task .*█.*done", shown.stdout)
    assert shown.returncode == 1, "it has not completed"


@pytest.mark.parametrize("status", ["awaiting event", "awaits event", "awaiting-event", "Awaiting_Event"])
def test_a_status_may_be_typed_as_it_is_shown(status: str, url: str) -> None:
    assert aiki("runs", "list", "--status", status, url=url).returncode == 0


def test_a_tag_may_be_typed_as_it_is_shown(url: str) -> None:
    run = aiki("runs", "start", "nobodys", "1.0.0", "--tag", "city:ghent", url=url).stdout.strip()

    assert [found["id"] for found in aiki_json("runs", "list", "--tag", "city=ghent", url=url)["runs"]] == [run]
    aiki("runs", "cancel", run, url=url)


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_a_shell_learns_to_complete_commands(name: str) -> None:
    script = aiki("completion", name, url=NOWHERE).stdout

    assert "schedules" in script
    assert "deactivate" in script


def test_a_list_is_narrowed_and_continued(url: str) -> None:
    for number in range(3):
        aiki("runs", "start", "listed", "1.0.0", "--tag", f"number={number}", url=url)

    found = aiki_json("runs", "list", "--workflow", "listed", "--limit", "2", url=url)
    rest = aiki_json("runs", "list", "--workflow", "listed", "--cursor", found["next_cursor"], url=url)
    (tagged,) = aiki_json("runs", "list", "--tag", "number=1", url=url)["runs"]

    assert len({run["id"] for run in [*found["runs"], *rest["runs"]]}) == 3
    assert tagged["workflow"] == "listed"
    assert aiki_json("runs", "list", "--workflow", "listed", "--status", "completed", url=url)["runs"] == []
    lines = aiki("runs", "list", "--workflow", "listed", url=url).stdout.splitlines()
    assert lines[0].split()[:3] == ["run", "status", "workflow"]
    assert [line.split()[1] for line in lines[1:]] == ["queued"] * 3


@pytest.mark.parametrize(
    "typed",
    [
        ["list"],
        ["show", UNKNOWN],
        ["start", "nobodys", "1.0.0"],
        ["start", "nobodys", "1.0.0", "{no json"],
        ["send", UNKNOWN, "news", "1"],
        ["wake", UNKNOWN],
        ["requeue", UNKNOWN],
        ["cancel", UNKNOWN],
        ["terminate", UNKNOWN],
        ["pause", UNKNOWN],
        ["resume", UNKNOWN],
        ["retry", UNKNOWN],
    ],
    ids=lambda typed: " ".join(typed[:1]),
)
def test_with_json_exactly_one_document_is_printed_refused_or_not(typed: list[str], url: str) -> None:
    done = aiki("runs", *typed, "--json", url=url)

    document = json.loads(done.stdout)
    assert (done.returncode == 0) == ("error" not in document)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["show", UNKNOWN], f"no run {UNKNOWN}"),
        (["show", "o-1"], "begins with 'o-1'"),
        (["start", "nobodys", "1.0.0", "{no json"], "the input is no JSON"),
        (["start", "nobodys", "1.0.0", "[1]"], "the input is no object"),
        (["start", "nobodys", "1.0.0", "--delay", "soon"], "--delay is 'soon'"),
        (["start", "nobodys", "1.0.0", "--tag", "x"], "write name=value"),
        (["list", "--status", "sleepy"], "there are scheduled, queued"),
        (["start", "nobodys", '{"name": "Ada"}'], "The version comes first"),
        (["list", "--limit", "0"], "from 1 to 500"),
        (["start", "restaurant-order", "1.0.0", '{"order": 1}'], "does not fit at $.order"),
    ],
    ids=lambda case: " ".join(case) if isinstance(case, list) else "",
)
def test_what_is_refused_is_told_in_one_line_with_status_1(typed: list[str], told: str, url: str) -> None:
    done = aiki("runs", *typed, url=url)

    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr
    assert done.stderr.startswith(f"aiki runs {typed[0]}: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("typed", [["show"], ["list", "--nonsense"], ["sow", "x"], ["list", "--limit", "many"]])
def test_what_is_typed_wrongly_has_status_2(typed: list[str]) -> None:
    done = aiki("runs", *typed, url=NOWHERE)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_with_no_server_it_says_so_and_how_to_start_one() -> None:
    done = aiki("runs", "list", url=NOWHERE)

    assert done.returncode == 1
    assert done.stderr == f"aiki runs list: no Aiki server at {NOWHERE}. Start one: aiki dev\n"


@pytest.mark.parametrize(
    "command",
    ["list", "show", "start", "send", "wake", "pause", "resume", "cancel", "terminate", "requeue", "retry"],
)
def test_help_teaches_with_an_example(command: str) -> None:
    done = aiki("runs", command, "--help", url=NOWHERE)

    assert done.returncode == 0
    assert f"    aiki runs {command}" in done.stdout
    assert done.stdout.count("--json") >= 1
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_ctrl_c_ends_a_wait_without_a_word(url: str) -> None:
    run = aiki("runs", "start", "nobodys", "1.0.0", url=url).stdout.strip()
    done = subprocess.run(
        [
            "timeout",
            "--signal=INT",
            "4",
            "sh",
            "-c",
            f"exec {shell.SCRIPTS / 'aiki'} runs show {run} --watch --url {url}",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 124
    assert "Traceback" not in done.stderr
