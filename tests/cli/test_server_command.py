"""`aiki server` as it is typed: what it says, what it refuses, and that a kill costs nothing."""

import re
import signal
from pathlib import Path

import pytest

from tests.cli.service import Service, aiki, aiki_json


def test_it_says_a_line_when_it_begins_and_one_when_it_ends_and_none_for_a_request(tmp_path: Path) -> None:
    with Service("server", "--port", "0", folder=tmp_path) as server:
        assert aiki("runs", "list", url=server.url).returncode == 0
        server.interrupt()

        assert server.end() == 130
    assert re.fullmatch(
        r"\S+  Aiki serves aiki\.db on http://localhost:\d+\. Ctrl-C stops it\.\n\S+  Aiki stops\. All runs are in aiki\.db\.\n",
        server.output,
    )


def test_a_port_that_is_taken_is_refused_with_who_holds_it(tmp_path: Path) -> None:
    with Service("server", "--port", "0", folder=tmp_path) as server:
        port = server.url.rpartition(":")[2]
        with Service("server", "--port", port, "--database", "other.db", folder=tmp_path) as second:
            assert second.end() == 1

    assert f"port {port} is taken by process {server.process.pid}" in second.output
    assert "Stop it, or take another port" in second.output
    assert second.output.count("\n") == 1


def test_a_database_in_use_is_refused_with_its_process_and_address(tmp_path: Path) -> None:
    with Service("server", "--port", "0", folder=tmp_path) as server:
        url = server.url
        with Service("server", "--port", "0", folder=tmp_path) as second:
            assert second.end() == 1

    assert f"process {server.process.pid} serves" in second.output
    assert f"Use its server at {url}" in second.output


def test_beyond_loopback_it_asks_for_keys_or_a_word(tmp_path: Path) -> None:
    with Service("server", "--port", "0", "--host", "0.0.0.0", folder=tmp_path) as server:
        assert server.end() == 1

    assert "--insecure" in server.output
    assert "API keys" in server.output


def test_whoever_has_no_key_is_refused_and_whoever_has_one_is_served(tmp_path: Path) -> None:
    key = aiki("server", "--new-key", url="").stdout.strip()
    with Service("server", "--port", "0", "--host", "0.0.0.0", folder=tmp_path, AIKI_API_KEYS=key) as server:
        stranger = aiki("runs", "list", url=server.url)
        friend = aiki("runs", "list", url=server.url, AIKI_API_KEY=key)

    assert (stranger.returncode, friend.returncode) == (1, 0)
    assert "AIKI_API_KEY" in stranger.stderr
    assert key not in server.output


def test_a_unix_socket_serves_as_a_port_does(tmp_path: Path) -> None:
    with Service("server", "--unix", str(tmp_path / "a.sock"), folder=tmp_path) as server:
        server.wait_for("Aiki serves")

        assert aiki("runs", "list", url=f"unix://{tmp_path}/a.sock").returncode == 0


@pytest.mark.parametrize("database", ["postgres://elsewhere/aiki", "no/such/folder/aiki.db"])
def test_a_database_that_cannot_be_used_is_refused_in_one_line(database: str, tmp_path: Path) -> None:
    with Service("server", "--port", "0", "--database", database, folder=tmp_path) as server:
        assert server.end() == 1

    assert "Traceback" not in server.output
    assert server.output.count("\n") == 1


def test_a_server_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    with Service("server", "--port", "0", folder=tmp_path) as server:
        started = aiki_json("runs", "start", "hello", "1.0.0", url=server.url)
        server.process.send_signal(signal.SIGKILL)
        assert server.end() == -signal.SIGKILL
    with Service("server", "--port", "0", folder=tmp_path) as again:
        assert aiki_json("runs", "show", started["id"], url=again.url)["status"] == "queued"


def test_a_key_opens_what_its_role_may(tmp_path: Path) -> None:
    key = aiki("server", "--new-key", url="").stdout.strip()
    with Service("server", "--port", "0", folder=tmp_path, AIKI_API_KEYS=f"viewer={key}") as server:
        reading = aiki("runs", "list", url=server.url, AIKI_API_KEY=key)
        starting = aiki("runs", "start", "order", "1.0.0", "{}", url=server.url, AIKI_API_KEY=key)

    assert (reading.returncode, starting.returncode) == (0, 1)


def test_a_role_that_is_none_is_refused_without_telling_the_key(tmp_path: Path) -> None:
    key = aiki("server", "--new-key", url="").stdout.strip()
    with Service("server", "--port", "0", folder=tmp_path, AIKI_API_KEYS=f"boss={key}") as server:
        assert server.end() == 1

    assert "viewer, operator, worker or admin" in server.output
    assert key not in server.output


def test_every_setting_is_an_option_and_one_out_of_bounds_is_refused_by_its_name(tmp_path: Path) -> None:
    with Service("server", "--port", "0", "--lease-ms", "6000", folder=tmp_path) as server:
        assert aiki("runs", "list", url=server.url).returncode == 0
    with Service("server", "--port", "0", "--lease-ms", "1", folder=tmp_path) as refused:
        assert refused.end() == 1
    with Service("server", "--port", "0", "--leese-ms", "6000", folder=tmp_path) as unknown:
        assert unknown.end() == 1

    assert "lease_ms is 1, and must be from" in refused.output
    assert "Did you mean --lease-ms?" in unknown.output
