"""API calls and the key that tells whether two of them are the same call."""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from sandbox.encoding import text_encoder
from sandbox.errors import BadInput
from sandbox.names import identifier, standardise
from sandbox.secrets import REDACTED, Redactor, is_secret
from sandbox.tool import Api

KEY_RULE = 1
"""The version of the rule below; it is stored with every index that was made with it."""

NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
"""A number as JSON writes it."""

_BY_SHAPE = Redactor()

_lenient = json.JSONDecoder(strict=False).decode
_canonical_text = text_encoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class ApiCall:
    """A call of one API.

    Attributes:
        category: the tool's category, in any spelling.
        tool: the tool's name, in any spelling.
        api: the API's name, in any spelling.
        arguments: values by parameter name, or, where a model wrote something that is no JSON
            object, the text that it wrote.
    """

    category: str
    tool: str
    api: str
    arguments: dict[str, Any] | str

    def __str__(self) -> str:
        arguments = (
            self.arguments
            if isinstance(self.arguments, str)
            else json.dumps(_shown(self.arguments), ensure_ascii=False, sort_keys=True)
        )
        return (
            f"{'/'.join(part for part in (self.category, self.tool, self.api) if part)} {arguments}"
        )


def _coerce(value: Any, json_type: str) -> Any:
    if json_type in ("number", "integer"):
        if isinstance(value, str) and len(value) < 400 and NUMBER.fullmatch(value.strip()):
            value = json.loads(value.strip())
        if isinstance(value, float) and value.is_integer():
            value = int(value)
    elif json_type == "boolean":
        if isinstance(value, str) and value.strip().lower() in ("true", "false"):
            value = value.strip().lower() == "true"
    elif json_type == "string" and isinstance(value, bool | int | float):
        value = json.dumps(value)
    return value


def canonical_arguments(arguments: dict[str, Any] | str, document: Api | None) -> Any:
    """Bring arguments into the form that keys are made of.

    Names are standardised, nulls dropped, and each value coerced to its documented type: where
    the document says NUMBER, `"5"`, `5` and `5.0` are one value; where it says STRING, `5` and
    `"5"` are. The value of an argument that carries a secret does not count, nor does what has the
    shape of a key, in any value: neither is stored.

    Args:
        arguments: as in `ApiCall`.
        document: the API's document; without one, values stay as they are.

    Returns:
        A JSON value: an object, or the text of arguments that are none.
    """
    if isinstance(arguments, str):
        return _BY_SHAPE.text(arguments.strip())
    return {
        identifier(name) or name: REDACTED
        if is_secret(name, arguments[name])
        else _documented(name, arguments[name], document)
        for name in sorted(arguments)
        if arguments[name] is not None
    }


def _documented(name: str, value: Any, document: Api | None) -> Any:
    value = _BY_SHAPE.value(value)
    parameter = document.parameter(name) if document else None
    return _coerce(value, parameter.json_type) if parameter else value


def call_key(call: ApiCall, document: Api | None) -> str:
    """Give the identity of a call: the hash of its canonical form under `KEY_RULE`."""
    canonical = {
        "api": standardise(call.api),
        "arguments": canonical_arguments(call.arguments, document),
        "category": standardise(call.category),
        "rule": KEY_RULE,
        "tool": standardise(call.tool),
    }
    text = _canonical_text(canonical)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def call_line(call: ApiCall) -> dict[str, Any]:
    """Give a call as it stands in a file of calls, one JSON object a line."""
    return {
        "category": call.category,
        "tool": call.tool,
        "api": call.api,
        "arguments": _shown(call.arguments),
    }


def _shown(arguments: dict[str, Any] | str) -> dict[str, Any] | str:
    """Give arguments as they may be told and written down: without secrets."""
    shown: dict[str, Any] | str = _BY_SHAPE.value(arguments)
    return shown


def read_arguments(text: str) -> dict[str, Any] | str:
    """Read the arguments that a model wrote; what is no JSON object stays the text that it is."""
    try:
        value = _lenient(text or "{}")
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) else text


def read_calls(text: str, source: str) -> list[ApiCall]:
    """Read calls from JSON Lines: `{"category", "tool", "api", "arguments"}`.

    Args:
        text: the lines.
        source: what to call the text in an error.

    Raises:
        BadInput: a line is no call; names it.
    """
    lines = enumerate(text.split("\n"), start=1)
    return [_read_call(line, f"{source}, line {number}") for number, line in lines if line.strip()]


def _read_call(line: str, place: str) -> ApiCall:
    try:
        given = json.loads(line)
        category, tool, api = given.get("category", ""), given["tool"], given["api"]
        if not all(isinstance(name, str) for name in (category, tool, api)):
            raise TypeError("category, tool and api are texts")
        if not isinstance(given["arguments"], dict | str):
            raise TypeError("arguments is an object")
        return ApiCall(category, tool, api, given["arguments"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(
            f"{place}: no call ({error}). A call is a line like "
            '{"category": "Travel", "tool": "Airports", "api": "By code", "arguments": {}}.'
        ) from error
