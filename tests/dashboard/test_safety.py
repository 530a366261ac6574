"""What strangers write, what the browser forbids, and what everybody can read."""

import re
from collections.abc import Callable, Iterator
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Shop, open_shop

XSS: Final = (
    "<script>window.hurt = 1</script>",
    "<img src=x onerror='window.hurt = 1'>",
    "\"><svg onload='window.hurt = 1'>",
    "javascript:window.hurt=1",
    "{{constructor.constructor('window.hurt=1')()}}",
    "${window.hurt=1}",
    "</textarea><iframe srcdoc='<script>parent.hurt=1</script>'>",
    "../../../evil?q=<b>&amp;",
    '\u202egnp.exe <a href="data:text/html,<script>hurt</script>">x</a>',
)
KEY: Final = "aiki_" + "0123456789abcdef" * 4

CONTRAST: Final = """() => {
  const light = ([r, g, b]) => { const f = [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2]; };
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const over = (top, under) => { const a = top[3] / 255; return [0, 1, 2].map((i) => top[i] * a + under[i] * (1 - a)); };
  const behind = (element) => { const found = []; for (let e = element; e; e = e.parentElement) found.push(rgb(getComputedStyle(e).backgroundColor));
    return found.reverse().reduce((under, top) => over(top, under), rgb(getComputedStyle(document.documentElement).backgroundColor)[3] ? [255, 255, 255] : [255, 255, 255]); };
  const poor = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const style = getComputedStyle(element);
    if (!walker.currentNode.data.trim() || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || element.closest("option, noscript, :disabled")) continue;
    const under = behind(element);
    const [one, other] = [light(over(rgb(style.color), under)), light(under)].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    const needed = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
    if (ratio < needed) poor.set(`${element.tagName}.${element.className}`, `${walker.currentNode.data.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return [...poor];
}"""


@pytest.fixture(scope="module")
def keyed() -> Iterator[Shop]:
    with open_shop("/ops/aiki", KEY) as shop:
        yield shop


def test_what_strangers_write_is_text_wherever_it_stands(page: Page, shop: Shop) -> None:
    for number, text in enumerate(XSS):
        name = text[:150]
        run_id = shop.start(name, {name: text}, name, reference_id=f"{number} {name}", tags={name[:50]: name})
        shop.post(f"v1/runs/{run_id}/events/nasty", {"text": text})
        shop.post(f"v1/runs/{run_id}/cancel", {"reason": text})
        page.goto(f"runs/{run_id}")
        expect(page.get_by_role("heading", level=1)).to_have_text(f"{number} {name}")
        for tab in ("journal", "data", "messages", "children", "history"):
            page.goto(f"runs/{run_id}?tab={tab}")
            expect(page.get_by_role("tabpanel")).to_be_visible()
        assert page.evaluate("window.hurt") is None
    page.goto("runs?limit=200")
    expect(page.locator("tbody tr").filter(has_text=f"0 {XSS[0]}")).to_have_count(1)
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Search").fill("0 <script>")
    expect(page.locator("#palette-list").get_by_text("<script>").first).to_be_visible()
    assert page.evaluate("window.hurt") is None


@pytest.mark.parametrize(
    "query",
    ["q=<script>hurt()</script>", "status=<img>", "tag=a:<b>", "cursor=%00", "ns=%3Cscript%3E", "sort=__proto__"],
)
def test_an_address_that_somebody_made_up_does_no_harm(new_page: Callable[..., Page], shop: Shop, query: str) -> None:
    page = new_page(shop, expected="400")
    page.goto(f"runs?{query}")

    expect(page.get_by_role("heading", level=1)).to_have_text("Runs")
    assert page.evaluate("window.hurt") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "path",
    [
        "runs?limit=200",
        "runs/{failed}",
        "runs/{order}",
        "runs/{report}?tab=journal",
        "runs/{order}?tab=messages",
        "runs/{delivering}?tab=data",
    ],
)
def test_every_text_stands_out_from_what_is_behind_it(
    new_page: Callable[..., Page], shop: Shop, path: str, scheme: str
) -> None:
    page = new_page(shop, color_scheme=scheme)
    page.goto(path.format(**shop.runs))
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator(".loading")).to_have_count(0)

    assert page.evaluate(CONTRAST) == []


def test_the_theme_is_the_systems_until_one_is_chosen_and_then_stays(new_page: Callable[..., Page], shop: Shop) -> None:
    page = new_page(shop, color_scheme="dark")
    page.goto("runs")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)

    page.keyboard.press("t")
    assert page.evaluate(background) != dark
    page.reload()
    expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
    assert page.evaluate(background) != dark


def test_a_key_is_asked_for_and_everything_works_at_a_base(new_page: Callable[..., Page], keyed: Shop) -> None:
    page = new_page(keyed, expected="401")
    page.goto("runs")
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Go on").click()

    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.get_by_role("searchbox").fill("order-4711")
    expect(page.locator("table.runs tbody tr")).to_have_count(1)
    page.get_by_role("link", name=re.compile("restaurant-order")).click()
    expect(page).to_have_url(re.compile(r"/ops/aiki/runs/[0-9a-f-]{36}"))
    expect(page.locator(".timeline-row").first).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("order-4711")


def test_a_key_stays_in_its_tab_and_travels_in_a_header_alone(new_page: Callable[..., Page], keyed: Shop) -> None:
    page = new_page(keyed, expected="401")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("runs")
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    for title in ("Overview", "Workers", "Runs"):
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=title).click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()

    assert [url for url in [page.url, *asked] if KEY in url] == []
    assert page.evaluate("[JSON.stringify(localStorage), document.cookie].join()").count(KEY) == 0
    assert page.evaluate("Object.values(sessionStorage)") == [KEY]
    assert KEY not in page.content()
    other = page.context.new_page()
    other.goto("runs")
    expect(other.get_by_label("API key")).to_be_visible()


def test_a_wrong_key_is_asked_for_again(new_page: Callable[..., Page], keyed: Shop) -> None:
    page = new_page(keyed, expected="401")
    page.goto("runs")
    page.get_by_label("API key").fill("aiki_" + "0" * 64)
    page.get_by_role("button", name="Go on").click()

    expect(page.get_by_label("API key")).to_be_visible()


def test_a_server_that_goes_is_missed_and_one_that_comes_back_is_found(new_page: Callable[..., Page]) -> None:
    with open_shop() as shop:
        page = new_page(shop, expected="Failed to load resource")
        page.goto("runs")
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.get_by_role("button", name=re.compile("^failed")).click()

    expect(page.get_by_text("No connection")).to_be_visible()
    expect(page.get_by_role("alert").or_(page.locator(".stale-note")).first).to_contain_text(
        "The server cannot be reached"
    )
