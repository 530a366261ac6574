"""A browser for each module, a shop for all tests, and a page for each, which has to stay silent."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.house.sources import ROOT

CHROMIUM: Final = os.environ.get("AIKI_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
MISSING: Final = (
    "these tests drive a real browser, and there is no chromium. Debian: apt-get install chromium. Elsewhere: name a Chrome"
    " or Chromium in AIKI_CHROMIUM."
)
ARGUMENTS: Final = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run"]
TIMEOUT_MS: Final = 15_000


class Shop:
    """The server that pages are looked at from.

    Attributes:
        url: where its dashboard is.
        runs: ids of some of its runs, by what they are.
    """

    def __init__(self, url: str, runs: dict[str, str]) -> None:
        self.url = url
        self.runs = runs

    def post(self, path: str, body: Any, method: str = "POST") -> Any:
        headers = {"content-type": "application/json"}
        request = Request(f"{self.url}/{path}", json.dumps(body).encode(), headers, method=method)
        with urlopen(request) as answer:
            return json.load(answer)

    def put(self, path: str, body: Any) -> Any:
        return self.post(path, body, method="PUT")

    def get(self, path: str) -> Any:
        with urlopen(f"{self.url}/{path}") as answer:
            return json.load(answer)

    def start(self, workflow: str, given: Any, version: str = "1.0.0", **options: Any) -> str:
        body = {"workflow": workflow, "version": version, "input": given, "options": options}
        return str(self.post("v1/runs", body)["run_id"])

    def order(self, reference_id: str) -> str:
        """Start an order, which waits for its restaurant."""
        given = {"order": {"order_id": reference_id, "customer_id": "ada"}}
        return self.start("restaurant-order", given, "2.1.0", reference_id=reference_id)


@contextmanager
def open_shop(base: str = "", api_key: str = "") -> Iterator[Shop]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.dashboard.served", base, api_key],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        said = json.loads(process.stdout.readline())
        yield Shop(said["url"], said["runs"])
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


# Of a module and no longer: while it is there, an event loop runs in this thread, and no test that is a coroutine can.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.fail(MISSING, pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shop() -> Iterator[Shop]:
    with open_shop() as shop:
        yield shop


@pytest.fixture
def new_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Make pages that have nothing to complain of: no error, no refusal by the policy, no dialog."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def make(shop: Shop, *, expected: str = "", **options: Any) -> Page:
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 860}, "base_url": f"{shop.url}/", **options}
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)

        def hear(text: str) -> None:
            if not expected or expected not in text:
                complaints.append(text)

        page.on("console", lambda said: hear(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: hear(str(error)))
        page.on("dialog", lambda dialog: hear(f"a dialog: {dialog.message}"))
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(new_page: Callable[..., Page], shop: Shop) -> Page:
    return new_page(shop)
