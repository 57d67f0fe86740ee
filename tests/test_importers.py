"""Importers: real cassettes, OpenAPI descriptions, StableToolBench's cache, tool directories."""

import asyncio
import base64
import contextlib
import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import vcr
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.call import ApiCall
from sandbox.cassette import Recording, cassettes, read_cassette
from sandbox.catalogue import document
from sandbox.errors import BadInput, CorruptTape, ToolReplayError, UnrecordedCall
from sandbox.importers.intake import Imported, take_in
from sandbox.importers.observation import Observation
from sandbox.importers.openapi import import_openapi
from sandbox.importers.sketch import IMPORTED_CATEGORY
from sandbox.importers.stabletoolbench import import_stabletoolbench, read_input
from sandbox.importers.toolbench import import_toolbench
from sandbox.importers.vcr import import_vcr
from sandbox.network import network_shut
from sandbox.request import build_request
from sandbox.response import ERROR_TEXTS, StatusCode
from sandbox.route import Routes
from sandbox.secrets import _PATTERNS, _SHORTEST, REDACTED, Redactor
from sandbox.tool import Api, Tool
from sandbox.world import World
from tests.api_server import ApiServer, api_server
from tests.conftest import DEMO, http_recording, make_world
from tests.test_cli import toolreplay

TOKEN = "sk-live-0123456789abcdefghij"
Send = Callable[[str, str, dict[str, Any]], None]


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with api_server() as running:
        yield running


def with_httpx(method: str, url: str, more: dict[str, Any]) -> None:
    httpx.request(method, url, **more)


def with_requests(method: str, url: str, more: dict[str, Any]) -> None:
    requests = pytest.importorskip("requests")
    requests.request(method, url, timeout=5, **more)


def with_aiohttp(method: str, url: str, more: dict[str, Any]) -> None:
    aiohttp = pytest.importorskip("aiohttp")

    async def send() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, **more) as response,
        ):
            await response.read()

    asyncio.run(send())


def tape(path: Path, sent: list[tuple[str, str, dict[str, Any]]], send: Send) -> None:
    """Make requests under plain vcrpy, every one recorded."""
    kind = "json" if path.suffix == ".json" else "yaml"
    with vcr.use_cassette(str(path), record_mode="all", serializer=kind):
        for method, url, more in sent:
            send(method, url, more)


def ask(path: Path, tool: str, api: str, **arguments: Any) -> Any:
    world = World(path)
    found = world.catalogue.find(tool, api)
    assert found, f"no document of {tool}/{api}"
    with network_shut():
        return world.call(ApiCall(found[0].category, tool, api, arguments)).body


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in found if ".db" not in p.name}


@pytest.mark.parametrize("send", [with_httpx, with_requests, with_aiohttp])
@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_cassettes_of_any_client_replay(
    tmp_path: Path, server: ApiServer, send: Send, suffix: str
) -> None:
    server.answers["/order"] = (201, {"made": True})
    tape(
        tmp_path / "cassettes" / f"one.{suffix}",
        [
            ("GET", f"{server.url}/items?page=2&q=red+shoe", {}),
            ("POST", f"{server.url}/order", {"json": {"items": [1, 2], "gift": True}}),
            ("POST", f"{server.url}/login", {"data": {"user": "ann", "age": "41"}}),
        ],
        send,
    )
    imported = import_vcr(tmp_path / "cassettes", tmp_path / "world")
    assert (imported.tools, imported.apis, imported.recordings) == (1, 3, 3)
    host = server.url.removeprefix("http://")
    world = tmp_path / "world"
    assert ask(world, host, "GET /items", page=2, q="red shoe")["q"] == "red shoe"
    assert ask(world, host, "GET /items", page="2", q="red shoe")["page"] == "2"
    assert ask(world, host, "POST /order", gift="true", items=[1, 2]) == {"made": True}
    assert ask(world, host, "POST /login", user="ann", age=41) == {"ok": "/login"}
    with pytest.raises(UnrecordedCall):
        ask(world, host, "GET /items", page=3, q="red shoe")
    documents = {api.name: (tool, api) for tool, api in World(world).catalogue.apis()}
    tool, order = documents["POST /order"]
    assert tool.category == IMPORTED_CATEGORY
    assert order.request_body == "json"
    assert {p.name: p.type for p in order.parameters} == {"gift": "BOOLEAN", "items": "ARRAY"}
    told_apart = send is not with_aiohttp  # vcrpy keeps aiohttp's forms as objects
    assert documents["POST /login"][1].request_body == ("form" if told_apart else "json")
    again = build_request(tool, order, ApiCall("", "", "", {"items": [1, 2], "gift": True}))
    assert json.loads(again.read()) == {"items": [1, 2], "gift": True}
    assert str(again.url) == f"{server.url}/order"
    [stored] = cassettes(world)
    with network_shut(), vcr.use_cassette(str(stored), record_mode="none"):
        played = httpx.get(f"{server.url}/items?page=2&q=red+shoe")
    assert played.json()["page"] == "2"
    volatile = {"date", "server", "set-cookie", "x-request-id", "user-agent"}
    for recording in read_cassette(stored):
        kept = {*recording.request["headers"], *recording.response["headers"]}
        assert not volatile & {name.lower() for name in kept}


