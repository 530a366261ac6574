"""Finding runs in the list, and opening them, in a browser."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.dashboard.conftest import Shop


def _rows(page: Page) -> Locator:
    return page.locator("table.runs tbody tr")


def test_the_end_of_a_reference_leads_to_its_whole(page: Page, shop: Shop) -> None:
    shop.order("order-99281")
    page.goto("runs")
    field = page.get_by_role("searchbox")
    expect(field).to_have_attribute("placeholder", "Begins with: reference or run id")

    field.fill("99281")
    expect(page.get_by_role("heading", name="No reference or id begins with 99281")).to_be_visible()
    page.get_by_role("link", name="order-99281").click()

    expect(_rows(page)).to_have_count(1)
    page.goto("runs")
    expect(_rows(page).first).to_be_visible()
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Search").fill("99281")
    expect(page.get_by_text("Nothing begins with 99281")).to_be_visible()
    expect(page.get_by_role("option", name=re.compile("order-99281"))).to_be_visible()


def test_a_search_in_a_narrowed_list_says_that_it_is_narrowed(page: Page, shop: Shop) -> None:
    page.goto("runs?q=order-4711&workflow=refund")
    expect(page.get_by_text("None of those that fit the rest of the filter.")).to_be_visible()

    page.get_by_role("button", name="Search all runs").click()

    expect(_rows(page)).to_have_count(1)


def test_a_click_anywhere_on_a_row_opens_its_run(page: Page, shop: Shop) -> None:
    page.goto("runs?q=order-4711")
    _rows(page).locator(".cell-choose").click()
    expect(page).to_have_url(re.compile("q=order-4711"))

    with page.context.expect_page() as opened:
        _rows(page).locator(".cell-waits").click(modifiers=["Control"])
    expect(opened.value).to_have_url(re.compile(f"runs/{shop.runs['order']}"))
    expect(page).to_have_url(re.compile("q=order-4711"))
    _rows(page).locator(".cell-waits").click()

    expect(page).to_have_url(re.compile(f"runs/{shop.runs['order']}"))


def test_why_a_run_failed_or_waits_is_said_from_its_useful_part_on(page: Page, shop: Shop) -> None:
    page.goto("runs?status=failed&workflow=refund")
    why = _rows(page).first.locator(".waits-why")
    expect(page.get_by_role("columnheader", name="Why")).to_be_visible()
    expect(why).to_have_text(re.compile(r"^decline[-_]card: card of order-46\d\d was declined"))
    expect(why).to_have_attribute("title", re.compile("failed after 1 attempt"))

    page.goto("runs?workflow=invoice-archive")
    expect(_rows(page).first.locator(".cell-waits")).to_have_text("a worker")


def test_a_tag_adds_to_the_filter_and_a_wrong_one_says_what_is_wrong(page: Page, shop: Shop) -> None:
    page.goto("runs?workflow=restaurant-order&status=awaiting_event")
    field = page.get_by_label("Tag", exact=True)
    _rows(page).locator(".tag", has_text="city:berlin").first.click()
    expect(page).to_have_url(
        re.compile(r"(?=.*workflow=restaurant-order)(?=.*status=awaiting_event)(?=.*tag=city%3Aberlin)")
    )

    field.fill("city")
    field.press("Enter")
    expect(field).to_have_js_property("validationMessage", "A tag has a name and a value: write city:value")
    field.fill("kind=report")
    field.press("Enter")

    expect(page).to_have_url(re.compile("tag=kind%3Areport"))


def test_a_status_has_room_and_its_box_stands_beside_it(page: Page) -> None:
    page.goto("runs?status=awaiting_event")
    cell = _rows(page).first.locator(".cell-status")
    assert cell.evaluate("(one) => one.scrollWidth <= one.clientWidth")

    box, badge = _rows(page).first.get_by_role("checkbox").bounding_box(), cell.locator(".badge").bounding_box()

    assert box is not None
    assert badge is not None
    assert abs(box["y"] + box["height"] / 2 - badge["y"] - badge["height"] / 2) <= 1.5
