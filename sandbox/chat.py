"""Model calls: what a language model is asked, what it answers, and who can be asked."""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Protocol

from sandbox.encoding import text_encoder

NOTHING_SAID = -1
"""The error code of a completion with neither a thought nor a function call."""

CONTEXT_FULL = -2
"""The error code where the conversation no longer fits into the model's context."""

_text = text_encoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))

Message = dict[str, Any]
"""A message in ToolBench's layout: `role` (system, user, assistant, function), `content`, and
`function_call` (assistant) or `name` (function)."""


@dataclass(frozen=True)
class Sampling:
    """How a completion is drawn.

    Attributes:
        temperature: 0 takes the likeliest token always.
        seed: seeds the draw where the temperature is above 0.
        max_tokens: the longest completion.
        frequency_penalty: how much a token loses each time it came already; weak models need it
            to get out of a loop.
    """

    temperature: float = 0.0
    seed: int = 0
    max_tokens: int = 256
    frequency_penalty: float = 0.0


@dataclass(frozen=True)
class CompletionRequest:
    """One question to a model.

    Attributes:
        messages: the conversation so far.
        functions: what the model may call, as OpenAI functions.
        sampling: how to draw the answer.
        instruction: id of the instruction that is being worked on.
        order: how many completions were asked for that instruction before.
        schema: a JSON Schema that the answer's content is held to, where no function is called.
    """

    messages: list[Message]
    functions: list[dict[str, Any]]
    sampling: Sampling = field(default_factory=Sampling)
    instruction: str = ""
    order: int = 0
    schema: dict[str, Any] | None = None

    def key(self, model: str) -> str:
        """Give the request's identity for a model: a hash over all that shapes the answer."""
        asked = {
            "functions": self.functions,
            "messages": self.messages,
            "model": model,
            "sampling": vars(self.sampling),
            **({"schema": self.schema} if self.schema is not None else {}),
        }
        return hashlib.sha256(_text(asked).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Completion:
    """One answer of a model: a thought, a function call, or both.

    Attributes:
        content: the thought; None when the model only called a function.
        function_call: `{"name", "arguments"}`, arguments being the text that the model wrote.
        error_code: not 0 where there is no answer to go on from (`NOTHING_SAID`, `CONTEXT_FULL`, or
            a code of the tree that was imported); a search prunes such a node.
        prompt_tokens: tokens of the question, as the server counts them.
        completion_tokens: tokens of the answer.
    """

    content: str | None
    function_call: dict[str, str] | None = None
    error_code: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def message(self) -> Message:
        """Give the answer as an assistant's message."""
        message: Message = {"role": "assistant", "content": self.content}
        if self.function_call is not None:
            message["function_call"] = dict(self.function_call)
        return message


class ChatModel(Protocol):
    """Whoever answers completion requests; clients and the recorder alike."""

    name: str

    def complete(self, request: CompletionRequest) -> Completion:
        """Answer a request.

        Raises:
            ModelFailed: the model could not be asked or refused.
            UnrecordedCompletion: only recordings may answer, and none does.
        """
        ...
