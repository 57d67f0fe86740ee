"""How a conversation is laid out as one text for a model, and how the model writes a call."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, cast

from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from sandbox.chat import Message
from sandbox.errors import BadInput
from sandbox.function import FINISH, own_description
from sandbox.llama.weights import Weights

Function = dict[str, Any]

LAYOUTS = ("plain", "compact", "toolllama", "native")
"""The names of the layouts."""


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
        name: one of `LAYOUTS`.
        special: whether names of control tokens in the text stand for those tokens.
        call: how calls are written.
        stops: texts that end an answer in words.
    """

    name: str
    special: bool
    call: CallFormat
    stops: tuple[str, ...]

    def prompt(self, messages: Sequence[Message], functions: Sequence[Function]) -> str:
        """Lay a conversation out, up to where the model's turn begins."""
        ...


class Plain:
    """A line a turn, for base models, which have no layout of their own."""

    name: str = "plain"
    special = False
    call = CallFormat('Call: {"name": "', '", "arguments": ', answer="Answer: ")
    closing = "}"
    stops: tuple[str, ...] = ("\nRequest:", "\nResult:", "\nCall:")

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
            return [f"Result: {self._shown(content)}"]
        if message["role"] != "assistant":
            return [f"Request: {content}"]
        said = [f"{self.call.answer}{content}"] if content else []
        if call := message.get("function_call"):
            name, arguments = call["name"], call["arguments"]
            said.append(f"{self.call.opening}{name}{self.call.middle}{arguments}{self.closing}")
        return said

    def _shown(self, result: str) -> str:
        return result


class Compact(Plain):
    """As little as a model needs that was trained on it: the functions, the calls, the results.

    Where functions are offered, the rules, the tools' own descriptions and Finish are left out, and
    so is the envelope of a result without an error.
    """

    name: str = "compact"
    call = CallFormat("Call: ", " ", answer="Answer: ")
    closing = ""

    def prompt(self, messages: Sequence[Message], functions: Sequence[Function]) -> str:
        """Lay a conversation out as lines."""
        if not functions:
            return super().prompt(messages, functions)
        lines = [_offer_briefly(f) for f in functions if f["name"] != FINISH["name"]]
        for message in messages[1:] if _opens(messages) else messages:
            lines += self._lines(message)
        return "\n".join(lines) + "\n"

    def _shown(self, result: str) -> str:
        """Give a result without the envelope that says that there was no error."""
        opening = '{"error": "", "response": '
        return (
            result.removeprefix(opening).removesuffix("}") if result.startswith(opening) else result
        )


class ToolLlama:
    """ToolLLaMA's turns: a thought, an action, and the action's input."""

    name: str = "toolllama"
    special = False
    call = CallFormat("\nAction: ", "\nAction Input: ", thought_ends="\n")
    stops: tuple[str, ...] = ("</s>", "\nUser:", "\nFunction:", "\nSystem:")

    def prompt(self, messages: Sequence[Message], functions: Sequence[Function]) -> str:
        """Lay a conversation out as turns; the functions are told with the system's message."""
        turns = [self._turn(message) for message in messages]
        if functions:
            offered = json.dumps(list(functions), ensure_ascii=False)
            told = f"You may use these functions, by name and with JSON arguments: {offered}"
            place = 1 if _opens(messages) else 0
            turns.insert(place, f"System: {told}")
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


