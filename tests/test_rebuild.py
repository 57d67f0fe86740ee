"""Random search trees, written as ToolBench writes them, come out of import and replay unchanged.

The trees are made here by a search of its own, after ToolBench's code: it shares nothing with the
solver that has to build them again. Its model and its APIs say what real ones did and worse: ends
in odd words, broken arguments, names cut short, control characters.
"""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox.importers.toolbench import import_toolbench
from sandbox.world import World
from solver.run import Settings
from tests.test_toolbench import same
from toolreplay.solving import solve

TREES = 12
"""Trees of one world."""

MOST_QUERIES = 150
"""A search that asks more often is drawn again: it would take long and show nothing more."""

TEXTS = [
    "",
    "two words",
    'q"uote\\s',
    '{"error": "", "response": "[{\\"a\\": 1}]"}',
    "line\nbreak\n\n  indented",
    "- y: [",
    "é漢字😀",
    "1",
    "null",
    "~",
    "trail  ",
    "tab\tx",
    "#c",
    "2020-01-01",
    "!!x",
    "\r\nx",
    "\x00",
    "a\x07b",
    "\x85n",
    "\u2028p",
    "\ufeffb",
    "\x1b[0m",
    "L" * 1024 + "...",
    "M" * 1500,
]

ENDS = [
    '{"return_type": "give_answer"}',
    '{"final_answer": "x"}',
    "{}",
    "",
    "garbage",
    '{"return_type": "nope"}',
    '{"return_type": "give_answer","final_answer": "abc',
    '{"return_type": "give_up_and_restart"',
    '{"return_type": "give_answer", "final_answer": "a"b"}',
    '{"return_type":"give_answer","final_answer":null}',
    '{"return_type": "give_answer", "final_answer": ["l"]}',
    '{"x": "y", "return_type": "odd", "return_type": "give_answer", "final_answer": "z',
]

BROKEN = [
    '{"broken',
    "[1,2]",
    "5",
    '"s"',
    "null",
    '{"a": 1}}',
    ' {"a": "b" ',
    "{'a': 1}",
    "NaN",
    "",
]

VALUES = ["5", 5, 5.0, 5.5, "5.0", None, "", True, "true", [1], {"z": 1}, " 5", -0.0, 1e30, "\x00"]

NAMES = ["a", "b", "id", "is_id", "A", "from", "q q", "0k", "api_key", "x-y", "é"]

UNKNOWN = ["no_such", "Foo Bar", "finish", "漢字", "x" * 70, "none_for_none"]


@dataclass(eq=False)
class Node:
    """A node as ToolBench has them."""

    kind: str
    text: str
    father: "Node | None" = None
    children: list["Node"] = field(default_factory=list)
    observation: str = ""
    code: int | None = None
    pruned: bool = False
    finished: bool = False
    ends: bool = False
    expanded: int = 0

    @property
    def depth(self) -> int:
        return self.father.depth + 1 if self.father else 0

    def grow(self, kind: str, text: str) -> "Node":
        self.children.append(Node(kind, text, self))
        return self.children[-1]

    def finish(self, calls: int) -> None:
        """Mark a path from its end up, over so many calls."""
        self.finished = True
        calls -= self.kind == "Action Input"
        if self.father and calls >= 0:
            self.father.finish(calls)

    def to_json(self) -> dict[str, Any]:
        made: dict[str, Any] = {
            "is_terminal": False,
            "pruned": self.pruned,
            "finished": self.finished,
            "depth": self.depth,
            "node_type": self.kind,
            "description": self.text,
            "child_count": len(self.children),
            "expand_num": self.expanded,
            "children": [child.to_json() for child in self.children],
        }
        if self.observation:
            made["observation"] = self.observation
        if self.code is not None:
            made["observation_code"] = self.code
        return made

    def __iter__(self) -> Any:
        yield self
        for child in self.children:
            yield from child


class TooLong(Exception):
    """The search asks for too much."""


