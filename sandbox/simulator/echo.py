"""Echoes: fields of an answer that repeat an argument of the call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.simulator.answer import Example, general, leaves
from sandbox.simulator.nearest import as_text

Path = tuple[str, ...]
"""Where a field stands, with `[]` for places in lists."""

WAYS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper": str.upper,
    "lower": str.lower,
    "title": str.title,
}
"""How an argument's text may be changed on its way into the answer."""

SHORTEST_QUOTE = 2
"""Characters that an argument must have to be found inside a longer text."""


@dataclass(frozen=True)
class Echo:
    """A field that repeats an argument.

    Attributes:
        argument: the argument's name.
        way: one of `WAYS`, or `quoted` where the field's text contains the argument's.
    """

    argument: str
    way: str


def echoes(examples: Sequence[Example]) -> dict[Path, Echo]:
    """Find the fields that repeat an argument in every example that has both.

    Two examples must show it; what one shows may be chance.
    """
    fields: dict[Path, list[tuple[Any, dict[str, Any]]]] = {}
    for example in examples:
        for path, value in leaves(example.answer.body):
            fields.setdefault(general(path), []).append((value, example.arguments))
    names = list(dict.fromkeys(name for e in examples for name in e.arguments))
    found = {}
    for path, seen in fields.items():
        echo = next((e for name in names if (e := _echo(name, seen))), None)
        if echo is not None:
            found[path] = echo
    return found


def quotes(example: Example) -> dict[Path, Echo]:
    """Find the texts of one answer that quote an argument; a refusal names what it refuses."""
    found: dict[Path, Echo] = {}
    for path, value in leaves(example.answer.body):
        for name, argument in example.arguments.items():
            if _repeats(value, argument, "quoted"):
                found.setdefault(general(path), Echo(name, "quoted"))
    return found


def _echo(name: str, seen: list[tuple[Any, dict[str, Any]]]) -> Echo | None:
    pairs = [(value, given[name]) for value, given in seen if given.get(name) is not None]
    if len(pairs) < 2 or len({as_text(argument) for _, argument in pairs}) < 2:
        return None
    for way in (*WAYS, "quoted"):
        if all(_repeats(value, argument, way) for value, argument in pairs):
            return Echo(name, way)
    return None


def _repeats(value: Any, argument: Any, way: str) -> bool:
    if way == "quoted":
        text = as_text(argument)
        return isinstance(value, str) and len(text) >= SHORTEST_QUOTE and text in value
    if value is None or isinstance(value, bool) != isinstance(argument, bool):
        return False
    if isinstance(value, dict | list):
        return bool(value == argument)
    return as_text(value) == WAYS[way](as_text(argument))


def echoed(value: Any, before: Any, now: Any, way: str) -> Any:
    """Give a field of another call's answer the argument of this call.

    Args:
        value: the field, whose type is kept where the argument allows it.
        before: the other call's argument; None where it had none.
        now: this call's argument.
        way: as in `Echo`.
    """
    if way == "quoted":
        if before is None or not isinstance(value, str):
            return value
        return value.replace(as_text(before), as_text(now))
    if isinstance(value, str):
        return WAYS[way](as_text(now))
    if isinstance(value, float) and isinstance(now, int) and not isinstance(now, bool):
        return float(now)
    return now
