"""Layouts of a conversation as one text."""

from typing import Any

from sandbox.chat import Message
from sandbox.errors import BadInput


class ToolLlama:
    """ToolLLaMA's: a role's name before each message; a thought, an action and its input."""

    def prompt(self, messages: list[Message], functions: list[dict[str, Any]]) -> str:
        """Give what a model is shown before its turn."""
        offered = f"\nThese functions are on offer: {functions}" if functions else ""
        lines = []
        for message in messages:
            content = message["content"]
            if message["role"] == "assistant":
                content = self.turn(message)
            elif message["role"] == "system":
                content = f"{content}{offered}"
            gap = "" if message["role"] == "assistant" else " "
            lines.append(f"{message['role'].capitalize()}:{gap}{content}\n")
        return "".join(lines) + "Assistant:"

    def turn(self, message: Message) -> str:
        """Give what a model writes."""
        call = message.get("function_call")
        if call is None:
            return f"\nThought: {message['content'] or ''}"
        return (
            f"\nThought: {message['content'] or ''}\nAction: {call['name']}"
            f"\nAction Input: {call['arguments']}"
        )


def layout_named(name: str) -> ToolLlama:
    """Give a layout by its name.

    Raises:
        BadInput: there is none of that name.
    """
    if name != "toolllama":
        raise BadInput(f"No layout {name!r}: take toolllama.")
    return ToolLlama()
