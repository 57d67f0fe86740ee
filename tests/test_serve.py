"""What `toolreplay serve` puts beside a world's recordings: a simulator, and a model."""

import json
from pathlib import Path

import pytest
from openai import OpenAI

from sandbox.world import World
from tests.gateway import body, gateway


def test_unseen_calls_are_simulated_once_and_for_all(world: World) -> None:
    with gateway(world.path, "--mode", "simulate") as running:
        first = running.post(body({"city": "Lima"}))
        assert first.headers["x-toolreplay-provenance"] == "simulated"
        assert first.json()["error"] == ""
        assert set(first.json()["response"]) == {"temperature"}
        assert running.post(body({"city": "Oslo"})).headers["x-toolreplay-provenance"] == "recorded"
        assert running.stop() == 0
    kept = (world.path / "simulated" / "Weather" / "Weather_Now.jsonl").read_text()
    _, line = kept.splitlines()
    assert json.loads(line)["arguments"] == {"city": "Lima"}
    with gateway(world.path, "--mode", "simulate") as running:
        assert running.post(body({"city": "Lima"})).json() == first.json()


def test_a_model_is_served_beside_the_world(world: World, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    pytest.importorskip("gguf")
    from tests.tiny_gguf import write_model

    file = write_model(tmp_path / "tiny.gguf")
    with gateway(world.path, "--model", f"llama:{file}") as running:
        client = OpenAI(base_url=f"{running.url}/v1", api_key="none")
        assert [model.id for model in client.models.list()] == ["tiny"]
        said = client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "Hello"}], max_tokens=5
        )
        assert said.usage is not None
        assert said.usage.completion_tokens <= 5
        assert running.call({"city": "Oslo"})["response"] == {"temperature": 7}
