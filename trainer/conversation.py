"""Conversations: training data in its three layouts, rendered to tokens with their targets.

Only what the assistant writes is learnt. The text before it is made by the same layout that shows
a local model its prompt, so what is trained is what is asked at inference.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from sandbox.chat import Message
from sandbox.errors import BadInput
from trainer.layout import CallFormat, Layout
from trainer.packing import IGNORED, Sequence

_STEP = re.compile(r"\s*Thought:(.*?)\nAction:(.*?)\nAction Input:(.*)", re.DOTALL)


@dataclass(frozen=True)
class Conversation:
    """A path as a conversation.

    Attributes:
        messages: in ToolBench's layout; an assistant's with OpenAI's `weight` 0 is not learnt.
        functions: what was offered; empty where the system message already lists it.
        last_only: learn the last turn alone, not all of the assistant's.
    """

    messages: list[Message]
    functions: list[dict[str, Any]] = field(default_factory=list)
    last_only: bool = False

    def turns(self) -> list[int]:
        """Indices of the messages to learn."""
        turns = [n for n, m in enumerate(self.messages) if m["role"] == "assistant"]
        learnt = [n for n in turns if self.messages[n].get("weight") != 0]
        return learnt[-1:] if self.last_only else learnt


@dataclass
class Rendered:
    """Conversations in tokens.

    Attributes:
        sequences: what to learn from.
        conversations: how many there were.
        turns: assistant's turns that are learnt.
        too_long: turns that are left out, as they end beyond the longest sequence.
        layout: the name of the layout that they are written in.
    """

    sequences: list[Sequence] = field(default_factory=list)
    conversations: int = 0
    turns: int = 0
    too_long: int = 0
    layout: str = ""

    @property
    def tokens(self) -> int:
        """All tokens."""
        return sum(map(len, self.sequences))

    @property
    def supervised(self) -> int:
        """Tokens from which something is learnt."""
        return sum(t != IGNORED for s in self.sequences for t in s.targets)


def read_conversations(paths: Iterable[Path]) -> Iterator[Conversation]:
    """Read training data, in whichever of the layouts of `toolreplay dataset` it is.

    Raises:
        BadInput: a file cannot be read or holds something else; names it.
    """
    for path in paths:
        for number, record in enumerate(_records(path), start=1):
            try:
                yield _conversation(record)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise BadInput(
                    f"{path}: record {number} is no training conversation ({error!r}): make the "
                    f"file with toolreplay dataset."
                ) from error


def data_hash(paths: Iterable[Path]) -> str:
    """Give the hash of the files' contents, in their order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def render(
    conversations: Iterable[Conversation],
    layout: Layout,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    apart: bool = False,
) -> Rendered:
    """Write conversations as tokens.

    Turns of one conversation share a sequence as long as each prompt goes on from the text so far;
    a layout that rewrites what came before gets a sequence for each turn.

    Args:
        conversations: what to learn.
        layout: how it is written.
        tokenizer: of the base.
        max_length: tokens of the longest sequence; turns that end beyond it are left out.
        apart: give each turn a sequence of its own. Its prompt is then cut into tokens in one
            piece, as at inference; in a shared sequence a few tokens around earlier calls differ.
    """
    rendered = Rendered(layout=layout.name)
    encode, opening = _encoder(tokenizer, layout.special)
    for conversation in conversations:
        rendered.conversations += 1
        text, tokens, targets = "", list(opening), [IGNORED] * len(opening)
        for prompt, said in _turns(conversation, layout):
            if apart or not prompt.startswith(text):
                _close(rendered, tokens, targets)
                text, tokens, targets = "", list(opening), [IGNORED] * len(opening)
            asked, answered = encode(prompt[len(text) :]), [*map(encode, said)]
            if len(tokens) + len(asked) + sum(map(len, answered)) > max_length:
                rendered.too_long += 1
                continue
            tokens += asked
            targets += [IGNORED] * len(asked)
            for piece in answered:
                targets[-1] = piece[0]
                targets += [*piece[1:], tokenizer.eos_token_id]
                tokens += piece
            text = prompt + "".join(said)
            rendered.turns += 1
        _close(rendered, tokens, targets)
    return rendered


