"""The page in a real browser, beside a real service: what a person sees, and can do by keys alone.

SCREENSHOTS=docs/figures writes the pictures of docs/ui.md.
"""

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest
from selenium.webdriver.common.keys import Keys

from tests.support.browser import INSTALL, Browser, browsing, is_there
from tests.support.bundles import SHOPPERS
from tests.support.named import HARM, UNNAMED
from tests.support.process import Service, alive
from tests.support.shown import DRIFTED, WHY, WORSE, make_home

pytestmark = pytest.mark.skipif(not is_there(), reason=f"no Chromium to look with: {INSTALL}")

PICTURES = os.environ.get("SCREENSHOTS")

TOKEN = "secret"
SEEN_ROUTE = 'cuvee_requests_total{route="ui",status="200"}'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run a service over a home with all that the page can show."""
    home = make_home(tmp_path_factory.mktemp("shown"))
    with Service(home, CUVEE_ADMIN_TOKEN=TOKEN) as running:
        item = running.ask("guest", k=1)["items"][0]["item_id"]
        running.post("/v1/events", {"events": [click(each, item) for each in SHOPPERS]})
        yield running


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    """Open one browser for all tests."""
    with browsing() as opened:
        yield opened


@pytest.fixture
def page(window: Browser, service: Service) -> Iterator[Browser]:
    """Return the page as it is when it was just opened; nothing on it may have failed."""
    window.resize(1_280)
    window.prefer()
    window.complaints()
    window.open(service.url + "/ui?every=0.2")
    window.until(lambda: window.text("#about").startswith("Version "), "the first figures")
    yield window
    window.run("sessionStorage.clear()")
    assert window.complaints() == []
    assert all(url.startswith(service.url) for url in fetched(window))


def fetched(page: Browser) -> list[str]:
    """Return the addresses of all that the page has fetched."""
    entries = "performance.getEntriesByType('resource').map((each) => each.name)"
    return list(page.run(f"return [location.href, ...{entries}]"))


def click(user_id: str, item_id: str) -> dict[str, object]:
    """Return a click of now."""
    told = {"event_id": uuid4().hex, "type": "click", "user_id": user_id, "item_id": item_id}
    return {**told, "timestamp": time.time()}


def count(page: Browser, selector: str = "#requests") -> int:
    """Return the number that stands there."""
    return int(page.text(selector).partition(",")[0].replace(",", "") or 0)


@contextmanager
def traffic(service: Service) -> Iterator[None]:
    """Let shoppers ask, one after the other: known ones, again and anew, and strangers."""
    stop = threading.Event()

    def ask() -> None:
        for turn in itertools.count():
            service.ask(SHOPPERS[turn % 2], k=5)
            service.ask(SHOPPERS[turn % 2], k=5, exclude=[f"none {turn}"])
            service.ask(f"stranger {turn}")
            service.ask(f"stranger {turn}", context={"segment": "type=White"})
            if stop.wait(0.01):
                return

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        stop.set()
        asking.join()


def listed(page: Browser) -> list[str]:
    """Return the ids of the items that are shown."""
    told = page.run(
        "return [...document.querySelectorAll('#list li')].map((it) => it.dataset.item)"
    )
    return list(told)


def log_in(page: Browser, token: str = TOKEN) -> None:
    """Give the admin token, by keys."""
    page.run("document.getElementById('token').focus()")
    page.press(token, Keys.ENTER)


def test_figures_move_as_shoppers_come(page: Browser, service: Service) -> None:
    """Without a reload, from what the service counted; without traffic they go back."""
    page.run("window.isTheSame = true")
    before = count(page)
    with traffic(service):
        page.until(lambda: count(page) >= before + 50, "fifty requests more")
        then = count(page)
        page.until(lambda: count(page) > then, "more than those")
    for figure in ("p50", "p95", "p99"):
        assert page.text(f"#{figure}").endswith(" ms")
    for figure in ("cache", "fallback", "errors"):
        assert page.text(f"#{figure}").endswith(" %")
    assert page.text("#errors") == "0.0 %"
    sources = ("cache", "model", "segment", "global")
    assert min(count(page, f"[data-source={each}]") for each in sources) > 0
    assert page.count("#latency-chart path") == 2
    assert page.count("#requests-chart rect") == 60
    assert page.run("return window.isTheSame")


def test_events_are_told(page: Browser) -> None:
    """How far each group is behind, and dead letters."""
    page.until(lambda: page.count("#events-figures dd") == 3, "all figures of events")
    assert page.texts("#events-figures dt") == ["Behind: offline", "Behind: online", "Dead letters"]
    assert page.texts("#events-figures dd")[-1] == "0"


def test_what_admins_see(page: Browser) -> None:
    """Nothing before the token, a wrong one is refused, the right one shows moves and drift."""
    for part in ("models", "performance", "drift"):
        assert "Shown to admins alone" in page.text(f"#{part}-body")
    assert page.count("#shoppers option") == 0
    log_in(page, "wrong")
    page.until(lambda: "this is not the admin token" in page.text("#login-note"), "a refusal")
    log_in(page)
    page.until(lambda: page.count("#drift-body details"), "drift")
    moves = page.text("#models-body")
    assert all(why in moves for why in WHY)
    assert page.count("#models-body b") == 0
    assert page.texts("#drift-body .name")[0] == DRIFTED
    assert page.text("#drift-body .state") == "drifted"
    first = "#drift-body details"
    page.run(f"document.querySelector('{first} summary').focus()")
    page.press(Keys.SPACE)
    assert page.run(f"return document.querySelector('{first}').open")
    says = page.run(f"return document.querySelector('{first} svg[role=img]').ariaLabel")
    assert says.startswith(f"Distribution of {DRIFTED}: most moved is ")
    assert page.count(f"{first} tbody tr") * 2 == page.count(f"{first} svg[role=img] rect")
    figures = page.texts("#performance-body tbody th")
    assert figures[:4] == [WORSE, "ctr", "conversion", "revenue"]
    assert page.texts("#performance-body .state") == [
        "worse high", "fine", "too few lists", "nothing before",
    ]  # fmt: skip
    assert page.count("#performance-body svg") == 3
    assert "1 more are not shown" in page.text("#performance-body")
    assert SHOPPERS[0] in page.run(
        "return [...document.querySelectorAll('#shoppers option')].map((each) => each.value)"
    )


def test_a_list_by_keys_alone(page: Browser) -> None:
    """From the top of the page to a list, its JSON and its next page, and always seen where."""
    page.press(Keys.TAB)
    assert page.text(":focus") == "Skip to the figures"
    page.press(Keys.ENTER)
    assert page.focused() == "main"
    page.tab_to("shopper")
    assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.press(SHOPPERS[0], Keys.TAB)
    page.press("4", Keys.TAB)  # in place of what stands there
    page.press("home", Keys.TAB)
    page.press("FR", Keys.ENTER)
    page.until(lambda: page.count("#list li") == 4, "four items")
    answered = page.text("#answered")
    assert answered.startswith("4 items ")
    assert " in the service, " in answered
    page.until(lambda: page.count("#list .title code"), "names")
    assert all(page.texts("#list .why"))
    page.tab_to("next")
    shown = listed(page)
    page.press(Keys.ENTER)
    page.until(lambda: listed(page) != shown, "the next page")
    assert not set(shown) & set(listed(page))
    assert page.run("return document.getElementById('list').start") == 5
    page.tab_to("summary")
    page.press(Keys.SPACE)
    assert page.run("return document.getElementById('raw').open")
    assert f'"user_id": "{SHOPPERS[0]}"' in page.text("#json")


def test_what_would_do_harm_is_text(page: Browser) -> None:
    """An id and a name that are markup are read, not run."""
    page.run("document.getElementById('k').value = 30")
    page.run("document.getElementById('shopper').focus()")
    page.press(HARM, Keys.ENTER)
    page.until(lambda: page.count("#list .title code") > 20, "names")
    titles = page.texts("#list .title")
    assert any(each.endswith(f" {HARM}") for each in titles)
    assert any(each.startswith(f"{HARM} ") for each in titles)
    assert f"wine-{UNNAMED:04d}" in titles
    assert page.count("img") == 0
    assert page.run("return document.title") == "Cuvée"


def test_a_mistake_is_told_at_its_field(page: Browser) -> None:
    """By the service's own words, and the focus goes there."""
    page.run("document.getElementById('shopper').focus()")
    page.press("  ", Keys.ENTER)
    page.until(lambda: page.text("#user_id-error"), "a mistake")
    assert "expected 1 to 128 characters" in page.text("#user_id-error")
    assert page.focused() == "shopper"
    assert page.run("return document.activeElement.getAttribute('aria-invalid')") == "true"
    page.overwrite("guest")
    page.press(Keys.ENTER)
    page.until(lambda: page.count("#list li") == 10, "a list")
    assert page.text("#user_id-error") == ""
    assert page.count("[aria-invalid]") == 0


