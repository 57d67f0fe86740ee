"""Leaks: what training instructions share with tests although they must not."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from sandbox.catalogue import Catalogue
from sandbox.instruction import Instruction
from sandbox.tool import Tool
from trainer.instructions.reserved import Reserved, calls_of
from trainer.instructions.split import HeldOut


@dataclass(frozen=True)
class Leak:
    """One thing that leaked.

    Attributes:
        instruction: id of the training instruction.
        kind: `held-out tool`, `held-out category`, or what it shares with a test.
        what: the tool, the words or the call.
        test: id of the test, where it is one that it shares with.
    """

    instruction: str
    kind: str
    what: str
    test: str = ""

    def to_json(self) -> dict[str, str]:
        """Give the leak."""
        return asdict(self)


def leaks(
    training: Iterable[Instruction],
    tests: Iterable[Instruction],
    held_out: HeldOut,
    catalogue: Catalogue,
) -> Iterator[Leak]:
    """Find what leaks from tests into training.

    Nothing does where no training instruction offers, needs or calls a tool that is held out, and
    none is a test's in its words, in one call with all its arguments, or in eight words in a row.

    Args:
        training: instructions to train on.
        tests: the test instructions.
        held_out: the tools and categories that only tests may use.
        catalogue: the documents.
    """
    reserved = Reserved.of(tests, catalogue)
    for instruction in training:
        for tool in _tools(instruction, catalogue):
            part = held_out.part(tool)
            if part != "Inst":
                kind = "held-out category" if part == "Cat" else "held-out tool"
                yield Leak(instruction.id, kind, f"{tool.category}/{tool.name}")
        relevant, calls = instruction.relevant_apis, calls_of(instruction)
        if near := reserved.near(instruction.query, relevant, calls):
            yield Leak(instruction.id, near.shared, near.what, near.test)


def _tools(instruction: Instruction, catalogue: Catalogue) -> list[Tool]:
    """Give the tools that an instruction offers, needs or calls, each once."""
    offered = instruction.api_list
    named = [(e.get("category_name", ""), e["tool_name"], e["api_name"]) for e in offered]
    named += [(call.category, call.tool, call.api) for call in calls_of(instruction)]
    categories = {tool: category for category, tool, _ in named}
    named += [(categories.get(tool, ""), tool, api) for tool, api, *_ in instruction.relevant_apis]
    found: dict[tuple[str, str], Tool] = {}
    for category, name, api in named:
        documented = catalogue.find(name, api, category)
        tool = documented[0] if documented else Tool(name=name, category=category)
        found.setdefault((tool.category, tool.name), tool)
    return list(found.values())