def _turns(conversation: Conversation, layout: Layout) -> Iterator[tuple[str, list[str]]]:
    """Give, for each turn to learn, what the model is shown and what it is to write.

    A layout tells only what it shows before a turn. What the model wrote is what the next prompt
    goes on with, without what closes any turn and opens the next.

    Raises:
        BadInput: the layout does not show what the assistant said.
    """
    messages, functions = conversation.messages, conversation.functions
    if layout.call.thought_ends is None:
        messages = [m | {"content": None} if "function_call" in m else m for m in messages]
    for turn in conversation.turns():
        before = messages[:turn]
        prompt = layout.prompt(before, functions)
        after = layout.prompt([*before, messages[turn]], functions)
        probes = [
            layout.prompt([*before, {"role": "assistant", "content": word}], functions)
            for word in ("a", "b")
        ]
        said = after.removesuffix(_common_end(*probes))
        if len(said) <= len(prompt) or not said.startswith(prompt):
            raise BadInput("This layout does not go on from its prompt: take the layout plain.")
        yield prompt, _said(said[len(prompt) :], messages[turn], layout.call)


def _said(text: str, message: Message, form: CallFormat) -> list[str]:
    """Cut what the model writes where a local model is held to the layout at inference.

    There it writes a thought, the function's name with the sign after it, and the arguments; the
    text between them is given to it in tokens of its own, and after the arguments it is stopped.
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


def _close(rendered: Rendered, tokens: list[int], targets: list[int]) -> None:
    if any(target != IGNORED for target in targets):
        rendered.sequences.append(Sequence(tokens, targets))


def _encoder(
    tokenizer: PreTrainedTokenizerBase, special: bool
) -> tuple[Callable[[str], list[int]], list[int]]:
    """Give the function from text to tokens, and the tokens that open every text."""

    def encode(text: str) -> list[int]:
        encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=not special)
        return list(encoded["input_ids"])

    opens = tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
    return encode, [tokenizer.bos_token_id] if opens else []


def _records(path: Path) -> Iterator[Any]:
    try:
        text = path.read_text("utf-8")
        if text.lstrip().startswith("["):
            yield from json.loads(text)
        else:
            yield from (json.loads(line) for line in text.split("\n") if line.strip())
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: cannot be read as training data ({error}).") from error


def _conversation(record: dict[str, Any]) -> Conversation:
    if "conversations" in record:
        turns = record["conversations"]
        return Conversation([_from_instance(t["from"], t["value"]) for t in turns], last_only=True)
    if "tools" in record:
        functions = [tool["function"] for tool in record["tools"]]
        return Conversation(_from_openai(record["messages"]), functions)
    return Conversation(list(record["messages"]), list(record["functions"]))


def _from_instance(role: str, value: str) -> Message:
    """Read a turn of ToolBench's published instances."""
    step = _STEP.fullmatch(value) if role == "assistant" else None
    if step is None:
        return {"role": role, "content": value}
    thought, name, arguments = (part.strip() for part in step.groups())
    return {
        "role": role,
        "content": thought or None,
        "function_call": {"name": name, "arguments": arguments},
    }


def _from_openai(messages: list[dict[str, Any]]) -> list[Message]:
    """Read the messages of OpenAI's fine-tuning format, one call a turn."""
    names: dict[str, str] = {}
    read: list[Message] = []
    for message in messages:
        one: Message = {"role": message["role"], "content": message.get("content")}
        if message.get("weight") == 0:
            one["weight"] = 0
        if message["role"] == "tool":
            one |= {"role": "function", "name": names[message["tool_call_id"]]}
        for call in message.get("tool_calls", []):
            names[call["id"]] = call["function"]["name"]
            one["function_call"] = call["function"]
        read.append(one)
    return read
