"""The search methods: DFSDT, classical DFS with model ranking, and ReACT.

DFSDT (section 2.3 of the paper) is a depth-first search in pre-order: each child of a node is
explored before its next sibling is asked for, and a sibling is asked to differ from those before
it. Classical DFS makes all children first and has the model rank them. ReACT is the search with
width 1, and ReACT@N makes N attempts. A doubting search goes on from answers that rules speak
against (`solver.doubt`); that is ours.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations

from sandbox.chat import ChatModel, Completion, CompletionRequest, Message, Sampling
from sandbox.response import StatusCode
from solver import prompts
from solver.doubt import Call, doubts
from solver.environment import Environment, told_in
from solver.tree import Node

INVALID_FUNCTION_NAME = "invalid_hallucination_function_name"
"""What a conversation says in place of a function that does not exist, as in ToolBench."""

BACK_UP_AFTER_END = 2
"""Decisions that the search goes back after it gave an answer or gave up."""


@dataclass(frozen=True)
class Limits:
    """The bounds of a search, with ToolBench's defaults.

    Attributes:
        depth: nodes on a path; a step is up to three.
        width: children per node.
        model_calls: completions per instruction. As in ToolBench the last of them is counted but
            not used, so it is not made.
        answers: final answers after which the search is over.
        depth_limit_back_up: decisions that the search goes back from a path that is too long;
            ToolBench's trees come from a variant with 1 and one with 2.
        doubting: go on from an answer that has doubts (`solver.doubt`); in the end the answer with
            the fewest counts. Ours, not the paper's.
        rank: make all children first and rank them (classical DFS).
        attempts: paths that ReACT tries.
    """

    depth: int = 12
    width: int = 2
    model_calls: int = 200
    answers: int = 1
    depth_limit_back_up: int = 1
    doubting: bool = False
    rank: bool = False
    attempts: int = 1


@dataclass(frozen=True)
class Drawing:
    """How completions are drawn.

    Attributes:
        temperature: for second and later siblings and attempts; the first of each takes the
            likeliest tokens.
        seed: the run's seed; each place in each tree derives its own from it.
        max_tokens: the longest completion.
        frequency_penalty: see `sandbox.chat.Sampling`.
    """

    temperature: float = 0.7
    seed: int = 0
    max_tokens: int = 256
    frequency_penalty: float = 0.0

    def at(self, instruction: str, attempt: int, place: tuple[int, ...]) -> Sampling:
        """Give the sampling of a place: siblings differ, and a repeated search does not."""
        name = f"{self.seed}/{instruction}/{attempt}/{place}"
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") >> 1
        first = attempt == 0 and place[-1] == 0
        temperature = 0.0 if first else self.temperature
        return Sampling(temperature, seed, self.max_tokens, self.frequency_penalty)


class Search:
    """One search for one instruction.

    Args:
        query: the instruction's text.
        instruction: its id.
        model: decides.
        environment: answers function calls.
        limits: the search's bounds.
        drawing: how completions are drawn.

    Attributes:
        root: the tree's root; of ReACT@N, that of the last attempt.
        given_up: nodes that gave up.
        query_count: completions asked for.
        total_tokens: tokens of all completions and their prompts.
    """

    def __init__(
        self,
        query: str,
        instruction: str,
        model: ChatModel,
        environment: Environment,
        limits: Limits,
        drawing: Drawing,
    ) -> None:
        self._query = query
        self._instruction = instruction
        self._model = model
        self._environment = environment
        self._limits = limits
        self._drawing = drawing
        self._attempt = 0
        self._expanded = 0
        self._doubts: dict[Node, list[str]] = {}
        self.given_up: list[Node] = []
        self.query_count = 0
        self.total_tokens = 0
        self.root = self._new_root()

    @property
    def answers(self) -> list[Node]:
        """Nodes that gave a final answer: those with fewer doubts first, then in order."""
        return sorted(self._doubts, key=lambda answer: len(self._doubts[answer]))

    @property
    def _convincing(self) -> int:
        """How many answers nothing speaks against."""
        return sum(not found for found in self._doubts.values())

    @property
    def functions(self) -> list[dict[str, object]]:
        """The functions that were offered."""
        return self._environment.functions

    def grow_tree(self) -> None:
        """Search depth-first until enough answers are found or nothing is left to try."""
        self._explore(self.root)

    def follow_paths(self) -> list[Node]:
        """Try up to `limits.attempts` single paths until one gives an answer (ReACT@N).

        Returns:
            The last node of each attempt.
        """
        ends = []
        for attempt in range(self._limits.attempts):
            self._attempt = attempt
            self.root = self._new_root()
            ends.append(self._follow())
            if self._convincing or self._out_of_calls():
                break
        return ends

    def _new_root(self) -> Node:
        opening = prompts.opening(self._query, self._environment.tools)
        return Node("Action Input", messages=opening)

    def _follow(self) -> Node:
        node = self.root
        while not node.is_answer and not node.pruned:
            if node.depth >= self._limits.depth:
                node.pruned = True
                break
            below = self._decide(node)
            if below is None:
                return node
            node = below
        if node.is_answer:
            self._take(node)
        elif node.status_code == StatusCode.GAVE_UP:
            self.given_up.append(node)
        return node

    def _explore(self, node: Node) -> float:
        """Explore what lies below a node; gives how many decisions to go back from it."""
        node.expand_num = self._expanded
        self._expanded += 1
        if node.is_answer:
            node.mark_finished(BACK_UP_AFTER_END)
            return 1 if self._take(node) else BACK_UP_AFTER_END
        if node.pruned or node.depth >= self._limits.depth:
            return self._close(node)
        if self._limits.rank:
            return self._explore_ranked(node)
        for _ in range(self._limits.width):
            child = self._decide(node)
            if child is None:
                return math.inf
            back = self._explore_child(child)
            if back > 1:
                return back - 1
        return 1

    def _explore_ranked(self, node: Node) -> float:
        children = []
        for _ in range(self._limits.width):
            child = self._decide(node)
            if child is None:
                return math.inf
            children.append(child)
        for child in self._ranked(children):
            back = self._explore_child(child)
            if back > 1:
                node.mark_finished(BACK_UP_AFTER_END)
                return back - 1
        return 1

    def _explore_child(self, child: Node) -> float:
        back = self._explore(child)
        return math.inf if self._convincing >= self._limits.answers else back

    def _take(self, answer: Node) -> list[str]:
        """Note an answer; gives what speaks against it, where the search doubts."""
        found: list[str] = []
        if self._limits.doubting:
            path = answer.path()[:-1]
            calls = [_call_of(node) for node in path if node.node_type == "Action Input"]
            found = doubts(self._query, calls, told_in(answer.description))
        self._doubts[answer] = found
        return found

    def _close(self, node: Node) -> int:
        node.pruned = True
        if node.status_code == StatusCode.GAVE_UP:
            self.given_up.append(node)
            return BACK_UP_AFTER_END
        return self._limits.depth_limit_back_up

    def _out_of_calls(self) -> bool:
        return self.query_count >= self._limits.model_calls

    def _complete(
        self, messages: list[Message], functions: list[dict[str, object]], sampling: Sampling
    ) -> Completion | None:
        """Ask the model; None when this would be the last call that the limit allows."""
        order = self.query_count
        self.query_count += 1
        if self._out_of_calls():
            return None
        completion = self._model.complete(
            CompletionRequest(messages, functions, sampling, self._instruction, order)
        )
        self.total_tokens += completion.prompt_tokens + completion.completion_tokens
        return completion

    def _decide(self, node: Node) -> Node | None:
        """Ask for one more child of a node; gives the last node of the new step."""
        diversity = self._asking_to_differ(node)
        place = (*node.place, len(node.children))
        completion = self._complete(
            [*node.conversation(), *([diversity] if diversity else [])],
            self._environment.functions,
            self._drawing.at(self._instruction, self._attempt, place),
        )
        if completion is None:
            return None
        step = self._add_step(node, completion)
        for new in step:
            new.place = place
        step[0].diversity = diversity
        return step[-1]

    def _asking_to_differ(self, node: Node) -> Message | None:
        """Word what the next child of a node is asked beyond the conversation; none of the first.

        It is told what the children before it did, or what speaks against the last of them.
        """
        calls = [call for child in node.children if (call := _first_call(child))]
        if not calls:
            return None
        doubted = self._doubts.get(calls[-1])
        if doubted:
            return prompts.doubted(doubted)
        return prompts.diversity([_tried(_call_of(call)) for call in calls])

    def _add_step(self, node: Node, completion: Completion) -> list[Node]:
        """Add the nodes of a completion below a node, and make its function call."""
        step = []
        if completion.content is not None or completion.function_call is None:
            node = node.add("Thought", completion.content or "")
            step.append(node)
            if completion.error_code:
                node.status_code = completion.error_code
                node.pruned = True
        message = completion.message()
        if completion.function_call is None:
            node.messages = [message]
            return step
        node = node.add("Action", completion.function_call["name"])
        step.append(node)
        node = node.add("Action Input", completion.function_call["arguments"])
        step.append(node)
        self._act(node, message)
        return step

    def _act(self, node: Node, message: Message) -> None:
        call = message["function_call"]
        observed = self._environment.step(call["name"], call["arguments"])
        node.observation = observed.text
        node.status_code = observed.status_code
        node.provenance = observed.provenance
        if observed.status_code == StatusCode.GAVE_UP:
            node.pruned = True
        elif observed.status_code == StatusCode.NO_SUCH_FUNCTION:
            call["name"] = INVALID_FUNCTION_NAME
        node.messages = [
            message,
            {"role": "function", "name": call["name"], "content": node.observation},
        ]

    def _ranked(self, nodes: list[Node]) -> list[Node]:
        """Order siblings by how many of the others the model finds them better than."""
        wins: Counter[Node] = Counter()
        for first, second in combinations(nodes, 2):
            completion = self._complete(
                prompts.ranking(self._query, _told(first), _told(second)),
                [prompts.PREFER],
                replace(self._drawing.at(self._instruction, 0, first.place), temperature=0.0),
            )
            if completion is None:
                break
            wins[second if _preferred(completion) == 2 else first] += 1
        return sorted(nodes, key=lambda node: -wins[node])


def _first_call(node: Node) -> Node | None:
    """Find the function call that a child led to first."""
    while node.node_type != "Action Input" and node.children:
        node = node.children[0]
    return node if node.node_type == "Action Input" else None


def _call_of(node: Node) -> Call:
    """Read a function call from its Action Input and the Action above it."""
    name = node.father.description if node.father else ""
    return Call(name, node.description, node.observation)


def _tried(call: Call) -> dict[str, str]:
    """Tell of a function call in the diversity prompt."""
    return {"name": call.name, "arguments": call.arguments, "function_output": call.returned}


def _told(node: Node) -> str:
    """Tell a path in words, for the model that ranks it."""
    lines: Iterable[str] = (
        f"{n.node_type}: {n.description}" + (f"\n-> {n.observation}" if n.observation else "")
        for n in node.path()
    )
    return "\n".join(lines)


def _preferred(completion: Completion) -> int:
    """Read which way a model prefers; the first where it does not say."""
    call = completion.function_call
    try:
        return int(json.loads(call["arguments"])["way"]) if call else 1
    except (ValueError, TypeError, KeyError):
        return 1
