"""`aiki web` as it is typed: the dashboard for a server elsewhere, which has no powers of its own."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.service import Service, aiki

SHOWS: Final = r"shows \S+ on (http://localhost:\d+)\."
WAIT_S: Final = 20


def _ask(url: str, *, method: str = "GET", body: Any = None, **headers: str) -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data, {"content-type": "application/json", **named}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_it_shows_the_page_and_sends_on_what_the_page_asks(tmp_path: Path) -> None:
    with (
        Service("server", "--port", "0", folder=tmp_path) as server,
        Service("web", "--port", "0", "--url", server.url, folder=tmp_path) as web,
    ):
        url = web.wait_for(SHOWS)
        started = _ask(f"{url}/v1/runs", method="POST", body={"workflow": "o/ö", "version": "1", "input": {"a": "ä"}})

        assert started[0] == 201
        run_id = json.loads(started[1])["run_id"]
        assert json.loads(_ask(f"{server.url}/v1/runs/{run_id}")[1])["input"] == {"a": "ä"}
        assert json.loads(_ask(f"{url}/v1/runs?workflow=o/%C3%B6&limit=5")[1])["runs"][0]["id"] == run_id
        assert b"<base href" in _ask(f"{url}/runs/{run_id}")[1]
        assert _ask(f"{url}/v1/nowhere")[0] == 404
        assert _ask(f"{url}/nowhere")[0] == 404


def test_a_stream_is_one_here_too_and_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    with (
        Service("server", "--port", "0", folder=tmp_path) as server,
        Service("web", "--port", "0", "--url", server.url, folder=tmp_path) as web,
        urllib.request.urlopen(f"{web.wait_for(SHOWS)}/v1/stream", timeout=WAIT_S) as stream,
    ):
        assert stream.readline().startswith(b"id: ")
        while stream.readline().strip():
            pass
        aiki("runs", "start", "order", "1.0.0", url=server.url)
        assert stream.readline().startswith(b"id: ")

        web.interrupt()
        assert web.end() == 130


def test_a_server_that_is_not_there_is_told_as_a_problem(tmp_path: Path) -> None:
    with Service("web", "--port", "0", "--url", "http://localhost:1", folder=tmp_path) as web:
        status, body = _ask(f"{web.wait_for(SHOWS)}/v1/runs")

    assert (status, json.loads(body)["code"]) == (503, "unavailable")
    assert "http://localhost:1" in json.loads(body)["detail"]


@pytest.mark.parametrize(("host", "status"), [("localhost", 200), ("0.0.0.0", 401)])
def test_a_key_is_lent_to_this_machine_alone(tmp_path: Path, host: str, status: int) -> None:
    key = aiki("server", "--new-key", url="").stdout.strip()
    with (
        Service("server", "--port", "0", folder=tmp_path, AIKI_API_KEYS=key) as server,
        Service("web", "--port", "0", "--host", host, "--url", server.url, folder=tmp_path, AIKI_API_KEY=key) as web,
    ):
        url = web.wait_for(SHOWS)

        assert _ask(f"{url}/v1/runs")[0] == status
        assert _ask(f"{url}/v1/runs", authorization=f"Bearer {key}")[0] == 200


def test_pages_of_others_may_change_nothing_through_it(tmp_path: Path) -> None:
    with (
        Service("server", "--port", "0", folder=tmp_path) as server,
        Service("web", "--port", "0", "--url", server.url, folder=tmp_path) as web,
    ):
        url = web.wait_for(SHOWS)
        order = {"workflow": "order", "version": "1"}

        assert _ask(f"{url}/v1/runs", method="POST", body=order, origin="https://evil.example")[0] == 403
        assert _ask(f"{url}/v1/runs", host="evil.example")[0] == 403
        assert _ask(f"{url}/v1/runs", method="POST", body=order, origin=url)[0] == 201


def test_an_address_that_is_none_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with Service("web", "--port", "0", "--url", "ftp://x", folder=tmp_path) as web:
        assert web.end() == 1

    assert "give http://host:port" in web.output
    assert web.output.count("\n") == 1
