"""Search methods by name, and running one for one instruction."""

import re
from dataclasses import dataclass, replace
from typing import Any

from sandbox.chat import ChatModel
from sandbox.errors import BadInput
from sandbox.instruction import Instruction
from solver.answer import Answer, path_answer, tree_answer
from solver.environment import Environment
from solver.search import Drawing, Limits, Search


@dataclass(frozen=True)
class Method:
    """A search method with its bounds.

    Attributes:
        name: `dfsdt`, `dfs` or `react`.
        limits: the bounds.
    """

    name: str
    limits: Limits

    @classmethod
    def parse(cls, text: str, limits: Limits) -> "Method":
        """Read a method as the command line names it: `dfsdt`, `dfs`, `react` or `react@N`.

        With `+doubt` behind it, the search goes on from answers that have doubts.

        Raises:
            BadInput: there is no such method.
        """
        found = re.fullmatch(r"(dfsdt|dfs|react)(?:@([1-9]\d*))?(\+doubt)?", text)
        if not found or (found[2] and found[1] != "react"):
            raise BadInput(
                f"No search method {text!r}: take dfsdt, dfs, react or react@N, each also with "
                f"+doubt."
            )
        bounds = replace(
            limits, attempts=int(found[2] or 1), rank=found[1] == "dfs", doubting=bool(found[3])
        )
        return cls(found[1], bounds)

    @property
    def toolbench_name(self) -> str:
        """The method's name in ToolBench's answer files; `+doubt` is ours."""
        doubt = "+doubt" if self.limits.doubting else ""
        if self.name == "react":
            return f"CoT@{self.limits.attempts}{doubt}"
        filtered = "" if self.limits.rank else "_woFilter"
        return f"DFS{filtered}_w{self.limits.width}{doubt}"

    @property
    def forward_args(self) -> dict[str, Any]:
        """The search's bounds in ToolBench's fields."""
        limits = self.limits
        args: dict[str, Any] = {"single_chain_max_step": limits.depth}
        if self.name == "react":
            return {**args, "pass_at": limits.attempts, "answer": limits.answers}
        return {
            **args,
            "tree_beam_size": limits.width,
            "max_query_count": limits.model_calls,
            "answer": limits.answers,
            "with_filter": limits.rank,
        }

    @classmethod
    def as_recorded(cls, instruction: Instruction) -> "Method":
        """Read the bounds that an imported search was made with.

        Raises:
            BadInput: the instruction does not come from an imported tree.
        """
        recorded = instruction.as_recorded
        if recorded is None:
            raise BadInput(
                f"Instruction {instruction.id} comes from no recorded tree, so --as-recorded has "
                f"no limits for it. Leave the option out, or solve an imported toolbench.json."
            )
        args = recorded["forward_args"]
        return cls(
            "dfs" if args.get("with_filter") else "dfsdt",
            Limits(
                depth=args["single_chain_max_step"],
                width=args["tree_beam_size"],
                model_calls=args["max_query_count"],
                answers=args["answer"],
                rank=bool(args.get("with_filter")),
                depth_limit_back_up=recorded["depth_limit_back_up"],
            ),
        )

    def solve(
        self,
        instruction: Instruction,
        model: ChatModel,
        environment: Environment,
        drawing: Drawing,
    ) -> Answer:
        """Search for one instruction."""
        search = Search(instruction.query, instruction.id, model, environment, self.limits, drawing)
        if self.name == "react":
            ends = search.follow_paths()
            return path_answer(search, ends, instruction, self.forward_args)
        search.grow_tree()
        return tree_answer(search, instruction, self.forward_args)
