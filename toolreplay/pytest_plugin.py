"""The pytest plugin: the fixture `api_world` answers a test's HTTP calls from a world.

@pytest.mark.api_world("cassettes/demo")
def test_my_agent(api_world):
    assert "Tallinn" in my_agent("What is the capital of Estonia?")
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sandbox.world import World

_COUNTS = pytest.StashKey[Counter[str]]()
_SHOWN = ("recorded", "simulated", "live", "refused")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--toolreplay-mode` and the settings whose names begin with `toolreplay_`."""
    parser.getgroup("toolreplay").addoption(
        "--toolreplay-mode",
        choices=("replay", "simulate", "live", "refresh"),
        default=None,
        help="How api_world answers, over what markers say: replay (default), simulate, live or "
        "refresh.",
    )
    parser.addini("toolreplay_world", "The world of api_world where no marker names one.")
    parser.addini(
        "toolreplay_simulator",
        "Who answers unseen calls in simulate: auto, recordings or a model's name.",
        default="auto",
    )
    parser.addini(
        "toolreplay_allow_hosts", "Hosts that tests may reach in replay.", type="linelist"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers", "api_world(path, mode='replay'): the world that answers this test's API calls"
    )
    config.stash[_COUNTS] = Counter()


@pytest.fixture
def api_world(request: pytest.FixtureRequest) -> "Iterator[World]":
    """Answer the HTTP calls of this test from a world.

    The world is the marker's (`@pytest.mark.api_world("path", mode="live")`), or the setting
    `toolreplay_world`; paths are relative to pytest's root.

    Yields:
        The opened world.
    """
    from sandbox.world import World

    marker = request.node.get_closest_marker("api_world")
    path = marker.args[0] if marker and marker.args else request.config.getini("toolreplay_world")
    if not path:
        raise pytest.UsageError(
            "api_world does not know its world: mark the test with "
            "@pytest.mark.api_world('path/to/world'), or set toolreplay_world in the settings."
        )
    chosen = request.config.getoption("--toolreplay-mode")
    mode = chosen or (marker.kwargs.get("mode") if marker else None) or "replay"
    world = World(request.config.rootpath / path)
    hosts = tuple(request.config.getini("toolreplay_allow_hosts"))
    with ExitStack() as doors:
        if mode == "simulate":
            from toolreplay.simulators import open_simulator

            name = request.config.getini("toolreplay_simulator")
            doors.enter_context(world.simulating(open_simulator(name, world)))
        elif mode != "replay":
            from sandbox.live import LiveClient
            from sandbox.policy import LivePolicy

            client = LiveClient(LivePolicy())
            doors.enter_context(world.recording(client, refresh=mode == "refresh"))
        seen = doors.enter_context(world.intercept(allow_hosts=hosts))
        yield world
    request.config.stash[_COUNTS].update(seen.counts)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how the API calls of all tests were answered, where there were any."""
    counts = config.stash[_COUNTS]
    if counts:
        line = ", ".join(f"{counts[name]} {name}" for name in _SHOWN)
        terminalreporter.write_line(f"toolreplay: API calls {line}")
