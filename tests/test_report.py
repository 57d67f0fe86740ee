"""The report, opened in headless Chromium: on the demo, on the real trees, on hostile text."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from eval.case import Cases
from eval.contest import contest
from eval.drawing import draw
from eval.evaluation import evaluate
from eval.judge import RuleJudge
from eval.report import Side, write_report
from sandbox.importers.toolbench import import_toolbench
from sandbox.world import World
from solver.method import Method
from solver.run import Settings
from tests.conftest import TOOLBENCH
from toolreplay.cli import app
from toolreplay.demo import DEMO_DRAWING, DEMO_LIMITS, DEMO_MODE, demo_world, run_demo
from toolreplay.solving import solve

HOSTILE = "</script><script>window.hit=1</script><img src=x onerror='window.hit=2'>{{ 7*7 }}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("chromium and chromedriver are not installed (apt install chromium-driver)")
    from selenium.webdriver.chrome.service import Service

    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--window-size=1400,1000")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = selenium.Chrome(options=options, service=Service(driver))
    yield opened
    opened.quit()


def open_page(browser: Any, page: Path) -> Any:
    browser.get_log("performance")
    browser.get(page.as_uri())
    assert browser.get_log("browser") == []
    return browser


def find(browser: Any, selector: str) -> list[Any]:
    return browser.find_elements("css selector", selector)


def search_for(browser: Any, words: str) -> None:
    box = find(browser, "#find")[0]
    box.clear()
    box.send_keys(words)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    run_demo(out, 2, lambda method, total: None)
    settings = Settings(Method.parse("react", replace(DEMO_LIMITS, model_calls=3)), DEMO_DRAWING)
    world = World(demo_world())
    queries = world.path / "instructions"
    for _ in solve(queries, world, out / "short", settings=settings, mode=DEMO_MODE):
        pass
    return out


@pytest.fixture(scope="module")
def demo_page(demo: Path) -> Path:
    page = demo / "report.html"
    arguments = ["eval", str(demo / "dfsdt"), "--against", str(demo / "short"), "--html", str(page)]
    CliRunner().invoke(app, arguments, catch_exceptions=False)
    return page


def test_the_page_needs_nothing_but_itself(demo_page: Path) -> None:
    text = demo_page.read_text()
    markup = re.sub(r"<script.*?</script>|<style>.*?</style>", "", text, flags=re.DOTALL)
    assert not re.search(r"""(src|href)=["'](?!#)""", markup)
    assert "default-src 'none'" in text
    assert "@import" not in text
    assert "url(" not in text


def test_the_page_is_the_same_every_time(demo: Path, demo_page: Path, tmp_path: Path) -> None:
    arguments = ["eval", str(demo / "dfsdt"), "--against", str(demo / "short")]
    again = tmp_path / "again.html"
    CliRunner().invoke(app, [*arguments, "--html", str(again)], catch_exceptions=False)
    assert again.read_bytes() == demo_page.read_bytes()


def test_the_demo_is_shown_side_by_side(browser: Any, demo: Path, demo_page: Path) -> None:
    open_page(browser, demo_page)
    about = json.loads((demo / "dfsdt" / "run.json").read_text())
    assert about["model"] in find(browser, "h1")[0].text
    total = len(about["instructions"])
    assert find(browser, "#count")[0].text == f"{total} of {total} instructions"
    overall = [row.text for row in find(browser, "tr.overall")]
    tokens = evaluate(demo / "dfsdt").settings[-1].tokens
    assert f"{tokens:,}" in overall[0]
    assert "simulated" in overall[0]
    options = find(browser, "#filter option")
    differing = next(o for o in options if o.get_attribute("value") == "differ")
    differing.click()
    count = int(find(browser, "#count")[0].text.split()[0])
    assert 0 < count < total
    find(browser, "#list button")[0].click()
    assert "The searches part at step" in find(browser, ".parting-note")[0].text
    assert len(find(browser, ".tree svg")) == 2
    assert find(browser, ".box.parting")
    requests = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {
        r["params"]["request"]["url"]
        for r in requests
        if r["method"] == "Network.requestWillBeSent"
    }
    assert all(url.startswith("file:") for url in asked)


def test_instructions_can_be_searched(browser: Any, demo_page: Path) -> None:
    open_page(browser, demo_page)
    query = find(browser, "#list .query")[3].text
    total = len(find(browser, "#list button"))
    search_for(browser, query[:30])
    assert 1 <= len(find(browser, "#list button")) < total
    search_for(browser, "no such words anywhere")
    assert find(browser, "#count")[0].text.startswith("0 of")