class Search:
    """ToolBench's depth-first search over what chance says."""

    def __init__(self, draw: random.Random, functions: list[dict[str, Any]]) -> None:
        self.draw, self.functions = draw, functions
        self.width = draw.choice([1, 2, 2, 3])
        self.limit = draw.choice([3, 4, 6, 7, 9])
        self.most = draw.choice([3, 10, 40, 200])
        self.answers = draw.choice([1, 1, 2, 3])
        self.back_up = draw.choice([1, 2])
        self.ending, self.thinking = draw.choice([0.05, 0.2, 0.5]), draw.choice([0.0, 0.1, 0.4])
        self.asked = self.expanded = 0
        self.ended: list[Node] = []
        self.gave_up: list[Node] = []
        self.root = Node("Action Input", "")
        self.go_on(self.root)

    def go_on(self, node: Node) -> int:
        """Search below a node; gives how far to go back from it."""
        node.expanded = self.expanded
        self.expanded += 1
        if node.ends:
            self.ended.append(node)
            return 2
        if node.depth >= self.limit or node.pruned:
            node.pruned = True
            if node.code == 4:
                self.gave_up.append(node)
                return 2
            return self.back_up
        for _ in range(self.width):
            thought, call, failed = self.complete()
            self.asked += 1
            if self.asked >= self.most:
                return 100_000
            if self.asked > MOST_QUERIES:
                raise TooLong
            back = self.go_on(self.take(node, thought, call, failed))
            if len(self.ended) >= self.answers:
                return 10_000
            if back > 1:
                return back - 1
        return 1

    def take(
        self, node: Node, thought: str | None, call: tuple[str, str] | None, failed: bool
    ) -> Node:
        """Grow the nodes of a completion; gives the last."""
        if thought is not None:
            node = node.grow("Thought", thought)
            if failed:
                node.code, node.pruned = -1, True
        if call:
            node = node.grow("Action", call[0]).grow("Action Input", call[1])
            node.observation, node.code = self.answer(*call)
            node.pruned = node.code == 4
            if node.code == 3:
                node.ends = True
                node.finish(2)
        return node

    def complete(self) -> tuple[str | None, tuple[str, str] | None, bool]:
        """Say something: a thought, a function call, and whether the model failed on it."""
        draw = self.draw
        if draw.random() < self.thinking:
            return draw.choice(["thinking", *TEXTS]), None, draw.random() < 0.3
        thought = draw.choice(TEXTS) if draw.random() < 0.4 else None
        failed = thought is not None and draw.random() < 0.1
        if draw.random() < self.ending:
            return thought, ("Finish", self.end()), failed
        name = draw.choice(self.functions)["name"]
        chance = draw.random()
        if chance < 0.12:
            name = draw.choice(UNKNOWN)
        elif chance < 0.2:
            name = name[draw.randrange(len(name)) :]
        return thought, (name, self.arguments()), failed

    def end(self) -> str:
        chance = self.draw.random()
        if chance < 0.25:
            return self.draw.choice(ENDS)
        if chance < 0.6:
            return '{"return_type": "give_up_and_restart"}'
        return json.dumps({"return_type": "give_answer", "final_answer": self.draw.choice(TEXTS)})

    def arguments(self) -> str:
        chance = self.draw.random()
        if chance < 0.2:
            return "{}"
        if chance < 0.3:
            return self.draw.choice(BROKEN)
        names = self.draw.sample(NAMES, self.draw.randint(1, 3))
        given = {name: self.draw.choice(VALUES) for name in names}
        indent, ascii_only = self.draw.choice([None, 2]), self.draw.random() < 0.5
        return json.dumps(given, ensure_ascii=ascii_only, indent=indent)

    def answer(self, name: str, arguments: str) -> tuple[str, int]:
        """Answer a call: of Finish by its words, of an API by chance."""
        if name == "Finish":
            return ended(arguments)
        if not any(function["name"].endswith(name) for function in self.functions):
            return json.dumps({"error": f"No such function name: {name}", "response": ""}), 1
        text = self.draw.choice([*TEXTS, str(self.draw.random())])
        return text, self.draw.choice([0, 0, 0, 5, 6, 7, 8, 9, 10, 11, 12])

    def published(self) -> dict[str, Any]:
        """Write the search as an answer file."""
        ends = (self.ended or self.gave_up)[:1]
        return {
            "win": bool(self.ended),
            "tree": {
                "size": sum(1 for _ in self.root),
                "max_length": max(node.depth for node in self.root) + 1,
                "tree": self.root.to_json(),
            },
            "forward_args": {
                "single_chain_max_step": self.limit,
                "tree_beam_size": self.width,
                "max_query_count": self.most,
                "answer": self.answers,
                "with_filter": False,
            },
            "compare_candidates": [[] for _ in self.ended],
            "answer_generation": {
                "valid_data": bool(ends),
                "query": "What is it?",
                "query_count": self.asked,
                "total_tokens": 1,
                "final_answer": ends[0].text if ends else "",
                "finish_type": "give_up" if self.gave_up and not self.ended else "give_answer",
                "function": [*self.functions, {"name": "Finish", "parameters": {}}],
                "chain": [],
                "train_messages": [],
            },
        }


