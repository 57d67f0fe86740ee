"""Compression of long API answers (section 2.1 and appendix A of the paper).

An answer of more than 2,048 tokens keeps only the fields that a model named for its API, and is
then cut at 2,048 tokens where it is still longer. The model is asked once per API; its answer is
on the tape like any completion. The full answer stays on the tape too.
"""

import json
import re
import threading
from dataclasses import dataclass, replace
from typing import Any

from sandbox.chat import ChatModel, CompletionRequest, Message, Sampling
from sandbox.response import ApiResponse
from sandbox.tool import Api, Tool

TOKEN_LIMIT = 2048
"""Tokens of an answer that a model is shown at most, as in the paper."""

_TOKEN = re.compile(r"\w{1,4}|[^\w\s]")

KEEP: dict[str, Any] = {
    "name": "keep_fields",
    "description": "Name the fields of this API's answers that a user may ask for.",
    "parameters": {
        "type": "object",
        "properties": {
            "fields": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Paths such as results[].name; a path keeps all below it.",
            }
        },
        "required": ["fields"],
    },
}
"""The function by which a model says which fields to keep."""

_TASK = """\
Answers of this API are too long to read whole. Name the fields that carry what a user would ask \
for, and leave out ids of no use, links to pictures, styling, tracking and repetition. Write a \
field as its path, with [] for the items of a list."""

_EXAMPLES = (
    (
        "Flight status: where a flight is now.",
        '{"data": [{"flight": "AY131", "departure": {"airport": "HEL", "gate": "21", '
        '"terminal_map_png": "https://..."}, "status": "landed", "_etag": "91ab", '
        '"codeshares": [{"c": "QR5"}, {"c": "BA6"}]}], "meta": {"took_ms": 3, "node": "eu-4"}}',
        ["data[].flight", "data[].departure.airport", "data[].departure.gate", "data[].status"],
    ),
    (
        "Recipe search: recipes by ingredient.",
        '{"hits": 40, "recipes": [{"id": 7, "title": "Lentil soup", "minutes": 35, '
        '"image": {"small": "https://...", "large": "https://..."}, "steps": ["Rinse", "Boil"], '
        '"sponsor": {"pixel": "https://..."}}], "ui": {"theme": "light"}}',
        ["hits", "recipes[].title", "recipes[].minutes", "recipes[].steps"],
    ),
    (
        "Company profile: facts about a company by its ticker.",
        '{"profile": {"name": "Acme", "ticker": "ACM", "sector": "Tools", "ceo": "R. Runner", '
        '"logo": "data:image/png;base64,...", "history": [{"y": 1999, "rev": 3}, '
        '{"y": 2000, "rev": 4}]}, "disclaimer": "...", "request": "f81d"}',
        ["profile.name", "profile.ticker", "profile.sector", "profile.ceo", "profile.history[]"],
    ),
)


def count_tokens(text: str) -> int:
    """Estimate the tokens of a text: a token is up to four letters or digits, or one mark."""
    return sum(1 for _ in _TOKEN.finditer(text))


@dataclass(frozen=True)
class Sample:
    """An API with one of its long answers, from which the model tells the fields apart.

    Attributes:
        tool: the tool.
        api: the API.
        body: the answer.
    """

    tool: Tool
    api: Api
    body: Any


class Compressor:
    """Shortens long answers; safe to use from several threads.

    Args:
        model: names the fields; without one, answers are only cut.
        limit: tokens above which an answer is long.
    """

    def __init__(self, model: ChatModel | None, limit: int = TOKEN_LIMIT) -> None:
        self._model = model
        self._limit = limit
        self._lock = threading.Lock()
        self._fields: dict[str, list[str]] = {}

    def is_long(self, body: Any) -> bool:
        """Tell whether an answer has more tokens than the limit."""
        return count_tokens(_text(body)) > self._limit

    def compress(self, sample: Sample | None, response: ApiResponse) -> ApiResponse:
        """Shorten a long answer.

        Args:
            sample: the API and the answer that its fields are chosen from; of one API it must
                be the same always, so that the choice does not depend on which call came first.
                None where there is none: then answers are cut alone.
            response: the answer to shorten.
        """
        if response.text is not None or not self.is_long(response.body):
            return response
        fields = self._fields_of(sample) if sample else []
        body = keep(response.body, fields) if fields else response.body
        if self.is_long(body):
            return replace(response, body=cut_tokens(_text(body), self._limit))
        return replace(response, body=body)

    def _fields_of(self, sample: Sample) -> list[str]:
        if self._model is None:
            return []
        name = sample.tool.function_name(sample.api)
        with self._lock:
            if name not in self._fields:
                self._fields[name] = self._ask(self._model, name, sample)
            return self._fields[name]

    def _ask(self, model: ChatModel, name: str, sample: Sample) -> list[str]:
        about = f"{sample.tool.name}, {sample.api.name}: {sample.api.description or ''}"
        shown = cut_tokens(_text(sample.body), self._limit // 2)
        messages = [*_worked_examples(), _question(about, shown)]
        request = CompletionRequest(messages, [KEEP], Sampling(), f"compression/{name}")
        call = model.complete(request).function_call
        try:
            fields = json.loads(call["arguments"])["fields"] if call else []
        except (ValueError, KeyError, TypeError):
            return []
        return [field for field in fields if isinstance(field, str)]


def keep(body: Any, fields: list[str]) -> Any:
    """Keep only the named fields of a JSON value; all of it where none of them is there.

    Args:
        body: the value.
        fields: paths such as `results[].name`; a path keeps all that lies below it.
    """
    wanted = [_steps(field) for field in fields]
    kept = _keep(body, [path for path in wanted if path])
    return body if kept in ({}, [], None) else kept


def cut_tokens(text: str, limit: int) -> str:
    """Cut a text after so many tokens; what is longer ends in `...`."""
    for number, token in enumerate(_TOKEN.finditer(text)):
        if number == limit:
            return text[: token.start()].rstrip() + "..."
    return text


def _steps(field: str) -> list[str]:
    return [step for step in field.removeprefix("$").replace("[]", ".[]").split(".") if step]


def _keep(value: Any, paths: list[list[str]]) -> Any:
    if any(not path for path in paths):
        return value
    if isinstance(value, list):
        below = [path[1:] if path[0] == "[]" else path for path in paths]
        items = [_keep(item, below) for item in value]
        return [item for item in items if item not in ({}, [], None)]
    if isinstance(value, dict):
        named = {name: [p[1:] for p in paths if p[0] == name] for name in value}
        kept = {name: _keep(value[name], named[name]) for name in value if named[name]}
        return {name: item for name, item in kept.items() if item not in ({}, [], None)}
    return None


def _worked_examples() -> list[Message]:
    messages: list[Message] = [{"role": "system", "content": _TASK}]
    for about, answer, fields in _EXAMPLES:
        arguments = json.dumps({"fields": fields})
        call = {"name": KEEP["name"], "arguments": arguments}
        messages += [
            _question(about, answer),
            {"role": "assistant", "content": None, "function_call": call},
            {"role": "function", "name": KEEP["name"], "content": "noted"},
        ]
    return messages


def _question(about: str, answer: str) -> Message:
    return {"role": "user", "content": f"API: {about}\nOne of its answers:\n{answer}"}


def _text(body: Any) -> str:
    return body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
