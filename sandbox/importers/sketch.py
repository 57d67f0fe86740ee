"""Sketches: documents drawn from calls, where nothing else tells what an API takes."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sandbox.call import NUMBER
from sandbox.names import standardise
from sandbox.secrets import is_secret_name
from sandbox.tool import Parameter

IMPORTED_CATEGORY = "Imported"
"""The category of tools whose source knows none."""


def sketch_parameters(calls: Sequence[dict[str, Any]]) -> tuple[list[Parameter], list[Parameter]]:
    """Draw an API's parameters from the arguments that it was called with.

    Args:
        calls: the arguments of each call.

    Returns:
        The required parameters (given in every call) and the optional ones. A parameter's default
        is the first value that was seen, unless it is a secret.
    """
    seen: dict[str, list[Any]] = {}
    for arguments in calls:
        for name, value in arguments.items():
            if value is not None:
                seen.setdefault(name, []).append(value)
    drawn = [_parameter(name, values) for name, values in sorted(seen.items())]
    required = [p for p in drawn if len(seen[p.name]) == len(calls)]
    return required, [p for p in drawn if len(seen[p.name]) < len(calls)]


def distinct_name(name: str, taken: set[str]) -> str:
    """Number a name where its standard form is taken, and take it."""
    numbered, number = name, 1
    while standardise(numbered) in taken:
        number += 1
        numbered = f"{name} ({number})"
    taken.add(standardise(numbered))
    return numbered


def _parameter(name: str, values: list[Any]) -> Parameter:
    default = "" if is_secret_name(name) else values[0]
    return Parameter(name=name, type=_type(values), description="", default=default)


def _type(values: Iterable[Any]) -> str:
    types = {_type_of(value) for value in values}
    return types.pop() if len(types) == 1 else "STRING"


def _type_of(value: Any) -> str:
    if isinstance(value, list | dict):
        return "ARRAY" if isinstance(value, list) else "OBJECT"
    if isinstance(value, int) and not isinstance(value, bool):
        return "NUMBER"
    text = value.strip() if isinstance(value, str) else json.dumps(value)
    if text.lower() in ("true", "false"):
        return "BOOLEAN"
    return "NUMBER" if NUMBER.fullmatch(text) else "STRING"
