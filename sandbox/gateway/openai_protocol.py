"""OpenAI's protocol over a model in process: chat completions, completions, models."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from sandbox.chat import CONTEXT_FULL, Completion, CompletionRequest, Message, Sampling
from sandbox.errors import BadInput, ToolReplayError

if TYPE_CHECKING:
    from sandbox.llama.model import LlamaModel, Part

CALL_ID = "call_0"
"""The id of the one call that an answer makes."""

_Heard = Completion | Exception | tuple[str, str]

_ROLES = {"developer": "system", "tool": "function"}


class _Asked(BaseModel):
    """What both kinds of request have; further fields of OpenAI's are let through unused."""

    model: str = ""
    temperature: float = Field(1.0, ge=0, le=2)
    seed: int | None = None
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    n: Literal[1] | None = 1
    logprobs: Literal[False, 0] | None = None

    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    def sampling(self, tokens: int) -> Sampling:
        return Sampling(self.temperature, self.seed or 0, tokens, self.frequency_penalty)


class ChatAsked(_Asked):
    """The body of a request for a chat completion."""

    messages: list[dict[str, Any]] = Field(min_length=1)
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    functions: list[dict[str, Any]] | None = None
    function_call: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)


class TextAsked(_Asked):
    """The body of a request for a completion."""

    prompt: str | list[str]
    max_tokens: int | None = Field(None, ge=1)


@dataclass(frozen=True)
class _Job:
    """A request that was understood.

    Attributes:
        ask: makes the answer, telling of it on the way.
        limit: the most tokens that are drawn.
        chat: whether it is a chat completion.
        old: whether the caller speaks of functions, not tools.
        streamed: whether the answer is sent in pieces.
        counted: whether a stream ends with the tokens' count.
    """

    ask: "Callable[[Part | None], Completion]"
    limit: int
    chat: bool
    old: bool
    streamed: bool
    counted: bool