class Native:
    """The chat template in the model's file, with its own way to write calls.

    The template is rendered in jinja2's sandbox. How it writes a call is read off an example that
    it renders; where it prints none, the functions are told in the system's message, and calls are
    written as in the plain layout.

    Raises:
        BadInput: the file has no template, or it cannot be rendered.
    """

    name: str = "native"
    special = True
    stops: tuple[str, ...] = ()

    def __init__(self, weights: Weights) -> None:
        template = weights.template
        if template is None:
            raise BadInput(f"{weights.path} has no chat template: take the layout plain.")
        self._path = weights.path
        self._formatter = _Formatter(
            template,
            eos_token=weights.text_of(weights.end_token),
            bos_token=weights.text_of(weights.first_token),
        )
        found = self._read_call_format()
        self._own_calls = found is not None
        self.call = found or CallFormat('Call: {"name": "', '", "arguments": ', "Call:")

    def prompt(self, messages: Sequence[Message], functions: Sequence[Function]) -> str:
        """Render a conversation by the template, up to the model's turn."""
        if functions and not self._own_calls:
            offered = "\n".join(["Functions:", *map(_offer, functions)])
            messages = _with_system(messages, f"{offered}\nWrite a call as a line: {_EXAMPLE}")
            functions = []
        return self._render(self._turned(messages), functions, turn_begins=True)

    def _render(
        self, messages: list[dict[str, Any]], functions: Sequence[Function], turn_begins: bool
    ) -> str:
        tools = [{"type": "function", "function": function} for function in functions]
        self._formatter.add_generation_prompt = turn_begins
        try:
            rendered = self._formatter(messages=cast(Any, messages), tools=cast(Any, tools or None))
        except Exception as error:
            raise BadInput(
                f"The chat template of {self._path} cannot render this conversation: {error}. Take "
                f"the layout plain."
            ) from error
        return str(rendered.prompt)

    def _read_call_format(self) -> CallFormat | None:
        """Render an example call and see what stands around its name and its arguments."""
        asked: list[dict[str, Any]] = [{"role": "user", "content": "?"}]
        function = {
            "name": _NAME,
            "description": "",
            "parameters": {"type": "object", "properties": {}, "required": []},
        }
        call = {"id": "call000000", "type": "function"}
        said = {
            "role": "assistant",
            "content": "",
            "tool_calls": [{**call, "function": {"name": _NAME, "arguments": {_NAME: 1}}}],
        }
        try:
            before = self._render(asked, [function], turn_begins=True)
            after = self._render([*asked, said], [function], turn_begins=False)
        except BadInput:
            return None
        if not after.startswith(before):
            return None
        opening, named, rest = after[len(before) :].partition(_NAME)
        middle, filled, _ = rest.partition("{")
        if (
            not named
            or not filled
            or not middle
            or not rest[len(middle) :].startswith(f'{{"{_NAME}')
        ):
            return None
        marker = opening.strip().split("\n")[0]
        return CallFormat(opening, middle, marker or None)

    def _turned(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """Turn ToolBench's messages into those that templates know."""
        turned: list[dict[str, Any]] = []
        for message in messages:
            content = message["content"] or ""
            call = message.get("function_call")
            if message["role"] == "function" and self._own_calls:
                turned.append({"role": "tool", "name": message["name"], "content": content})
            elif message["role"] == "function":
                turned.append({"role": "user", "content": f"Result: {content}"})
            elif call and self._own_calls:
                function = {"name": call["name"], "arguments": _read(call["arguments"])}
                calls = [{"id": "call000000", "type": "function", "function": function}]
                turned.append({"role": "assistant", "content": content, "tool_calls": calls})
            elif call:
                line = f"{self.call.opening}{call['name']}{self.call.middle}{call['arguments']}}}"
                turned.append({"role": "assistant", "content": f"{content}\n{line}".strip()})
            else:
                turned.append({"role": message["role"], "content": content})
        return turned


_NAME = "zzqfunctionqzz"
_EXAMPLE = 'Call: {"name": "NAME", "arguments": {}}'


class _Formatter(Jinja2ChatFormatter):
    """llama-cpp-python's renderer, with a clock that stands still, so that prompts repeat."""

    @staticmethod
    def strftime_now(f: str) -> str:
        return datetime(2024, 1, 1).strftime(f)


_BY_NAME: dict[str, type[Layout]] = {
    "plain": Plain,
    "compact": Compact,
    "toolllama": ToolLlama,
}


def layout_for(weights: Weights, name: str | None) -> Layout:
    """Give the layout of a name.

    Without one it is the layout that the adapter was trained in, where it says so, else the file's
    own template, else the plain layout.

    Raises:
        BadInput: there is no such layout, or the file has no template for it.
    """
    chosen = name or weights.trained_layout or ("native" if weights.template else "plain")
    if chosen == "native":
        return Native(weights)
    if chosen in _BY_NAME:
        return _BY_NAME[chosen]()
    raise BadInput(f"No layout {name!r}: take {', '.join(LAYOUTS)}.")


def _opens(messages: Sequence[Message]) -> bool:
    return bool(messages) and messages[0]["role"] == "system"


def _offer(function: Function) -> str:
    """Tell a function in a line: its name, its parameters (`?` where optional), what it does."""
    parameters = function.get("parameters") or {}
    required = parameters.get("required") or []
    names = [n if n in required else f"{n}?" for n in parameters.get("properties") or {}]
    return f"- {function['name']}({', '.join(names)}): {function.get('description') or ''}"


def _offer_briefly(function: Function) -> str:
    """Tell a function in a line, without the tool that its name says already."""
    return _offer({**function, "description": own_description(function)})


def _with_system(messages: Sequence[Message], text: str) -> list[Message]:
    if _opens(messages):
        first = {**messages[0], "content": f"{messages[0]['content'] or ''}\n{text}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _read(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments
