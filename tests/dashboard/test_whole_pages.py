"""Overview, workflows, schedules, workers and bulk jobs, in a browser."""

import re
from collections.abc import Callable
from typing import Final
from uuid import UUID

import pytest
from playwright.sync_api import Page, Route, expect

from tests.dashboard.conftest import Shop
from tests.dashboard.test_safety import CONTRAST, XSS

JOB_ID: Final = str(UUID(int=0x01920000_0000_7000_8000_0000000000AA))
RUN_ADDRESS: Final = re.compile(r"/runs/[0-9a-f-]{36}")
PATHS: Final = (
    "overview",
    "workflows",
    "workflows?name=restaurant-order",
    "schedules",
    "schedules/hourly",
    "workers",
    "jobs",
)


@pytest.fixture(scope="module", autouse=True)
def asked(shop: Shop) -> None:
    """A schedule, and a job."""
    body = {"workflow": "nightly-report", "version": "3.0.0", "input": {"pages": 1}, "every_ms": 3_600_000}
    shop.put("v1/schedules/hourly", body)
    shop.start("inventory", {"shelf": "B-12"})
    shop.post("v1/runs/pause", {"id": JOB_ID, "reason": "stock-taking", "filter": {"workflow": "inventory"}})


def test_the_start_page_leads_to_what_needs_a_person(page: Page) -> None:
    page.goto("")

    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.locator(".needy").get_by_role("link", name=re.compile("stalled.*stock-count")).first.click()
    expect(page).to_have_url(RUN_ADDRESS)
    page.go_back()
    page.get_by_role("button", name="15 min").click()
    expect(page).to_have_url(re.compile("window=15m"))
    expect(page.get_by_role("img", name=re.compile("^Ended: .*failed"))).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("^invoice-archive"))).to_be_visible()
    page.get_by_role("link", name=re.compile("^Stalled")).click()
    expect(page).to_have_url(re.compile("status=stalled"))


def test_a_queue_that_nobody_serves_needs_a_person(page: Page) -> None:
    page.goto("overview")

    page.locator(".needy").get_by_role(
        "link", name=re.compile("unserved invoice-archive 1.0.0 .*no worker serves them")
    ).click()

    expect(page).to_have_url(re.compile("status=queued&workflow=invoice-archive"))
    expect(page.locator("table.runs tbody tr")).to_have_count(1)


def test_a_number_leads_to_just_the_runs_that_it_counts(page: Page) -> None:
    page.goto("overview?window=15m")
    tile = page.get_by_role("link", name=re.compile("^Failed"))
    expect(tile).to_be_visible()
    counted = tile.locator("b").inner_text()
    tile.click()

    expect(page).to_have_url(re.compile("status=failed&since=15m&by=finished"))
    expect(page.get_by_label("Which time")).to_have_value("finished")
    expect(page.locator("table.runs tbody tr")).to_have_count(int(counted))


def test_keys_lead_to_every_page(page: Page) -> None:
    page.goto("runs")
    expect(page.get_by_role("heading", level=1)).to_have_text("Runs")

    for key, title in (("f", "Workflows"), ("s", "Schedules"), ("w", "Workers"), ("b", "Bulk jobs"), ("o", "Overview")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.get_by_role("heading", level=1)).to_have_text(title)


def test_a_workflow_tells_of_its_versions_and_how_long_runs_take(page: Page, shop: Shop) -> None:
    ended = shop.get("v1/runs/count?workflow=refund&status=completed&status=failed")["by_status"]
    page.goto("workflows")
    row = page.locator("tbody tr").filter(has_text="refund")
    expect(row).to_contain_text(f"{100 * ended['failed'] / sum(ended.values()):.0f} %")
    expect(row.get_by_role("img", name=re.compile("durations"))).to_be_visible()
    expect(page.locator("tbody tr").filter(has_text="invoice-archive")).to_contain_text("nobody")

    page.get_by_role("link", name="restaurant-order").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("restaurant-order")
    page.get_by_text("Event restaurant-accepted").click()
    expect(page.get_by_text('"#/$defs/Acceptance"')).to_be_visible()
    page.get_by_role("link", name="Its runs").click()
    expect(page).to_have_url(re.compile("workflow=restaurant-order"))


def test_a_run_is_started_from_the_form_of_its_input(page: Page) -> None:
    page.goto("workflows")
    page.get_by_role("button", name="Start refund").click()
    page.get_by_label("Reference id").fill("refund-from-form")
    page.get_by_label("Delay").fill("soon")
    page.get_by_label("Tags").fill("kind:form")
    page.get_by_label("order_id").fill("order-1")
    page.get_by_label("reason").fill("cold food")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Delay: write seconds")

    page.get_by_label("Delay").fill("2h")
    page.get_by_role("button", name="Start", exact=True).click()

    expect(page).to_have_url(RUN_ADDRESS)
    expect(page.get_by_role("heading", level=1)).to_have_text("refund-from-form")
    expect(page.locator(".badge.is-scheduled").first).to_be_visible()


def test_an_input_may_be_written_as_json_and_what_is_wrong_is_said(new_page: Callable[..., Page], shop: Shop) -> None:
    page = new_page(shop, expected="Failed to load resource")
    page.goto("workflows?name=ledger")
    page.get_by_role("button", name="Start a run").click()
    page.get_by_role("button", name="Write JSON").click()
    written = page.get_by_label("Value, as JSON")
    written.fill('{"entries": "many"}')
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("entries")

    written.fill('{"entries": 1}')
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page).to_have_url(RUN_ADDRESS)


