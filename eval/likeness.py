"""How alike an answer is to the recorded one: keys, values, length, outcome."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.simulator.answer import Answer, Example, leaves
from sandbox.simulator.schema import conforms, inferred_schema

KeyPath = tuple[str, ...]
"""Where a key stands, with `[]` for places in lists."""


@dataclass(frozen=True)
class Likeness:
    """How alike a simulated answer is to the recorded one.

    Attributes:
        valid: it is JSON.
        conforms: it fits a schema that all recorded answers of the API fit.
        precision: share of its keys that the recorded answer has; None where neither has keys.
        recall: share of the recorded answer's keys that it has; None where neither has keys.
        values: by JSON type, the share of the recorded answer's values that it has in their place.
        length: its length over the recorded one's; None where that is empty.
        agrees: both answer, or both refuse.
    """

    valid: bool
    conforms: bool
    precision: float | None
    recall: float | None
    values: dict[str, float]
    length: float | None
    agrees: bool

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall."""
        if self.precision is None or self.recall is None:
            return None
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def compare(recorded: Answer, simulated: Answer | None, recordings: Sequence[Example]) -> Likeness:
    """Compare a simulated answer with the recorded one.

    Args:
        recorded: what the API said.
        simulated: what the simulator said; None where it said nothing that is JSON.
        recordings: all recordings of the API, the one in question too: the schema that the answer
            is judged by is made from them.
    """
    if simulated is None:
        has_keys = bool(keys(recorded.body))
        nothing = 0.0 if has_keys else None
        wrong = dict.fromkeys(_by_type(recorded.body), 0.0)
        return Likeness(False, False, nothing, nothing, wrong, None, False)
    real, made = keys(recorded.body), keys(simulated.body)
    shared = len(real & made)
    measured = bool(real or made)
    return Likeness(
        True,
        conforms(simulated.body, _judge(recordings)),
        (shared / len(made) if made else 0.0) if measured else None,
        (shared / len(real) if real else 0.0) if measured else None,
        _values(recorded.body, simulated.body),
        len(simulated.text) / len(recorded.text) if recorded.text else None,
        recorded.refused == simulated.refused,
    )


def keys(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    """Give all keys of a JSON value, each with where it stands."""
    if isinstance(value, dict):
        own = {(*path, name) for name in value}
        return own.union(*(keys(item, (*path, name)) for name, item in value.items()))
    if isinstance(value, list):
        return set().union(*(keys(item, (*path, "[]")) for item in value))
    return set()


def _judge(recordings: Sequence[Example]) -> dict[str, Any]:
    groups = [
        [e.answer.body for e in recordings if e.answer.whole and e.answer.refused == refused]
        for refused in (False, True)
    ]
    return {"anyOf": [inferred_schema(bodies) for bodies in groups if bodies]}


def _by_type(body: Any) -> dict[str, list[tuple[tuple[str | int, ...], Any]]]:
    found: dict[str, list[tuple[tuple[str | int, ...], Any]]] = defaultdict(list)
    for path, value in leaves(body):
        if not isinstance(value, dict | list):
            found[_type(value)].append((path, value))
    return found


def _values(recorded: Any, simulated: Any) -> dict[str, float]:
    there = dict(leaves(simulated))
    missing = object()
    return {
        kind: sum(_equal(value, there.get(path, missing)) for path, value in found) / len(found)
        for kind, found in _by_type(recorded).items()
    }


def _equal(one: Any, other: Any) -> bool:
    if _type(one) != _type(other):
        return False
    if _type(one) == "number":
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "null" if value is None else "other"
