"""Worlds and servers that several tests use."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from sandbox.call import ApiCall
from sandbox.cassette import Recording, cassette_path, write_cassette
from sandbox.chat import Completion
from sandbox.recorded_completion import RecordedCompletion
from sandbox.world import World, create_world

pytest_plugins = ["pytester"]

settings.register_profile(
    "toolreplay",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "40")),
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("toolreplay")

_TRIED = pytest.StashKey[int]()
_COUNTS = pytest.StashKey[dict[str, int]]()


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Count what fuzzers tried, and the processes that a test killed."""
    said = getattr(item, "hypothesis_statistics", "")
    tried = sum(int(n) for pair in re.findall(r"(\d+) passing.* (\d+) failing", said) for n in pair)
    tried += sum(int(str(count)) for what, count in item.user_properties if what == "examples")
    item.config.stash[_TRIED] = item.config.stash.get(_TRIED, 0) + tried
    counts = item.config.stash.setdefault(_COUNTS, {})
    for what, count in item.user_properties:
        if what in ("torn", "guided") or what.startswith("killed "):
            counts[what] = counts.get(what, 0) + int(str(count))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how much was tried, and how many processes were killed, where any were."""
    if tried := config.stash.get(_TRIED, 0):
        terminalreporter.write_line(f"hypothesis: {tried:,} examples tried")
    if guided := config.stash.get(_COUNTS, {}).pop("guided", 0):
        terminalreporter.write_line(f"atheris: {guided:,} inputs tried")
    if kills := config.stash.get(_COUNTS, {}):
        torn = kills.pop("torn", 0)
        told = ", ".join(f"{what.removeprefix('killed ')} {n}" for what, n in kills.items())
        terminalreporter.write_line(
            f"kills: {sum(kills.values())} processes, {torn} of them in a write ({told})"
        )


# Before any test loads OpenMP, as sandbox.llama does for the command line: see there.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "cassettes" / "demo"
TOOLBENCH = Path(os.environ.get("TOOLBENCH_DATA", ROOT.parent / "shared" / "toolbench"))

WEATHER = {
    "tool_name": "Weather Now",
    "tool_description": "Weather of today.",
    "category": "Weather",
    "collections": ["Travel"],
    "host": "weather-now.example",
    "api_list": [
        {
            "name": "By City",
            "url": "https://weather-now.example/city/{city}",
            "description": "Weather in a city.",
            "method": "GET",
            "required_parameters": [
                {"name": "city", "type": "STRING", "description": "Name", "default": "Oslo"}
            ],
            "optional_parameters": [
                {"name": "days", "type": "NUMBER", "description": "", "default": ""},
                {"name": "metric", "type": "BOOLEAN", "description": "", "default": ""},
            ],
        },
        {
            "name": "Alerts",
            "url": "https://weather-now.example/alerts",
            "description": "All alerts.",
            "method": "GET",
            "required_parameters": [],
            "optional_parameters": [],
        },
    ],
}


@pytest.fixture
def toolbench() -> Path:
    if not TOOLBENCH.is_dir():
        pytest.skip(f"the real ToolBench data is not at {TOOLBENCH} (set TOOLBENCH_DATA)")
    return TOOLBENCH


def http_recording(
    arguments: dict[str, Any],
    body: Any,
    api: str = "By City",
    instruction: str | None = None,
    status: int = 200,
) -> Recording:
    text = body if isinstance(body, str) else json.dumps(body)
    return Recording(
        ApiCall("Weather", "Weather Now", api, arguments),
        {
            "method": "GET",
            "uri": f"https://weather-now.example/city/{arguments.get('city', '')}",
            "body": None,
            "headers": {},
        },
        {
            "status": {"code": status, "message": "OK"},
            "headers": {"content-type": ["application/json"]},
            "body": {"string": text},
        },
        instruction,
    )


def make_world(path: Path, recordings: list[Recording]) -> World:
    world = create_world(path, "small", "made by a test")
    document = path / "tools" / "Weather" / "weather_now.json"
    document.parent.mkdir(parents=True, exist_ok=True)
    document.write_text(json.dumps(WEATHER), encoding="utf-8")
    cassette = cassette_path(path, "Weather", "Weather Now")
    write_cassette(cassette, "Weather", "Weather Now", recordings)
    return world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(
        tmp_path / "world",
        [
            http_recording({"city": "Oslo"}, {"temperature": 7}),
            http_recording({"city": "Rome"}, {"temperature": 21}),
            http_recording({"city": "Rome", "days": 2}, {"temperature": 19.5}),
            http_recording({}, {"alerts": []}, api="Alerts"),
        ],
    )


API_LIST = [
    {"category_name": "Weather", "tool_name": "Weather Now", "api_name": "By City"},
    {"category_name": "Weather", "tool_name": "Weather Now", "api_name": "Alerts"},
]


def call(name: str, arguments: dict[str, Any] | str, thought: str | None = None) -> Completion:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return Completion(thought, {"name": name, "arguments": text})


def by_city(city: str) -> Completion:
    return call("by_city_for_weather_now", {"city": city})


def answer(text: str) -> Completion:
    return call("Finish", {"return_type": "give_answer", "final_answer": text})


GIVE_UP = call("Finish", {"return_type": "give_up_and_restart"})


def put_on_tape(world: World, instruction: str, completions: list[Completion]) -> None:
    """Record completions by instruction and order, as an import does."""
    for order, completion in enumerate(completions):
        world.completions.add(RecordedCompletion("scripted", "", instruction, order, completion))
