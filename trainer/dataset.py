"""Datasets: solution paths as training conversations.

The layout is that of ToolBench's published preparation for ToolLLaMA: one instance per step of a
path, the loss on its last action, the functions in the system prompt as the text of a Python list,
and each assistant turn as Thought, Action and Action Input. As there, a thought counts only where
it was a message of its own.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sandbox.errors import BadInput

Instance = dict[str, Any]
"""`id` and `conversations`, a list of `from` (role) and `value`."""

_FORMAT = """
Write each step in this form:
Thought: what you have learned and what is missing
Action: the function's name
Action Input: its arguments as JSON
These functions are on offer: """


def read_answers(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Read answer files: of runs, of folders of answers, or single ones; sorted by path.

    Raises:
        BadInput: a path holds no answers, or a file is none; names it.
    """
    for path in paths:
        folder = path / "answers" if (path / "run.json").exists() else path
        files = sorted(folder.rglob("*.json")) if folder.is_dir() else [folder]
        if not files:
            raise BadInput(f"{path}: no answer files here.")
        for file in files:
            yield _read(file)


def instances(answers: Iterable[dict[str, Any]]) -> Iterator[Instance]:
    """Turn answers into training instances, one per step that calls a function.

    Args:
        answers: answer files' contents; those without a valid path give nothing.
    """
    for answer in answers:
        generation = answer["answer_generation"]
        if not generation["valid_data"]:
            continue
        for messages in generation["train_messages"]:
            if "function_call" in messages[-1]:
                yield {
                    "id": f"Step {len(messages) - 1}: {generation['query']}",
                    "conversations": list(_conversation(messages, generation["function"])),
                }


def conversations(answers: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Turn answers into one conversation per path, for our own training.

    All turns of the path are learnt at once, which gives the supervision of `instances` without
    reading the shared beginning again for each step. Thoughts stay where they were said, and
    diversity prompts are left out.
    """
    for answer in answers:
        generation = answer["answer_generation"]
        if generation["valid_data"] and generation["train_messages"]:
            yield {
                "id": generation["query"],
                "messages": _joined(generation["train_messages"][-1]),
                "functions": generation["function"],
            }


def openai_records(answers: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Turn answers into records of OpenAI's fine-tuning format, one whole path each.

    Diversity prompts are left out; calls get ids, and results refer to them.
    """
    for answer in answers:
        generation = answer["answer_generation"]
        if generation["valid_data"] and generation["train_messages"]:
            path = [m for m in generation["train_messages"][-1] if m.get("valid", True)]
            yield {
                "messages": [_openai_message(n, m) for n, m in enumerate(path)],
                "tools": [{"type": "function", "function": f} for f in generation["function"]],
            }


def _joined(path: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join thoughts that were messages of their own to the call that follows, as one turn."""
    joined: list[dict[str, Any]] = []
    for message in path:
        if not message.get("valid", True):
            continue
        if message["role"] == "assistant" and joined and joined[-1]["role"] == "assistant":
            said = [joined.pop()["content"], message.get("content")]
            message = {**message, "content": "\n".join(filter(None, said)) or None}
        joined.append(message)
    return joined


def _conversation(
    messages: list[dict[str, Any]], functions: list[dict[str, Any]]
) -> Iterator[dict[str, str]]:
    thoughts = ""
    for message in messages:
        role = message["role"]
        if role != "assistant":
            thoughts = ""
            offered = f"{_FORMAT}{functions}" if role == "system" else ""
            yield {"from": role, "value": f"{message['content']}{offered}"}
        elif "function_call" not in message:
            thoughts += f"\nThought: {message['content'] or ''}"
        else:
            call = message["function_call"]
            action = f"\nAction: {call['name']}\nAction Input: {call['arguments']}"
            yield {"from": role, "value": (thoughts or "\nThought: ") + action}
            thoughts = ""


def _openai_message(number: int, message: dict[str, Any]) -> dict[str, Any]:
    if message["role"] == "function":
        return {
            "role": "tool",
            "tool_call_id": f"call_{number - 1}",
            "content": message["content"],
        }
    weight = {"weight": 0} if message.get("weight") == 0 else {}
    if "function_call" not in message:
        return {"role": message["role"], "content": message["content"] or "", **weight}
    call = {"id": f"call_{number}", "type": "function", "function": message["function_call"]}
    return {"role": "assistant", "content": message.get("content"), "tool_calls": [call], **weight}


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(f"{file}: cannot be read as an answer ({error}).") from error
    if not isinstance(content, dict) or "answer_generation" not in content:
        raise BadInput(f"{file}: no answer file: it lacks answer_generation.")
    return content
