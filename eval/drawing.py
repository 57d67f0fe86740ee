"""Search trees as flat lists of thoughts and calls, ready to be drawn."""

from collections.abc import Iterator
from typing import Any

from sandbox.response import StatusCode
from solver.answer import Answer

Drawn = dict[str, Any]
"""One box of a drawing: `parent` (place in the list, -1 for the top), `kind` (`thought` or `call`),
`name` (the function's), `text` (the thought, or the arguments), `observation`, `code`,
`provenance`, `pruned`, `shown` (on the path that the answer shows), `steps` (the first and the last
of its nodes, counted from 1 in the order of the search)."""


def draw(answer: Answer) -> list[Drawn]:
    """Flatten an answer's tree or attempts: an Action and its input become one call.

    Args:
        answer: an answer file's content.
    """
    boxes: list[Drawn] = []
    open_action: dict[int, int] = {}
    for step, (parent, place, node) in enumerate(_placed(answer), start=1):
        above = open_action[parent] if parent >= 0 else -1
        joined = node["node_type"] == "Action Input" and above >= 0 and "text" not in boxes[above]
        if joined:
            box = boxes[above]
            box["steps"][1] = step
            open_action[place] = above
        else:
            box = {"parent": above, "kind": "call", "steps": [step, step], "shown": False}
            open_action[place] = len(boxes)
            boxes.append(box)
        _fill(box, node)
    for box in boxes:
        box.setdefault("text", "")
    _mark_shown(boxes)
    return boxes


def _placed(answer: Answer) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Give each node in the order of the search, with its parent's place and its own."""
    place = -1
    if "tree" in answer:
        waiting = [(-1, node) for node in reversed(answer["tree"]["tree"]["children"])]
        while waiting:
            parent, node = waiting.pop()
            place += 1
            yield parent, place, node
            waiting += [(place, child) for child in reversed(node.get("children", []))]
    for attempt in answer.get("trys", []):
        parent = -1
        for node in attempt["chain"]:
            place += 1
            yield parent, place, node
            parent = place


def _fill(box: Drawn, node: dict[str, Any]) -> None:
    if node["node_type"] == "Action":
        box["name"] = node["description"]
    else:
        box["kind"] = "thought" if node["node_type"] == "Thought" else "call"
        box["text"] = node["description"]
    for field, name in (
        ("observation", "observation"),
        ("observation_code", "code"),
        ("provenance", "provenance"),
        ("pruned", "pruned"),
    ):
        if node.get(field) not in (None, "", False):
            box[name] = node[field]
    if node.get("observation_code") == 0:
        box["code"] = 0


def _mark_shown(boxes: list[Drawn]) -> None:
    """Mark the path to the first final answer, or else to the first give-up."""
    for code in (StatusCode.FINAL_ANSWER, StatusCode.GAVE_UP, None):
        ends = [b for b in boxes if b.get("name") == "Finish" and b.get("code") == code]
        if ends:
            box = ends[0]
            box["shown"] = True
            while box["parent"] >= 0:
                box = boxes[box["parent"]]
                box["shown"] = True
            return
