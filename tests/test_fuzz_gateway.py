"""Whatever is sent to the gateway: a documented status and valid JSON, and never a fault of its."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from sandbox.gateway.app import Gateway, Offer
from sandbox.gateway.limits import Limits
from sandbox.network import network_shut
from tests.conftest import http_recording, make_world
from tests.gateway import body
from tests.test_fuzz import HOSTILE, TEXTS, VALUES

STATUSES = {200, 202, 204, 400, 401, 403, 404, 405, 406, 408, 413, 415, 421, 422, 501}
"""What docs/gateway.md and the protocols name; 500 is none of them."""

NAMES = [
    *("content-type", "origin", "x-toolreplay-instruction", "accept", "authorization"),
    *("mcp-session-id", "mcp-protocol-version", "toolbench_key"),
]

HEADERS = st.dictionaries(
    st.sampled_from(NAMES),
    st.sampled_from(["application/json", "text/event-stream", "*/*", "http://[", "", "x" * 5000])
    | st.text("abc/;=\u00e9\u00ff\t[]:", max_size=8).map(str.strip),
    max_size=3,
).map(lambda headers: [(name, value.encode("latin-1")) for name, value in headers.items()])

RAW = st.binary(max_size=20) | st.just(b"[" * 5000) | st.just(b" " * 5000) | st.just(b"\xff{}")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    path = tmp_path_factory.mktemp("gateway") / "world"
    recordings = [
        http_recording({"city": "Oslo"}, {"t": 7}),
        http_recording({"city": ""}, "no JSON"),
    ]
    world = make_world(path, recordings)
    routes: list[Any] = []
    model = None
    try:
        from sandbox.gateway.openai_protocol import model_routes
        from sandbox.llama.model import LlamaModel
        from tests.tiny_gguf import write_model

        model = LlamaModel(write_model(path.parent / "tiny.gguf"), size=512, threads=1)
        routes = list(model_routes(model))
    except ImportError:
        pass
    gateway = Gateway(world, Offer(limits=Limits(body=4096, seconds=20.0)), routes)
    with (
        network_shut(),
        TestClient(gateway, "http://127.0.0.1", raise_server_exceptions=True) as opened,
    ):
        yield opened
    if model:
        model.close()


def ask(client: TestClient, method: str, path: str, **options: Any) -> None:
    response = client.request(method, path, follow_redirects=False, **options)
    assert response.status_code in STATUSES, (response.status_code, response.text)
    kind = response.headers.get("content-type", "")
    if kind.startswith("application/json") and response.content:
        json.loads(response.content)
    assert "Traceback" not in response.text


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


FIELDS = ("category", "tool_name", "api_name", "tool_input", "strip", "toolbench_key", "more")


@given(
    path=st.sampled_from(["/virtual", "/rapidapi"]),
    fields=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3),
    raw=st.none() | RAW,
    headers=HEADERS,
)
def test_virtual(
    client: TestClient, path: str, fields: dict[str, Any], raw: bytes | None, headers: Any
) -> None:
    content = raw if raw is not None else dumped({**body({"city": "Oslo"}), **fields})
    ask(client, "POST", path, content=content, headers=headers)


CHAT: dict[str, Any] = {
    "model": "tiny",
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": 1,
}
MORE = ("messages", "tools", "tool_choice", "functions", "function_call", "response_format", "stop")
MORE += ("temperature", "max_tokens", "stream", "model", "seed", "top_p", "prompt")


@given(
    path=st.sampled_from(["/v1/chat/completions", "/v1/completions", "/v1/models"]),
    fields=st.dictionaries(st.sampled_from(MORE), VALUES, max_size=2),
    message=st.dictionaries(
        st.sampled_from(["role", "content", "tool_calls", "name", "function_call"]), VALUES
    ),
    raw=st.none() | RAW,
)
def test_models(
    client: TestClient, path: str, fields: dict[str, Any], message: Any, raw: bytes | None
) -> None:
    asked = {**CHAT, "messages": [*CHAT["messages"], message], **fields}
    capped = {**asked, "max_tokens": fields.get("max_tokens") if "stop" in fields else 1}
    ask(client, "POST", path, content=raw if raw is not None else dumped(capped))


METHODS = ["initialize", "tools/list", "tools/call", "ping", "resources/read", "../x", ""]


@given(
    method=st.sampled_from(METHODS),
    params=VALUES
    | st.fixed_dictionaries(
        {"name": st.just("by_city_for_weather_now") | TEXTS, "arguments": VALUES},
        optional={"cursor": TEXTS, "_meta": VALUES},
    ),
    raw=st.none() | RAW,
    query=st.sampled_from(["", "?category=Weather", "?tool=%00", "?category=" + "x" * 3000]),
    headers=HEADERS,
)
def test_mcp(
    client: TestClient, method: str, params: Any, raw: bytes | None, query: str, headers: Any
) -> None:
    pytest.importorskip("mcp")
    asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    content = raw if raw is not None else dumped(asked)
    given_headers = [("accept", b"application/json, text/event-stream"), *headers]
    ask(client, "POST", f"/mcp{query}", content=content, headers=given_headers)


SOME_PATHS = [
    *("/", "/docs", "/health", "/statistics", "/metrics", "/unrecorded", "/openapi.json"),
    *("/catalogue", "/catalogue/Weather/weather_now", "/catalogue/Weather/weather_now/by_city"),
    *("/static/page.js", "/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd"),
    *("/static/%00", "/catalogue/%00/..%2f..", "/catalogue/" + "x" * 5000 + "/y", "/virtual"),
]

PATHS = st.sampled_from(SOME_PATHS) | st.text("abc/.%0é", max_size=12).map(lambda text: "/" + text)


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "BREW"]),
    path=PATHS,
    query=st.dictionaries(
        st.sampled_from(["offset", "limit", "search", "category", "q"]),
        TEXTS.map(lambda t: t.encode("utf-8", "replace").decode()) | st.just("9" * 5000),
        max_size=2,
    ),
    headers=HEADERS,
)
def test_everything_else(
    client: TestClient, method: str, path: str, query: dict[str, str], headers: Any
) -> None:
    ask(client, method, path, params=query, headers=headers)


def test_no_file_outside_the_page_is_served(client: TestClient) -> None:
    app = (Path(__file__).parent.parent / "sandbox/gateway/app.py").read_text()
    for path in ("../app.py", "%2e%2e/app.py", "..%2fapp.py", "%2e%2e%2f%2e%2e%2fworld.py"):
        response = client.get(f"/static/{path}")
        assert response.status_code == 404
        assert app[:80] not in response.text


def test_a_host_or_a_length_that_lies_is_refused(client: TestClient) -> None:
    assert client.get("/health", headers={"host": "evil.example"}).status_code == 421
    assert client.get("/health", headers={"origin": "http://["}).status_code == 403
    long = client.post("/virtual", content=b"{}", headers={"content-length": "9" * 5000})
    assert long.status_code == 413
    assert client.post("/virtual", content=b"x" * 5000).status_code == 413
    for name in HOSTILE:
        quoted = name.encode("utf-8", "replace").decode()
        asked = client.post("/virtual", content=dumped(body("{}", tool_name=quoted)))
        assert asked.status_code == 200
