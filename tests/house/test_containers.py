"""The files for containers are in order, as far as linters see: no Docker engine is asked for."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiki.config import SETTINGS
from tests.house.sources import ROOT

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command", [["hadolint", "Dockerfile"], ["compose-lint", "docker-compose.yml"]], ids=["Dockerfile", "compose"]
)
def test_a_linter_finds_nothing_that_matters(command: list[str]) -> None:
    done = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_runs_as_nobody_in_particular_and_tells_whether_it_is_well() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")

    assert re.search(r"^USER [1-9]\d*$", text, re.MULTILINE)
    assert "HEALTHCHECK" in text
    assert 'CMD ["server"' in text


def test_the_fleet_has_postgres_redis_a_migration_two_servers_and_a_worker() -> None:
    services = compose()["services"]

    assert set(services) >= {"postgres", "redis", "migrate", "server-1", "server-2", "web", "worker"}
    for name in ("server-1", "server-2"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert all(port.startswith("127.0.0.1:") for port in services[name]["ports"])


def test_no_secret_stands_in_the_fleet_and_each_is_asked_for_in_the_example() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{(\w+):\?", text))

    assert set(re.findall(r"\$\{(\w+)", text)) == asked, "each without a default, so that none is forgotten"
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+)=$", example, re.MULTILINE)) == asked
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_what_is_set_in_the_fleet_is_a_setting() -> None:
    known = {setting.variable for setting in SETTINGS}
    known |= {"AIKI_DATABASE", "AIKI_REDIS", "AIKI_API_KEYS", "AIKI_API_KEY", "AIKI_URL"}

    for service in compose()["services"].values():
        assert {name for name in service.get("environment", {}) if name.startswith("AIKI_")} <= known


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return found