def test_the_documents_of_the_world_are_used(tmp_path: Path, server: ApiServer) -> None:
    world = tmp_path / "world"
    documents = {
        "tool_name": "Shop",
        "category": "Commerce",
        "api_list": [
            {
                "name": "Item",
                "url": f"{server.url}/items/{{id}}",
                "method": "GET",
                "required_parameters": [{"name": "id", "type": "NUMBER"}],
                "optional_parameters": [{"name": "tags", "type": "ARRAY"}],
            },
            {"name": "Newest", "url": f"{server.url}/items/newest", "method": "GET"},
            {"name": "Shelf", "url": f"{server.url}/shelves/:name/books", "method": "GET"},
            {"name": "Files", "url": f"{server.url}/files/{{name}}.{{kind}}?v={{v}}&f=x"},
            {
                "name": "Order",
                "url": f"{server.url}/orders/{{id}}",
                "method": "POST",
                "request_body": "json",
            },
        ],
    }
    take_in(world, "test", [Tool.model_validate(documents)], [], Imported())
    tape(
        tmp_path / "c.yaml",
        [
            ("GET", f"{server.url}/items/7?tags=%5B1%5D&x-rapidapi-key=shh", {}),
            ("GET", f"{server.url}/items/newest", {}),
            ("GET", f"{server.url}/shelves/caf%C3%A9%2F1/books", {}),
            ("GET", f"{server.url}/files/a.b.txt?f=x&v=2", {}),
            ("POST", f"{server.url}/orders/9", {"json": {"note": None, "lines": {"a": 1}}}),
            ("GET", f"{server.url}/orders/9", {}),
        ],
        with_httpx,
    )
    imported = import_vcr(tmp_path / "c.yaml", world)
    assert (imported.tools, imported.apis, imported.recordings) == (1, 1, 6)
    assert ask(world, "shop", "item", id="7", tags=[1], x_rapidapi_key="any")["ok"] == "/items/7"
    assert ask(world, "Shop", "Newest") == {"ok": "/items/newest"}
    assert ask(world, "Shop", "Shelf", name="café/1")["ok"] == "/shelves/caf%C3%A9%2F1/books"
    assert ask(world, "Shop", "Files", name="a.b", kind="txt", v="2")["v"] == "2"
    assert ask(world, "Shop", "Order", id="9", lines={"a": 1}) == {"ok": "/orders/9"}
    host = server.url.removeprefix("http://")
    assert ask(world, host, "GET /orders/9") == {"ok": "/orders/9"}


def test_recordings_of_one_request_keep_their_order(tmp_path: Path, server: ApiServer) -> None:
    for name, number in (("a", 3), ("b", 1), ("c", 2)):
        server.answers["/now"] = (503 if number == 1 else 200, {"n": number})
        path = tmp_path / "cassettes" / f"{name}.yaml"
        tape(path, [("GET", f"{server.url}/now?x=00", {})], with_httpx)
    world = tmp_path / "world"
    assert import_vcr(tmp_path / "cassettes", world).recordings == 3
    before = files(world)
    again = import_vcr(tmp_path / "cassettes", world)
    assert (again.recordings, again.apis, again.already_there) == (0, 0, 3)
    assert files(world) == before
    session = World(world).session()
    host = server.url.removeprefix("http://")
    call = ApiCall(IMPORTED_CATEGORY, host, "GET /now", {"x": "00"})
    answers = [session.call(call) for _ in range(4)]
    assert [answer.body["n"] for answer in answers] == [3, 1, 2, 2]
    assert answers[1].status_code == StatusCode.API_NOT_WORKING


def test_secrets_stay_outside(tmp_path: Path, server: ApiServer) -> None:
    secret = "s3cr3t-of-the-user"
    server.answers["/echo"] = (200, {"you_sent": secret, "token": TOKEN})
    address = server.url.replace("http://", "http://me:basic-pass-word@")
    tape(
        tmp_path / "c.yaml",
        [
            ("GET", f"{address}/echo?api_key=hidden-field", {}),
            ("GET", f"{server.url}/echo", {"headers": {"authorization": f"Token {secret}"}}),
            ("POST", f"{server.url}/echo", {"json": {"a": {"client_secret": "hidden-inside"}}}),
            ("POST", f"{server.url}/echo", {"data": {"access_token": "hidden-form", "b": "1"}}),
            ("GET", f"{server.url}/echo", {"cookies": {"sid": "hidden-cookie-value"}}),
        ],
        with_httpx,
    )
    world = tmp_path / "world"
    import_vcr(tmp_path / "c.yaml", world)
    host = server.url.removeprefix("http://")
    assert ask(world, host, "GET /echo", api_key="another")["you_sent"] == "REDACTED"
    stored = b"".join(files(world).values())
    assert b"REDACTED" in stored
    for hidden in (secret, TOKEN, "hidden-", "basic-pass-word", "secret-cookie"):
        assert hidden.encode() not in stored, hidden


