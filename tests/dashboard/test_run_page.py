"""One run, in a browser: what it says, and every button."""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Shop

ENTRIES: Final = 10_000
ROWS_MAX: Final = 150  # elements that a list may hold, however long it is


def _open(page: Page, run_id: str, query: str = "") -> None:
    page.goto(f"runs/{run_id}{query}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def _status(page: Page, word: str) -> None:
    expect(page.locator(".run-title .badge").first).to_have_text(word)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("order", r"It waits 3 h 5\d min more for restaurant-accepted, or its timeout at .*\d\d:\d\d"),
        ("delivering", r"It waits for child [0-9a-f]{8} to end\."),
        (
            "retrying",
            r"It tries reserve-courier.* again in .*, at .*\d\d:\d\d.*, after 1 failed attempt: ConnectionError: dispatch",
        ),
        ("failed", r"It failed after .*: task decline-card failed after 1 attempt"),
        ("completed", r"It completed in .*, .* ago"),
        ("exporting", r"It is being executed by shop-worker-1\."),
        ("stalled", r"It needs a person: the code waits for something that cannot happen"),
        ("scheduled", r"It starts in 8 h 5\d min, at "),
        ("queued", r"waits for a worker: no worker serves invoice-archive 1\.0\.0 yet"),
        ("cancelled", r"It was cancelled after .*the customer called: wrong address"),
    ],
)
def test_one_sentence_says_why_it_is_where_it_is(page: Page, shop: Shop, named: str, said: str) -> None:
    _open(page, shop.runs[named])

    expect(page.locator(".run-why")).to_have_text(re.compile(said))


def test_the_timeline_shows_each_step_and_what_became_of_it(page: Page, shop: Shop) -> None:
    _open(page, shop.runs["failed"])
    rows = page.locator(".timeline-row")

    expect(rows).to_have_count(2)
    expect(rows.filter(has_text="decline-card")).to_have_class(re.compile("is-failed"))
    rows.filter(has_text="decline-card").get_by_role("button").click()
    expect(page.get_by_label("The chosen step")).to_contain_text("insufficient funds")
    expect(page).to_have_url(re.compile("step=2"))


def test_each_attempt_of_a_task_is_shown_with_what_became_of_it(page: Page, shop: Shop) -> None:
    _open(page, shop.runs["delivering"])
    row = page.locator(".timeline-row").filter(has_text="charge-card")

    expect(row.locator(".bar:not(.wait, .queue)")).to_have_count(3)
    expect(row.locator(".bar.is-failed").first).to_have_attribute(
        "title", re.compile("^attempt 1, .*: TimeoutError: the bank did not answer")
    )
    row.get_by_role("button").click()
    tries = page.get_by_label("The chosen step").locator(".tries li")
    expect(tries).to_have_count(3)
    expect(tries.first).to_contain_text("TimeoutError: the bank did not answer within 5 s")
    expect(tries.last).to_contain_text("completed")


def test_an_attempt_that_failed_is_known_before_the_next_one(page: Page, shop: Shop) -> None:
    _open(page, shop.runs["retrying"])

    row = page.locator(".timeline-row").filter(has_text="reserve-courier")
    expect(row.locator(".bar.is-failed")).to_have_count(1)
    expect(row).to_contain_text("left")


def test_history_names_the_worker_that_took_it(page: Page, shop: Shop) -> None:
    page.goto(f"runs/{shop.runs['failed']}?tab=history")

    expect(page.get_by_text("was started, and shop-worker-1 took it at once")).to_be_visible()
    expect(page.locator(".run-facts")).to_contain_text("shop-worker-1")


def test_the_timeline_is_narrowed_to_what_failed_and_by_name(page: Page, shop: Shop) -> None:
    _open(page, shop.runs["failed"])
    rows = page.locator(".timeline-row")
    expect(rows).to_have_count(2)

    page.get_by_role("button", name=re.compile("^failed")).click()
    expect(rows).to_have_count(1)
    page.get_by_role("button", name=re.compile("^failed")).click()
    page.get_by_label("Find a step by name").fill("check")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("check-address")


