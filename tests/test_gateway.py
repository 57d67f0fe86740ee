"""The gateway, as a real process over loopback."""

import asyncio
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sandbox.call import ApiCall, read_calls
from sandbox.cassette import Recording
from sandbox.gateway.app import Gateway as Application
from sandbox.gateway.app import Offer
from sandbox.world import World
from tests.api_server import ApiServer, api_server
from tests.conftest import WEATHER, http_recording, make_world
from tests.gateway import COMMAND, Gateway, body, gateway, lines

UNREADABLE = {"error": "Tool input parse error...\n", "response": ""}


def observed(arguments: dict[str, Any], text: str, code: int = 0) -> Recording:
    """A recording of what a peer's server answered."""
    recording = http_recording(arguments, text)
    return Recording(recording.call, recording.request, recording.response, None, code)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    cut = json.dumps({"error": "", "response": "{'temperature': 3, 'wind': 'north'}"})[:50] + "..."
    world = make_world(
        tmp_path_factory.mktemp("gateway") / "small",
        [
            http_recording({"city": "Oslo"}, {"temperature": 7, "sky": "\u00e5pen", "wind": 3}),
            http_recording({"city": "Rome", "days": 2}, {"temperature": 19.5}),
            http_recording({"city": "Rome"}, {"temperature": 1}),
            http_recording({"city": "Rome"}, {"temperature": 2}),
            http_recording({"city": "Rome"}, {"temperature": 58}, instruction="58"),
            http_recording({"city": "Paris"}, "plain words"),
            http_recording({"city": "Nowhere"}, {"message": "no key"}, status=401),
            http_recording({"city": "Long"}, {"text": "x" * 5000}),
            http_recording({}, {"alerts": []}, api="Alerts"),
            observed({"city": "Bonn"}, json.dumps({"error": "", "response": "{'temperature': 3}"})),
            observed({"city": "Cut"}, cut),
        ],
    )
    document = json.loads(json.dumps(WEATHER))
    document["api_list"][0]["schema"] = {"temperature": "int"}
    path = world.path / "tools" / "Weather" / "weather_now.json"
    path.write_text(json.dumps(document))
    with gateway(world.path) as running:
        yield running


def test_a_recorded_call_is_answered_whatever_the_form_of_its_input(small: Gateway) -> None:
    oslo = {"error": "", "response": {"temperature": 7, "sky": "\u00e5pen", "wind": 3}}
    for tool_input in ('{"city": "Oslo"}', {"city": "Oslo"}, {"city": "Oslo", "days": None}):
        assert small.call(tool_input) == oslo
    rome = {"error": "", "response": {"temperature": 19.5}}
    assert small.call('{"days": "2", "city": "Rome"}') == rome
    for nothing in ("", "{}", {}):
        assert small.call(nothing, api_name="alerts")["response"] == {"alerts": []}


@pytest.mark.parametrize(
    ("category", "tool", "api"),
    [
        ("Weather", "Weather Now", "By City"),
        ("weather", "weather_now", "by_city"),
        ("Weather", "weather_now_for_Weather", "by_city"),
        ("Weather", "weather_now", "by_city_for_weather_now"),
        ("", "weather_now", "by_city"),
    ],
)
def test_names_come_in_all_spellings_of_the_peers_clients(
    small: Gateway, category: str, tool: str, api: str
) -> None:
    names = {"category": category, "tool_name": tool, "api_name": api}
    assert small.call({"city": "Oslo"}, **names)["response"]["temperature"] == 7