def test_compressed_binary_and_odd_bodies(tmp_path: Path, server: ApiServer) -> None:
    picture = b"\x89PNG\r\n\xff\x00"
    server.answers["/picture"] = (200, picture)
    server.answers["/upload"] = (200, ["taken"])
    path = tmp_path / "c.yaml"
    tape(
        path,
        [
            ("GET", f"{server.url}/picture", {}),
            ("POST", f"{server.url}/upload", {"content": b"to be a picture"}),
            ("POST", f"{server.url}/upload", {"json": [1, 2]}),
            ("GET", f"{server.url}/packed", {}),
            ("GET", f"{server.url}/packed?as=br", {}),
        ],
        with_httpx,
    )
    cassette = yaml.safe_load(path.read_text())
    cassette["interactions"][1]["request"]["body"] = picture
    packed, brotli = cassette["interactions"][3:]
    packed["response"]["body"]["string"] = gzip.compress(b'{"un": "packed"}')
    packed["response"]["headers"]["Content-Encoding"] = ["gzip"]
    brotli["response"]["body"]["string"] = b"\x8b\x03\x80\xff"
    brotli["response"]["headers"]["content-encoding"] = "br"
    path.write_text(yaml.safe_dump(cassette))
    world = tmp_path / "world"
    imported = import_vcr(path, world)
    host = server.url.removeprefix("http://")
    assert "compressed with br" in imported.skipped[f"{path}, interaction 5"]
    assert ask(world, host, "GET /packed") == {"un": "packed"}
    assert ask(world, host, "POST /upload", body=[1, 2]) == ["taken"]
    encoded = base64.b64encode(picture).decode()
    assert ask(world, host, "POST /upload", body=encoded) == ["taken"]
    [stored] = cassettes(world)
    bodies = [r.response["body"]["string"] for r in read_cassette(stored)]
    assert picture in bodies


def test_old_shapes_of_cassettes(tmp_path: Path) -> None:
    """The shapes that vcrpy wrote for httpx before version 6, and for Python 2."""
    (tmp_path / "old.yaml").write_text(
        "interactions:\n"
        "- request:\n"
        "    body: !!python/unicode 'a=1'\n"
        "    headers: {Content-Type: application/x-www-form-urlencoded}\n"
        "    method: POST\n"
        "    uri: https://old.example/one\n"
        "  response:\n"
        "    content: '{\"old\": true}'\n"
        "    headers: [ ]\n"
        "    http_version: HTTP/1.1\n"
        "    status_code: 200\n"
        "version: 1\n".replace("[ ]", "{}")
    )
    world = tmp_path / "world"
    import_vcr(tmp_path / "old.yaml", world)
    assert ask(world, "old.example", "POST /one", a=1) == {"old": True}


@pytest.mark.parametrize(
    ("content", "error", "problem"),
    [
        ("interactions: [", CorruptTape, "neither YAML nor JSON"),
        ("[{request: {}, response: {}}]", BadInput, "vcr.migration"),
        ("version: 1", BadInput, "no list of interactions"),
        ("[1]", BadInput, "no list of interactions"),
        ("interactions:\n- request: {}", CorruptTape, "interaction 1: request.method"),
        (
            "interactions:\n- {request: {method: GET, uri: 'file:///x'}, response: {}}",
            CorruptTape,
            "no http",
        ),
        ("interactions: [!!python/object/new:os.system [x]]", CorruptTape, "Python object"),
        ("interactions: [1]", CorruptTape, "interaction 1"),
        ("\x00", CorruptTape, "neither"),
    ],
)
def test_broken_cassettes_are_named(
    tmp_path: Path, content: str, error: type[Exception], problem: str
) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(content)
    with pytest.raises(error, match=problem) as raised:
        import_vcr(path, tmp_path / "world")
    assert "broken.yaml" in str(raised.value)
    assert not (tmp_path / "world").exists()


def test_our_own_cassettes_and_other_files_are_left_out(tmp_path: Path, server: ApiServer) -> None:
    folder = tmp_path / "cassettes"
    tape(folder / "a.yaml", [("GET", f"{server.url}/a", {})], with_httpx)
    import_vcr(folder / "a.yaml", tmp_path / "first")
    [ours] = cassettes(tmp_path / "first")
    (folder / "ours.yaml").write_bytes(ours.read_bytes())
    (folder / "package.json").write_text("{}")
    imported = import_vcr(folder, tmp_path / "world")
    assert imported.recordings == 1
    assert "own cassette" in imported.skipped[str(folder / "ours.yaml")]
    assert "no interactions" in imported.skipped[str(folder / "package.json")]


