"""Cuts: where a conversation's text is cut before it is put into tokens.

A model that is held to a layout writes a call in pieces: some text is given to it, and it is
stopped inside a line. Tokens do not go across those places. A prompt that repeats the call is cut
at them too, in training and at inference alike, so that a model reads its calls in the tokens in
which it wrote them.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from sandbox.chat import Message
from sandbox.llama.layout import CallFormat, Layout

Functions = Sequence[dict[str, Any]]


def cut(layout: Layout, messages: Sequence[Message], functions: Functions) -> list[str]:
    """Give a conversation's prompt in pieces, each to be put into tokens by itself.

    Where a layout rewrites what came before, the prompt is one piece.

    Args:
        layout: how the conversation is laid out.
        messages: the conversation, up to where the model's turn begins.
        functions: what is offered.
    """
    whole = layout.prompt(messages, functions)
    pieces: list[str] = []
    text = ""
    for turn, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        shown = layout.prompt(messages[:turn], functions)
        said = written(layout, messages[:turn], message, functions)
        if not said or not shown.startswith(text):
            return [whole]
        pieces += [shown[len(text) :], *said]
        text = shown + "".join(said)
    if not whole.startswith(text):
        return [whole]
    return [piece for piece in (*pieces, whole[len(text) :]) if piece]


def written(
    layout: Layout, before: Sequence[Message], message: Message, functions: Functions
) -> list[str]:
    """Give the pieces in which the model writes a message; none where that cannot be told.

    A layout tells only what it shows before a turn. What the model wrote is what the next prompt
    goes on with, without what closes any turn and opens the next.

    Args:
        layout: how the conversation is laid out.
        before: the messages before it.
        message: the assistant's.
        functions: what is offered.
    """
    prompt = layout.prompt(before, functions)
    after = layout.prompt([*before, message], functions)
    probes = [
        layout.prompt([*before, {"role": "assistant", "content": word}], functions)
        for word in ("a", "b")
    ]
    said = after.removesuffix(_common_end(*probes))
    if len(said) <= len(prompt) or not said.startswith(prompt):
        return []
    return _pieces(said[len(prompt) :], message, layout.call)


def _pieces(text: str, message: Message, form: CallFormat) -> list[str]:
    """Cut what the model writes where it is held to the layout.

    It writes a thought, the function's name with the sign after it, and the arguments; the text
    between them is given to it in tokens of its own, and after the arguments it is stopped.
    """
    called = message.get("function_call")
    named = f"{form.opening}{called['name']}{form.middle}" if called else None
    if called is None or named is None or named not in text:
        return [text]
    thought, _, rest = text.partition(named)
    whole = rest.startswith(called["arguments"])
    end = form.thought_ends or ""
    pieces = (
        thought + end,
        form.opening.removeprefix(end),
        called["name"] + form.middle[0],
        form.middle[1:],
        called["arguments"] if whole else rest,
    )
    return [piece for piece in pieces if piece]


def _common_end(one: str, other: str) -> str:
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one[::-1], other[::-1], strict=False))
    return one[len(one) - sum(1 for _ in same) :]
