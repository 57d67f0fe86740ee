"""Where two searches for one instruction part, and why."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from solver.answer import Answer

Why = Literal["other completion", "other API answer", "other provenance", "one ends here"]

Node = dict[str, Any]
"""A node of an answer file; an end is an empty one."""


@dataclass(frozen=True)
class Parting:
    """The first place at which two searches differ.

    Attributes:
        step: the number of the node, from 1, in the order in which the search made them.
        why: what differs there: what the model said, what an API answered, only where the
            answer came from, or that one search made no more nodes.
        where: the node's kind, with the function's name of a call.
        before: what the first search has there.
        after: what the second search has there.
    """

    step: int
    why: Why
    where: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"step {self.step} ({self.where}), {self.why}: {self.before!r} -> {self.after!r}"

    def to_json(self) -> dict[str, Any]:
        """Give the parting for `--json`."""
        return {
            "step": self.step,
            "why": self.why,
            "where": self.where,
            "before": self.before,
            "after": self.after,
        }


def parting(before: Answer, after: Answer) -> Parting | None:
    """Find the first node at which two searches differ; None where they are the same.

    Args:
        before: the first answer file's content.
        after: the second's.
    """
    function = ""
    for step, (one, other) in enumerate(zip_longest(nodes(before), nodes(after)), start=1):
        found = _difference(one or {}, other or {})
        if found:
            shown = one or other or {}
            kind = str(shown["node_type"])
            where = f"call of {function}" if kind == "Action Input" else kind
            return Parting(step, found[0], where, found[1], found[2])
        if one and one["node_type"] == "Action":
            function = one["description"]
    return None


def nodes(answer: Answer) -> Iterator[Node]:
    """Give the nodes of an answer in the order of the search, attempts one after the other."""
    if "tree" in answer:
        for child in answer["tree"]["tree"]["children"]:
            yield from _below(child)
    for attempt in answer.get("trys", []):
        yield from attempt["chain"]


def _below(node: Node) -> Iterator[Node]:
    """Go through a subtree; with a stack of its own, as trees may be deep."""
    open_nodes = [node]
    while open_nodes:
        node = open_nodes.pop()
        yield node
        open_nodes.extend(reversed(node.get("children", [])))


def _difference(one: Node, other: Node) -> tuple[Why, str, str] | None:
    if not one or not other:
        return "one ends here", _said(one), _said(other)
    if _said(one) != _said(other):
        return "other completion", _said(one), _said(other)
    answered = [
        f"code {node.get('observation_code')}: {node.get('observation', '')}"
        for node in (one, other)
    ]
    source, now = (str(node.get("provenance") or "not stated") for node in (one, other))
    if answered[0] != answered[1]:
        return "other API answer", f"{answered[0]} ({source})", f"{answered[1]} ({now})"
    return ("other provenance", source, now) if source != now else None


def _said(node: Node) -> str:
    return f"{node['node_type']}: {node['description']}" if node else "nothing more"
