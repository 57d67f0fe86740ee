"""The split: which tools are kept out of training, so that tests mean something."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from sandbox.catalogue import Catalogue
from sandbox.errors import BadInput
from sandbox.names import standardise
from sandbox.tool import Tool

Part = Literal["Inst", "Tool", "Cat"]
"""Tools that training may use; held-out tools of its categories; tools of held-out categories."""

PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True)
class HeldOut:
    """What a world's `split.json` keeps out of training.

    Attributes:
        categories: names, standardised.
        tools: category and name of single tools, standardised.
    """

    categories: frozenset[str] = frozenset()
    tools: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def read(cls, world: Path) -> "HeldOut":
        """Read the split of a world; a world without one holds nothing out.

        Raises:
            BadInput: the file is no split.
        """
        path = world / "split.json"
        if not path.exists():
            return cls()
        try:
            content = json.loads(path.read_bytes())
            return cls(
                frozenset(map(standardise, content["held_out_categories"])),
                frozenset(
                    (standardise(entry["category"]), standardise(entry["tool"]))
                    for entry in content["held_out_tools"]
                ),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInput(
                f"{path}: no split ({error!r}): it needs held_out_categories, a list of names, and "
                f"held_out_tools, a list of objects with category and tool."
            ) from error

    def part(self, tool: Tool) -> Part:
        """Tell which part a tool belongs to."""
        category = standardise(tool.category)
        if category in self.categories:
            return "Cat"
        return "Tool" if (category, standardise(tool.name)) in self.tools else "Inst"

    def catalogue(self, catalogue: Catalogue, part: Part) -> Catalogue:
        """Give the tools of one part."""
        return Catalogue(tool for tool in catalogue if self.part(tool) == part)