def test_the_timeline_is_zoomed_and_walked_with_keys(page: Page, shop: Shop) -> None:
    _open(page, shop.runs["report"])
    bar = page.locator(".timeline-row .bar:not(.queue)").first
    expect(bar).to_be_visible()
    before = bar.evaluate("bar => parseFloat(bar.style.width)")
    style = bar.get_attribute("style")

    page.keyboard.press("+")
    expect(bar).not_to_have_attribute("style", style or "")
    assert bar.evaluate("bar => parseFloat(bar.style.width)") > 1.5 * before
    page.keyboard.press("0")
    page.keyboard.press("j")
    expect(page.get_by_label("The chosen step")).to_contain_text("render-page")


def test_a_task_that_is_executed_shows_its_progress(page: Page, shop: Shop) -> None:
    _open(page, shop.runs["exporting"])

    expect(page.get_by_role("group", name="the progress")).to_contain_text(re.compile(r'"of": 10000'))


def test_an_error_shows_its_traceback_and_the_input_that_led_to_it(page: Page, shop: Shop) -> None:
    _open(page, shop.runs["failed"])
    outcome = page.get_by_label("Outcome")

    expect(outcome).to_contain_text("raise")
    expect(outcome).to_contain_text('"reason": "card declined"')


@pytest.mark.parametrize(
    ("tab", "said"),
    [
        ("journal", "charge-card"),
        ("data", "charge-frances"),
        ("messages", "restaurant-accepted"),
        ("children", "courier-delivery"),
        ("history", "its code waits"),
    ],
)
def test_each_part_shows_what_the_run_holds(page: Page, shop: Shop, tab: str, said: str) -> None:
    _open(page, shop.runs["delivering"], f"?tab={tab}")

    expect(page.get_by_role("tabpanel")).to_contain_text(said)


def test_an_event_that_nobody_took_is_shown_as_unread(page: Page, shop: Shop) -> None:
    _open(page, shop.runs["order"], "?tab=messages")

    row = page.get_by_role("row").filter(has_text="customer-called")
    expect(row).to_contain_text("unread")
    expect(row).to_contain_text("where is my food?")


def test_parent_and_child_lead_to_one_another(page: Page, shop: Shop) -> None:
    _open(page, shop.runs["delivering"], "?tab=children")
    page.get_by_role("link", name=re.compile("courier-delivery")).click()
    _status(page, "sleeping")

    page.get_by_role("link", name=re.compile("^parent")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("order-47"))


def test_an_event_is_sent_with_a_form_from_its_schema(page: Page, shop: Shop) -> None:
    _open(page, shop.order("order-form"))
    _status(page, "awaits event")

    page.get_by_role("button", name="Send event").click()
    page.get_by_label("estimated_minutes").fill("25")
    page.get_by_role("button", name="Send", exact=True).click()

    _status(page, "awaits child")


def test_what_does_not_fit_is_refused_with_the_servers_words(new_page: Callable[..., Page], shop: Shop) -> None:
    page = new_page(shop, expected="400")
    _open(page, shop.order("order-misfit"))
    page.get_by_role("button", name="Send event").click()
    page.get_by_role("button", name="Write JSON").click()
    page.get_by_label("Value, as JSON").fill('{"estimated_minutes": "soon"}')
    page.get_by_role("button", name="Send", exact=True).click()

    expect(page.locator(".toast")).to_contain_text("estimated_minutes")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_a_failed_run_shows_its_input_first_and_of_its_traceback_the_authors_own_call(page: Page, shop: Shop) -> None:
    _open(page, shop.runs["failed"])
    outcome = page.get_by_label("Outcome")
    traceback = outcome.locator(".traceback").first

    assert outcome.inner_text().index("card declined") < outcome.inner_text().index("TaskFailed")
    expect(traceback).to_contain_text("fleet.py")
    expect(traceback).not_to_contain_text("aiki/worker")
    traceback.get_by_role("button", name="Show all").click()
    expect(traceback).to_contain_text("aiki/worker")
    assert page.evaluate(
        "[...document.querySelectorAll('.outcome, .outcome pre')].every(box => box.scrollHeight <= box.clientHeight + 1)"
    )


