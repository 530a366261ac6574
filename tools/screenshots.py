"""Makes docs/images/*.png: each page of the dashboard with the demo's fleet, light and dark; `make screenshots` calls it.

The rule: what is shown is what `aiki demo --fleet` shows; nothing is touched up, and nothing is large.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

ROOT: Final = Path(__file__).parents[1]
IMAGES: Final = ROOT / "docs" / "images"
CHROMIUM: Final = os.environ.get("AIKI_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
FILLED_MS: Final = 40_000
DRAWN_MS: Final = 1_500
BYTES_MAX: Final = 200_000
ORDERS_LOOKED_AT: Final = 30
PAGES: Final = {
    "overview": "overview?window=15m",
    "runs": "runs",
    "workflows": "workflows",
    "workflow": "workflows?name=restaurant-order",
    "schedules": "schedules",
    "schedule": "schedules/nightly-report",
    "workers": "workers",
    "jobs": "jobs",
}
WIDE: Final[ViewportSize] = {"width": 1280, "height": 800}
NARROW: Final[ViewportSize] = {"width": 390, "height": 800}


def main() -> None:
    """Start the fleet, look at each page, and end it."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    fleet = subprocess.Popen(
        [sys.executable, "-c", "import aiki_command; aiki_command.main()", "demo", "--fleet", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert fleet.stdout is not None
        url = next(found[0] for line in fleet.stdout if (found := re.search(r"http://\S+", line)))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            _ask_job(browser, url)
            _look(browser, url, scheme="light")
            _look(browser, url, scheme="dark")
            browser.close()
    finally:
        fleet.terminate()
        fleet.wait(timeout=30)


def _ask_job(browser: Browser, url: str) -> None:
    """Ask something of many runs, once there are some."""
    page = browser.new_page()
    page.goto(url)
    page.wait_for_timeout(FILLED_MS)
    body = {"reason": "the bank is back", "filter": {"workflow": "refund"}}
    page.request.post(f"{url}/v1/runs/retry", data={"id": "01920000-0000-7000-8000-0000000000aa", **body})
    page.close()


def _look(browser: Browser, url: str, *, scheme: Literal["light", "dark"]) -> None:
    context = browser.new_context(viewport=WIDE, color_scheme=scheme, base_url=f"{url}/")
    page = context.new_page()
    for name, path in {**PAGES, "run": f"runs/{_tried(page, url)}?step=4"}.items():
        page.goto(path)
        page.wait_for_timeout(DRAWN_MS)
        page.screenshot(path=IMAGES / f"{name}-{scheme}.png")
    if scheme == "light":
        page.set_viewport_size(NARROW)
        for name, path in {"overview": PAGES["overview"], "runs": "runs", "run": f"runs/{_tried(page, url)}"}.items():
            page.goto(path)
            page.wait_for_timeout(DRAWN_MS)
            page.screenshot(path=IMAGES / f"{name}-narrow.png")
    context.close()
    large = [path.name for path in IMAGES.glob("*.png") if path.stat().st_size > BYTES_MAX]
    assert not large, f"larger than {BYTES_MAX:,} bytes: {large}"


def _tried(page: Page, url: str) -> str:
    """Return an order that went well though the bank had to be asked more than once."""
    asked = f"{url}/v1/runs?workflow=restaurant-order&version=2.1.0&status=completed&limit={ORDERS_LOOKED_AT}"
    ids: list[str] = [run["id"] for run in page.request.get(asked).json()["runs"]]
    journals = ((run_id, page.request.get(f"{url}/v1/runs/{run_id}/journal").json()) for run_id in ids)
    return next((run_id for run_id, found in journals if any("tries" in entry for entry in found["entries"])), ids[0])


if __name__ == "__main__":
    main()
