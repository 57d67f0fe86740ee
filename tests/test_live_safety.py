"""Live calls meet hostile documents and broken services: where they go, and what they take in."""

import gzip
import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.call import ApiCall
from sandbox.cassette import cassette_path, read_cassette
from sandbox.errors import BadInput, NetworkRefused
from sandbox.live import redirect_target
from sandbox.network import is_public
from sandbox.policy import LivePolicy
from sandbox.tape import Outcome
from sandbox.world import World, create_world
from tests.api_server import ApiServer, api_server
from tests.test_cli import toolreplay
from toolreplay.modes import live_client

Serve = Callable[[socket.socket], None]

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with api_server() as running:
        yield running


@contextmanager
def raw_server(serve: Serve) -> Iterator[str]:
    """Run a server that answers each request with whatever bytes a function sends."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while b"\r\n\r\n" not in self.request.recv(65536):
                pass
            with suppress(OSError):
                serve(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def world_at(path: Path, url: str, **fields: Any) -> World:
    """Make a world of one API whose document has a URL."""
    tool = {
        "tool_name": "Local",
        "category": "Test",
        "api_list": [{"name": "Thing", "url": url, "method": "GET", **fields}],
    }
    document = path / "tools" / "Test" / "local.json"
    document.parent.mkdir(parents=True, exist_ok=True)
    document.write_text(json.dumps(tool))
    return create_world(path, "local", "made by a test")


def ask(world: World, arguments: dict[str, Any] | None = None, **policy: Any) -> Outcome:
    """Make the world's one call as the command line does."""
    chosen = LivePolicy(**{"retries": 0, "timeout": 20.0, "longest_pause": 0.01, **policy})
    with World(world.path).recording(live_client(world, chosen)) as tape:
        return tape.call(ApiCall("Test", "Local", "Thing", arguments or {}))


HERE = frozenset({"127.0.0.1", "localhost"})


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "2130706433", "127.1", "0.0.0.0"])
def test_a_document_that_leads_into_this_machine_is_refused(
    tmp_path: Path, server: ApiServer, name: str
) -> None:
    """By address, by a name that resolves to it, and by the odd spellings that resolvers take."""
    world = world_at(tmp_path, server.url.replace("127.0.0.1", name) + "/latest/meta-data")
    with pytest.raises(NetworkRefused, match=r"no public address.*--host.*--via"):
        ask(world)
    assert not server.requests


def test_the_user_can_name_a_host_of_this_machine(tmp_path: Path, server: ApiServer) -> None:
    world = world_at(tmp_path, f"{server.url.replace('127.0.0.1', 'localhost')}/x")
    assert ask(world, hosts=HERE).response.body == {"ok": "/x"}
    elsewhere = world_at(tmp_path / "via", "https://public.example/x")
    assert ask(elsewhere, via=server.url).response.body == {"ok": "/x"}