def test_a_run_that_was_started_again_and_the_one_it_came_from_name_each_other(
    new_page: Callable[..., Page], shop: Shop
) -> None:
    given = {"request": {"order_id": "order-7", "reason": "declined"}}
    run_id = shop.start("refund", given, "1.3.0", reference_id="refund-7001")
    shop.start("refund", given, "1.3.0", reference_id="refund-7001-2")
    page = new_page(shop, expected="409")
    _open(page, run_id)
    page.get_by_role("button", name="Start again, edited").click()
    page.get_by_label("reason").fill("cold food")
    expect(page.get_by_label("Reference id")).to_have_value("refund-7001-3")
    page.get_by_label("Reference id").fill("refund-7001-2")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("refund-7001-2 is the reference id of another run already")
    expect(page.get_by_role("alert").get_by_role("link", name="another run")).to_be_visible()
    page.get_by_label("Reference id").fill("refund-7001-3")
    page.get_by_role("button", name="Start", exact=True).click()

    expect(page.get_by_role("heading", level=1)).to_have_text("refund-7001-3")
    facts = page.locator(".run-facts")
    expect(facts).to_contain_text("Started again fromrefund-7001")
    facts.get_by_role("link", name="refund-7001", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("refund-7001")
    expect(facts).to_contain_text("Started again asrefund-7001-3")


def test_what_is_shown_of_a_server_that_is_gone_says_so_above_all_else(
    new_page: Callable[..., Page], shop: Shop
) -> None:
    page = new_page(shop, expected="ERR_FAILED")
    _open(page, shop.runs["exporting"])
    page.route("**/v1/**", lambda route: route.abort())

    expect(page.get_by_text("What is shown may be old.")).to_be_visible(timeout=30_000)
    note, title = page.locator(".stale").bounding_box(), page.get_by_role("heading", level=1).bounding_box()
    assert note is not None
    assert title is not None
    assert note["y"] < title["y"]


def test_a_run_that_has_not_started_says_when_it_was_created(page: Page, shop: Shop) -> None:
    _open(page, shop.runs["scheduled"])

    expect(page.locator(".run-facts")).to_contain_text("Created")
    expect(page.locator(".run-facts")).not_to_contain_text("Started")


@pytest.mark.parametrize("width", [1280, 900, 420])
def test_labels_of_the_axis_neither_touch_nor_are_cut(new_page: Callable[..., Page], shop: Shop, width: int) -> None:
    page = new_page(shop, viewport={"width": width, "height": 800})
    _open(page, shop.runs["report"], "?scale=true")
    expect(page.locator(".timeline-axis .tick").first).to_be_visible()

    for _ in range(4):
        spans = page.evaluate(
            "[...document.querySelectorAll('.timeline-axis .tick')].map(tick => [tick.offsetLeft, tick.offsetLeft + tick.offsetWidth])"
        )
        width_px = page.evaluate("document.querySelector('.timeline-axis .track').clientWidth")
        assert all(left[1] <= right[0] for left, right in pairwise(spans)), spans
        assert all(right <= width_px for _, right in spans)
        page.keyboard.press("+")


def test_a_step_whose_attempts_failed_counts_as_failed_too(page: Page, shop: Shop) -> None:
    _open(page, shop.runs["delivering"])
    rows = page.locator(".timeline-row")

    expect(page.get_by_role("button", name=re.compile("^failed ?1$"))).to_be_visible()
    page.get_by_role("button", name=re.compile("^failed")).click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("charge-card")


def test_it_is_started_again_with_its_input_corrected(page: Page, shop: Shop) -> None:
    _open(page, shop.runs["failed"])

    page.get_by_role("button", name="Start again, edited").click()
    page.get_by_label("reason").fill("cold food")
    page.get_by_role("button", name="Start", exact=True).click()

    expect(page).not_to_have_url(re.compile(shop.runs["failed"]))
    _status(page, "completed")


def test_cancel_asks_first_and_tells_the_reason(page: Page, shop: Shop) -> None:
    _open(page, shop.order("order-cancel"))
    page.get_by_role("button", name="Cancel").click()
    page.get_by_label("Reason").fill("changed their mind")
    page.locator("dialog").get_by_role("button", name="Cancel").click()

    _status(page, "cancelled")
    expect(page.locator(".run-why")).to_contain_text("changed their mind")


def test_terminate_ends_it_at_once(page: Page, shop: Shop) -> None:
    _open(page, shop.order("order-terminate"))
    page.get_by_label("More that can be done").click()
    page.get_by_role("menuitem", name="Terminate").click()
    page.locator("dialog").get_by_role("button", name="Terminate").click()

    _status(page, "cancelled")


def test_pause_holds_it_and_resume_lets_it_go(page: Page, shop: Shop) -> None:
    _open(page, shop.order("order-pause"))
    page.get_by_role("button", name="Pause").click()
    page.locator("dialog").get_by_role("button", name="Pause").click()
    _status(page, "paused")

    page.get_by_role("button", name="Resume").click()
    _status(page, "awaits event")


def test_a_paused_run_says_since_when_what_for_and_what_it_waits_for_then(page: Page, shop: Shop) -> None:
    run_id = shop.order("order-held")
    _open(page, run_id)
    page.get_by_role("button", name="Pause").click()
    page.get_by_label("Reason").fill("hold it")
    page.locator("dialog").get_by_role("button", name="Pause").click()
    _status(page, "paused")

    why = page.locator(".run-why")
    expect(why).to_have_text(
        re.compile(
            r"^It was paused (now|\d+ s ago): hold it; once resumed, it waits 3 h 5\d min more for restaurant-accepted"
        )
    )
    page.get_by_role("tab", name="History").click()
    expect(page.get_by_role("tabpanel")).to_contain_text("somebody paused it: “hold it”")
    page.get_by_role("tab", name="Messages").click()
    expect(page.get_by_role("row").filter(has_text="pause")).to_contain_text("hold it")


def test_wake_ends_a_sleep(page: Page, shop: Shop) -> None:
    run_id = shop.start("courier-delivery", {"order": {"order_id": "order-wake", "customer_id": "ada"}})
    _open(page, run_id)
    _status(page, "sleeping")

    page.get_by_role("button", name="Wake").click()

    _status(page, "completed")


def _places(page: Page) -> dict[str, tuple[int, int]]:
    boxes = {}
    for button in page.locator(".actions > .button, .actions .menu > .button").all():
        box = button.bounding_box()
        assert box is not None
        boxes[button.get_attribute("aria-label") or button.inner_text()] = (
            round(box["x"]),
            round(box["x"] + box["width"]),
        )
    return boxes


def test_no_button_that_ends_a_run_comes_where_another_one_was(page: Page, shop: Shop) -> None:
    given = {"order": {"order_id": "order-places", "customer_id": "ada"}}
    run_id = shop.start("courier-delivery", given)
    _open(page, run_id)
    _status(page, "sleeping")
    asleep = _places(page)
    page.get_by_role("button", name="Pause").click()
    page.locator("dialog").get_by_role("button", name="Pause").click()
    _status(page, "paused")
    held = _places(page)
    page.get_by_role("button", name="Resume").click()
    _status(page, "sleeping")
    page.get_by_role("button", name="Wake").click()
    _status(page, "completed")
    ended = _places(page)

    assert list(asleep) == ["Cancel", "Wake", "Pause", "More that can be done"]
    assert held["Resume"] == asleep["Pause"] == ended["Start again, edited"]
    assert held["Cancel"] == asleep["Cancel"]
    assert {"Cancel", "Terminate"}.isdisjoint(ended)
    assert asleep["Cancel"][1] < asleep["Wake"][0]


def test_what_ends_a_run_at_once_is_reached_by_keyboard_in_the_menu_alone(page: Page, shop: Shop) -> None:
    _open(page, shop.order("order-menu"))
    _status(page, "awaits event")
    expect(page.get_by_role("button", name="Terminate")).to_have_count(0)

    page.get_by_label("More that can be done").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Retry")).to_be_disabled()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")

    expect(page.get_by_role("dialog")).to_contain_text("its code cleans up nothing")