class OpenAIProtocol:
    """Answers OpenAI's requests from a model in process.

    Any model's name is taken, since clients have theirs built in; answers bear the real one.

    Args:
        model: answers.
    """

    def __init__(self, model: "LlamaModel") -> None:
        self._model = model

    def routes(self) -> list[Route]:
        """Give the routes, all below `/v1`."""
        return [
            Route("/v1/models", self._list, methods=["GET"]),
            Route("/v1/models/{name:path}", self._show, methods=["GET"]),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/completions", self._complete, methods=["POST"]),
        ]

    async def _list(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._about()]})

    async def _show(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name != self._model.name:
            return _error(
                404, f"No model {name!r} here, but {self._model.name}.", "model_not_found"
            )
        return JSONResponse(self._about())

    def _about(self) -> dict[str, Any]:
        return {"id": self._model.name, "object": "model", "created": 0, "owned_by": "local"}

    async def _chat(self, request: Request) -> Response:
        return await self._answer(request, self._chat_job)

    async def _complete(self, request: Request) -> Response:
        return await self._answer(request, self._text_job)

    async def _answer(self, request: Request, read: "Callable[[bytes], _Job]") -> Response:
        body = await request.body()
        try:
            job = read(body)
            said = _Saying(job, self._model.name, f"cmpl-{hashlib.sha256(body).hexdigest()[:24]}")
            if job.streamed:
                return await _streamed(job, said)
            loop = asyncio.get_running_loop()
            completion = await loop.run_in_executor(None, job.ask, None)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or None
            return _error(400, f"{where or 'The body'}: {first['msg']}", param=where)
        except ToolReplayError as error:
            return _error(400, str(error))
        return _refusal(completion) or JSONResponse(said.whole(completion))

    def _chat_job(self, body: bytes) -> _Job:
        asked = ChatAsked.model_validate_json(body)
        functions, must_call = _offered(asked)
        limit = asked.max_completion_tokens or asked.max_tokens or 512
        question = CompletionRequest(
            [m for message in asked.messages for m in _turned(message, asked.messages)],
            functions,
            asked.sampling(limit),
            schema=_schema(asked, functions),
        )

        def ask(tell: "Part | None") -> Completion:
            return self._model.answer(question, must_call, asked.stops(), tell)

        old = asked.functions is not None
        return _Job(ask, limit, True, old, asked.stream, _counted(asked))

    def _text_job(self, body: bytes) -> _Job:
        asked = TextAsked.model_validate_json(body)
        prompts = [asked.prompt] if isinstance(asked.prompt, str) else asked.prompt
        if len(prompts) != 1:
            raise BadInput(f"prompt: one text at a time, not {len(prompts)}.")
        limit = asked.max_tokens or 16

        def ask(tell: "Part | None") -> Completion:
            return self._model.go_on(prompts[0], asked.sampling(limit), asked.stops(), tell=tell)

        return _Job(ask, limit, False, False, asked.stream, _counted(asked))


def model_routes(model: "LlamaModel") -> list[Route]:
    """Give the routes of OpenAI's protocol for a model in process."""
    return OpenAIProtocol(model).routes()


class _Saying:
    """Puts an answer into OpenAI's words, whole or in pieces."""

    def __init__(self, job: _Job, model: str, name: str) -> None:
        self._job = job
        self._head = {
            "id": f"chat{name}" if job.chat else name,
            "created": int(time.time()),
            "model": model,
        }

    def whole(self, completion: Completion) -> dict[str, Any]:
        ended = {"finish_reason": self._reason(completion), "index": 0, "logprobs": None}
        if self._job.chat:
            choice = {**ended, "message": self._message(completion)}
        else:
            choice = {**ended, "text": completion.content or ""}
        return {**self._of(""), "choices": [choice], "usage": _usage(completion)}

    def pieces(self, part: str, text: str) -> dict[str, Any]:
        if not self._job.chat:
            return self._piece({"text": text})
        if part == "content":
            return self._piece({"delta": {"content": text}})
        call: dict[str, Any] = {part: text, **({"arguments": ""} if part == "name" else {})}
        if self._job.old:
            return self._piece({"delta": {"function_call": call}})
        new = {"id": CALL_ID, "type": "function"} if part == "name" else {}
        return self._piece({"delta": {"tool_calls": [{"index": 0, **new, "function": call}]}})

    def opening(self) -> list[dict[str, Any]]:
        said = {"role": "assistant", "content": None}
        return [self._piece({"delta": said})] if self._job.chat else []

    def closing(self, completion: Completion) -> list[dict[str, Any]]:
        empty: dict[str, Any] = {"delta": {}} if self._job.chat else {"text": ""}
        pieces = [self._piece(empty, self._reason(completion))]
        if self._job.counted:
            pieces.append({**self._of(".chunk"), "choices": [], "usage": _usage(completion)})
        return pieces

    def _piece(self, said: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "finish_reason": reason, "logprobs": None, **said}
        return {**self._of(".chunk"), "choices": [choice]}

    def _of(self, kind: str) -> dict[str, Any]:
        name = f"chat.completion{kind}" if self._job.chat else "text_completion"
        return {**self._head, "object": name}

    def _reason(self, completion: Completion) -> str:
        if completion.function_call is not None:
            return "function_call" if self._job.old else "tool_calls"
        return "length" if completion.completion_tokens >= self._job.limit else "stop"

    def _message(self, completion: Completion) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": completion.content}
        call = completion.function_call
        if call is not None and self._job.old:
            message["function_call"] = call
        elif call is not None:
            message["tool_calls"] = [{"id": CALL_ID, "type": "function", "function": call}]
        return message


async def _streamed(job: _Job, said: _Saying) -> Response:
    """Send an answer in pieces as they are written; what fails at once is refused as usual."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[_Heard] = asyncio.Queue()

    def put(what: _Heard) -> None:
        loop.call_soon_threadsafe(heard.put_nowait, what)

    def work() -> None:
        try:
            put(job.ask(lambda part, text: put((part, text))))
        except Exception as error:
            put(error)

    loop.run_in_executor(None, work)
    first = await heard.get()
    if isinstance(first, Exception):
        raise first
    if isinstance(first, Completion) and (refused := _refusal(first)):
        return refused
    return StreamingResponse(_events(first, heard, said), media_type="text/event-stream")


async def _events(
    what: _Heard, heard: "asyncio.Queue[_Heard]", said: _Saying
) -> AsyncIterator[str]:
    """Turn what is heard of an answer into server-sent events."""
    for piece in said.opening():
        yield _event(piece)
    while isinstance(what, tuple):
        yield _event(said.pieces(*what))
        what = await heard.get()
    if isinstance(what, Exception):
        told = str(what) if isinstance(what, ToolReplayError) else repr(what)
        yield _event(_error_body(told, "server_error"))
    else:
        for piece in said.closing(what):
            yield _event(piece)
    yield "data: [DONE]\n\n"


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


def _offered(asked: ChatAsked) -> tuple[list[dict[str, Any]], bool]:
    """Give the functions that may be called, and whether one must be.

    Raises:
        BadInput: a tool is no function, or one is chosen that is not offered.
    """
    functions, choice = asked.functions, asked.function_call
    if functions is None:
        functions, choice = [_function(tool) for tool in asked.tools or []], asked.tool_choice
    for function in functions:
        if not isinstance(function.get("name"), str) or not function["name"]:
            raise BadInput("tools: each function needs a name.")
        if not _is_schema(function.get("parameters", {})):
            raise BadInput(f"tools: the parameters of {function['name']} must be a JSON Schema.")
    if not functions or choice == "none":
        return [], False
    if isinstance(choice, dict):
        named = choice.get("function", choice)
        name = named.get("name") if isinstance(named, dict) else None
        functions = [function for function in functions if function["name"] == name]
        if not functions:
            raise BadInput(f"tool_choice: no function {name!r} is offered.")
    return functions, choice not in (None, "auto")


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, dict):
        raise BadInput("tools: each must be of the type function, and have a function.")
    return function


def _is_schema(parameters: Any) -> bool:
    """Tell whether a function's parameters are written as a JSON Schema's object."""
    if not isinstance(parameters, dict):
        return False
    properties, required = (parameters.get(name) for name in ("properties", "required"))
    return isinstance(properties, dict | None) and (
        required is None
        or (isinstance(required, list) and all(isinstance(name, str) for name in required))
    )


def _schema(asked: ChatAsked, functions: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Read what the answer's words are held to.

    Raises:
        BadInput: the format is unknown, or does not go with functions.
    """
    wanted = asked.response_format or {"type": "text"}
    if wanted.get("type") == "text":
        return None
    if functions:
        raise BadInput("response_format: it does not go with tools; take one of them.")
    if wanted.get("type") == "json_object":
        return {"type": "object"}
    about = wanted.get("json_schema")
    schema = about.get("schema") if isinstance(about, dict) else None
    if wanted.get("type") != "json_schema" or not isinstance(schema, dict):
        raise BadInput("response_format: take text, json_object, or json_schema with a schema.")
    return schema


def _turned(message: dict[str, Any], all_of_them: list[dict[str, Any]]) -> list[Message]:
    """Turn one of OpenAI's messages into ToolBench's; one with several calls gives several.

    Raises:
        BadInput: it has no known role, or content that is no text.
    """
    role = message.get("role")
    if role not in ("system", "developer", "user", "assistant", "tool", "function"):
        raise BadInput(f"messages: no role {role!r}.")
    turned: Message = {"role": _ROLES.get(role, role), "content": _text(message.get("content"))}
    if turned["role"] == "function":
        name = message.get("name") or _called(message.get("tool_call_id"), all_of_them)
        return [{**turned, "name": name}]
    if role != "assistant":
        return [turned]
    calls: list[Any] = [call.get("function") for call in _tool_calls(message)]
    calls += [message["function_call"]] if message.get("function_call") else []
    if not calls:
        return [turned]
    if not all(
        isinstance(c, dict) and all(isinstance(c.get(n), str) for n in ("name", "arguments"))
        for c in calls
    ):
        raise BadInput("messages: each call needs a name and arguments.")
    first, *others = [{"name": c["name"], "arguments": c["arguments"]} for c in calls]
    return [
        {**turned, "function_call": first},
        *({"role": "assistant", "content": None, "function_call": call} for call in others),
    ]


def _tool_calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise BadInput("messages: tool_calls is a list of calls.")
    return calls


def _text(content: Any) -> str | None:
    if content is None or isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    if not all(isinstance(part, dict) and part.get("type") == "text" for part in parts):
        raise BadInput("messages: the content must be text.")
    return "".join(str(part.get("text", "")) for part in parts)


def _called(call_id: Any, messages: list[dict[str, Any]]) -> str:
    """Find the name of the function that a tool's message answers for."""
    for message in messages:
        for call in _tool_calls(message):
            if call.get("id") == call_id and isinstance(call.get("function"), dict):
                return str(call["function"].get("name", ""))
    return ""


def _counted(asked: _Asked) -> bool:
    return bool((asked.stream_options or {}).get("include_usage"))


def _usage(completion: Completion) -> dict[str, int]:
    asked, said = completion.prompt_tokens, completion.completion_tokens
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def _refusal(completion: Completion) -> JSONResponse | None:
    if completion.error_code != CONTEXT_FULL:
        return None
    return _error(
        400,
        f"{completion.prompt_tokens} tokens and the answer do not fit into the context.",
        "context_length_exceeded",
        "messages",
    )


def _error(
    status: int, message: str, code: str | None = None, param: str | None = None
) -> JSONResponse:
    return JSONResponse(_error_body(message, "invalid_request_error", code, param), status)


def _error_body(
    message: str, kind: str, code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