def test_an_api_with_a_reserved_name_is_found_by_the_peers_name(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", [http_recording({}, {"is": "here"}, api="id")])
    document = {**WEATHER, "api_list": [{"name": "id", "url": "https://weather-now.example/id"}]}
    (world.path / "tools/Weather/weather_now.json").write_text(json.dumps(document))
    with gateway(world.path) as running:
        assert running.call("{}", api_name="is_id")["response"] == {"is": "here"}


def test_answers_keep_the_form_that_they_were_recorded_in(small: Gateway) -> None:
    assert small.call({"city": "Paris"}) == {"error": "", "response": "plain words"}
    assert small.call({"city": "Nowhere"}) == {
        "error": "Unauthorized error...",
        "response": {"message": "no key"},
    }
    assert small.call({"city": "Bonn"}) == {"error": "", "response": "{'temperature': 3}"}
    assert small.call({"city": "Cut"}) == {"error": "", "response": "{'temperature': 3, 'win..."}
    assert len(small.call({"city": "Long"})["response"]["text"]) == 5000


def test_rapidapi_gives_text_cut_and_filtered_by_the_documents_schema(small: Gateway) -> None:
    whole = small.call({"city": "Oslo"}, "/rapidapi")
    assert whole == {
        "error": "",
        "response": "{'temperature': 7, 'sky': '\u00e5pen', 'wind': 3}",
    }
    filtered = small.call('{"city": "Oslo"}', "/rapidapi", strip="filter")
    assert filtered == {"error": "", "response": "{'temperature': 7}"}
    drawn = {json.dumps(small.call({"city": "Oslo"}, "/rapidapi", strip="random")) for _ in "123"}
    assert len(drawn) == 1
    assert len(small.call({"city": "Long"}, "/rapidapi")["response"]) == 2048


@pytest.mark.parametrize("text", ["{city: Oslo}", "[1]", "5", "null", '{"city": "Oslo"', "Oslo"])
@pytest.mark.parametrize("path", ["/virtual", "/rapidapi"])
def test_what_is_no_object_is_answered_in_the_protocols_own_form(
    small: Gateway, text: str, path: str
) -> None:
    assert small.call(text, path) == UNREADABLE


def test_an_unseen_call_is_told_and_can_be_recorded_later(small: Gateway) -> None:
    told = small.call({"city": "Tartu", "days": 3})
    assert told["response"] == ""
    assert told["error"].startswith("Not recorded: Weather/Weather Now/By City")
    assert "toolreplay record" in told["error"]
    assert small.call({}, tool_name="no_such_tool")["error"] == (
        "No such function name: by_city_for_no_such_tool"
    )
    listed = small.get("/unrecorded")
    assert ApiCall("Weather", "Weather Now", "By City", {"city": "Tartu", "days": 3}) in read_calls(
        listed.text, "unrecorded"
    )
    assert not [line for line in lines(listed.text) if line["tool"] == "no_such_tool"]


def test_the_nth_call_for_an_instruction_gives_the_nth_recording(small: Gateway) -> None:
    def rome(instruction: str | None) -> int:
        headers = {"X-Toolreplay-Instruction": instruction} if instruction else None
        response = small.post(body({"city": "Rome"}), headers=headers)
        return int(response.json()["response"]["temperature"])

    assert [rome(None), rome(None)] == [1, 1]
    assert [rome("7"), rome("7"), rome("8"), rome("58")] == [1, 2, 1, 58]


def test_unmodified_requests_code_gets_provenance_in_a_header(small: Gateway) -> None:
    """The way that StableToolBench's client and server post a call."""
    response = requests.post(
        f"{small.url}/virtual",
        data=json.dumps(body('{"city": "Oslo"}', rapidapi_key="unused")),
        headers={"accept": "application/json", "Content-Type": "application/json"},
        timeout=15,
    )
    assert response.json()["response"]["temperature"] == 7
    assert response.headers["x-toolreplay-provenance"] == "recorded"


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({name: v for name, v in body("{}").items() if name != "api_name"}, "api_name"),
        (body("{}", strip=5), "strip"),
        (body([1]), "tool_input"),
        ("no object", ""),
    ],
)
def test_a_malformed_body_gets_422_with_the_field_named(
    small: Gateway, content: Any, field: str
) -> None:
    response = small.post(content)
    assert response.status_code == 422
    where = response.json()["detail"][0]["loc"]
    assert where[0] == "body"
    assert field in (*where, "")
    assert "secret-toolbench-key" not in response.text


def test_a_body_that_is_no_json_gets_422(small: Gateway) -> None:
    url = f"{small.url}/virtual"
    assert httpx.post(url, content=b"{nonsense").status_code == 422
    sent = httpx.post(url, content=json.dumps(body("{}")), headers={"content-type": "text/plain"})
    assert sent.status_code == 422
    assert small.get("/virtual").status_code == 405


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.text() | JSON.map(json.dumps), st.text(max_size=8), st.sampled_from(["virtual", "rapidapi"])
)
def test_no_input_makes_an_error_of_the_server(
    small: Gateway, text: str, name: str, path: str
) -> None:
    for content in (body(text), body(text, tool_name=name), body({name: text}, category=name)):
        assert small.post(content, f"/{path}").status_code in (200, 422)