CONTRASTS = """
const channels = (color) => color.match(/[\\d.]+/g).map(Number);
const light = (color) => {
  const [r, g, b] = channels(color).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (node) => {
  const color = getComputedStyle(node).backgroundColor;
  return channels(color)[3] === 0 ? ground(node.parentElement) : color;
};
const own = (node) => [...node.childNodes].some((each) => each.nodeType === 3 && each.data.trim());
const seen = (node) => node.getClientRects().length && !node.disabled;
return [...document.body.querySelectorAll("*")].filter((node) => own(node) && seen(node))
  .map((node) => {
    const both = [getComputedStyle(node).color, ground(node)].map(light);
    const [low, high] = both.sort((a, b) => a - b);
    return [node.textContent.slice(0, 40), (high + 0.05) / (low + 0.05)];
  });
"""


def test_light_and_dark(page: Browser) -> None:
    """By what the reader prefers; all text stands out by 4.5 to 1 (WCAG 2.2, AA) in both."""
    log_in(page)
    page.until(lambda: page.count("#drift-body details"), "drift")
    page.run("document.querySelectorAll('#drift-body details')[0].open = true")
    grounds = set()
    for scheme in ("light", "dark"):
        page.prefer(prefers_color_scheme=scheme)
        grounds.add(page.run("return getComputedStyle(document.body).backgroundColor"))
        told = page.run(CONTRASTS)
        assert len(told) > 100
        assert [each for each in told if each[1] < 4.5] == []
    assert len(grounds) == 2