def test_dark_and_light(browser: Any, demo_page: Path) -> None:
    open_page(browser, demo_page)
    ground = "return getComputedStyle(document.body).backgroundColor"
    seen = {}
    for scheme in ("light", "dark"):
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
        seen[scheme] = browser.execute_script(ground)
    assert seen["light"] != seen["dark"]
    find(browser, "#theme")[0].click()
    assert browser.execute_script(ground) == seen["light"]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_it_prints(browser: Any, demo_page: Path) -> None:
    open_page(browser, demo_page)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not find(browser, "nav")[0].is_displayed()
    assert find(browser, ".tree svg")[0].is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    printed = browser.execute_cdp_cmd("Page.printToPDF", {})
    assert len(printed["data"]) > 20_000


@pytest.fixture(scope="module")
def trees_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not TOOLBENCH.is_dir():
        pytest.skip(f"the real ToolBench data is not at {TOOLBENCH} (set TOOLBENCH_DATA)")
    out = tmp_path_factory.mktemp("trees")
    import_toolbench(TOOLBENCH / "answers", out / "world")
    queries = out / "world" / "instructions" / "toolbench.json"
    list(solve(queries, World(out / "world"), out / "run", settings=Settings(None)))
    cases = Cases(out / "run")
    write_report(out / "trees.html", Side(cases, evaluate(cases)))
    return out / "trees.html"


def test_the_largest_real_tree_is_drawn_whole(browser: Any, trees_page: Path) -> None:
    open_page(browser, trees_page)
    search_for(browser, "G3_answer/13")
    find(browser, "#list button")[0].click()
    run = Cases(trees_page.parent / "run")
    content = run.read("G3_answer/13").answer
    assert content["tree"]["size"] == 188
    boxes = find(browser, ".box")
    drawn = draw(content)
    assert len(boxes) == len(drawn)
    assert sum(b["steps"][1] - b["steps"][0] + 1 for b in drawn) == 187
    places = {(b.location["x"], b.location["y"]) for b in boxes}
    assert len(places) == len(boxes)
    assert len(find(browser, ".edge")) == sum(b["parent"] >= 0 for b in drawn)
    failed = next(b for b in drawn if b.get("code") == 11)
    place = drawn.index(failed)
    browser.execute_script("arguments[0].focus()", boxes[place])
    told = find(browser, ".node")[0].text
    assert failed["name"] in told
    assert "11 error in message" in told
    assert "recorded" in told


def test_the_tree_is_walked_by_keyboard(browser: Any, trees_page: Path) -> None:
    open_page(browser, trees_page)
    search_for(browser, "G1_answer/57")
    find(browser, "#list button")[0].click()
    boxes = find(browser, ".box")
    browser.execute_script("arguments[0].focus()", boxes[0])
    active = "return [...document.querySelectorAll('.box')].indexOf(document.activeElement)"
    drawn = draw(Cases(trees_page.parent / "run").read("G1_answer/57").answer)
    for key, expected in (
        ("\ue014", next(n for n, b in enumerate(drawn) if b["parent"] == 0)),
        ("\ue012", 0),
        ("\ue010", len(drawn) - 1),
        ("\ue011", 0),
    ):
        browser.switch_to.active_element.send_keys(key)
        assert browser.execute_script(active) == expected
    assert find(browser, ".box[aria-selected='true']") == [boxes[0]]


def test_text_from_answers_never_runs(browser: Any, demo: Path, tmp_path: Path) -> None:
    run = shutil.copytree(demo / "react", tmp_path / "run")
    asked = json.loads((run / "instructions.json").read_text())
    asked[0]["query"] = HOSTILE
    (run / "instructions.json").write_text(json.dumps(asked))
    about = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**about, "model": HOSTILE}))
    for file in (run / "answers").rglob("*.json"):
        content = json.loads(file.read_text())
        for attempt in content["trys"]:
            for node in attempt["chain"]:
                node["description"] = HOSTILE if node["node_type"] != "Action Input" else "{}"
                node.update(observation=HOSTILE, provenance='recorded"><b>')
        file.write_text(json.dumps(content))
    cases = Cases(run)
    evaluation = evaluate(cases)
    match = contest(cases, evaluation, cases, evaluation, RuleJudge())
    page = tmp_path / "hostile.html"
    write_report(page, Side(cases, evaluation), Side(cases, evaluation), match)
    open_page(browser, page)
    assert browser.execute_script("return window.hit") is None
    assert HOSTILE in find(browser, ".query-text")[0].text
    assert HOSTILE in find(browser, ".node pre")[-1].text
    assert HOSTILE in find(browser, "h1")[0].text
    assert find(browser, "img") == []
    inject = "const s = document.createElement('script'); s.textContent = 'window.hit = 3';"
    browser.execute_script(f"{inject} document.body.append(s)")
    assert browser.execute_script("return window.hit") is None


def test_lone_surrogates_do_not_break_the_page(demo: Path, tmp_path: Path) -> None:
    run = shutil.copytree(demo / "react", tmp_path / "run")
    about = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**about, "model": "\ud800"}))
    cases = Cases(run)
    write_report(tmp_path / "page.html", Side(cases, evaluate(cases)))
    (tmp_path / "page.html").read_text(encoding="utf-8")