def test_a_schedule_is_made_paused_resumed_triggered_and_removed(page: Page) -> None:
    page.goto("schedules")
    page.get_by_role("button", name="New schedule").click()
    page.get_by_label("Name").fill("weekdays")
    page.get_by_label("Cron expression").fill("30 2 * * 1-5")
    page.get_by_label("Starts").select_option("ledger 1.0.0")
    page.get_by_label("entries").fill("1")
    page.get_by_role("button", name="Create").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("weekdays")
    expect(page.locator(".run-why")).to_contain_text("02:30")
    expect(page.locator(".ticks li")).to_have_count(5)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("None while it is paused.")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".ticks li")).to_have_count(5)
    page.get_by_role("button", name="Trigger").click()
    expect(page).to_have_url(RUN_ADDRESS)
    page.goto("schedules/weekdays")
    expect(page.get_by_role("link", name="All of its runs")).to_be_visible()
    page.get_by_role("button", name="Deactivate").click()
    page.locator("dialog").get_by_role("button", name="Deactivate").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Schedules")
    expect(page.get_by_role("link", name="weekdays")).to_have_count(0)


def test_a_worker_says_what_it_executes_and_how_far_that_is(page: Page) -> None:
    page.goto("workers")

    expect(page.get_by_role("heading", name="shop-worker-1")).to_be_visible()
    expect(page.get_by_role("meter", name=re.compile("long-export.* has done"))).to_be_visible()
    page.get_by_role("link", name=re.compile("^long-export")).click()
    expect(page).to_have_url(RUN_ADDRESS)


def test_an_address_of_nothing_says_so_in_a_browser(new_page: Callable[..., Page], shop: Shop) -> None:
    page = new_page(shop, expected="404")
    answer = page.goto("nope")

    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    page.get_by_role("link", name="All runs").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Runs")


def test_a_schedule_whose_name_is_taken_is_replaced_once_a_person_says_so(
    new_page: Callable[..., Page], shop: Shop
) -> None:
    page = new_page(shop, expected="409")
    page.goto("schedules")
    for cron, refused in (("0 1 * * *", False), ("0 2 * * *", True)):
        page.goto("schedules")
        page.get_by_role("button", name="New schedule").click()
        expect(page.get_by_label("Name")).to_be_focused()
        page.keyboard.type("taken")
        page.get_by_label("Cron expression").fill(cron)
        page.get_by_label("Starts").select_option("ledger 1.0.0")
        page.get_by_label("entries").fill("1")
        page.get_by_role("button", name="Create", exact=True).click()
        if refused:
            expect(page.get_by_role("alert")).to_contain_text("taken is a schedule already, with another definition")
            page.get_by_role("button", name="Replace it").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("taken")
    assert "0 2 * * *" in str(shop.get("v1/schedules/taken"))


def test_numbers_of_a_workflow_say_of_which_runs_they_are(page: Page) -> None:
    page.goto("workflows")

    expect(page.get_by_role("columnheader", name="p50 last 100")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Failed all kept")).to_be_visible()


def test_the_busiest_worker_is_the_same_on_both_pages_and_cards_keep_their_places(page: Page) -> None:
    """Busy is who holds the larger share of what it can hold, not who holds more."""
    held = {"anna": 4, "bert": 1, "cleo": 0}
    capacity = {"anna": 10, "bert": 2, "cleo": 10}

    def answer(route: Route) -> None:
        common = {"announced_at_ms": 1, "heard_at_ms": 1, "versions": []}
        named = [{"session_id": name, "name": name, "held": held[name], "capacity": capacity[name]} for name in held]
        route.fulfill(json={"workers": [one | common for one in named]})

    page.route("**/v1/workers*", answer)
    page.goto("")
    rows = page.get_by_role("table").filter(has_text="Worker, the busiest first").locator("tbody tr")
    expect(rows).to_have_text([re.compile("^bert.*50 %"), re.compile("^anna.*40 %"), re.compile("^cleo.*0 %")])

    page.goto("workers")
    cards = page.locator(".worker header")
    expect(cards).to_have_text(["anna", "bertbusiest", "cleo"])
    held["cleo"] = 9
    expect(cards).to_have_text(["anna", "bert", "cleobusiest"], timeout=20_000)


def test_a_bulk_job_says_what_became_of_its_runs(page: Page) -> None:
    page.goto("jobs")

    job = page.locator(".job").filter(has_text="stock-taking")
    expect(job).to_contain_text("workflow inventory")
    expect(job.locator(".badge")).to_have_text("completed")
    expect(job).to_contain_text("Looked at1")


@pytest.mark.parametrize("options", [{"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 800}}])
def test_pages_are_readable_in_the_dark_and_on_a_phone(
    new_page: Callable[..., Page], shop: Shop, options: dict[str, object]
) -> None:
    shop.start("w" * 150, {}, "9." + "0" * 98, reference_id="r" * 150)  # as long as may be, without a place to break
    page = new_page(shop, **options)
    for path in PATHS:
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.locator(".loading")).to_have_count(0)

        assert page.evaluate(CONTRAST) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_what_strangers_name_is_text_on_these_pages_too(page: Page, shop: Shop) -> None:
    for text in XSS:
        shop.start(text[:150], {}, text[:100], reference_id=f"whole {text[:100]}")
    for path in PATHS:
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.locator(".loading")).to_have_count(0)
    page.goto("workflows")
    page.get_by_role("link", name=XSS[0], exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(XSS[0])

    assert page.evaluate("window.hurt") is None
