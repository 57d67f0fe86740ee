"""Replay opens no socket, and a recorded run needs no server."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from sandbox.errors import NetworkRefused
from sandbox.network import network_shut
from sandbox.world import World
from tests.conftest import API_LIST, answer, by_city, put_on_tape
from tests.model_server import model_server

FAIL_ON_ANY_SOCKET = """
import os, sys
def watch(event, args):
    if event.startswith("socket."):
        os.write(2, f"opened: {event} {args}\\n".encode())
        os._exit(99)
sys.addaudithook(watch)
from toolreplay.cli import main
main()
"""


def test_a_recorded_run_opens_no_socket_at_all(world: World, tmp_path: Path) -> None:
    """Not even a socket object, a look-up or a bind: each is an audit event that kills."""
    put_on_tape(world, "cities/1", [by_city("Oslo"), by_city("Atlantis"), answer("7")])
    queries = tmp_path / "cities.json"
    queries.write_text(json.dumps([{"query": "?", "query_id": 1, "api_list": API_LIST}]))
    program = [sys.executable, "-c", FAIL_ON_ANY_SOCKET]
    options = ["solve", queries, "--world", world.path, "--out", tmp_path / "run"]
    done = subprocess.run(
        [*program, *map(str, options)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "answers" / "cities" / "1_DFS_woFilter_w2.json").exists()
    done = subprocess.run(
        [*program, "eval", str(tmp_path / "run")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_watch_above_does_see_sockets(tmp_path: Path) -> None:
    program = FAIL_ON_ANY_SOCKET.replace(
        "from toolreplay.cli import main", "import socket"
    ).replace("main()", "socket.socket()")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 99


def test_a_shut_network_refuses_look_ups_and_connections() -> None:
    with model_server() as server, network_shut():
        port = int(server.url.split(":")[2].split("/")[0])
        with pytest.raises(NetworkRefused, match="getaddrinfo to localhost"):
            socket.getaddrinfo("localhost", port)
        with (
            pytest.raises(NetworkRefused, match=r"connect to 127\.0\.0\.1"),
            socket.socket() as tcp,
        ):
            tcp.connect(("127.0.0.1", port))
        with pytest.raises(NetworkRefused), socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.sendto(b"x", ("127.0.0.1", port))
        with pytest.raises(NetworkRefused):
            httpx.get(server.url)
    assert not server.bodies


def test_the_models_own_address_may_stay_open() -> None:
    with model_server() as server:
        body = {"model": "m", "messages": [{"role": "system"}, {"role": "user", "content": "Oslo"}]}
        with network_shut("127.0.0.1"):
            assert httpx.post(f"{server.url}/chat/completions", json=body).status_code == 200
            with pytest.raises(NetworkRefused):
                socket.getaddrinfo("example.org", 80)


def test_the_network_opens_when_the_last_of_several_blocks_ends() -> None:
    first, second = network_shut(), network_shut()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    with pytest.raises(NetworkRefused):
        socket.getaddrinfo("127.0.0.1", 80)
    second.__exit__(None, None, None)
    assert socket.getaddrinfo("127.0.0.1", 80)
