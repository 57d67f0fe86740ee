"""OpenAI's protocol over a model in process, as its own client speaks it."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import httpx
import pytest

pytest.importorskip("llama_cpp", reason="needs the extra 'local'")
pytest.importorskip("uvicorn", reason="needs the extra 'local'")

import uvicorn
from openai import BadRequestError, NotFoundError, OpenAI
from starlette.applications import Starlette

from sandbox.chat import CompletionRequest, Sampling
from sandbox.function import FINISH
from sandbox.gateway.openai_protocol import model_routes
from sandbox.llama.model import LlamaModel
from sandbox.openai_model import OpenAIModel
from tests.tiny_gguf import write_model

WEATHER: dict[str, Any] = {
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
}
TOOLS: Any = [{"type": "function", "function": WEATHER}]
ASKED: Any = [{"role": "user", "content": "How warm is it in Oslo?"}]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = write_model(tmp_path_factory.mktemp("model") / "tiny.gguf")
    model = LlamaModel(path, size=1024, threads=1)
    app = Starlette(routes=model_routes(model))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/v1"
    server.should_exit = True
    thread.join()
    model.close()


@pytest.fixture(scope="module")
def client(url: str) -> OpenAI:
    return OpenAI(base_url=url, api_key="none", max_retries=0)


def test_models(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(NotFoundError, match="tiny"):
        client.models.retrieve("gpt-4")


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "weather"}}]
)
def test_a_tool_is_called(client: OpenAI, choice: Any) -> None:
    done = client.chat.completions.create(
        model="gpt-4", messages=ASKED, tools=TOOLS, tool_choice=choice, max_tokens=20, seed=1
    )
    assert done.model == "tiny"
    assert done.choices[0].finish_reason == "tool_calls"
    (call,) = done.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "weather"
    assert isinstance(json.loads(call.function.arguments)["city"], str)
    assert done.usage
    assert done.usage.prompt_tokens > 20
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens


def test_words_or_a_call_where_both_may_be(client: OpenAI) -> None:
    ends = set()
    for seed in range(20):
        done = client.chat.completions.create(
            model="m", messages=ASKED, tools=TOOLS, max_tokens=9, seed=seed, temperature=2
        )
        message = done.choices[0].message
        assert bool(message.tool_calls) != bool(message.content)
        ends.add(done.choices[0].finish_reason)
    assert {"tool_calls", "length"} <= ends
    done = client.chat.completions.create(
        model="m", messages=ASKED, tools=TOOLS, tool_choice="none", max_tokens=9
    )
    assert not done.choices[0].message.tool_calls


def test_a_stream_says_what_the_whole_answer_says(client: OpenAI) -> None:
    asked: dict[str, Any] = {"model": "m", "messages": ASKED, "max_tokens": 16, "seed": 3}
    whole = client.chat.completions.create(**asked)
    pieces = list(
        client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    said = "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
    assert said == whole.choices[0].message.content
    assert len(pieces) > 5
    assert pieces[-1].usage == whole.usage
    assert pieces[-2].choices[0].finish_reason == whole.choices[0].finish_reason


def test_a_call_is_streamed(client: OpenAI) -> None:
    asked: dict[str, Any] = {"model": "m", "messages": ASKED, "tools": TOOLS, "max_tokens": 20}
    asked |= {"tool_choice": "required", "seed": 4}
    whole = client.chat.completions.create(**asked).choices[0].message.tool_calls
    with client.chat.completions.stream(**asked) as stream:
        for _ in stream:
            pass
        done = stream.get_final_completion().choices[0]
    assert done.finish_reason == "tool_calls"
    assert whole
    assert done.message.tool_calls
    assert done.message.tool_calls[0].id == whole[0].id
    assert done.message.tool_calls[0].function.name == whole[0].function.name
    assert done.message.tool_calls[0].function.arguments == whole[0].function.arguments


def test_an_answer_fits_its_schema(client: OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"warm": {"type": "boolean"}, "places": {"type": "integer"}},
        "required": ["warm", "places"],
        "additionalProperties": False,
    }
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "w", "schema": schema}}
    done = client.chat.completions.create(
        model="m", messages=ASKED, response_format=wanted, max_tokens=8
    )
    found = json.loads(done.choices[0].message.content or "")
    assert isinstance(found["warm"], bool)
    assert isinstance(found["places"], int)
    anything: Any = {"type": "json_object"}
    done = client.chat.completions.create(
        model="m", messages=ASKED, response_format=anything, max_tokens=8
    )
    assert isinstance(json.loads(done.choices[0].message.content or ""), dict)


def test_a_conversation_with_results_goes_on(client: OpenAI) -> None:
    call = {"id": "c1", "type": "function"}
    call |= {"function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Call functions."}]},
        *ASKED,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "7 degrees"},
    ]
    done = client.chat.completions.create(model="m", messages=messages, tools=TOOLS, max_tokens=8)
    assert done.usage
    alone = client.chat.completions.create(model="m", messages=ASKED, tools=TOOLS, max_tokens=8)
    assert alone.usage
    assert done.usage.prompt_tokens > alone.usage.prompt_tokens + 20


def test_the_protocol_of_functions_that_toolbench_speaks(url: str) -> None:
    body = {
        "model": "gpt-3.5-turbo-16k-0613",
        "messages": [
            *ASKED,
            {
                "role": "assistant",
                "content": "I look.",
                "function_call": {"name": "weather", "arguments": '{"city": "Oslo"}'},
            },
            {"role": "function", "name": "weather", "content": "7 degrees"},
        ],
        "functions": [WEATHER, FINISH],
        "function_call": {"name": "Finish"},
        "max_tokens": 16,
        "frequency_penalty": 0,
        "presence_penalty": 0,
    }
    answer = httpx.post(f"{url}/chat/completions", json=body).json()["choices"][0]
    assert answer["finish_reason"] == "function_call"
    assert answer["message"]["function_call"]["name"] == "Finish"
    assert "return_type" in json.loads(answer["message"]["function_call"]["arguments"])
    with httpx.stream("POST", f"{url}/chat/completions", json={**body, "stream": True}) as stream:
        lines = [line[6:] for line in stream.iter_lines() if line]
    assert lines[-1] == "[DONE]"
    deltas = [json.loads(line)["choices"][0]["delta"] for line in lines[:-1]]
    told = [delta["function_call"] for delta in deltas if "function_call" in delta]
    assert told[0] == {"name": "Finish", "arguments": ""}
    assert "".join(t["arguments"] for t in told) == answer["message"]["function_call"]["arguments"]


def test_our_own_client_searches_through_it(url: str) -> None:
    model = OpenAIModel("tiny", url)
    request = CompletionRequest(ASKED, [FINISH], Sampling(max_tokens=12))
    assert model.complete(request).prompt_tokens > 20
    full = CompletionRequest([{"role": "user", "content": "word " * 400}], [])
    assert model.complete(full).error_code == -2


def test_texts_are_continued(client: OpenAI) -> None:
    asked: dict[str, Any] = {"model": "m", "prompt": "The city", "max_tokens": 12, "seed": 5}
    whole = client.completions.create(**asked)
    assert whole.choices[0].text
    assert whole.choices[0].finish_reason in ("length", "stop")
    pieces = client.completions.create(**asked, stream=True)
    assert "".join(p.choices[0].text for p in pieces) == whole.choices[0].text
    stop = whole.choices[0].text[1:3]
    cut = client.completions.create(**asked, stop=[stop])
    assert stop not in cut.choices[0].text


def given(parameters: Any) -> Any:
    return [{"type": "function", "function": {"name": "f", "parameters": parameters}}]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("{", "body"),
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "poet", "content": "x"}]}, "poet"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "text"),
        ({"messages": ASKED, "temperature": 9}, "temperature"),
        ({"messages": ASKED, "n": 2}, "n:"),
        ({"messages": ASKED, "tools": [{"type": "poem"}]}, "tools"),
        (
            {"messages": ASKED, "tools": given({"properties": {"a": {}}, "required": 5})},
            "parameters of f",
        ),
        (
            {"messages": ASKED, "tools": given({"properties": ["a"]}), "stream": True},
            "parameters of f",
        ),
        ({"messages": [*ASKED, {"role": "assistant", "tool_calls": ["x"]}]}, "tool_calls"),
        ({"messages": [*ASKED, {"role": "assistant", "tool_calls": 5}]}, "tool_calls"),
        ({"messages": ASKED, "tools": TOOLS, "tool_choice": {"function": 5}}, "tool_choice"),
        (
            {"messages": ASKED, "response_format": {"type": "json_schema", "json_schema": "x"}},
            "response_format",
        ),
        ({"messages": ASKED, "tools": TOOLS, "tool_choice": {"function": {"name": "x"}}}, "x"),
        ({"messages": ASKED, "response_format": {"type": "poem"}}, "response_format"),
        ({"messages": [{"role": "user", "content": "word " * 400}]}, "context"),
        ({"messages": [{"role": "user", "content": "word " * 400}], "stream": True}, "context"),
    ],
)
def test_a_bad_request_gets_openais_error(url: str, body: Any, named: str) -> None:
    text = body if isinstance(body, str) else json.dumps({"model": "m", **body})
    answer = httpx.post(f"{url}/chat/completions", content=text)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert named in error["message"]


class Failing:
    """A model that fails in a way that nobody foresaw, after it has said something or at once."""

    name = "m"

    def __init__(self, *parts: tuple[str, str]) -> None:
        self.parts = parts

    def answer(self, request: Any, must_call: bool, stops: Any, tell: Any) -> Any:
        for part in self.parts:
            tell(*part)
        raise KeyError("lost")


async def streamed(model: Failing) -> httpx.Response:
    app = Starlette(routes=model_routes(cast(Any, model)))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with asyncio.timeout(10), httpx.AsyncClient(transport=transport) as asking:
        body = {"messages": ASKED, "stream": True}
        return await asking.post("http://here/v1/chat/completions", json=body)


def test_a_stream_ends_whatever_fails() -> None:
    assert asyncio.run(streamed(Failing())).status_code == 500
    told = asyncio.run(streamed(Failing(("content", "So")))).text
    assert "server_error" in told
    assert told.endswith("data: [DONE]\n\n")


def test_the_client_knows_the_error(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "word " * 400}]
        )
    assert caught.value.code == "context_length_exceeded"
