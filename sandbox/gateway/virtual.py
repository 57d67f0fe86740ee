"""The protocols of the peers' servers: StableToolBench's `/virtual` and ToolBench's `/rapidapi`.

Both take category, tool_name, api_name, tool_input, strip and toolbench_key, and answer 200 with
`{"error", "response"}`, whatever became of the call. They differ in `response`: `/virtual` gives
it as it was recorded, an object or a text, and takes no notice of `strip`; `/rapidapi` gives the
text of a Python literal, cut at 2,048 characters, and with `strip` set to `filter` only those
fields of an object that the API's document has in its `schema`.
"""

from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.types import Scope, Send

from sandbox.call import ApiCall, read_arguments
from sandbox.gateway.answers import Answers
from sandbox.gateway.limits import Incoming, encode, send_json
from sandbox.gateway.statistics import Statistics
from sandbox.names import standardise
from sandbox.response import ApiResponse
from sandbox.tool import Api, Tool

RAPIDAPI_LIMIT = 2048
"""Characters of a response that ToolBench's server gives."""

UNREADABLE = encode({"error": "Tool input parse error...\n", "response": ""})
"""What both servers answer where `tool_input` is no JSON object."""

INSTRUCTION_HEADER = b"x-toolreplay-instruction"
"""Names the instruction that a call is made for."""

PROVENANCE_HEADER = b"x-toolreplay-provenance"
"""Tells where an answer comes from."""

KEPT_NAMES = 65_536
"""Spellings of APIs whose documents are remembered."""

Protocol = Literal["/virtual", "/rapidapi"]


class VirtualCall(BaseModel):
    """The body of a call, in the peers' field names."""

    category: str
    tool_name: str
    api_name: str
    tool_input: str | dict[str, Any]
    strip: str
    toolbench_key: str


class VirtualAnswer(BaseModel):
    """The body of an answer."""

    error: str
    response: Any


class Virtual:
    """An ASGI application for one of the two protocols.

    Args:
        protocol: which one.
        answers: answers the calls.
        statistics: counts what cannot be read.
    """

    def __init__(self, protocol: Protocol, answers: Answers, statistics: Statistics) -> None:
        self._as_text = protocol == "/rapidapi"
        self._answers = answers
        self._statistics = statistics
        self._found: dict[tuple[str, str, str], tuple[Tool, Api] | None] = {}

    async def __call__(self, scope: Scope, incoming: Incoming, send: Send) -> None:
        """Answer one request."""
        headers = dict(scope["headers"])
        body = await incoming.body()
        if body is None:
            return
        try:
            asked = read_body(headers.get(b"content-type"), body)
        except ValidationError as error:
            await send_json(send, {"detail": _wrong_fields(error)}, 422)
            return
        instruction = headers.get(INSTRUCTION_HEADER)
        content, provenance = await self.answer(
            asked, instruction.decode("latin-1") if instruction else None
        )
        await send_json(send, content, more=[(PROVENANCE_HEADER, provenance.encode())])

    async def answer(self, asked: VirtualCall, instruction: str | None = None) -> tuple[bytes, str]:
        """Answer one call.

        Returns:
            The body of the answer, encoded, and where the answer comes from.
        """
        arguments = _arguments(asked.tool_input)
        if arguments is None:
            self._statistics.answered("unreadable", 0.0)
            return UNREADABLE, "unreadable"
        found = self._find(asked)
        if found is None:
            call = ApiCall(asked.category, asked.tool_name, asked.api_name, arguments)
        else:
            call = ApiCall(found[0].category, found[0].name, found[1].name, arguments)
        answered = await self._answers.answer(call, instruction)
        provenance = answered.response.provenance
        if answered.text is not None and not self._as_text:
            error = encode(answered.response.error)
            body = answered.text.encode("utf-8", "backslashreplace")
            return b'{"error":%b,"response":%b}' % (error, body), provenance
        told_error, response = told(answered.response)
        if self._as_text:
            if found and self._strips(asked.strip, call):
                response = keep_documented(response, found[1].response_schema)
            response = str(response)[:RAPIDAPI_LIMIT]
        return encode({"error": told_error, "response": response}), provenance

    def _find(self, asked: VirtualCall) -> tuple[Tool, Api] | None:
        """Find an API's document by any of the names that the peers' clients give."""
        names = (asked.category, asked.tool_name, asked.api_name)
        if names not in self._found:
            if len(self._found) >= KEPT_NAMES:
                self._found.clear()
            catalogue = self._answers.world.catalogue
            tool_name = asked.tool_name.removesuffix(f"_for_{folder_of(asked.category)}")
            api_name = standardise(asked.api_name).partition(f"_for_{standardise(tool_name)}")[0]
            tries = [
                (t, a)
                for t in (asked.tool_name, tool_name)
                for a in (asked.api_name, api_name, api_name.removeprefix("is_"))
            ]
            found = (catalogue.find(tool, api, asked.category) for tool, api in tries)
            self._found[names] = next(filter(None, found), None)
        return self._found[names]

    def _strips(self, how: str, call: ApiCall) -> bool:
        """Tell whether to filter; `random` is for each call always the same."""
        if how == "random":
            return int(self._answers.world.key(call)[0], 16) % 2 == 1
        return how == "filter"