def test_nesting_without_end_makes_no_error_of_the_server(small: Gateway) -> None:
    for depth in (150, 300, 900, 5000):
        text = '{"city": ' + "[" * depth + "]" * depth + "}"
        assert small.post(body(text)).status_code == 200
        raw = json.dumps(body("IN")).replace('"IN"', text)
        sent = httpx.post(
            f"{small.url}/virtual", content=raw, headers={"content-type": "application/json"}
        )
        assert sent.status_code in (200, 422)


def test_catalogue_tells_tools_documents_and_recorded_calls(small: Gateway) -> None:
    listed = small.get("/catalogue", params={"limit": 1}).json()
    assert (listed["total"], listed["world"]) == (1, "small")
    tool = listed["tools"][0]
    assert (tool["tool"], tool["apis"], tool["recorded"]) == ("Weather Now", 2, 11)
    assert small.get("/catalogue", params={"q": "ALERTS"}).json()["total"] == 1
    for query in ({"q": "nothing like it"}, {"category": "Travel"}, {"offset": 1}):
        assert small.get("/catalogue", params=query).json()["tools"] == []
    apis = small.get(tool["path"]).json()["apis"]
    assert [(api["api"], api["recorded"]) for api in apis] == [("By City", 10), ("Alerts", 1)]
    assert apis[0]["function"] == "by_city_for_weather_now"
    assert apis[0]["document"]["required_parameters"][0]["name"] == "city"
    page = small.get(apis[0]["path"], params={"offset": 3, "limit": 2}).json()
    assert (page["total"], len(page["calls"])) == (10, 2)
    first, last = page["calls"]
    assert first["provenance"] == "recorded"
    assert first["http"]["uri"].startswith("https://weather-now.example/")
    assert (last["arguments"], last["instruction"]) == ({"city": "Rome"}, "58")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/catalogue/weather/none", 404),
        ("/catalogue/weather/weather_now/none", 404),
        ("/catalogue?limit=0", 422),
        ("/catalogue?offset=-1", 422),
        ("/nowhere", 404),
    ],
)
def test_what_is_not_there_is_told(small: Gateway, path: str, status: int) -> None:
    assert small.get(path).status_code == status


def test_statistics_count_answers_by_outcome_as_json_and_for_prometheus(
    world: World,
) -> None:
    with gateway(world.path) as running:
        for city in ("Oslo", "Oslo", "Tartu"):
            running.call({"city": city})
        running.call("nonsense")
        running.get("/health", headers={"host": "elsewhere.example"})
        told = running.get("/statistics").json()
        counts = {name: count for name, count in told["calls"].items() if count}
        assert counts == {"recorded": 2, "unrecorded": 1, "unreadable": 1}
        assert told["seconds"]["recorded"]["count"] == 2
        assert told["seconds"]["recorded"]["buckets"]["+Inf"] == 2
        assert 0 < told["seconds"]["recorded"]["sum"] < 1
        assert told["refused"] == {"421": 1}
        families = text_string_to_metric_families(running.get("/metrics").text)
        samples = {
            (s.name, s.labels.get("outcome"), s.labels.get("le")): s.value
            for family in families
            for s in family.samples
        }
        assert samples["toolreplay_calls_total", "recorded", None] == 2
        assert samples["toolreplay_call_seconds_bucket", "recorded", "+Inf"] == 2


def test_every_described_path_answers(small: Gateway) -> None:
    described = small.get("/openapi.json").json()
    names = {"category": "weather", "tool": "weather_now", "api": "by_city"}
    for path, operations in described["paths"].items():
        if "get" in operations:
            assert small.get(path.format(**names)).status_code == 200, path
        elif path != "/mcp":
            example = operations["post"]["requestBody"]["content"]["application/json"]["example"]
            assert small.post(example, path).status_code == 200
    for page in ("/", "/docs", "/static/page.js", "/static/page.css"):
        text = small.get(page).text
        assert "http://" not in text
        assert "https://" not in text


def test_other_sites_pages_are_kept_out(small: Gateway) -> None:
    rebound = {"host": f"evil.example:{httpx.URL(small.url).port}"}
    assert small.get("/catalogue", headers=rebound).status_code == 421
    assert small.post(body("{}"), headers=rebound).status_code == 421
    cross_site = {"origin": "https://evil.example"}
    assert small.post(body("{}"), headers=cross_site).status_code == 403
    own = {"origin": small.url}
    assert small.post(body({"city": "Oslo"}), headers=own).status_code == 200