def test_a_name_that_resolves_differently_the_second_time_is_refused(
    tmp_path: Path, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is the address that is connected to: no look-up comes before it."""
    port = int(server.url.rpartition(":")[2])
    asked = []

    def rebinding(host: Any, *_: Any, **__: Any) -> Any:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    world = world_at(tmp_path, f"http://public.example:{port}/x")
    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with pytest.raises(NetworkRefused, match=r"127\.0\.0\.1, which is no public address"):
        ask(world)
    assert asked
    assert not server.requests


def test_a_host_cannot_be_put_together_from_an_argument(tmp_path: Path, server: ApiServer) -> None:
    port = server.url.rpartition(":")[2]
    world = world_at(
        tmp_path, f"http://{{where}}:{port}/x", required_parameters=[{"name": "where"}]
    )
    for where in ("127.0.0.1", "localhost", "a@127.0.0.1", "169.254.169.254"):
        with pytest.raises((NetworkRefused, BadInput)):
            ask(world, {"where": where})
    assert not server.requests


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost:{port}/x",
        "http://127.0.0.1@localhost:{port}/x",
        "file:///etc/passwd",
        "http://[",
        "//localhost:{port}/x",
    ],
)
def test_a_redirect_that_leads_astray_is_the_answer(
    tmp_path: Path, server: ApiServer, target: str
) -> None:
    with api_server() as inner:
        leads = target.format(port=inner.url.rpartition(":")[2])
        server.answers["/x"] = (302, leads)
        outcome = ask(world_at(tmp_path, f"{server.url}/x"), hosts=frozenset({"127.0.0.1"}))
        assert not inner.requests
    assert outcome.recording.response["status"]["code"] in (302, 502)


def test_a_redirect_from_https_to_http_is_not_followed() -> None:
    for asked, location, followed in (
        ("https://a.example/x", "http://a.example/y", False),
        ("https://a.example/x", "/y", True),
        ("http://a.example/x", "https://a.example/y", True),
        ("http://a.example/x", "ftp://a.example/y", False),
    ):
        answer = httpx.Response(302, headers={"location": location})
        assert bool(redirect_target(httpx.Request("GET", asked), answer)) == followed


def test_public_addresses_are_told_from_others() -> None:
    public = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"]
    private = [
        *("127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "224.0.0.1", "::1", "::", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1"),
        *("2002:7f00:1::", "/run/docker.sock", ""),
    ]
    assert all(map(is_public, public))
    assert not any(map(is_public, private))


def test_the_command_line_refuses_in_words(tmp_path: Path, server: ApiServer) -> None:
    world_at(tmp_path / "world", f"{server.url}/x")
    calls = tmp_path / "calls.jsonl"
    calls.write_text('{"category": "Test", "tool": "Local", "api": "Thing", "arguments": {}}')
    options = ("record", str(tmp_path / "world"), "--calls", str(calls))
    done = toolreplay(*options)
    assert done.returncode == 2
    assert "no public address" in " ".join(done.stderr.split())
    assert toolreplay(*options, "--host", "127.0.0.1").returncode == 0


def test_a_probe_goes_on_where_it_may_not_call(tmp_path: Path, server: ApiServer) -> None:
    world = world_at(tmp_path / "world", f"{server.url}/deep")
    tools = world.path / "tools" / "Test"
    document = (tools / "local.json").read_text()
    (tools / "away.json").write_text(
        document.replace("Local", "Away").replace("127.0.0.1", "10.0.0.1")
    )
    (tools / "bad.json").write_text(document.replace("Local", "Bad").replace("/deep", "/bad"))
    (tools / "empty.json").write_text('{"tool_name": "Empty", "api_list": []}')
    server.answers["/deep"] = (200, b"[" * 200_000)
    server.faults["/bad"] = [404]
    done = toolreplay("probe", world.path, "--host", "127.0.0.1", "--drop", "--json")
    told = {f["tool"]: (f["kept"], f["reason"][:11]) for f in json.loads(done.stdout)}
    assert told == {
        "Away": (True, "not called:"),
        "Bad": (False, "failed: HTT"),
        "Local": (True, ""),
    }
    assert sorted(path.stem for path in tools.iterdir()) == ["away", "empty", "local"]


def endless(client: socket.socket) -> None:
    client.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    while True:
        client.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")


def trickling(client: socket.socket) -> None:
    client.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    while True:
        client.sendall(b"1\r\nx\r\n")
        time.sleep(0.1)


BOMB = gzip.compress(b" " * (8 << 20))


def bomb(client: socket.socket) -> None:
    head = HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(BOMB)
    client.sendall(head + BOMB)


def no_gzip(client: socket.socket) -> None:
    client.sendall(HEAD + b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd")


def too_short(client: socket.socket) -> None:
    client.sendall(HEAD + b'content-length: 1000\r\n\r\n{"a": 1}')
    client.close()


def too_long(client: socket.socket) -> None:
    client.sendall(HEAD + b'content-length: 8\r\n\r\n{"a": 1}HTTP/1.1 200 OK\r\n\r\nand more')
    client.close()


def two_lengths(client: socket.socket) -> None:
    client.sendall(HEAD + b'content-length: 8\r\ncontent-length: 9\r\n\r\n{"a": 1}')
    client.close()


def no_utf8(client: socket.socket) -> None:
    client.sendall(HEAD + b'content-length: 11\r\n\r\n{"a": "\xff\xfe"}')


def no_http(client: socket.socket) -> None:
    client.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
    client.close()


def huge_header(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nx: " + b"y" * (1 << 20) + b"\r\n\r\n")
    client.close()


def hanging(client: socket.socket) -> None:
    client.recv(1)


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    client.close()


@pytest.mark.parametrize(
    ("serve", "status", "observed"),
    [
        (endless, 502, "more than 1,000,000 bytes"),
        (trickling, 504, "Timeout"),
        (bomb, 502, "more than 1,000,000 bytes"),
        (no_gzip, 502, "cannot be unpacked"),
        (too_short, 502, ""),
        (too_long, 200, '{"a": 1}'),
        (two_lengths, 502, ""),
        (no_utf8, 200, "\ufffd"),
        (no_http, 502, ""),
        (huge_header, 502, ""),
        (hanging, 504, "Timeout"),
        (reset, 502, ""),
    ],
)
def test_a_broken_service_costs_its_own_call_alone(
    tmp_path: Path, serve: Serve, status: int, observed: str
) -> None:
    """Calls before and after it are on the tape; what failed is kept apart, and called again."""
    with raw_server(serve) as url, api_server() as good:
        world = world_at(tmp_path, "https://things.example/x")
        policy = {"timeout": 1.0 if status == 504 else 20.0, "body": 1_000_000}
        assert ask(world, {"n": 1}, via=good.url).result == "recorded"
        failed = ask(world, {"n": 2}, via=url, **policy)
        assert ask(world, {"n": 3}, via=good.url).result == "recorded"
        assert failed.recording.response["status"]["code"] == status
        assert failed.result == ("recorded" if status == 200 else "transient")
        assert observed.lower() in failed.response.observation().lower()
        kept = read_cassette(cassette_path(world.path, "Test", "Local"))
        assert [r.call.arguments["n"] for r in kept] == ([1, 2, 3] if status == 200 else [1, 3])
        if status != 200:
            assert ask(world, {"n": 2}, via=good.url).result == "recorded"
