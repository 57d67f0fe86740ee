"""The gateway's web page in headless Chromium, as a user has it."""

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.gateway import Gateway, gateway

pytest.importorskip("selenium", reason="needs the extra 'dev'")

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="needs Chromium and chromedriver (Debian has both)"
)
HOLIDAYS = "#/travel/public_holidays/holidays_of_a_year"
TOKEN = "token-of-the-page-test"


class Page:
    """A browser that shows the page."""

    def __init__(self, browser: webdriver.Chrome, url: str) -> None:
        self.browser = browser
        self.url = url

    def open(self, where: str = "") -> None:
        self.browser.get("about:blank")
        self.browser.get(f"{self.url}/{where}")

    def find(self, selector: str, text: str = "") -> WebElement:
        """Wait for an element that is shown, and has a text."""

        def found(_: object) -> WebElement | bool:
            for element in self.browser.find_elements(By.CSS_SELECTOR, selector):
                if text in element.text and element.is_displayed():
                    return element
            return False

        return self.wait(found, f"{selector} {text!r}")

    def wait(self, condition: Callable[[Any], Any], what: str = "") -> Any:
        from selenium.common.exceptions import StaleElementReferenceException as Stale

        waiting = WebDriverWait(self.browser, 15, 0.05, ignored_exceptions=[Stale])
        return waiting.until(condition, f"{what} is not there")


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu"):
        options.add_argument(f"--{argument}")
    options.add_argument("--window-size=1280,860")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield started
    started.quit()


TOOLS = f"{len(list((ROOT / 'cassettes' / 'demo' / 'tools').glob('*/*.json')))} tools"


@pytest.fixture(scope="module")
def demo() -> Iterator[Gateway]:
    with gateway(ROOT / "cassettes" / "demo") as running:
        yield running


@pytest.fixture
def page(browser: webdriver.Chrome, demo: Gateway) -> Iterator[Page]:
    shown = Page(browser, demo.url)
    browser.get_log("browser")
    yield shown
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_tools_are_searched_and_opened_by_keyboard_alone(page: Page) -> None:
    page.open()
    page.find("#found", TOOLS)
    page.browser.switch_to.active_element.send_keys("/")
    query = page.browser.switch_to.active_element
    assert query.get_attribute("id") == "query"
    query.send_keys("public holidays of more than")
    page.wait(lambda _: page.find("#found").text == "1 tool")
    query.send_keys(Keys.ARROW_DOWN)
    link = page.browser.switch_to.active_element
    assert link.text.startswith("Public Holidays")
    link.send_keys(Keys.ENTER)
    page.find("main h2", "Public Holidays")
    assert page.find("#tools a[aria-current]").text.startswith("Public Holidays")


def test_a_category_is_chosen(page: Page) -> None:
    page.open()
    page.find("#found", TOOLS)
    page.find("#category option", "Weather").click()
    page.find("#found", "3 tools")


def test_recorded_calls_show_their_arguments_answer_and_provenance(page: Page) -> None:
    page.open(HOLIDAYS)
    row = page.find("details[open] tbody tr", '{"country":"EE","year":2025}')
    assert row.find_element(By.CSS_SELECTOR, ".mark.recorded").text == "recorded"
    row.find_element(By.CSS_SELECTOR, "summary").click()
    page.find(
        "details[open] tbody pre", "https://public-holidays.p.rapidapi.example/v1/holidays/EE/2025"
    )
    assert len(page.browser.find_elements(By.CSS_SELECTOR, "details[open] tbody tr")) == 20
    page.find("details[open] button", "More calls").click()
    shown = "details[open] tbody tr"
    page.wait(lambda _: len(page.browser.find_elements(By.CSS_SELECTOR, shown)) == 33)


def test_a_call_is_tried(page: Page) -> None:
    page.open(HOLIDAYS)
    row = page.find("details[open] tbody tr", '"BR"')
    row.find_element(By.CSS_SELECTOR, "button").click()
    country = page.find("details[open] form input")
    assert country.get_attribute("value") == "BR"
    page.find("details[open] form button", "Call").click()
    page.find(".answer pre", '"country": "BR"')
    page.find(".answer .mark.recorded")
    page.find("#counts", "recorded")
    country.clear()
    country.send_keys("QQ", Keys.ENTER)
    page.find(".answer pre", "Not recorded: Travel/Public Holidays")
    page.find(".answer .mark.unrecorded")
    page.find("nav a", "Statistics").click()
    page.find("main td .mark.unrecorded")


def test_the_api_page_shows_every_path(page: Page, demo: Gateway) -> None:
    page.open("docs")
    for path in demo.get("/openapi.json").json()["paths"]:
        page.find("summary b", path)
    page.find("summary", "/virtual").click()
    page.find("pre", '"tool_input"')


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    page.browser.get_log("performance")
    for where in ("", HOLIDAYS, "docs"):
        page.open(where)
        page.find("main *")
    asked = [
        entry["message"].split('"url":"')[1].split('"')[0]
        for entry in page.browser.get_log("performance")
        if '"Network.requestWillBeSent"' in entry["message"]
    ]
    assert len(asked) > 8
    assert [url for url in asked if not url.startswith(page.url)] == []


def test_data_is_shown_as_text_and_never_run(browser: webdriver.Chrome, tmp_path: Any) -> None:
    from tests.conftest import http_recording, make_world

    attack = "<img src=x onerror=document.title='run'><script>document.title='run'</script>"
    world = make_world(tmp_path / "world", [http_recording({"city": attack}, {attack: attack})])
    with gateway(world.path) as running:
        page = Page(browser, running.url)
        page.open("#/weather/weather_now/by_city")
        page.find("details[open] tbody tr", "<img src=x").find_element(
            By.CSS_SELECTOR, "button"
        ).click()
        page.find("details[open] form button", "Call").click()
        page.find(".answer pre", "<script>")
        assert "run" not in browser.title
        assert not browser.find_elements(By.CSS_SELECTOR, "main img")


def test_the_page_asks_for_the_token(browser: webdriver.Chrome) -> None:
    demo = ROOT / "cassettes" / "demo"
    with gateway(demo, "--bind", "0.0.0.0", env={"TOOLREPLAY_TOKEN": TOKEN}) as running:
        page = Page(browser, running.url)
        page.open()
        page.find("#token").send_keys(TOKEN, Keys.ENTER)
        page.find("#found", TOOLS)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_systems_colours(page: Page, scheme: str) -> None:
    wanted = {"name": "prefers-color-scheme", "value": scheme}
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [wanted]})
    page.open()
    ground = page.find("body").value_of_css_property("background-color")
    brightness = sum(int(part) for part in ground.strip("rgba()").split(",")[:3]) / 3
    assert (brightness > 128) == (scheme == "light")
