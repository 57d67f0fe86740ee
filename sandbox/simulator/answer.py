"""Answers and examples: what an API said, read out of its recordings."""

import ast
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.call import ApiCall, canonical_arguments
from sandbox.cassette import Recording
from sandbox.encoding import read_body
from sandbox.response import ApiResponse, Provenance, StatusCode, status_of_http
from sandbox.tool import Api

SERVER_LIMIT = 2048
"""Characters at which ToolBench's server cut an answer."""

_UNREADABLE = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)


@dataclass(frozen=True)
class Answer:
    """What an API said.

    Attributes:
        status: the HTTP status.
        body: a JSON value; a text where the answer is no JSON.
        error: ToolBench's error text, where the answer is in ToolBench's protocol.
        code: ToolBench's status code, where the answer is in ToolBench's protocol; None for an
            HTTP answer.
        whole: whether nothing was cut off; of a cut observation, the body is the text that is left.
    """

    status: int
    body: Any
    error: str = ""
    code: int | None = None
    whole: bool = True

    @property
    def refused(self) -> bool:
        """Whether the API refused or failed instead of answering."""
        if self.code is not None:
            return bool(self.error) or self.code != StatusCode.ANSWERED
        return (
            self.status >= 400
            or status_of_http(self.status, self.text, self.body) != StatusCode.ANSWERED
        )

    @property
    def text(self) -> str:
        """The body as text."""
        if isinstance(self.body, str):
            return self.body
        return json.dumps(self.body, ensure_ascii=False)

    def recording(self, call: ApiCall, api: Api | None) -> Recording:
        """Give the answer as an HTTP interaction, so that it can be replayed like any other."""
        text = self.text
        if self.code is not None and self.whole:
            text = json.dumps({"error": self.error, "response": self.body}, ensure_ascii=False)
        is_json = self.code is not None or not isinstance(self.body, str)
        kind = "application/json" if is_json else "text/plain; charset=utf-8"
        request: dict[str, Any] = {
            "method": (api.method if api else None) or "GET",
            "uri": (api.url if api else None) or "https://unknown.invalid/",
            "body": None,
            "headers": {},
        }
        response = {
            "status": {"code": self.status, "message": "Simulated"},
            "headers": {"content-type": [kind]},
            "body": {"string": text},
        }
        return Recording(call, request, response, status_code=self.code)

    def api_response(self, call: ApiCall, provenance: Provenance = "simulated") -> ApiResponse:
        """Give the answer in ToolBench's terms."""
        return self.recording(call, None).api_response(provenance)


@dataclass(frozen=True)
class Example:
    """A recorded call and its answer.

    Attributes:
        key: the call's key.
        call: the call.
        api: the document of its API.
        arguments: its arguments in canonical form; empty where they are no JSON object.
        answer: what came back.
    """

    key: str
    call: ApiCall
    api: Api
    arguments: dict[str, Any]
    answer: Answer


def example_of(recording: Recording, api: Api, key: str) -> Example:
    """Read a recording as an example.

    Args:
        recording: the recording.
        api: the document of its API.
        key: the key of its call.
    """
    arguments = canonical_arguments(recording.call.arguments, api)
    given = arguments if isinstance(arguments, dict) else {}
    return Example(key, recording.call, api, given, answer_of(recording))


def answer_of(recording: Recording) -> Answer:
    """Read a recording's answer; of ToolBench's observations, the Python literal in them."""
    status = recording.response["status"]["code"]
    raw = recording.response["body"].get("string", "")
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    if recording.status_code is not None:
        return _observed(status, text, recording.status_code)
    try:
        return Answer(status, read_body(text))
    except ValueError:
        return Answer(status, text)


def _observed(status: int, text: str, code: int) -> Answer:
    try:
        told = read_body(text)
        error, response = str(told["error"]), told["response"]
    except (ValueError, KeyError, TypeError):
        return Answer(status, text, "", code, whole=False)
    body = read_literal(response) if isinstance(response, str) else response
    cut = isinstance(body, str) and (body[:1] in ("{", "[") or len(body) >= SERVER_LIMIT)
    return Answer(status, body, error, code, whole=not cut)


def read_literal(text: str) -> Any:
    """Read a text that holds a JSON value or a Python literal; any other stays a text."""
    for read in (read_body, ast.literal_eval):
        try:
            value = read(text)
        except _UNREADABLE:
            continue
        if isinstance(value, dict | list):
            return json.loads(json.dumps(value, default=str))
    return text


def leaves(
    value: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Give each scalar of a JSON value, and each empty container, with its path."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from leaves(item, (*path, name))
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from leaves(item, (*path, number))
    else:
        yield path, value


def general(path: Iterable[str | int]) -> tuple[str, ...]:
    """Write a path with `[]` for every place in a list."""
    return tuple("[]" if isinstance(step, int) else step for step in path)
