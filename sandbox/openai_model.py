"""A model behind any server that speaks OpenAI's protocol."""

import os
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from openai import APIStatusError, BadRequestError, OpenAI, OpenAIError

from sandbox.chat import (
    CONTEXT_FULL,
    NOTHING_SAID,
    Completion,
    CompletionRequest,
    Message,
)
from sandbox.errors import ModelFailed

ObservationRole = Literal["tool", "user"]
"""The role that carries an observation; some servers' chat templates print no tool messages."""


class OpenAIModel:
    """Asks an OpenAI-compatible server through the `openai` package, with native tool calls.

    It pickles without its key: who unpickles it takes the key from their own environment.

    Args:
        name: the model's name at the server.
        base_url: the server's address; by default `OPENAI_BASE_URL`, then OpenAI's own.
        observation_role: how observations are sent; any but `tool` is part of the name on a tape,
            for what it is asked is another question then.
        timeout: seconds to wait for one answer.
    """

    def __init__(
        self,
        name: str,
        base_url: str | None = None,
        observation_role: ObservationRole = "tool",
        timeout: float = 600.0,
    ) -> None:
        self.name = name if observation_role == "tool" else f"{name}@{observation_role}"
        self._asked = name
        self._observation_role = observation_role
        self._schema_format = "json_schema"
        address = base_url or os.environ.get("OPENAI_BASE_URL")
        self._made_of = (name, address, observation_role, timeout)
        key = os.environ.get("OPENAI_API_KEY") or ("none" if address else None)
        try:
            self._client = OpenAI(base_url=address, api_key=key, timeout=timeout, max_retries=4)
        except OpenAIError as error:
            raise ModelFailed(
                "No key for OpenAI's own server: set OPENAI_API_KEY, or point OPENAI_BASE_URL (or "
                "--base-url) at another server, or use --model recorded."
            ) from error

    def __reduce__(self) -> tuple[type["OpenAIModel"], tuple[Any, ...]]:
        return OpenAIModel, self._made_of

    @property
    def host(self) -> str:
        """The host that this model is reached at."""
        return urlsplit(str(self._client.base_url)).hostname or ""

    def complete(self, request: CompletionRequest) -> Completion:
        """Ask the server.

        Raises:
            ModelFailed: it could not be reached, or refused; names the address and the model.
        """
        try:
            answer = self._create(request)
        except BadRequestError as error:
            if "context" in str(error).lower():
                return Completion(None, error_code=CONTEXT_FULL)
            raise self._failed(request, error) from error
        except OpenAIError as error:
            raise self._failed(request, error) from error
        if not answer.choices:
            raise ModelFailed(
                f"The model {self.name} at {self._client.base_url} answered without a choice for "
                f"instruction {request.instruction}. Is this an OpenAI-compatible server?"
            )
        message = answer.choices[0].message
        call = next((c for c in message.tool_calls or [] if c.type == "function"), None)
        usage = answer.usage
        said = message.content or None
        return Completion(
            content=said,
            function_call=(
                {"name": call.function.name, "arguments": call.function.arguments} if call else None
            ),
            error_code=0 if said or call else NOTHING_SAID,
            prompt_tokens=usage.prompt_tokens if usage else 0,
            completion_tokens=usage.completion_tokens if usage else 0,
        )

    def _create(self, request: CompletionRequest) -> Any:
        """Send the request; a server that knows no `json_schema` is asked as llama.cpp's is."""
        sampling = request.sampling
        try:
            return self._client.chat.completions.create(
                model=self._asked,
                messages=cast(Any, self._messages(request.messages)),
                **self._held_to(request),
                temperature=sampling.temperature,
                seed=sampling.seed,
                max_tokens=sampling.max_tokens,
                frequency_penalty=sampling.frequency_penalty,
            )
        except APIStatusError as error:
            known = self._schema_format == "json_object" or request.schema is None
            if known or "response_format" not in str(error):
                raise
            self._schema_format = "json_object"
            return self._create(request)

    def _held_to(self, request: CompletionRequest) -> dict[str, Any]:
        """Say what the answer may be: calls of functions, or JSON of a schema."""
        held: dict[str, Any] = {}
        if request.functions:
            held["tools"] = [{"type": "function", "function": f} for f in request.functions]
            held["tool_choice"] = "auto"
        if request.schema is not None and self._schema_format == "json_object":
            held["response_format"] = {"type": "json_object", "schema": request.schema}
        elif request.schema is not None:
            schema = {"name": "answer", "schema": request.schema}
            held["response_format"] = {"type": "json_schema", "json_schema": schema}
        return held

    def _failed(self, request: CompletionRequest, error: OpenAIError) -> ModelFailed:
        return ModelFailed(
            f"The model {self.name} at {self._client.base_url} did not answer for instruction "
            f"{request.instruction}: {type(error).__name__}: {error}. What was answered before "
            f"is on the tape: run the same command again to go on."
        )

    def _messages(self, messages: list[Message]) -> list[dict[str, Any]]:
        """Turn ToolBench's message layout into OpenAI's tool calls and tool messages."""
        turned: list[dict[str, Any]] = []
        for place, message in enumerate(messages):
            if message["role"] == "function":
                turned.append(self._observation(message, f"call_{place - 1}"))
            elif "function_call" in message:
                call = {"id": f"call_{place}", "type": "function"}
                turned.append(
                    {
                        "role": "assistant",
                        "content": message["content"] or "",
                        "tool_calls": [{**call, "function": message["function_call"]}],
                    }
                )
            else:
                turned.append({"role": message["role"], "content": message["content"] or ""})
        return turned

    def _observation(self, message: Message, call_id: str) -> dict[str, Any]:
        if self._observation_role == "user":
            return {"role": "user", "content": f"{message['name']} returned:\n{message['content']}"}
        return {"role": "tool", "tool_call_id": call_id, "content": message["content"]}
