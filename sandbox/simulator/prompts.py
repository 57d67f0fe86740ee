"""What the simulator says to its model. The words are ours."""

import json
from collections.abc import Sequence
from typing import Any

from sandbox.chat import Message
from sandbox.simulator.answer import Answer, Example
from sandbox.simulator.engine import Question

TEXT_LIMIT = 240
"""Characters of a text inside an example that the model is shown."""

ITEMS = 4
"""Items of a list inside an example that the model is shown."""

_SYSTEM = """\
You stand in for a web API. Some of its real calls and answers are listed, the most similar call \
last. Write the answer to the new call: the same fields and style, and values that fit the new \
arguments and are true as far as you know. Write the body alone, as JSON."""


def conversation(question: Question, examples: Sequence[Example]) -> list[Message]:
    """Ask for the answer to a call.

    Args:
        question: the call.
        examples: recorded calls to go by, the nearest first.
    """
    lines = [*_document(question)]
    for example in reversed(examples):
        lines += [f"Call: {_json(example.arguments)}", f"Answer: {_shown(example.answer)}"]
    for exchange in question.history:
        said = {"api": exchange.api, "arguments": exchange.arguments}
        lines += [f"Said before: {_json(said)}", f"Answer: {_json(shortened(exchange.answer))}"]
    lines += [f"Call: {_json(question.arguments)}", "Answer:"]
    return [
        {"role": "system", "content": _SYSTEM},
        {"role": "user", "content": "\n".join(lines)},
    ]


def shortened(value: Any) -> Any:
    """Shorten the lists and texts of a JSON value, so that an example stays readable."""
    if isinstance(value, dict):
        return {name: shortened(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shortened(item) for item in value[:ITEMS]]
    if isinstance(value, str) and len(value) > TEXT_LIMIT:
        return value[:TEXT_LIMIT].rstrip() + "..."
    return value


def _document(question: Question) -> list[str]:
    tool, api = question.tool, question.api
    lines = [f"API: {tool.name}, {api.name}. {' '.join((api.description or '').split())}"]
    for parameter in api.parameters:
        about = " ".join((parameter.description or "").split())
        lines.append(f"Parameter {parameter.name} ({parameter.json_type}): {about}")
    return lines


def _shown(answer: Answer) -> str:
    return _json(shortened(answer.error or answer.body))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
