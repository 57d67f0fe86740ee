"""Instructions: what a user asks, which APIs are offered, and what a right answer must contain.

Files are ToolBench's query files: a JSON list of objects with `query`, `query_id`, `api_list` and
`relevant APIs`. toolreplay adds `set`, `facts`, `solvable`, `as_recorded` and, never shown to a
model, `calls` (the API calls of a solution) and `answer` (what it tells). Other fields stay.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from sandbox.errors import BadInput


class Fact(BaseModel):
    """Something that a right answer contains.

    Attributes:
        value: the text or number to find in the answer.
        also: other ways to write it that count as well.
        call: the recorded call whose response holds it: `category`, `tool`, `api`, `arguments`.
        pointer: where in the response's body it stands (a JSON pointer, RFC 6901).
    """

    value: str | int | float
    also: list[str] = []
    call: dict[str, Any]
    pointer: str


class Instruction(BaseModel):
    """One instruction of a query file."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    query: str
    query_id: int | str
    api_list: list[dict[str, Any]] = []
    relevant_apis: list[list[str]] = Field(default=[], alias="relevant APIs")
    named_set: str | None = Field(default=None, alias="set")
    facts: list[Fact] = []
    solvable: bool = True
    as_recorded: dict[str, Any] | None = None
    calls: list[dict[str, Any]] = []
    answer: str | None = None
    _file: str = PrivateAttr(default="")

    @property
    def set_name(self) -> str:
        """The set that the instruction belongs to: the one it names, or its file's name."""
        return self.named_set or self._file

    @property
    def id(self) -> str:
        """The instruction's identity: query ids repeat across sets, so the set is part of it."""
        return f"{self.set_name}/{self.query_id}"

    def to_json(self) -> dict[str, Any]:
        """Give the instruction back as it was read."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def read_instructions(path: Path) -> list[Instruction]:
    """Read a query file. An instruction without a set takes the file's name.

    Raises:
        BadInput: the file is missing, no list of queries, or has two of one id; names the entry.
    """
    try:
        entries = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not JSON ({error}).") from error
    if not isinstance(entries, list):
        raise BadInput(f"{path}: a query file is a JSON list of queries; this is none.")
    instructions = [_instruction(path, number, entry) for number, entry in enumerate(entries)]
    seen: set[str] = set()
    for instruction in instructions:
        if instruction.id in seen:
            raise BadInput(f"{path}: two instructions have the id {instruction.id}.")
        seen.add(instruction.id)
    return instructions


def _instruction(path: Path, number: int, entry: Any) -> Instruction:
    try:
        instruction = Instruction.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{path}, entry {number + 1}: {field}: {first['msg']}.") from error
    instruction._file = path.stem
    return instruction