def test_nothing_moves(page: Browser) -> None:
    """There is neither animation nor transition, whatever the reader prefers."""
    assert page.run("return document.getAnimations().length") == 0
    moving = page.run(
        "return [...document.querySelectorAll('*')].filter((each) => {"
        "const {animationName, transitionDuration} = getComputedStyle(each);"
        "return animationName !== 'none' || transitionDuration !== '0s'}).length"
    )
    assert moving == 0


def test_a_narrow_screen(page: Browser) -> None:
    """At 360 pixels nothing is cut off, and all of it can still be reached."""
    log_in(page)
    page.until(lambda: page.count("#drift-body details"), "drift")
    page.resize(360, 740)
    page.run("document.getElementById('shopper').focus()")
    page.press(SHOPPERS[0], Keys.ENTER)
    page.until(lambda: page.count("#list li") == 10, "a list")
    assert page.run("return document.documentElement.scrollWidth") <= 360
    beyond = page.run(
        "return [...document.querySelectorAll('input, select, button, a, h2, dd, summary')]"
        ".filter((each) => !each.closest('.scroll, .skip'))"
        ".filter((each) => each.getBoundingClientRect().right > 360)"
        ".map((each) => each.outerHTML)"
    )
    assert beyond == []


def test_the_accessibility_tree(page: Browser) -> None:
    """Landmarks, headings and controls have their roles, and every one a name."""
    log_in(page)
    page.until(lambda: page.count("#drift-body details"), "drift")
    told = page.roles()
    roles = [role for role, _ in told]
    for landmark in ("banner", "main", "contentinfo"):
        assert roles.count(landmark) == 1
    assert ("navigation", "Sections") in told
    regions = {name for role, name in told if role == "region"}
    assert {"Now", "Try it", "Events", "Models", "Performance", "Drift"} <= regions
    controls = {"textbox", "spinbutton", "combobox", "button", "link", "image", "region", "group"}
    nameless = [each for each in told if each[0] in controls - {"group"} and not each[1]]
    assert nameless == []
    assert {"Shopper", "Items", "Page", "Country", "Device", "Admin token"} <= {
        name for role, name in told if role in controls
    }
    levels = page.run(
        "return [...document.querySelectorAll('h1,h2,h3')].map((e) => +e.localName[1])"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.run("return document.documentElement.lang") == "en"
    live = page.run(
        "return [...document.querySelectorAll('[role=status],[aria-live]')].map((e) => e.id)"
    )
    assert live == ["connection", "answered", "login-note"]


def metric(service: Service, name: str) -> float:
    """Return the value of one series."""
    lines = service.get("/metrics")[1].decode().splitlines()
    return next((float(each.rpartition(" ")[2]) for each in lines if each.startswith(name)), 0.0)


def settled(read: Callable[[], float], seconds: float) -> bool:
    """Tell whether a figure stays the same for so long."""
    before = read()
    time.sleep(seconds)
    return read() == before


def test_a_page_that_nobody_sees_asks_for_nothing(page: Browser, service: Service) -> None:
    """Behind another tab it is silent; when it is seen again it asks at once."""
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    try:
        time.sleep(0.5)  # what was asked may still be counted
        assert settled(lambda: metric(service, SEEN_ROUTE), 1.0)
        before = metric(service, SEEN_ROUTE)
    finally:
        page.driver.close()
        page.driver.switch_to.window(first)
    page.until(lambda: metric(service, SEEN_ROUTE) > before, "a question")


@pytest.mark.skipif(not PICTURES, reason="SCREENSHOTS names no folder to write pictures to")
def test_pictures_for_the_documents(page: Browser, service: Service) -> None:
    """A minute of traffic, a list, and what admins see, in light, dark and narrow."""
    folder = Path(PICTURES or "")
    log_in(page)
    page.until(lambda: page.count("#drift-body details"), "drift")
    page.run("document.querySelector('#drift-body details').open = true")
    with traffic(service):
        time.sleep(62)
        page.run("document.getElementById('k').value = 5")
        page.run("document.getElementById('shopper').focus()")
        page.press(SHOPPERS[0], Keys.ENTER)
        page.until(lambda: page.count("#list .title code"), "a list")
        page.photograph(folder / "ui.webp", most=1_000)
        page.photograph(folder / "ui-models.webp", "#models")
        page.photograph(folder / "ui-performance.webp", "#performance")
        page.photograph(folder / "ui-drift.webp", "#drift", 700)
        page.prefer(prefers_color_scheme="dark")
        page.photograph(folder / "ui-dark.webp", most=1_000)
        page.resize(360, 740)
        page.photograph(folder / "ui-narrow.webp", most=1_300)


def test_a_service_that_is_gone_and_back(page: Browser, service: Service) -> None:
    """It is said once and plainly, what was seen stays, and nobody need reload."""
    children = service.children()
    service.signal(signal.SIGKILL)
    service.exit_code()
    page.until(lambda: page.count("body.gone"), "word of it")
    told = page.text("#connection")
    assert told.startswith("The service does not answer since ")
    requests = page.text("#requests")
    page.run("document.getElementById('shopper').focus()")
    page.press("guest", Keys.ENTER)
    page.until(lambda: page.text("#answered").startswith("No answer: "), "word of it in the form")
    assert (page.text("#connection"), page.text("#requests")) == (told, requests)
    if PICTURES:
        page.photograph(Path(PICTURES) / "ui-gone.webp", most=420)
    service.until(lambda: not any(alive(pid) for pid in children))
    service.start()
    service.until_ready()
    page.until(lambda: "answers again" in page.text("#connection"), "the service")
    assert page.count("body.gone") == 0
    service.ask("guest")
    page.until(lambda: count(page) == 1, "figures of the new process")
