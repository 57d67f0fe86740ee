"""Answers: what a search found, in ToolBench's own answer format."""

from typing import Any

from sandbox.instruction import Instruction
from solver.search import Search
from solver.tree import Node, tree_json

Answer = dict[str, Any]
"""An answer file: `win`, `tree` or `trys`, `forward_args`, `compare_candidates`,
`answer_generation`."""


def tree_answer(search: Search, instruction: Instruction, forward_args: dict[str, Any]) -> Answer:
    """Write down a tree search (ToolBench's `DFS_*` answers)."""
    return {
        "win": bool(search.answers),
        "tree": tree_json(search.root),
        "forward_args": forward_args,
        "compare_candidates": [node.chain_json() for node in search.answers],
        "answer_generation": _generation(search, instruction),
    }


def path_answer(
    search: Search, ends: list[Node], instruction: Instruction, forward_args: dict[str, Any]
) -> Answer:
    """Write down the attempts of a ReACT search (ToolBench's `CoT@N` answers)."""
    return {
        "win": bool(search.answers),
        "try_count": len(ends),
        "trys": [{"chain": end.chain_json(), "win": end.is_answer} for end in ends],
        "compare_candidates": [node.chain_json() for node in search.answers],
        "forward_args": forward_args,
        "answer_generation": _generation(search, instruction),
    }


def _generation(search: Search, instruction: Instruction) -> dict[str, Any]:
    """Write the part that training and judging read: the first answer, else the first give-up.

    ToolBench draws one of several give-ups at random; here it is always the first.
    """
    shown = next(iter([*search.answers, *search.given_up]), None)
    gave_up = shown is not None and not shown.is_answer
    return {
        "valid_data": shown is not None,
        "query_count": search.query_count,
        "total_tokens": search.total_tokens,
        "final_answer": shown.description if shown else "",
        "finish_type": "give_up" if gave_up else "give_answer",
        "function": search.functions,
        "chain": [],
        "train_messages": shown.training_messages() if shown else [],
        "query": instruction.query,
    }
