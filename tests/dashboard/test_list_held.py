"""The list of runs under somebody's hands, in a browser: it stands still, and what was meant stays meant."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.dashboard.conftest import Shop


def _rows(page: Page) -> Locator:
    return page.locator("table.runs tbody tr")


def _orders(shop: Shop, name: str, number: int) -> list[str]:
    """Start orders that wait for their restaurant."""
    return [shop.order(f"{name}-{place}") for place in range(number)]


def _news(page: Page) -> Locator:
    return page.locator("button.news")


def test_all_that_fit_stays_all_while_runs_arrive(page: Page, shop: Shop) -> None:
    shop.post("v1/runs", [{"workflow": "held-import", "version": "1.0.0", "input": {"n": n}} for n in range(54)])
    page.goto("runs?workflow=held-import")
    expect(_rows(page)).to_have_count(50)
    chosen = page.get_by_role("region", name="Chosen runs")

    _rows(page).first.get_by_role("checkbox").check()
    expect(page.get_by_label("Choose all on this page")).to_have_js_property("indeterminate", value=True)
    chosen.get_by_role("button", name="All 54 that fit").click()
    expect(_rows(page).last.get_by_role("checkbox")).to_be_checked()
    shop.post("v1/runs", [{"workflow": "held-import", "version": "1.0.0", "input": {"n": n}} for n in range(5)])

    expect(_news(page)).to_have_text("5 new runs · show")
    expect(chosen.locator("b")).to_have_text("All 59 that fit", timeout=20_000)
    page.keyboard.press("Escape")
    expect(chosen).to_have_count(0)


def test_a_choice_keeps_its_runs_though_they_leave_the_page(page: Page, shop: Shop) -> None:
    first, *_ = _orders(shop, "order-leaves", 3)
    page.goto("runs?q=order-leaves&status=awaiting_event")
    expect(_rows(page)).to_have_count(3)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.get_by_label("Choose all on this page").check()

    shop.post(f"v1/runs/{first}/cancel", {})

    expect(_news(page)).to_have_text("1 run no longer here · show")
    expect(_rows(page)).to_have_count(3)
    expect(_rows(page).last.locator(".badge")).to_have_text("cancelled")
    expect(page.get_by_role("region", name="Chosen runs")).to_contain_text("3 runs chosen")
    page.keyboard.press(".")
    expect(_rows(page)).to_have_count(2)
    expect(page.get_by_role("region", name="Chosen runs")).to_contain_text("3 runs chosen")


def test_the_cursor_stays_with_its_run(page: Page, shop: Shop) -> None:
    _orders(shop, "order-walk", 3)
    page.goto("runs?q=order-walk")
    expect(_rows(page)).to_have_count(3)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("tr.is-at")).to_contain_text("order-walk-1")

    shop.order("order-walk-late")

    expect(_news(page)).to_have_text("1 new run · show")
    page.keyboard.press(".")
    expect(_rows(page)).to_have_count(4)
    expect(page.locator("tr.is-at")).to_contain_text("order-walk-1")
    page.keyboard.press("Escape")
    expect(page.locator("tr.is-at")).to_have_count(0)


def test_under_the_mouse_no_row_comes_or_moves_but_statuses_are_live(page: Page, shop: Shop) -> None:
    *_, last = _orders(shop, "order-under", 3)
    page.goto("runs?q=order-under")
    expect(_rows(page).locator(".badge.is-awaiting_event")).to_have_count(3)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    _rows(page).nth(1).hover()

    shop.order("order-under-late")
    shop.post(f"v1/runs/{last}/cancel", {})

    expect(_rows(page).first.locator(".badge")).to_have_text("cancelled")
    expect(_news(page)).to_have_text("1 new run · show")
    expect(_rows(page)).to_have_count(3)
    page.mouse.move(0, 0)
    expect(_rows(page)).to_have_count(4)
    expect(_rows(page).first).to_contain_text(re.compile("order-under-late"))
    expect(_news(page)).to_have_count(0)
