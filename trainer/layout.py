"""Layouts: how a conversation is written as one text."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from transformers import PreTrainedTokenizerBase

from sandbox.chat import Message
from sandbox.errors import BadInput

Function = dict[str, Any]


@dataclass(frozen=True)
class CallFormat:
    """How a model writes a function call.

    Attributes:
        opening: what stands before the function's name.
        middle: what stands between the name and the arguments; it begins with the sign that ends
            the name.
        thought_ends: where a thought may come before the call: the text that ends it; None where
            the model writes calls alone.
        answer: where the model may also answer in words: what stands before them.
    """

    opening: str
    middle: str
    thought_ends: str | None = None
    answer: str | None = None


class Layout(Protocol):
    """A way to lay conversations out.

    Attributes:
        special: whether names of control tokens in the text stand for those tokens.
        call: how calls are written.
    """

    special: bool
    call: CallFormat

    def prompt(self, messages: Sequence[Message], functions: Sequence[Function]) -> str:
        """Lay a conversation out, up to where the model's turn begins."""
        ...


class Plain:
    """A line a turn, for base models, which have no layout of their own."""

    special = False
    call = CallFormat('Call: {"name": "', '", "arguments": ', answer="Answer: ")

    def prompt(self, messages: Sequence[Message], functions: Sequence[Function]) -> str:
        """Lay a conversation out as lines."""
        lines = [str(m["content"] or "") for m in messages[:1] if m["role"] == "system"]
        if functions:
            lines += ["Functions:", *map(_offer, functions)]
        for message in messages[1:] if _opens(messages) else messages:
            lines += self._lines(message)
        return "\n".join(lines) + "\n"

    def _lines(self, message: Message) -> list[str]:
        content = message["content"] or ""
        if message["role"] == "function":
            return [f"Result: {content}"]
        if message["role"] != "assistant":
            return [f"Request: {content}"]
        said = [f"Answer: {content}"] if content else []
        if call := message.get("function_call"):
            said.append(f"{self.call.opening}{call['name']}{self.call.middle}{call['arguments']}}}")
        return said


class ToolLlama:
    """ToolLLaMA's turns: a thought, an action, and the action's input."""

    special = False
    call = CallFormat("\nAction: ", "\nAction Input: ", thought_ends="\n")

    def prompt(self, messages: Sequence[Message], functions: Sequence[Function]) -> str:
        """Lay a conversation out as turns; the functions are told with the system's message."""
        turns = [self._turn(message) for message in messages]
        if functions:
            offered = json.dumps(list(functions), ensure_ascii=False)
            told = f"You may use these functions, by name and with JSON arguments: {offered}"
            turns.insert(1 if _opens(messages) else 0, f"System: {told}")
        return "\n".join(turns) + "\nAssistant:" + ("\nThought:" if functions else "")

    def _turn(self, message: Message) -> str:
        content = message["content"] or ""
        if message["role"] != "assistant":
            return f"{message['role'].capitalize()}: {content}"
        call = message.get("function_call")
        if call is None:
            return f"Assistant: {content}</s>"
        return (
            f"Assistant:\nThought: {content}{self.call.opening}{call['name']}"
            f"{self.call.middle}{call['arguments']}</s>"
        )


LAYOUTS = ("plain", "toolllama")
"""The names of the layouts."""


def layout_of(base: str, tokenizer: PreTrainedTokenizerBase, name: str | None) -> Layout:
    """Give the layout of a name; without one, the plain layout.

    Raises:
        BadInput: there is no such layout.
    """
    if name not in (None, *LAYOUTS):
        raise BadInput(f"No layout {name!r}: take {' or '.join(LAYOUTS)}.")
    return ToolLlama() if name == "toolllama" else Plain()


def _opens(messages: Sequence[Message]) -> bool:
    return bool(messages) and messages[0]["role"] == "system"


def _offer(function: Function) -> str:
    parameters = function.get("parameters") or {}
    required = parameters.get("required") or []
    names = [n if n in required else f"{n}?" for n in parameters.get("properties") or {}]
    return f"- {function['name']}({', '.join(names)}): {function.get('description') or ''}"
