"""Samples: the APIs over which instructions are written (section 2.2 of the paper)."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from sandbox.catalogue import Catalogue
from sandbox.errors import BadInput
from sandbox.tool import Api, Tool

KINDS = ("I1", "I2", "I3")
"""One tool; tools of one category; tools of one collection."""

TOOLS = (2, 5)
"""Fewest and most tools of a sample for I2 and I3."""


@dataclass(frozen=True)
class Sample:
    """APIs that an instruction may need; a search is offered all of them.

    Attributes:
        kind: `I1`, `I2` or `I3`.
        offered: the APIs with their tools, tool by tool.
        seed: names the draw, for what is drawn from it further on.
    """

    kind: str
    offered: tuple[tuple[Tool, Api], ...]
    seed: str

    @property
    def api_list(self) -> list[dict[str, str]]:
        """The APIs as a query file lists them."""
        return [
            {"category_name": tool.category, "tool_name": tool.name, "api_name": api.name}
            for tool, api in self.offered
        ]


def samples(
    catalogue: Catalogue, kind: str, seed: int = 0, apis_per_tool: int = 3
) -> Iterator[Sample]:
    """Draw samples without end.

    Args:
        catalogue: the tools to draw from.
        kind: `I1`, `I2` or `I3`.
        seed: of the draws.
        apis_per_tool: how many APIs of a tool are offered at most.

    Raises:
        BadInput: there is no such kind, or no tools for it.
    """
    groups = _groups(catalogue, kind)
    if not groups:
        raise BadInput(
            f"No tools to write {kind} instructions over: I1 needs a tool, I2 two tools of one "
            f"category, I3 two of one collection."
        )
    for number in count():
        name = f"{seed}/{kind}/{number}"
        draw = random.Random(name)
        group = draw.choice(groups)
        size = 1 if kind == "I1" else draw.randint(TOOLS[0], min(TOOLS[1], len(group)))
        tools = draw.sample(group, size)
        yield Sample(kind, tuple(_offer(draw, tools, apis_per_tool)), name)


def _groups(catalogue: Catalogue, kind: str) -> list[list[Tool]]:
    """Group the tools that may be sampled together, in a fixed order."""
    if kind not in KINDS:
        raise BadInput(f"No kind of instruction {kind!r}: take {', '.join(KINDS)}.")
    groups: dict[str, list[Tool]] = {}
    for tool in sorted(catalogue, key=lambda tool: (tool.category, tool.name)):
        names = {"I1": [tool.name], "I2": [tool.category], "I3": tool.collections}[kind]
        for name in names:
            groups.setdefault(f"{tool.category}/{name}" if kind == "I1" else name, []).append(tool)
    return [group for _, group in sorted(groups.items()) if kind == "I1" or len(group) >= TOOLS[0]]


def _offer(
    draw: random.Random, tools: Sequence[Tool], apis_per_tool: int
) -> Iterator[tuple[Tool, Api]]:
    for tool in tools:
        apis = list(tool.api_list)
        for api in draw.sample(apis, min(len(apis), apis_per_tool)):
            yield tool, api
