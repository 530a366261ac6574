"""Who has no mouse, who is told what changes rather than sees it, and whom movement makes sick."""

from collections.abc import Callable
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Shop

STOPS_MAX: Final = 400
QUIET_MS: Final = 4_000
PATHS: Final = (
    "overview",
    "runs?status=failed",
    "runs/{failed}",
    "runs/{delivering}?tab=children",
    "workflows",
    "workflows?name=restaurant-order",
    "schedules",
    "workers",
    "jobs",
)

REACHABLE: Final = """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]
  .filter((one) => one.tabIndex >= 0 && !one.disabled && one.checkVisibility()).map((one, place) => ((one.dataset.stop = place), place))"""
FOCUSED: Final = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const style = getComputedStyle(one);
  const { top, bottom, width } = one.getBoundingClientRect();
  return { stop: Number(one.dataset.stop ?? -1), seen: style.outlineStyle !== "none" && width > 0 && bottom > 0 && top < innerHeight,
    what: one.outerHTML.slice(0, 120), dialog: Boolean(one.closest("dialog")) };
}"""
SAID: Final = """(ms) => new Promise((done) => {
  const said = [];
  const watching = new MutationObserver((changes) => said.push(...changes.map((one) => one.target.textContent)));
  for (const region of document.querySelectorAll("[aria-live], [role=status], [role=alert]")) watching.observe(region, { subtree: true, childList: true, characterData: true });
  setTimeout(() => done(said), ms);
})"""


def _drawn(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator(".loading")).to_have_count(0)


@pytest.mark.parametrize("path", PATHS)
def test_tab_reaches_all_that_can_be_used_and_shows_where_it_is(page: Page, shop: Shop, path: str) -> None:
    page.goto(path.format(**shop.runs))
    _drawn(page)
    wanted = set(page.evaluate(REACHABLE))
    assert 0 < len(wanted) < STOPS_MAX

    reached, unseen = set(), []
    for _ in range(len(wanted) + 20):
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUSED)
        if at is None:
            break
        reached.add(at["stop"])
        if not at["seen"]:
            unseen.append(at["what"])

    assert unseen == []
    assert len(wanted - reached) <= len(wanted) // 20  # what is live may be drawn anew meanwhile


@pytest.mark.parametrize(
    ("path", "button"),
    [
        ("runs/{failed}", "Start again, edited"),
        ("runs/{failed}", "Retry"),
        ("runs/{awaiting}", "Cancel"),
        ("workflows", "Start refund"),
        ("schedules", "New schedule"),
        ("runs", "Search"),
    ],
)
def test_a_dialog_keeps_the_focus_and_gives_it_back(page: Page, shop: Shop, path: str, button: str) -> None:
    page.goto(path.format(**shop.runs))
    _drawn(page)
    opener = page.get_by_role("button", name=button).first
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert page.evaluate(FOCUSED)["dialog"]

    for _ in range(30):
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUSED)
        assert at is None or at["dialog"], at  # None: the browser's own bar
    page.keyboard.press("Escape")

    expect(dialog).to_have_count(0)
    expect(opener).to_be_focused()


def test_a_menu_gives_the_focus_back_and_so_does_the_dialog_that_it_opens(page: Page) -> None:
    page.goto("runs")
    _drawn(page)
    views = page.get_by_role("button", name="Views")
    views.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(views).to_be_focused()

    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Save this view")).to_be_visible()
    page.keyboard.press("Escape")

    expect(views).to_be_focused()


def test_where_nothing_happens_nothing_is_said_though_numbers_move(page: Page) -> None:
    page.goto("workers")
    _drawn(page)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()

    assert page.evaluate(SAID, QUIET_MS) == []


def test_what_somebody_did_is_said(page: Page, shop: Shop) -> None:
    run_id = shop.order("order-said")
    page.goto(f"runs/{run_id}")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()

    expect(page.locator("[aria-live=polite] .toast")).to_be_visible()


def test_who_asked_for_less_motion_sees_none(new_page: Callable[..., Page], shop: Shop) -> None:
    page = new_page(shop, reduced_motion="reduce")
    page.goto("workers")
    _drawn(page)
    page.goto(f"runs/{shop.runs['exporting']}")
    _drawn(page)
    expect(page.locator(".badge.is-running").first).to_be_visible()

    moving = "document.getAnimations().filter((one) => one.playState === 'running' && one.effect.getComputedTiming().duration > 1)"
    assert page.evaluate(f"{moving}.length") == 0


def test_the_page_says_its_content_and_its_parts_to_who_hears_it(page: Page, shop: Shop) -> None:
    page.goto(f"runs/{shop.runs['failed']}")
    _drawn(page)

    page.keyboard.press("Tab")
    expect(page.get_by_text("Go to the page's content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    expect(page.get_by_role("tab", selected=True)).to_have_text("Timeline")
    expect(page.get_by_role("list", name="Steps").get_by_role("listitem")).to_have_count(2)
    unnamed = "button:not([aria-label]), a[href]:not([aria-label]), input:not([aria-label]), select:not([aria-label])"
    nameless = f"[...document.querySelectorAll('{unnamed}')].filter((one) => !one.textContent.trim() && !one.labels?.length).length"
    assert page.evaluate(nameless) == 0