def ended(arguments: str) -> tuple[str, int]:
    """What Finish gives in ToolBench's code."""
    try:
        given = json.loads(arguments, strict=False)
    except ValueError:
        given = {}
        for kind in ("give_answer", "give_up_and_restart"):
            if f'"return_type": "{kind}"' in arguments:
                given.setdefault("return_type", kind)
        _, name, rest = arguments.partition('"return_type": "')
        if name:
            given.setdefault("return_type", rest.partition('",')[0])
        _, name, rest = arguments.partition('"final_answer": "')
        if name:
            given["final_answer"] = rest
    if "return_type" not in given:
        return '{error:"must have "return_type""}', 2
    if given["return_type"] == "give_up_and_restart":
        return '{"response":"chose to give up and restart"}', 4
    if given["return_type"] != "give_answer":
        return '{error:""return_type" is not a valid choice"}', 2
    if "final_answer" not in given:
        return '{error:"must have "final_answer""}', 2
    return '{"response":"successfully giving the final answer."}', 3


def function(draw: random.Random) -> dict[str, Any]:
    tool = draw.choice(["t", "weather_api", "get_5dim", "a_for_b", "long_tool_" + "x" * 40])
    api = draw.choice(["search", "is_id", "list", "for_t", "a_for_b", "long_api_" + "y" * 50])
    told = f'This is the subfunction for tool "{tool}", you can use this tool.'
    more = f'{told}The description of this function is: "does {api} "q" \n x"'
    kinds = ["integer", "string", "boolean", "number"]
    names = draw.sample(["a", "b", "is_id", "q_q", "get_0k"], draw.randint(0, 4))
    properties = {name: {"type": draw.choice(kinds), "description": "d"} for name in names}
    return {
        "name": f"{api}_for_{tool}"[-64:],
        "description": draw.choice([told, more, "", "other words"]),
        "parameters": {"type": "object", "properties": properties, "required": names[:1]},
    }


def write_trees(folder: Path, draw: random.Random) -> dict[int, dict[str, Any]]:
    pool = [function(draw) for _ in range(12)]
    written: dict[int, dict[str, Any]] = {}
    while len(written) < TREES:
        try:
            search = Search(draw, draw.sample(pool, draw.randint(1, 6)))
        except TooLong:
            continue
        if search.root.children:
            number = len(written)
            written[number] = search.published()
            text = json.dumps(written[number])
            (folder / f"{number}_Model_DFS_woFilter_w2.json").write_text(text)
    return written


@pytest.mark.parametrize("shards", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_random_trees_are_built_again(tmp_path: Path, seed: int, shards: bool) -> None:
    source, world = tmp_path / "trees" / "S", tmp_path / "world"
    source.mkdir(parents=True)
    trees = write_trees(source, random.Random(seed))
    imported = import_toolbench(source.parent, world, shards)
    assert (imported.trees, imported.skipped) == (TREES, {})
    queries = world / "instructions" / "toolbench.json"
    list(solve(queries, World(world), tmp_path / "run", workers=2, settings=Settings(None)))
    for number, tree in trees.items():
        file = next((tmp_path / "run" / "answers").rglob(f"{number}_*.json"))
        built = json.loads(file.read_text())
        assert same(built["tree"]["tree"]) == same(tree["tree"]["tree"]), number
        for name in ("win", "forward_args"):
            assert built[name] == tree[name], number
        for name in ("size", "max_length"):
            assert built["tree"][name] == tree["tree"][name], number
        for name in ("query_count", "finish_type", "valid_data", "final_answer"):
            assert built["answer_generation"][name] == tree["answer_generation"][name], number


def test_a_tree_that_cannot_be_written_down_is_named(tmp_path: Path) -> None:
    draw = random.Random(0)
    trees = write_trees(tmp_path, draw)
    text = json.dumps(trees[0]).replace('"query": "What', '"query": "\\ud83d')
    (tmp_path / "0_Model_DFS_woFilter_w2.json").write_text(text)
    imported = import_toolbench(tmp_path, tmp_path / "world")
    assert imported.trees == TREES - 1
    [(path, reason)] = imported.skipped.items()
    assert path.endswith("0_Model_DFS_woFilter_w2.json")
    assert "cannot be read" in reason
