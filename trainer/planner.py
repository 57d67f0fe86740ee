"""The planner: a teacher that follows the documented solution of an instruction.

It stands where a model stands, so its paths are searched, kept and turned into training data like
any other's. Beside it a model learns from paths that a model found (section 2.3 of the paper).
"""

import json
from collections.abc import Sequence
from typing import Any

from sandbox.chat import Completion, CompletionRequest
from sandbox.errors import BadInput
from sandbox.instruction import Instruction
from sandbox.names import identifier
from sandbox.world import World

NAME = "planner"


class Planner:
    """Makes the calls of an instruction in their order, and then says the answer.

    Where an instruction has no solution, it gives up.

    Args:
        world: documents the calls.
        instructions: what will be asked.

    Raises:
        BadInput: an instruction that can be solved does not say how.
    """

    name = NAME

    def __init__(self, world: World, instructions: Sequence[Instruction]) -> None:
        self._steps = {i.id: [*_calls(world, i), _finish(i)] for i in instructions}

    def complete(self, request: CompletionRequest) -> Completion:
        """Make the next step of the instruction's solution."""
        made = sum(message["role"] == "function" for message in request.messages)
        steps = self._steps[request.instruction]
        return Completion(None, steps[min(made, len(steps) - 1)])


def _calls(world: World, instruction: Instruction) -> list[dict[str, str]]:
    steps = []
    for call in instruction.calls:
        found = world.catalogue.find(call["tool"], call["api"], call.get("category", ""))
        if found is None:
            raise BadInput(f"{instruction.id}: no document of {call['tool']}/{call['api']}.")
        arguments = {identifier(name): value for name, value in call["arguments"].items()}
        steps.append(_step(found[0].function_name(found[1]), arguments))
    return steps


def _finish(instruction: Instruction) -> dict[str, str]:
    if instruction.answer:
        answer = {"return_type": "give_answer", "final_answer": instruction.answer}
        return _step("Finish", answer)
    if instruction.solvable:
        raise BadInput(
            f"{instruction.id} has no answer that the planner could give: it solves what "
            f"toolreplay instructions --writer phrasings wrote."
        )
    return _step("Finish", {"return_type": "give_up_and_restart"})


def _step(name: str, arguments: dict[str, Any]) -> dict[str, str]:
    return {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
