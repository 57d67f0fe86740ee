"""One line of the tape of model calls."""

import json
from dataclasses import dataclass
from typing import Any

from sandbox.chat import Completion

_FIELDS = ("content", "function_call", "error_code", "prompt_tokens", "completion_tokens")


@dataclass(frozen=True)
class RecordedCompletion:
    """One line of the tape.

    Attributes:
        model: name of the model that answered.
        key: hash of the request; empty for completions that were imported without their prompts
            and are known by instruction and order alone.
        instruction: id of the instruction that it was made for.
        order: its place among the completions of that instruction.
        completion: the answer.
    """

    model: str
    key: str
    instruction: str
    order: int
    completion: Completion

    def to_line(self) -> str:
        """Write the line: fixed order of fields, nothing that is empty."""
        answer = {name: getattr(self.completion, name) for name in _FIELDS}
        record = {
            "instruction": self.instruction,
            "order": self.order,
            "model": self.model,
            "key": self.key,
            **{name: value for name, value in answer.items() if value or name == "content"},
        }
        return json.dumps(record, ensure_ascii=False)

    @classmethod
    def from_line(cls, line: str) -> "RecordedCompletion":
        """Read a line.

        Raises:
            ValueError: it is no JSON object or lacks a field.
        """
        try:
            record: dict[str, Any] = json.loads(line)
            texts = (record["model"], record["key"], record["instruction"])
            if not all(isinstance(t, str) for t in texts) or not isinstance(record["order"], int):
                raise TypeError("model, key and instruction are texts, order is a number")
            answer = {name: record[name] for name in _FIELDS if name in record}
            return cls(
                record["model"],
                record["key"],
                record["instruction"],
                record["order"],
                Completion(**answer),
            )
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"no recorded completion ({error})") from error
