"""What the list and the palette say before they act, in a browser: how many, of what, and where to."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Shop


@pytest.mark.parametrize(
    ("typed", "option", "address"),
    [
        ("failed", "Runs: failed", r"runs\?status=failed"),
        ("shop-worker", "shop-worker-1", "workers"),
        ("asked-nightly", "asked-nightly", "schedules/asked-nightly"),
        ("customer-exp", "customer-export", r"workflows\?name=customer-export"),
    ],
)
def test_the_palette_goes_anywhere(page: Page, shop: Shop, typed: str, option: str, address: str) -> None:
    wanted = {"every_ms": 3_600_000, "workflow": "nightly-report", "version": "3.0.0", "input": {"pages": 4}}
    shop.put("v1/schedules/asked-nightly", wanted)
    page.goto("overview")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Search").fill(typed)

    page.get_by_role("option", name=option, exact=True).click()

    expect(page).to_have_url(re.compile(address))


def test_the_palette_starts_a_workflow(page: Page) -> None:
    page.goto("overview")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Search").fill("start refund")

    page.get_by_role("option", name="Start refund").click()

    expect(page.get_by_role("dialog", name="Start refund")).to_be_visible()


def test_who_is_asked_about_many_reads_how_many_and_which(page: Page, shop: Shop) -> None:
    shop.post("v1/runs", [{"workflow": "asked-import", "version": "1.0.0", "input": {"n": n}} for n in range(52)])
    page.goto("runs?workflow=asked-import&status=queued")
    page.get_by_label("Choose all on this page").check()
    page.get_by_role("button", name="All 52 that fit").click()
    page.get_by_role("region", name="Chosen runs").get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("workflow asked-import")
    expect(dialog).to_contain_text("status queued")

    dialog.get_by_role("button", name="Cancel 52 runs").click()

    expect(page.locator(".toast").filter(has_text="done for 52 runs")).to_be_visible()
    page.goto("jobs")
    page.locator("article").filter(has_text="asked-import").get_by_role("link", name="Runs that fit it now").click()
    expect(page).to_have_url(re.compile(r"(?=.*workflow=asked-import)(?=.*status=queued)"))


def test_chips_count_nothing_that_the_time_rules_out_and_times_are_labelled(page: Page) -> None:
    page.goto("runs?since=24h&by=finished")
    expect(page.get_by_role("button", name=re.compile(r"^completed\s*[1-9]"))).to_be_visible()
    expect(page.get_by_role("button", name="Open", exact=True)).to_be_visible()

    page.get_by_label("Time", exact=True).select_option("custom")

    expect(page.get_by_label("From", exact=True)).to_be_visible()
    expect(page.get_by_label("to", exact=True)).to_be_visible()
