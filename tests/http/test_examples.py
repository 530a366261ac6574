"""The applications of `examples/`, each with its real framework, served by uvicorn in a process of its own."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from aiki import Client, workflow
from tests.house.sources import ROOT

APPLICATIONS: Final = {
    "starlette": "starlette_app:app",
    "fastapi": "fastapi_app:app",
    "litestar": "litestar_app:app",
    "django": "django_app.asgi:application",
}
LINES_MAX: Final = 100
END_S: Final = 20
RUNS: Final = re.compile(r"running on (?P<url>http://\S+)")


class Application:
    """A process that serves an example: its address, and what it has said."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stderr is not None
        said = ""
        for _ in range(LINES_MAX):
            line = process.stderr.readline()
            said += line
            if found := RUNS.search(line):
                self.url = found["url"].replace("127.0.0.1", "localhost")
                return
        raise AssertionError(said)

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, f"{self.url}{path}", json=body) as answer,
        ):
            return answer.status, await answer.json(content_type=None)

    def end(self) -> str:
        """End it as an operator does, and return what it has said."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=END_S)[1]


@pytest.fixture(params=APPLICATIONS)
def application(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Application]:
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "--port", "0", "--app-dir", ROOT / "examples", APPLICATIONS[request.param]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Application(process)
    finally:
        process.kill()
        process.communicate()


async def test_an_application_starts_runs_and_its_own_worker_completes_them(application: Application) -> None:
    status, started = await application.ask("POST", "/orders", {"order_id": "o-1", "amount": 20})
    assert status == 201, started
    run_id = started["run_id"]

    answer = await application.ask("POST", f"/orders/{run_id}/approval")

    assert answer == (200, ["o-1 reserved", "approved by Ada", "o-1 billed at 20"])
    status, info = await application.ask("GET", f"/aiki/v1/runs/{run_id}")
    assert (status, info["status"]) == (200, "completed")
    said = await asyncio.to_thread(application.end)
    assert "Traceback" not in said, said
    assert "CRITICAL" not in said, said


async def test_the_api_of_an_application_is_whole_under_its_path(application: Application) -> None:
    order = workflow("order")

    @order.version("1.0.0")
    async def order_v1(run: Any, order: Any) -> Any:
        raise AssertionError("it is served there, not here")

    status, document = await application.ask("GET", "/aiki/openapi.json")
    assert (status, document["servers"]) == (200, [{"url": "/aiki"}])
    assert (await application.ask("GET", "/aiki/readyz"))[0] == 200
    status, refused = await application.ask("GET", "/aiki/v1/runs", Host="shop.example")
    assert (status, refused["path"]) == (403, "Host")
    async with Client(f"{application.url}/aiki") as client:
        handle = await order_v1.start(client, {"order_id": "o-2", "amount": 7})
        await client.runs.get(handle.id)
        assert (await handle.wait_for_status("completed", timeout=0.1)).timed_out
        assert (await application.ask("POST", f"/aiki/v1/runs/{handle.id}/events/approved", "Bo"))[0] == 200
        assert (await handle.result(timeout=20))[1] == "approved by Bo"
