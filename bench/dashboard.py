"""How quick the dashboard is: first paint of each page, pages of a list of a million runs, scrolling ten thousand steps.

    python -m bench.dashboard [--runs 1000000] [--json]

A real browser (chromium) looks at a server of its own over loopback. Each page is opened in a fresh profile, with nothing
cached, and again with what the first visit left. "All there" is when the last grey line has become content.
"""

import argparse
import asyncio
import json
import os
import platform
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, sync_playwright

import aiki

CHROMIUM: Final = os.environ.get("AIKI_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
RUNS: Final = 1_000_000
STEPS: Final = 10_000
VISITS: Final = 7
PAGES_TURNED: Final = 20
FRAMES: Final = 180
SCROLLED_PX: Final = 240
PAGES: Final = {
    "overview": "overview?window=24h",
    "runs": "runs",
    "run": "runs/{short}",
    "workflows": "workflows",
    "schedules": "schedules",
    "workers": "workers",
    "bulk jobs": "jobs",
}

PAINTED: Final = """() => new Promise((done) => {
  const all = () => document.querySelector("h1") && !document.querySelector(".loading, .boot");
  const tell = (there) => done({ painted: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? null, there });
  const look = () => (all() ? requestAnimationFrame(() => tell(performance.now())) : requestAnimationFrame(look));
  look();
})"""
TURNED: Final = """(name) => new Promise((done) => {
  const first = () => document.querySelector("table.runs tbody tr [data-run]")?.dataset.run;
  const before = first();
  const button = [...document.querySelectorAll(".paging button")].find((one) => one.textContent.trim() === name);
  const began = performance.now();
  const look = () => (first() && first() !== before && !document.querySelector(".is-stale") ? done(performance.now() - began) : requestAnimationFrame(look));
  button.click();
  look();
})"""
SCROLLED: Final = """([selector, frames, px]) => new Promise((done) => {
  const box = document.querySelector(selector);
  const took = [];
  let before = performance.now();
  let down = 1;
  const step = (now) => {
    took.push(now - before);
    before = now;
    if (took.length > frames) return done(took.slice(1));
    if (box.scrollTop + box.clientHeight >= box.scrollHeight) down = -1;
    box.scrollTop += down * px * (took.length % 40 === 0 ? 100 : 1);
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""

order = aiki.workflow("restaurant-order")
ledger = aiki.workflow("ledger")


@aiki.task
async def charge(number: int) -> int:
    """A task that does nothing but answer."""
    if number % 2:
        raise aiki.NonRetryable("the card was declined")
    return number


@order.version("2.1.0")
async def order_v2(run: aiki.Run, number: int) -> int:
    """A task, which fails for odd numbers."""
    return await charge.start(run, number)


@ledger.version("1.0.0")
async def ledger_v1(run: aiki.Run, entries: int) -> int:
    """So many steps."""
    for number in range(entries):
        await run.sleep(f"entry-{number}", 0)
    return entries


async def fill(file: Path, runs: int) -> dict[str, str]:
    """Make a database with one long run and so many that have ended; return ids of some."""
    async with aiki.local(str(file), workflows=[order_v2, ledger_v1]) as client:
        good = await order_v2.options(reference_id="order-good", tags={"city": "porto"}).start(client, 0)
        bad = await order_v2.options(reference_id="order-bad", tags={"city": "ghent"}).start(client, 1)
        long = await ledger_v1.start(client, STEPS)
        for handle in (good, bad, long):
            await handle.wait_for_status("completed")
    copy(file, good.id, bad.id, runs=runs)
    return {"long": long.id, "short": good.id}


def copy(file: Path, good: str, bad: str, *, runs: int) -> None:
    """Copy two runs many times over, one a second and each fiftieth the bad one, back from now."""
    database = sqlite3.connect(file)
    database.execute("PRAGMA synchronous = OFF")
    database.execute("CREATE TEMP TABLE copies AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
                     " SELECT i, CASE WHEN i % 50 THEN ? ELSE ? END AS source,"
                     " printf('01900000-0000-7000-8000-%012x', ? - i) AS id FROM n", (runs, good, bad, runs))  # fmt: skip
    earlier = {"created_at_ms", "started_at_ms", "finished_at_ms"}
    for table, key in (("runs", "id"), ("inputs", "run_id"), ("ends", "run_id")):
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        values = [
            "copies.id" if column == key
            else "'order-' || (4700 + copies.i)" if column == "reference_id"
            else f"{table}.{column} - copies.i * 1000" if column in earlier
            else f"{table}.{column}"
            for column in columns
        ]  # fmt: skip
        names, taken = ", ".join(columns), ", ".join(values)
        found = f"SELECT {taken} FROM copies JOIN {table} ON {table}.{key} = copies.source ORDER BY copies.i DESC"  # noqa: S608
        database.execute(f"INSERT INTO {table} ({names}) {found}")
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


@contextmanager
def served(file: Path) -> Iterator[str]:
    """Serve a database in a process of its own."""
    command = [sys.executable, "-c", "import aiki_command; aiki_command.main()", "server", "--port", "0"]
    server = subprocess.Popen(
        [*command, "--database", str(file)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert server.stdout is not None
    try:
        yield next(found[0] for line in server.stdout if (found := re.search(r"http://[^\s.]+", line)))
    finally:
        server.terminate()
        server.wait(timeout=30)


def visits(browser: Browser, url: str, path: str) -> dict[str, float]:
    """Open a page in fresh profiles, and load it once more in each."""
    seen: dict[str, list[float]] = {"cold paint": [], "cold all there": [], "warm paint": [], "warm all there": []}
    for _ in range(VISITS):
        context = browser.new_context(viewport={"width": 1280, "height": 860})
        page = context.new_page()
        for kind in ("cold", "warm"):
            if kind == "cold":
                page.goto(f"{url}/{path}", wait_until="commit")
            else:
                page.reload(wait_until="commit")
            told = page.evaluate(PAINTED)
            seen[f"{kind} paint"].append(told["painted"] or told["there"])
            seen[f"{kind} all there"].append(told["there"])
        context.close()
    return {kind: round(statistics.median(found), 1) for kind, found in seen.items()}


def pages_turned(page: Page, url: str) -> dict[str, float]:
    """Turn pages of the list, from the click to the rows."""
    page.goto(f"{url}/runs?limit=50")
    page.wait_for_selector("table.runs tbody tr")
    took = sorted(page.evaluate(TURNED, "Older") for _ in range(PAGES_TURNED))
    return {"median": round(statistics.median(took), 1), "worst": round(took[-1], 1)}


def frames(page: Page, address: str, selector: str) -> dict[str, float]:
    """Scroll a list for so many frames, now and then by far, and tell how long each took."""
    page.goto(address)
    page.wait_for_selector(f"{selector} button")
    page.wait_for_function(f"() => document.querySelector('{selector}').scrollHeight > {STEPS * 20}", timeout=60_000)
    took = sorted(page.evaluate(SCROLLED, [selector, FRAMES, SCROLLED_PX]))
    at = lambda part: round(took[int(part * (len(took) - 1))], 1)  # noqa: E731
    return {"median": at(0.5), "p95": at(0.95), "worst": at(1), "beyond 33 ms": sum(ms > 33.4 for ms in took)}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "many.db"
        named = asyncio.run(fill(file, asked.runs))
        with served(file) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            found: dict[str, Any] = {"runs": asked.runs, "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
            found["first paint, ms"] = {
                name: visits(browser, url, path.format(**named)) for name, path in PAGES.items()
            }
            page = browser.new_page(viewport={"width": 1280, "height": 860})
            found["a page of the list, ms"] = pages_turned(page, url)
            long = f"{url}/runs/{named['long']}"
            found["frames of the timeline, ms"] = frames(page, long, ".timeline-rows")
            found["frames of the journal, ms"] = frames(page, f"{long}?tab=journal", ".journal-lines")
            browser.close()
    print(json.dumps(found, indent=2) if asked.json else text(found))


def text(found: dict[str, Any]) -> str:
    """Return what was measured, as lines."""
    lines = []
    for name, value in found.items():
        if not isinstance(value, dict):
            lines.append(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}")
            continue
        lines.append(name)
        for row, cell in value.items():
            shown = ", ".join(f"{kind} {ms}" for kind, ms in cell.items()) if isinstance(cell, dict) else cell
            lines.append(f"  {row}: {shown}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
