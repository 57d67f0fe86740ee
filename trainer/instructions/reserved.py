"""What tests ask: training must not ask it too, nor anything too near to it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sandbox.call import ApiCall, call_line
from sandbox.catalogue import Catalogue
from sandbox.instruction import Instruction, read_instructions
from sandbox.names import standardise
from trainer.instructions.mentions import Mentions, lowered, words_of

Shared = Literal["same words", "same call", "eight words in a row"]
"""What training and a test may have in common."""

RUN = 8
"""Words in a row that training and tests must not share."""


@dataclass(frozen=True)
class Near:
    """Something that is too near to a test.

    Attributes:
        test: the test instruction's id.
        shared: what both have.
        what: the words or the call.
    """

    test: str
    shared: Shared
    what: str


class Reserved:
    """The words and calls of test instructions, indexed.

    Args:
        catalogue: the documents, by which two calls are one.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._queries: dict[str, str] = {}
        self._runs: dict[tuple[str, ...], str] = {}
        self._calls: dict[str, tuple[str, ApiCall]] = {}
        self._by_api: dict[tuple[str, str], list[tuple[str, ApiCall]]] = {}

    @classmethod
    def of(cls, instructions: Iterable[Instruction], catalogue: Catalogue) -> "Reserved":
        """Reserve what instructions ask."""
        reserved = cls(catalogue)
        for instruction in instructions:
            reserved.add(instruction.id, instruction.query, calls_of(instruction))
        return reserved

    def add(self, test: str, query: str, calls: Sequence[ApiCall]) -> None:
        """Reserve what one instruction asks: its words, and its calls that have arguments."""
        self._queries.setdefault(lowered(query), test)
        for run in runs_of(query):
            self._runs.setdefault(run, test)
        for call in calls:
            if call.arguments:
                self._calls.setdefault(self._catalogue.key(call), (test, call))
                place = (standardise(call.tool), standardise(call.api))
                self._by_api.setdefault(place, []).append((test, call))

    def near(
        self, query: str, relevant: Sequence[Sequence[str]], calls: Sequence[ApiCall]
    ) -> Near | None:
        """Find a test that a request is too near to.

        Args:
            query: the request.
            relevant: tool and name of the APIs that it needs.
            calls: the calls that answer it. Where they are not known, it counts as the same call
                when the request needs the API and says every argument.
        """
        if test := self._queries.get(lowered(query)):
            return Near(test, "same words", query)
        for call in calls:
            if found := self._calls.get(self._catalogue.key(call)):
                return Near(found[0], "same call", str(call))
        if not calls and (said := self._said(query, relevant)):
            return said
        for run in runs_of(query):
            if test := self._runs.get(run):
                return Near(test, "eight words in a row", " ".join(run))
        return None

    def _said(self, query: str, relevant: Sequence[Sequence[str]]) -> Near | None:
        mentions = Mentions.of(query)
        for tool, api in relevant:
            for test, call in self._by_api.get((standardise(tool), standardise(api)), []):
                if isinstance(call.arguments, dict) and mentions.has(call.arguments):
                    return Near(test, "same call", str(call))
        return None


def runs_of(query: str) -> list[tuple[str, ...]]:
    """Give all runs of eight words."""
    words = words_of(query)
    return [tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)]


def calls_of(instruction: Instruction) -> list[ApiCall]:
    """Give the calls that an instruction brings along: those that answer it, and of its facts."""
    return calls_from([*instruction.calls, *(fact.call for fact in instruction.facts)])


def calls_from(lines: Iterable[dict[str, Any]]) -> list[ApiCall]:
    """Read calls, each of them once."""
    calls = [ApiCall(c.get("category", ""), c["tool"], c["api"], c["arguments"]) for c in lines]
    return list({str(call_line(call)): call for call in calls}.values())


def read_tests(world: Path) -> list[Instruction]:
    """Read the test instructions of a world: all query files below `instructions/`."""
    files = sorted((world / "instructions").glob("*.json"))
    return [instruction for file in files for instruction in read_instructions(file)]