WORDS = [
    *("interactions", "request", "response", "method", "uri", "status", "code", "body", "headers"),
    *("string", "paths", "get", "parameters", "schema", "$ref", "type", "responses", "content"),
]
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.binary(max_size=6)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(WORDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=VALUES, at=st.integers(0, 12))
def test_no_input_makes_an_importer_stumble(
    value: Any, at: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever stands in a part of the file, it is imported or refused in words."""
    folder = tmp_path_factory.mktemp("fuzz")
    good: dict[str, Any] = {
        "request": {"method": "GET", "uri": "https://a.example/x", "headers": {}, "body": None},
        "response": {"status": {"code": 200}, "headers": {}, "body": {"string": "{}"}},
    }
    operation = {"parameters": [{"name": "q", "in": "query"}], "requestBody": {"content": {}}}
    api: dict[str, Any] = {"openapi": "3.1.0", "info": {}, "paths": {"/a": {"get": operation}}}
    for target in (good["request"], good["response"], api, operation):
        target[sorted(target)[at % len(target)]] = value
    cassette = {"interactions": [good, value] if at % 2 else [good]}
    cache = folder / "cache" / "c" / "t" / "a.json"
    cache.parent.mkdir(parents=True)
    cache.write_text(json.dumps({"{}": value, "x": {"response": value}}, default=str))
    (folder / "c.yaml").write_text(yaml.safe_dump(cassette))
    (folder / "o.yaml").write_text(yaml.safe_dump(api))
    for number, (name, importer) in enumerate(
        (
            ("c.yaml", import_vcr),
            ("o.yaml", import_openapi),
            ("cache", import_stabletoolbench),
        )
    ):
        into = folder / f"world{number}"
        with contextlib.suppress(ToolReplayError):
            importer(folder / name, into)
            assert World(into).store.counts() is not None
            assert World(into).catalogue is not None


PETS: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Pet Store", "description": "Pets.", "version": "1"},
    "servers": [{"url": "https://{env}.pets.example/v2/", "variables": {"env": {"default": "eu"}}}],
    "paths": {
        "/pets/{id}": {
            "parameters": [{"$ref": "#/components/parameters/Id"}],
            "get": {
                "operationId": "getPet",
                "summary": "One pet.",
                "parameters": [
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                    {"name": "Accept", "in": "header", "schema": {"type": "string"}},
                    {"name": "session", "in": "cookie", "schema": {"type": "string"}},
                    {
                        "name": "fields",
                        "in": "query",
                        "schema": {"type": "array", "items": {"type": "string"}},
                    },
                    {
                        "name": "size",
                        "in": "query",
                        "schema": {"type": "string", "enum": ["s", "m"], "default": "m"},
                    },
                ],
                "responses": {
                    "404": {"description": "none"},
                    "200": {"$ref": "#/components/responses/Pet"},
                },
            },
            "put": {
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/NewPet"}}
                    },
                },
                "responses": {"2XX": {"description": "ok"}},
            },
        },
        "/login": {
            "servers": [{"url": "/auth"}],
            "post": {
                "operationId": "get-pet",
                "requestBody": {
                    "content": {
                        "application/x-www-form-urlencoded": {
                            "schema": {"properties": {"user": {"type": "string"}}}
                        }
                    }
                },
                "responses": {},
            },
        },
        "/photo": {"post": {"requestBody": {"content": {"image/png": {}}}, "responses": {}}},
    },
    "components": {
        "parameters": {
            "Id": {
                "name": "id",
                "in": "path",
                "required": True,
                "description": "Its number.",
                "schema": {"type": "integer"},
                "example": 7,
            }
        },
        "responses": {
            "Pet": {
                "description": "A pet",
                "content": {
                    "application/json; charset=utf-8": {
                        "schema": {"$ref": "#/components/schemas/Pet"},
                        "examples": {"one": {"value": {"name": "Rex"}}},
                    }
                },
            }
        },
        "schemas": {
            "Name": {"type": "string", "description": "What it is called."},
            "Pet": {
                "type": "object",
                "properties": {
                    "name": {"$ref": "#/components/schemas/Name"},
                    "parents": {"type": "array", "items": {"$ref": "#/components/schemas/Pet"}},
                    "maker": {"$ref": "https://elsewhere.invalid/schema.json#/Maker"},
                },
            },
            "NewPet": {
                "allOf": [
                    {"$ref": "#/components/schemas/Pet"},
                    {
                        "required": ["name", "age"],
                        "properties": {
                            "age": {"type": ["number", "null"]},
                            "stamp": {"type": "string", "readOnly": True},
                        },
                    },
                ]
            },
        },
    },
}


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_openapi_becomes_documents(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"pets.{suffix}"
    path.write_text(json.dumps(PETS) if suffix == "json" else yaml.safe_dump(PETS, sort_keys=False))
    world = tmp_path / "world"
    with network_shut():
        imported = import_openapi(path, world, "Animals")
    assert (imported.tools, imported.apis) == (1, 4)
    [tool] = World(world).catalogue
    assert (tool.name, tool.category, tool.host) == ("Pet Store", "Animals", "eu.pets.example")
    apis = {api.name: api for api in tool.api_list}
    assert set(apis) == {"getPet", "PUT /pets/{id}", "get-pet", "POST /photo"}
    get, put = apis["getPet"], apis["PUT /pets/{id}"]
    assert get.url == "https://eu.pets.example/v2/pets/{id}"
    assert [(p.name, p.type, p.default) for p in get.required_parameters] == [("id", "NUMBER", 7)]
    assert [(p.name, p.type, p.default) for p in get.optional_parameters] == [
        ("X-Trace", "STRING", ""),
        ("fields", "ARRAY", ""),
        ("size", "STRING", "m"),
    ]
    assert [p.location for p in get.optional_parameters] == ["header", None, None]
    assert "One of: s, m." in (get.optional_parameters[2].description or "")
    told = get.description or ""
    assert "header parameter Accept, cookie parameter session" in told
    assert "X-Trace" not in told
    assert get.status_code == 200
    properties = get.response_schema["properties"]
    assert properties["name"] == {"type": "string", "description": "What it is called."}
    assert properties["parents"]["items"] == {"type": "object"}
    assert properties["maker"] == {"$ref": "https://elsewhere.invalid/schema.json#/Maker"}
    assert get.example == {"name": "Rex"}
    assert put.request_body == "json"
    assert [p.name for p in put.required_parameters] == ["id", "name", "age"]
    assert "stamp" not in [p.name for p in put.parameters]
    assert apis["get-pet"].request_body == "form"
    assert apis["get-pet"].url == "https://unknown.invalid/auth/login"
    assert "image/png" in imported.skipped[f"{path}, POST /photo"]
    request = build_request(tool, put, ApiCall("", "", "", {"id": 7, "name": "Rex", "age": 2}))
    assert str(request.url) == "https://eu.pets.example/v2/pets/7"
    before = files(world)
    assert import_openapi(path, world, "Animals").already_there == 4
    assert files(world) == before


def test_recordings_find_the_operations_of_an_imported_description(
    tmp_path: Path, server: ApiServer
) -> None:
    description = {**PETS, "servers": [{"url": server.url}]}
    (tmp_path / "pets.json").write_text(json.dumps(description))
    world = tmp_path / "world"
    import_openapi(tmp_path / "pets.json", world)
    traced = {"headers": {"x-trace": "a1"}}
    tape(
        tmp_path / "c.yaml",
        [
            ("GET", f"{server.url}/pets/12?size=s", {}),
            ("GET", f"{server.url}/pets/13", traced),
        ],
        with_httpx,
    )
    imported = import_vcr(tmp_path / "c.yaml", world)
    assert (imported.apis, imported.recordings) == (0, 2)
    assert ask(world, "Pet Store", "getPet", id=12, size="s") == {"ok": "/pets/12", "size": "s"}
    assert ask(world, "Pet Store", "getPet", id=13, x_trace="a1") == {"ok": "/pets/13"}
    with pytest.raises(UnrecordedCall):
        ask(world, "Pet Store", "getPet", id=13)


def test_names_that_standardise_alike_are_kept_apart(tmp_path: Path) -> None:
    paths = {path: {"get": {}} for path in ("/a-b", "/a_b", "/A/b")}
    path = tmp_path / "alike.json"
    path.write_text(json.dumps({"openapi": "3.1.0", "info": {"title": "T"}, "paths": paths}))
    import_openapi(path, tmp_path / "world")
    [tool] = World(tmp_path / "world").catalogue
    assert [api.name for api in tool.api_list] == ["GET /a-b", "GET /a_b (2)", "GET /A/b (3)"]


def test_a_schema_that_grows_without_end_is_bounded(tmp_path: Path) -> None:
    schemas = {
        f"S{n}": {
            "type": "object",
            "properties": {k: {"$ref": f"#/components/schemas/S{n + 1}"} for k in "abcd"},
        }
        for n in range(30)
    }
    schemas["S30"] = {"type": "integer"}
    media = {"application/json": {"schema": {"$ref": "#/components/schemas/S0"}}}
    operation = {"responses": {"200": {"content": media}}}
    description = {
        "openapi": "3.1.0",
        "info": {"title": "Deep"},
        "paths": {"/x": {"get": operation}},
        "components": {"schemas": schemas},
    }
    (tmp_path / "deep.json").write_text(json.dumps(description))
    import_openapi(tmp_path / "deep.json", tmp_path / "world")
    [document] = (tmp_path / "world" / "tools").glob("*/*.json")
    assert document.stat().st_size < 2_000_000


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"swagger": "2.0"}, "Swagger 2.0"),
        ({"openapi": "4.0"}, "no OpenAPI 3"),
        ({"paths": {}}, "no operation"),
        ({"paths": {"x-note": "text"}}, "no operation"),
        ({"servers": [{"url": "https://[x"}]}, "is no URL"),
        ({"paths": {"/a": {"$ref": "other.yaml#/a"}}}, "leads out of the file"),
        ({"paths": {"/a": {"$ref": "#/nowhere"}}}, "leads nowhere"),
        ({"paths": {"/a": {"$ref": "#/paths/~1a"}}}, "back to itself"),
        ({"paths": {"/a": {"get": {"parameters": ["x"]}}}}, "no mapping"),
    ],
)
def test_descriptions_that_cannot_be_used_are_named(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    path = tmp_path / "api.yaml"
    path.write_text(yaml.safe_dump({**PETS, **change}))
    with network_shut(), pytest.raises(BadInput, match=problem) as raised:
        import_openapi(path, tmp_path / "world")
    assert "api.yaml" in str(raised.value)
    assert not (tmp_path / "world").exists()


def cache_file(root: Path, category: str, tool: str, api: str, entries: Any) -> None:
    path = root / "tool_response_cache" / category / tool / f"{api}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries))


def test_stabletoolbenchs_cache_becomes_recordings(tmp_path: Path) -> None:
    entries = {
        str({"city": "Oslo", "days": 2, "deep": {"a": [True, None]}}): {
            "error": "",
            "response": {"t": 7},
        },
        '{"city": "Rome", "days": "3"}': {"error": "", "response": "['a literal']"},
        str({"city": "Bonn"}): {"error": ERROR_TEXTS[StatusCode.TIMEOUT], "response": ""},
        "city=Bern": {"error": "", "response": "as text \ud83d"},
        "__import__('os').system('false')": {"error": "odd", "response": ""},
        "{}": "no response at all",
    }
    cache_file(tmp_path, "Weather", "weather_now", "by_city", entries)
    cache_file(tmp_path, "Weather", "weather_now", "broken", "{")
    cache_file(tmp_path, "Music", "tunes", "is_id", {"{}": {"error": "", "response": [1]}})
    world = tmp_path / "world"
    imported = import_stabletoolbench(tmp_path, world)
    assert (imported.tools, imported.apis, imported.recordings) == (2, 2, 6)
    assert sorted(reason.split(" (")[0] for reason in imported.skipped.values()) == [
        "1 entries without a response",
        "not JSON",
    ]

    def answer(arguments: Any) -> tuple[str, int]:
        with network_shut():
            got = World(world).call(ApiCall("Weather", "Weather Now", "By City", arguments))
        return got.observation(), got.status_code

    assert answer({"days": 2, "city": "Oslo", "deep": {"a": [True, None]}}) == (
        '{"error": "", "response": {"t": 7}}',
        0,
    )
    assert answer({"city": "Rome", "days": 3})[1] == 0
    assert answer({"city": "Bonn"}) == ('{"error": "Timeout error...", "response": ""}', 5)
    assert answer("city=Bern") == ('{"error": "", "response": "as text ?"}', 0)
    assert answer("__import__('os').system('false')")[0] == '{"error": "odd", "response": ""}'
    before = files(world)
    again = import_stabletoolbench(tmp_path / "tool_response_cache", world)
    assert (again.recordings, again.apis, again.already_there) == (0, 0, 6)
    assert files(world) == before


def test_the_cache_uses_the_documents_of_the_world(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", [http_recording({"city": "Oslo"}, {"t": 1})])
    cache_file(
        tmp_path, "Weather", "weather_now", "by_city", {"{'city': 5}": {"response": {"t": 2}}}
    )
    imported = import_stabletoolbench(tmp_path, world.path)
    assert (imported.tools, imported.apis, imported.recordings) == (0, 0, 1)
    assert ask(world.path, "Weather Now", "By City", city="Oslo") == {"t": 1}
    assert json.loads(ask(world.path, "Weather Now", "By City", city="5"))["response"] == {"t": 2}


def test_tool_inputs_are_read_not_evaluated() -> None:
    assert read_input("{'a': (1, 2), 3: None}") == {"a": [1, 2], "3": None}
    assert read_input("") == {}
    for text in ("{'a': open('x')}", "{1: {2}}", "[1]", "{'a': b'x'}", "(" * 5000):
        assert read_input(text) == text


INPUTS = st.dictionaries(
    st.text(max_size=4),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
        max_leaves=4,
    ),
    max_size=3,
)


@settings(max_examples=300, deadline=None)
@given(INPUTS, st.integers(0, 60), st.sampled_from(["", "'", "\\", " ", "true", "NaN", "\t", "0"]))
def test_the_short_way_to_read_a_tool_input_gives_the_same(
    value: dict[str, Any], place: int, put_in: str
) -> None:
    text = str(value)
    text = text[:place] + put_in + text[place:]
    read = read_input(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sandbox.importers.stabletoolbench._is_json_in_python", lambda _: False)
        assert read_input(text) == read


@settings(max_examples=300, deadline=None)
@given(
    st.builds(ApiCall, st.text(), st.text(), st.text(), st.text() | INPUTS),
    st.text(),
    st.text(),
    st.integers(0, 12),
    st.booleans(),
    st.none() | st.text(),
)
def test_the_short_way_to_write_an_observation_gives_the_same(
    call: ApiCall, function: str, text: str, code: int, transient: bool, instruction: str | None
) -> None:
    made = Observation.of(call, function, text, code)
    observation = replace(made, transient=transient, instruction=instruction)
    line = observation.to_line()
    assert line == Recording(**vars(observation)).to_line()
    assert Recording.from_line(line).to_line() == line
    halved = replace(observation, call=replace(call, tool="half \ud800"))
    assert halved.to_line() == Recording(**vars(halved)).to_line()


@settings(max_examples=1000, deadline=None)
@given(st.text(max_size=30), st.from_regex(_PATTERNS, fullmatch=True), st.text(max_size=30))
def test_the_short_way_to_look_for_keys_misses_none(before: str, key: str, after: str) -> None:
    text = before + key + after
    assert Redactor().text(text) == _PATTERNS.sub(REDACTED, text)
    assert len(key) >= _SHORTEST


def test_keys_in_a_cache_are_taken_out_and_its_calls_are_found(tmp_path: Path) -> None:
    given = {"q": TOKEN, "api_key": "mine"}
    cache_file(tmp_path, "C", "t", "a", {str(given): {"error": "", "response": f"you: {TOKEN}"}})
    import_stabletoolbench(tmp_path / "tool_response_cache", tmp_path / "world")
    for content in files(tmp_path / "world").values():
        assert TOKEN.encode() not in content
        assert b"mine" not in content
    assert "REDACTED" in World(tmp_path / "world").call(ApiCall("C", "t", "a", given)).observation()


def test_an_empty_cache_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="tool_response_cache"):
        import_stabletoolbench(tmp_path, tmp_path / "world")


TOOL = {
    "tool_name": "Abuse IP Check",
    "tool_description": "Checks addresses.",
    "title": "Abuse",
    "pricing": "FREE",
    "score": {"avgServiceLevel": 100},
    "home_url": "https://rapidapi.com/x/api/abuse-ip-check/",
    "host": "abuse.p.rapidapi.com",
    "api_list": [
        {
            "name": "CHECK Endpoint",
            "url": "https://abuse.p.rapidapi.com/check",
            "description": "Checks one.",
            "method": "GET",
            "required_parameters": [
                {"name": "ip", "type": "STRING", "description": "", "default": "127.0.0.1"}
            ],
            "optional_parameters": [],
            "code": "raise SystemExit('this must never run')",
            "statuscode": 200,
            "body": {"data": {}},
            "headers": "",
            "schema": {"type": "object"},
            "convert_code": "",
        }
    ],
}


def tool_directory(root: Path) -> Path:
    folder = root / "tools" / "Business"
    (folder / "abuse_ip_check").mkdir(parents=True)
    (folder / "abuse_ip_check.json").write_text(json.dumps(TOOL))
    (folder / "abuse_ip_check" / "api.py").write_text("raise SystemExit('this must never run')")
    (folder / "no_apis.json").write_text(json.dumps({"tool_name": "x", "api_list": [{}]}))
    (folder / "damaged.json").write_text("")
    return root


def test_tool_directories_become_documents(tmp_path: Path) -> None:
    source = tool_directory(tmp_path / "data")
    world = tmp_path / "world"
    imported = import_toolbench(source, world)
    assert (imported.tools, imported.apis) == (1, 1)
    assert sorted(Path(path).name for path in imported.skipped) == ["damaged.json", "no_apis.json"]
    [tool] = World(world).catalogue
    assert tool.to_json() == {**TOOL, "category": "Business"}
    before = files(world)
    assert import_toolbench(source, world).already_there == 1
    assert files(world) == before


def test_shapes_are_counted_where_they_are_added(tmp_path: Path) -> None:
    source, world = tool_directory(tmp_path / "data"), tmp_path / "world"
    import_toolbench(source, world)
    shapes = source / "schemas" / "Business" / "abuse_ip_check.json"
    shapes.parent.mkdir(parents=True)
    entry = {"name": TOOL["api_list"][0]["name"], "schema": {"a": "str"}}
    shapes.write_text(json.dumps({"api_list": [entry]}))
    assert import_toolbench(source, world).shapes == 0
    assert import_toolbench(source, tmp_path / "new").shapes == 1


def test_real_response_shapes_meet_their_documents(tmp_path: Path, toolbench: Path) -> None:
    source = tool_directory(tmp_path / "data")
    for path in sorted((toolbench / "response_schemas").glob("*/*.json")):
        copy = source / "schemas" / path.parent.name / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    imported = import_toolbench(source, tmp_path / "world")
    assert imported.shapes == 1
    [tool] = World(tmp_path / "world").catalogue
    assert tool.api_list[0].template_response["data"]["isTor"] == "bool"
    assert tool.api_list[0].response_schema == {"type": "object"}
    reasons = {Path(path).stem: reason for path, reason in imported.skipped.items()}
    assert "not JSON" in reasons["acrosuite_oauther"]
    assert "none of its APIs" in reasons["putreq"]
    assert "languages" in reasons["speech_recognition"]
    assert "abuse_ip_check" not in reasons


def test_documents_of_two_sources_meet_in_one_world(tmp_path: Path) -> None:
    """A tool that is known gets the APIs that it lacks; what it has stays as it is."""
    world = make_world(tmp_path / "world", [http_recording({"city": "Oslo"}, {"t": 1})])
    document = world.path / "tools" / "Weather" / "weather_now.json"
    known = json.loads(document.read_text())
    more = {
        "tool_name": "weather_now",
        "api_list": [{"name": "by city", "url": "https://evil.example"}, {"name": "Tides"}],
    }
    path = tmp_path / "tools" / "Weather" / "weather_now.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(more))
    imported = import_toolbench(tmp_path / "tools", world.path)
    assert (imported.tools, imported.apis, imported.already_there) == (0, 1, 1)
    now = json.loads(document.read_text())
    assert now == {**known, "api_list": [*known["api_list"], {"name": "Tides"}]}


def test_tools_with_names_that_look_alike_on_disk_are_not_mixed(tmp_path: Path) -> None:
    names = ("a^b", "a_b")
    tools = [Tool(name=n, category="C", api_list=[Api(name="x")]) for n in names]
    recordings = [
        Recording(ApiCall("C", n, "x", {}), r.request, r.response)
        for n in names
        for r in [http_recording({}, {"of": n})]
    ]
    imported = Imported()
    take_in(tmp_path / "world", "test", tools, recordings, imported)
    assert (imported.tools, imported.recordings) == (2, 2)
    for name in names:
        assert ask(tmp_path / "world", name, "x") == {"of": name}


def test_routes_ignore_what_has_no_address() -> None:
    tool = Tool(name="t", api_list=[Api(name="a"), Api(name="b", url="ftp://x.example/")])
    assert Routes((tool, api) for api in tool.api_list).find("GET", "ftp://x.example/") is None


def test_the_command_line_imports_each_kind(tmp_path: Path, server: ApiServer) -> None:
    tape(tmp_path / "c.yaml", [("GET", f"{server.url}/a", {})], with_httpx)
    (tmp_path / "pets.json").write_text(json.dumps(PETS))
    cache_file(tmp_path, "C", "t", "a", {"{}": {"error": "", "response": 1}})
    tool_directory(tmp_path / "data")
    world = tmp_path / "world"

    def run(kind: str, source: Path, *more: str) -> Any:
        done = toolreplay("world", "import", kind, source, "--into", world, "--json", *more)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert run("vcr", tmp_path / "c.yaml")["recordings"] == 1
    assert run("openapi", tmp_path / "pets.json", "--category", "Animals")["apis"] == 4
    assert run("stabletoolbench", tmp_path / "tool_response_cache")["recordings"] == 1
    assert run("toolbench", tmp_path / "data")["tools"] == 1
    assert {tool.category for tool in World(world).catalogue} == {
        "Animals",
        "Business",
        "C",
        IMPORTED_CATEGORY,
    }
    told = toolreplay("world", "import", "toolbench", tmp_path / "data", "--into", world)
    assert "1 already there" in told.stdout
    assert "Left out" in told.stderr
    wrong = toolreplay(
        "world", "import", "vcr", tmp_path / "c.yaml", "--into", world, "--category", "x"
    )
    assert wrong.returncode == 2
    elsewhere = toolreplay(
        "world", "import", "vcr", tmp_path / "c.yaml", "--into", tmp_path / "data"
    )
    assert "is no world" in elsewhere.stderr


def test_documents_are_written_as_json_writes_them() -> None:
    """Also with halves of characters, which the faster encoder cannot write."""
    odd = Tool(name="\ud800 \u00e9", category="", description='"\x7f\n\u2028', api_list=[])
    for tool in [*World(DEMO).catalogue, odd]:
        assert document(tool) == json.dumps(tool.to_json(), ensure_ascii=False, indent=2) + "\n"
