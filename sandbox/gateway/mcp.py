"""The world's tools as an MCP server, over streamable HTTP and over stdio.

Each API is one tool. Its name is the function's name that models know from searches; where two
APIs would share a name, both get a part of the hash of their full names added.
"""

import hashlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from sandbox.call import ApiCall
from sandbox.function import function_for
from sandbox.gateway.answers import Answers
from sandbox.gateway.limits import encode
from sandbox.gateway.virtual import INSTRUCTION_HEADER, told
from sandbox.names import FUNCTION_NAME_LIMIT, standardise
from sandbox.tool import Api, Tool

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from mcp_types import (
        CallToolRequestParams,
        CallToolResult,
        ListToolsResult,
        PaginatedRequestParams,
    )
    from mcp_types import Tool as McpTool

    Context = ServerRequestContext[Any, Any]

PAGE = 100
"""Tools of one page of `tools/list`."""

PROVENANCE = "toolreplay/provenance"
"""The key of a result's `_meta` that tells where the answer comes from."""

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")


class McpGateway:
    """An MCP server for a world.

    Args:
        answers: answers the calls.
        categories: offer only tools of these; all where there are none.
        tools: offer only these tools; all where there are none.
    """

    def __init__(
        self, answers: Answers, categories: Sequence[str] = (), tools: Sequence[str] = ()
    ) -> None:
        from mcp.server.lowlevel.server import Server

        self._answers = answers
        self._apis = named_apis(list(answers.world.catalogue.apis()))
        self._offered = _kept(self._apis, categories, tools)
        about = answers.world.about["name"]
        self._server: Server[Any] = Server(
            "toolreplay",
            version=version("toolreplay"),
            title=f"toolreplay: {about}",
            instructions="Web APIs, answered from recordings.",
            on_list_tools=self._list,
            on_call_tool=self._call,
            get_tool_input_schema=self._schema,
        )

    @asynccontextmanager
    async def over_http(self, body_limit: int) -> "AsyncIterator[StreamableHTTPSessionManager]":
        """Serve streamable HTTP while the block runs; the manager handles the requests.

        No session is kept between requests, so nothing is lost when the gateway is restarted. Who
        may call is for the gateway's own guard to say.
        """
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        manager = StreamableHTTPSessionManager(
            self._server, json_response=True, stateless=True, max_request_body_size=body_limit
        )
        async with manager.run():
            yield manager

    async def over_stdio(self) -> None:
        """Serve standard input and output until the input ends."""
        from mcp.server.stdio import stdio_server

        async with stdio_server() as (incoming, outgoing):
            options = self._server.create_initialization_options()
            await self._server.run(incoming, outgoing, options)

    def _schema(self, name: str) -> dict[str, Any] | None:
        found = self._apis.get(name)
        return input_schema(*found) if found else None

    def _offered_to(self, context: "Context") -> dict[str, tuple[Tool, Api]]:
        """Give what is offered to a caller, who may ask for less: `/mcp?category=Travel`."""
        asked = getattr(context.request, "query_params", None)
        if not asked:
            return self._offered
        return _kept(self._offered, asked.getlist("category"), asked.getlist("tool"))

    async def _list(
        self, context: "Context", params: "PaginatedRequestParams | None"
    ) -> "ListToolsResult":
        from mcp_types import ListToolsResult

        offered = self._offered_to(context)
        names = list(offered)
        start = _offset(params.cursor if params else None, len(names))
        end = start + PAGE
        return ListToolsResult(
            tools=[_described(name, *offered[name]) for name in names[start:end]],
            next_cursor=str(end) if end < len(names) else None,
        )

    async def _call(self, context: "Context", params: "CallToolRequestParams") -> "CallToolResult":
        from mcp_types import CallToolResult, TextContent

        found = self._offered_to(context).get(params.name)
        if found is None:
            raise _wrong(f"No tool {params.name!r}: tools/list lists all.")
        headers = getattr(context.request, "headers", {})
        instruction = headers.get(INSTRUCTION_HEADER.decode())
        call = ApiCall(found[0].category, found[0].name, found[1].name, params.arguments or {})
        response = (await self._answers.answer(call, instruction)).response
        error, body = told(response)
        text = body if isinstance(body, str) else encode(body).decode()
        return CallToolResult(
            content=[TextContent(text="\n".join(filter(None, [error, text])))],
            structured_content=body if isinstance(body, dict) else None,
            is_error=bool(error) or response.status_code != 0,
            _meta={PROVENANCE: response.provenance},
        )


def named_apis(apis: Sequence[tuple[Tool, Api]]) -> dict[str, tuple[Tool, Api]]:
    """Name each API so that no two share a name, however many there are.

    Names have letters, digits, `_`, `.` and `-` alone, and at most 64 characters, which every
    client takes.
    """
    plain = [_NOT_IN_A_NAME.sub("_", tool.function_name(api)) for tool, api in apis]
    counts = Counter(plain)
    named = {}
    for name, (tool, api) in zip(plain, apis, strict=True):
        if counts[name] > 1 or not name:
            full = "/".join(map(standardise, (tool.category, tool.name, api.name)))
            digest = hashlib.sha256(full.encode()).hexdigest()[:8]
            name = f"{name[: FUNCTION_NAME_LIMIT - 9]}_{digest}"
        named[name] = (tool, api)
    return named


def input_schema(tool: Tool, api: Api) -> dict[str, Any]:
    """Give an API's arguments as a plain JSON Schema."""
    parameters = function_for(tool, api)["parameters"]
    properties = {}
    for name, about in parameters["properties"].items():
        schema = {
            key: value for key, value in about.items() if key != "example_value" and value != ""
        }
        if "example_value" in about:
            schema["examples"] = [about["example_value"]]
        properties[name] = schema
    return {"type": "object", "properties": properties, "required": parameters["required"]}


def _wrong(why: str) -> Exception:
    from mcp.shared.exceptions import MCPError
    from mcp_types import INVALID_PARAMS

    return MCPError(INVALID_PARAMS, why)


def _described(name: str, tool: Tool, api: Api) -> "McpTool":
    from mcp_types import Tool as McpTool
    from mcp_types import ToolAnnotations

    return McpTool(
        name=name,
        title=f"{tool.name}: {api.name}",
        description=function_for(tool, api)["description"],
        input_schema=input_schema(tool, api),
        annotations=ToolAnnotations(read_only_hint=(api.method or "GET").upper() == "GET"),
    )


def _kept(
    apis: dict[str, tuple[Tool, Api]], categories: Sequence[str], tools: Sequence[str]
) -> dict[str, tuple[Tool, Api]]:
    wanted_categories = set(map(standardise, categories))
    wanted_tools = set(map(standardise, tools))
    return {
        name: (tool, api)
        for name, (tool, api) in apis.items()
        if (not wanted_categories or standardise(tool.category) in wanted_categories)
        and (not wanted_tools or standardise(tool.name) in wanted_tools)
    }


def _offset(cursor: str | None, count: int) -> int:
    if cursor is None:
        return 0
    digits = cursor.isascii() and cursor.isdigit() and len(cursor) < 20
    if not digits or int(cursor) > count:
        raise _wrong(f"No page {cursor!r}.")
    return int(cursor)
