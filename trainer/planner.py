"""The planner: a teacher that follows the documented solution of an instruction.

It stands where a model stands, so its paths are searched, kept and turned into training data like
any other's. Beside it a model learns from paths that a model found (section 2.3 of the paper).
"""

import json
from collections.abc import Sequence
from typing import Any

from jsonpointer import JsonPointer

from sandbox.chat import Completion, CompletionRequest
from sandbox.errors import BadInput
from sandbox.instruction import Fact, Instruction
from sandbox.names import identifier
from sandbox.world import World

NAMES = ("planner", "planner:fields")
"""Its answers are those of the instructions, or name each fact by its field in the response."""


class Planner:
    """Makes the calls of an instruction in their order, and then says the answer.

    Where an instruction has no solution, it gives up.

    Args:
        world: documents the calls.
        instructions: what will be asked.
        name: one of `NAMES`.

    Raises:
        BadInput: an instruction that can be solved does not say how.
    """

    def __init__(
        self, world: World, instructions: Sequence[Instruction], name: str = NAMES[0]
    ) -> None:
        self.name = name
        by_fields = name == NAMES[1]
        self._steps = {i.id: [*_calls(world, i), _finish(i, by_fields)] for i in instructions}

    def complete(self, request: CompletionRequest) -> Completion:
        """Make the next step of the instruction's solution; of anything else it knows nothing."""
        steps = self._steps.get(request.instruction)
        if steps is None:
            return Completion("")
        made = sum(message["role"] == "function" for message in request.messages)
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


def _finish(instruction: Instruction, by_fields: bool) -> dict[str, str]:
    if instruction.answer:
        told = answer_by_fields(instruction.facts) if by_fields else instruction.answer
        return _step("Finish", {"return_type": "give_answer", "final_answer": told})
    if instruction.solvable:
        raise BadInput(
            f"{instruction.id} has no answer that the planner could give: it solves what "
            f"toolreplay instructions --writer phrasings wrote."
        )
    return _step("Finish", {"return_type": "give_up_and_restart"})


def answer_by_fields(facts: Sequence[Fact]) -> str:
    """Tell facts in the order of their calls, each behind the name of its field.

    A model that has to write the field's name first has found where the value stands. Calls of one
    API are told apart by the arguments in which they differ.

    Args:
        facts: of one instruction.
    """
    calls: dict[str, list[Fact]] = {}
    for fact in facts:
        calls.setdefault(json.dumps(fact.call, sort_keys=True), []).append(fact)
    groups = list(calls.values())
    told = []
    for group in groups:
        call = group[0].call
        others = [g[0].call for g in groups if _api(g[0].call) == _api(call) and g is not group]
        fields = ", ".join(f"{_field(fact.pointer)}: {fact.value}" for fact in group)
        told.append(f"{_told_apart(call, others)}{fields}")
    return "; ".join(told) + "."


def _api(call: dict[str, Any]) -> tuple[str, str]:
    return call["tool"], call["api"]


def _field(pointer: str) -> str:
    """Name a value by the last part of its place that is no number."""
    parts = [part for part in JsonPointer(pointer).parts if part and not part.isdecimal()]
    return parts[-1] if parts else "answer"


def _told_apart(call: dict[str, Any], others: Sequence[dict[str, Any]]) -> str:
    own = call["arguments"]
    differ = [n for n in own if any(o["arguments"].get(n) != own[n] for o in others)]
    values = ", ".join(str(own[name])[:40] for name in differ)
    return f"({values}) " if values else ""


def _step(name: str, arguments: dict[str, Any]) -> dict[str, str]:
    return {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
