"""`aiki schedules` as it is typed, against one `aiki dev`."""

import json
import urllib.request
from collections.abc import Iterator

import pytest

from tests.cli.service import Service, aiki, aiki_json, dev


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("served")) as service:
        yield service


@pytest.fixture(scope="module")
def url(served: Service) -> str:
    return served.url


def activate(url: str, name: str, **changed: str) -> None:
    body = {"workflow": "nobodys", "version": "1", "cron": "0 9 * * MON-FRI", **changed}
    asked = urllib.request.Request(f"{url}/v1/schedules/{name}", json.dumps(body).encode(), method="PUT")
    with urllib.request.urlopen(asked, timeout=20) as answer:
        assert answer.status == 200


def test_a_schedule_is_listed_shown_and_steered(url: str) -> None:
    activate(url, "daily")

    assert "At 09:00 on Monday through Friday, UTC" in aiki("schedules", "list", url=url).stdout
    assert aiki("schedules", "pause", "daily", url=url).stdout == "Schedule daily is paused.\n"
    assert "it is not active" in aiki("schedules", "pause", "daily", url=url).stdout
    assert aiki("schedules", "resume", "daily", url=url).stdout == "Schedule daily goes on.\n"
    run = aiki("schedules", "trigger", "daily", url=url).stdout.strip()
    shown = aiki("schedules", "show", "daily", url=url).stdout
    assert run in shown
    assert "nobodys 1" in shown
    assert aiki_json("runs", "list", "--schedule", "daily", url=url)["runs"][0]["id"] == run
    assert aiki("schedules", "deactivate", "daily", url=url).stdout == "Schedule daily is removed; its runs stay.\n"
    assert "none of this name" in aiki("schedules", "deactivate", "daily", url=url).stdout


def test_each_answer_is_one_document_with_json(url: str) -> None:
    activate(url, "weekly", cron="@weekly", overlap="skip")

    assert aiki_json("schedules", "list", url=url)["schedules"][0]["name"] == "weekly"
    assert len(aiki_json("schedules", "show", "weekly", url=url)["next"]) == 5
    assert aiki_json("schedules", "pause", "weekly", url=url) == {"name": "weekly", "changed": True}
    assert aiki_json("schedules", "trigger", "weekly", url=url)["changed"]
    assert aiki_json("schedules", "trigger", "weekly", url=url) == {"name": "weekly", "run_id": None, "changed": False}
    assert aiki_json("schedules", "show", "none", url=url)["error"]["code"] == "schedule_not_found"


def test_what_is_not_there_is_told_in_words(url: str) -> None:
    done = aiki("schedules", "show", "none", url=url)

    assert done.returncode == 1
    assert done.stderr.startswith("aiki schedules show: there is no schedule none")
