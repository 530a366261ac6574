"""What somebody asks who has nothing but the address: each is answered from the start page, by what can be seen there."""

import re

from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Shop


def _start(page: Page) -> None:
    page.goto("")
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_which_run_is_order_4711_and_why_does_it_wait_and_until_when(page: Page, shop: Shop) -> None:
    _start(page)
    page.get_by_role("button", name="Search").click()
    page.keyboard.type("order-4711")
    page.get_by_role("option", name=re.compile("awaits event restaurant-order order-4711")).click()

    expect(page).to_have_url(re.compile(shop.runs["order"]))
    expect(page.locator(".run-why")).to_have_text(
        re.compile(r"waits 3 h 5\d min more for restaurant-accepted, or its timeout at .*\d\d:\d\d")
    )


def test_what_failed_last_night_and_with_which_input_and_start_that_again_corrected(page: Page) -> None:
    _start(page)
    page.get_by_role("button", name="24 hours").click()
    page.get_by_role("link", name=re.compile("^Failed")).click()
    rows = page.locator("table.runs tbody tr")
    expect(rows.filter(has_text="refund-4601")).to_contain_text("insufficient funds")
    rows.get_by_role("link", name="refund-4601").click()
    expect(page.get_by_label("Outcome")).to_contain_text('"reason": "card declined"')

    page.get_by_role("button", name="Start again, edited").click()
    page.get_by_label("reason").fill("cold food")
    page.get_by_role("dialog").get_by_role("button", name="Start", exact=True).click()

    expect(page.locator(".run-title .badge")).to_have_text("completed")
    expect(page.get_by_label("Outcome")).to_contain_text('"reason": "cold food"')


def test_which_worker_is_busiest(page: Page) -> None:
    _start(page)

    table = page.get_by_role("table").filter(has_text="Worker, the busiest first")
    expect(table.locator("tbody tr").first).to_contain_text(re.compile(r"shop-worker-1\d+ %\d+ of \d+\d+ task"))
