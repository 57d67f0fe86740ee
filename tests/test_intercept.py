"""Unmodified clients of other libraries, answered by a world."""

import asyncio
import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import requests

from sandbox.call import ApiCall
from sandbox.errors import NetworkRefused, UnrecordedCall
from sandbox.live import LiveClient
from sandbox.policy import LivePolicy
from sandbox.world import World, create_world
from tests.api_server import ApiServer, api_server
from tests.conftest import http_recording, make_world

Fetch = Callable[[str], Any]


def by_requests(url: str) -> Any:
    return requests.get(url, timeout=5).json()


def by_httpx(url: str) -> Any:
    return httpx.get(url).json()


def by_async_httpx(url: str) -> Any:
    async def fetch() -> Any:
        async with httpx.AsyncClient() as client:
            return (await client.get(url)).json()

    return asyncio.run(fetch())


def by_aiohttp(url: str) -> Any:
    async def fetch() -> Any:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return await response.json()

    return asyncio.run(fetch())


def by_urllib(url: str) -> Any:
    with urllib.request.urlopen(url) as response:
        return json.load(response)


CLIENTS = [by_requests, by_httpx, by_async_httpx, by_aiohttp, by_urllib]


@pytest.mark.parametrize("fetch", CLIENTS)
def test_every_client_is_answered_by_key_and_in_order(tmp_path: Path, fetch: Fetch) -> None:
    first = http_recording({"city": "Rome", "days": 2}, {"n": 1})
    world = make_world(tmp_path, [first, http_recording({"city": "Rome", "days": 2}, {"n": 2})])
    url = "https://weather-now.example/city/Rome?days=2.0"
    with world.intercept() as seen:
        assert [fetch(url) for _ in range(3)] == [{"n": 1}, {"n": 2}, {"n": 2}]
    assert seen.counts == {"recorded": 3}


@pytest.mark.parametrize("fetch", CLIENTS)
def test_an_unrecorded_call_and_another_host_are_refused(world: World, fetch: Fetch) -> None:
    with world.intercept() as seen:
        with pytest.raises(UnrecordedCall, match="Nearest recorded calls"):
            fetch("https://weather-now.example/city/Atlantis")
        with pytest.raises(Exception, match=r"network is shut|NetworkRefused|shut") as refused:
            fetch("https://elsewhere.example/")
    chain = refused.value
    seen_errors = []
    while chain is not None:
        seen_errors.append(chain)
        chain = chain.__cause__ or chain.__context__
    assert any(isinstance(error, NetworkRefused) for error in seen_errors)
    assert seen.counts == {"refused": 1}


def test_status_and_headers_are_the_recorded_ones(tmp_path: Path) -> None:
    recording = http_recording({"city": "X"}, {"message": "no such city"}, status=404)
    with make_world(tmp_path, [recording]).intercept():
        answer = httpx.get("https://weather-now.example/city/X")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with api_server() as running:
        yield running


@pytest.mark.parametrize("fetch", [by_requests, by_httpx, by_aiohttp])
def test_while_recording_new_calls_go_out_once(
    tmp_path: Path, server: ApiServer, fetch: Fetch
) -> None:
    tool = {
        "tool_name": "Local",
        "category": "Test",
        "api_list": [
            {
                "name": "Thing",
                "url": f"{server.url}/things/{{id}}",
                "required_parameters": [{"name": "id", "type": "NUMBER"}],
            }
        ],
    }
    (tmp_path / "tools" / "Test").mkdir(parents=True)
    (tmp_path / "tools" / "Test" / "local.json").write_text(json.dumps(tool))
    world = create_world(tmp_path, "local", "test")
    url = f"{server.url}/things/5"
    with world.recording(LiveClient(LivePolicy())), world.intercept(secrets=("hush-hush",)) as seen:
        assert fetch(url + "?note=hush-hush") == {"ok": "/things/5", "note": "hush-hush"}
        assert fetch(url) == {"ok": "/things/5"}
        assert fetch(url) == {"ok": "/things/5"}
    assert seen.counts == {"live": 2, "recorded": 1}
    assert len(server.requests) == 2
    stored = b"".join(p.read_bytes() for p in tmp_path.rglob("*.yaml"))
    assert b"hush-hush" not in stored
    with World(tmp_path).intercept():
        assert fetch(url) == {"ok": "/things/5"}
    assert len(server.requests) == 2


def test_keys_in_headers_and_the_environments_are_taken_out_of_echoes(
    tmp_path: Path, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = {"tool_name": "Local", "api_list": [{"name": "Thing", "url": f"{server.url}/thing"}]}
    (tmp_path / "tools" / "Test").mkdir(parents=True)
    (tmp_path / "tools" / "Test" / "local.json").write_text(json.dumps(tool))
    world = create_world(tmp_path, "local", "test")
    keys = ("a-key-in-a-header", "a-token-in-another", "the-environments-key")
    server.answers["/thing"] = (200, {"echo": keys})
    monkeypatch.setenv("RAPIDAPI_KEY", keys[2])
    sent = {"x-api-key": keys[0], "Authorization": f"Token {keys[1]}"}
    with world.recording(LiveClient(LivePolicy())), world.intercept():
        assert httpx.get(f"{server.url}/thing", headers=sent).json() == {"echo": list(keys)}
    assert World(tmp_path).call(ApiCall("Test", "Local", "Thing", {})).body == {
        "echo": ["REDACTED"] * 3
    }


def plugin_test(world: World, body: str) -> str:
    return (
        "import httpx\nimport pytest\n\n"
        f"@pytest.mark.api_world({str(world.path)!r})\n"
        f"def test_agent(api_world):\n    {body}\n"
    )


def test_the_plugin_answers_refuses_and_counts(pytester: pytest.Pytester, world: World) -> None:
    good = "assert httpx.get('https://weather-now.example/city/Oslo').json()['temperature'] == 7"
    pytester.makepyfile(test_good=plugin_test(world, good))
    pytester.makepyfile(
        test_bad=plugin_test(world, "httpx.get('https://weather-now.example/city/Nowhere')")
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*UnrecordedCall: Not recorded: Weather/Weather Now/By City*",
            "toolreplay: API calls 1 recorded, 0 simulated, 0 live, 1 refused",
        ]
    )


def test_the_plugin_takes_its_world_and_mode_from_the_settings(
    pytester: pytest.Pytester, world: World, server: ApiServer
) -> None:
    document = world.path / "tools" / "Weather" / "weather_now.json"
    document.write_text(document.read_text().replace("https://weather-now.example", server.url))
    pytester.makeini(f"[pytest]\ntoolreplay_world = {world.path}\n")
    pytester.makepyfile(
        "import httpx\n"
        "def test_agent(api_world):\n"
        f"    assert httpx.get('{server.url}/city/Lima').json() == {{'ok': '/city/Lima'}}\n"
    )
    pytester.runpytest_subprocess("--toolreplay-mode", "live").assert_outcomes(passed=1)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["toolreplay: API calls 1 recorded*0 live*"])
    assert len(server.requests) == 1


def test_the_plugin_says_what_it_needs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_agent(api_world):\n    pass\n")
    result = pytester.runpytest_subprocess()
    result.stdout.fnmatch_lines(["*api_world does not know its world*"])
