"""Needs: which values of required parameters a request must bring along, and whether it does.

What a model wrote has no arguments to look for, so this goes by what the text mentions:

- A parameter that an answer of another relevant API carries by name (`latitude` for `lat1`) needs
  nothing; neither does a flag.
- Dates need a day, a month with its year, or a word such as `tomorrow`.
- Numbers: there must be as many different ones, outside dates, as any one API needs.
- Texts and lists need one thing at least that could be a value: a quotation, a code, a name inside
  a sentence, a number, a date, or a value that is documented or recorded for the parameter.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from sandbox.names import identifier
from sandbox.tool import Api, Parameter, Tool
from trainer.instructions.mentions import Mentions

Known = Callable[[Tool, Api, Parameter], Sequence[str]]
"""Gives the values that are documented or recorded for a parameter."""

_DATED = re.compile(r"\b(date|day|month|year|moment)\b|YYYY", re.I)
_DATE = re.compile(r"\d{4}-\d\d")


def lacking(query: str, relevant: Sequence[tuple[Tool, Api]], known: Known) -> list[str]:
    """Name the required parameters that a request has no value for.

    Args:
        query: the request.
        relevant: the APIs that it needs.
        known: the values that are known of a parameter.
    """
    mentions = Mentions.of(query)
    needed = {
        (tool.name, api.name, parameter.name): (tool, api, parameter)
        for tool, api in relevant
        for parameter in api.required_parameters
        if parameter.json_type != "boolean" and not _is_told(parameter, api, relevant)
    }
    numbers = Counter(place[:2] for place, (_, _, p) in needed.items() if _kind(p) == "number")
    enough = len(set(mentions.numbers)) >= max(numbers.values(), default=0)
    return sorted(
        {
            parameter.name
            for tool, api, parameter in needed.values()
            if not _is_there(parameter, mentions, enough)
            and not any(map(mentions.has, known(tool, api, parameter)))
        }
    )


def _is_there(parameter: Parameter, mentions: Mentions, enough_numbers: bool) -> bool:
    kind = _kind(parameter)
    if kind == "date":
        named = parameter.json_type in ("number", "integer") and mentions.numbers
        return bool(mentions.dates or named)
    if kind == "number":
        return enough_numbers
    return bool(mentions.names or mentions.numbers or mentions.dates)


def _kind(parameter: Parameter) -> str:
    if parameter.json_type in ("number", "integer"):
        return "date" if _DATED.fullmatch(parameter.name) else "number"
    said = f"{parameter.name} {parameter.description or ''}"
    dated = _DATE.match(str(parameter.default or "")) or _DATED.search(said)
    return "date" if dated and parameter.json_type == "string" else "text"


def _is_told(parameter: Parameter, api: Api, relevant: Sequence[tuple[Tool, Api]]) -> bool:
    """Tell whether another relevant API answers with something of the parameter's name."""
    wanted = identifier(parameter.name).rstrip("0123456789").rstrip("_")
    names = {
        name for _, other in relevant if other is not api for name in _names(other.response_schema)
    }
    return any(
        name == wanted or (min(len(name), len(wanted)) >= 3 and _begins(name, wanted))
        for name in names
    )


def _begins(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _names(schema: Any) -> set[str]:
    """Give the names of all fields of a response's schema, at any depth."""
    if isinstance(schema, list):
        return {name for part in schema for name in _names(part)}
    if not isinstance(schema, dict):
        return set()
    own = schema.get("properties")
    fields = set(map(identifier, own)) if isinstance(own, dict) else set()
    return fields | {name for part in schema.values() for name in _names(part)}
