"""Doubts: what speaks against an answer, told by rule from the request and the calls alone.

The rules are ours, not the paper's. They know nothing of right answers: they look for what a
search that is done does not leave behind, such as a call that failed, or a number of the request
that no call passed on.
"""

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from sandbox.call import read_arguments
from sandbox.response import ERROR_FIELDS

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_QUOTED = re.compile("“([^“”]+)”|‘([^‘’]+)’|\"([^\"]+)\"|(?<!\\w)'([^']+)'(?!\\w)")
_MARKS = " .,;:!?()[]'\"“”‘’…"


class Call(NamedTuple):
    """A function call on a path, as the model wrote it, and what it was shown of the result."""

    name: str
    arguments: str
    returned: str


def doubts(query: str, calls: Sequence[Call], told: str = "") -> list[str]:
    """Tell what speaks against an answer.

    Args:
        query: the request.
        calls: of APIs, on the path to the answer.
        told: the answer.

    Returns:
        A line for each doubt; none where nothing speaks against the answer.
    """
    passed_on = " ".join(call.arguments for call in calls)
    known = set(_numbers(" ".join([query, passed_on, *(call.returned for call in calls)])))
    lines = [
        *(f"failed: {call.name} {call.arguments}" for call in _failed(calls)),
        *(f"made twice: {call.name} {call.arguments}" for call in _repeated(calls)),
        *(f"in no call: {part}" for part in _unsaid(query, passed_on)),
        *(f"returned by no call: {number}" for number in _numbers(told) if number not in known),
    ]
    return list(dict.fromkeys(lines))


def _failed(calls: Sequence[Call]) -> list[Call]:
    """Give the calls that failed, but those of functions that were called well later on."""
    last = {call.name: call for call in calls}
    return [call for call in last.values() if _is_error(call.returned)]


def _is_error(returned: str) -> bool:
    try:
        answer = json.loads(returned)
    except (ValueError, RecursionError):
        return False
    if not isinstance(answer, dict):
        return False
    body = answer.get("response")
    excuse = isinstance(body, dict) and bool(body) and body.keys() <= ERROR_FIELDS
    return bool(answer.get("error")) or excuse


def _repeated(calls: Sequence[Call]) -> list[Call]:
    made = [(call.name, read_arguments(call.arguments)) for call in calls]
    return [call for n, call in enumerate(calls) if made[n] in made[:n]]


def _unsaid(query: str, passed_on: str) -> list[str]:
    """Give what a request says word for word and no call passes on: quotes, words with numbers."""
    passed = passed_on.casefold()
    quotes = ["".join(groups).strip(_MARKS) for groups in _QUOTED.findall(query)]
    words = [word.strip(_MARKS) for word in _QUOTED.sub(" ", query).split()]
    known = set(_numbers(passed_on))
    return [
        *(quote for quote in quotes if quote.casefold() not in passed),
        *(word for word in words if not (known.issuperset(_numbers(word)) or _names(word, passed))),
    ]


def _names(word: str, passed: str) -> bool:
    """Tell whether calls pass on a word that is more than a number, such as part of a code."""
    return any(map(str.isalpha, word)) and word.casefold() in passed


def _numbers(text: str) -> list[str]:
    """Give the numbers of a text without signs, thousands separators and zeros around them."""
    return list(map(_plain, _NUMBER.findall(_THOUSANDS.sub("", text))))


def _plain(number: str) -> str:
    whole, _, part = number.partition(".")
    decimals = part.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{decimals}" if decimals else "")