def test_every_address_of_this_machine_is_kept_from_other_sites(world: World) -> None:
    with gateway(world.path, "--bind", "127.0.0.2") as running:
        assert "127.0.0.2" in running.url
        assert running.get("/catalogue").status_code == 200
        port = httpx.URL(running.url).port
        rebound = {"host": f"evil.example:{port}"}
        assert running.get("/catalogue", headers=rebound).status_code == 421
        near = {"host": f"localhost:{port}"}
        assert running.get("/catalogue", headers=near).status_code == 200


def test_another_address_needs_a_token(world: World) -> None:
    done = subprocess.run(
        [*COMMAND, str(world.path), "--bind", "0.0.0.0", "--port", "0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 2
    assert "TOOLREPLAY_TOKEN" in done.stderr
    token = "s3cret-token-of-this-test"
    with gateway(world.path, "--bind", "0.0.0.0", env={"TOOLREPLAY_TOKEN": token}) as running:
        assert running.get("/health").status_code == 200
        assert running.get("/").status_code == 200
        for wrong in ({}, {"authorization": "Bearer wrong"}, {"toolbench_key": "wrong"}):
            assert running.post(body({"city": "Oslo"}), headers=wrong).status_code == 401
            assert running.get("/catalogue", headers=wrong).status_code == 401
        for right in ({"authorization": f"Bearer {token}"}, {"toolbench_key": token}):
            assert running.post(body({"city": "Oslo"}), headers=right).status_code == 200
            assert running.get("/catalogue", headers=right).status_code == 200
        running.stop()
        assert token not in running.log.read_text()


def test_a_port_in_use_is_told(world: World, small: Gateway) -> None:
    port = str(httpx.URL(small.url).port)
    done = subprocess.run(
        [*COMMAND, str(world.path), "--port", port],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 2
    assert f"127.0.0.1:{port}: cannot be listened at" in done.stderr


def raw(url: str, content: bytes, seconds: float = 5) -> bytes:
    """Send bytes, and read all that comes back until the gateway hangs up."""
    address = httpx.URL(url)
    with socket.create_connection((address.host, address.port), timeout=seconds) as connection:
        connection.sendall(content)
        received = b""
        while part := connection.recv(65536):
            received += part
    return received


def test_bodies_time_and_connections_are_limited(world: World) -> None:
    limits = ("--max-body", "2000", "--timeout", "0.6", "--max-connections", "6")
    with gateway(world.path, *limits) as running:
        assert running.post(body({"city": "x" * 3000})).status_code == 413
        chunked = httpx.post(
            f"{running.url}/virtual",
            content=(b"x" * 500 for _ in range(9)),
            headers={"content-type": "application/json"},
        )
        assert chunked.status_code == 413
        start = b"POST /virtual HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        assert b" 408 " in raw(running.url, start + b"content-length: 50\r\n\r\n{")
        assert raw(running.url, start) == b""
        assert raw(running.url, b"") == b""
        address = httpx.URL(running.url)
        idle = [socket.create_connection((address.host, address.port)) for _ in range(6)]
        time.sleep(0.1)
        assert running.get("/health").status_code == 503
        for connection in idle:
            connection.close()
        time.sleep(0.1)
        assert running.call({"city": "Oslo"})["response"] == {"temperature": 7}


@pytest.fixture
def upstream() -> Iterator[ApiServer]:
    with api_server() as server:
        yield server


def test_in_replay_nothing_goes_out(world: World, upstream: ApiServer) -> None:
    with gateway(world.path, "--via", upstream.url) as running:
        assert running.call({"city": "Tartu"})["response"] == ""
    assert not upstream.requests


def test_live_calls_are_made_and_recorded(world: World, upstream: ApiServer) -> None:
    with gateway(world.path, "--mode", "live", "--via", upstream.url, "--key", "k") as running:
        answered = running.post(body({"city": "Tartu"}))
        assert answered.json() == {"error": "", "response": {"ok": "/city/Tartu"}}
        assert answered.headers["x-toolreplay-provenance"] == "live"
        assert running.call({"city": "Oslo"})["response"] == {"temperature": 7}
        assert running.stop() == 0
    again = World(world.path).call(ApiCall("Weather", "Weather Now", "By City", {"city": "Tartu"}))
    assert again.body == {"ok": "/city/Tartu"}
    assert list(upstream.seen) == ["/city/Tartu"]


def test_an_engine_that_hangs_or_fails_wedges_nobody(world: World, upstream: ApiServer) -> None:
    upstream.faults = {f"/city/hang{n}": ["hang"] for n in range(20)}
    upstream.faults["/city/reset"] = ["reset"] * 9
    mode = ("--mode", "live", "--via", upstream.url, "--timeout", "4")
    with gateway(world.path, *mode) as running, ThreadPoolExecutor(20) as pool:
        hanging = [pool.submit(running.call, {"city": f"hang{n}"}) for n in range(20)]
        while len(upstream.requests) < 16:
            time.sleep(0.02)
        assert running.call({"city": "Oslo"})["response"] == {"temperature": 7}
        assert running.get("/statistics").json()["calls"]["recorded"] == 1
        assert not any(call.done() for call in hanging)
        timed_out = {"error": "Timeout error...", "response": ""}
        assert [call.result() for call in hanging] == [timed_out] * 20
        assert running.get("/statistics").json()["calls"]["failed"] == 20
        assert running.call({"city": "Oslo"})["response"] == {"temperature": 7}
        assert running.stop() == 0
    assert len(upstream.requests) == 16


def test_what_an_engine_says_of_its_failure_is_told(world: World, upstream: ApiServer) -> None:
    mode = ("--mode", "live", "--via", upstream.url, "--budget", "1")
    with gateway(world.path, *mode) as running:
        assert running.call({"city": "Tartu"})["error"] == ""
        failed = running.call({"city": "Narva"})
        assert failed["error"] == "API not working error..."
        assert "budget of 1 calls" in failed["response"]


def test_a_client_that_goes_away_loses_nothing(world: World, upstream: ApiServer) -> None:
    upstream.delay = 0.5
    content = json.dumps(body({"city": "Tartu"})).encode()
    head = (
        "POST /virtual HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"content-length: {len(content)}\r\n\r\n"
    )
    with gateway(world.path, "--mode", "live", "--via", upstream.url) as running:
        address = httpx.URL(running.url)
        for sent in (head.encode() + content, head.encode() + content[:20], head.encode()[:30]):
            with socket.create_connection((address.host, address.port)) as connection:
                connection.sendall(sent)
                time.sleep(0.1)
        time.sleep(0.7)
        assert running.get("/health").status_code == 200
        assert running.call({"city": "Tartu"})["response"] == {"ok": "/city/Tartu"}
        assert "Traceback" not in running.log.read_text()
    assert upstream.seen["/city/Tartu"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_calls_in_flight_are_answered_and_filed_at_the_end(
    world: World, upstream: ApiServer, number: signal.Signals
) -> None:
    upstream.delay = 0.8
    answers: list[dict[str, Any]] = []
    with gateway(world.path, "--mode", "live", "--via", upstream.url) as running:
        calls = [
            threading.Thread(target=lambda n=n: answers.append(running.call({"city": f"c{n}"})))
            for n in range(4)
        ]
        for call in calls:
            call.start()
        while len(upstream.requests) < 4:
            time.sleep(0.02)
        assert running.stop(number) == 0
        for call in calls:
            call.join()
        with pytest.raises(httpx.TransportError):
            running.get("/health")
    assert sorted(a["response"]["ok"] for a in answers) == [f"/city/c{n}" for n in range(4)]
    assert not (world.path / "recorded" / "journal.jsonl").exists()
    recorded = World(world.path)
    for n in range(4):
        call = ApiCall("Weather", "Weather Now", "By City", {"city": f"c{n}"})
        assert recorded.call(call).body == {"ok": f"/city/c{n}"}


def test_many_callers_at_once_get_their_own_answers(small: Gateway) -> None:
    expected = {"Oslo": 7, "Rome": 1}

    def ask(number: int) -> bool:
        city = ("Oslo", "Rome")[number % 2]
        with httpx.Client(base_url=small.url) as client:
            return all(
                client.post("/virtual", json=body({"city": city})).json()["response"]["temperature"]
                == expected[city]
                for _ in range(20)
            )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(16)))


def test_further_routes_are_served_behind_the_same_guard(world: World) -> None:
    async def models(_: Request) -> JSONResponse:
        return JSONResponse({"data": []})

    app = Application(world, Offer(token="t"), [Route("/v1/models", models)])

    async def ask(**headers: str) -> int:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return (await client.get("/v1/models", headers=headers)).status_code

    assert asyncio.run(ask()) == 401
    assert asyncio.run(ask(authorization="Bearer t")) == 200
    assert asyncio.run(ask(authorization="Bearer t", host="evil.example")) == 421
