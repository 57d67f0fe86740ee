"""The search tree: thoughts, actions and their inputs, in ToolBench's three kinds of node."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.chat import Message
from sandbox.response import Provenance, StatusCode

NodeType = Literal["Thought", "Action", "Action Input"]


@dataclass(eq=False)
class Node:
    """A node of a search tree.

    One completion makes up to three nodes below each other: a thought, the name of a function
    (Action), and its arguments (Action Input) with what came back.

    Attributes:
        node_type: what the node stands for.
        description: the thought, the function's name, or the arguments' text.
        father: the node above; None for the root.
        place: which child was taken at each decision on the way here; names the node.
        children: nodes below, in the order of their making.
        messages: the messages that were added to the conversation with this node.
        diversity: the message that asked for this node to differ from its siblings.
        observation: what the function returned.
        status_code: ToolBench's code of it; also a completion's error code.
        provenance: where the observation comes from.
        pruned: the search does not go on below.
        finished: a final answer was given here or below.
        expand_num: the node's turn among those that the search went on from.
    """

    node_type: NodeType
    description: str = ""
    father: "Node | None" = None
    place: tuple[int, ...] = ()
    children: list["Node"] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    diversity: Message | None = None
    observation: str = ""
    status_code: int | None = None
    provenance: Provenance | None = None
    pruned: bool = False
    finished: bool = False
    expand_num: int = 0

    @property
    def depth(self) -> int:
        """Nodes between this one and the root, the root counting as 0."""
        return sum(1 for _ in self.path())

    @property
    def is_answer(self) -> bool:
        """Whether the path ends here in a final answer."""
        return self.node_type == "Action Input" and self.status_code == StatusCode.FINAL_ANSWER

    def path(self) -> list["Node"]:
        """The nodes from below the root to this one."""
        nodes: list[Node] = []
        node = self
        while node.father is not None:
            nodes.append(node)
            node = node.father
        return nodes[::-1]

    def root(self) -> "Node":
        """The tree's root."""
        return self if self.father is None else self.father.root()

    def walk(self) -> Iterator["Node"]:
        """Go through this node and all below, each before its children."""
        yield self
        for child in self.children:
            yield from child.walk()

    def add(self, node_type: NodeType, description: str) -> "Node":
        """Add a child."""
        child = Node(node_type, description, father=self, place=self.place)
        self.children.append(child)
        return child

    def conversation(self) -> list[Message]:
        """All messages from the root to this node, without the diversity prompts."""
        return [*self.root().messages, *(m for node in self.path() for m in node.messages)]

    def mark_finished(self, decisions: int) -> None:
        """Mark this node, and those above it through so many further function calls."""
        node: Node | None = self
        while node is not None and decisions >= 0:
            node.finished = True
            if node.node_type == "Action Input":
                decisions -= 1
            node = node.father

    def to_json(self) -> dict[str, Any]:
        """Give the node without its children, in ToolBench's fields and their order.

        `provenance` is ours. `is_terminal` is false on every node that ToolBench publishes, final
        answers included (they are known by code 3), so it is here.
        """
        record: dict[str, Any] = {
            "is_terminal": False,
            "pruned": self.pruned,
            "finished": self.finished,
            "depth": self.depth,
            "node_type": self.node_type,
            "description": self.description,
            "Elo": 1000.0,
        }
        if self.observation:
            record["observation"] = self.observation
        if self.status_code is not None:
            record["observation_code"] = int(self.status_code)
        if self.provenance is not None:
            record["provenance"] = self.provenance
        record["child_count"] = len(self.children)
        record["expand_num"] = self.expand_num
        if self.node_type == "Action Input":
            record["io_state"] = {}
        return record

    def tree_json(self) -> dict[str, Any]:
        """Give the node with all below it."""
        return {**self.to_json(), "children": [child.tree_json() for child in self.children]}

    def chain_json(self) -> list[dict[str, Any]]:
        """Give the path to this node as a list."""
        return [node.to_json() for node in self.path()]

    def training_messages(self) -> list[list[Message]]:
        """Give one training instance per completion on the path to this node.

        Each is the conversation up to and including that completion. Of the diversity prompts on
        the way only the last one stays in, marked `valid: false`, as in ToolBench.
        """
        instances = []
        conversation: list[Message] = list(self.root().messages)
        for node in self.path():
            if node.diversity is not None:
                conversation = [m for m in conversation if "valid" not in m]
                conversation.append({**node.diversity, "valid": False})
            for message in node.messages:
                conversation.append(message)
                if message["role"] == "assistant":
                    instances.append(list(conversation))
        return instances


def tree_json(root: Node) -> dict[str, Any]:
    """Give a whole tree: `size` in nodes, `max_length` in levels, and the nodes."""
    nodes = list(root.walk())
    return {
        "size": len(nodes),
        "max_length": max(node.depth for node in nodes) + 1,
        "tree": root.tree_json(),
    }
