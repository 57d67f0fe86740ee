"""Drafts: instructions as a writer made them, before anything is checked."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonpointer import resolve_pointer

from sandbox.call import ApiCall, call_line
from sandbox.disk import write_whole
from sandbox.response import ApiResponse
from trainer.instructions.sample import Sample


@dataclass(frozen=True)
class Draft:
    """An instruction as it was written.

    Attributes:
        query: what the user asks.
        relevant: tool and name of each API that it needs.
        sample: what was offered to the writer, and will be to a search.
        writer: who wrote it: a model's name, `phrasings` or `documents`.
        calls: the calls that answer it, with their arguments, where the writer knows them.
        facts: what a right answer contains, as in `sandbox.instruction.Fact`.
        answer: a right final answer, where the writer knows one.
        solvable: False where nothing that is offered can answer it.
    """

    query: str
    relevant: list[list[str]]
    sample: Sample
    writer: str
    calls: list[dict[str, Any]] = field(default_factory=list)
    facts: list[dict[str, Any]] = field(default_factory=list)
    answer: str | None = None
    solvable: bool = True

    def entry(self, set_name: str, query_id: int) -> dict[str, Any]:
        """Give the draft as an entry of a query file."""
        known = {"calls": self.calls, "facts": self.facts, "answer": self.answer}
        return {
            "query": self.query,
            "query_id": query_id,
            "set": set_name,
            "kind": self.sample.kind,
            "api_list": self.sample.api_list,
            "relevant APIs": self.relevant,
            **{name: value for name, value in known.items() if value},
            **({} if self.solvable else {"solvable": False}),
            "writer": self.writer,
        }


def fact_of(call: ApiCall, response: ApiResponse, pointer: str) -> dict[str, Any] | None:
    """Make a fact of a field of an answer; None where a model is shown nothing to name.

    Args:
        call: the call.
        response: its answer.
        pointer: where the field stands in the body (RFC 6901).

    Raises:
        JsonPointerException: the answer has no such field.
    """
    value = resolve_pointer(response.body, pointer)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if text_of(value) not in response.observation():
        return None
    return {"value": value, "call": call_line(call), "pointer": pointer}


def text_of(value: Any) -> str:
    """Give a value out of an answer as it is told: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def write_drafts(path: Path, drafts: Iterable[Draft], set_name: str) -> None:
    """Write drafts as a query file; their ids count from 1."""
    entries = [draft.entry(set_name, number) for number, draft in enumerate(drafts, start=1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(entries, ensure_ascii=False, indent=1) + "\n")