def test_a_task_between_attempts_says_when_the_next_is_where_one_would_hurry_it(page: Page, shop: Shop) -> None:
    _open(page, shop.runs["retrying"])

    expect(page.get_by_role("button", name="Wake")).to_be_disabled()
    expect(page.locator(".actions")).to_contain_text(
        re.compile(r"next attempt is at .*\d\d:\d\d.*: waking does not hurry it")
    )


def test_requeue_takes_a_stalled_run_up_again(page: Page, shop: Shop) -> None:
    _open(page, shop.start("stock-count", {"shelf": "C-3"}), "?tab=history")
    _status(page, "stalled")

    page.get_by_role("button", name="Requeue").click()

    expect(page.get_by_role("tabpanel")).to_contain_text("somebody put it back into its queue")
    _status(page, "stalled")


def test_retry_tries_a_failed_run_again(page: Page, shop: Shop) -> None:
    run_id = shop.start("refund", {"request": {"order_id": "order-1", "reason": "declined"}}, "1.3.0")
    _open(page, run_id)
    _status(page, "failed")

    page.get_by_role("button", name="Retry", exact=True).click()
    page.locator("dialog").get_by_role("button", name="Retry").click()

    expect(page.locator(".run-facts")).to_contain_text("Attempt")
    _status(page, "failed")


