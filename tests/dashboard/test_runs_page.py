"""The list of runs, in a browser."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Shop


def _rows(page: Page):  # type: ignore[no-untyped-def]
    return page.locator("table.runs tbody tr")


def test_every_run_is_there_with_its_status(page: Page, shop: Shop) -> None:
    page.goto("runs?limit=200")

    expect(page.locator("tbody .badge.is-stalled").first).to_have_text("stalled")
    for status in (
        "failed",
        "running",
        "queued",
        "awaiting_retry",
        "awaiting_event",
        "sleeping",
        "scheduled",
        "completed",
    ):
        expect(page.locator(f"tbody .badge.is-{status}").first).to_be_visible()


def test_a_status_narrows_the_list_and_stands_in_the_address(page: Page) -> None:
    page.goto("runs")
    chip = page.get_by_role("button", name=re.compile("^failed"))
    expect(chip).to_contain_text(re.compile("[1-9]"))

    chip.click()

    expect(page).to_have_url(re.compile(r"status=failed"))
    expect(_rows(page).locator(".badge:not(.is-failed)")).to_have_count(0)
    page.reload()
    expect(chip).to_have_attribute("aria-pressed", "true")
    expect(_rows(page).first.locator(".badge")).to_have_text("failed")


def test_a_reference_is_found_by_its_beginning(page: Page) -> None:
    page.goto("runs")

    page.get_by_role("searchbox").fill("order-4711")

    expect(_rows(page)).to_have_count(1)
    expect(page).to_have_url(re.compile("q=order-4711"))
    page.get_by_role("link", name=re.compile("restaurant-order")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("order-4711")


def test_a_workflow_a_version_a_tag_and_a_time_narrow_too(page: Page) -> None:
    page.goto("runs?limit=200")
    page.get_by_label("Workflow").select_option("nightly-report")
    page.get_by_label("Version").select_option("3.0.0")
    expect(_rows(page)).to_have_count(2)

    page.get_by_label("Tag", exact=True).fill("kind:report")
    page.get_by_label("Tag", exact=True).press("Enter")
    expect(_rows(page)).to_have_count(1)

    page.get_by_label("Time").select_option("15m")
    expect(page).to_have_url(re.compile("since=15m.*|.*tag=kind"))
    page.get_by_label("Not only kind:report").click()
    expect(_rows(page)).to_have_count(2)


def test_what_fits_nothing_says_so_and_leads_back(page: Page) -> None:
    page.goto("runs?q=nothing-like-it")

    expect(page.get_by_role("heading", name="No reference or id begins with nothing-like-it")).to_be_visible()
    page.get_by_role("button", name="Show all runs").click()
    expect(_rows(page).first).to_be_visible()


def test_a_run_that_starts_appears_by_itself(page: Page, shop: Shop) -> None:
    page.goto("runs")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()

    shop.order("order-live")

    expect(_rows(page).filter(has_text="order-live").locator(".badge")).to_have_text("awaits event")


def test_pages_follow_one_another_and_lead_back(page: Page) -> None:
    page.goto("runs?limit=50&workflow=restaurant-order")
    rows = _rows(page)
    expect(rows.first).to_be_visible()
    page.goto("runs?limit=50")
    older = page.get_by_role("button", name="Older")
    if older.is_enabled():
        first = rows.first.inner_text()
        older.click()
        expect(page).to_have_url(re.compile("cursor="))
        expect(rows.first).not_to_have_text(first)
        page.go_back()
        expect(page).not_to_have_url(re.compile("cursor="))


def test_sorting_says_that_it_is_of_this_page(page: Page) -> None:
    page.goto("runs")
    page.get_by_role("button", name="Duration").click()

    expect(page.locator(".paging")).to_contain_text("newest first; what is on this page by duration")
    took = page.locator("table.runs th[aria-sort=ascending]")
    expect(took).to_have_text("Duration")


def test_many_are_chosen_and_cancelled(page: Page, shop: Shop) -> None:
    for number in range(3):
        shop.order(f"order-many-{number}")
    page.goto("runs?q=order-many")
    expect(_rows(page).locator(".badge.is-awaiting_event")).to_have_count(3)

    page.get_by_label("Choose all on this page").check()
    page.get_by_role("region", name="Chosen runs").get_by_role("button", name="Cancel").click()
    page.get_by_label("Reason").fill("the oven is cold")
    page.locator("dialog").get_by_role("button", name="Cancel").click()

    expect(_rows(page).locator(".badge.is-cancelled")).to_have_count(3)


def test_all_that_fit_are_cancelled_as_a_job_however_many(page: Page, shop: Shop) -> None:
    shop.post("v1/runs", [{"workflow": "bulk-import", "version": "1.0.0", "input": {"n": n}} for n in range(60)])
    page.goto("runs?workflow=bulk-import")
    expect(_rows(page)).to_have_count(50)

    page.get_by_label("Choose all on this page").check()
    page.get_by_role("button", name="All 60 that fit").click()
    page.get_by_role("region", name="Chosen runs").get_by_role("button", name="Cancel").click()
    page.locator("dialog").get_by_role("button", name="Cancel").click()

    expect(page.locator(".toast").filter(has_text="done for 60 runs")).to_be_visible()
    expect(_rows(page).locator(".badge.is-cancelled")).to_have_count(50)


def test_a_view_is_saved_and_found_again(page: Page) -> None:
    page.goto("runs?status=failed")
    page.get_by_role("button", name="Views").click()
    page.get_by_role("menuitem", name="Save this view").click()
    page.get_by_label("Name").fill("What failed")
    page.get_by_role("button", name="Save", exact=True).click()

    page.goto("runs")
    page.get_by_role("button", name="Views").click()
    page.get_by_role("menuitem", name="What failed", exact=True).click()

    expect(page).to_have_url(re.compile("status=failed"))


def test_all_of_it_works_with_the_keyboard_alone(page: Page) -> None:
    page.goto("runs?status=failed")
    expect(_rows(page).first).to_be_visible()

    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.get_by_role("region", name="Chosen runs")).to_contain_text("1 run chosen")
    page.keyboard.press("Escape")
    expect(page.get_by_role("region", name="Chosen runs")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/runs/[0-9a-f-]{36}"))
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page).to_have_url(re.compile(r"/runs$"))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_palette_finds_a_run_and_a_page(page: Page) -> None:
    page.goto("runs")
    expect(_rows(page).first).to_be_visible()
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Search").fill("order-4711")
    expect(page.get_by_role("option", name=re.compile("order-4711"))).to_be_visible()
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text("order-4711")
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Search").fill("cancel")
    expect(page.get_by_role("option", name="Cancel: this run")).to_be_visible()


@pytest.mark.parametrize("path", ["runs", "runs/{order}", "runs/{failed}"])
def test_on_a_phone_nothing_reaches_beyond_the_screen(new_page: Callable[..., Page], shop: Shop, path: str) -> None:
    page = new_page(shop, viewport={"width": 375, "height": 740})
    page.goto(path.format(**shop.runs))
    expect(page.get_by_role("heading", level=1)).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
