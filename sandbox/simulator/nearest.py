"""Nearness: which recorded calls are most like a call."""

from collections.abc import Sequence
from typing import Any

from rapidfuzz.fuzz import ratio

from sandbox.simulator.answer import Example

NOT_EQUAL = 0.9
"""The likeness of two values that are all but equal."""


def nearest(arguments: dict[str, Any], examples: Sequence[Example], limit: int) -> list[Example]:
    """Give the examples whose arguments are most like those of a call; ties keep their order.

    Args:
        arguments: the call's arguments in canonical form.
        examples: what to choose from.
        limit: how many to give at most.
    """
    return sorted(examples, key=lambda e: -likeness(arguments, e.arguments))[:limit]


def likeness(some: dict[str, Any], others: dict[str, Any]) -> float:
    """Measure how alike two sets of arguments are, from 0 to 1.

    Each argument counts alike: 1 where both calls give it the same value, the nearness of the two
    numbers or of the two texts where they differ, and 0 where one call leaves it out.
    """
    names = {**some, **others}
    if not names:
        return 1.0
    return sum(_alike(some.get(name), others.get(name)) for name in names) / len(names)


def _alike(one: Any, other: Any) -> float:
    if one is None or other is None:
        return 0.0
    if one == other:
        return 1.0
    if _is_number(one) and _is_number(other):
        return NOT_EQUAL * _near(one, other)
    return NOT_EQUAL * ratio(as_text(one).lower(), as_text(other).lower()) / 100


def _near(one: float, other: float) -> float:
    """Compare two different numbers; those too large to compare are not near."""
    try:
        return max(0.0, 1.0 - abs(one - other) / (abs(one) + abs(other)))
    except OverflowError:
        return 0.0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_text(value: Any) -> str:
    """Write an argument as it would stand in a URL."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
