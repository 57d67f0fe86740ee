"""Conversations: training data in its three layouts, rendered to tokens with their targets.

Only what the assistant writes is learnt. The text before it is made by the same layout that shows
a local model its prompt, so what is trained is what is asked at inference.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from sandbox.chat import Message
from sandbox.errors import BadInput
from sandbox.llama.cut import cut, written
from trainer.layout import Layout
from trainer.sequence import IGNORED, Sequence

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

    def hash(self) -> str:
        """Name the sequences by their tokens and targets."""
        digest = hashlib.sha256()
        for sequence in self.sequences:
            digest.update(json.dumps([sequence.tokens, sequence.targets]).encode())
        return digest.hexdigest()


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
        apart: give each turn a sequence of its own.
    """
    rendered = Rendered(layout=layout.name)
    encode, opening = _encoder(tokenizer, layout.special)
    for conversation in conversations:
        rendered.conversations += 1
        tokens: list[int] = []
        targets: list[int] = []
        for shown, said in _turns(conversation, layout):
            asked, answered = [*opening, *chain(*map(encode, shown))], [*map(encode, said)]
            if apart or asked[: len(tokens)] != tokens:
                _close(rendered, tokens, targets)
                tokens, targets = [], []
            if len(asked) + sum(map(len, answered)) > max_length:
                rendered.too_long += 1
                continue
            targets += [IGNORED] * (len(asked) - len(targets))
            tokens = asked
            for piece in answered:
                targets[-1] = piece[0]
                targets += [*piece[1:], tokenizer.eos_token_id]
                tokens += piece
            rendered.turns += 1
        _close(rendered, tokens, targets)
    return rendered


def _turns(conversation: Conversation, layout: Layout) -> Iterator[tuple[list[str], list[str]]]:
    """Give, for each turn to learn, what the model is shown and what it is to write, in pieces.

    Raises:
        BadInput: the layout does not show what the assistant said.
    """
    messages, functions = conversation.messages, conversation.functions
    if layout.call.thought_ends is None:
        messages = [m | {"content": None} if "function_call" in m else m for m in messages]
    for turn in conversation.turns():
        said = written(layout, messages[:turn], messages[turn], functions)
        if not said:
            raise BadInput("This layout does not go on from its prompt: take the layout plain.")
        yield cut(layout, messages[:turn], functions), said


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
