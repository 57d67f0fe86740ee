"""A client that does what StableToolBench's published one does, over HTTP.

It knows tools from a directory of documents, names functions by ToolBench's rule, posts what a
model wrote, and makes a status code of what comes back: the same steps in our own words.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.call import ApiCall
from sandbox.names import identifier, standardise
from sandbox.world import World
from tests.conftest import DEMO, http_recording, make_world
from tests.gateway import Gateway, gateway
from tests.test_gateway import observed

CODES = {
    "API not working error...": 6,
    "Unauthorized error...": 7,
    "Unsubscribed error...": 8,
    "Too many requests error...": 9,
    "Rate limit per minute error...": 10,
    "Message error...": 11,
}


@dataclass
class Offered:
    """A function as the client offers it to its model, and what it posts for it."""

    name: str
    category: str
    tool: str
    api: str


class PeersClient:
    """Calls a service at one address, as the environment variable SERVICE_URL gives it."""

    def __init__(self, service_url: str, tool_root: Path, key: str = "a-toolbench-key") -> None:
        self.service_url = service_url
        self.key = key
        self.functions = [
            offered for path in sorted(tool_root.glob("*/*.json")) for offered in self.offer(path)
        ]

    def offer(self, path: Path) -> Iterator[Offered]:
        document = json.loads(path.read_text())
        tool = standardise(document["tool_name"])
        for api in document["api_list"]:
            name = identifier(api["name"])
            yield Offered(f"{name}_for_{tool}"[-64:], path.parent.name, tool, name)

    def step(self, action: str, action_input: str, limit: int = 1024) -> tuple[str, int]:
        seen, code = self.call(action, action_input)
        return (seen[:limit] + "..." if len(seen) > limit else seen), code

    def call(self, action: str, action_input: str) -> tuple[str, int]:
        chosen = next((f for f in self.functions if f.name.endswith(action)), None)
        if chosen is None:
            return json.dumps({"error": f"No such function name: {action}", "response": ""}), 1
        payload = {
            "category": chosen.category,
            "tool_name": chosen.tool,
            "api_name": chosen.api,
            "tool_input": action_input,
            "strip": "truncate",
            "toolbench_key": self.key,
        }
        patience = None if self.service_url.endswith("virtual") else 15
        headers = {"toolbench_key": self.key}
        try:
            answer = requests.post(
                self.service_url, json=payload, headers=headers, timeout=patience
            )
        except requests.exceptions.Timeout:
            return json.dumps({"error": "Timeout error...", "response": ""}), 5
        if answer.status_code != 200:
            error = f"request invalid, data error. status_code={answer.status_code}"
            return json.dumps({"error": error, "response": ""}), 12
        try:
            told = answer.json()
        except ValueError:
            return json.dumps({"error": "request invalid, data error", "response": ""}), 12
        return json.dumps(told), CODES.get(told["error"], 0)


@pytest.fixture(scope="module")
def demo() -> Iterator[Gateway]:
    with gateway(DEMO) as running:
        yield running


def first_calls(world: World) -> Iterator[tuple[ApiCall, Any]]:
    """Give one recorded call of each API with its answer."""
    for place in world.store.apis():
        recording = next(world.store.of_api(place.tool, place.api))
        yield recording.call, recording.api_response()


@pytest.mark.parametrize("path", ["virtual", "rapidapi"])
def test_apis_of_the_demo_answer_the_published_client(demo: Gateway, path: str) -> None:
    client = PeersClient(f"{demo.url}/{path}", DEMO / "tools")
    codes: Counter[int] = Counter()
    for call, recorded in list(first_calls(World(DEMO)))[:: 3 if path == "virtual" else 15]:
        action = f"{identifier(call.api)}_for_{standardise(call.tool)}"[-64:]
        seen, code = client.call(action, json.dumps(call.arguments))
        told = json.loads(seen)
        assert set(told) == {"error", "response"}
        assert code == (recorded.status_code if recorded.error in CODES else 0), action
        assert told["error"] == recorded.error
        if path == "virtual":
            assert told["response"] == recorded.body, action
        else:
            assert told["response"] == str(recorded.body)[:2048], action
        codes[code] += 1
    assert codes[0] > sum(codes.values()) / 2


def test_its_branches_for_errors_are_met(tmp_path: Path) -> None:
    world = make_world(
        tmp_path / "world",
        [
            http_recording({"city": "Oslo"}, {"t": "x" * 3000}),
            http_recording({"city": "Shut"}, {"message": "no key"}, status=401),
            http_recording({"city": "Paid"}, {"message": "You are not subscribed to this API."}),
            http_recording({"city": "Odd"}, {"error": "no such city"}),
            *(
                observed({"city": text}, json.dumps({"error": text, "response": ""}), code)
                for text, code in CODES.items()
                if code in (6, 9)
            ),
        ],
    )
    with gateway(world.path) as running:
        client = PeersClient(f"{running.url}/virtual", world.path / "tools")

        def code(city: str) -> int:
            return client.call("by_city_for_weather_now", json.dumps({"city": city}))[1]

        assert [code(c) for c in ("Oslo", "Shut", "Paid", "Odd")] == [0, 7, 8, 11]
        assert [code(c) for c in CODES if CODES[c] in (6, 9)] == [6, 9]
        seen, _ = client.step("city_for_weather_now", '{"city": "Oslo"}')
        assert (len(seen), seen[-3:]) == (1027, "...")
        assert client.call("invented_for_weather_now", "{}")[1] == 1
        unread, read_code = client.call("by_city_for_weather_now", "{city: Oslo")
        assert (json.loads(unread)["error"], read_code) == ("Tool input parse error...\n", 0)
        huge = json.dumps({"city": "x" * 20_000_000})
        refused, refused_code = client.call("by_city_for_weather_now", huge)
        assert refused_code == 12
        assert "status_code=413" in refused
        lost = PeersClient(f"{running.url}/no/such/virtual", world.path / "tools")
        assert lost.call("by_city_for_weather_now", "{}")[1] == 12
        assert code("Oslo") == 0
        log = running.log.read_text()
    stored = b"".join(p.read_bytes() for p in world.path.rglob("*") if p.is_file())
    assert "a-toolbench-key" not in log
    assert b"a-toolbench-key" not in stored
