"""llama-cpp-python's OpenAI-compatible server with a chat format for base models.

A base model has no chat template. This format prints the conversation as plain text, one line a
turn, and lets llama.cpp write the next function call under a grammar made from the functions on
offer: the name is one of them, and the arguments fit its parameters. `max_tokens` bounds it.

    python -m examples.model_server --model FILE.gguf --n_ctx 8192 --port 8901
"""

import json
import re
import sys
from typing import Any

from llama_cpp import Llama, LlamaGrammar
from llama_cpp.llama_chat_format import register_chat_completion_handler
from llama_cpp.server.__main__ import main

CHAT_FORMAT = "function-lines"
CUT_CALL = re.compile(r'\s*\{\s*"name"\s*:\s*"([^"]+)"\s*,\s*"arguments"\s*:\s*(.*)', re.DOTALL)


@register_chat_completion_handler(CHAT_FORMAT)
def complete(
    llama: Llama,
    messages: list[dict[str, Any]],
    tools: list[dict[str, Any]] | None = None,
    temperature: float = 0.0,
    seed: int | None = None,
    max_tokens: int | None = None,
    **_: Any,
) -> dict[str, Any]:
    """Answer a chat completion request with one function call."""
    functions = [tool["function"] for tool in tools or []]
    answer: Any = llama.create_completion(
        prompt_of(messages, functions),
        temperature=temperature,
        seed=seed,
        max_tokens=max_tokens,
        repeat_penalty=1.1,
        grammar=LlamaGrammar.from_json_schema(json.dumps(schema_of(functions)), verbose=False),
    )
    choice = answer["choices"][0]
    return {
        "id": f"chat{answer['id']}",
        "object": "chat.completion",
        "created": answer["created"],
        "model": answer["model"],
        "usage": answer["usage"],
        "choices": [
            {
                "index": 0,
                "finish_reason": choice["finish_reason"],
                "logprobs": None,
                "message": message_of(choice["text"]),
            }
        ],
    }


def schema_of(functions: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the JSON Schema of a call of one of the functions."""
    calls = []
    for function in functions:
        parameters = function["parameters"]
        properties = {
            name: {part: about[part] for part in ("type", "enum") if part in about}
            for name, about in parameters["properties"].items()
        }
        arguments = {
            "type": "object",
            "properties": properties,
            "required": parameters.get("required", []),
        }
        calls.append(
            {
                "type": "object",
                "properties": {"name": {"const": function["name"]}, "arguments": arguments},
                "required": ["name", "arguments"],
            }
        )
    return {"oneOf": calls}


def prompt_of(messages: list[dict[str, Any]], functions: list[dict[str, Any]]) -> str:
    """Print a conversation as lines that end where the next call is to be written."""
    offered = [f"- {signature_of(function)}: {function['description']}" for function in functions]
    turns = [line for message in messages[1:] for line in lines_of(message)]
    return "\n".join([messages[0]["content"], "Functions:", *offered, *turns, "Call: "])


def lines_of(message: dict[str, Any]) -> list[str]:
    """Print one message: a request, a result, or the calls that were made."""
    if message["role"] == "user":
        return [f"Request: {message['content']}"]
    if message["role"] == "tool":
        return [f"Result: {message['content']}"]
    return [f"Call: {line_of(call['function'])}" for call in message.get("tool_calls") or []]


def signature_of(function: dict[str, Any]) -> str:
    """Give a function's name and parameters; those that may be left out end in `?`."""
    parameters = function["parameters"]
    required = parameters.get("required", [])
    names = [name if name in required else f"{name}?" for name in parameters["properties"]]
    return f"{function['name']}({', '.join(names)})"


def line_of(call: dict[str, str]) -> str:
    """Print an earlier call as the model wrote it."""
    return f'{{"name": "{call["name"]}", "arguments": {call["arguments"]}}}'


def message_of(text: str) -> dict[str, Any]:
    """Read the model's call; of one that was cut short, the arguments are what there is of them."""
    try:
        call = json.loads(text)
        function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
    except ValueError:
        cut = CUT_CALL.match(text)
        if cut is None:
            return {"role": "assistant", "content": text}
        function = {"name": cut[1], "arguments": cut[2]}
    tool_call = {"id": "call_0", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [tool_call]}


if __name__ == "__main__":
    sys.argv += ["--chat_format", CHAT_FORMAT]
    main()