def read_body(content_type: bytes | None, body: bytes) -> VirtualCall:
    """Read the body of a request.

    Raises:
        ValidationError: it is none; names the field.
    """
    if content_type is not None and not _is_json(content_type):
        return VirtualCall.model_validate(body)
    return VirtualCall.model_validate_json(body)


def _is_json(content_type: bytes) -> bool:
    kind = content_type.partition(b";")[0].strip().lower()
    return kind == b"application/json" or (
        kind.startswith(b"application/") and kind.endswith(b"+json")
    )


def _wrong_fields(error: ValidationError) -> list[dict[str, Any]]:
    """Name what is wrong with a body, as FastAPI does; values are not repeated."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return [{**detail, "loc": ["body", *detail["loc"]]} for detail in details]


def _arguments(tool_input: str | dict[str, Any]) -> dict[str, Any] | None:
    """Read the arguments; None where they are no JSON object."""
    if isinstance(tool_input, dict):
        return tool_input
    try:
        read = from_json(tool_input) if tool_input else {}
    except ValueError:
        read = read_arguments(tool_input)
    return read if isinstance(read, dict) else None


def told(response: ApiResponse) -> tuple[str, Any]:
    """Give error and response of an answer, as the protocols tell them.

    A recording of what a peer's server answered, or of what a model was shown of it, has both in
    its text; what was cut off at the end of that stays cut off.
    """
    if response.text is None:
        return response.error, response.body
    try:
        observed = from_json(response.text, allow_partial="trailing-strings")
    except ValueError:
        observed = None
    if isinstance(observed, dict) and isinstance(observed.get("error"), str):
        return observed["error"], observed.get("response", "")
    return "", response.text


def keep_documented(value: Any, schema: Any) -> Any:
    """Keep those fields of an object that a schema has.

    Args:
        value: a JSON value.
        schema: an example of the same shape, as ToolBench's documents have it, or a JSON Schema.
    """
    if isinstance(schema, dict) and isinstance(schema.get("properties"), dict):
        schema = schema["properties"]
    if isinstance(value, dict) and isinstance(schema, dict) and schema:
        return {
            name: keep_documented(v, schema[name]) for name, v in value.items() if name in schema
        }
    if isinstance(value, list):
        item = schema.get("items") if isinstance(schema, dict) else schema
        example = item[0] if isinstance(item, list) and item else item
        return [keep_documented(v, example) for v in value]
    return value


def folder_of(category: str) -> str:
    """Name a category's folder as ToolBench does, where a tool's name ends in `_for_<folder>`."""
    name = category.replace(" ", "_").replace(",", "_").replace("/", "_")
    return name.replace("__", "_")
