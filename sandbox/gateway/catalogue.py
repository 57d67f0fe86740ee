"""What a gateway tells of its world: the tools, their documents, and what is recorded of them."""

import asyncio
from collections.abc import Callable
from itertools import islice
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.cassette import Recording
from sandbox.function import function_for
from sandbox.gateway.limits import Refused, encode
from sandbox.gateway.virtual import told
from sandbox.names import standardise
from sandbox.tool import Api, Tool
from sandbox.world import World

PAGE = 50
"""Entries of a page, where the caller does not say."""

LARGEST_PAGE = 500
"""Entries of a page at most."""

LAST_OFFSET = 1 << 40
"""Where a page may begin at most."""


class CatalogueRoutes:
    """The routes below `/catalogue`.

    Names in a path go in any spelling that standardises to the document's, so a name with a `/`
    in it is reached by its standard form.

    Args:
        world: the world.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._counts = world.store.api_counts()

    def routes(self) -> list[BaseRoute]:
        """Give the routes."""
        return [
            Route("/catalogue", self._answer(self.tools)),
            Route("/catalogue/{category}/{tool}", self._answer(self.tool)),
            Route("/catalogue/{category}/{tool}/{api}", self._answer(self.calls)),
        ]

    def _answer(self, work: Callable[[Request], dict[str, Any]]) -> Callable[[Request], Any]:
        """Answer in a thread, since pages may be large."""

        async def endpoint(request: Request) -> Response:
            content = await asyncio.to_thread(lambda: encode(work(request)))
            return Response(content, media_type="application/json")

        return endpoint

    def _recorded(self, tool: Tool, api: Api) -> int:
        names = (tool.category, tool.name, api.name)
        category, tool_name, api_name = (standardise(name) for name in names)
        return self._counts.get((category, tool_name, api_name), 0)

    def tools(self, request: Request) -> dict[str, Any]:
        """List tools; `q` searches names and descriptions, `category` keeps one category."""
        query = request.query_params.get("q", "").casefold()
        category = standardise(request.query_params.get("category", ""))
        found = [
            tool
            for tool in self._world.catalogue
            if (not category or standardise(tool.category) == category) and query in _text(tool)
        ]
        offset, limit = _page(request)
        return {
            "world": self._world.about["name"],
            "total": len(found),
            "offset": offset,
            "limit": limit,
            "categories": sorted({tool.category for tool in self._world.catalogue}),
            "tools": [self._summary(tool) for tool in found[offset : offset + limit]],
        }

    def _summary(self, tool: Tool) -> dict[str, Any]:
        return {
            "category": tool.category,
            "tool": tool.name,
            "path": f"/catalogue/{standardise(tool.category) or '_'}/{standardise(tool.name)}",
            "description": tool.description or "",
            "collections": tool.collections,
            "apis": len(tool.api_list),
            "recorded": sum(self._recorded(tool, api) for api in tool.api_list),
        }

    def tool(self, request: Request) -> dict[str, Any]:
        """Give a tool's document, with the number of recordings of each API.

        Raises:
            Refused: there is no such tool.
        """
        tool = self._find(request)
        summary = self._summary(tool)
        apis = [
            {
                "api": api.name,
                "path": f"{summary['path']}/{standardise(api.name)}",
                "function": function_for(tool, api)["name"],
                "recorded": self._recorded(tool, api),
                "document": api.to_json(),
            }
            for api in tool.api_list
        ]
        return {**summary, "host": tool.host, "apis": apis}

    def calls(self, request: Request) -> dict[str, Any]:
        """List the recorded calls of an API, each with its answer and where it comes from.

        Raises:
            Refused: there is no such tool or API, or no such page.
        """
        tool = self._find(request)
        wanted = standardise(request.path_params["api"])
        api = next((api for api in tool.api_list if standardise(api.name) == wanted), None)
        if api is None:
            names = ", ".join(api.name for api in tool.api_list)
            raise Refused(404, f"{tool.name} has no API {wanted}: it has {names}.")
        offset, limit = _page(request)
        recordings = self._world.store.of_api(tool.name, api.name, tool.category)
        return {
            "category": tool.category,
            "tool": tool.name,
            "api": api.name,
            "total": self._recorded(tool, api),
            "offset": offset,
            "limit": limit,
            "calls": [_told_call(r) for r in islice(recordings, offset, offset + limit)],
        }

    def _find(self, request: Request) -> Tool:
        category = standardise(request.path_params["category"])
        name = standardise(request.path_params["tool"])
        for tool in self._world.catalogue:
            if standardise(tool.name) == name and standardise(tool.category) == category:
                return tool
        raise Refused(404, f"No tool {category}/{name} here: GET /catalogue lists all tools.")


def _told_call(recording: Recording) -> dict[str, Any]:
    answer = recording.api_response()
    error, response = told(answer)
    return {
        "arguments": recording.call.arguments,
        "instruction": recording.instruction,
        "provenance": answer.provenance,
        "status_code": int(answer.status_code),
        "error": error,
        "response": response,
        "http": {
            "method": recording.request.get("method"),
            "uri": recording.request.get("uri"),
            "status": recording.response["status"]["code"],
        },
    }


def _text(tool: Tool) -> str:
    names = " ".join(api.name for api in tool.api_list)
    return f"{tool.category} {tool.name} {tool.description or ''} {names}".casefold()


def _page(request: Request) -> tuple[int, int]:
    offset = _number(request, "offset", 0, 0, LAST_OFFSET)
    return offset, _number(request, "limit", PAGE, 1, LARGEST_PAGE)


def _number(request: Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (_is_number(text) and least <= int(text) <= most):
        raise Refused(422, f"{name}={text}: take a number from {least} to {most}.")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20