def test_the_journal_is_downloaded_as_json(page: Page, shop: Shop) -> None:
    _open(page, shop.runs["report"], "?tab=journal")
    with page.expect_download() as downloading:
        page.get_by_role("button", name="JSON").click()

    assert '"entries"' in downloading.value.path().read_text(encoding="utf-8")


def test_a_run_that_is_not_there_says_so(new_page: Callable[..., Page], shop: Shop) -> None:
    page = new_page(shop, expected="404")
    page.goto("runs/0190a000-0000-7000-8000-00000000dead")

    expect(page.get_by_role("heading", name="There is no such run")).to_be_visible()


def test_ten_thousand_entries_cost_what_fifty_do(page: Page, shop: Shop) -> None:
    run_id = shop.start("ledger", {"entries": ENTRIES})
    _open(page, run_id, "?tab=journal")
    lines = page.locator(".journal-lines")
    expect(page.get_by_role("tabpanel")).to_contain_text(f"{ENTRIES:,} entries", timeout=60_000)

    lines.evaluate("lines => lines.scrollTo(0, lines.scrollHeight)")
    expect(page.get_by_text(f"entry-{ENTRIES - 1}", exact=True)).to_be_visible()
    assert page.locator(".journal-line").count() < ROWS_MAX

    page.keyboard.press("1")
    expect(page.locator(".timeline-row").first).to_be_visible()
    assert page.locator(".timeline-row").count() < ROWS_MAX
    page.get_by_label("Find a step by name").fill(f"entry-{ENTRIES - 1}")
    expect(page.locator(".timeline-row")).to_have_count(1)
